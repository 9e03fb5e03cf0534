"""Sending: the codename, the form with its two frames, the upload, and its progress.

The form's target is a frame beside the one that shows progress: a form that replaced the whole page would freeze both.
"""

from __future__ import annotations

from flask import Flask, Response, g, make_response, render_template

from dropbox.intake.progress import Progress, Stage
from dropbox.intake.receive import Form
from dropbox.source import forms
from dropbox.source.context import Context
from dropbox.source.upload import Sender, circuit, read_label, receive_upload, upload_label
from dropbox.source.words import of_refusal, refusal_by_number
from keys import codename
from keys.codename import Language


def register(app: Flask, context: Context) -> None:
    """Add these pages to the application."""

    @app.get("/<any(th,en):language>/send")
    def send() -> tuple[Response, int]:
        if not context.box.openness().is_open:
            return make_response(render_template("closed.html")), 503
        page = render_template(
            "send.html",
            codename=codename.make(Language(g.language), context.randomness),
            upload=upload_label(context),
            text_bytes=forms.text_bytes(context.box.manifest),
        )
        return make_response(page), 200

    @app.get("/<any(th,en):language>/send/waiting")
    def waiting() -> Response:
        return make_response(render_template("waiting.html"))

    @app.post("/<any(th,en):language>/send/<upload>")
    def upload(upload: str) -> Response:
        def identify(form: Form) -> Sender:
            name = codename.read(form.one(forms.CODENAME))
            return Sender(context.sign_in(name, sending=True, circuit=circuit()), name)

        return receive_upload(context, upload, identify)

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


def _pace(now: Progress) -> tuple[float, float]:
    """Return bytes a second since the upload began, and the seconds that the rest takes at that speed."""
    speed = now.received * 1_000 / max(now.changed_ms - now.started_ms, 1)
    return speed, (now.expected - now.received) / speed if speed else 0.0
