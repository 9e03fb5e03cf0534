"""What a source sends: read back as it was written, by whom it is for, and by nobody else. SPEC section 8."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys import primitives, statement, tip
from keys.cell import Geometry
from keys.encoding import parse_json, to_json
from keys.errors import DropBoxError, Malformed, NotAuthentic, NotForUs
from keys.statement import NetworkId
from keys.tip import Closing, ClosingEntry, FileHead, Mailbox, Message
from tests.simulators.newsroom import seeded

NETWORK = NetworkId(bytes(range(32)))
TIP = bytes(range(16))
SEED = seeded("a source")(32)
SOURCE = primitives.ed25519_public(SEED)
OTHER_SEED = seeded("another source")(32)

MESSAGE = Message(
    week=2968,
    language="th",
    text="สะพานนี้สร้างด้วยทรายทะเล",
    desks=(1, 3),
    refer="ask",
    mailbox=Mailbox(bytes([7]) * 32, "age1pq1somebody"),
    call="0f" * 16,
    answers=(("เมื่อไร", "ปีที่แล้ว"), ("ที่ไหน", "")),
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
messages = st.builds(
    Message,
    week=st.integers(0, 2**31),
    language=st.sampled_from(["th", "en"]),
    text=texts,
    desks=st.sets(st.integers(1, 127), min_size=1, max_size=8).map(lambda desks: tuple(sorted(desks))),
    refer=st.sampled_from(["yes", "ask", "no"]),
    mailbox=st.none() | st.builds(Mailbox, st.binary(min_size=32, max_size=32), texts),
    kind=st.sampled_from(["tip", "volunteer"]),
    call=st.just("") | st.binary(min_size=16, max_size=16).map(bytes.hex),
    answers=st.lists(st.tuples(texts, texts), max_size=8).map(tuple),
)
entries = st.builds(
    ClosingEntry,
    item=st.integers(1, 2**32 - 2),
    size=st.integers(0, 2**53 - 1),
    sha256=st.binary(min_size=32, max_size=32),
    interrupted=st.booleans(),
)
closings = st.builds(
    Closing,
    complete=st.booleans(),
    items=st.lists(entries, max_size=6, unique_by=lambda entry: entry.item).map(
        lambda found: tuple(sorted(found, key=lambda entry: entry.item))
    ),
)


@given(message=messages)
def test_a_message_is_read_back_by_each_of_its_desks(message: Message) -> None:
    item = tip.sign_message(message, NETWORK, SEED, TIP)

    for desk in message.desks:
        assert tip.open_message(item, NETWORK, TIP, desk) == (SOURCE, message)


@given(closing=closings)
def test_a_closing_item_is_read_back(closing: Closing) -> None:
    assert tip.open_closing(tip.sign_closing(closing, NETWORK, SEED, TIP), NETWORK, TIP, SOURCE) == closing


def resigned(item: bytes, seed: bytes) -> bytes:
    """Sign a message's JSON as somebody else, keeping the key that it names."""
    body = item[96:]
    raw = statement.make("message", NETWORK, [("source", item[:32].hex()), ("tip", TIP.hex())], body)
    return item[:32] + statement.sign(seed, raw) + body


def as_closing(item: bytes) -> bytes:
    """Sign the same JSON as a statement of another type."""
    raw = statement.make("closing", NETWORK, [("source", SOURCE.hex()), ("tip", TIP.hex())], item[96:])
    return item[:32] + statement.sign(SEED, raw) + item[96:]


GOOD = tip.sign_message(MESSAGE, NETWORK, SEED, TIP)
FORGED: dict[str, tuple[bytes, dict[str, Any], type[DropBoxError]]] = {
    "signed by somebody else": (resigned(GOOD, OTHER_SEED), {}, NotAuthentic),
    "another source's name before it": (primitives.ed25519_public(OTHER_SEED) + GOOD[32:], {}, NotAuthentic),
    "another type's signature": (as_closing(GOOD), {}, NotAuthentic),
    "in another network": (GOOD, {"network": NetworkId(bytes(32))}, NotAuthentic),
    "under another tip": (GOOD, {"tip": bytes(16)}, NotAuthentic),
    "to a desk that it isn't for": (GOOD, {"desk": 2}, NotForUs),
    "a word changed": (GOOD.replace("ทะเล".encode(), "แม่น".encode()), {}, NotAuthentic),
    "something behind its end": (GOOD + b"\n", {}, NotAuthentic),
    "cut in its body": (GOOD[:-1], {}, NotAuthentic),
    "cut in its signature": (GOOD[:95], {}, Malformed),
    "nothing": (b"", {}, Malformed),
    "a small-order key, which signs anything": (bytes(96) + GOOD[96:], {}, NotAuthentic),
}


