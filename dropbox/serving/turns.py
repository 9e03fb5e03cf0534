"""Fair turns: who waits longest isn't served first, but each circuit in its turn.

One circuit that sends a thousand requests waits behind itself; everybody else is served after at most one of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
Key = int | None
"""A circuit's number, or None where no circuit is known: all of those share one turn."""


class Place(Generic[T]):
    """One item's place in a queue; it stays valid until it is taken, withdrawn or expired."""

    __slots__ = ("deadline", "item", "key", "waits")

    def __init__(self, key: Key, item: T, deadline: float) -> None:
        self.key = key
        self.item = item
        self.deadline = deadline
        self.waits = True


class FairQueue(Generic[T]):
    """Round robin over keys, first come first served within a key. Not thread-safe: the owner locks."""

    def __init__(self) -> None:
        self._lines: dict[Key, deque[Place[T]]] = {}
        self._arrivals: deque[Place[T]] = deque()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def length_of(self, key: Key) -> int:
        return len(self._lines.get(key, ()))

    def join(self, key: Key, item: T, deadline: float) -> Place[T]:
        """Queue an item. Deadlines must never decrease from one call to the next, as a constant patience gives."""
        place = Place(key, item, deadline)
        self._lines.setdefault(key, deque()).append(place)
        self._arrivals.append(place)
        self._length += 1
        return place

    def first(self, eligible: Callable[[Key], bool] = lambda key: True) -> Place[T] | None:
        """Return whose turn it is among the keys that are eligible now, and leave it in the queue."""
        for key, line in self._lines.items():
            if eligible(key):
                return line[0]
        return None

    def take(self, eligible: Callable[[Key], bool] = lambda key: True) -> Place[T] | None:
        """Remove and return whose turn it is; its key goes to the end of the round."""
        place = self.first(eligible)
        if place is None:
            return None
        self.withdraw(place)
        line = self._lines.pop(place.key, None)
        if line:
            self._lines[place.key] = line
        return place

    def withdraw(self, place: Place[T]) -> None:
        """Remove one item wherever it stands; harmless when it is no longer in the queue."""
        if not place.waits:
            return
        place.waits = False
        line = self._lines[place.key]
        line.remove(place)
        if not line:
            del self._lines[place.key]
        self._length -= 1
        self._forget_gone()

    def expire(self, now: float) -> list[Place[T]]:
        """Remove and return the items whose deadline has come."""
        late = []
        while self._arrivals and (not self._arrivals[0].waits or self._arrivals[0].deadline <= now):
            place = self._arrivals[0]
            if place.waits:
                self.withdraw(place)
                late.append(place)
            else:
                self._arrivals.popleft()
        return late

    def _forget_gone(self) -> None:
        """Keep no item that has left: the arrivals would otherwise hold what a request contained."""
        while self._arrivals and not self._arrivals[0].waits:
            self._arrivals.popleft()
        if len(self._arrivals) > 2 * self._length + 16:
            self._arrivals = deque(place for place in self._arrivals if place.waits)
