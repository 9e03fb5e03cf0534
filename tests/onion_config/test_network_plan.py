"""Ports: free ones, kept between runs, and no two alike."""

from __future__ import annotations

import contextlib
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.errors import Malformed, Misconfigured
from keys.primitives import system_randomness
from onion_config import network_plan
from onion_config.network_plan import Plan, RelayPorts

ports = st.integers(1, 65535)
names = st.text(min_size=1, max_size=8)
plans = st.builds(
    Plan,
    st.dictionaries(names, st.builds(RelayPorts, ports, ports), max_size=8),
    st.dictionaries(names, ports, max_size=4),
)


def seeded(size: int) -> bytes:
    return bytes(range(size))


@given(plan=plans)
def test_a_plan_is_read_back(plan: Plan) -> None:
    assert network_plan.parse(network_plan.write(plan)) == plan


@given(raw=st.binary())
def test_anything_else_is_refused_as_ours(raw: bytes) -> None:
    with pytest.raises(Malformed):
        network_plan.parse(raw)


@given(raw=st.sampled_from([b'{"version": 2}', b'{"version": 1, "relays": {"a": 7}, "clients": {}}', b"[]", b"{}"]))
def test_another_shape_is_refused_as_ours(raw: bytes) -> None:
    with pytest.raises(Malformed):
        network_plan.parse(raw)


def test_everybody_has_ports_of_their_own() -> None:
    plan = network_plan.choose(["client", "laptop"], seeded, lambda port: port % 3 == 0)

    assert len(plan.ports) == len(set(plan.ports)) == 2 * 6 + 2
    assert all(port % 3 == 0 for port in plan.ports)
    assert set(plan.clients) == {"client", "laptop"}


def test_two_networks_hardly_meet() -> None:
    one, other = (network_plan.choose(["client"], system_randomness, lambda _: True) for _ in range(2))

    assert one.ports != other.ports


def test_a_machine_without_free_ports_is_told() -> None:
    with pytest.raises(Misconfigured):
        network_plan.choose(["client"], seeded, lambda _: False)


def test_a_port_in_use_isnt_free() -> None:
    with contextlib.closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        assert not network_plan.is_free(listener.getsockname()[1])