@pytest.mark.parametrize(("item", "place", "error"), FORGED.values(), ids=FORGED)
def test_nobody_speaks_as_the_source(item: bytes, place: dict[str, Any], error: type[DropBoxError]) -> None:
    with pytest.raises(error):
        tip.open_message(item, **{"network": NETWORK, "tip": TIP, "desk": 1, **place})


@given(at=st.integers(0, len(GOOD) - 1), change=st.integers(1, 255))
def test_any_changed_byte_is_noticed(at: int, change: int) -> None:
    with pytest.raises(NotAuthentic):
        tip.open_message(GOOD[:at] + bytes([GOOD[at] ^ change]) + GOOD[at + 1 :], NETWORK, TIP, 1)


def changed(**fields: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda body: {**body, **fields}


def without(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda body: {key: value for key, value in body.items() if key != name}


NO_MESSAGES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    **{f"without {name}": without(name) for name in parse_json(GOOD[96:])},
    "another version": changed(version=2),
    "a field that nobody knows": changed(more=""),
    "another kind": changed(kind="petition"),
    "another language": changed(language="de"),
    "another choice": changed(refer="maybe"),
    "no desk": changed(desks=[]),
    "unsorted desks": changed(desks=[3, 1]),
    "a desk twice": changed(desks=[1, 1]),
    "desk 0": changed(desks=[0, 1]),
    "desk 128": changed(desks=[1, 128]),
    "a desk that is a word": changed(desks=["1"]),
    "a desk that is true": changed(desks=[True]),
    "a desk that is nothing": changed(desks=[None]),
    "a call that is no id": changed(call="the bridge"),
    "a call that is too short": changed(call="0f" * 15),
    "a call in upper case": changed(call="0F" * 16),
    "nine answers": changed(answers=[{"question": "", "answer": ""}] * 9),
    "an answer without a question": changed(answers=[{"answer": ""}]),
    "an answer with more": changed(answers=[{"question": "", "answer": "", "more": ""}]),
    "an answer that is a word": changed(answers=["yes"]),
    "half a mailbox": changed(mailbox={"root": "00" * 32}),
    "a mailbox with more": changed(mailbox={"root": "00" * 32, "recipient": "", "more": ""}),
    "a mailbox with a short root": changed(mailbox={"root": "00" * 31, "recipient": ""}),
    "a mailbox that is nothing": changed(mailbox=None),
    "a week before time": changed(week=-1),
    "a text that is a number": changed(text=1),
    "a text too long": changed(text="x" * 200_001),
}


@pytest.mark.parametrize("change", NO_MESSAGES.values(), ids=NO_MESSAGES)
def test_what_is_no_message_is_refused_even_when_it_is_signed(change: Callable[[Any], dict[str, Any]]) -> None:
    body = to_json(change(parse_json(GOOD[96:])))
    raw = statement.make("message", NETWORK, [("source", SOURCE.hex()), ("tip", TIP.hex())], body)

    with pytest.raises(Malformed):
        tip.open_message(SOURCE + statement.sign(SEED, raw) + body, NETWORK, TIP, 1)


UNREADABLE: dict[str, Message] = {
    "a text too long": replace(MESSAGE, text="x" * 200_001),
    "a text that isn't text": replace(MESSAGE, text="\udcff"),
    "an answer that isn't text": replace(MESSAGE, answers=(("?", "\ud800"),)),
    "a call that is no id": replace(MESSAGE, call="the bridge"),
    "unsorted desks": replace(MESSAGE, desks=(3, 1)),
    "no desk": replace(MESSAGE, desks=()),
    "too many answers": replace(MESSAGE, answers=(("", ""),) * 9),
}


@pytest.mark.parametrize("message", UNREADABLE.values(), ids=UNREADABLE)
def test_nothing_is_signed_that_no_station_reads(message: Message) -> None:
    with pytest.raises(Malformed) as raised:
        tip.sign_message(message, NETWORK, SEED, TIP)
    assert raised.value.__cause__ is None or "x" * 100 not in str(raised.value.__cause__)


CLOSING = Closing(False, (ClosingEntry(1, 5, bytes(32), False), ClosingEntry(7, 0, bytes([1]) * 32, True)))
CLOSED = tip.sign_closing(CLOSING, NETWORK, SEED, TIP)
NO_CLOSINGS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "another version": changed(version=2),
    "without items": without("items"),
    "without complete": without("complete"),
    "complete as a number": changed(complete=1),
    "a field that nobody knows": changed(more=""),
    "unsorted": lambda body: {**body, "items": body["items"][::-1]},
    "an item twice": lambda body: {**body, "items": body["items"][:1] * 2},
    "item 0": lambda body: {**body, "items": [{**body["items"][0], "item": 0}]},
    "its own item": lambda body: {**body, "items": [{**body["items"][0], "item": 2**32 - 1}]},
    "a negative size": lambda body: {**body, "items": [{**body["items"][0], "size": -1}]},
    "a short digest": lambda body: {**body, "items": [{**body["items"][0], "sha256": "00" * 31}]},
    "an entry with more": lambda body: {**body, "items": [{**body["items"][0], "name": "x"}]},
    "too many": lambda body: {**body, "items": [{**body["items"][0], "item": at} for at in range(1, 1_002)]},
}


