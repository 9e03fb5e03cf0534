"""Sealing cells as they fill: equal whatever the writes, at every border, and never more than one chunk behind."""

from __future__ import annotations

import io
import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.age import header
from keys.age.stream import PayloadNotAuthentic
from keys.cell import (
    CELL_BYTES,
    FILLER,
    CellWriter,
    Flags,
    Geometry,
    Head,
    ItemWriter,
    Kind,
    Seal,
    Sealer,
    Sink,
    below,
    open_cell,
    seal_block,
    seal_digest,
    shuffled,
)
from keys.encoding import from_base64
from keys.errors import NoRoom, NotForUs
from keys.primitives import KEY_BYTES, sha256, system_randomness, x25519_is_low_order
from tests.keys.cell.doubles import NETWORKS, SERIES, identity, opened, seal, seal_item, sealer
from tests.simulators.newsroom import seeded

SIX = Geometry(6)
CHUNK = 65_536
CHUNK_BORDERS = [number * CHUNK - 32 for number in (1, 2, 3)]
CONTENT = seeded("content")(3 * SIX.payload_bytes)


def borders(geometry: Geometry) -> list[int]:
    """Lengths of items on both sides of every border of a chunk and a cell, in the first cells."""
    ends = [*CHUNK_BORDERS, geometry.payload_bytes - 1, geometry.payload_bytes, 2 * geometry.payload_bytes]
    second = [geometry.payload_bytes + border for border in CHUNK_BORDERS[:1]]
    return sorted({0, 1, *(end + near for end in [*ends, *second] for near in (-1, 0, 1))})


