"""What a desk answers: one signed text with attachments, cut into cells at the source's addresses. SPEC section 9."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from keys import primitives, statement
from keys.encoding import Fields, Reader, parse_json, to_json, u32
from keys.errors import Malformed, NotAuthentic
from keys.statement import NetworkId
from keys.terms import MAX_DESK_NUMBER

MAX_TEXT_BYTES = 6_000
MAX_ATTACHMENTS = 20
MAX_NAME_BYTES = 1_024
MAX_TYPE_BYTES = 256
MAX_CELLS = 4_096
MAX_ASKS = 16
STATES = ("", "opened", "checking", "needs-more", "published", "closed")
LANGUAGES = ("th", "en")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a reply stands: which desk's, in which week, which of its K places, for which source."""

    desk: int
    week: int
    index: int
    source: bytes

    def context(self) -> list[tuple[str, str | int]]:
        return [("desk", self.desk), ("week", self.week), ("index", self.index), ("source", self.source.hex())]


@dataclass(frozen=True, slots=True)
class Attachment:
    name: str
    declared_type: str
    size: int
    sha256: bytes

    def __repr__(self) -> str:
        return "Attachment(…)"


@dataclass(frozen=True, slots=True)
class Reply:
    """A verified reply. `attachments_at` is where the attachments' bytes begin within the joined payloads.

    `asks` are the desks to whom its desk asks to be allowed to pass the tip on.
    """

    language: str
    text: str
    state: str
    asks: tuple[int, ...]
    cells: int
    attachments: tuple[Attachment, ...]
    attachments_at: int

    def __repr__(self) -> str:
        return "Reply(…)"


def compose(
    place: Place,
    network: NetworkId,
    desk_seed: bytes,
    payload_bytes: int,
    *,
    language: str,
    text: str,
    state: str,
    attachments: Sequence[tuple[str, str, bytes]],
    asks: Sequence[int] = (),
) -> list[bytes]:
    """Return the payload of each cell of a reply, in order; all but the last are `payload_bytes` long.

    Args:
        payload_bytes: what a cell of this network holds (`keys.cell.Geometry.payload_bytes`).
        attachments: name, declared type and content of each.
        asks: the desks to whom the source is asked to let the tip be passed on.

    Raises:
        Malformed: no source could read it: the text or a name is too long, the state isn't one, it is too large.
    """
    _refuse_long(text, MAX_TEXT_BYTES, "reply")
    for name, type_, _ in attachments:
        _refuse_long(name, MAX_NAME_BYTES, "name of an attachment")
        _refuse_long(type_, MAX_TYPE_BYTES, "type of an attachment")
    content = b"".join(data for _, _, data in attachments)
    fields = {
        "version": 1,
        "language": language,
        "text": text,
        "state": state,
        "asks": sorted(set(asks)),
        "attachments": [
            {"name": name, "type": type_, "size": len(data), "sha256": primitives.sha256(data).hex()}
            for name, type_, data in attachments
        ],
    }
    cells, needed = 0, 1
    while needed > cells:  # The number of cells stands in the first one, where it may take another digit.
        cells = needed
        body = to_json({**fields, "cells": cells})
        first = 4 + primitives.SIGNATURE_BYTES + len(body)
        needed = -(-(first + len(content)) // payload_bytes)
    if first > payload_bytes or cells > MAX_CELLS:
        raise Malformed("The reply is too large.", "Leave out an attachment, or send it in a second reply.")
    _parse(body, first)
    signature = statement.sign(desk_seed, statement.make("reply", network, place.context(), body))
    whole = u32(primitives.SIGNATURE_BYTES + len(body)) + signature + body + content
    return [whole[at : at + payload_bytes] for at in range(0, len(whole), payload_bytes)]


def _refuse_long(text: str, most_bytes: int, what: str) -> None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise Malformed(f"The {what} is not text.", "Write it in UTF-8.") from None  # The cause carries the text.
    if size > most_bytes:
        raise Malformed(f"The {what} is longer than {most_bytes} bytes.", "Shorten it, or attach the rest as a file.")


def open_first(payload: bytes, place: Place, network: NetworkId, desk_key: bytes) -> Reply:
    """Verify the payload of a reply's first cell against the desk's key and this very place.

    Raises:
        Malformed: it isn't a reply.
        NotAuthentic: not signed by that desk for this place: forged, moved or replayed.
    """
    reader = Reader(payload)
    length = reader.u32()
    if length < primitives.SIGNATURE_BYTES:
        raise Malformed("A reply is cut short.")
    signature = reader.take(primitives.SIGNATURE_BYTES)
    body = reader.take(length - primitives.SIGNATURE_BYTES)
    statement.verify(desk_key, statement.make("reply", network, place.context(), body), signature)
    reply = _parse(body, 4 + length)
    # Every cell but the last is full, so the first one tells how many there must be.
    total = reply.attachments_at + sum(attachment.size for attachment in reply.attachments)
    if reply.cells != -(-total // len(payload)) or (reply.cells == 1 and total != len(payload)):
        raise Malformed("A reply says of itself another number of cells than it can have.")
    return reply


def _parse(body: bytes, attachments_at: int) -> Reply:
    fields = Fields(parse_json(body), "reply")
    fields.integer("version", 1, 1)
    reply = Reply(
        language=fields.choice("language", LANGUAGES),
        text=fields.text("text", MAX_TEXT_BYTES),
        state=fields.choice("state", STATES),
        asks=_parse_asks(fields.array("asks", MAX_ASKS)),
        cells=fields.integer("cells", 1, MAX_CELLS),
        attachments=tuple(_parse_attachment(value) for value in fields.array("attachments", MAX_ATTACHMENTS)),
        attachments_at=attachments_at,
    )
    fields.done()
    return reply


def _parse_asks(desks: list[object]) -> tuple[int, ...]:
    numbers = tuple(desk for desk in desks if type(desk) is int and 1 <= desk <= MAX_DESK_NUMBER)
    if len(numbers) != len(desks) or list(numbers) != sorted(set(numbers)):
        raise Malformed("A reply asks about desks by their numbers, sorted and distinct.")
    return numbers


def _parse_attachment(value: object) -> Attachment:
    fields = Fields(value, "attachment")
    attachment = Attachment(
        fields.text("name", MAX_NAME_BYTES),
        fields.text("type", MAX_TYPE_BYTES),
        fields.integer("size", 0, 2**40),
        fields.hex("sha256", 32),
    )
    fields.done()
    return attachment


def read_attachment(reply: Reply, number: int, payloads: Iterator[bytes]) -> bytes:
    """Return one attachment's bytes, given the payloads of all cells in order, verified by its digest.

    No more payloads are taken than it needs.

    Raises:
        NotAuthentic: cells are missing, exchanged or changed.
    """
    wanted = reply.attachments[number]
    start = reply.attachments_at + sum(attachment.size for attachment in reply.attachments[:number])
    end = start + wanted.size
    parts: list[bytes] = []
    at = 0
    while at < end and (payload := next(payloads, b"")):
        parts.append(payload[max(start - at, 0) : max(end - at, 0)])
        at += len(payload)
    data = b"".join(parts)
    if len(data) != wanted.size or primitives.sha256(data) != wanted.sha256:
        raise NotAuthentic("The attachment doesn't match what the desk signed.")
    return data