@pytest.mark.parametrize("change", NO_CLOSINGS.values(), ids=NO_CLOSINGS)
def test_what_is_no_closing_is_refused_even_when_it_is_signed(change: Callable[[Any], dict[str, Any]]) -> None:
    body = to_json(change(parse_json(CLOSED[96:])))
    raw = statement.make("closing", NETWORK, [("source", SOURCE.hex()), ("tip", TIP.hex())], body)

    with pytest.raises(Malformed):
        tip.open_closing(SOURCE + statement.sign(SEED, raw) + body, NETWORK, TIP, SOURCE)


def test_a_closing_is_the_message_s_sources() -> None:
    foreign = tip.sign_closing(CLOSING, NETWORK, OTHER_SEED, TIP)

    for item, network, series in [
        (foreign, NETWORK, TIP),
        (CLOSED, NetworkId(bytes(32)), TIP),
        (CLOSED, NETWORK, bytes(16)),
        (GOOD, NETWORK, TIP),
    ]:
        with pytest.raises(NotAuthentic):
            tip.open_closing(item, network, series, SOURCE)


@pytest.mark.parametrize("items", [CLOSING.items[::-1], CLOSING.items[:1] * 2])
def test_no_closing_is_signed_that_no_station_reads(items: tuple[ClosingEntry, ...]) -> None:
    with pytest.raises(Malformed):
        tip.sign_closing(Closing(True, items), NETWORK, SEED, TIP)


def test_the_largest_message_that_a_server_takes_and_the_longest_closing_fit_one_cell() -> None:
    longest = Closing(True, tuple(ClosingEntry(at, 2**40, bytes(32), False) for at in range(1, 1_001)))
    message = replace(MESSAGE, text="ก" * 21_845)  # 65,535 bytes

    smallest_cell = Geometry(16).payload_bytes
    assert len(tip.sign_closing(longest, NETWORK, SEED, TIP)) <= smallest_cell
    assert len(tip.sign_message(message, NETWORK, SEED, TIP)) <= smallest_cell


@given(name=st.binary(max_size=300), declared=st.binary(max_size=60), rest=st.binary(max_size=20))
def test_a_files_name_is_kept_as_the_browser_sent_it(name: bytes, declared: bytes, rest: bytes) -> None:
    head = tip.file_head(name, declared)

    assert tip.read_file_head(head + rest) == FileHead(name, declared, len(head))


