"""A mailbox: replies read, answered and deleted. Promise 12: one size, one path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response, g, make_response, render_template, request
from markupsafe import Markup

from dropbox.refusals import ReplyGone
from dropbox.replies import Found, addresses
from dropbox.sessions import COOKIE_PREFIX, Session
from dropbox.source import forms
from dropbox.source.consent import answer, asked_about
from dropbox.source.context import Context
from dropbox.source.entrance import text_field, to_inbox
from dropbox.source.headers import saved_as
from dropbox.source.padding import fixed_length, pad, pad_to_step
from dropbox.source.upload import Sender, receive_upload, set_cookie, upload_label
from keys.manifest import Manifest

DELETE, CONSENT = "delete", "consent"
COUNTS_BYTES = 1_024
"""Room for what differs besides the replies themselves: their number, links to older ones, which desks are ticked."""


def register(app: Flask, context: Context) -> None:
    """Add these pages to the application."""

    @app.get("/<any(th,en):language>/inbox/<label>")
    def inbox(label: str) -> Response:
        session = session_of(context, label)
        response = make_response(_page(context, session, _start()))
        set_cookie(context, response, session)
        return response

    @app.post("/<any(th,en):language>/inbox/<label>/send/<upload>")
    def follow_up(label: str, upload: str) -> Response:
        g.framed = True
        session = session_of(context, label)
        return receive_upload(context, upload, lambda _form: Sender(session, None))

    @app.post("/<any(th,en):language>/inbox/<label>/delete")
    def delete(label: str) -> Response:
        session = session_of(context, label)
        context.sessions.check_form_token(session, DELETE, text_field("token"))
        found = _find(context, session, text_field("reply"))
        context.box.store.delete(addresses(found, context.box.manifest.network))
        return to_inbox(context, session)

    @app.post("/<any(th,en):language>/inbox/<label>/consent")
    def consent(label: str) -> Response:
        session = session_of(context, label)
        context.sessions.check_form_token(session, CONSENT, text_field("token"))
        found = _find(context, session, text_field("reply"))
        allowed = answer(context, found, text_field("allowed"), g.language)
        response = make_response(pad_to_step(render_template("consent.html", label=label, allowed=allowed).encode()))
        set_cookie(context, response, session)
        return response

    @app.get("/<any(th,en):language>/inbox/<label>/file/<chosen>/<int:number>")
    def attachment(label: str, chosen: str, number: int) -> Response:
        found = _find(context, session_of(context, label), chosen)
        if number >= len(found.reply.attachments):
            raise ReplyGone
        data = context.mailboxes.attachment(found, number, context.box.manifest)
        response = Response(data, mimetype="application/octet-stream")
        response.headers["Content-Disposition"] = saved_as(found.reply.attachments[number].name)
        return response


def session_of(context: Context, label: str) -> Session:
    """Return the open session of a page. Raises: Expired: there is none."""
    return context.sessions.read(label, request.cookies.get(COOKIE_PREFIX + label, ""))


def reply_name(found: Found) -> str:
    """How forms and links of the inbox name a reply."""
    return f"{found.place.desk}-{found.place.week}-{found.place.index}"


def _find(context: Context, session: Session, chosen: str) -> Found:
    for found in context.look(session):
        if reply_name(found) == chosen:
            return found
    raise ReplyGone


def _start() -> int:
    """Which reply the page begins with, counted from the newest."""
    asked = request.args.get("from", "")
    return int(asked) if asked.isascii() and asked.isdecimal() and len(asked) < 6 else 0


@dataclass(frozen=True, slots=True)
class _Shown:
    """Which replies one page shows: from `start`, as many as were rendered."""

    count: int
    start: int
    replies: tuple[Markup, ...] = ()

    @property
    def newer(self) -> bool:
        return self.start > 0

    @property
    def older(self) -> int | None:
        """Where the next page begins, if there is one."""
        following = self.start + len(self.replies)
        return following if following < self.count else None


def _page(context: Context, session: Session, start: int) -> bytes:
    """Show as many replies as a page of fixed length holds, newest first; links lead to the rest."""
    found = context.look(session)
    values: dict[str, Any] = {
        "label": session.label,
        "upload": upload_label(context),
        "token": context.sessions.form_token(session, DELETE),
        "consent_token": context.sessions.form_token(session, CONSENT),
        "text_bytes": forms.text_bytes(context.box.manifest),
    }
    bare = len(render_template("inbox.html", shown=_Shown(0, 0), ticked=(), **values).encode())
    length = fixed_length(bare)
    start = min(start, max(len(found) - 1, 0))
    replies = _fitting(found[start:], length - bare - COUNTS_BYTES, context.box.manifest, values)
    shown = _Shown(len(found), start, replies)
    ticked = {each.place.desk for each in found}
    return pad(render_template("inbox.html", shown=shown, ticked=ticked, **values).encode(), length)


def _fitting(found: Sequence[Found], room: int, in_force: Manifest, values: dict[str, Any]) -> tuple[Markup, ...]:
    """Render replies as long as there is room; the first always fits (`padding.REPLIES_BYTES`)."""
    rendered: list[Markup] = []
    for each in found:
        asked = asked_about(each, in_force)
        piece = Markup(render_template("reply.html", found=each, name=reply_name(each), asked=asked, **values))
        room -= len(piece.encode())
        if room < 0:
            break
        rendered.append(piece)
    return tuple(rendered)
