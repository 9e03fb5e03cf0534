"""The source's site over a real store, a simulated newsroom, and visitors with a browser's habits.

site = Site(tmp_path)
visitor = site.visitor()
sent = visitor.send("ข้อความ", [Upload("ชื่อ.pdf", b"…")])       # opens the send page, fills its form in
site.tips(desk=1)                                               # what the desk's key opens of the stored cells
site.answer(sent.codename, desk=1, text="…")                     # a reply, as a bundle would bring it
visitor.sign_in(sent.codename.text)
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import Cookie, TestResponse

from dropbox.box import Box, ServerKey
from dropbox.consensus import Comparison
from dropbox.intake.progress import Board
from dropbox.replies import Mailboxes
from dropbox.sessions import Sessions
from dropbox.source.app import create_app
from dropbox.source.context import Context
from dropbox.state import State
from dropbox.store import Change, Store
from keys import codename, mailbox, reply, tip
from keys.age.recipients import HybridIdentity
from keys.cell import Block, Flags, Geometry, Head, Kind, Sealer, open_cell, seal_block
from keys.codename import Codename
from keys.encoding import week_of
from keys.errors import NotForUs
from keys.mailbox import SourceKeys
from keys.primitives import system_randomness
from keys.reply import Place
from tests.simulators.dropbox import join_pieces
from tests.simulators.newsroom import Newsroom, seeded

SLOTS = 48
TOR_BROWSER = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
BOUNDARY = "----formdata-test-0123456789abcdef"


@dataclass(frozen=True)
class Upload:
    """A file as a browser sends it: its name as raw bytes, its content, its type."""

    name: str | bytes
    content: bytes = b""
    type: str = "application/octet-stream"

    @property
    def raw_name(self) -> bytes:
        return self.name.encode() if isinstance(self.name, str) else self.name


@dataclass(frozen=True)
class ReceivedFile:
    """A file as a desk opens it."""

    name: bytes
    type: bytes
    content: bytes
    interrupted: bool


@dataclass
class ReceivedTip:
    """A tip as a desk opens it."""

    source: bytes
    message: tip.Message
    message_sha256: str
    closed: bool = False
    closing: tip.Closing | None = None
    files: dict[int, ReceivedFile] = field(default_factory=dict)


class Browser(FlaskClient):
    """What tells a browser by its headers: Tor Browser, at the address that the newsrooms signed."""

    host = ""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        self.environ_base["HTTP_USER_AGENT"] = TOR_BROWSER
        if args and isinstance(args[0], str):
            kwargs.setdefault("base_url", f"http://{self.host}")
        return super().open(*args, **kwargs)

    def get_cookie(self, key: str, domain: str = "", path: str = "/") -> Cookie | None:
        return super().get_cookie(key, domain or self.host, path)

    def set_cookie(self, key: str, value: str = "", *, domain: str = "", **options: Any) -> None:
        super().set_cookie(key, value, domain=domain or self.host, **options)


class Site:
    """One server with one manifest in force, unless told otherwise."""

    def __init__(
        self,
        folder: Path,
        newsroom: Newsroom | None = None,
        *,
        slots: int = SLOTS,
        reserve: int = 4,
        open_: bool = True,
    ) -> None:
        self.newsroom = newsroom or Newsroom(desks=3)
        self.folder = folder / "data"
        Store.create(self.folder, slots, documents_bytes=1 << 20)
        self.store = Store.open(self.folder, reserve_slots=reserve)
        self.store.apply(Change(documents=State(self.newsroom.network).encode()))
        key = ServerKey("alpha", self.newsroom.server_seeds["alpha"])
        self.clock = Comparison.NOT_COMPARED
        self.box = Box(
            self.store, key, lambda: self.newsroom.now, system_randomness, "0.1.0", compare=lambda _: self.clock
        )
        self.milliseconds = 0
        self._chance = seeded("codenames of sources")
        self.waits: list[tuple[bool, int | None]] = []
        if open_:
            self.box.admit(self.newsroom.documents)
            self.publish_epochs()
        self.context = Context(
            box=self.box,
            cells=self.store,
            mailboxes=Mailboxes(self.store, system_randomness),
            sessions=Sessions(system_randomness, lambda: self.newsroom.now),
            board=Board(64),
            gate=self._gate,
            randomness=system_randomness,
            milliseconds=self._tick,
        )
        self.app = create_app(self.context)
        self.app.test_client_class = type("Browser", (Browser,), {"host": self.newsroom.manifest.onions.source[0]})

    def publish_epochs(self) -> None:
        documents = {desk: self.newsroom.epochs(desk, weeks=2) for desk in self.newsroom.manifest.desk_numbers}
        for desk, document in documents.items():
            self.newsroom.admit_epochs(desk, document)
        self.box.admit(documents.values())

    @contextmanager
    def _gate(self, sending: bool, circuit: int | None) -> Iterator[None]:
        self.waits.append((sending, circuit))
        yield

    def _tick(self) -> int:
        self.milliseconds += 100
        return self.milliseconds

    @property
    def geometry(self) -> Geometry:
        return Geometry(self.newsroom.manifest.recipients)

    def visitor(self, language: str = "th") -> Visitor:
        return Visitor(self, language)

    def close(self) -> None:
        self.store.close()

    @property
    def cells(self) -> frozenset[bytes]:
        """The ids of everything stored."""
        return frozenset(cell_id for cell_id, _ in self.store.entries())

    def empty(self) -> None:
        """Delete everything stored, as if every desk had fetched it long ago."""
        self.store.delete(self.cells)

    # What a newsroom does.

    def blocks(self, desk: int) -> list[Block]:
        """Open every stored cell that a desk's key of this week opens."""
        identity = self.newsroom.chain(desk).identity(self.newsroom.week)
        found = []
        for cell_id, _ in self.store.entries():
            try:
                found.append(open_cell(self.store.read(cell_id), [identity], self.geometry))
            except NotForUs:
                continue
        return found

    def tips(self, desk: int = 1) -> list[ReceivedTip]:
        """Put together every tip that a desk can open, as its station would."""
        parts: dict[tuple[bytes, int], list[Block]] = {}
        for block in self.blocks(desk):
            assert block.head.kind is Kind.TIP
            parts.setdefault((block.head.series, block.head.item), []).append(block)
        items = {key: sorted(blocks, key=lambda each: each.head.number) for key, blocks in parts.items()}
        for blocks in items.values():
            assert [each.head.number for each in blocks] == list(range(len(blocks)))
            assert [bool(each.flags & Flags.LAST) for each in blocks] == [False] * (len(blocks) - 1) + [True]
        series = {key[0] for key in items}
        return [self._tip(each, items, desk) for each in sorted(series)]

    def tip(self, sent: Sent, desk: int = 1) -> ReceivedTip:
        """Return the one tip that came with this codename."""
        (found,) = (each for each in self.tips(desk) if each.source == self.source_keys(sent.codename).public)
        return found

    def _tip(self, series: bytes, items: dict[tuple[bytes, int], list[Block]], desk: int) -> ReceivedTip:
        network = self.newsroom.network
        (first,) = items[series, tip.MESSAGE_ITEM]
        source, message = tip.open_message(first.payload, network, series, desk)
        received = ReceivedTip(
            source, message, tip.message_digest(first.payload).hex(), closed=bool(first.flags & Flags.CLOSED)
        )
        for (of, item), blocks in items.items():
            if of != series or item == tip.MESSAGE_ITEM:
                continue
            if item == tip.CLOSING_ITEM:
                received.closing = tip.open_closing(blocks[0].payload, network, series, source)
            else:
                data = join_pieces(blocks, network, source)
                head = tip.read_file_head(data)
                interrupted = bool(blocks[-1].flags & Flags.INTERRUPTED)
                received.files[item] = ReceivedFile(head.name, head.declared_type, data[head.size :], interrupted)
        return received

    def source_keys(self, name: Codename, parameters: int = 0) -> SourceKeys:
        stretched = mailbox.stretch(name, self.newsroom.manifest.codename[parameters])
        return SourceKeys.derive(stretched, self.newsroom.network)

    def answer(
        self,
        name: Codename,
        *,
        desk: int = 1,
        index: int = 0,
        week: int | None = None,
        text: str = "ตอบ",
        state: str = "",
        attachments: Sequence[tuple[str, str, bytes]] = (),
        asks: Sequence[int] = (),
        signed_by: bytes | None = None,
        keys: SourceKeys | None = None,
    ) -> list[bytes]:
        """Put a desk's reply into the store, as its bundle would bring it; return the ids of its cells."""
        keys = keys or self.source_keys(name)
        place = Place(desk, week_of(self.newsroom.now) if week is None else week, index, keys.public)
        payloads = reply.compose(
            place,
            self.newsroom.network,
            signed_by or self.newsroom.desk_seed(desk),
            self.geometry.payload_bytes,
            language="th",
            text=text,
            state=state,
            attachments=attachments,
            asks=asks,
        )
        series, ids = system_randomness(16), []
        sealer = Sealer([HybridIdentity.from_seed(keys.reply_seed).recipient()], self.geometry, system_randomness)
        with self.store.item(len(payloads), reserved=True) as deposit:
            for number, payload in enumerate(payloads):
                tag = mailbox.tag(keys.root, desk, place.week, index, number)
                seal = sealer.seal(tag[0] % self.geometry.recipients)
                last = Flags.LAST if number == len(payloads) - 1 else Flags.NONE
                cell = seal_block(seal, Head(Kind.REPLY, series, 0, number), self.geometry, payload, last)
                ids.append(mailbox.address(self.newsroom.network, desk, tag))
                deposit.append(cell, ids[-1], seal.digest)
            deposit.commit()
        return list(ids)

    def codename(self, language: str = "th") -> Codename:
        """Make the next codename; the same ones in every run."""
        return codename.make(codename.Language(language), self._chance)