@pytest.mark.parametrize("recipients", NETWORKS)
def test_an_item_of_any_length_comes_back(recipients: int) -> None:
    geometry = Geometry(recipients)
    for length in borders(geometry):
        cells = seal_item([CONTENT[:length]], geometry)
        blocks = opened(cells, geometry)

        assert b"".join(block.payload for block in blocks) == CONTENT[:length]
        assert {len(cell) for cell in cells} == {CELL_BYTES}
        assert [block.head for block in blocks] == [Head(Kind.TIP, SERIES, 1, number) for number in range(len(cells))]
        assert [block.flags for block in blocks] == [Flags.NONE] * (len(cells) - 1) + [Flags.LAST]
        assert len(cells) == max(1, -(-length // geometry.payload_bytes)), "no cell more than it needs"


@given(
    length=st.sampled_from(borders(SIX)),
    cuts=st.lists(st.integers(0, 3 * SIX.payload_bytes), max_size=12),
    near=st.lists(st.sampled_from([*CHUNK_BORDERS, SIX.payload_bytes, SIX.payload_bytes - 1]), max_size=3),
)
def test_how_it_is_written_never_matters(length: int, cuts: list[int], near: list[int]) -> None:
    at = sorted({0, length, *(cut for cut in cuts + near if cut < length)})
    pieces = [memoryview(CONTENT)[one:other] for one, other in itertools.pairwise(at)]

    assert seal_item(pieces, SIX) == seal_item([CONTENT[:length]], SIX)


@given(pieces=st.lists(st.integers(0, 3), min_size=1, max_size=40))
def test_empty_and_tiny_writes_count_for_what_they_are(pieces: list[int]) -> None:
    written = [CONTENT[:size] for size in pieces]

    assert opened(seal_item(written, SIX), SIX)[0].payload == b"".join(written)


def test_a_full_chunk_is_passed_on_at_once_and_none_is_kept() -> None:
    pieces: list[int] = []
    writer = CellWriter(seal(), Head(Kind.TIP, SERIES, 1, 0), SIX, lambda piece: pieces.append(len(piece)))

    assert pieces == [SIX.sealed_head_bytes]
    writer.write(CONTENT[: CHUNK - 32])
    assert len(pieces) == 1, "the chunk is full, and only the next byte tells that it isn't the last"
    writer.write(b"x")
    assert pieces == [SIX.sealed_head_bytes, CHUNK + 16]
    writer.write(CONTENT[: 2 * CHUNK])
    assert len(pieces) == 4


def test_a_finished_cell_takes_nothing_more() -> None:
    taken: list[bytes] = []
    writer = CellWriter(seal(), Head(Kind.TIP, SERIES, 1, 0), SIX, lambda piece: taken.append(bytes(piece)))
    writer.write(b"payload")
    writer.finish(Flags.LAST)

    assert writer.room == 0
    with pytest.raises(ValueError, match="no room"):
        writer.write(b"x")
    with pytest.raises(RuntimeError, match="twice"):
        writer.finish(Flags.LAST)
    assert len(b"".join(taken)) == CELL_BYTES


def test_a_cell_takes_no_more_than_it_holds() -> None:
    writer = CellWriter(seal(), Head(Kind.TIP, SERIES, 1, 0), SIX, lambda piece: None)

    with pytest.raises(ValueError, match="no room"):
        writer.write(bytes(SIX.payload_bytes + 1))
    writer.write(bytes(SIX.payload_bytes))
    assert writer.room == 0


@pytest.mark.parametrize(
    ("length", "flags"),
    [
        (0, Flags.NONE),
        (SIX.payload_bytes - 1, Flags.NONE),
        (SIX.payload_bytes, Flags.CLOSED),
        (SIX.payload_bytes, Flags.INTERRUPTED),
    ],
)
def test_nothing_is_finished_that_no_reader_takes(length: int, flags: Flags) -> None:
    with pytest.raises(ValueError, match="last"):
        seal_block(seal(), Head(Kind.TIP, SERIES, 1, 0), SIX, CONTENT[:length], flags)


def test_a_full_cell_that_is_not_the_last_can_be_sealed_alone() -> None:
    cell = seal_block(seal(), Head(Kind.REPLY, SERIES, 0, 4), SIX, CONTENT[: SIX.payload_bytes], Flags.NONE)

    assert opened([cell], SIX)[0].flags == Flags.NONE


@pytest.mark.parametrize("end", [Flags.NONE, Flags.INTERRUPTED, Flags.CLOSED])
def test_the_end_of_an_item_is_told_by_its_last_cell(end: Flags) -> None:
    blocks = opened(seal_item([CONTENT[: SIX.payload_bytes + 5]], SIX, flags=end), SIX)

    assert [block.flags for block in blocks] == [Flags.NONE, Flags.LAST | end]


@pytest.mark.parametrize("cells_had", [1, 2])
def test_when_room_runs_out_what_fitted_is_a_whole_item(cells_had: int) -> None:
    cells: list[list[bytes]] = []

    def open_next() -> tuple[Seal, Sink]:
        if len(cells) == cells_had:
            raise NoRoom("The drop box is full.")
        pieces: list[bytes] = []
        cells.append(pieces)
        return seal(), lambda piece: pieces.append(bytes(piece))

    writer = ItemWriter(Kind.TIP, SERIES, 1, SIX, open_next)
    with pytest.raises(NoRoom):
        writer.write(CONTENT)
    assert writer.size == cells_had * SIX.payload_bytes
    with pytest.raises(NoRoom):
        writer.write(b"more")
    writer.finish(Flags.INTERRUPTED)

    blocks = opened([b"".join(pieces) for pieces in cells], SIX)
    assert b"".join(block.payload for block in blocks) == CONTENT[: writer.size]
    assert blocks[-1].flags == Flags.LAST | Flags.INTERRUPTED
    assert [block.head.number for block in blocks] == list(range(cells_had))


class Brackets:
    """A frame of one byte before, and of number, flags and digest behind."""

    head = b"<"
    tail_bytes = 34

    def tail(self, number: int, flags: int, content_sha256: bytes) -> bytes:
        return bytes([number, flags]) + content_sha256


@pytest.mark.parametrize("cut", [1, 70_000, len(CONTENT)])
@pytest.mark.parametrize("length", [0, 1, SIX.payload_bytes - 35, SIX.payload_bytes - 34, len(CONTENT)])
def test_a_frame_stands_around_the_bytes_in_each_cell(length: int, cut: int) -> None:
    content = CONTENT[:length]
    cut = max(cut, length // 50)
    pieces = [content[at : at + cut] for at in range(0, length, cut)]
    blocks = opened(seal_item(pieces, SIX, flags=Flags.INTERRUPTED, frame=Brackets()), SIX)

    full = SIX.payload_bytes - 35
    expected = [content[at : at + full] for at in range(0, max(length, 1), full)]
    assert [block.payload for block in blocks] == [
        b"<" + each + bytes([number, block.flags]) + sha256(each)
        for number, (block, each) in enumerate(zip(blocks, expected, strict=True))
    ]
    assert [block.flags for block in blocks] == [Flags.NONE] * (len(blocks) - 1) + [Flags.LAST | Flags.INTERRUPTED]


def test_no_room_for_the_first_cell_is_told_at_once() -> None:
    def open_next() -> tuple[Seal, Sink]:
        raise NoRoom("The drop box is full.")

    with pytest.raises(NoRoom):
        ItemWriter(Kind.TIP, SERIES, 1, SIX, open_next)


@pytest.mark.parametrize("recipients", NETWORKS)
def test_every_cell_has_r_stanzas_of_one_kind(recipients: int) -> None:
    geometry = Geometry(recipients)
    for made in (sealer(recipients), sealer(recipients, "Somchai"), sealer(recipients, "Somchai", "Malee")):
        prefix = made.seal().prefix
        assert len(prefix) == geometry.sealed_head_bytes
        assert prefix.count(b"\n-> mlkem768x25519 ") == recipients


def test_each_recipient_opens_and_nobody_else() -> None:
    cell = seal_block(sealer(6, "Somchai", "Malee").seal(), FILLER, SIX, b"", Flags.LAST)

    for name in ("Somchai", "Malee"):
        assert open_cell(cell, [identity(name)], SIX).head == FILLER
    with pytest.raises(NotForUs):
        open_cell(cell, [identity("Prasit")], SIX)


def test_a_cell_to_nobody_is_a_cell() -> None:
    cell = seal_block(sealer(6).seal(), FILLER, SIX, b"", Flags.LAST)

    with pytest.raises(NotForUs):
        open_cell(cell, [identity("Somchai")], SIX)
    assert len(cell) == CELL_BYTES


def test_places_that_nobody_has_look_like_a_readers() -> None:
    reader = identity("reader")
    seen: dict[bool, set[tuple[int, int]]] = {True: set(), False: set()}
    shares = set()
    for _ in range(8):
        seal = Sealer([reader.recipient()], Geometry(3), system_randomness).seal()
        for stanza in header.parse(io.BytesIO(seal.prefix)).stanzas:
            enc = from_base64(stanza.arguments[0])
            shares.add(enc[-KEY_BYTES:])
            seen[reader.unwrap([stanza]) is not None].add((len(enc), len(stanza.body)))
            assert not x25519_is_low_order(enc[-KEY_BYTES:])
    assert seen == {True: {(1_120, 32)}, False: {(1_120, 32)}}
    assert len(shares) == 24


def test_no_seal_is_made_twice() -> None:
    made = [sealer(2, "Somchai").seal() for _ in range(5)]

    assert len({each.prefix for each in made}) == len({each.payload_key for each in made}) == 5


def places_of(cell: bytes, geometry: Geometry, name: str) -> list[int]:
    """Return the stanzas that an identity opens, by trying each alone."""
    found = []
    for place in range(geometry.recipients):
        try:
            open_cell(cell, [identity(name)], geometry, place)
        except NotForUs:
            continue
        found.append(place)
    return found


@pytest.mark.parametrize("place", range(6))
def test_a_replys_stanza_stands_where_its_reader_looks(place: int) -> None:
    cell = seal_block(sealer(6, "Somchai", "Malee").seal(place), FILLER, SIX, b"", Flags.LAST)

    assert places_of(cell, SIX, "Somchai") == [place]


def test_a_tips_stanzas_stand_anywhere() -> None:
    made = Sealer([identity("Somchai").recipient()], Geometry(3), seeded("order"))
    cells = [seal_block(made.seal(), FILLER, Geometry(3), b"", Flags.LAST) for _ in range(60)]
    seen = Counter(place for cell in cells for place in places_of(cell, Geometry(3), "Somchai"))

    assert set(seen) == {0, 1, 2}
    assert min(seen.values()) > 8


@pytest.mark.parametrize(("names", "place"), [((), 0), (("Somchai",), 6), (("Somchai",), -1)])
def test_nobody_stands_at_a_place_that_there_isnt(names: tuple[str, ...], place: int) -> None:
    with pytest.raises(ValueError, match="place"):
        sealer(6, *names).seal(place)


def test_there_are_no_more_recipients_than_stanzas() -> None:
    with pytest.raises(ValueError, match="more recipients"):
        Sealer([identity(str(number)).recipient() for number in range(3)], Geometry(2), seeded("x"))


def test_the_digest_of_a_seal_is_its_cells() -> None:
    made = seal()
    cell = seal_block(made, FILLER, SIX, b"", Flags.LAST)

    assert seal_digest(cell, SIX) == made.digest
    assert seal_digest(cell[:-1] + b"!", SIX) == made.digest, "what stands behind is age's own to guard"
    with pytest.raises(PayloadNotAuthentic):
        open_cell(cell[:-1] + bytes([cell[-1] ^ 1]), [identity("Somchai")], SIX)


def test_a_seal_keeps_its_key_to_itself() -> None:
    assert repr(seal()) == "Seal(…)"


@given(limit=st.integers(1, 2**32), seed=st.integers())
def test_a_number_below_a_limit_is_below_it(limit: int, seed: int) -> None:
    assert 0 <= below(limit, seeded(str(seed))) < limit


def test_numbers_below_a_limit_are_drawn_alike() -> None:
    randomness = seeded("below")
    seen = Counter(below(6, randomness) for _ in range(1_200))

    assert len(seen) == 6
    assert 140 < min(seen.values()) <= max(seen.values()) < 260


def test_a_draw_that_would_favour_some_is_drawn_again() -> None:
    # 2**32 is 6 × 715827882 + 4: the four highest numbers would make 0 to 3 likelier.
    drawn = iter([b"\xff\xff\xff\xff", b"\xff\xff\xff\xfc", b"\x00\x00\x00\x07"])

    assert below(6, lambda size: next(drawn)) == 1


@given(values=st.lists(st.integers()), seed=st.integers())
def test_shuffling_loses_nothing(values: list[int], seed: int) -> None:
    assert Counter(shuffled(values, seeded(str(seed)))) == Counter(values)


def test_every_order_is_as_likely() -> None:
    randomness = seeded("orders")
    seen = Counter(tuple(shuffled("abc", randomness)) for _ in range(1_200))

    assert len(seen) == 6
    assert 140 < min(seen.values()) <= max(seen.values()) < 260
