"""The header's grammar: one spelling, bounded, and nothing read that isn't the header's."""

from __future__ import annotations

import contextlib
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.age import header
from keys.age.header import HeaderMalformed, HeaderNotAuthentic, Stanza

FILE_KEY = bytes(range(16))
MAC = "A" * 43

visible = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)
stanzas = st.lists(
    st.builds(Stanza, visible.filter(lambda type_: type_ != "scrypt"), st.lists(visible, max_size=4).map(tuple),
              st.binary(max_size=200)),
    min_size=1,
    max_size=5,
)  # fmt: skip


def written(*lines: str) -> bytes:
    return "\n".join((*lines, "")).encode("latin-1")


GOOD = ("age-encryption.org/v1", "-> X25519 abc", "AAAA", f"--- {MAC}")


@given(stanzas, st.binary(max_size=100))
def test_a_header_comes_back_and_the_payload_is_left(made: list[Stanza], payload: bytes) -> None:
    raw = header.header_bytes(FILE_KEY, made)
    reader = io.BytesIO(raw + payload)
    parsed = header.parse(reader)
    assert parsed.stanzas == tuple(made)
    assert parsed.encode() == raw
    assert reader.read() == payload
    parsed.verify(FILE_KEY)


@given(stanzas, st.data())
def test_whatever_is_changed_is_refused_or_not_authentic(made: list[Stanza], choice: st.DataObject) -> None:
    raw = header.header_bytes(FILE_KEY, made)
    place = choice.draw(st.integers(0, len(raw) - 1))
    byte = choice.draw(st.integers(0, 255).filter(lambda value: value != raw[place]))
    with pytest.raises((HeaderMalformed, HeaderNotAuthentic)):
        header.parse(io.BytesIO(raw[:place] + bytes([byte]) + raw[place + 1 :])).verify(FILE_KEY)


@given(st.one_of(st.binary(max_size=400), st.binary(max_size=400).map(lambda tail: written(GOOD[0]) + b"-> a" + tail)))
def test_any_bytes_are_one_header_or_malformed(data: bytes) -> None:
    with contextlib.suppress(HeaderMalformed):
        parsed = header.parse(io.BytesIO(data))
        assert data.startswith(parsed.encode())


parts_of_a_header = st.sampled_from(["-> ", "a", " ", "\n", "--- ", MAC, "AAAA", "A" * 64, "=", "\r", "\0", "-->"])


@given(st.lists(parts_of_a_header, max_size=30))
def test_any_mixture_of_a_headers_parts_is_one_header_or_malformed(parts: list[str]) -> None:
    data = written(GOOD[0]) + "".join(parts).encode()
    with contextlib.suppress(HeaderMalformed):
        assert data.startswith(header.parse(io.BytesIO(data)).encode())


def test_the_good_lines_are_good() -> None:
    parsed = header.parse(io.BytesIO(written(*GOOD)))
    assert parsed.stanzas == (Stanza("X25519", ("abc",), bytes(3)),)
    with pytest.raises(HeaderNotAuthentic):
        parsed.verify(FILE_KEY)


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param((), id="nothing"),
        pytest.param(("age-encryption.org/v2", *GOOD[1:]), id="another version"),
        pytest.param((GOOD[0] + "\r", *GOOD[1:]), id="a carriage return"),
        pytest.param(GOOD[:1], id="only the version"),
        pytest.param(GOOD[:3], id="no MAC"),
        pytest.param((GOOD[0], GOOD[3]), id="no stanza"),
        pytest.param((*GOOD[:3], "---" + MAC), id="no space before the MAC"),
        pytest.param((*GOOD[:3], f"---  {MAC}"), id="two spaces before the MAC"),
        pytest.param((*GOOD[:3], f"--- {MAC} "), id="a space behind the MAC"),
        pytest.param((*GOOD[:3], f"--- {MAC}="), id="a padded MAC"),
        pytest.param((*GOOD[:3], f"--- {MAC[:-1]}B"), id="stray bits in the MAC"),
        pytest.param((*GOOD[:3], f"--- {MAC[:-1]}"), id="a short MAC"),
        pytest.param((*GOOD[:3], f"--- {MAC}A"), id="a long MAC"),
        pytest.param((*GOOD[:3], f"---- {MAC}"), id="another mark"),
        pytest.param((GOOD[0], "->", *GOOD[2:]), id="a stanza without a type"),
        pytest.param((GOOD[0], "-> ", *GOOD[2:]), id="a stanza with an empty type"),
        pytest.param((GOOD[0], "->X25519 abc", *GOOD[2:]), id="no space before the type"),
        pytest.param((GOOD[0], "->  X25519", *GOOD[2:]), id="two spaces before the type"),
        pytest.param((GOOD[0], "-> X25519 ", *GOOD[2:]), id="a space at the end"),
        pytest.param((GOOD[0], "-> X25519\tabc", *GOOD[2:]), id="a tab"),
        pytest.param((GOOD[0], "-> X25519 \x7f", *GOOD[2:]), id="a control character"),
        pytest.param((GOOD[0], "-> X25519 \xe9", *GOOD[2:]), id="a letter that is not ASCII"),
        pytest.param((*GOOD[:2], GOOD[3]), id="no body"),
        pytest.param((*GOOD[:2], "A" * 64, GOOD[3]), id="a body without its short line"),
        pytest.param((*GOOD[:2], "A" * 68, "", GOOD[3]), id="a long line"),
        pytest.param((*GOOD[:2], "AAAA", "AAAA", GOOD[3]), id="two short lines"),
        pytest.param((*GOOD[:2], "AAA=", GOOD[3]), id="padding"),
        pytest.param((*GOOD[:2], "AAB", GOOD[3]), id="stray bits"),
        pytest.param((*GOOD[:2], "A", GOOD[3]), id="six bits, no byte"),
        pytest.param((*GOOD[:2], "AA-_", GOOD[3]), id="the other alphabet of base64"),
        pytest.param((*GOOD[:2], " AAAA", GOOD[3]), id="a space in the body"),
        pytest.param((*GOOD[:2], "AAAA\r", GOOD[3]), id="a carriage return in the body"),
        pytest.param((*GOOD[:3], "---"), id="a mark without a MAC"),
        pytest.param((GOOD[0], *GOOD[1:3] * 257, GOOD[3]), id="too many stanzas"),
        pytest.param((*GOOD[:3], "-> scrypt abc 1", "AAAA", GOOD[3]), id="scrypt in company"),
    ],
)
def test_every_other_spelling_is_malformed(lines: tuple[str, ...]) -> None:
    with pytest.raises(HeaderMalformed):
        header.parse(io.BytesIO(written(*lines)))


