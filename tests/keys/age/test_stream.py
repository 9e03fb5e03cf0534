"""The payload: chunk borders never matter, nothing unauthenticated comes out, no cut or addition goes unnoticed."""

from __future__ import annotations

import io
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.age import stream
from keys.age.stream import CHUNK_BYTES, SEALED_CHUNK_BYTES, Chunks, PayloadNotAuthentic, StreamOpener, StreamSealer
from tests.keys.age.doubles import Counter, Endless, Trickle, seeded

KEY = bytes(range(32))

# Lengths at and beside the borders of chunks, where off-by-one errors live.
lengths = st.one_of(
    st.integers(0, 40),
    st.builds(lambda chunks, beside: chunks * CHUNK_BYTES + beside, st.integers(1, 3), st.integers(-17, 17)),
)
sizes = st.lists(st.sampled_from([1, 7, 4096, 65_535, 65_536, 65_537, 65_552, 200_000]), min_size=1, max_size=4)


def plain(length: int) -> bytes:
    return seeded(length)(length)


def sealed(data: bytes) -> bytes:
    out = io.BytesIO()
    sealer = StreamSealer(KEY, out)
    sealer.write(data)
    sealer.finish()
    return out.getvalue()


def opened(data: bytes) -> tuple[bytes, bool]:
    """Return what is handed out, and whether it is the whole."""
    out = io.BytesIO()
    try:
        for part in StreamOpener(KEY, io.BytesIO(data)):
            out.write(part)
    except PayloadNotAuthentic:
        return out.getvalue(), False
    return out.getvalue(), True


@given(lengths, sizes, sizes)
def test_however_it_is_cut_the_same_bytes_come_back(length: int, writes: list[int], reads: list[int]) -> None:
    data = plain(length)
    pieces, out = Trickle(data, [max(size, 4096) for size in writes]), io.BytesIO()
    sealer = StreamSealer(KEY, out)
    while piece := pieces.read():
        sealer.write(piece)
    sealer.finish()
    assert out.getvalue() == sealed(data)
    assert b"".join(StreamOpener(KEY, Trickle(out.getvalue(), [max(size, 4096) for size in reads]))) == data
    assert stream.open_chunks(KEY, out.getvalue()) == data


