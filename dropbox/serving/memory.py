"""What this process does so that what it handles doesn't outlive its use in memory, and never reaches a disk.

No core dumps; no other process of the same user may read our memory; pages are locked, so that none goes to swap;
freed memory is overwritten by the allocator. The last needs two settings of the C library that must stand before a
process starts, so the program starts itself once more. MALLOC_PERTURB_ alone isn't enough: it spares what the
per-thread cache takes in, up to seven pieces of each size up to 1,032 bytes, and keys are of such sizes (measured:
of 50 freed keys 7 stayed; with the cache off, none). Python's strings can't be overwritten before they are freed:
this shortens their life, nothing more.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

POISON = "165"
TUNABLES = f"glibc.malloc.perturb={POISON}:glibc.malloc.tcache_count=0"
_SETTINGS = {"PYTHONMALLOC": "malloc", "MALLOC_PERTURB_": POISON, "GLIBC_TUNABLES": TUNABLES}
_STARTED_AGAIN = "MUSTSHARE_MEMORY_POISONED"

_PR_SET_PDEATHSIG = 1
_PR_GET_DUMPABLE = 3
_PR_SET_DUMPABLE = 4
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4
_CAP_IPC_LOCK = 14

_libc = ctypes.CDLL(None, use_errno=True)


def poison_frees(
    environ: Mapping[str, str] = os.environ,
    start_again: Callable[[str, list[str], dict[str, str]], object] = os.execve,
) -> None:
    """Start this program again with freed memory poisoned, unless it was. Call first, before a secret is read.

    Keeps the arguments, the environment and inherited descriptors; returns in the process that is poisoned. If the
    settings can't be had (someone else's Python start-up drops them), it returns unpoisoned rather than start for
    ever: `report` tells.
    """
    if all(environ.get(name) == value for name, value in _SETTINGS.items()) or _STARTED_AGAIN in environ:
        return
    sys.stdout.flush()
    sys.stderr.flush()
    start_again(
        sys.executable,
        [sys.executable, *sys.orig_argv[1:]],
        {**environ, **_SETTINGS, _STARTED_AGAIN: "1"},
    )


@dataclass(frozen=True, slots=True)
class Report:
    """How well this process's memory is kept."""

    core_dumps_off: bool
    hidden_from_others: bool
    locked: bool
    locked_kib: int
    frees_poisoned: bool
    advice: tuple[str, ...]

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def shield() -> Report:
    """Turn core dumps off, hide this process from others of the same user, lock its memory; and report.

    What isn't permitted is reported, not raised: a server without locked memory may run on a machine without swap.
    Descendants inherit all of it but the lock: each calls `lock_again`.
    """
    hide()
    lock_again()
    return report()


def hide() -> None:
    """No core dumps, and nobody of the same user may read this process (a dump handler neither)."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def lock_again() -> bool:
    """Lock every page as it comes into use, now and later; return whether that was permitted.

    Under a small limit it isn't even tried: the kernel would agree today, and refuse memory for a thread tomorrow.
    """
    if not _may_lock_everything():
        return False
    return int(_libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT)) == 0


def die_with_parent(sig: signal.Signals) -> None:
    """Have the kernel send this process a signal when its parent ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, int(sig), 0, 0, 0)


def report() -> Report:
    """Look at how this process stands."""
    core_dumps_off = resource.getrlimit(resource.RLIMIT_CORE)[0] == 0
    hidden = int(_libc.prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0)) == 0
    status = _own_status()
    locked_kib, all_kib = status.get("VmLck", 0), status.get("VmSize", 0)
    # Whoever locked each page has nearly all of it marked; a few mappings of the kernel's own can't be.
    locked = all_kib > 0 and locked_kib * 10 >= all_kib * 9
    poisoned = frees_are_poisoned()
    advice = []
    if not (core_dumps_off and hidden):
        advice.append("Core dumps are possible: start the server with dropbox-server serve.")
    if not locked:
        advice.append(
            "Memory isn't locked and may reach the swap space: give the service LimitMEMLOCK=infinity, or run the "
            "machine without swap."
        )
    if not poisoned:
        advice.append("Freed memory isn't overwritten: this needs glibc, and the environment that the server sets.")
    return Report(core_dumps_off, hidden, locked, locked_kib, poisoned, tuple(advice))


def frees_are_poisoned() -> bool:
    """Try it: free small and large pieces of memory, and look at what the allocator left in them."""
    if os.environ.get("PYTHONMALLOC") != "malloc":
        return False
    return all(_piece_is_poisoned(size) for size in (48, 96, 512, 2_048, 65_536))


def _piece_is_poisoned(size: int) -> bool:
    malloc, free = _libc.malloc, _libc.free
    malloc.argtypes, malloc.restype = [ctypes.c_size_t], ctypes.c_void_p
    free.argtypes, free.restype = [ctypes.c_void_p], None
    piece, guard = malloc(size), malloc(16)  # The guard keeps the piece from melting into what lies behind it.
    view = (ctypes.c_ubyte * size).from_address(piece)
    ctypes.memset(piece, 0x5A, size)
    free(piece)
    left = bytes(view[32 : size - 8]).count(0x5A)  # The allocator's own marks may stand at both ends.
    free(guard)
    return left == 0


def _may_lock_everything() -> bool:
    _, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if hard == resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (hard, hard))
        return True
    capabilities = _own_status(16).get("CapEff", 0)
    return bool(capabilities >> _CAP_IPC_LOCK & 1)


def _own_status(base: int = 10) -> dict[str, int]:
    """Return the numbers in /proc/self/status that can be read in this base."""
    numbers = {}
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        try:
            numbers[name] = int(value.split()[0], base)
        except (ValueError, IndexError):
            continue
    return numbers
