"""Ctrl-C while a command is still being read in: it ends at once, says nothing, and its exit code tells why."""

from __future__ import annotations

import configparser
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def commands() -> dict[str, str]:
    """Return the module of each command that setup.cfg installs."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    lines = config["options.entry_points"]["console_scripts"].split("\n")
    return {
        name.strip(): place.strip().removesuffix(":main")
        for name, place in (line.split("=") for line in lines if line.strip())
    }


COMMANDS = commands()
# Stands still at the import of click, which every command needs, until something ends it.
STANDING_STILL = """
import importlib, signal, sys
class Standstill:
    def find_spec(self, name, path=None, target=None):
        if name == "click":
            print("importing", flush=True)
            signal.sigwait({signal.SIGUSR1}) if %r else signal.pause()
sys.meta_path.insert(0, Standstill())
sys.argv[1:] = ["--help"]
importlib.import_module(%r).main()
"""


def started(module: str, *, ignoring: bool = False) -> subprocess.Popen[str]:
    """Start a command, and return when it has begun to import what it needs."""
    process = subprocess.Popen(
        [sys.executable, "-c", STANDING_STILL % (ignoring, module)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(each for each in sys.path if each)},
        preexec_fn=lambda: _prepare(ignoring),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "importing\n"
    return process


def _prepare(ignoring: bool) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN if ignoring else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_BLOCK if ignoring else signal.SIG_UNBLOCK, {signal.SIGUSR1})


def test_there_are_commands() -> None:
    assert len(COMMANDS) == 5


@pytest.mark.parametrize("command", COMMANDS)
def test_an_interruption_at_the_start_is_quiet(command: str) -> None:
    process = started(COMMANDS[command])
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=30)
    assert (process.returncode, *said) == (130, "", "")


def test_what_a_shell_started_deaf_to_ctrl_c_stays_so() -> None:
    process = started(COMMANDS["onion-config"], ignoring=True)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGUSR1)
    said, complained = process.communicate(timeout=30)
    assert (process.returncode, complained) == (0, "")
    assert said.startswith("Usage")


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_read_in_before_that_is_light(command: str) -> None:
    """The interpreter itself takes longer."""
    program = (
        "import sys; before = set(sys.modules); import importlib; importlib.import_module(sys.argv[1]); "
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, COMMANDS[command]],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(each for each in sys.path if each)},
    )
    assert set(done.stdout.split()) <= {"keys", "dropbox", "journalist_station", "onion_config"}
