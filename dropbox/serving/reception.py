"""Reception: what happens to a connection in one worker process, from the door to the farewell."""

from __future__ import annotations

import contextlib
import math
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from dropbox.serving.answer import Answerer, Request
from dropbox.serving.corridor import Corridor
from dropbox.serving.door import Door, OutOfDescriptors, Tap
from dropbox.serving.farewell import Farewells
from dropbox.serving.gathering import Gathering
from dropbox.serving.head import Head, HeadReader, HeadRefused
from dropbox.serving.lanes import Lane, LanePool
from dropbox.serving.loop import Loop
from dropbox.serving.plan import Crew, Limits, Site
from dropbox.serving.prepared import PreparedPages
from dropbox.serving.reply import prepared_bytes

RETRY_SECONDS = 0.02
OUT_OF_ROOM_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What one worker finds when it starts."""

    site: Site
    crew: Crew
    limits: Limits
    listener: socket.socket
    corridors: Mapping[str, Corridor]
    """By the name of the crew that takes from it."""
    pages: PreparedPages
    answerer: Answerer
    may_draw: Callable[[int], bool]
    """Whether a worker with this load may take more before its siblings do."""


class Reception:
    """Reads heads, chooses lanes, hands over what isn't for this crew, and sees everybody off.

    Everything here runs in the loop's thread, but for `_serve`, which the lanes' threads call.
    """

    def __init__(self, loop: Loop, around: Surroundings) -> None:
        self._loop = loop
        self._around = around
        self._farewells = Farewells(loop, around.limits)
        self._door = Door(loop, around.limits, around.site.circuits, self._received, self._refuse_connection)
        self._gathering = Gathering(loop, around.limits, self._enqueue, self._refuse)
        self._pools = {
            lane.name: LanePool(lane, self._serve, loop.now)
            for lane in around.site.lanes
            if lane.name in around.crew.lanes
        }
        self._handing_over = 0
        self._own_corridor = around.corridors[around.crew.name]
        self._taps = [Tap(loop, self._own_corridor.exit, self._take_handed_over, self._may_draw)]
        if around.crew.door:
            self._listener_tap = Tap(loop, around.listener, self._accept, self._may_draw)
            self._taps.append(self._listener_tap)
        self.served = 0

    def open(self) -> None:
        """Begin to take connections."""
        for tap in self._taps:
            tap.open()

    def take_no_more(self) -> None:
        """Leave new connections to other workers; what is here is served to its end."""
        for tap in self._taps:
            tap.close()

    def interrupt(self) -> None:
        """End what is here as soon as it can be: bodies break off, and applications keep what came."""
        self.take_no_more()
        self._door.close()
        self._gathering.close()
        self._farewells.close()
        for pool in self._pools.values():
            for request in pool.expired(math.inf):
                self._refuse(request, 503)
            for request in pool.running():
                with contextlib.suppress(OSError):
                    request.connection.shutdown(socket.SHUT_RD)

    @property
    def load(self) -> int:
        """How many connections are held here that still want something."""
        return (
            len(self._door)
            + len(self._gathering)
            + self._handing_over
            + sum(pool.held for pool in self._pools.values())
        )

    @property
    def idle(self) -> bool:
        return self.load == 0 and self._loop.quiet and len(self._farewells) == 0

    def _may_draw(self) -> bool:
        return self._around.may_draw(self.load)

    def _accept(self) -> bool:
        try:
            return self._door.accept_from(self._around.listener)
        except OutOfDescriptors:
            self._listener_tap.pause(OUT_OF_ROOM_SECONDS)
            return False

    def _take_handed_over(self) -> bool:
        taken = self._own_corridor.take()
        if taken is None:
            return False
        connection, received = taken
        reader = HeadReader(self._around.site.circuits)
        try:
            head = reader.feed(received)
        except HeadRefused:
            head = None
        if head is None:
            raise RuntimeError("Another worker handed over a head that can't be read.")
        self._received(connection, head, reader)
        return True

    def _received(self, connection: socket.socket, head: Head, reader: HeadReader) -> None:
        """Send a connection whose head is complete on its way."""
        lane = self._around.site.lane_of(head)
        if lane.name in self._pools:
            request = Request(connection, head, reader.body())
            reader.wipe()
            self._begin(request, lane)
        else:
            crew = self._around.site.crew_of(lane)
            self._handing_over += 1
            deadline = self._loop.now() + self._around.limits.hand_over_seconds
            self._hand_over(self._around.corridors[crew.name], connection, head, reader, deadline)

    def _hand_over(
        self, corridor: Corridor, connection: socket.socket, head: Head, reader: HeadReader, deadline: float
    ) -> None:
        try:
            gone = corridor.send(connection, bytes(reader.received))
        except OSError:
            gone, deadline = False, 0.0
        if not gone and self._loop.now() < deadline:
            again = partial(self._hand_over, corridor, connection, head, reader, deadline)
            self._loop.at(self._loop.now() + RETRY_SECONDS, again)
            return
        self._handing_over -= 1
        if gone:
            connection.close()
        else:
            self._refuse(Request(connection, head, reader.body()), 503)
        reader.wipe()

    def _begin(self, request: Request, lane: Lane) -> None:
        if request.head.length > lane.max_body_bytes:
            self._refuse(request, 413)
        elif lane.gathers:
            self._gathering.gather(request)
        else:
            self._enqueue(request)

    def _enqueue(self, request: Request) -> None:
        pool = self._pools[self._around.site.lane_of(request.head).name]
        if pool.offer(request):
            self._loop.at(self._loop.now() + pool.lane.wait_seconds, lambda: self._expire(pool))
        else:
            self._refuse(request, 503)

    def _expire(self, pool: LanePool) -> None:
        for request in pool.expired(self._loop.now()):
            self._refuse(request, 503)

    def _serve(self, request: Request) -> None:
        left = self._around.answerer.answer(request)
        connection = request.connection
        self._loop.soon(lambda: self._answered(connection, left))

    def _answered(self, connection: socket.socket, left: int | None) -> None:
        self.served += 1
        if left is None:
            connection.close()
        else:
            self._farewells.see_off(connection, left)

    def _refuse(self, request: Request, status: int) -> None:
        """Answer with a prepared page, and let the browser finish sending what it has begun to send."""
        head = request.head
        unread = max(0, head.length - len(request.early))
        request.forget()
        answer = prepared_bytes(self._around.pages.page(status), status, head.method)
        self._farewells.tell(request.connection, answer, 0 if head.expects_continue else unread)

    def _refuse_connection(self, connection: socket.socket, status: int) -> None:
        self._farewells.tell(connection, prepared_bytes(self._around.pages.page(status), status), 0)
