"""`scripts/run --public` can't be exercised without the public Tor network; what it refuses and what it writes can."""

from __future__ import annotations

import importlib.util
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from keys.epochs import Closed
from keys.errors import Misconfigured, Refused
from keys.primitives import system_randomness
from onion_config import clients, torrc
from onion_config.torrc import Authority, Node

ROOT = Path(__file__).resolve().parents[2]


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"scripts_{name}", ROOT / "scripts" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


public = load("public")

OPEN = {"manifest": 3, "practice": False, "open": True, "closed_because": ""}


@pytest.fixture
def onions(tmp_path: Path) -> Path:
    clients.close_to_strangers(tmp_path / "collect", system_randomness)
    return tmp_path


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"practice": True}, "practice newsroom"),
        ({"manifest": 0}, "no manifest"),
        ({"open": False, "closed_because": "no-epochs"}, "no-epochs"),
    ],
)
def test_it_refuses_what_must_not_stand_on_the_public_network(
    onions: Path, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(Refused, match=words):
        public.check({**OPEN, **changes}, onions)


def test_it_refuses_a_collect_service_that_would_answer_strangers(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured):
        public.check(OPEN, tmp_path)


def test_it_takes_an_open_real_box(onions: Path) -> None:
    public.check(OPEN, onions)


def test_an_old_consensus_is_no_reason_to_stay_off(onions: Path) -> None:
    public.check({**OPEN, "open": False, "closed_because": Closed.CLOCK_DISAGREES.value}, onions)


def test_its_torrc_is_the_private_one_less_the_networks_lines(tmp_path: Path) -> None:
    node, network = Node("dropbox", tmp_path), torrc.LoopbackNetwork((Authority("a", 1, 2, "3" * 40, "4" * 40),))
    services = public.services(tmp_path / "onions", tmp_path / "run")
    private = torrc.server(node, services, network).splitlines()
    theirs = torrc.network_lines(network)
    assert set(theirs) < set(private)
    assert [line for line in private if line not in theirs] == torrc.server(node, services).splitlines()
    assert not any("Testing" in line or "DirAuthority" in line for line in torrc.server(node, services).splitlines())


def test_without_a_server_it_says_what_to_do(tmp_path: Path) -> None:
    folders = ["--home", str(tmp_path / "none"), "--onions", str(tmp_path), "--tor-data", str(tmp_path / "tor")]
    done = subprocess.run([sys.executable, str(ROOT / "scripts/public.py"), *folders], capture_output=True, text=True)
    assert done.returncode == Misconfigured.exit_code
    assert done.stderr.startswith("error: ") and "hint: " in done.stderr


@pytest.mark.parametrize(("handler", "ends"), [(signal.SIG_DFL, True), (signal.SIG_IGN, False)])
def test_a_closed_terminal_ends_it_unless_nohup_says_otherwise(handler: signal.Handlers, ends: bool) -> None:
    before = signal.signal(signal.SIGHUP, handler)
    try:
        assert (signal.SIGHUP in public.endings()) is ends
    finally:
        signal.signal(signal.SIGHUP, before)
