"""Coming back with a codename, and leaving."""

from __future__ import annotations

import contextlib
import re

from flask import Flask, Response, make_response, render_template, request, url_for

from dropbox.refusals import BadForm, Expired, WrongLength
from dropbox.sessions import COOKIE_PREFIX, LABEL_BYTES, Session
from dropbox.source.context import Context
from dropbox.source.upload import circuit, set_cookie
from dropbox.source.words import of_refusal, refusal_of
from keys import codename
from keys.codename import UnknownWord, WrongCheckWord
from keys.errors import DropBoxError, Malformed

MAX_FORM_BYTES = 8_192
URL_ENCODED = "application/x-www-form-urlencoded"
_SESSIONS = re.compile(rf"{COOKIE_PREFIX}[0-9a-f]{{{2 * LABEL_BYTES}}}\Z")


def register(app: Flask, context: Context) -> None:
    """Add these pages to the application."""

    @app.get("/<any(th,en):language>/return")
    def come_back() -> Response:
        return make_response(render_template("return.html", typed="", trouble=None, hints=[]))

    @app.post("/<any(th,en):language>/return")
    def enter() -> Response:
        typed = text_field("codename")
        try:
            session = context.sign_in(codename.read(typed), sending=False, circuit=circuit())
        except Malformed as error:
            return _again(typed, error if isinstance(error, UnknownWord | WrongCheckWord) else WrongLength())
        except DropBoxError as error:
            return _again(typed, error)
        return to_inbox(context, session)

    @app.route("/<any(th,en):language>/leave", methods=["GET", "POST"])
    def leave() -> Response:
        response = make_response(render_template("left.html"))
        for name, value in request.cookies.items():
            if _SESSIONS.match(name):  # No other name is ever set here, nor said back.
                with contextlib.suppress(Expired):
                    context.sessions.revoke(context.sessions.read(name.removeprefix(COOKIE_PREFIX), value))
                response.delete_cookie(name, path="/", httponly=True, samesite="Strict")
        response.headers["Clear-Site-Data"] = '"cache", "cookies", "storage"'
        return response


def to_inbox(context: Context, session: Session) -> Response:
    """Lead the browser to a session's mailbox; the answer is the same for every mailbox but for the label."""
    response = Response(status=303, headers={"Location": url_for("inbox", label=session.label)})
    set_cookie(context, response, session)
    return response


def _again(typed: str, error: DropBoxError) -> Response:
    """Show the form again with what was typed, what is wrong, and for each unknown word those it may have been."""
    refusal = refusal_of(error)
    hints = list(zip(error.positions, error.suggestions, strict=True)) if isinstance(error, UnknownWord) else []
    response = make_response(render_template("return.html", typed=typed, trouble=of_refusal(refusal), hints=hints))
    response.status_code = refusal.http_status
    return response


def text_field(name: str) -> str:
    """Read one field of a small form, which is kept in memory. Raises: BadForm: another shape, or too long."""
    if request.mimetype != URL_ENCODED or not 0 < (request.content_length or 0) <= MAX_FORM_BYTES:
        raise BadForm
    return request.form.get(name, "")
