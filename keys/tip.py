"""What a source sends: the message, the head of a file, the closing item, and their signatures. SPEC section 8.

Pure: bytes in, values out. Sealing into cells is `keys.cell`'s, threads are the station's.
"""

from __future__ import annotations

from dataclasses import dataclass

from keys import primitives, statement
from keys.encoding import Fields, Reader, parse_json, to_json, u16
from keys.errors import Malformed, NotAuthentic, NotForUs
from keys.statement import NetworkId

MESSAGE_ITEM = 0
CLOSING_ITEM = 2**32 - 1
MAX_TEXT_BYTES = 200_000
MAX_ANSWERS = 8
MAX_ITEMS = 1_000
MAX_NAME_BYTES = 2**16 - 1
KINDS = ("tip", "volunteer")
REFERRALS = ("yes", "ask", "no")
LANGUAGES = ("th", "en")


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Where answers to a source go: the root of its addresses and the recipient that replies are sealed to."""

    root: bytes
    recipient: str

    def __repr__(self) -> str:
        return "Mailbox(…)"


@dataclass(frozen=True, slots=True)
class Message:
    """Item 0 of a tip. `mailbox` is None when the source doesn't want to be asked back."""

    week: int
    language: str
    text: str
    desks: tuple[int, ...]
    refer: str
    mailbox: Mailbox | None
    kind: str = "tip"
    call: str = ""
    answers: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        return "Message(…)"

    def to_json(self) -> bytes:
        mailbox = {} if self.mailbox is None else {"root": self.mailbox.root.hex(), "recipient": self.mailbox.recipient}
        return to_json(
            {
                "version": 1,
                "kind": self.kind,
                "week": self.week,
                "language": self.language,
                "text": self.text,
                "call": self.call,
                "answers": [{"question": question, "answer": answer} for question, answer in self.answers],
                "desks": list(self.desks),
                "refer": self.refer,
                "mailbox": mailbox,
            }
        )


@dataclass(frozen=True, slots=True)
class ClosingEntry:
    """What the server says it stored of one file: its item number, size, SHA-256, and whether it broke off."""

    item: int
    size: int
    sha256: bytes
    interrupted: bool


@dataclass(frozen=True, slots=True)
class Closing:
    """The closing item: `complete` is False when anything of the upload didn't arrive."""

    complete: bool
    items: tuple[ClosingEntry, ...]

    def to_json(self) -> bytes:
        items = [
            {"item": entry.item, "size": entry.size, "sha256": entry.sha256.hex(), "interrupted": entry.interrupted}
            for entry in self.items
        ]
        return to_json({"version": 1, "complete": self.complete, "items": items})


def _signed(type_: str, network: NetworkId, signing_seed: bytes, tip: bytes, body: bytes) -> bytes:
    source = primitives.ed25519_public(signing_seed)
    context = [("source", source.hex()), ("tip", tip.hex())]
    return statement.sign(signing_seed, statement.make(type_, network, context, body)) + body


def sign_message(message: Message, network: NetworkId, signing_seed: bytes, tip: bytes) -> bytes:
    """Return the bytes of item 0. Raises: Malformed: when a text is longer than the format allows."""
    if len(message.text.encode()) > MAX_TEXT_BYTES:
        raise Malformed(f"A message has at most {MAX_TEXT_BYTES} bytes.")
    source = primitives.ed25519_public(signing_seed)
    return source + _signed("message", network, signing_seed, tip, message.to_json())


def sign_closing(closing: Closing, network: NetworkId, signing_seed: bytes, tip: bytes) -> bytes:
    """Return the bytes of the closing item."""
    return primitives.ed25519_public(signing_seed) + _signed("closing", network, signing_seed, tip, closing.to_json())


def _verified(type_: str, data: bytes, network: NetworkId, tip: bytes) -> tuple[bytes, bytes]:
    if len(data) < 32 + primitives.SIGNATURE_BYTES:
        raise Malformed("A signed item is cut short.")
    source, signature, body = data[:32], data[32:96], data[96:]
    context = [("source", source.hex()), ("tip", tip.hex())]
    statement.verify(source, statement.make(type_, network, context, body), signature)
    return source, body


