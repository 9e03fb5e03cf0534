"""Armor: text that has one spelling."""

from __future__ import annotations

import base64
import contextlib
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.age.armor import ArmorMalformed, ArmorReader, ArmorWriter, armored, dearmored
from tests.keys.age.doubles import Trickle

BEGIN = b"-----BEGIN AGE ENCRYPTED FILE-----\n"
END = b"-----END AGE ENCRYPTED FILE-----\n"
FULL = b"A" * 64 + b"\n"


@given(st.binary(max_size=300), st.lists(st.integers(1, 100), min_size=1, max_size=4))
def test_bytes_come_back_however_they_are_written_and_read(data: bytes, sizes: list[int]) -> None:
    text = io.BytesIO()
    writer, pieces = ArmorWriter(text), Trickle(data, sizes)
    while piece := pieces.read():
        writer.write(piece)
    writer.finish()
    assert text.getvalue() == armored(data)
    assert dearmored(armored(data)) == data
    reader, back = ArmorReader(Trickle(armored(data), sizes)), b""
    while piece := reader.read(sizes[0]):
        back += piece
    assert back == data


@given(st.lists(st.binary(max_size=120), max_size=6), st.integers(1, 100))
def test_lines_are_read_through_the_armor(lines: list[bytes], limit: int) -> None:
    data = b"\n".join(lines)
    plain, reader = io.BytesIO(data), ArmorReader(io.BytesIO(armored(data)))
    while expected := plain.readline(limit):
        assert reader.readline(limit) == expected
    assert reader.readline(limit) == b""


@given(st.binary(max_size=200))
def test_it_is_the_pem_that_others_write(data: bytes) -> None:
    lines = armored(data).decode("ascii").split("\n")
    assert lines[0] == BEGIN.decode().strip()
    assert lines[-2:] == [END.decode().strip(), ""]
    assert all(len(line) == 64 for line in lines[1:-3])
    assert base64.b64decode("".join(lines[1:-2])) == data


@given(st.binary(min_size=1, max_size=200), st.data())
def test_a_changed_character_is_malformed_or_changes_the_bytes(data: bytes, choice: st.DataObject) -> None:
    text = bytearray(armored(data))
    place = choice.draw(st.integers(0, len(text) - 2))
    text[place] = choice.draw(st.integers(0, 255).filter(lambda value: value != text[place]))
    with contextlib.suppress(ArmorMalformed):
        assert dearmored(bytes(text)) != data


@given(st.one_of(st.binary(max_size=200), st.binary(max_size=200).map(lambda inside: BEGIN + inside + END)))
def test_any_bytes_are_armor_or_malformed(data: bytes) -> None:
    with contextlib.suppress(ArmorMalformed):
        assert armored(dearmored(data)) == data.strip(b" \t\r\n").replace(b"\r\n", b"\n") + b"\n"


parts_of_armor = st.sampled_from([BEGIN, END, FULL, b"AAAA\n", b"AAA=\n", b"\n", b"\r\n", b" ", b"=", b"A"])


@given(st.lists(parts_of_armor, max_size=12))
def test_any_mixture_of_armors_parts_has_one_spelling_or_is_malformed(parts: list[bytes]) -> None:
    text = b"".join(parts)
    with contextlib.suppress(ArmorMalformed):
        assert armored(dearmored(text)) == text.strip(b" \t\r\n").replace(b"\r\n", b"\n") + b"\n"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(BEGIN + FULL + b"AAAA\n" + END, id="as it is written"),
        pytest.param((BEGIN + FULL + b"AAAA\n" + END).replace(b"\n", b"\r\n"), id="with CRLF"),
        pytest.param(b"\n\r\n \t\n" + BEGIN + FULL + b"AAAA\n" + END + b" \r\n\n", id="with white space around"),
        pytest.param((BEGIN + FULL + b"AAAA\n" + END)[:-1], id="without the last line end"),
        pytest.param(b" " * 1023 + b"\n" + BEGIN + FULL + b"AAAA\n" + END, id="after the most white space"),
        pytest.param(BEGIN + FULL + b"AAAA\n" + END + b"\n" * 1024, id="before the most white space"),
    ],
)
def test_what_is_free_is_accepted(text: bytes) -> None:
    assert dearmored(text) == bytes(51)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(BEGIN, id="only a beginning"),
        pytest.param(BEGIN.strip(), id="only a beginning without its line end"),
        pytest.param(BEGIN + FULL, id="no end"),
        pytest.param(FULL + END, id="no beginning"),
        pytest.param(b"x\n" + BEGIN + END, id="something before"),
        pytest.param(b" " + BEGIN + END, id="a space before"),
        pytest.param(b" " * 1024 + BEGIN + END, id="much space before"),
        pytest.param(b"\n" * 1025 + BEGIN + END, id="too many lines before"),
        pytest.param(b" " * 2000, id="only space"),
        pytest.param(BEGIN + END + b"x", id="something behind"),
        pytest.param(BEGIN + END + b"\n" * 1025, id="too many lines behind"),
        pytest.param(BEGIN + END + BEGIN + END, id="another one behind"),
        pytest.param(BEGIN + BEGIN + END, id="two beginnings"),
        pytest.param(BEGIN.lower() + END, id="lower case"),
        pytest.param(BEGIN.replace(b"AGE", b"PGP") + END, id="another label"),
        pytest.param(BEGIN + b"Version: 1\n\n" + FULL + END, id="a header as in PGP"),
        pytest.param(BEGIN + b"\n" + END, id="an empty line"),
        pytest.param(BEGIN + b"AAAA\nAAAA\n" + END, id="two short lines"),
        pytest.param(BEGIN + b"AAAA\n\n" + END, id="an empty line at the end"),
        pytest.param(BEGIN + b"A" * 68 + b"\n" + END, id="a long line"),
        pytest.param(BEGIN + b"AAA\n" + END, id="no padding"),
        pytest.param(BEGIN + b"AAAA====\n" + END, id="too much padding"),
        pytest.param(BEGIN + b"AB==\n" + END, id="stray bits"),
        pytest.param(BEGIN + b"AA=\n=\n" + END, id="a line end in the padding"),
        pytest.param(BEGIN + b"AAAA \n" + END, id="a space in a line"),
        pytest.param(BEGIN + b"AA-_\n" + END, id="the other alphabet of base64"),
        pytest.param(BEGIN + FULL + b"AAA=\nAAAA\n" + END, id="a line behind the padding"),
        pytest.param(BEGIN + b"AAAA\r\n" + END, id="mixed line ends"),
        pytest.param(BEGIN.replace(b"\n", b"\r\n") + b"AAAA\n" + END, id="mixed line ends, the other way"),
        pytest.param(
            (BEGIN + b"AAAA\n" + END).replace(b"\n", b"\r\n").replace(b"AAAA\r", b"AAAAx"), id="no CR in one line"
        ),
        pytest.param(BEGIN + b"AAAA\r" + END, id="a carriage return alone"),
    ],
)
def test_everything_else_is_malformed(text: bytes) -> None:
    with pytest.raises(ArmorMalformed):
        dearmored(text)
