"""The plan of a server: which sites stand on which sockets, what lanes they have, and which processes serve them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dropbox.serving.head import Circuits, Head
from dropbox.serving.lanes import Lane, Route
from dropbox.serving.pace import Rate
from dropbox.serving.prepared import PreparedPage
from keys.errors import Misconfigured

SOCKET_PATH_MAX_BYTES = 107


@dataclass(frozen=True, slots=True)
class Crew:
    """Worker processes of one kind: they serve some of a site's lanes.

    Only crews with a `door` take connections from the site's socket; what belongs to another crew's lane they hand
    over, open connection and all. So uploads run in processes of their own: pages never wait for their turn at the
    interpreter (under 100 uploads at full speed a page took 1.5 ms, and 114 ms with all lanes in one process), and a
    pages process can be replaced within seconds while an upload elsewhere takes hours.

    With `lifetime_seconds`, each process is replaced after about that time; never more than `max_leaving` old ones
    of this crew stay to finish what they hold.
    """

    name: str
    lanes: tuple[str, ...]
    processes: int = 1
    door: bool = True
    lifetime_seconds: float | None = None
    max_leaving: int = 2


@dataclass(frozen=True, slots=True)
class Site:
    """One application on one Unix socket.

    `routes` choose a lane; a request that fits none goes to the first of `lanes`. `pages` are the site's own
    prepared pages, by status (408, 413, 500, 503, and 400 for all that can't be read; 411, 414, 417, 431 and 505 may
    be given too).
    """

    name: str
    socket: Path
    lanes: tuple[Lane, ...]
    crews: tuple[Crew, ...]
    routes: tuple[Route, ...] = ()
    circuits: Circuits = Circuits.REQUIRED
    pages: Mapping[int, PreparedPage] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [lane.name for lane in self.lanes]
        served = [name for crew in self.crews for name in crew.lanes]
        if not names or sorted(served) != sorted(names):
            raise Misconfigured(f"Each lane of the site {self.name} must belong to exactly one crew.")
        if any(route.lane not in names for route in self.routes):
            raise Misconfigured(f"A route of the site {self.name} names a lane that isn't there.")
        if not any(crew.door for crew in self.crews) or any(crew.processes < 1 for crew in self.crews):
            raise Misconfigured(f"The site {self.name} has no crew that opens its door.")
        if len(bytes(self.socket)) > SOCKET_PATH_MAX_BYTES:
            raise Misconfigured(
                f"The path of the socket of {self.name} is too long.",
                f"Choose a folder such that it has at most {SOCKET_PATH_MAX_BYTES} bytes.",
            )

    def lane_of(self, head: Head) -> Lane:
        """Choose the lane of a request."""
        name = next((route.lane for route in self.routes if route.fits(head)), self.lanes[0].name)
        return next(lane for lane in self.lanes if lane.name == name)

    def crew_of(self, lane: Lane) -> Crew:
        return next(crew for crew in self.crews if lane.name in crew.lanes)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one connection may cost a worker process before and after its request is served.

    `head_seconds`: from accept to a complete head. `half_open`: connections with an unfinished head, at most
    `half_open_per_circuit` of one circuit; beyond that the oldest gives way. `gathered_bytes`: memory for bodies
    that lanes gather. `drain_bytes`: how much of a refused body is taken in and thrown away, because a browser shows
    the refusal only when it has sent everything. `farewells`: connections in that state. `hand_over_seconds`: how long
    a connection may wait to be taken by a process of its lane's crew, before the lane's own patience begins.
    """

    rate: Rate = field(default_factory=Rate)
    head_seconds: float = 20.0
    half_open: int = 4_096
    half_open_per_circuit: int = 32
    gathered_bytes: int = 32 * 1024 * 1024
    drain_bytes: int = 4 * 1024**3
    farewells: int = 512
    farewell_seconds: float = 2.0
    hand_over_seconds: float = 20.0
    open_files: int = 16_384


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that `launch.serve` needs to know.

    `run_folder` is private to this server (on a memory file system, /run say); `group` may connect to the sockets
    (tor's). On stop, uploads have `stop_seconds` to end; then they are interrupted and what came is kept.
    """

    sites: tuple[Site, ...]
    run_folder: Path
    limits: Limits = field(default_factory=Limits)
    group: str | None = None
    stop_seconds: float = 20.0
    hung_seconds: int = 120
    lock_memory: bool = True

    def __post_init__(self) -> None:
        crews = self.crews()
        if len({name for name, _ in crews}) != len(crews) or not crews:
            raise Misconfigured("Crews of a server must have different names.")

    def crews(self) -> list[tuple[str, tuple[Site, Crew]]]:
        """Return every crew under its full name, with its site."""
        return [(f"{site.name}/{crew.name}", (site, crew)) for site in self.sites for crew in site.crews]