@dataclass(frozen=True)
class Sent:
    """What a visitor sent, and what the site answered into the frame."""

    codename: Codename
    upload: str
    response: TestResponse

    @property
    def text(self) -> str:
        return self.response.get_data(as_text=True)


class Visitor:
    """Somebody with a browser, on the pages of one language."""

    def __init__(self, site: Site, language: str) -> None:
        self.site = site
        self.language = language
        self.client = site.app.test_client()
        self.inbox_path = ""

    def path(self, path: str) -> str:
        return f"/{self.language}{path}"

    def get(self, path: str, **options: Any) -> TestResponse:
        return self.client.get(self.path(path), **options)

    def open_form(self) -> tuple[Codename, str]:
        """Open the send page: return its codename and the address that its form goes to."""
        page = self.get("/send").get_data(as_text=True)
        return codename.read(hidden(page, "codename")), action(page)

    def send(
        self,
        text: str = "",
        files: Sequence[Upload] = (),
        *,
        desks: Sequence[int] | None = None,
        refer: str = "ask",
        answer: bool = True,
        fields: Sequence[tuple[str, str]] | None = None,
        **options: Any,
    ) -> Sent:
        """Open the send page, fill its form in, and send it."""
        name, address = self.open_form()
        chosen = self.site.newsroom.manifest.desk_numbers if desks is None else desks
        texts = form_fields(text, chosen, refer, answer, name.text) if fields is None else fields
        body = multipart(texts, files)
        response = self.post(address, body, **options)
        return Sent(name, address.rsplit("/", 1)[1], response)

    def post(self, address: str, body: bytes, **options: Any) -> TestResponse:
        return self.stream(address, io.BytesIO(body), len(body), **options)

    def stream(self, address: str, stream: io.BytesIO, length: int, **options: Any) -> TestResponse:
        """Send a body that comes as its stream has it, through a worker that ends streams by itself, as ours does."""
        options.setdefault("content_type", f"multipart/form-data; boundary={BOUNDARY}")
        overrides = {"wsgi.input_terminated": True, **options.pop("environ_overrides", {})}
        return self.client.post(
            address, input_stream=stream, content_length=length, environ_overrides=overrides, **options
        )

    def sign_in(self, typed: str) -> TestResponse:
        """Type a codename; on success, remember where the inbox is."""
        response = self.client.post(self.path("/return"), data={"codename": typed})
        if response.status_code == 303:
            self.inbox_path = response.headers["Location"]
        return response

    def inbox(self, query: str = "") -> TestResponse:
        return self.client.get(self.inbox_path + query)