@pytest.mark.parametrize("cut", range(1, len(written(*GOOD))))
def test_a_header_cut_short_anywhere_is_malformed(cut: int) -> None:
    with pytest.raises(HeaderMalformed):
        header.parse(io.BytesIO(written(*GOOD)[:-cut]))


class Repeating(io.RawIOBase):
    """Repeats some bytes for ever, and counts how much of them was asked for."""

    def __init__(self, first: bytes, pattern: bytes) -> None:
        self._waiting = io.BytesIO(first + pattern * (1 + (1 << 20) // len(pattern)))

    def readline(self, limit: int | None = -1, /) -> bytes:
        return self._waiting.readline(limit)

    @property
    def taken(self) -> int:
        return self._waiting.tell()


@pytest.mark.parametrize(
    ("first", "pattern"),
    [
        pytest.param(b"", b"x", id="a line that never ends"),
        pytest.param(written(GOOD[0]), b"-> X25519 abc\nAAAA\n", id="stanzas without end"),
        pytest.param(written(*GOOD[:2]), b"A" * 64 + b"\n", id="a body without end"),
        pytest.param(written(GOOD[0]), b"-> " + b"a " * 3000, id="arguments without end"),
    ],
)
def test_a_header_without_end_is_refused_after_a_bounded_read(first: bytes, pattern: bytes) -> None:
    reader = Repeating(first, pattern)
    with pytest.raises(HeaderMalformed):
        header.parse(reader)
    assert reader.taken <= header.MAX_HEADER_BYTES + header.MAX_LINE_BYTES


def test_the_largest_header_that_is_written_is_read_again() -> None:
    many = [Stanza("X25519", ("abc",), bytes(32))] * header.MAX_STANZAS
    assert len(header.parse(io.BytesIO(header.header_bytes(FILE_KEY, many))).stanzas) == header.MAX_STANZAS
    big = [Stanza("big", (), bytes(95_000))]
    assert header.parse(io.BytesIO(header.header_bytes(FILE_KEY, big))).stanzas == tuple(big)


@pytest.mark.parametrize(
    "made",
    [
        pytest.param([], id="none"),
        pytest.param([Stanza("X25519", (), b"")] * 257, id="too many"),
        pytest.param([Stanza("big", (), bytes(98_304))], id="too large"),
        pytest.param([Stanza("", (), b"")], id="no type"),
        pytest.param([Stanza("a b", (), b"")], id="a space in the type"),
        pytest.param([Stanza("a", ("b\nc",), b"")], id="a line feed in an argument"),
        pytest.param([Stanza("a", ("ก",), b"")], id="a Thai letter in an argument"),
    ],
)
def test_a_header_that_no_reader_would_take_is_not_written(made: list[Stanza]) -> None:
    with pytest.raises(ValueError, match="stanza"):
        header.header_bytes(FILE_KEY, made)


def test_a_file_key_of_another_length_is_a_programmers_mistake() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        header.header_bytes(bytes(32), [Stanza("a", (), b"")])
