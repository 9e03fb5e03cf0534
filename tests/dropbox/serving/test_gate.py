"""Places at a gate are the whole machine's, freed by death and kept for sending; nobody waits for ever."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dropbox.serving.gate import SENDING, Busy, Gate
from tests.dropbox.serving.visitors import wait_until

HOLD = """
import sys, pathlib
from dropbox.serving.gate import Gate
with Gate(pathlib.Path(sys.argv[1]), places=2, reserved=1).place(sys.argv[2], None):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_process(folder: Path, lane: str) -> Iterator[subprocess.Popen[bytes]]:
    """Hold a place in another process for the length of a block."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder), lane],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert process.stdout is not None and process.stdin is not None
    with process.stdout, process.stdin:
        assert process.stdout.readline() == b"held\n"
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def gate(folder: Path, **settings: float) -> Gate:
    return Gate(folder, places=2, reserved=1, **{"wait_seconds": 0.1, **settings})  # type: ignore[arg-type]


def test_one_place_is_kept_for_sending(tmp_path: Path) -> None:
    one = gate(tmp_path)
    with one.place("return", 1):
        with pytest.raises(Busy) as busy, one.place("return", 2):
            pass
        with one.place(SENDING, 3):
            pass
    assert busy.value.http_status == 503
    assert "again" in busy.value.remedy


def test_sending_may_use_every_place(tmp_path: Path) -> None:
    one = gate(tmp_path)
    with one.place(SENDING, 1), one.place(SENDING, 2):
        with pytest.raises(Busy), one.place(SENDING, 3):
            pass
        with pytest.raises(Busy), one.place("return", 3):
            pass


def test_places_are_the_whole_machines_and_a_killed_process_frees_its_own(tmp_path: Path) -> None:
    one = gate(tmp_path)
    with another_process(tmp_path, "return") as process:
        with pytest.raises(Busy), one.place("return", 1):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
        with one.place("return", 1):
            pass


def test_a_place_is_free_after_an_error(tmp_path: Path) -> None:
    one = gate(tmp_path)
    for _ in range(3):
        with pytest.raises(ValueError), one.place("return", 1):
            raise ValueError


def test_waiting_is_bounded_in_all_and_by_circuit(tmp_path: Path) -> None:
    one = gate(tmp_path, wait_seconds=20.0, waiting=3, waiting_per_circuit=2)
    entered: list[int] = []

    def enter(circuit: int) -> None:
        with one.place("return", circuit):
            entered.append(circuit)

    with one.place("return", 0):
        threads = []
        for circuit in (1, 1, 2):
            threads.append(threading.Thread(target=enter, args=(circuit,)))
            threads[-1].start()
            # Nobody in the queue can be heard, so the queue itself is asked.
            wait_until(lambda: len(one._queues[False]) == len(threads), "one more waits")
            if threads[1:] == [threads[-1]]:
                with pytest.raises(Busy), one.place("return", 1):
                    pass
        with pytest.raises(Busy), one.place("return", 4):
            pass
        assert entered == []
    for thread in threads:
        thread.join()
    assert entered == [1, 2, 1], "the second circuit waits behind one of the first, not behind both"


def test_a_gate_needs_a_place_for_everybody(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        Gate(tmp_path, places=1, reserved=1)


def test_its_files_are_nobody_elses_and_hold_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "gate"
    with gate(folder).place(SENDING, 77):
        assert folder.stat().st_mode & 0o077 == 0
        assert [file.stat().st_mode & 0o077 for file in folder.iterdir()] == [0]
        assert [file.read_bytes() for file in folder.iterdir()] == [b""]