def form_fields(
    text: str, desks: Sequence[int], refer: str = "ask", answer: bool = True, name: str | None = None
) -> list[tuple[str, str]]:
    """The text fields of a send form, in the page's order."""
    fields = [] if name is None else [("codename", name)]
    fields.append(("text", text))
    fields += [("desk", str(desk)) for desk in desks]
    fields.append(("refer", refer))
    return [*fields, ("answer", "yes")] if answer else fields


def multipart(fields: Sequence[tuple[str, str]], files: Sequence[Upload] = (), boundary: str = BOUNDARY) -> bytes:
    """Write a form as browsers do."""
    parts = []
    for name, value in fields:
        parts.append(f'Content-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + value.encode())
    for file in files:
        head = b'Content-Disposition: form-data; name="files"; filename="' + file.raw_name + b'"\r\n'
        parts.append(head + f"Content-Type: {file.type}\r\n\r\n".encode() + file.content)
    if not files:
        parts.append(
            b'Content-Disposition: form-data; name="files"; filename=""\r\n'
            b"Content-Type: application/octet-stream\r\n\r\n"
        )
    opening = f"--{boundary}\r\n".encode()
    return b"".join(opening + part + b"\r\n" for part in parts) + f"--{boundary}--\r\n".encode()


def hidden(page: str, name: str) -> str:
    """Return the value of a hidden field."""
    found = re.search(rf'<input type="hidden" name="{name}" value="([^"]*)">', page)
    assert found, page
    return html.unescape(found[1])


def action(page: str) -> str:
    """Return the address of the page's upload form."""
    found = re.search(r'<form[^>]* action="([^"]*)" target="result"', page)
    assert found, page
    return html.unescape(found[1])
