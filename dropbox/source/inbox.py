"""Coming back: the codename typed, replies read, answered and deleted, and leaving. Promise 12: one size, one path."""

from __future__ import annotations

from flask import Flask, Response, g, make_response, redirect, render_template, request, url_for

from dropbox.replies import Found
from dropbox.sessions import COOKIE_PREFIX, Session
from dropbox.source.context import Context
from dropbox.source.padding import PAGE_BYTES, pad
from dropbox.source.send import UPLOAD_LABEL_BYTES, receive_upload, set_cookie
from dropbox.source.words import of_error, of_reply
from keys import codename
from keys.codename import UnknownWord
from keys.errors import Malformed, NotForUs
from keys.mailbox import SourceKeys

MAX_LOGIN_BYTES = 8_192
DELETE = "delete"


def register(app: Flask, context: Context) -> None:
    """Add these pages to the application."""

    @app.get("/<any(th,en):language>/return")
    def come_back() -> Response:
        return make_response(render_template("return.html", typed="", trouble=None, suggestions=()))

    @app.post("/<any(th,en):language>/return")
    def enter() -> Response:
        typed = _text_field("codename")
        try:
            name = codename.read(typed)
        except Malformed as error:
            suggestions = error.suggestions if isinstance(error, UnknownWord) else ()
            page = render_template("return.html", typed=typed, trouble=of_error(error), suggestions=suggestions)
            response = make_response(page)
            response.status_code = 400
            return response
        circuit = request.environ.get("mustshare.circuit")
        session = context.sessions.begin(context.stretch(name, sending=False, circuit=circuit))
        response = redirect(url_for("inbox", language=g.language, label=session.label), 303)
        set_cookie(context, response, session)
        return response

    @app.get("/<any(th,en):language>/inbox/<label>")
    def inbox(label: str) -> Response:
        return _inbox(context, session_of(context, label))

    @app.post("/<any(th,en):language>/inbox/<label>/send/<upload>")
    def follow_up(label: str, upload: str) -> Response:
        session = session_of(context, label)
        return receive_upload(context, upload, lambda _form: session)

    @app.post("/<any(th,en):language>/inbox/<label>/delete")
    def delete(label: str) -> Response:
        session = session_of(context, label)
        chosen, token = _text_field("reply"), _text_field("token")
        context.sessions.check_form_token(session, DELETE, token)
        keys, found = _find(context, session, chosen)
        context.box.store.delete(found.cells)
        response = redirect(url_for("inbox", language=g.language, label=label), 303)
        set_cookie(context, response, session)
        return response

    @app.get("/<any(th,en):language>/inbox/<label>/file/<chosen>/<int:number>")
    def attachment(label: str, chosen: str, number: int) -> Response:
        session = session_of(context, label)
        keys, found = _find(context, session, chosen)
        if number >= len(found.reply.attachments):
            raise NotForUs("There is no such file.", "Go back to your replies.")
        data = context.mailboxes.attachment(found, number, keys)
        response = Response(data, mimetype="application/octet-stream")
        response.headers.set(
            "Content-Disposition", "attachment", filename=found.reply.attachments[number].name or "file"
        )
        return response

    @app.post("/<any(th,en):language>/leave")
    @app.get("/<any(th,en):language>/leave")
    def leave() -> Response:
        response = make_response(render_template("left.html"))
        for name, value in request.cookies.items():
            if name.startswith(COOKIE_PREFIX):
                _forget(context, response, name, value)
        response.headers["Clear-Site-Data"] = '"cache", "cookies", "storage"'
        return response


def _forget(context: Context, response: Response, name: str, value: str) -> None:
    try:
        context.sessions.revoke(context.sessions.read(name.removeprefix(COOKIE_PREFIX), value))
    except Malformed:
        pass
    response.delete_cookie(name, path="/", httponly=True, samesite="Strict")


def session_of(context: Context, label: str) -> Session:
    """Return the open session of a page. Raises: Expired: there is none."""
    return context.sessions.read(label, request.cookies.get(COOKIE_PREFIX + label, ""))


def _text_field(name: str) -> str:
    """Read one field of a small form. Werkzeug keeps url-encoded forms in memory; anything else is refused."""
    if request.mimetype != "application/x-www-form-urlencoded" or (request.content_length or 0) > MAX_LOGIN_BYTES:
        raise Malformed("The form arrived in a shape that this page doesn't send.", "Open the page again.")
    return request.form.get(name, "")


def reply_name(found: Found) -> str:
    """How forms and links of the inbox name a reply."""
    return f"{found.place.desk}-{found.place.week}-{found.place.index}"


def _look(context: Context, session: Session) -> list[tuple[SourceKeys, Found]]:
    in_force = context.box.manifest
    return [
        (keys, found)
        for keys in context.keys(session.stretched, in_force)
        for found in context.mailboxes.look(keys, in_force, context.box.now)
    ]


def _find(context: Context, session: Session, chosen: str) -> tuple[SourceKeys, Found]:
    for keys, found in _look(context, session):
        if reply_name(found) == chosen:
            return keys, found
    raise NotForUs("This reply is not there any more.", "Go back to your replies.")


def _inbox(context: Context, session: Session) -> Response:
    """Show as many replies as a page of fixed length holds, newest first; the rest are named by number."""
    replies = [found for _, found in _look(context, session)]
    upload = context.randomness(UPLOAD_LABEL_BYTES).hex()
    token = context.sessions.form_token(session, DELETE)
    start = min(request.args.get("from", 0, type=int), len(replies))
    shown = replies[max(start, 0) :]
    while True:
        page = render_template(
            "inbox.html",
            label=session.label,
            replies=shown,
            before=start,
            after=len(replies) - start - len(shown),
            upload=upload,
            token=token,
            of_reply=of_reply,
            reply_name=reply_name,
        ).encode()
        if len(page) <= PAGE_BYTES:
            break
        shown = shown[:-1]
    response = make_response(pad(page))
    response.mimetype = "text/html"
    set_cookie(context, response, session)
    return response
