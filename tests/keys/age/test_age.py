"""Whole files: sealed and opened, by whom they should be, and by nobody after any change."""

from __future__ import annotations

import contextlib
import io
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.age import (
    HeaderMalformed,
    HeaderNotAuthentic,
    HybridIdentity,
    Identity,
    NoIdentityMatches,
    PassphraseIdentity,
    PassphraseRecipient,
    PayloadNotAuthentic,
    Recipient,
    Stanza,
    WorkRefused,
    X25519Identity,
    open_,
    open_bytes,
    opener,
    seal,
    seal_bytes,
    sealer,
)
from keys.age.stream import CHUNK_BYTES
from keys.errors import DropBoxError, Refused
from keys.primitives import system_randomness
from tests.keys.age.doubles import Counter, Endless, Trickle, counting, seeded

HYBRID = HybridIdentity.from_seed(b"\x01" * 32)
CLASSICAL = X25519Identity(b"\x02" * 32)
LOCKED = PassphraseIdentity("ห้ามบอกใคร")
PAIRS: list[tuple[Identity, Recipient]] = [
    (HYBRID, HYBRID.recipient()),
    (CLASSICAL, CLASSICAL.recipient()),
    (LOCKED, PassphraseRecipient("ห้ามบอกใคร", 1)),
]
every_kind = pytest.mark.parametrize(("identity", "recipient"), PAIRS, ids=["hybrid", "X25519", "passphrase"])
lengths = st.builds(
    lambda chunks, beside: max(0, chunks * CHUNK_BYTES + beside), st.integers(0, 3), st.sampled_from([-1, 0, 1, 99])
)


@given(lengths, st.sampled_from(PAIRS), st.lists(st.integers(1, 100_000), min_size=1, max_size=3))
def test_a_file_comes_back(length: int, pair: tuple[Identity, Recipient], reads: list[int]) -> None:
    identity, recipient = pair
    data, reads = seeded()(length), [max(size, 1000) for size in reads]
    sealed, opened = io.BytesIO(), io.BytesIO()
    seal(Trickle(data, reads), sealed, [recipient], system_randomness)
    open_(Trickle(sealed.getvalue(), reads), opened, [identity])
    assert opened.getvalue() == data
    assert open_bytes(seal_bytes(data, [recipient], system_randomness), [identity]) == data


def test_each_recipient_opens_and_nobody_else() -> None:
    readers = [HybridIdentity.from_seed(bytes([number]) * 32) for number in range(6)]
    sealed = seal_bytes(b"for six", [reader.recipient() for reader in readers], system_randomness)
    for reader in readers:
        assert open_bytes(sealed, [reader]) == b"for six"
    strangers: list[Identity] = [HybridIdentity.from_seed(b"\xff" * 32), CLASSICAL, LOCKED]
    with pytest.raises(NoIdentityMatches):
        open_bytes(sealed, strangers)
    assert open_bytes(sealed, [*strangers, readers[3]]) == b"for six"
    with pytest.raises(NoIdentityMatches):
        open_bytes(sealed, [])


@every_kind
def test_any_changed_byte_raises_ours_and_hands_out_nothing(identity: Identity, recipient: Recipient) -> None:
    sealed = seal_bytes(b"exactly this", [recipient], seeded())

    @given(st.integers(0, len(sealed) - 1), st.integers(1, 255))
    def change(place: int, flip: int) -> None:
        changed = bytearray(sealed)
        changed[place] ^= flip
        with pytest.raises(DropBoxError):
            open_bytes(bytes(changed), [identity])

    change()


@every_kind
def test_any_cut_or_addition_raises_ours(identity: Identity, recipient: Recipient) -> None:
    sealed = seal_bytes(b"exactly this", [recipient], seeded())
    for cut in range(len(sealed)):
        with pytest.raises(DropBoxError):
            open_bytes(sealed[:cut], [identity])
    with pytest.raises(PayloadNotAuthentic):
        open_bytes(sealed + b"\0", [identity])


def tampered_file_opens_or_raises_ours(choice: st.DataObject) -> None:
    identity, recipient = choice.draw(st.sampled_from(PAIRS))
    sealed = bytearray(seal_bytes(b"exactly this", [recipient], seeded()))
    for _ in range(choice.draw(st.integers(1, 4))):
        start = choice.draw(st.integers(0, len(sealed)))
        end = choice.draw(st.integers(start, min(len(sealed), start + 8)))
        sealed[start:end] = choice.draw(st.one_of(st.binary(max_size=8), st.just(bytes(sealed[start : start + 70]))))
    limited = PassphraseIdentity("ห้ามบอกใคร", max_log_n=4)
    with contextlib.suppress(DropBoxError):
        assert open_bytes(bytes(sealed), [limited if identity is LOCKED else identity]) == b"exactly this"


@given(st.data())
def test_any_tampered_file_opens_or_raises_ours(choice: st.DataObject) -> None:
    tampered_file_opens_or_raises_ours(choice)


@pytest.mark.long
@settings(max_examples=20_000)
@given(st.data())
def test_any_tampered_file_opens_or_raises_ours_for_long(choice: st.DataObject) -> None:
    tampered_file_opens_or_raises_ours(choice)


@given(st.binary(max_size=300))
def test_any_bytes_are_no_file_of_age(data: bytes) -> None:
    with pytest.raises(HeaderMalformed):
        open_bytes(data, [HYBRID, CLASSICAL, LOCKED])


