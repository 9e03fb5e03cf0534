"""A tor of ours: it says why it ended, and it never stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from keys.errors import Misconfigured
from onion_config.deadline import Deadline
from onion_config.programs import find_program
from onion_config.tor_process import TorProcess, stop_all
from onion_config.torrc import Node

IDLE = "SocksPort 0\nDisableNetwork 1\n"

PARENT = """
import sys
from pathlib import Path
from onion_config.tor_process import TorProcess
from onion_config.torrc import Node
node = Node("t", Path(sys.argv[1]))
tor = TorProcess(node)
tor.start(f"DataDirectory {node.folder}\\nLog notice file {node.log}\\nSocksPort 0\\nDisableNetwork 1\\n")
print(tor.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def tor(tmp_path: Path) -> Iterator[TorProcess]:
    node = Node("t", tmp_path / "t")
    process = TorProcess(node)
    yield process
    process.kill()


def start(tor: TorProcess, options: str = IDLE) -> None:
    tor.start(f"DataDirectory {tor.node.folder}\nLog notice file {tor.node.log}\n{options}")


def is_alive(pid: int) -> bool:
    """Whether a process runs: one that has ended but that nobody has buried yet doesn't."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")")[-1].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_machine_without_tor_is_told_what_to_install(
    tor: TorProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("onion_config.programs._SYSTEM_FOLDERS", ())

    with pytest.raises(Misconfigured) as caught:
        start(tor)
    assert (caught.value.message, caught.value.remedy) == (
        "tor is not installed on this machine.",
        "Install it: apt install tor",
    )


@pytest.mark.tor
def test_tor_is_found_where_only_administrators_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")

    assert find_program("tor").name == "tor"


@pytest.mark.tor
def test_a_tor_that_cant_start_says_why_and_not_where(tor: TorProcess) -> None:
    start(tor, "NoSuchOption 1\n")

    assert Deadline(30).until(lambda: not tor.is_running)
    said = "\n".join(tor.log_tail(10))
    assert "Unknown option 'NoSuchOption'" in said
    assert str(tor.node.folder) not in said


@pytest.mark.tor
def test_this_machines_own_settings_stay_out(tor: TorProcess) -> None:
    start(tor)
    assert Deadline(30).until(tor.node.log.exists)
    tor.reload()

    assert Deadline(30).until(lambda: "Read configuration file" in "\n".join(tor.log_tail(50)))
    assert "/etc/tor" not in "\n".join(tor.log_tail(50))


@pytest.mark.tor
def test_a_tor_that_doesnt_listen_is_ended_by_force(tor: TorProcess) -> None:
    start(tor)
    pid = tor.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)

    stop_all([tor], grace_seconds=0.2)

    assert not is_alive(pid)
    assert not tor.is_running


@pytest.mark.tor
def test_a_tor_ends_with_its_parent_however_that_ends(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "t")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert Deadline(30).until((tmp_path / "t" / "log").exists)
        assert is_alive(pid)

        parent.kill()

    assert Deadline(30).until(lambda: not is_alive(pid))