def open_message(data: bytes, network: NetworkId, tip: bytes, desk: int) -> tuple[bytes, Message]:
    """Verify and parse item 0 for this desk; return the source's public key and the message.

    Raises:
        NotAuthentic: the signature isn't that source's over this tip in this network.
        Malformed: the JSON isn't a message.
        NotForUs: the source didn't address it to this desk.
    """
    source, body = _verified("message", data, network, tip)
    message = parse_message(body)
    if desk not in message.desks:
        raise NotForUs("The source did not address this message to this desk.")
    return source, message


def parse_message(body: bytes) -> Message:
    """Parse a message's JSON. Raises: Malformed."""
    fields = Fields(parse_json(body), "message")
    fields.integer("version", 1, 1)
    mailbox = fields.object("mailbox")
    answers = []
    for value in fields.array("answers", MAX_ANSWERS):
        answer = Fields(value, "answer")
        answers.append((answer.text("question", MAX_TEXT_BYTES), answer.text("answer", MAX_TEXT_BYTES)))
        answer.done()
    desks = fields.array("desks", 127)
    if not desks or any(type(desk) is not int or not 1 <= desk <= 127 for desk in desks):
        raise Malformed("A message names the desks that it is for by their numbers.")
    if desks != sorted(set(desks)):
        raise Malformed("The desks of a message are sorted and distinct.")
    message = Message(
        kind=fields.choice("kind", KINDS),
        week=fields.integer("week", 0, 2**31),
        language=fields.choice("language", LANGUAGES),
        text=fields.text("text", MAX_TEXT_BYTES),
        call=fields.text("call", 32),
        answers=tuple(answers),
        desks=tuple(desks),
        refer=fields.choice("refer", REFERRALS),
        mailbox=_parse_mailbox(mailbox) if mailbox else None,
    )
    fields.done()
    return message


def _parse_mailbox(value: dict[str, object]) -> Mailbox:
    fields = Fields(value, "mailbox")
    mailbox = Mailbox(fields.hex("root", 32), fields.text("recipient"))
    fields.done()
    return mailbox


def open_closing(data: bytes, network: NetworkId, tip: bytes, source: bytes) -> Closing:
    """Verify and parse a closing item of a tip whose message came from `source`.

    Raises:
        NotAuthentic: it is signed by somebody else, or was changed.
        Malformed: the JSON isn't a closing.
    """
    signer, body = _verified("closing", data, network, tip)
    if signer != source:
        raise NotAuthentic("The closing item was signed by another source than the message.")
    fields = Fields(parse_json(body), "closing item")
    fields.integer("version", 1, 1)
    complete = fields.boolean("complete")
    entries = []
    for value in fields.array("items", MAX_ITEMS):
        entry = Fields(value, "closing entry")
        entries.append(
            ClosingEntry(
                entry.integer("item", 1, CLOSING_ITEM - 1),
                entry.integer("size", 0, 2**53 - 1),
                entry.hex("sha256", 32),
                entry.boolean("interrupted"),
            )
        )
        entry.done()
    fields.done()
    if [entry.item for entry in entries] != sorted({entry.item for entry in entries}):
        raise Malformed("The entries of a closing item are sorted and distinct.")
    return Closing(complete, tuple(entries))


def file_head(name: bytes, declared_type: bytes) -> bytes:
    """Return what a file item begins with: name and declared type exactly as the browser sent them.

    Raises:
        Malformed: either is longer than 65,535 bytes.
    """
    if max(len(name), len(declared_type)) > MAX_NAME_BYTES:
        raise Malformed("A file's name or type is too long.")
    return u16(len(name)) + name + u16(len(declared_type)) + declared_type


@dataclass(frozen=True, slots=True)
class FileHead:
    """Name and type as the browser declared them: untrusted bytes, never a path. `size` is the head's own length."""

    name: bytes
    declared_type: bytes
    size: int


def read_file_head(start: bytes) -> FileHead:
    """Read the head from the first bytes of a file item (131,074 always suffice). Raises: Malformed."""
    reader = Reader(start)
    name = reader.take(reader.u16())
    declared_type = reader.take(reader.u16())
    return FileHead(name, declared_type, 4 + len(name) + len(declared_type))