def test_a_file_key_serves_one_header_only() -> None:
    sealed = seal_bytes(b"x", [CLASSICAL.recipient()], seeded())
    grafted = sealed.replace(b"\n---", b"\n-> example.com/tracking 7\n\n---", 1)
    with pytest.raises(HeaderNotAuthentic):
        open_bytes(grafted, [CLASSICAL])


def test_a_changed_payload_hands_out_the_chunks_before_it_and_says_so() -> None:
    data = seeded()(3 * CHUNK_BYTES)
    changed = bytearray(seal_bytes(data, [HYBRID.recipient()], system_randomness))
    changed[-1] ^= 1
    out = io.BytesIO()
    with pytest.raises(PayloadNotAuthentic):
        open_(io.BytesIO(changed), out, [HYBRID])
    assert out.getvalue() == data[: 2 * CHUNK_BYTES]
    with pytest.raises(PayloadNotAuthentic):
        open_bytes(bytes(changed), [HYBRID])


def test_the_header_is_verified_before_the_first_chunk_is_asked_for() -> None:
    sealed = seal_bytes(b"x", [CLASSICAL.recipient()], seeded())
    with pytest.raises(NoIdentityMatches):
        opener(io.BytesIO(sealed), [HYBRID])


MIXTURES: list[tuple[str, Sequence[Recipient]]] = [
    ("post-quantum with classical", [HYBRID.recipient(), CLASSICAL.recipient()]),
    ("classical with post-quantum", [CLASSICAL.recipient(), HYBRID.recipient()]),
    ("a passphrase with a key", [PassphraseRecipient("x", 1), CLASSICAL.recipient()]),
    ("a key with a passphrase", [HYBRID.recipient(), PassphraseRecipient("x", 1)]),
    ("two passphrases", [PassphraseRecipient("x", 1), PassphraseRecipient("y", 1)]),
]


@pytest.mark.parametrize(("why", "recipients"), MIXTURES, ids=[why for why, _ in MIXTURES])
def test_recipients_that_would_weaken_a_file_dont_share_it(why: str, recipients: Sequence[Recipient]) -> None:
    out = Counter()
    with pytest.raises(Refused):
        sealer(out, recipients, seeded())
    assert out.size == 0


def test_a_file_needs_a_recipient() -> None:
    with pytest.raises(ValueError, match="recipient"):
        seal_bytes(b"", [], seeded())


def test_a_wrong_passphrase_is_told_from_a_missing_key() -> None:
    sealed = seal_bytes(b"x", [PassphraseRecipient("right", 1)], seeded())
    with pytest.raises(NoIdentityMatches, match="passphrase") as wrong:
        open_bytes(sealed, [PassphraseIdentity("wrong")])
    assert "Caps Lock" in wrong.value.remedy
    with pytest.raises(NoIdentityMatches, match="key"):
        open_bytes(seal_bytes(b"x", [CLASSICAL.recipient()], seeded()), [HYBRID])


def test_a_costly_passphrase_is_refused() -> None:
    sealed = seal_bytes(b"x", [PassphraseRecipient("x", 5)], seeded())
    with pytest.raises(WorkRefused):
        open_bytes(sealed, [PassphraseIdentity("x", max_log_n=4)])


def test_randomness_is_asked_for_in_the_order_that_is_promised() -> None:
    asked: list[int] = []
    source = seeded()

    def noting(size: int) -> bytes:
        asked.append(size)
        return source(size)

    seal_bytes(b"", [CLASSICAL.recipient(), CLASSICAL.recipient()], noting)
    assert asked == [16, 32, 32, 16]


def test_the_same_randomness_gives_the_same_file() -> None:
    one, other = (seal_bytes(b"x", [CLASSICAL.recipient()], counting()) for _ in range(2))
    assert one == other
    assert one != seal_bytes(b"x", [CLASSICAL.recipient()], system_randomness)


def test_anybody_can_bring_a_recipient_of_their_own() -> None:
    class Grease:
        label = HYBRID.recipient().label

        def wrap(self, file_key: bytes, randomness: Callable[[int], bytes]) -> list[Stanza]:
            return [Stanza("example.com/grease", ("1",), randomness(4))]

    sealed = seal_bytes(b"x", [Grease(), HYBRID.recipient()], seeded())
    assert open_bytes(sealed, [HYBRID]) == b"x"


def test_a_large_file_passes_in_little_memory(tmp_path: Path) -> None:
    size, counter, path = 16 << 20, Counter(), tmp_path / "large.age"
    tracemalloc.start()
    try:
        with path.open("wb") as file:
            seal(Endless(size), file, [HYBRID.recipient()], system_randomness)
        with path.open("rb") as file:
            open_(file, counter, [HYBRID])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert counter.size == size
    assert peak < 24 * CHUNK_BYTES


def test_a_writer_that_may_take_a_part_is_refused_before_anything_is_written() -> None:
    class Raw(io.RawIOBase):
        def write(self, data: object, /) -> int:
            raise AssertionError("nothing should be written")

    sealed = seal_bytes(b"x", [CLASSICAL.recipient()], seeded())
    with pytest.raises(TypeError, match="buffered"):
        seal(io.BytesIO(b"x"), Raw(), [CLASSICAL.recipient()], seeded())
    with pytest.raises(TypeError, match="buffered"):
        open_(io.BytesIO(sealed), Raw(), [CLASSICAL])
