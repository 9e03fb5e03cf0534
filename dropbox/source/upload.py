"""One upload, a first tip or a follow-up: its body counted as it streams in, its receipt, or why there is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from io import RawIOBase
from typing import cast

from flask import Response, g, make_response, render_template, request
from werkzeug.exceptions import ClientDisconnected

from dropbox import refusals
from dropbox.intake.multipart import Broken, boundary_of, events
from dropbox.intake.progress import Reporter, Stage
from dropbox.intake.receive import Form, receive
from dropbox.intake.sending import FileLimits, Receipt, Sending
from dropbox.sessions import Session
from dropbox.source import forms
from dropbox.source.context import Context
from dropbox.source.words import number_of, refusal_of
from keys import tip
from keys.cell import Seal
from keys.codename import Codename
from keys.errors import DropBoxError, NotForUs
from keys.mailbox import SourceKeys
from keys.manifest import Manifest

LABEL_BYTES = 16
TOLD_EVERY_MS = 100
CIRCUIT = "mustshare.circuit"


@dataclass(frozen=True, slots=True)
class Sender:
    """Whose upload it is: a session, and the codename when the form carried one, to be shown again."""

    session: Session
    codename: Codename | None

    def __repr__(self) -> str:
        return "Sender(…)"


Identify = Callable[[Form], Sender]


@dataclass(frozen=True, slots=True)
class Blank:
    """A form to fill in: the most bytes of each text field, how many files, and the message that it becomes.

    `message` is given the form, what was chosen, the source's keys, the week and the page's language.
    """

    limits: Callable[[Manifest], Mapping[str, int]]
    files: Callable[[Manifest], int]
    message: Callable[[Form, forms.Choice, SourceKeys, int, str], tip.Message]


TIP = Blank(forms.limits, lambda in_force: in_force.limits.files, forms.message)


def upload_label(context: Context) -> str:
    """Return a fresh label, under which a page's progress frame finds the upload of its form."""
    return context.randomness(LABEL_BYTES).hex()


def read_label(upload: str) -> bytes:
    """Read a label from an address. Raises: NotForUs: it isn't one."""
    g.framed = True
    if len(upload) != 2 * LABEL_BYTES or any(letter not in "0123456789abcdef" for letter in upload):
        raise NotForUs("There is no such upload.")
    return bytes.fromhex(upload)


def circuit() -> int | None:
    """The Tor circuit of this request, as far as the worker knows it."""
    found: int | None = request.environ.get(CIRCUIT)
    return found


def receive_upload(context: Context, upload: str, identify: Identify, blank: Blank = TIP) -> Response:
    """Receive a tip or a follow-up and answer with its receipt.

    Args:
        identify: turns the form's texts into a session: a new one by its codename, or the one that is open.
        blank: what the form asks for.

    Raises:
        DropBoxError: nothing was stored; the progress frame tells why already while the rest of the body drains.
    """
    label = read_label(upload)
    reporter = context.board.begin(label, request.content_length or 0, context.milliseconds())
    ending = _Ending(Stage.REFUSED, number_of(refusals.Failed()))
    try:
        receipt, sender = _receive(context, reporter, identify, blank)
        ending = _Ending(Stage.STORED if receipt.complete else Stage.BROKEN)
    except DropBoxError as error:
        ending = _Ending(Stage.REFUSED, number_of(refusal_of(error)))
        raise
    finally:
        reporter.end(context.milliseconds(), ending.stage, ending.reason)
    page = render_template("receipt.html", receipt=receipt, codename=sender.codename, label=sender.session.label)
    response = make_response(page)
    set_cookie(context, response, sender.session)
    return response


@dataclass(frozen=True, slots=True)
class _Ending:
    stage: Stage
    reason: int = 0


def _receive(context: Context, reporter: Reporter, identify: Identify, blank: Blank) -> tuple[Receipt, Sender]:
    if not context.box.openness().is_open:
        raise refusals.Closed  # Before anything is read.
    in_force = context.box.manifest
    found: list[Sender] = []

    def begin(form: Form) -> tuple[Sending, Callable[[bool], None]]:
        chosen = forms.choice(form, context.box.openness().desks)
        found.append(identify(form))
        return _sending(context, held, in_force, found[0].session, form, chosen, blank)

    body = _Body(context, reporter)
    parts = events(body, boundary_of(request.headers.get("Content-Type")))
    with ExitStack() as held:
        try:
            receipt = receive(parts, begin, blank.limits(in_force), forms.FILES, body.stored)
        except Broken:
            raise refusals.BrokenOff from None
    return receipt, found[0]


def _sending(
    context: Context,
    held: ExitStack,
    in_force: Manifest,
    session: Session,
    form: Form,
    chosen: forms.Choice,
    blank: Blank,
) -> tuple[Sending, Callable[[bool], None]]:
    keys = context.signing_keys(session, in_force)
    week, sealer = context.box.sealer(chosen.desks)
    sending = new_sending(context, held.enter_context(context.seals(sealer)), in_force, keys, blank.files(in_force))
    message = blank.message(form, chosen, keys, week, g.language)

    def commit(closed: bool) -> None:
        if closed and not _says_something(message):
            raise refusals.NothingToSend
        sending.message(message, closed=closed)

    return sending, commit


def _says_something(message: tip.Message) -> bool:
    return any(text.strip() for text in (message.text, *(answer for _, answer in message.answers)))


def new_sending(
    context: Context, seals: Callable[[], Seal], in_force: Manifest, keys: SourceKeys, files: int = 0
) -> Sending:
    """Begin what a source sends: its message must come next.

    Args:
        seals: makes each cell's seal, to the desks that may read it.
        files: how many may follow.
    """
    return Sending(
        context.cells,
        seals,
        context.box.geometry,
        in_force.network,
        keys.signing_seed,
        FileLimits(in_force.limits.file_bytes, files),
        context.randomness,
    )


class _Body:
    """The request's body, counted for the progress frame as it is read."""

    def __init__(self, context: Context, reporter: Reporter) -> None:
        self._context = context
        self._reporter = reporter
        self._received = 0
        self._told_ms = 0
        self._stream = cast(RawIOBase, request.stream)

    def readinto(self, buffer: memoryview, /) -> int:
        try:
            count = self._stream.readinto(buffer) or 0
        except (OSError, ClientDisconnected):
            raise Broken from None
        self._received += count
        now = self._context.milliseconds()
        if now - self._told_ms >= TOLD_EVERY_MS or not count:
            self._told_ms = now
            self._reporter.update(now, received=self._received)
        return count

    def stored(self, sending: Sending, /) -> None:
        self._reporter.update(self._context.milliseconds(), received=self._received, stored=sending.items_stored)


def set_cookie(context: Context, response: Response, session: Session) -> None:
    """Give the browser the session's cookie, renewed; its length is always the same."""
    name, value = context.sessions.cookie(session)
    response.set_cookie(name, value, path="/", httponly=True, samesite="Strict")
