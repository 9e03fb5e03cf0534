"""How the arbiter keeps each crew at its number, and replaces a worker without ever being short of one.

gunicorn counts every living worker, also one that only finishes an upload, and so starts no replacement for it: with
one slow upload each, two workers that were to be replaced closed the site (measured). Here a worker that is leaving
keeps a chair of its own: gunicorn's number of workers is the plan's plus one for each that is being succeeded or is
leaving, and is set again whenever one ends. A successor serves before its predecessor is asked to leave.

Used are gunicorn's documented hooks, its `num_workers` (through which the hook `nworkers_changed` runs in the
arbiter's own loop) and its handling of SIGTTIN, which is what a worker sends to say "look at the board". All
decisions fall in the arbiter's loop, one at a time. SIGHUP replaces every worker. A new version of the program needs
a restart: the store's claims are made before the fork and can't be shared with another arbiter.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from types import FrameType

from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker

from dropbox.serving.board import ROWS, Board, Row, State
from dropbox.serving.plan import Crew, Plan
from dropbox.serving.worker import LaneWorker, Seat

CURRENT = frozenset({State.BOOTING, State.SERVING})
REPLACED = frozenset({State.SUCCEEDED, State.LEAVING})


class Crews:
    """The arbiter's side: one set of hooks."""

    def __init__(
        self, plan: Plan, board: Board, on_start: Callable[[str], None], on_exit: Callable[[int], None]
    ) -> None:
        self._crews: list[tuple[str, Crew]] = [(name, crew) for name, (_, crew) in plan.crews()]
        self._board = board
        self._on_start = on_start
        self._on_exit = on_exit
        self._replace_all = False
        self._reviewing = False

    @property
    def planned(self) -> int:
        return sum(crew.processes for _, crew in self._crews)

    def pre_fork(self, server: Arbiter, worker: Worker) -> None:
        """Give the next worker a seat in the crew that is shortest of hands."""
        number = max(range(len(self._crews)), key=self._missing)
        row = self._board.book(number)
        if row is None or not isinstance(worker, LaneWorker):
            raise RuntimeError("There is no seat for another worker.")
        worker.seat = Seat(row, number)

    def post_fork(self, server: Arbiter, worker: Worker) -> None:
        if isinstance(worker, LaneWorker) and worker.seat is not None:
            self._on_start(self._crews[worker.seat.crew][0])

    def child_exit(self, server: Arbiter, worker: Worker) -> None:
        """A worker has ended, well or badly: free what it held."""
        if isinstance(worker, LaneWorker) and worker.seat is not None:
            self._board.clear(worker.seat.row)
        self._on_exit(int(worker.pid))
        self.review(server)

    def nworkers_changed(self, server: Arbiter, new: int, old: int | None) -> None:
        self.review(server)

    def take_signals(self, server: Arbiter) -> None:
        """Replace the signals of the arbiter whose usual meaning would break what is promised here."""

        def replace_all(sig: int, frame: FrameType | None) -> None:
            self._replace_all = True
            server.signal(signal.SIGTTIN, None)

        signal.signal(signal.SIGHUP, replace_all)
        for unwanted in (signal.SIGUSR2, signal.SIGTTOU, signal.SIGWINCH):
            signal.signal(unwanted, signal.SIG_IGN)

    def review(self, server: Arbiter) -> None:
        """Look at the board: order successors, ask the succeeded to leave, and set the number of workers."""
        if self._reviewing:
            return
        self._reviewing = True
        try:
            self._order_successors()
            self._dismiss_succeeded()
            server.num_workers = self.planned + len(self._rows(REPLACED))
        finally:
            self._reviewing = False

    def _rows(self, states: frozenset[State], crew: int | None = None) -> list[Row]:
        return [row for row in self._board.rows() if row.state in states and crew in (None, row.crew)]

    def _missing(self, crew: int) -> int:
        return self._crews[crew][1].processes - len(self._rows(CURRENT, crew))

    def _order_successors(self) -> None:
        for row in self._rows(frozenset({State.SERVING})):
            leaving = len(self._rows(REPLACED, row.crew))
            wanted = self._replace_all or (row.tired and leaving < self._crews[row.crew][1].max_leaving)
            if wanted and len(self._board.rows()) + len(self._rows(frozenset({State.SUCCEEDED}))) + 1 < ROWS:
                self._board.set_state(row.number, State.SUCCEEDED)
        self._replace_all = False

    def _dismiss_succeeded(self) -> None:
        for number, (_, crew) in enumerate(self._crews):
            if len(self._rows(frozenset({State.SERVING}), number)) < crew.processes:
                continue
            for row in self._rows(frozenset({State.SUCCEEDED}), number):
                self._board.set_state(row.number, State.LEAVING)
                # Our own child, not yet waited for: nobody else can have its number.
                with contextlib.suppress(ProcessLookupError):
                    os.kill(row.pid, signal.SIGUSR2)
