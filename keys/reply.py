"""What a desk answers: one signed text with attachments, cut into cells at the source's addresses. SPEC section 9."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from keys import primitives, statement
from keys.encoding import Fields, Reader, parse_json, to_json, u32
from keys.errors import Malformed, NotAuthentic
from keys.statement import NetworkId

MAX_TEXT_BYTES = 6_000
MAX_ATTACHMENTS = 20
MAX_CELLS = 4_096
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


@dataclass(frozen=True, slots=True)
class Reply:
    """A verified reply. `attachments_at` is where the attachments' bytes begin within the joined payloads."""

    language: str
    text: str
    state: str
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
) -> list[bytes]:
    """Return the payload of each cell of a reply, in order; all but the last are `payload_bytes` long.

    Args:
        payload_bytes: what a cell of this network holds (`keys.cell.Geometry.payload_bytes`).
        attachments: name, declared type and content of each.

    Raises:
        Malformed: the text is too long, the state isn't one, or there are too many attachments.
    """
    if len(text.encode()) > MAX_TEXT_BYTES:
        raise Malformed(
            f"The reply is longer than {MAX_TEXT_BYTES} bytes.", "Shorten it, or attach the rest as a file."
        )
    if state not in STATES or language not in LANGUAGES:
        raise Malformed("The reply's state or language is none of those that a source is shown.")
    if len(attachments) > MAX_ATTACHMENTS:
        raise Malformed(f"A reply has at most {MAX_ATTACHMENTS} attachments.")
    listed = [
        {"name": name, "type": type_, "size": len(data), "sha256": primitives.sha256(data).hex()}
        for name, type_, data in attachments
    ]
    content = b"".join(data for _, _, data in attachments)
    cells = 1
    while True:  # The number of cells is written inside the first, and may need another digit: settles in two rounds.
        body = to_json(
            {
                "version": 1,
                "language": language,
                "text": text,
                "state": state,
                "cells": cells,
                "attachments": listed,
            }
        )
        first = 4 + primitives.SIGNATURE_BYTES + len(body)
        needed = -(-(first + len(content)) // payload_bytes)
        if needed <= cells:
            break
        cells = needed
    if first > payload_bytes or cells > MAX_CELLS:
        raise Malformed("The reply is too large.", "Leave out an attachment, or send it in a second reply.")
    signature = statement.sign(desk_seed, statement.make("reply", network, place.context(), body))
    whole = u32(primitives.SIGNATURE_BYTES + len(body)) + signature + body + content
    return [whole[at : at + payload_bytes] for at in range(0, len(whole), payload_bytes)]


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
    fields = Fields(parse_json(body), "reply")
    fields.integer("version", 1, 1)
    attachments = []
    for value in fields.array("attachments", MAX_ATTACHMENTS):
        entry = Fields(value, "attachment")
        attachments.append(
            Attachment(
                entry.text("name", 1024),
                entry.text("type", 256),
                entry.integer("size", 0, 2**40),
                entry.hex("sha256", 32),
            )
        )
        entry.done()
    reply = Reply(
        language=fields.choice("language", LANGUAGES),
        text=fields.text("text", MAX_TEXT_BYTES),
        state=fields.choice("state", STATES),
        cells=fields.integer("cells", 1, MAX_CELLS),
        attachments=tuple(attachments),
        attachments_at=4 + length,
    )
    fields.done()
    return reply


def read_attachment(reply: Reply, number: int, payloads: Iterator[bytes]) -> bytes:
    """Return one attachment's bytes, given the payloads of all cells in order, verified by its digest.

    Raises:
        NotAuthentic: cells are missing, exchanged or changed.
    """
    wanted = reply.attachments[number]
    start = reply.attachments_at + sum(attachment.size for attachment in reply.attachments[:number])
    parts, at = [], 0
    for payload in payloads:
        low, high = max(start - at, 0), min(start + wanted.size - at, len(payload))
        if low < high:
            parts.append(payload[low:high])
        at += len(payload)
    data = b"".join(parts)
    if len(data) != wanted.size or primitives.sha256(data) != wanted.sha256:
        raise NotAuthentic("The attachment doesn't match what the desk signed.")
    return data
