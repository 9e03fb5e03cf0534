"""How slowly a peer may send or take bytes before its connection is ended.

There is no total deadline: an upload over Tor takes hours. What is asked for is a minimum rate, averaged over a
window, and only time spent waiting for the peer counts: a server that is itself busy never blames the source.
"""

from __future__ import annotations

from dataclasses import dataclass

from keys.errors import Malformed


class BodyBroken(Malformed):
    """The body ended before the length that its head had announced."""

    default_remedy = "Come back with your codename and send the rest again."


class Disconnected(BodyBroken):
    """The other side closed the connection."""


class TooSlow(BodyBroken):
    """Fewer bytes came than a slow but honest Tor circuit carries."""

    http_status = 408


@dataclass(frozen=True, slots=True)
class Rate:
    """At least `bytes_per_second` on average over each `window_seconds`; the first window is `grace_seconds` longer."""

    bytes_per_second: int = 1_000
    window_seconds: float = 60.0
    grace_seconds: float = 30.0

    def longest_for(self, size: int) -> float:
        """Return the seconds within which `size` bytes at the minimum rate arrive, grace included."""
        return self.grace_seconds + size / self.bytes_per_second


class Pace:
    """One direction of one connection, measured against a rate. Used by one thread at a time."""

    __slots__ = ("_amount", "_rate", "_span", "_waited")

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._span = rate.window_seconds + rate.grace_seconds
        self._waited = 0.0
        self._amount = 0

    @property
    def step_seconds(self) -> float:
        """How long one wait may last before it must be noted."""
        return max(0.02, self._rate.window_seconds / 8)

    def note(self, waited_seconds: float, amount: int) -> None:
        """Count one wait and what it brought.

        Raises:
            TooSlow: a window ended, and less than its minimum had come.
        """
        self._waited += waited_seconds
        self._amount += amount
        if self._waited < self._span:
            return
        if self._amount < self._rate.bytes_per_second * self._rate.window_seconds:
            raise TooSlow("Too little arrived for too long, so the connection was ended.")
        self._waited = 0.0
        self._amount = 0
        self._span = self._rate.window_seconds
