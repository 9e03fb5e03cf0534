"""What tor is told: golden texts, and that public and private differ by the network's lines only."""

from __future__ import annotations

from pathlib import Path

import pytest

from keys.errors import Misconfigured
from onion_config import torrc
from onion_config.torrc import Authority, LoopbackNetwork, Node, OnionService

GOLDEN = Path(__file__).parent / "golden"
NETWORK = LoopbackNetwork(
    tuple(Authority(f"authority{n}", 10000 + n, 11000 + n, f"{n}" * 40, f"{n + 4}" * 40) for n in (1, 2, 3)), 7
)
SERVICES = (
    OnionService(Path("/srv/onions/source"), Path("/run/dropbox/source/http.sock")),
    OnionService(Path("/srv/onions/collect"), Path("/run/dropbox/collect/http.sock")),
)


def node(name: str) -> Node:
    return Node(name, Path("/srv/tor") / name)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("server-public", torrc.server(node("server"), SERVICES)),
        ("server-private", torrc.server(node("server"), SERVICES, NETWORK)),
        ("client-public", torrc.client(node("client"), 9050, Path("/srv/tor/client/keys"))),
        ("client-private", torrc.client(node("client"), 9050, Path("/srv/tor/client/keys"), NETWORK)),
        ("relay", torrc.relay(node("relay1"), 12001, 12002, NETWORK)),
        ("authority", torrc.authority(node("authority1"), 10001, 11001, NETWORK)),
        ("apparmor", torrc.apparmor_rules(SERVICES)),
    ],
)
def test_the_text_is_as_agreed(name: str, text: str) -> None:
    assert text == (GOLDEN / f"{name}.txt").read_text()


def test_the_public_services_are_the_private_ones_without_the_networks_lines() -> None:
    private = torrc.server(node("server"), SERVICES, NETWORK).splitlines()
    of_the_network = torrc.network_lines(NETWORK)

    assert [line for line in private if line not in of_the_network] == torrc.server(
        node("server"), SERVICES
    ).splitlines()


def test_nothing_public_is_lowered_for_tests() -> None:
    for text in (torrc.server(node("s"), SERVICES), torrc.client(node("c"), 9050, Path("/k"))):
        assert "Testing" not in text and "DirAuthority" not in text


@pytest.mark.parametrize("name", ["plain", "two words", "ไทย", "hash # sign", "100%", "it's"])
def test_an_odd_folder_name_is_quoted(name: str) -> None:
    path = Path("/srv") / name

    assert torrc.quoted(path).strip('"') == str(path)
    assert torrc.quoted(path).startswith('"') == (name not in ("plain", "100%"))


@pytest.mark.parametrize("name", ["line\nbreak", 'quo"te', "back\\slash", "tab\t"])
def test_a_name_that_could_end_a_value_is_refused(name: str) -> None:
    with pytest.raises(Misconfigured):
        torrc.server(Node("server", Path("/srv") / name), SERVICES)


def test_a_path_too_long_for_a_socket_is_refused_with_its_length() -> None:
    with pytest.raises(Misconfigured, match="128 bytes"):
        torrc.server(Node("server", Path("/") / ("ก" * 39 + "xx")), SERVICES)
    with pytest.raises(Misconfigured, match="an onion service's socket"):
        torrc.server(node("server"), [OnionService(Path("/k"), Path("/" + "x" * 100))])
