"""A shielded process dumps no core, locks its memory where it may, and keeps no freed key."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from operator import xor
from pathlib import Path

import pytest

from dropbox.serving import memory

CHILD = """
import json, os, sys
from dropbox.serving import memory
if "poison" in sys.argv:
    memory.poison_frees()
report = memory.shield() if "shield" in sys.argv else memory.report()
print(json.dumps({**report.as_dict(), "arguments": sys.argv[1:], "standard_input": sys.stdin.read()}))
"""

FORGET = """
import secrets, sys
from dropbox.serving import memory
if "poison" in sys.argv:
    memory.poison_frees()
pad = secrets.token_bytes(64)
keys = [secrets.token_bytes(64) for _ in range(50)]
hidden = [bytes(a ^ b for a, b in zip(key, pad)) for key in keys]
if "keep" not in sys.argv:
    del keys
print(pad.hex())
for key in hidden:
    print(key.hex())
sys.stdout.flush()
sys.stdin.read()
"""


def environment() -> dict[str, str]:
    paths = os.pathsep.join(path for path in sys.path if path)
    kept = {name: value for name, value in os.environ.items() if "MALLOC" not in name and not name.startswith("GLIBC")}
    return {**kept, "PYTHONPATH": paths}


def child(*words: str, program: str = CHILD, **limits: int) -> dict[str, object]:
    def limit() -> None:
        for name, value in limits.items():
            resource.setrlimit(getattr(resource, name), (value, value))

    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        input="as given",
        capture_output=True,
        text=True,
        env=environment(),
        preexec_fn=limit if limits else None,
        check=True,
        timeout=60,
    )
    facts: dict[str, object] = json.loads(done.stdout)
    return facts


def test_the_program_starts_again_once_with_what_it_was_given() -> None:
    facts = child("poison", "--option", "ก")
    assert facts["frees_poisoned"] is True
    assert facts["arguments"] == ["poison", "--option", "ก"]
    assert facts["standard_input"] == "as given"


def test_without_that_the_report_says_what_is_missing() -> None:
    facts = child()
    assert facts["frees_poisoned"] is False
    assert facts["hidden_from_others"] is False
    advice = facts["advice"]
    assert isinstance(advice, list) and any("swap" in line for line in advice)


def test_it_never_starts_again_twice() -> None:
    started: list[dict[str, str]] = []
    memory.poison_frees({"A": "b"}, lambda program, arguments, environ: started.append(environ))
    assert started[0]["A"] == "b"
    memory.poison_frees(started[0], lambda program, arguments, environ: started.append(environ))
    memory.poison_frees({"MUSTSHARE_MEMORY_POISONED": "1"}, lambda program, arguments, environ: started.append(environ))
    assert len(started) == 1


def may_lock() -> bool:
    effective = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff"))
    hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)[1]
    return bool(int(effective.split()[1], 16) >> 14 & 1) or hard == resource.RLIM_INFINITY


def test_a_shielded_process_dumps_no_core_and_is_hidden() -> None:
    facts = child("shield")
    assert facts["core_dumps_off"] is True
    assert facts["hidden_from_others"] is True


@pytest.mark.skipif(not may_lock(), reason="this machine permits no locked memory")
def test_a_shielded_process_has_its_memory_locked() -> None:
    facts = child("shield")
    assert facts["locked"] is True
    assert isinstance(facts["locked_kib"], int) and facts["locked_kib"] > 1_000


def test_where_locking_is_not_permitted_it_is_reported_and_nothing_breaks() -> None:
    drop = (
        "import ctypes\n"
        "header, no_capabilities = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()\n"
        "assert ctypes.CDLL(None).capset(header, no_capabilities) == 0\n"
    )
    facts = child("shield", program=drop + CHILD, RLIMIT_MEMLOCK=65_536)
    assert facts["locked"] is False
    advice = facts["advice"]
    assert isinstance(advice, list) and any("LimitMEMLOCK" in line for line in advice)


def keys_left(*words: str) -> int:
    with subprocess.Popen(
        [sys.executable, "-c", FORGET, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as process:
        assert process.stdout is not None and process.stdin is not None
        pad, *hidden = [bytes.fromhex(process.stdout.readline()) for _ in range(51)]
        areas = writable_memory(process.pid)
        process.stdin.close()
    return sum(any(bytes(map(xor, key, pad))[16:] in area for area in areas) for key in hidden)


def writable_memory(pid: int) -> list[bytes]:
    areas = []
    with open(f"/proc/{pid}/mem", "rb", 0) as contents:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, rights = line.split()[:2]
            if rights.startswith("rw"):
                start, end = (int(part, 16) for part in span.split("-"))
                contents.seek(start)
                areas.append(contents.read(end - start))
    return areas


def test_freed_keys_are_gone_from_memory() -> None:
    assert keys_left("poison") == 0


def test_and_the_search_for_them_would_find_them() -> None:
    assert keys_left("poison", "keep") == 50
    assert keys_left() > 40
