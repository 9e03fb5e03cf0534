"""Statements: one spelling, one meaning, and no signature that serves in another place."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys import statement
from keys.errors import DropBoxError, Malformed, NotAuthentic, NotForUs
from keys.minisign import SigningKey
from keys.statement import NetworkId

NETWORK = NetworkId(bytes(range(32)))
HEX = NETWORK.hex()
SEED = bytes(32)
VECTORS = sorted((Path(__file__).parents[1] / "vectors" / "statement").glob("*.json"))

names = st.from_regex(r"[a-z][a-z0-9-]{0,12}", fullmatch=True)
values = st.one_of(st.from_regex(r"[!-~]{1,40}", fullmatch=True), st.integers(0, 2**53 - 1))


@given(type_=names, context=st.lists(st.tuples(names, values), max_size=5), body=st.binary(max_size=300))
def test_what_is_made_is_read_back(type_: str, context: list[tuple[str, str | int]], body: bytes) -> None:
    raw = statement.make(type_, NETWORK, context, body)

    read = statement.parse(raw, type_, [name for name, _ in context], NETWORK)

    assert read.context == tuple((name, str(value)) for name, value in context)
    assert (read.type, read.network, read.body, read.raw) == (type_, NETWORK, body, raw)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (f"mustshare/v1/note\nnetwork {HEX}\ndesk 1\n\n", "the order of the lines"),
        (f"mustshare/v1/note\nnetwork {HEX}\nweek 2\n\n", "a missing line"),
        (f"mustshare/v1/note\nnetwork {HEX}\nweek 2\ndesk 1\nmore 1\n\n", "a line too many"),
        (f"mustshare/v1/note\nnetwork {HEX}\nweek 2\nweek 2\ndesk 1\n\n", "a line twice"),
        (f"mustshare/v1/note\nnetwork {HEX}\nweek  2\ndesk 1\n\n", "two spaces"),
        (f"mustshare/v1/note\nnetwork {HEX}\nweek \ndesk 1\n\n", "an empty value"),
        (f"mustshare/v1/note\nnetwork {HEX}\nweek\ndesk 1\n\n", "no value"),
        (f"mustshare/v1/note\nnetwork {HEX}\nweek 2 3\ndesk 1\n\n", "a value with a space"),
        (f"mustshare/v1/note\r\nnetwork {HEX}\r\nweek 2\r\ndesk 1\r\n\r\n", "another line end"),
        (f"mustshare/v1/note\nnetwork {HEX.upper()}\nweek 2\ndesk 1\n\n", "upper case"),
        (f"mustshare/v1/note\nnetwork {HEX[2:]}\nweek 2\ndesk 1\n\n", "a short network id"),
        (f"mustshare/v2/note\nnetwork {HEX}\nweek 2\ndesk 1\n\n", "another version"),
        (f"mustshare/v1/notes\nnetwork {HEX}\nweek 2\ndesk 1\n\n", "another type"),
        (f" mustshare/v1/note\nnetwork {HEX}\nweek 2\ndesk 1\n\n", "something before"),
        (f"mustshare/v1/note\nnetwork {HEX}\nweek ๒\ndesk 1\n\n", "a digit that isn't ASCII"),
        (f"mustshare/v1/note\nnetwork {HEX}\nweek 2\ndesk 1\n", "no empty line"),
        (f"mustshare/v1/note\nnetwork {HEX}\nweek {'2' * 5000}\ndesk 1\n\n", "a header that is too long"),
        ("", "nothing at all"),
    ],
    ids=lambda value: value if len(value) < 40 and "\n" not in value else "",
)
def test_a_header_has_one_spelling(raw: str, why: str) -> None:
    with pytest.raises(Malformed):
        statement.parse(raw.encode(), "note", ["week", "desk"])
    assert why


def test_another_network_is_not_for_us() -> None:
    raw = statement.make("note", NETWORK, [], b"")

    with pytest.raises(NotForUs):
        statement.parse(raw, "note", [], NetworkId(bytes(32)))


@pytest.mark.parametrize("text", ["01", "-1", "+1", "1.0", "", " 1", "1_0", "٣", "9007199254740992", "1" * 30])
def test_numbers_have_one_spelling(text: str) -> None:
    with pytest.raises(Malformed):
        statement.parse_number(text)


@pytest.mark.parametrize("context", [("Week", "1"), ("week", ""), ("week", "1 2"), ("week", "1\n2"), ("we ek", "1")])
def test_a_caller_cannot_write_what_no_reader_takes(context: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="context"):
        statement.make("note", NETWORK, [context], b"")


@given(raw=st.binary(max_size=400))
def test_any_bytes_raise_only_our_errors(raw: bytes) -> None:
    for data in (raw, b"mustshare/v1/note\n" + raw, b"mustshare/v1/note\nnetwork " + HEX.encode() + b"\n" + raw):
        with contextlib.suppress(DropBoxError):
            statement.parse(data, "note", ["week"], NETWORK).number("week")


@given(at=st.integers(0), change=st.integers(1, 255))
def test_a_signature_covers_every_byte(at: int, change: int) -> None:
    raw = statement.make("note", NETWORK, [("week", 2)], b"body")
    signature = statement.sign(SEED, raw)
    statement.verify(SigningKey.of(SEED).public, raw, signature)

    altered = bytearray(raw)
    altered[at % len(raw)] ^= change
    with pytest.raises(NotAuthentic):
        statement.verify(SigningKey.of(SEED).public, bytes(altered), signature)


SMALL_ORDER = [
    bytes(32),
    b"\x01" + bytes(31),
    bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
]


@pytest.mark.parametrize("public", SMALL_ORDER, ids=["zero", "one", "minus one"])
def test_small_order_keys_are_refused(public: bytes) -> None:
    # With such a key the neutral element and zero "sign" many messages.
    for point in SMALL_ORDER:
        with pytest.raises(NotAuthentic):
            statement.verify(public, b"anything", point + bytes(32))


def test_a_second_spelling_of_a_signature_is_refused() -> None:
    order = 2**252 + 27742317777372353535851937790883648493
    signature = statement.sign(SEED, b"anything")
    larger = int.from_bytes(signature[32:], "little") + order

    with pytest.raises(NotAuthentic):
        statement.verify(SigningKey.of(SEED).public, b"anything", signature[:32] + larger.to_bytes(32, "little"))


@pytest.mark.parametrize("typed", ["ab" * 32, "AB" * 32, " " + "abab " * 16 + "\n"])
def test_a_network_id_may_be_typed_in_groups(typed: str) -> None:
    assert statement.read_network_id(typed) == b"\xab" * 32


@pytest.mark.parametrize("typed", ["", "ab", "ab" * 33, "xy" * 32])
def test_what_is_no_network_id_is_told(typed: str) -> None:
    with pytest.raises(Malformed, match="64 hex digits"):
        statement.read_network_id(typed)


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_vectors(path: Path) -> None:
    vector = json.loads(path.read_bytes())
    raw = bytes.fromhex(vector["statement"])
    if vector["expect"] == "malformed":
        with pytest.raises(Malformed):
            statement.parse(raw, vector["type"], vector["names"])
        return
    read = statement.parse(raw, vector["type"], vector["names"])
    assert read.network.hex() == vector["network"]
    assert [list(pair) for pair in read.context] == vector["context"]
    assert read.body.hex() == vector["body"]
    seed = bytes.fromhex(vector["seed"])
    assert SigningKey.of(seed).text == vector["key"]
    assert SigningKey.of(seed).fingerprint == vector["fingerprint"]
    assert statement.sign(seed, raw).hex() == vector["signature"]


def test_there_are_vectors() -> None:
    assert len(VECTORS) >= 5
