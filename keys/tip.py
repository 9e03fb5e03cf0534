"""What a source sends: the message, the pieces of a file, the closing item, and their signatures. SPEC section 8.

Pure: bytes in, values out. Sealing into cells is `keys.cell`'s, threads are the station's.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from keys import primitives, statement
from keys.encoding import INTEGER_MAX, Fields, Reader, from_hex, parse_json, to_json, u8, u16, u32
from keys.errors import Malformed, NotAuthentic, NotForUs
from keys.statement import NetworkId

MESSAGE_ITEM = 0
CLOSING_ITEM = 2**32 - 1
SOURCE_BYTES = 32
MAX_TEXT_BYTES = 200_000
MAX_ANSWERS = 8
MAX_ITEMS = 1_000
MAX_NAME_BYTES = 2**16 - 1
MAX_DESK = 127
MAX_REPLY_INDEX = 31
CALL_BYTES = 16
_SIGNED_HEAD_BYTES = SOURCE_BYTES + primitives.SIGNATURE_BYTES
PIECE_FRAME_BYTES = SOURCE_BYTES + primitives.SIGNATURE_BYTES
"""How many bytes of each cell of a file the signature of its piece takes."""
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
class Consent:
    """A source's answer to a desk that asked in a reply whether it may pass the tip on. SPEC section 8.3."""

    week: int
    index: int
    allowed: bool

    def __repr__(self) -> str:
        return "Consent(…)"


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
    consent: Consent | None = None

    def __repr__(self) -> str:
        return "Message(…)"

    def to_json(self) -> bytes:
        mailbox = {} if self.mailbox is None else {"root": self.mailbox.root.hex(), "recipient": self.mailbox.recipient}
        consent = {} if self.consent is None else asdict(self.consent)
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
                "consent": consent,
            }
        )


@dataclass(frozen=True, slots=True)
class ClosingEntry:
    """What the server says it stored of one file: its item number, size, SHA-256, and whether it broke off."""

    item: int
    size: int
    sha256: bytes
    interrupted: bool

    def __repr__(self) -> str:
        return f"ClosingEntry({self.item})"


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


def _sign(type_: str, network: NetworkId, signing_seed: bytes, tip: bytes, body: bytes) -> bytes:
    source = primitives.ed25519_public(signing_seed)
    return source + statement.sign(signing_seed, _statement(type_, network, source, tip, body)) + body


def _statement(type_: str, network: NetworkId, source: bytes, tip: bytes, body: bytes) -> bytes:
    return statement.make(type_, network, [("source", source.hex()), ("tip", tip.hex())], body)


def sign_message(message: Message, network: NetworkId, signing_seed: bytes, tip: bytes) -> bytes:
    """Return the bytes of item 0. Raises: Malformed: no station would read it, for what it says or how long it is."""
    try:
        body = message.to_json()
    except UnicodeEncodeError:
        raise Malformed("A message is not text.") from None  # Without its cause, which carries the text.
    parse_message(body)
    return _sign("message", network, signing_seed, tip, body)


def sign_closing(closing: Closing, network: NetworkId, signing_seed: bytes, tip: bytes) -> bytes:
    """Return the bytes of the closing item. Raises: Malformed: its entries aren't sorted, or there are too many."""
    body = closing.to_json()
    parse_closing(body)
    return _sign("closing", network, signing_seed, tip, body)


def message_digest(item: bytes) -> bytes:
    """Return the SHA-256 by which a receipt and a desk name a message: of the JSON in item 0. SPEC section 8.3.1."""
    return primitives.sha256(item[_SIGNED_HEAD_BYTES:])


def _verified(type_: str, data: bytes, network: NetworkId, tip: bytes) -> tuple[bytes, bytes]:
    if len(data) < _SIGNED_HEAD_BYTES:
        raise Malformed("A signed item is cut short.")
    source, signature, body = data[:SOURCE_BYTES], data[SOURCE_BYTES:_SIGNED_HEAD_BYTES], data[_SIGNED_HEAD_BYTES:]
    statement.verify(source, _statement(type_, network, source, tip, body), signature)
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
    mailbox, consent = fields.object("mailbox"), fields.object("consent")
    message = Message(
        kind=fields.choice("kind", KINDS),
        week=fields.integer("week", 0, 2**31),
        language=fields.choice("language", LANGUAGES),
        text=fields.text("text", MAX_TEXT_BYTES),
        call=_parse_call(fields.text("call")),
        answers=tuple(_parse_answer(value) for value in fields.array("answers", MAX_ANSWERS)),
        desks=_parse_desks(fields.array("desks", MAX_DESK)),
        refer=fields.choice("refer", REFERRALS),
        mailbox=_parse_mailbox(mailbox) if mailbox else None,
        consent=_parse_consent(consent) if consent else None,
    )
    fields.done()
    if message.consent is not None and len(message.desks) != 1:
        raise Malformed("A consent is for the one desk that asked.")
    return message


def _parse_call(call: str) -> str:
    if call:
        from_hex(call, CALL_BYTES)
    return call


