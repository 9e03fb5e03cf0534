"""Other programs that read and write age files, as functions. If one is missing, the test fails and says so."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

PEERS = Path(__file__).parents[2] / "peers"
DEADLINE_SECONDS = 60.0


def require_peers() -> None:
    """Fail the test, saying what to do, when the npm packages aren't installed."""
    if not (PEERS / "node_modules" / "age-encryption").is_dir():
        pytest.fail("The npm peers are missing. Run: npm ci --prefix tests/peers")


def typage(*arguments: str, data: bytes = b"") -> bytes:
    """Run tests/peers/typage.mjs. Raises: subprocess.CalledProcessError: it refused."""
    require_peers()
    return _run([_program("node", "nodejs"), str(PEERS / "typage.mjs"), *arguments], data)


def debian_age(*arguments: str, data: bytes = b"") -> bytes:
    """Run Debian's age. Raises: subprocess.CalledProcessError: it refused."""
    return _run([_program("age", "age"), *arguments], data)


def debian_age_asking(passphrase: str, *arguments: str) -> None:
    """Run Debian's age at a terminal of its own, and type the passphrase whenever it asks. Raises: as `debian_age`."""
    ours, its = pty.openpty()
    command = [_program("setsid", "util-linux"), "--ctty", "--wait", _program("age", "age"), *arguments]
    with subprocess.Popen(command, stdin=its, stdout=its, stderr=its) as process:
        os.close(its)
        shown = _answer(ours, passphrase.encode() + b"\n")
        if process.wait(DEADLINE_SECONDS):
            raise subprocess.CalledProcessError(process.returncode, command, stderr=shown)


def _answer(terminal: int, answer: bytes) -> bytes:
    """Type the answer after each prompt, until the program closes the terminal; return all that it showed."""
    shown, answered = b"", 0
    deadline = time.monotonic() + DEADLINE_SECONDS
    try:
        while select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))[0]:
            shown += os.read(terminal, 4096)
            if shown.count(b": ") > answered:
                answered = shown.count(b": ")
                os.write(terminal, answer)
    except OSError:
        pass  # The terminal's other side is closed: it has ended.
    finally:
        os.close(terminal)
    return shown


def _program(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"The program {name} is missing. Run: apt-get install {package}")
    return found


def _run(command: Sequence[str], data: bytes) -> bytes:
    return subprocess.run(command, input=data, capture_output=True, check=True, timeout=DEADLINE_SECONDS).stdout
