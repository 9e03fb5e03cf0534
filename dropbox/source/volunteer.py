"""Volunteering: what somebody can do, where, and how to be reached; sealed like a tip, as its own kind. One cell."""

from __future__ import annotations

from flask import Flask, Response, g, make_response, render_template
from flask_babel import lazy_gettext

from dropbox.intake.receive import Form
from dropbox.source import forms
from dropbox.source.context import Context
from dropbox.source.send import newcomer
from dropbox.source.upload import Blank, receive_upload, upload_label
from keys import codename, tip
from keys.codename import Language
from keys.mailbox import SourceKeys
from keys.manifest import Manifest

KIND = "volunteer"
MAX_ANSWER_CHARACTERS = 2_000
MAX_ANSWER_BYTES = 3 * MAX_ANSWER_CHARACTERS
"""UTF-8 takes three bytes at most for each character that a browser counts."""

QUESTIONS = {
    "can": lazy_gettext("What can you do?"),
    "where": lazy_gettext("Where, and when?"),
    "reach": lazy_gettext("How can they reach you?"),
}
"""By the name of its field. They are sealed with the answers, in the page's language."""


def register(app: Flask, context: Context) -> None:
    """Add these pages to the application."""

    @app.get("/<any(th,en):language>/volunteer")
    def volunteer() -> tuple[Response, int]:
        if not context.box.openness().is_open:
            return make_response(render_template("closed.html")), 503
        page = render_template(
            "volunteer.html",
            codename=codename.make(Language(g.language), context.randomness),
            upload=upload_label(context),
            most=MAX_ANSWER_CHARACTERS,
        )
        return make_response(page), 200

    @app.post("/<any(th,en):language>/volunteer/<upload>")
    def offer(upload: str) -> Response:
        return receive_upload(context, upload, newcomer(context), OFFER)


def _limits(in_force: Manifest) -> dict[str, int]:
    most = min(MAX_ANSWER_BYTES, forms.text_bytes(in_force) // len(QUESTIONS))
    return {forms.CODENAME: forms.MAX_CODENAME_BYTES, forms.DESK: forms.SMALL, **dict.fromkeys(QUESTIONS, most)}


def _message(form: Form, chosen: forms.Choice, keys: SourceKeys, week: int, language: str) -> tip.Message:
    """Put an offer together; whoever makes one may always be answered."""
    answers = ((str(asked), form.one(field).replace("\r\n", "\n")) for field, asked in QUESTIONS.items())
    return tip.Message(
        kind=KIND,
        week=week,
        language=language,
        text="",
        answers=tuple((question, answer) for question, answer in answers if answer.strip()),
        desks=chosen.desks,
        refer=chosen.refer,
        mailbox=forms.mailbox_of(keys),
    )


OFFER = Blank(_limits, lambda _: 0, _message)
