"""The configuration of each tor, as text: pure, one function a role.

`server` is the one that matters most: the same lines serve the public Tor network and a private one, and the private
text is the public one with the network's lines added, nothing else. So what the tests run is what a newsroom runs.
The words are those of tor's manual; those of the private network are measured (docs/adr/0010).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from keys.errors import Misconfigured
from onion_config.private_files import check_socket_path

LOG_FILE = "log"
CONTROL_FILE = "control"
CONSENSUS_FILE = "cached-microdesc-consensus"
VOTING_INTERVAL_SECONDS = 20
"""How often the private network's authorities agree on who is there. Also what a missed vote costs."""

_PLAIN_PATH = re.compile(r"[A-Za-z0-9/._+@%=:,~-]+")


@dataclass(frozen=True, slots=True)
class Node:
    """One tor: the folder where it keeps everything, and the name it goes by in a network."""

    name: str
    folder: Path

    @property
    def control(self) -> Path:
        """Its control socket. Only its own account may enter the folder."""
        return self.folder / CONTROL_FILE

    @property
    def log(self) -> Path:
        return self.folder / LOG_FILE

    @property
    def consensus(self) -> Path:
        """Where it keeps the newest consensus whose signatures it verified. Only its own account may read that."""
        return self.folder / CONSENSUS_FILE


@dataclass(frozen=True, slots=True)
class OnionService:
    """A persistent onion service: the folder of its keys, and the Unix socket that its visitors reach.

    Args:
        max_streams: how many connections one circuit may hold open. A browser uses six at most; a circuit that asks
            for more is closed.
        requests_a_second: how many newcomers are let in before visitors must prove work; `burst` at once.
    """

    folder: Path
    socket: Path
    max_streams: int = 32
    requests_a_second: int = 25
    burst: int = 250


@dataclass(frozen=True, slots=True)
class Authority:
    """A directory authority as every other tor of its network must know it."""

    name: str
    or_port: int
    dir_port: int
    v3_identity: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class LoopbackNetwork:
    """A private network on loopback.

    Args:
        voting_offset: seconds by which votes are shifted from the full 20 s, so that the first one comes soon after
            the start, but not before the relays have said who they are.
    """

    authorities: tuple[Authority, ...]
    voting_offset: int = 0


def server(node: Node, services: Sequence[OnionService], network: LoopbackNetwork | None = None) -> str:
    """The torrc of the drop box: its onion services, on the public network when no other is given.

    No log of how busy the services are (tor's heartbeat), no SOCKS port.

    Raises:
        Misconfigured: a path can't stand in a torrc, or is too long for a Unix socket.
    """
    lines = _common(node, network) + _controlled(node) + ["SocksPort 0", "HeartbeatPeriod 0"]
    for service in services:
        lines += _onion_service(service)
    return _text("The onion services of a drop box.", lines)


def client(node: Node, socks_port: int, auth_folder: Path, network: LoopbackNetwork | None = None) -> str:
    """The torrc of a visitor or a courier: a SOCKS port on loopback, and the client keys in `auth_folder`.

    Raises:
        Misconfigured: as `server`.
    """
    lines = _common(node, network) + _controlled(node)
    return _text(
        "A client.", [*lines, f"SocksPort 127.0.0.1:{socks_port}", f"ClientOnionAuthDir {quoted(auth_folder)}"]
    )


def relay(node: Node, or_port: int, dir_port: int, network: LoopbackNetwork) -> str:
    """The torrc of a relay of a private network. Raises: Misconfigured: as `server`."""
    return _text("A relay of a private network.", _common(node, network) + _relay(node, or_port, dir_port))


def authority(node: Node, or_port: int, dir_port: int, network: LoopbackNetwork) -> str:
    """The torrc of a directory authority of a private network. Raises: Misconfigured: as `server`."""
    return _text(
        "A directory authority of a private network.",
        _common(node, network) + _relay(node, or_port, dir_port) + _voting(network),
    )


