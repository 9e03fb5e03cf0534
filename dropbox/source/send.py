"""Sending: the codename, the form with its two frames, the upload itself, and its progress.

The form's target is a frame beside the one that shows progress: a form that replaced the whole page would freeze both.
"""

from __future__ import annotations

from collections.abc import Callable

from flask import Flask, Response, g, make_response, render_template, request

from dropbox.intake.multipart import Broken, boundary_of, events
from dropbox.intake.progress import Reporter, Stage
from dropbox.intake.receive import Form, receive
from dropbox.intake.sending import FileLimits, Receipt, Sending
from dropbox.sessions import Session
from dropbox.source import forms
from dropbox.source.context import Context
from dropbox.source.words import of_error, of_file
from keys import codename
from keys.codename import Language
from keys.errors import DropBoxError, Malformed
from keys.mailbox import SourceKeys
from keys.manifest import Manifest

UPLOAD_LABEL_BYTES = 16
REFUSED = 1


def register(app: Flask, context: Context) -> None:
    """Add these pages to the application."""

    @app.get("/<any(th,en):language>/send")
    def send() -> Response:
        name = codename.make(Language(g.language), context.randomness)
        return make_response(
            render_template("send.html", codename=name, upload=context.randomness(UPLOAD_LABEL_BYTES).hex())
        )

    @app.get("/<any(th,en):language>/send/waiting")
    def waiting() -> Response:
        return make_response(render_template("waiting.html"))

    @app.post("/<any(th,en):language>/send/<upload>")
    def upload(upload: str) -> Response:
        return receive_upload(context, upload, lambda form: _newcomer(context, form))

    @app.get("/<any(th,en):language>/progress/<upload>")
    def progress(upload: str) -> Response:
        now = context.board.read(_label(upload))
        elapsed = max(context.milliseconds() - now.started_ms, 1) / 1000
        speed = now.received / elapsed
        left = (now.expected - now.received) / speed if speed else 0
        return make_response(
            render_template("progress.html", progress=now, Stage=Stage, speed=int(speed), seconds_left=int(left))
        )


def _label(upload: str) -> bytes:
    if len(upload) != 2 * UPLOAD_LABEL_BYTES or any(letter not in "0123456789abcdef" for letter in upload):
        raise Malformed("There is no such upload.", "Open the page again and send it from there.")
    return bytes.fromhex(upload)


def _newcomer(context: Context, form: Form) -> Session:
    name = codename.read(form.one(forms.CODENAME))
    stretched = context.stretch(name, sending=True, circuit=request.environ.get("mustshare.circuit"))
    return context.sessions.begin(stretched)


def receive_upload(context: Context, upload: str, identify: Callable[[Form], Session]) -> Response:
    """Receive a tip or a follow-up and answer with its receipt, or with the page that says why not.

    Args:
        identify: turns the form's texts into a session: a new one by its codename, or the one that is open.
    """
    reporter = context.board.begin(_label(upload), request.content_length or 0, context.milliseconds())
    found: list[Session] = []
    try:
        receipt = _receive(context, reporter, identify, found)
    except Broken:
        reporter.end(context.milliseconds(), Stage.BROKEN)
        raise Malformed(
            "The upload broke off before the message was complete.", "Nothing was stored. Send it again."
        ) from None
    except DropBoxError as error:
        reporter.end(context.milliseconds(), Stage.REFUSED, REFUSED)
        message, remedy = of_error(error)
        response = make_response(render_template("refused.html", message=message, remedy=remedy))
        response.status_code = error.http_status
        return response
    reporter.end(context.milliseconds(), Stage.STORED if receipt.complete else Stage.BROKEN)
    session = found[0]
    response = make_response(
        render_template("receipt.html", receipt=receipt, of_file=of_file, name_of=_shown_name, label=session.label)
    )
    set_cookie(context, response, session)
    return response


def _receive(
    context: Context, reporter: Reporter, identify: Callable[[Form], Session], found: list[Session]
) -> Receipt:
    in_force = context.box.manifest
    limits = forms.limits(in_force)

    def begin(form: Form) -> tuple[Sending, Callable[[bool], None]]:
        chosen = forms.choice(form, context.box.openness().desks)
        session = identify(form)
        found.append(session)
        keys = context.keys(session.stretched, in_force)[0]
        return _sending(context, in_force, keys, form, chosen)

    counted = _Counted(context, reporter)
    boundary = boundary_of(request.headers.get("Content-Type"))
    if not context.box.openness().is_open:
        context.box.sealer([])  # Closed: says so, before anything is read.
    return receive(events(counted, boundary), begin, limits, forms.FILES, counted.stored)


def _sending(
    context: Context, in_force: Manifest, keys: SourceKeys, form: Form, chosen: forms.Choice
) -> tuple[Sending, Callable[[bool], None]]:
    week, sealer = context.box.sealer(chosen.desks)
    sending = Sending(
        context.cells,
        sealer.seal,
        context.box.geometry,
        in_force.network,
        keys.signing_seed,
        FileLimits(in_force.limits.file_bytes, in_force.limits.files),
        context.randomness,
    )
    message = forms.message(form, chosen, keys, week, g.language)

    def commit(closed: bool) -> None:
        if closed and not message.text.strip():
            raise forms.BadForm("There is neither a message nor a file.", "Write something, or choose a file.")
        sending.message(message, closed=closed)

    return sending, commit


class _Counted:
    """The request's body, counted for the progress frame as it is read."""

    def __init__(self, context: Context, reporter: Reporter) -> None:
        self._context = context
        self._reporter = reporter
        self._received = 0
        self._stream = request.stream

    def read(self, size: int, /) -> bytes:
        try:
            data = self._stream.read(size)
        except OSError as error:
            raise Broken from error
        self._received += len(data)
        self._reporter.update(self._context.milliseconds(), received=self._received)
        return bytes(data)

    def stored(self, sending: Sending, /) -> None:
        self._reporter.update(self._context.milliseconds(), stored=sending.items_stored)


def _shown_name(name: bytes) -> str:
    """A file's name for the receipt, whatever bytes it is."""
    return name.decode("utf-8", "replace")


def set_cookie(context: Context, response: Response, session: Session) -> None:
    """Give the browser the session's cookie, renewed; its length is always the same."""
    name, value = context.sessions.cookie(session)
    response.set_cookie(name, value, path="/", httponly=True, samesite="Strict")
