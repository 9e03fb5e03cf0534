"""What the desks tell the public, put in order for pages. SPEC 12.1.

Pure, and only of what was admitted: a bulletin whose signature doesn't verify never comes here (`dropbox.admitted`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from keys.bulletin import Bulletin

SECONDS_A_DAY = 86_400
OPEN = "open"
CALL = "call"
GUIDANCE = "guidance"


@dataclass(frozen=True, slots=True)
class Published:
    """All bulletins whose day has come. Every list is newest first and without what was withdrawn.

    `by_id` has the withdrawn ones, too: their own pages say so.
    """

    by_id: Mapping[bytes, Bulletin]
    calls: tuple[Bulletin, ...]
    posts: tuple[Bulletin, ...]
    """Updates, outcomes and guidance."""

    @classmethod
    def of(cls, admitted: Mapping[bytes, Bulletin], now: int) -> Published:
        """Put bulletins in order as they stand on the day (UTC) of `now`, in Unix seconds.

        One that is issued on a later day waits for it; a withdrawal doesn't.
        """
        today = now // SECONDS_A_DAY
        by_id = {
            name: each
            for name, each in admitted.items()
            if each.post.withdrawn or each.post.issued // SECONDS_A_DAY <= today
        }
        shown = sorted(
            (each for each in by_id.values() if not each.post.withdrawn),
            key=lambda each: (each.post.issued, each.id),
            reverse=True,
        )
        return cls(by_id, _where(shown, is_call), _where(shown, lambda each: not is_call(each)))

    @property
    def open_calls(self) -> tuple[Bulletin, ...]:
        return _where(self.calls, is_open)

    @property
    def other_calls(self) -> tuple[Bulletin, ...]:
        """Those that are being checked, published or closed."""
        return _where(self.calls, lambda each: not is_open(each))

    @property
    def guidance(self) -> tuple[Bulletin, ...]:
        return _where(self.posts, lambda each: each.post.kind == GUIDANCE)

    @property
    def news(self) -> tuple[Bulletin, ...]:
        """Updates and outcomes."""
        return _where(self.posts, lambda each: each.post.kind != GUIDANCE)

    def call(self, name: bytes) -> Bulletin | None:
        """Return the call of that id, withdrawn or not."""
        found = self.by_id.get(name)
        return found if found is not None and is_call(found) else None

    def about(self, call: Bulletin) -> tuple[Bulletin, ...]:
        """Return what belongs to a call, in the order in which it happened: by its own desk, or by another, named."""
        return _where(reversed(self.posts), lambda each: each.post.about == call.id)

    def of_desk(self, desk: int) -> Published:
        """Return the same of one desk only."""
        return Published(
            {name: each for name, each in self.by_id.items() if each.desk == desk},
            _where(self.calls, lambda each: each.desk == desk),
            _where(self.posts, lambda each: each.desk == desk),
        )


def is_call(bulletin: Bulletin) -> bool:
    return bulletin.post.kind == CALL


def is_open(bulletin: Bulletin) -> bool:
    """Say whether a call asks for answers. A call's state is what its own highest revision says, nothing else."""
    return is_call(bulletin) and bulletin.post.state == OPEN and not bulletin.post.withdrawn


def _where(bulletins: Iterable[Bulletin], holds: Callable[[Bulletin], bool]) -> tuple[Bulletin, ...]:
    return tuple(each for each in bulletins if holds(each))