def _parse_answer(value: object) -> tuple[str, str]:
    fields = Fields(value, "answer")
    answer = (fields.text("question", MAX_TEXT_BYTES), fields.text("answer", MAX_TEXT_BYTES))
    fields.done()
    return answer


def _parse_desks(desks: list[object]) -> tuple[int, ...]:
    numbers = tuple(desk for desk in desks if type(desk) is int and 1 <= desk <= MAX_DESK)
    if not desks or len(numbers) != len(desks):
        raise Malformed("A message names the desks that it is for by their numbers.")
    if list(numbers) != sorted(set(numbers)):
        raise Malformed("The desks of a message are sorted and distinct.")
    return numbers


def _parse_mailbox(value: dict[str, object]) -> Mailbox:
    fields = Fields(value, "mailbox")
    mailbox = Mailbox(fields.hex("root", 32), fields.text("recipient"))
    fields.done()
    return mailbox


def _parse_consent(value: dict[str, object]) -> Consent:
    fields = Fields(value, "consent")
    consent = Consent(
        fields.integer("week", 0, 2**31), fields.integer("index", 0, MAX_REPLY_INDEX), fields.boolean("allowed")
    )
    fields.done()
    return consent


def open_closing(data: bytes, network: NetworkId, tip: bytes, source: bytes) -> Closing:
    """Verify and parse a closing item of a tip whose message came from `source`.

    Raises:
        NotAuthentic: it is signed by somebody else, or was changed.
        Malformed: the JSON isn't a closing.
    """
    signer, body = _verified("closing", data, network, tip)
    if signer != source:
        raise NotAuthentic("The closing item was signed by another source than the message.")
    return parse_closing(body)


def parse_closing(body: bytes) -> Closing:
    """Parse a closing item's JSON. Raises: Malformed."""
    fields = Fields(parse_json(body), "closing item")
    fields.integer("version", 1, 1)
    closing = Closing(
        complete=fields.boolean("complete"),
        items=tuple(_parse_entry(value) for value in fields.array("items", MAX_ITEMS)),
    )
    fields.done()
    items = [entry.item for entry in closing.items]
    if items != sorted(set(items)):
        raise Malformed("The entries of a closing item are sorted and distinct.")
    return closing


def _parse_entry(value: object) -> ClosingEntry:
    fields = Fields(value, "closing entry")
    entry = ClosingEntry(
        fields.integer("item", 1, CLOSING_ITEM - 1),
        fields.integer("size", 0, INTEGER_MAX),
        fields.hex("sha256", 32),
        fields.boolean("interrupted"),
    )
    fields.done()
    return entry


class PieceSigner:
    """Signs each piece of a file as its cell fills, so that nobody else can put one in its place. SPEC section 8.4.

    It is a `keys.cell.Frame`.
    """

    def __init__(self, network: NetworkId, tip: bytes, item: int, signing_seed: bytes) -> None:
        self._network = network
        self._tip = tip
        self._item = item
        self._key = primitives.Ed25519Key(signing_seed)
        self.head = self._key.public
        self.tail_bytes = primitives.SIGNATURE_BYTES

    def tail(self, number: int, flags: int, content_sha256: bytes) -> bytes:
        """Return the signature that stands behind a piece."""
        signed = _piece(self._network, self.head, self._tip, self._item, number, flags, content_sha256)
        return statement.sign_with(self._key, signed)


def open_piece(
    payload: bytes | memoryview, network: NetworkId, tip: bytes, item: int, number: int, flags: int
) -> tuple[bytes, memoryview]:
    """Verify one cell of a file; return the key that signed it, which may be anybody's, and the piece.

    Raises:
        Malformed: there is no room in it for a signature.
        NotAuthentic: that source didn't sign this piece for this place, or not as the last or interrupted one.
    """
    view = memoryview(payload)
    if len(view) < PIECE_FRAME_BYTES:
        raise Malformed("A piece of a file is cut short.")
    source, piece = bytes(view[:SOURCE_BYTES]), view[SOURCE_BYTES : -primitives.SIGNATURE_BYTES]
    signature = bytes(view[-primitives.SIGNATURE_BYTES :])
    signed = _piece(network, source, tip, item, number, flags, primitives.sha256(piece))
    statement.verify(source, signed, signature)
    return source, piece


def _piece(
    network: NetworkId, source: bytes, tip: bytes, item: int, number: int, flags: int, content_sha256: bytes
) -> bytes:
    return _statement("piece", network, source, tip, u32(item) + u32(number) + u8(flags) + content_sha256)


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

    def __repr__(self) -> str:
        return "FileHead(…)"


def read_file_head(start: bytes) -> FileHead:
    """Read the head from the first bytes of a file item: those of its first cell suffice. Raises: Malformed."""
    reader = Reader(start)
    name = reader.take(reader.u16())
    declared_type = reader.take(reader.u16())
    return FileHead(name, declared_type, 4 + len(name) + len(declared_type))
