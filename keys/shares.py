"""A desk's secret divided among people: k of n shares of words bring it back, fewer say nothing. SPEC section 17.

SLIP-39, so that other programs combine the shares too. SLIP-39 can't tell a wrong secret from the right one by itself
in every case; the fingerprint written down at the founding does.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import shamir_mnemonic

from keys.errors import Malformed, NotAuthentic, Refused
from keys.keyfile import DeskSecret
from keys.primitives import KEY_BYTES

MIN_THRESHOLD = 2
MAX_SHARES = 16
WORDS = 33
MAX_ITERATION_EXPONENT = 4


@dataclass(frozen=True, slots=True)
class Share:
    """One person's share, read and its checksum verified. Whether it is genuine shows when enough come together."""

    set_number: int
    number: int
    threshold: int
    words: str = field(repr=False)
    _parameters: Any = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Share:
        """Read a share as somebody typed it: any case, any white space.

        Raises:
            Malformed: not 33 words of SLIP-39, a mistyped word, or a share of something else.
        """
        words = " ".join(text.lower().split())
        if words.count(" ") != WORDS - 1:
            raise Malformed(f"A share has {WORDS} words.", "Type all of its words, in their order.")
        try:
            # The library has no type information; nothing of its types leaves this method.
            read: Any = shamir_mnemonic.Share.from_mnemonic(words)
        except shamir_mnemonic.MnemonicError:
            # Without its cause: that names words of the share.
            raise Malformed(
                "A word of this share is mistyped, or two are swapped.", "Compare it with the paper, word by word."
            ) from None
        if (
            len(read.value) != KEY_BYTES
            or (read.group_threshold, read.group_count) != (1, 1)
            or read.iteration_exponent > MAX_ITERATION_EXPONENT
        ):
            raise Malformed("This is a share of something else than a desk's secret.")
        return cls(read.identifier, read.index + 1, read.member_threshold, words, read.group_parameters())


def split(secret: DeskSecret, threshold: int, count: int) -> tuple[str, ...]:
    """Divide a desk's secret into shares of 33 words, any `threshold` of which bring it back.

    The shares' randomness comes from the library, which offers no way to give it in.

    Raises:
        Refused: a threshold below 2 or above the count, or more than 16 shares.
    """
    if not MIN_THRESHOLD <= threshold <= count <= MAX_SHARES:
        raise Refused(
            f"Shares are {MIN_THRESHOLD} to {MAX_SHARES}, and at least {MIN_THRESHOLD} of them bring the secret back.",
            "Three of five serves most newsrooms.",
        )
    made: list[list[str]] = shamir_mnemonic.generate_mnemonics(1, [(threshold, count)], secret.secret)
    return tuple(made[0])


def combine(shares: Sequence[Share], fingerprint: str) -> DeskSecret:
    """Bring a desk's secret back, and require that its signing key has the fingerprint written down at the founding.

    More shares than the threshold are all checked: each must lead to the same secret.

    Args:
        shares: in any order.
        fingerprint: as `SigningKey.fingerprint` shows it; case and spaces don't matter.

    Raises:
        Malformed: no shares, a share given twice, too few, or shares of different sets.
        NotAuthentic: a share is forged, or the secret isn't the one of that fingerprint.
    """
    _refuse_mixture(shares)
    threshold = shares[0].threshold
    fixed, rest = shares[: threshold - 1], shares[threshold - 1 :]
    secrets = {_combine([*fixed, each]) for each in rest}
    if len(secrets) != 1:
        raise _forged()
    secret = DeskSecret(secrets.pop())
    if _plain(secret.key.fingerprint) != _plain(fingerprint):
        raise NotAuthentic(
            "These shares give another key than the one with that fingerprint.",
            "Compare the fingerprint with the paper from the founding, and whether the shares are this desk's.",
        )
    return secret


def rehearse(shares: Sequence[Share], fingerprint: str) -> tuple[int, ...]:
    """Try every smallest set of the given shares, and return the numbers of those that serve, in order.

    Nothing is kept: a rehearsal shows that the papers still work, and which don't.

    Raises:
        Malformed: as `combine`.
        NotAuthentic: no set among them brings back the key of that fingerprint.
    """
    _refuse_mixture(shares)
    good: set[int] = set()
    for chosen in itertools.combinations(shares, shares[0].threshold):
        if good.issuperset(share.number for share in chosen):
            continue
        try:
            combine(chosen, fingerprint)
        except NotAuthentic:
            continue
        good.update(share.number for share in chosen)
    if not good:
        raise _forged()
    return tuple(sorted(good))


def _refuse_mixture(shares: Sequence[Share]) -> None:
    if not shares:
        raise Malformed("There are no shares.", "Give the shares that the desk's people hold.")
    if any(share._parameters != shares[0]._parameters for share in shares):
        raise Malformed(
            "These shares are of different sets.", "Use shares that were made together: their first three words agree."
        )
    if len({share.number for share in shares}) != len(shares):
        raise Malformed("One share was given twice.", "Give each share once.")
    if len(shares) < shares[0].threshold:
        raise Malformed(
            f"These are too few shares: {len(shares)} of the {shares[0].threshold} that are needed.",
            "Bring more of the shares together.",
        )


def _combine(shares: Sequence[Share]) -> bytes:
    try:
        secret: bytes = shamir_mnemonic.combine_mnemonics([share.words for share in shares])
    except shamir_mnemonic.MnemonicError:
        raise _forged() from None
    return secret


def _forged() -> NotAuthentic:
    return NotAuthentic(
        "These shares don't fit together: at least one is forged.", "Rehearse with more shares: it shows which serve."
    )


def _plain(fingerprint: str) -> str:
    return "".join(fingerprint.lower().split())
