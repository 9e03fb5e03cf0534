"""The identity of a private network's directory authority: made once, renewed before its certificate expires."""

from __future__ import annotations

import calendar
import re
import subprocess
import time
from pathlib import Path
from typing import Final

from keys.errors import Misconfigured
from onion_config import network_plan
from onion_config.network_plan import AUTHORITIES, PLAN_FILE, RelayPorts
from onion_config.private_files import private_folder
from onion_config.programs import find_program
from onion_config.tor_process import empty_torrc
from onion_config.torrc import Authority, LoopbackNetwork, Node

_CERTIFICATE_MONTHS: Final = 12
_RENEW_BEFORE_SECONDS: Final = 30 * 86_400
# tor-gencert wants one. The key lies beside its certificate in a folder of a network that carries nothing but practice.
_PASSPHRASE: Final = b"practice\n"


def prepare(node: Node, ports: RelayPorts, now: float) -> Authority:
    """Make this authority's keys where it has none, and say how the others know it. Takes a second or two.

    Raises:
        Misconfigured: tor isn't installed, or its key tool failed.
    """
    private_folder(node.folder)
    keys = private_folder(node.folder / "keys")
    certificate = keys / "authority_certificate"
    if not certificate.exists():
        _certify(keys, "--create-identity-key")
    elif _expiry(certificate) - now < _RENEW_BEFORE_SECONDS:
        _certify(keys)
    return Authority(
        node.name,
        ports.or_port,
        ports.dir_port,
        v3_identity=_field(r"^fingerprint ([0-9A-F]{40})$", certificate),
        fingerprint=_fingerprint(node, ports),
    )


def known_to(folder: Path, now: float) -> LoopbackNetwork:
    """The network that was started in this folder before, as a tor that is to join it must know it.

    Raises:
        Misconfigured: none was.
        Malformed: its plan is damaged.
    """
    plan_file = folder / PLAN_FILE
    if not plan_file.exists():
        raise Misconfigured(
            "No private network was ever started in this folder.", "Start one: onion-config network start"
        )
    plan = network_plan.parse(plan_file.read_bytes())
    nodes = [Node(name, folder.absolute() / name) for name in AUTHORITIES]
    return LoopbackNetwork(tuple(prepare(node, plan.relays[node.name], now) for node in nodes))


def _certify(keys: Path, *options: str) -> None:
    command = [
        str(find_program("tor-gencert")),
        *("--passphrase-fd", "0", "-m", str(_CERTIFICATE_MONTHS)),
        *("-i", str(keys / "authority_identity_key")),
        *("-s", str(keys / "authority_signing_key")),
        *("-c", str(keys / "authority_certificate")),
        *options,
    ]
    _run(command, _PASSPHRASE)


def _fingerprint(node: Node, ports: RelayPorts) -> str:
    known = node.folder / "fingerprint"
    if not known.exists():
        empty = empty_torrc(node.folder)
        command = [
            str(find_program("tor")),
            *("--quiet", "-f", str(empty), "--defaults-torrc", str(empty), "--list-fingerprint"),
            *("--DataDirectory", str(node.folder), "--ORPort", str(ports.or_port), "--Nickname", node.name),
            # Any authority at all: without one, tor would be a relay of the public network.
            *("--DirAuthority", "nobody 127.0.0.1:1 " + "f" * 40),
        ]
        _run(command)
    return _field(r"^\w+ ([0-9A-F]{40})$", known)


def _run(command: list[str], given: bytes = b"") -> None:
    done = subprocess.run(command, input=given, capture_output=True, check=False)
    if done.returncode:
        program, said = Path(command[0]).name, done.stderr or done.stdout
        reason = said.decode(errors="replace").strip().splitlines()[-1:]
        raise Misconfigured(
            f"{program} could not make the keys of a private network's authority: {' '.join(reason)}",
            "Check that there is room on the disk, and that tor is 0.4.8 or later.",
        )


def _expiry(certificate: Path) -> int:
    text = _field(r"^dir-key-expires (\S+ \S+)$", certificate)
    return calendar.timegm(time.strptime(text, "%Y-%m-%d %H:%M:%S"))


def _field(pattern: str, path: Path) -> str:
    match = re.search(pattern, path.read_text("ascii", errors="replace"), re.MULTILINE)
    if not match:
        raise Misconfigured(
            "The keys of a private network's authority are damaged.",
            "Erase the private network's folder, without onion keys that you keep in it: the rest is made anew.",
        )
    return match[1]
