"""Shares: any k bring the secret back, fewer don't, and a forged or foreign one is told."""

from __future__ import annotations

import itertools

import pytest
import shamir_mnemonic
from hypothesis import given
from hypothesis import strategies as st

from keys import shares
from keys.errors import DropBoxError, Malformed, NotAuthentic, Refused
from keys.keyfile import DeskSecret
from keys.shares import Share

SECRET = DeskSecret(bytes(range(32)))
FINGERPRINT = SECRET.key.fingerprint
MADE = [Share.parse(text) for text in shares.split(SECRET, 3, 5)]
OTHER = DeskSecret(bytes(32))


def forged(share: Share) -> Share:
    """Return a share with a good checksum and another value, as a cheat would make it."""
    read = shamir_mnemonic.Share.from_mnemonic(share.words)
    value = bytes([read.value[0] ^ 1]) + read.value[1:]
    fields = {name: getattr(read, name) for name in read.__dataclass_fields__} | {"value": value}
    return Share.parse(shamir_mnemonic.Share(**fields).mnemonic())


@pytest.mark.parametrize("chosen", list(itertools.combinations(range(5), 3)), ids=str)
def test_any_three_of_five_bring_the_secret_back(chosen: tuple[int, ...]) -> None:
    assert shares.combine([MADE[at] for at in chosen], FINGERPRINT) == SECRET


def test_more_than_the_threshold_serve_too() -> None:
    assert shares.combine(MADE[::-1], FINGERPRINT.upper().replace(" ", "")) == SECRET


@pytest.mark.parametrize(
    ("given_shares", "error"),
    [
        ([], Malformed),
        (MADE[:2], Malformed),
        ([MADE[0], MADE[0], MADE[1]], Malformed),
        ([*MADE[:2], Share.parse(shares.split(SECRET, 3, 5)[2])], Malformed),
        ([*MADE[:2], Share.parse(shares.split(SECRET, 2, 5)[2])], Malformed),
        ([*MADE[:2], forged(MADE[2])], NotAuthentic),
        ([*MADE[:4], forged(MADE[4])], NotAuthentic),
    ],
    ids=["none", "too few", "one twice", "another set", "another threshold", "one forged", "a forged one too many"],
)
def test_a_combination_is_refused(given_shares: list[Share], error: type[DropBoxError]) -> None:
    with pytest.raises(error):
        shares.combine(given_shares, FINGERPRINT)


def test_another_desks_shares_are_told_by_the_fingerprint() -> None:
    other = [Share.parse(text) for text in shares.split(OTHER, 2, 2)]

    with pytest.raises(NotAuthentic, match="another key"):
        shares.combine(other, FINGERPRINT)


def test_a_rehearsal_tells_which_shares_serve() -> None:
    assert shares.rehearse(MADE, FINGERPRINT) == (1, 2, 3, 4, 5)
    assert shares.rehearse([forged(MADE[0]), *MADE[1:]], FINGERPRINT) == (2, 3, 4, 5)
    with pytest.raises(NotAuthentic):
        shares.rehearse([forged(MADE[0]), *MADE[1:3]], FINGERPRINT)


@pytest.mark.parametrize(("threshold", "count"), [(1, 3), (4, 3), (0, 0), (2, 17), (-1, 2)])
def test_senseless_numbers_are_refused(threshold: int, count: int) -> None:
    with pytest.raises(Refused):
        shares.split(SECRET, threshold, count)


def test_words_are_read_in_any_case_and_spacing() -> None:
    text = MADE[0].words

    assert Share.parse("  " + text.upper().replace(" ", "\n ") + "\n") == MADE[0]
    assert len(text.split()) == shares.WORDS


@given(at=st.integers(0, 32), word=st.sampled_from(["academic", "zero", "nonsense", "ก"]))
def test_a_mistyped_word_is_told_without_repeating_it(at: int, word: str) -> None:
    words = MADE[0].words.split()
    if words[at] == word:
        return
    words[at] = word

    with pytest.raises(Malformed) as raised:
        Share.parse(" ".join(words))

    assert raised.value.__cause__ is None
    assert word not in raised.value.message + raised.value.remedy


@given(text=st.text(max_size=300))
def test_any_text_raises_only_our_errors(text: str) -> None:
    with pytest.raises(Malformed):
        Share.parse(text)


@pytest.mark.parametrize(
    "mnemonics",
    [
        shamir_mnemonic.generate_mnemonics(1, [(2, 3)], bytes(16))[0],
        shamir_mnemonic.generate_mnemonics(2, [(2, 3), (2, 3)], bytes(32))[0],
        shamir_mnemonic.generate_mnemonics(1, [(2, 3)], bytes(32), iteration_exponent=5)[0],
    ],
    ids=["16 bytes", "groups", "endless work"],
)
def test_shares_of_something_else_are_refused(mnemonics: list[str]) -> None:
    with pytest.raises(Malformed):
        Share.parse(mnemonics[0])


def test_other_programs_combine_our_shares() -> None:
    assert shamir_mnemonic.combine_mnemonics([share.words for share in MADE[:3]]) == SECRET.secret


def test_a_share_does_not_show_its_words() -> None:
    assert MADE[0].words.split()[10] not in repr(MADE[0])
