"""Real tor on loopback: who reaches which onion service, and who no longer does."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from keys.primitives import system_randomness
from onion_config import clients
from onion_config.deadline import Deadline
from tests.simulators.onion import OnionSite, answers, connected, echoes
from tests.tor_fixture import COLLECT, TorNetwork

pytestmark = pytest.mark.tor


@pytest.fixture
def source_site(tor_network: TorNetwork) -> Iterator[OnionSite]:
    tor_network.source_socket.unlink(missing_ok=True)
    with OnionSite(tor_network.source_socket) as site:
        yield site


@pytest.fixture
def collect_site(tor_network: TorNetwork) -> Iterator[OnionSite]:
    tor_network.collect_socket.unlink(missing_ok=True)
    with OnionSite(tor_network.collect_socket) as site:
        yield site


def test_a_visitor_is_told_apart_by_circuit_and_not_by_address(tor_network: TorNetwork, source_site: OnionSite) -> None:
    assert answers(tor_network.client.socks_port, tor_network.source)

    (line,) = source_site.proxy_lines
    assert re.fullmatch(r"PROXY TCP6 fc00:dead:beef:4dad::[0-9a-f:]+ ::1 \d+ 80", line)


def test_the_collect_service_answers_nobody_until_a_courier_has_a_key(
    tor_network: TorNetwork, collect_site: OnionSite
) -> None:
    socks_port = tor_network.client.socks_port

    assert not answers(socks_port, tor_network.collect)
    assert not collect_site.proxy_lines


def test_a_courier_gets_in_and_a_revoked_one_is_out_at_once(
    tor_network: TorNetwork, source_site: OnionSite, collect_site: OnionSite
) -> None:
    service, socks_port = tor_network.onions / COLLECT, tor_network.client.socks_port
    may, zoe = clients.courier_name("may"), clients.courier_name("zoe")
    may_key = clients.add(service, may, system_randomness)
    zoe_key = clients.add(service, zoe, system_randomness)

    with tor_network.server_tor() as server, tor_network.client_tor() as laptop:
        server.reload_clients(tor_network.collect, Deadline(60))
        laptop.admit_with(tor_network.collect, may_key)
        assert answers(socks_port, tor_network.collect)
        with (
            connected(socks_port, tor_network.collect) as open_now,
            connected(socks_port, tor_network.source) as source,
        ):
            assert echoes(open_now) and echoes(source)

            clients.revoke(service, may, system_randomness)
            server.renew_service(service, tor_network.collect, Deadline(60))

            assert not echoes(open_now), "a connection that was open must end"
            assert echoes(source), "the source's connection must live on"
        assert not answers(socks_port, tor_network.collect), "with what the laptop's tor still knows"
        laptop.forget_key(tor_network.collect)
        laptop.admit_with(tor_network.collect, may_key)
        assert not answers(socks_port, tor_network.collect), "with what it learns anew"

        laptop.forget_key(tor_network.collect)
        laptop.admit_with(tor_network.collect, zoe_key)
        assert answers(socks_port, tor_network.collect), "the other courier is still admitted"

        clients.revoke(service, zoe, system_randomness)
        server.renew_service(service, tor_network.collect, Deadline(60))
        assert not answers(socks_port, tor_network.collect), "and the last one's leaving opens nothing"
        laptop.forget_key(tor_network.collect)
        assert not answers(socks_port, tor_network.collect), "not even to strangers"


def test_a_key_file_lets_tor_in_as_on_tails(tor_network: TorNetwork, collect_site: OnionSite) -> None:
    service, laptop = tor_network.onions / COLLECT, tor_network.network.add_client("laptop")
    tails = clients.courier_name("tails")
    key = clients.add(service, tails, system_randomness)
    (laptop.auth_folder / clients.client_file_name(tails)).write_text(key.client_line(tor_network.collect))

    with tor_network.server_tor() as server, tor_network.network.tor_of(laptop.name) as tor:
        server.reload_clients(tor_network.collect, Deadline(60))
        tor.reload()

    assert answers(laptop.socks_port, tor_network.collect)
    assert not answers(tor_network.client.socks_port, tor_network.collect), "another laptop has no key"
