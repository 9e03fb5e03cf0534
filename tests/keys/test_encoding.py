"""How bytes, numbers, JSON and weeks are written down: one spelling each, and nothing but Malformed. SPEC section 2."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys import encoding
from keys.encoding import INTEGER_MAX, Fields, Reader, parse_json, to_json, week_of, week_start
from keys.errors import Malformed

# Weeks


@pytest.mark.parametrize(
    ("moment", "week"),
    [
        ("1970-01-01T00:00:00", 0),
        ("1970-01-04T23:59:59", 0),
        ("1970-01-05T00:00:00", 1),
        ("2026-11-15T23:59:59", 2967),
        ("2026-11-16T00:00:00", 2968),
        ("2026-11-22T23:59:59", 2968),
        ("2026-11-23T00:00:00", 2969),
    ],
)
def test_weeks_begin_on_monday(moment: str, week: int) -> None:
    assert week_of(int(datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp())) == week


def test_week_2968_begins_as_the_spec_says() -> None:
    assert week_start(2968) == 1_794_787_200


@given(week=st.integers(0, 10**6), second=st.integers(0, 604_799))
def test_a_week_holds_all_of_its_seconds(week: int, second: int) -> None:
    assert week_of(week_start(week) + second) == week


# Hexadecimal and base64


@given(data=st.binary(max_size=64))
def test_hex_is_read_back(data: bytes) -> None:
    assert encoding.from_hex(data.hex(), len(data)) == data


@pytest.mark.parametrize("text", ["", "0", "000", "0G", "0A", " 00", "00 ", "0x", "00\n", "００", "-1", "0_0"])
def test_hex_has_one_spelling(text: str) -> None:
    with pytest.raises(Malformed):
        encoding.from_hex(text, 1)


@given(data=st.binary(max_size=100))
def test_base64_is_read_back(data: bytes) -> None:
    text = encoding.to_base64(data)

    assert encoding.from_base64(text) == data
    assert "=" not in text


@pytest.mark.parametrize(
    "text", ["AA==", "AB", "A", "AAB", "AA\n", "A A", "-_-_", "กก", "AAAA=", "=", "AAA A", "A\0AA"]
)
def test_base64_has_one_spelling(text: str) -> None:
    with pytest.raises(Malformed):
        encoding.from_base64(text)


@given(text=st.text(max_size=30))
def test_no_other_text_is_base64(text: str) -> None:
    with contextlib.suppress(Malformed):
        assert encoding.to_base64(encoding.from_base64(text)) == text


# JSON

whole = st.integers(-INTEGER_MAX, INTEGER_MAX)
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
values = st.recursive(
    st.none() | st.booleans() | whole | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)


@given(value=st.dictionaries(words, values, max_size=4))
def test_json_is_read_back_in_any_layout(value: dict[str, Any]) -> None:
    for raw in (to_json(value), json.dumps(value).encode(), json.dumps(value, separators=(",", ":")).encode()):
        assert parse_json(raw) == value


@given(value=st.dictionaries(words, values, max_size=4))
def test_json_is_written_in_one_way(value: dict[str, Any]) -> None:
    raw = to_json(value)

    assert raw.endswith(b"\n") and not raw.endswith(b"\n\n")
    assert to_json(dict(reversed(value.items()))) == raw


NO_JSON = {
    "nothing": b"",
    "an array": b"[]",
    "a word": b'"x"',
    "a number": b"1",
    "null": b"null",
    "a key twice": b'{"a": 1, "a": 1}',
    "a key twice inside": b'{"a": {"b": 1, "b": 2}}',
    "a key twice in two spellings": b'{"a": 1, "\\u0061": 2}',
    "a fraction": b'{"a": 1.5}',
    "a whole fraction": b'{"a": 1.0}',
    "an exponent": b'{"a": 1e3}',
    "NaN": b'{"a": NaN}',
    "infinity": b'{"a": Infinity}',
    "less than infinity": b'{"a": -Infinity}',
    "a number too large": b'{"a": 9007199254740992}',
    "a number too small": b'{"a": -9007199254740992}',
    "a number without end": b'{"a": ' + b"9" * 10_000 + b"}",
    "a leading zero": b'{"a": 01}',
    "a lone surrogate": b'{"a": "\\ud800"}',
    "a lone surrogate as a key": b'{"\\udfff": 1}',
    "a surrogate in bytes": b'{"a": "\xed\xa0\x80"}',
    "bytes that aren't UTF-8": b'{"a": "\xff"}',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "something behind": b"{} {}",
    "a comment": b"{} // x",
    "a comma too many": b'{"a": 1,}',
    "single quotes": b"{'a': 1}",
    "a control character": b'{"a": "\n"}',
    "nested too deeply": b'{"a": ' + b"[" * 16 + b"]" * 16 + b"}",
    "nested without end": b'{"a": ' + b"[" * 200_000,
    "a string without end": b'{"a": "' + b'\\"' * 50_000,
}


@pytest.mark.parametrize("raw", NO_JSON.values(), ids=NO_JSON)
def test_json_is_read_strictly(raw: bytes) -> None:
    with pytest.raises(Malformed):
        parse_json(raw)


def test_the_largest_numbers_and_the_deepest_nesting_are_read() -> None:
    assert parse_json(b'{"a": 9007199254740991, "b": -9007199254740991}') == {"a": INTEGER_MAX, "b": -INTEGER_MAX}
    assert parse_json(b'{"a": ' + b"[" * 15 + b"]" * 15 + b"}")
    assert parse_json(b'{"a": "' + b"[" * 100 + b'\\"' + b"{" * 100 + b'"}')["a"].count("[") == 100
    assert parse_json(b'{"a": "\\ud83d\\ude00"}') == {"a": "\N{GRINNING FACE}"}


@given(raw=st.binary(max_size=80))
def test_any_bytes_raise_only_malformed(raw: bytes) -> None:
    for data in (raw, b'{"a": ' + raw + b"}", b'{"' + raw + b'": 1}'):
        with contextlib.suppress(Malformed):
            assert isinstance(parse_json(data), dict)


# Fields

FIELDS = {"text": "ก", "number": 7, "flag": True, "hex": "0f", "choice": "a", "array": [1], "object": {"x": 1}}
READERS: dict[str, Callable[[Fields, str], object]] = {
    "text": lambda fields, name: fields.text(name),
    "number": lambda fields, name: fields.integer(name, 0, 10),
    "flag": lambda fields, name: fields.boolean(name),
    "hex": lambda fields, name: fields.hex(name, 1),
    "choice": lambda fields, name: fields.choice(name, ("a", "b")),
    "array": lambda fields, name: fields.array(name, 1),
    "object": lambda fields, name: fields.object(name),
}


def test_fields_are_read_each_once_and_by_their_types() -> None:
    fields = Fields(FIELDS, "record")
    read = {name: reader(fields, name) for name, reader in READERS.items()}

    assert read == {**FIELDS, "hex": b"\x0f"}
    fields.done()
    for name, reader in READERS.items():
        with pytest.raises(Malformed):
            reader(fields, name)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("value", ["ก", 7, True, 1.0, None, [1], {"x": 1}], ids=repr)
def test_a_field_of_another_type_is_refused(name: str, value: object) -> None:
    expected = type(FIELDS[name])
    if type(value) is expected and name not in ("hex", "choice"):
        return
    with pytest.raises(Malformed):
        READERS[name](Fields({name: value}, "record"), name)


BEYOND: dict[str, tuple[object, Callable[[Fields], object]]] = {
    "a text too long in bytes": ("กก", lambda fields: fields.text("a", 5)),
    "a number too small": (-1, lambda fields: fields.integer("a", 0, 5)),
    "a number too large": (6, lambda fields: fields.integer("a", 0, 5)),
    "a short hex": ("0f", lambda fields: fields.hex("a", 2)),
    "another choice": ("c", lambda fields: fields.choice("a", ("a", "b"))),
    "a long array": ([1, 2], lambda fields: fields.array("a", 1)),
}


@pytest.mark.parametrize(("value", "read"), BEYOND.values(), ids=BEYOND)
def test_a_field_beyond_its_bounds_is_refused(value: object, read: Callable[[Fields], object]) -> None:
    with pytest.raises(Malformed):
        read(Fields({"a": value}, "record"))


def test_a_field_that_nobody_asked_for_is_refused() -> None:
    with pytest.raises(Malformed):
        Fields({"a": 1}, "record").done()


@pytest.mark.parametrize("value", [None, [], "x", 1])
def test_fields_are_an_objects(value: object) -> None:
    with pytest.raises(Malformed):
        Fields(value, "record")


# Reader


def test_binary_fields_are_read_in_order() -> None:
    packed = encoding.u8(1) + encoding.u16(2) + encoding.u32(3) + encoding.u64(4) + b"rest"
    reader = Reader(packed)

    assert (reader.u8(), reader.u16(), reader.u32(), reader.u64()) == (1, 2, 3, 4)
    assert reader.left == 4
    with pytest.raises(Malformed):
        reader.done()
    assert reader.take(4) == b"rest"
    reader.done()


@pytest.mark.parametrize("size", [1, 2, 4, 8, 5])
def test_what_is_cut_short_is_refused(size: int) -> None:
    reads: dict[int, Callable[[Reader], object]] = {
        1: Reader.u8,
        2: Reader.u16,
        4: Reader.u32,
        8: Reader.u64,
        5: lambda reader: reader.take(5),
    }
    with pytest.raises(Malformed):
        reads[size](Reader(bytes(size - 1)))


def test_numbers_are_big_endian() -> None:
    assert encoding.u16(0x0102) + encoding.u32(0x01020304) + encoding.u64(1) == bytes.fromhex(
        "0102010203040000000000000001"
    )
