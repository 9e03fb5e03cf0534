"""Our gunicorn worker: one loop that reads heads, threads only for whole requests, and a way to leave without haste.

gunicorn's own threaded worker gives a thread to each connection that has sent one byte, so sixty half-sent heads
close a site of forty threads; it kills or keeps uploads by a deadline; and its arbiter counts a worker that finishes
an upload as one that serves. Here heads cost no thread (`door`), lanes have their own (`lanes`), and replacement is
arranged with the arbiter (`crews`). Only gunicorn's base worker is derived from, and only its documented methods are
overridden: `run`, `init_process`, `init_signals` and the `handle_` methods.
"""

from __future__ import annotations

import contextlib
import enum
import os
import random
import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any

from gunicorn.workers.base import Worker

from dropbox.serving import journal, memory
from dropbox.serving.answer import Answerer
from dropbox.serving.board import Board, State
from dropbox.serving.corridor import Corridor
from dropbox.serving.loop import Loop
from dropbox.serving.plan import Crew, Plan, Site
from dropbox.serving.prepared import PreparedPages
from dropbox.serving.reception import Reception, Surroundings

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

TURN_SECONDS = 1.0
LOAD_SLACK = 4
"""How many connections more than the least loaded sibling, beside an eighth, a worker may hold and still draw more."""
STACK_BYTES = 1024 * 1024
QUICK_SECONDS = 3.0
"""How long a worker that must end at once waits for its applications to keep what came."""
ASK_AGAIN_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Shared:
    """What arbiter and workers have in common; made before the fork."""

    plan: Plan
    board: Board
    corridors: Mapping[str, Mapping[str, Corridor]]
    """By site and crew."""


@dataclass(frozen=True, slots=True)
class Seat:
    """Where a worker sits: its row on the board and its crew's number in the plan."""

    row: int
    crew: int


class Ending(enum.IntEnum):
    """How a worker is asked to end. A higher one overrides a lower."""

    NOT_YET = 0
    LEAVE = 1  # When everything it holds has ended by itself, however long that takes.
    STOP = 2  # The server stops: within the plan's `stop_seconds`.
    AT_ONCE = 3


class LaneWorker(Worker):
    """See the module. `seat` is given by the arbiter's `pre_fork` hook."""

    seat: Seat | None = None
    asked: Ending = Ending.NOT_YET

    def init_process(self) -> None:
        threading.stack_size(STACK_BYTES)
        journal.silence_tracebacks()
        if self._shared.plan.lock_memory and not memory.lock_again():
            self.log.warning("The worker's memory isn't locked: give the service LimitMEMLOCK=infinity.")
        memory.die_with_parent(signal.SIGQUIT)
        super().init_process()

    def init_signals(self) -> None:
        super().init_signals()
        signal.signal(signal.SIGUSR2, self.handle_leave)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def handle_leave(self, sig: int, frame: FrameType | None) -> None:
        self._ask(Ending.LEAVE)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._ask(Ending.STOP)

    def handle_quit(self, sig: int, frame: FrameType | None) -> None:
        self._ask(Ending.AT_ONCE)

    def run(self) -> None:
        try:
            self._serve()
        except Exception as error:  # noqa: BLE001 - gunicorn would print its words
            self.log.error("The worker failed: %s", journal.describe(error))
            sys.exit(1)

    @property
    def _shared(self) -> Shared:
        shared = getattr(self.app, "shared", None)
        if not isinstance(shared, Shared):
            raise TypeError("A LaneWorker runs under dropbox.serving.launch only.")
        return shared

    def _ask(self, ending: Ending) -> None:
        """Called from signal handlers: only note it. The signal itself wakes the loop."""
        self.asked = max(self.asked, ending)
        if ending is not Ending.LEAVE:
            self.alive = False

    def _serve(self) -> None:
        if self.seat is None:
            raise RuntimeError("The arbiter gave this worker no seat.")
        loop = Loop(lambda error: self.log.error("A connection failed: %s", journal.describe(error)))
        loop.watch(self.PIPE[0], self._empty_pipe, vital=True)
        reception = Reception(loop, self._surroundings(self.seat))
        watch = _Watch(self, self.seat, loop, reception)
        reception.open()
        self._shared.board.arrive(self.seat.row, os.getpid())
        self.tell_arbiter()
        while watch.goes_on():
            self.notify()
            loop.turn(TURN_SECONDS)
            watch.look()

    def tell_arbiter(self) -> None:
        """Ask the arbiter to look at the board (see `crews`)."""
        if os.getppid() == self.ppid:
            os.kill(self.ppid, signal.SIGTTIN)

    def crew_of(self, seat: Seat) -> tuple[Site, Crew]:
        return self._shared.plan.crews()[seat.crew][1]

    def _surroundings(self, seat: Seat) -> Surroundings:
        shared = self._shared
        site, crew = self.crew_of(seat)
        pages = PreparedPages(site.pages)
        # Listeners stand in the order of the plan's sites, as `launch` binds them.
        listener = self.sockets[shared.plan.sites.index(site)]
        return Surroundings(
            site=site,
            crew=crew,
            limits=shared.plan.limits,
            listener=listener,
            corridors=shared.corridors[site.name],
            pages=pages,
            answerer=Answerer(self._application(site.name), pages, shared.plan.limits.rate, self.log.error),
            may_draw=lambda load: self._may_draw(seat, load),
        )

    def _application(self, site: str) -> WSGIApplication:
        applications: Any = self.wsgi
        application: WSGIApplication = applications[site]
        return application

    def _may_draw(self, seat: Seat, load: int) -> bool:
        least = self._shared.board.least_load(seat.crew, besides=seat.row)
        return least is None or load <= least + LOAD_SLACK + least // 8

    def _empty_pipe(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self.PIPE[0], 4096)


