"""A private Tor network on loopback: three authorities, three relays, the drop box's tor, and clients.

It is real tor, cut off from the world: the tests run on it, and a newsroom practises on it without the internet.
It protects nobody: every node is on one machine.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from keys.errors import DropBoxError, Misconfigured, Refused
from keys.onion import OnionAddress
from keys.primitives import Randomness, system_randomness
from onion_config import authority, consensus, network_plan, torrc
from onion_config.control import Tor
from onion_config.deadline import Deadline, Progress, silent
from onion_config.network_plan import AUTHORITIES, CLIENT, PLAN_FILE, RELAYS, SERVICE, Plan
from onion_config.private_files import private_folder, write_private
from onion_config.programs import find_program
from onion_config.tor_process import TorProcess, stop_all
from onion_config.torrc import VOTING_INTERVAL_SECONDS, LoopbackNetwork, Node, OnionService

START_SECONDS: Final = 180.0
"""How long a first start may take. Usual are 15 seconds, and 6 for a second start; a missed vote costs 20."""

_VOTE_SECONDS: Final = 7
"""From the word to vote until the authorities agree: four seconds of voting, three for the word to go round."""

_PORTS_FREE_SECONDS: Final = 3.0
_ANSWER_SECONDS: Final = 10.0
_LOG_LINES: Final = 6


@dataclass(frozen=True, slots=True)
class Client:
    """A visitor's or courier's tor: where its SOCKS port is, its control socket, and its folder of client keys."""

    name: str
    socks_port: int
    control: Path
    auth_folder: Path


class PrivateNetwork:
    """A network in one folder. Started again on the same folder, it has the same keys, addresses and ports.

    Args:
        folder: where everything lies. Its path must be short enough for Unix sockets (some 80 bytes).
        services: the persistent onion services that its server tor carries.
        clients: the names of its client tors.
        randomness: chooses ports.
        clock: the time of day, in Unix seconds.
    """

    def __init__(
        self,
        folder: Path,
        services: Sequence[OnionService] = (),
        clients: Sequence[str] = (CLIENT,),
        randomness: Randomness = system_randomness,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder.absolute()
        self._services = tuple(services)
        self._client_names = tuple(clients)
        self._randomness = randomness
        self._clock = clock
        self._processes: dict[str, TorProcess] = {}
        self._plan: Plan | None = None
        self._network: LoopbackNetwork | None = None
        self._lock: int | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def service_control(self) -> Path:
        """The control socket of the tor that carries the onion services."""
        return self._node(SERVICE).control

    @property
    def service_consensus(self) -> Path:
        """The consensus of the tor that carries the onion services: what the server's clock is compared with."""
        return self._node(SERVICE).consensus

    def client(self, name: str = CLIENT) -> Client:
        """Raises: KeyError: the network has no client of that name, or never started."""
        node = self._node(name)
        return Client(name, self._planned().clients[name], node.control, node.folder / "client-keys")

    def start(self, seconds: float = START_SECONDS, progress: Progress = silent) -> None:
        """Start everything and wait until the server's and the clients' tors are connected.

        The services are then about to be published: wait for that with `Tor.wait_published`.

        Raises:
            Misconfigured: tor isn't installed, a path is too long, or the network didn't come up in time; then the
                message names the node that is in the way, and the error's notes are the last lines of its log.
                Nothing is left running.
            Refused: another process runs this network.
            OSError: the folder can't be written.
        """
        deadline = Deadline(seconds)
        try:
            self._begin(deadline, progress)
            for name in (SERVICE, *self._client_names):
                self._connect(name, deadline, progress)
        except BaseException:
            self.stop()
            raise

    def add_client(self, name: str, seconds: float = START_SECONDS) -> Client:
        """Start one client tor more in a running network, and wait until it is connected.

        Raises:
            Misconfigured, OSError: as `start`.
        """
        plan = self._planned()
        if name not in plan.clients:
            port = network_plan.free_ports(1, self._randomness, network_plan.is_free)[0]
            self._keep(plan.with_client(name, port))
        private_folder(self._node(name).folder)
        consensus.copy(self._node(AUTHORITIES[0]).folder, self._node(name).folder)
        self._launch(name)
        self._connect(name, Deadline(seconds), silent)
        return self.client(name)

    def tor_of(self, name: str) -> Tor:
        """A connection to the control socket of the server's tor or a client's. Close it.

        Raises:
            Misconfigured: it doesn't answer.
        """
        return Tor.connect(self._node(name).control, Deadline(_ANSWER_SECONDS))

    def wait_published(
        self, addresses: Sequence[OnionAddress], seconds: float = START_SECONDS, progress: Progress = silent
    ) -> None:
        """Wait until the first client can fetch the descriptor of each service.

        Raises:
            Misconfigured: one isn't there in time; the notes are the last lines of the server tor's log.
        """
        deadline = Deadline(seconds)
        try:
            with Tor.connect(self.client(self._client_names[0]).control, deadline) as tor:
                tor.wait_published(addresses, deadline, progress)
        except Misconfigured as error:
            raise self._failed(SERVICE, error.message) from error

    def check(self) -> None:
        """Raises: Misconfigured: a tor has ended by itself; the message says which and how."""
        for name, process in self._processes.items():
            if not process.is_running:
                raise self._failed(name, "It has ended by itself.")

    def stop(self) -> None:
        """End every tor, and wait until they are gone. Does nothing when none runs."""
        stop_all(self._processes.values())
        self._processes.clear()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _begin(self, deadline: Deadline, progress: Progress) -> None:
        find_program("tor")
        private_folder(self._folder)
        for name in (SERVICE, *self._client_names):
            self._torrc_of(name, LoopbackNetwork(()), 1)  # So that paths are refused before anything runs.
        self._take_lock()
        progress("making the authorities' keys", 0.0)
        plan = self._settle_ports()
        authorities = self._authorities(plan, self._clock())
        self._network = LoopbackNetwork(authorities, self._agreed_in(VOTING_INTERVAL_SECONDS - 1))
        if self._remembers(self._clock()):
            progress("starting, with what the last run has learnt", 0.2)
        else:
            self._agree(deadline, progress)
        for name in (*AUTHORITIES, *RELAYS, SERVICE, *self._client_names):
            if name not in self._processes:
                self._launch(name)

    def _agree(self, deadline: Deadline, progress: Progress) -> None:
        """Start authorities and relays, wait for a consensus that names all, and hand it to the others.

        The authorities are told to vote when all relays have announced themselves: a vote that comes too early names
        some of them only, and the next one comes 20 seconds later.
        """
        for name in self._everyone():
            consensus.forget(self._node(name).folder)
        for name in AUTHORITIES + RELAYS:
            self._launch(name)
        self._all_authorities("have heard of every relay", _has_heard_of_all, deadline, progress, 0.3)
        self._vote_now()
        self._all_authorities("agree on a full network", _is_whole, deadline, progress, 0.5)
        for name in RELAYS:
            self._processes[name].reload()  # They asked too early, and would ask again only after a while.
        for name in (SERVICE, *self._client_names):
            private_folder(self._node(name).folder)
            consensus.copy(self._node(AUTHORITIES[0]).folder, self._node(name).folder)

    def _vote_now(self) -> None:
        self._network = replace(self._started(), voting_offset=self._agreed_in(_VOTE_SECONDS))
        for name in AUTHORITIES:
            self._processes[name].reload(self._torrc_of(name, self._network))

    def _agreed_in(self, seconds: int) -> int:
        """The voting offset with which the authorities agree in so many seconds."""
        return int(self._clock() + seconds) % VOTING_INTERVAL_SECONDS

    def _all_authorities(
        self, what: str, condition: Callable[[Path], bool], deadline: Deadline, progress: Progress, done: float
    ) -> None:
        folders = {name: self._node(name).folder for name in AUTHORITIES}

        def hold() -> bool:
            self.check()
            progress(f"waiting until the authorities {what}", done)
            return all(map(condition, folders.values()))

        if not deadline.until(hold):
            behind = next((name for name, folder in folders.items() if not condition(folder)), AUTHORITIES[0])
            raise self._failed(behind, f"The authorities didn't {what} in time.")

    def _connect(self, name: str, deadline: Deadline, progress: Progress) -> None:
        def check_and_tell(what: str, done: float) -> None:
            self.check()
            progress(f"connecting {name}: {what}", 0.7 + 0.3 * done)

        try:
            with Tor.connect(self._node(name).control, deadline) as tor:
                tor.wait_bootstrapped(deadline, check_and_tell)
        except Misconfigured as error:
            self.check()
            raise self._failed(name, error.message) from error

    def _launch(self, name: str) -> None:
        process = TorProcess(self._node(name))
        self._processes[name] = process
        process.start(self._torrc_of(name, self._started()))

    def _torrc_of(self, name: str, network: LoopbackNetwork, socks_port: int | None = None) -> str:
        node = self._node(name)
        if name == SERVICE:
            return torrc.server(node, self._services, network)
        if name in AUTHORITIES or name in RELAYS:
            ports = self._planned().relays[name]
            role = torrc.authority if name in AUTHORITIES else torrc.relay
            return role(node, ports.or_port, ports.dir_port, network)
        keys = node.folder / "client-keys"
        if socks_port is None:
            private_folder(node.folder)
            private_folder(keys)
            socks_port = self._planned().clients[name]
        return torrc.client(node, socks_port, keys, network)

    def _authorities(self, plan: Plan, now: float) -> tuple[torrc.Authority, ...]:
        """Make or read their keys, all at once: making one takes a core for a second or more."""
        with ThreadPoolExecutor(len(AUTHORITIES)) as pool:
            return tuple(
                pool.map(lambda name: authority.prepare(self._node(name), plan.relays[name], now), AUTHORITIES)
            )

    def _remembers(self, now: float) -> bool:
        everyone = AUTHORITIES + RELAYS
        return all(consensus.is_usable(self._node(name).folder, len(everyone), now) for name in self._everyone())

    def _settle_ports(self) -> Plan:
        """The ports of the last run if they are free, or will be in a moment; otherwise others."""
        path = self._folder / PLAN_FILE
        if path.exists():
            plan = network_plan.parse(path.read_bytes())
            whole = plan.relays.keys() == set(AUTHORITIES + RELAYS) and plan.clients.keys() >= set(self._client_names)
            if whole and Deadline(_PORTS_FREE_SECONDS).until(lambda: all(map(network_plan.is_free, plan.ports))):
                self._plan = plan
                return plan
            for name in self._everyone():
                consensus.forget(self._node(name).folder)  # It names the old ports.
        return self._keep(network_plan.choose(self._client_names, self._randomness, network_plan.is_free))

    def _keep(self, plan: Plan) -> Plan:
        write_private(self._folder / PLAN_FILE, network_plan.write(plan))
        self._plan = plan
        return plan

    def _planned(self) -> Plan:
        if self._plan is None:
            raise KeyError("the network was not started")
        return self._plan

    def _started(self) -> LoopbackNetwork:
        if self._network is None:
            raise RuntimeError("the network was not started")
        return self._network

    def _everyone(self) -> tuple[str, ...]:
        return (*AUTHORITIES, *RELAYS, SERVICE, *self._client_names)

    def _node(self, name: str) -> Node:
        return Node(name, self._folder / name)

    def _take_lock(self) -> None:
        self._lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Refused(
                "Another process runs this private network.", "End that one first, or use another folder."
            ) from error

    def _failed(self, name: str, reason: str) -> DropBoxError:
        error = Misconfigured(
            f"The private Tor network is not up. In the way is “{name}”: {reason}",
            "Try again; if that doesn't help, erase the network's folder, or close what keeps this machine busy.",
        )
        process = self._processes.get(name)
        for line in process.log_tail(_LOG_LINES) if process else ():
            error.add_note(f"{name}: {line}")
        return error


def _has_heard_of_all(folder: Path) -> bool:
    return consensus.announced(folder) >= len(AUTHORITIES + RELAYS)


def _is_whole(folder: Path) -> bool:
    relays = len(AUTHORITIES + RELAYS)
    return consensus.members(folder) >= relays and consensus.descriptors(folder) >= relays