@given(lengths)
def test_a_payload_has_the_length_that_its_format_says(length: int) -> None:
    chunks = max(1, -(-length // CHUNK_BYTES))
    assert len(sealed(plain(length))) == length + 16 * chunks


@given(lengths, st.data())
def test_a_payload_cut_short_hands_out_whole_chunks_and_says_so(length: int, choice: st.DataObject) -> None:
    whole = sealed(plain(length))
    borders = st.sampled_from(range(0, len(whole), SEALED_CHUNK_BYTES))
    cut = choice.draw(st.one_of(st.integers(0, len(whole) - 1), borders))
    out, complete = opened(whole[:cut])
    assert not complete
    assert len(out) == cut // SEALED_CHUNK_BYTES * CHUNK_BYTES
    assert plain(length).startswith(out)
    with pytest.raises(PayloadNotAuthentic):
        stream.open_chunks(KEY, whole[:cut])


@given(lengths, st.binary(min_size=1, max_size=40))
def test_whatever_is_added_behind_is_noticed(length: int, added: bytes) -> None:
    out, complete = opened(sealed(plain(length)) + added)
    assert not complete
    assert plain(length).startswith(out)


@given(lengths, st.data())
def test_a_changed_byte_hands_out_nothing_from_its_chunk_on(length: int, choice: st.DataObject) -> None:
    changed = bytearray(sealed(plain(length)))
    place = choice.draw(st.integers(0, len(changed) - 1))
    changed[place] ^= choice.draw(st.integers(1, 255))
    out, complete = opened(bytes(changed))
    assert not complete
    assert out == plain(length)[: place // SEALED_CHUNK_BYTES * CHUNK_BYTES]


@pytest.mark.parametrize("order", ["102", "021", "0012", "02", "12", "0112", "0122", "2", "210"])
def test_chunks_in_another_order_are_noticed(order: str) -> None:
    data = plain(3 * CHUNK_BYTES)
    whole = sealed(data)
    chunks = [whole[start : start + SEALED_CHUNK_BYTES] for start in range(0, len(whole), SEALED_CHUNK_BYTES)]
    out, complete = opened(b"".join(chunks[int(place)] for place in order))
    assert not complete
    assert data.startswith(out)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_payload_or_not_authentic(data: bytes) -> None:
    assert opened(data) == (b"", False)


def test_an_empty_last_chunk_is_refused_but_for_an_empty_payload() -> None:
    chunks = Chunks(KEY)
    assert opened(chunks.seal(0, True, b"")) == (b"", True)
    data = plain(CHUNK_BYTES)
    assert opened(chunks.seal(0, False, data) + chunks.seal(1, True, b"")) == (data, False)


def test_a_short_chunk_is_refused_unless_it_is_marked_as_the_last() -> None:
    chunks = Chunks(KEY)
    assert opened(chunks.seal(0, False, b"short")) == (b"", False)
    assert opened(chunks.seal(0, False, b"short") + chunks.seal(1, True, b"rest")) == (b"", False)


def test_what_comes_behind_a_full_last_chunk_is_refused() -> None:
    chunks, data = Chunks(KEY), plain(CHUNK_BYTES)
    assert opened(chunks.seal(0, True, data)) == (data, True)
    assert opened(chunks.seal(0, True, data) + chunks.seal(1, True, data)) == (data, False)


def test_the_error_tells_a_cut_from_an_addition_from_damage() -> None:
    chunks, data = Chunks(KEY), plain(CHUNK_BYTES)
    cases = {
        "cut short": chunks.seal(0, False, data),
        "added": chunks.seal(0, True, data) + b"x",
        "damaged": bytes(40),
    }
    for word, case in cases.items():
        with pytest.raises(PayloadNotAuthentic, match=word):
            stream.open_chunks(KEY, case)


@given(lengths)
def test_a_chunk_sealed_into_a_buffer_is_the_same_chunk(length: int) -> None:
    data = plain(min(length, CHUNK_BYTES))
    out = bytearray(b"\xaa" * (len(data) + 18))
    assert Chunks(KEY).seal_into(7, False, memoryview(data), memoryview(out)[1:-1]) == len(data) + 16
    assert bytes(out) == b"\xaa" + Chunks(KEY).seal(7, False, data) + b"\xaa"


def test_chunk_nonces_count_in_eleven_bytes_and_mark_the_last() -> None:
    assert stream.chunk_nonce(0, False) == bytes(12)
    assert stream.chunk_nonce(258, True).hex() == "000000000000000000010201"
    with pytest.raises(OverflowError):
        stream.chunk_nonce(2**88, False)


def test_sixteen_mebibytes_pass_in_the_memory_of_a_few_chunks() -> None:
    size = 16 << 20
    through = io.BytesIO()
    sealer = StreamSealer(KEY, through)
    source = Endless(size)
    while data := source.read(1 << 20):
        sealer.write(data)
    sealer.finish()
    through.seek(0)
    tracemalloc.start()
    try:
        counter, again, source = Counter(), StreamSealer(KEY, Counter()), Endless(size)
        for part in StreamOpener(KEY, through):
            counter.write(part)
            again.write(part)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert counter.size == size
    assert peak < 8 * CHUNK_BYTES


def test_nothing_can_be_added_to_a_finished_payload() -> None:
    sealer = StreamSealer(KEY, io.BytesIO())
    sealer.finish()
    with pytest.raises(RuntimeError):
        sealer.write(b"more")
    with pytest.raises(RuntimeError):
        sealer.finish()


def test_a_reader_that_has_nothing_yet_is_not_taken_for_one_that_ended() -> None:
    class Waiting:
        def read(self, size: int, /) -> bytes | None:
            return None

    with pytest.raises(BlockingIOError):
        list(StreamOpener(KEY, Waiting()))


def test_a_writer_that_may_take_a_part_is_refused() -> None:
    class Raw(io.RawIOBase):
        def write(self, data: object, /) -> int:
            return 1

    with pytest.raises(TypeError, match="buffered"):
        StreamSealer(KEY, Raw())


def test_payload_keys_differ_by_file_key_and_nonce() -> None:
    keys = {stream.payload_key(bytes([one]) * 16, bytes([other]) * 16) for one in range(3) for other in range(3)}
    assert len(keys) == 9
    with pytest.raises(ValueError, match="16 bytes"):
        stream.payload_key(bytes(16), b"short")