def network_lines(network: LoopbackNetwork) -> list[str]:
    """What makes a tor part of this private network, and of no other."""
    return [
        "TestingTorNetwork 1",
        "AssumeReachable 1",
        # Six nodes on one machine, and no exit among them.
        "PathsNeededToBuildCircuits 0.67",
        "ShutdownWaitLength 0",
        # Loopback's own buffers hold seconds of an upload: what a browser asks meanwhile would wait behind it.
        "ConstrainedSockets 1",
        "ConstrainedSockSize 131072",
        *(
            f"DirAuthority {each.name} orport={each.or_port} no-v2 v3ident={each.v3_identity} "
            f"127.0.0.1:{each.dir_port} {each.fingerprint}"
            for each in network.authorities
        ),
    ]


def apparmor_rules(services: Sequence[OnionService]) -> str:
    """What Debian's tor needs in /etc/apparmor.d/local/system_tor to reach the drop box's sockets."""
    return "".join(f'"{service.socket}" rw,\n' for service in services)


def quoted(path: Path) -> str:
    """Write a path as a torrc value, in quotes if need be.

    Raises:
        Misconfigured: it holds a line break, a quote or a backslash.
    """
    text = str(path)
    if any(character < " " or character in '"\\' for character in text):
        raise Misconfigured(
            "A folder's name holds a line break, a quote or a backslash.", "Use a folder with a plainer name."
        )
    return text if _PLAIN_PATH.fullmatch(text) else f'"{text}"'


def _common(node: Node, network: LoopbackNetwork | None) -> list[str]:
    log = quoted(node.log)
    return [
        f"DataDirectory {quoted(node.folder)}",
        # Quoted as a whole: tor takes the rest of this value as the file's name.
        f"Log notice file {log}" if not log.startswith('"') else f'Log "notice file {log[1:]}',
        *(network_lines(network) if network else []),
    ]


def _controlled(node: Node) -> list[str]:
    check_socket_path(node.control, f"tor's ({node.name}) control")
    return [f"ControlPort unix:{quoted(node.control)}", "CookieAuthentication 1"]


def _onion_service(service: OnionService) -> list[str]:
    check_socket_path(service.socket, "an onion service's")
    return [
        f"HiddenServiceDir {quoted(service.folder)}",
        "HiddenServiceVersion 3",
        f"HiddenServicePort 80 unix:{quoted(service.socket)}",
        f"HiddenServiceMaxStreams {service.max_streams}",
        "HiddenServiceMaxStreamsCloseCircuit 1",
        # The number of the visitor's circuit, in place of an address: limits without knowing anybody.
        "HiddenServiceExportCircuitID haproxy",
        "HiddenServicePoWDefensesEnabled 1",
        f"HiddenServicePoWQueueRate {service.requests_a_second}",
        f"HiddenServicePoWQueueBurst {service.burst}",
    ]


def _relay(node: Node, or_port: int, dir_port: int) -> list[str]:
    return [
        f"Nickname {node.name}",
        "SocksPort 0",
        "Address 127.0.0.1",
        f"ORPort 127.0.0.1:{or_port} IPv4Only",
        f"DirPort 127.0.0.1:{dir_port}",
        "ExitRelay 0",
        "ExitPolicy reject *:*",
        "ServerDNSDetectHijacking 0",
    ]


def _voting(network: LoopbackNetwork) -> list[str]:
    """Every interval is the same from the first: onion services reckon their time periods by it.

    A first consensus that stood for another time would let service and visitor look in different places.
    """
    return [
        "AuthoritativeDirectory 1",
        "V3AuthoritativeDirectory 1",
        "AuthDirMaxServersPerAddr 0",
        "AuthDirTestReachability 0",
        "ContactInfo nobody@example.invalid",
        "TestingDirAuthVoteExit *",
        "TestingDirAuthVoteHSDir *",
        "TestingDirAuthVoteGuard *",
        "TestingMinExitFlagThreshold 0",
        f"TestingV3AuthInitialVotingInterval {VOTING_INTERVAL_SECONDS}",
        "TestingV3AuthInitialVoteDelay 2",
        "TestingV3AuthInitialDistDelay 2",
        f"TestingV3AuthVotingStartOffset {network.voting_offset}",
        f"V3AuthVotingInterval {VOTING_INTERVAL_SECONDS}",
        "V3AuthVoteDelay 2",
        "V3AuthDistDelay 2",
        "V3AuthNIntervalsValid 3",
    ]


def _text(what: str, lines: Sequence[str]) -> str:
    return f"# {what} Written by onion-config: change it there, not here.\n" + "".join(f"{line}\n" for line in lines)
