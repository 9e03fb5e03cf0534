"""The chain of weekly identities behind one epoch list: a step forward can't be taken back. SPEC section 11.1.

Whoever holds a chain can open its week and all later ones, and none before: that is what erasing a week means.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from keys import primitives
from keys.age.recipients import HybridIdentity, HybridRecipient
from keys.errors import Stale
from keys.primitives import Randomness
from keys.statement import NetworkId

_NEXT = b"mustshare/v1/chain/next"
_IDENTITY = b"mustshare/v1/chain/identity"


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain at a week: `key` is the chain key `ck[week]`, and the only secret."""

    network: NetworkId
    desk: int
    sequence: int
    week: int
    key: bytes = field(repr=False)

    @classmethod
    def begin(cls, network: NetworkId, desk: int, sequence: int, week: int, randomness: Randomness) -> Chain:
        """Begin the chain of a new epoch list at its first week, from fresh randomness."""
        return cls(network, desk, sequence, week, randomness(primitives.KEY_BYTES))

    def advance_to(self, week: int) -> Chain:
        """Return the chain at a week. Keep only what is returned, and every week before it is erased.

        Raises:
            Stale: the week is already erased.
        """
        self._refuse_erased(week)
        key = self.key
        for _ in range(week - self.week):
            key = primitives.hkdf(key, self.network, _NEXT)
        return replace(self, week=week, key=key)

    def identity_seed(self, week: int) -> bytes:
        """Return the 32-byte seed of a week's `mlkem768x25519` identity. Raises: Stale: the week is erased."""
        return primitives.hkdf(self.advance_to(week).key, self.network, _IDENTITY)

    def identity(self, week: int) -> HybridIdentity:
        """Return a week's age identity. Raises: Stale: the week is erased."""
        return HybridIdentity.from_seed(self.identity_seed(week))

    def recipients(self, weeks: Iterable[int]) -> tuple[HybridRecipient, ...]:
        """Return the age recipients of these weeks, for an epoch list. Raises: Stale: one of them is erased."""
        return tuple(self.identity(week).recipient() for week in weeks)

    def _refuse_erased(self, week: int) -> None:
        if week < self.week:
            raise Stale(
                f"Week {week} is erased: this chain begins with week {self.week}.",
                "Nothing opens what was sealed to an erased week.",
            )