@pytest.mark.parametrize("name", [b"", b"../../etc/passwd", b"a\0b", "สัญญา.pdf".encode(), b"\xff\xfe", b"x" * 65_535])
def test_no_name_is_refused_or_changed(name: bytes) -> None:
    assert tip.read_file_head(tip.file_head(name, b"text/plain")).name == name


def test_a_name_has_at_most_65535_bytes() -> None:
    for name, declared in [(bytes(65_536), b""), (b"", bytes(65_536))]:
        with pytest.raises(Malformed):
            tip.file_head(name, declared)
    assert len(tip.file_head(bytes(65_535), bytes(65_535))) <= Geometry(16).payload_bytes - tip.PIECE_FRAME_BYTES


SIGNER = tip.PieceSigner(NETWORK, TIP, 3, SEED)


def signed_piece(content: bytes, number: int, flags: int, signer: tip.PieceSigner = SIGNER) -> bytes:
    return signer.head + content + signer.tail(number, flags, primitives.sha256(content))


@given(content=st.binary(max_size=80), number=st.integers(0, 2**32 - 1), flags=st.integers(0, 7))
def test_a_piece_is_its_sources_and_in_its_place(content: bytes, number: int, flags: int) -> None:
    source, piece = tip.open_piece(signed_piece(content, number, flags), NETWORK, TIP, 3, number, flags)

    assert (source, bytes(piece)) == (SOURCE, content)


@given(content=st.binary(max_size=80), at=st.integers(0), bit=st.integers(0, 7))
def test_no_bit_of_a_piece_can_be_changed(content: bytes, at: int, bit: int) -> None:
    payload = bytearray(signed_piece(content, 2, 0))
    payload[at % len(payload)] ^= 1 << bit
    with pytest.raises(NotAuthentic):
        tip.open_piece(bytes(payload), NETWORK, TIP, 3, 2, 0)


@pytest.mark.parametrize(
    "place",
    [
        (NetworkId(bytes(32)), TIP, 3, 2, 1),
        (NETWORK, bytes(16), 3, 2, 1),
        (NETWORK, TIP, 4, 2, 1),
        (NETWORK, TIP, 3, 1, 1),
        (NETWORK, TIP, 3, 2, 0),
        (NETWORK, TIP, 3, 2, 3),
    ],
    ids=["network", "tip", "item", "cell", "more follow", "interrupted"],
)
def test_a_piece_serves_in_no_other_place(place: tuple[NetworkId, bytes, int, int, int]) -> None:
    with pytest.raises(NotAuthentic):
        tip.open_piece(signed_piece(b"content", 2, 1), *place)


def test_what_a_source_signed_elsewhere_is_no_piece() -> None:
    for raw in (tip.sign_message(MESSAGE, NETWORK, SEED, TIP), tip.sign_closing(CLOSING, NETWORK, SEED, TIP)):
        moved = raw[:32] + raw[96:] + raw[32:96]
        with pytest.raises(NotAuthentic):
            tip.open_piece(moved, NETWORK, TIP, 3, 2, 1)


@given(data=st.binary(max_size=400))
def test_any_bytes_raise_only_our_errors(data: bytes) -> None:
    for raw in (data, GOOD[:96] + data, b'{"version": 1, ' + data):
        for read in (
            lambda raw=raw: tip.open_message(raw, NETWORK, TIP, 1),
            lambda raw=raw: tip.open_closing(raw, NETWORK, TIP, SOURCE),
            lambda raw=raw: tip.parse_message(raw),
            lambda raw=raw: tip.parse_closing(raw),
            lambda raw=raw: tip.read_file_head(raw),
            lambda raw=raw: tip.open_piece(raw, NETWORK, TIP, 1, 0, 1),
        ):
            with contextlib.suppress(DropBoxError):
                read()


def test_nothing_shows_by_itself_what_a_source_sent() -> None:
    shown = repr((MESSAGE, CLOSING, MESSAGE.mailbox, FileHead(b"name", b"type", 12)))

    for secret in ("สะพาน", "age1pq1", "name", bytes(32).hex()):
        assert secret not in shown
