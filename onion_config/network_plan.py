"""Who is in a private network, and which ports each listens on. Pure, but for the question whether a port is free."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from keys.encoding import Fields, parse_json, to_json
from keys.errors import Misconfigured
from keys.primitives import Randomness

AUTHORITIES: Final = ("authority1", "authority2", "authority3")
RELAYS: Final = ("relay1", "relay2", "relay3")
SERVICE: Final = "service"
CLIENT: Final = "client"
PLAN_FILE: Final = "network.json"
"""In a network's folder: this plan."""

_LOWEST_PORT: Final = 10_000
_HIGHEST_PORT: Final = 32_000  # Below those that Linux hands out to outgoing connections.
_MOST_NAMES: Final = 64


@dataclass(frozen=True, slots=True)
class RelayPorts:
    """Where a relay or an authority listens: for other tors, and for directory requests."""

    or_port: int
    dir_port: int


@dataclass(frozen=True, slots=True)
class Plan:
    """The ports of every node by its name: kept, so that a network comes back at the same places."""

    relays: dict[str, RelayPorts]
    clients: dict[str, int]

    @property
    def ports(self) -> tuple[int, ...]:
        relays = (port for each in self.relays.values() for port in (each.or_port, each.dir_port))
        return (*relays, *self.clients.values())

    def with_client(self, name: str, port: int) -> Plan:
        return replace(self, clients={**self.clients, name: port})


def choose(clients: Sequence[str], randomness: Randomness, is_free: Callable[[int], bool]) -> Plan:
    """Plan a network of three authorities and three relays with these clients, on ports that are free now.

    Raises:
        Misconfigured: this machine has no ports left.
    """
    names = AUTHORITIES + RELAYS
    ports = free_ports(2 * len(names) + len(clients), randomness, is_free)
    return Plan({name: RelayPorts(ports.pop(), ports.pop()) for name in names}, {name: ports.pop() for name in clients})


def free_ports(count: int, randomness: Randomness, is_free: Callable[[int], bool]) -> list[int]:
    """Choose ports at random, so that networks side by side don't meet.

    Raises:
        Misconfigured: this machine has no ports left.
    """
    order = random.Random(randomness(16))
    chosen: list[int] = []
    for port in order.sample(range(_LOWEST_PORT, _HIGHEST_PORT), 50 * count):
        if is_free(port):
            chosen.append(port)
        if len(chosen) == count:
            return chosen
    raise Misconfigured("This machine has no free ports left on loopback.", "End what occupies them, and try again.")


def is_free(port: int) -> bool:
    """Whether tor could listen on this port of 127.0.0.1 now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def write(plan: Plan) -> bytes:
    return to_json(
        {
            "version": 1,
            "relays": {name: {"or": ports.or_port, "dir": ports.dir_port} for name, ports in plan.relays.items()},
            "clients": plan.clients,
        }
    )


def parse(raw: bytes) -> Plan:
    """Raises: Malformed: it isn't what `write` writes."""
    fields = Fields(parse_json(raw), "network plan")
    fields.integer("version", 1, 1)
    relays, clients = fields.object("relays"), fields.object("clients")
    fields.done()
    return Plan(
        {name: _relay_ports(relays[name]) for name in list(relays)[:_MOST_NAMES]},
        {name: Fields(clients, "network plan").integer(name, 1, 65535) for name in list(clients)[:_MOST_NAMES]},
    )


def _relay_ports(value: object) -> RelayPorts:
    fields = Fields(value, "network plan")
    ports = RelayPorts(fields.integer("or", 1, 65535), fields.integer("dir", 1, 65535))
    fields.done()
    return ports
