"""Sending: the codename, the form with its two frames, the upload, and its progress.

The form's target is a frame beside the one that shows progress: a form that replaced the whole page would freeze both.
"""

from __future__ import annotations

from dataclasses import replace

from flask import Flask, Response, g, make_response, render_template, request, url_for

from dropbox.bulletins import Published, is_open
from dropbox.intake.progress import Progress, Stage
from dropbox.intake.receive import Form
from dropbox.source import answering, forms
from dropbox.source.context import Context
from dropbox.source.notices import Notices
from dropbox.source.upload import TIP, Blank, Identify, Sender, circuit, read_label, receive_upload, upload_label
from dropbox.source.words import of_refusal, refusal_by_number
from keys import codename, tip
from keys.bulletin import ID_BYTES, Bulletin
from keys.codename import Language
from keys.encoding import from_hex
from keys.errors import Malformed
from keys.languages import LANGUAGES
from keys.mailbox import SourceKeys

CALLS_OFFERED = 5
"""So many open calls stand on the send page itself."""


def register(app: Flask, context: Context) -> None:
    """Add these pages to the application."""
    notices = Notices(context.box)
    blank = _blank(context, notices)

    @app.get("/<any(th,en):language>/send")
    def send() -> tuple[Response, int]:
        if not context.box.openness().is_open:
            return make_response(render_template("closed.html")), 503
        asked, published = request.args.get(answering.CALL, ""), notices.published()
        call = _open_call(asked, published)
        page = render_template(
            "send.html",
            codename=codename.make(Language(g.language), context.randomness),
            upload=upload_label(context),
            text_bytes=forms.text_bytes(context.box.manifest),
            call=call,
            call_is_over=bool(asked) and call is None,
            open_calls=published.open_calls,
            offered=CALLS_OFFERED,
            answering=answering,
            other_path=url_for("send", language=_other(g.language), call=asked if call else None),
        )
        return make_response(page), 200

    @app.get("/<any(th,en):language>/send/waiting")
    def waiting() -> Response:
        return make_response(render_template("waiting.html"))

    @app.post("/<any(th,en):language>/send/<upload>")
    def upload(upload: str) -> Response:
        return receive_upload(context, upload, newcomer(context), blank)

    @app.get("/<any(th,en):language>/progress/<upload>")
    def progress(upload: str) -> Response:
        now = context.board.read(read_label(upload))
        speed, seconds_left = _pace(now)
        refusal = of_refusal(refusal_by_number(now.reason)) if now.reason else None
        return make_response(
            render_template(
                "progress.html", progress=now, Stage=Stage, speed=speed, seconds_left=seconds_left, refusal=refusal
            )
        )


def _other(language: str) -> str:
    return next(each for each in LANGUAGES if each != language)


def _open_call(name: str, published: Published) -> Bulletin | None:
    """Return the call that an address names, if it is there and asks for answers."""
    try:
        found = published.call(from_hex(name, ID_BYTES))
    except Malformed:
        return None
    return found if found is not None and is_open(found) else None


def _blank(context: Context, notices: Notices) -> Blank:
    """Return the send form, with the fields of a call; its receipt says so when the call was overtaken."""

    def message(form: Form, chosen: forms.Choice, keys: SourceKeys, week: int, language: str) -> tip.Message:
        most = forms.text_bytes(context.box.manifest)
        filled = answering.fill(form, chosen, keys, week, language, notices.published(), most)
        g.overtaken = filled.overtaken
        return filled.message

    return replace(TIP, limits=answering.limits, message=message)


def newcomer(context: Context) -> Identify:
    """Return what signs in whoever sends with the codename that the form carries."""

    def identify(form: Form) -> Sender:
        name = codename.read(form.one(forms.CODENAME))
        return Sender(context.sign_in(name, sending=True, circuit=circuit()), name)

    return identify


def _pace(now: Progress) -> tuple[float, float]:
    """Return bytes a second since the upload began, and the seconds that the rest takes at that speed."""
    speed = now.received * 1_000 / max(now.changed_ms - now.started_ms, 1)
    return speed, (now.expected - now.received) / speed if speed else 0.0
