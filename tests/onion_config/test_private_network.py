"""A private Tor network: refused clearly where it can't be, back in seconds where it was."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from keys.errors import Malformed, Misconfigured, Refused
from onion_config.authority import known_to
from onion_config.network_plan import CLIENT, PLAN_FILE, SERVICE
from onion_config.private_network import PrivateNetwork
from onion_config.torrc import OnionService
from tests.simulators.onion import OnionSite, answers
from tests.tor_fixture import TorNetwork


def test_a_machine_without_tor_is_told_before_anything_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("onion_config.programs._SYSTEM_FOLDERS", ())

    with pytest.raises(Misconfigured, match="tor is not installed"):
        PrivateNetwork(tmp_path / "n").start()
    assert not (tmp_path / "n").exists()


@pytest.mark.tor
def test_a_path_too_long_is_refused_before_anything_runs(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 90)
    with pytest.raises(Misconfigured, match=r"tor's \(service\) control socket"):
        PrivateNetwork(deep).start()
    with pytest.raises(Misconfigured, match="onion service's socket"):
        PrivateNetwork(tmp_path / "n", [OnionService(tmp_path / "o", deep / "s")]).start()


@pytest.mark.tor
def test_a_damaged_plan_is_refused_as_ours(tmp_path: Path) -> None:
    (tmp_path / PLAN_FILE).write_bytes(b"{")

    with pytest.raises(Malformed):
        PrivateNetwork(tmp_path).start()
    with pytest.raises(Malformed):
        known_to(tmp_path, 0)


def test_a_network_that_never_was_is_known_to_nobody(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="ever started"):
        known_to(tmp_path, 0)


@pytest.mark.tor
def test_a_network_that_doesnt_come_up_names_who_is_in_the_way(tor_network: TorNetwork, tmp_path: Path) -> None:
    # With the running network's keys, which take a while to make, but not what it has learnt, nor its ports.
    unborn = shutil.ignore_patterns("cached-*", "control", "lock", PLAN_FILE)
    folder = shutil.copytree(tor_network.network.service_control.parent.parent, tmp_path / "n", ignore=unborn)
    network = PrivateNetwork(folder)
    with pytest.raises(Misconfigured) as caught:
        network.start(seconds=0.5)

    assert "In the way is “authority1”" in caught.value.message
    assert caught.value.__notes__ and all(note.startswith("authority1: ") for note in caught.value.__notes__)
    assert str(tmp_path) not in "".join(caught.value.__notes__)
    with pytest.raises(Misconfigured):
        network.tor_of(CLIENT)  # Nothing was left running.


@pytest.mark.tor
def test_one_folder_is_one_network(tor_network: TorNetwork) -> None:
    folder = tor_network.network.service_control.parent.parent

    with pytest.raises(Refused, match="Another process"):
        PrivateNetwork(folder).start()


@pytest.mark.tor
def test_a_tor_that_ends_is_named_and_a_second_start_has_the_same_places(tor_network: TorNetwork) -> None:
    network, before = tor_network.network, tor_network.client
    authorities = known_to(network.service_control.parent.parent, 0).authorities
    network.check()
    with network.tor_of(SERVICE) as tor:
        tor.end()
    with pytest.raises(Misconfigured, match="“service”: It has ended by itself"):
        for _ in range(1000):
            network.check()
    network.stop()

    told: list[str] = []
    network.start(progress=lambda what, _: told.append(what))
    network.wait_published([tor_network.source])

    assert "starting, with what the last run has learnt" in told
    assert tor_network.client == before
    assert known_to(network.service_control.parent.parent, 0).authorities == authorities
    tor_network.source_socket.unlink(missing_ok=True)
    with OnionSite(tor_network.source_socket):
        assert answers(tor_network.client.socks_port, tor_network.source)