class _Watch:
    """Keeps an eye on one worker's life: its load on the board, its age, and how it has been asked to end."""

    def __init__(self, worker: LaneWorker, seat: Seat, loop: Loop, reception: Reception) -> None:
        self._worker = worker
        self._row = seat.row
        self._loop = loop
        self._reception = reception
        self._board = worker._shared.board
        self._stop_seconds = worker._shared.plan.stop_seconds
        self._told_load = 0
        self._ending = Ending.NOT_YET
        self._ends_at: float | None = None
        lifetime = worker.crew_of(seat)[1].lifetime_seconds
        # A little apart, so that not all of a crew grow tired at once.
        self._tired_at = None if lifetime is None else loop.now() + lifetime * random.uniform(0.9, 1.1)

    def goes_on(self) -> bool:
        if self._ending is Ending.NOT_YET:
            return True
        late = self._ends_at is not None and self._loop.now() >= self._ends_at
        return not (late or self._reception.idle)

    def look(self) -> None:
        """Do what is due, after each turn of the loop."""
        if os.getppid() != self._worker.ppid:
            self._worker.asked = Ending.AT_ONCE  # The arbiter is gone, and a new one may claim the same store.
        if self._worker.asked > self._ending:
            self._ending = self._worker.asked
            self._end()
        if self._reception.load != self._told_load:
            self._told_load = self._reception.load
            self._board.set_load(self._row, self._told_load)
        if self._ending is Ending.NOT_YET and self._tired_at is not None and self._loop.now() >= self._tired_at:
            self._grow_tired()

    def _end(self) -> None:
        now = self._loop.now()
        self._reception.take_no_more()
        if self._ending is Ending.STOP:
            self._ends_at = now + self._stop_seconds + QUICK_SECONDS
            self._loop.at(now + self._stop_seconds, self._reception.interrupt)
        elif self._ending is Ending.AT_ONCE:
            self._ends_at = now + QUICK_SECONDS
            self._reception.interrupt()

    def _grow_tired(self) -> None:
        self._tired_at = self._loop.now() + ASK_AGAIN_SECONDS
        row = self._board.row(self._row)
        if self._reception.served and row is not None and row.state is State.SERVING:
            self._board.set_tired(self._row)
            self._worker.tell_arbiter()
