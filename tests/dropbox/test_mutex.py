"""The mutex keeps apart threads and processes, and outlives whoever holds it."""

from __future__ import annotations

import mmap
import os
import signal
import threading

from dropbox.mutex import Mutex

ROUNDS = 300


def count_up(mutex: Mutex, shared: mmap.mmap) -> None:
    for _ in range(ROUNDS):
        with mutex.held():
            value = int.from_bytes(shared[:8])
            os.sched_yield()
            shared[:8] = (value + 1).to_bytes(8)


def test_no_count_is_lost_among_threads_and_processes() -> None:
    mutex, shared = Mutex(), mmap.mmap(-1, 8)
    children = []
    for _ in range(2):
        child = os.fork()
        if child == 0:
            count_up(mutex, shared)
            os._exit(0)
        children.append(child)
    threads = [threading.Thread(target=count_up, args=(mutex, shared)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
    assert int.from_bytes(shared[:8]) == 4 * ROUNDS


def test_a_killed_holder_frees_it() -> None:
    mutex = Mutex()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        with mutex.held():
            os.write(writer, b"held")
            signal.pause()
    assert os.read(reader, 4) == b"held"
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with mutex.held():
        pass
    os.close(reader)
    os.close(writer)


def test_an_exception_frees_it() -> None:
    mutex = Mutex()
    for _ in range(2):
        try:
            with mutex.held():
                raise KeyError
        except KeyError:
            continue
