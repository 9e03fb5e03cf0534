"""Calls, and what came of them: the lists, a page for each, and what each desk published. SPEC 12.1."""

from __future__ import annotations

import re
from dataclasses import dataclass

from flask import Flask, Response, g, make_response, render_template
from flask_babel import gettext, lazy_gettext
from markupsafe import Markup

from dropbox import bulletins
from dropbox.box import Box
from dropbox.bulletins import Published
from dropbox.refusals import NoSuchPost
from dropbox.source import markdown
from dropbox.source.context import Context
from dropbox.source.words import undeceiving
from keys.bulletin import Bulletin
from keys.languages import LANGUAGES, Text

SHOWN_WHOLE = 20
"""So many updates and outcomes stand on the page of their call; those before them are links."""
LISTED = 100
"""So many titles stand in one list."""
_ID = re.compile(r"[0-9a-f]{32}\Z")

_STATES = {
    "open": (lazy_gettext("Open"), lazy_gettext("Journalists are asking. Whoever knows something can answer.")),
    "checking": (lazy_gettext("Being checked"), lazy_gettext("Journalists are checking what came in.")),
    "published": (lazy_gettext("Published"), lazy_gettext("What was found has been published.")),
    "closed": (lazy_gettext("Closed"), lazy_gettext("Nobody is working on it for now.")),
}
_KINDS = {
    "call": lazy_gettext("Call"),
    "update": lazy_gettext("Update"),
    "outcome": lazy_gettext("Outcome"),
    "guidance": lazy_gettext("Guidance"),
}


class Notices:
    """What is published, put in order again when something else is in force or another day began."""

    def __init__(self, box: Box) -> None:
        self._box = box
        self._made: tuple[object, int, Published] | None = None

    def published(self) -> Published:
        admitted, today = self._box.admitted().bulletins, self._box.now // bulletins.SECONDS_A_DAY
        made = self._made
        if made is None or made[0] is not admitted or made[1] != today:
            made = self._made = (admitted, today, Published.of(admitted, self._box.now))
        return made[2]


@dataclass(frozen=True, slots=True)
class Said:
    """A text as a page shows it, and the language that it is in, where the page's own has none."""

    text: str
    language: str

    @property
    def translated(self) -> bool:
        return self.language == str(g.language)


def said(text: Text) -> Said:
    """Return a text in the page's language; where that is empty, as bodies may be, in the other."""
    chosen = str(g.language)
    other = next(each for each in LANGUAGES if each != chosen)
    language = chosen if text.of(chosen).strip() or not text.of(other).strip() else other
    return Said(undeceiving(text.of(language), lines=True), language)


def story(text: str, under: int = 1) -> Markup:
    """Return Markdown as what may stand in a page as it is."""
    return Markup(markdown.render(text, under))  # Let through by two walls: dropbox.source.markdown.


def of_state(bulletin: Bulletin) -> tuple[str, str]:
    """Return how far a call is, and what that means."""
    state, meaning = _STATES[bulletin.post.state]
    return str(state), str(meaning)


def of_kind(bulletin: Bulletin) -> str:
    return str(_KINDS[bulletin.post.kind])


def find_id(name: str) -> bytes:
    """Read a bulletin's id from an address. Raises: NoSuchPost: it isn't one."""
    if not _ID.match(name):
        raise NoSuchPost
    return bytes.fromhex(name)


def register(app: Flask, context: Context) -> None:
    """Add these pages to the application."""
    notices = Notices(context.box)
    app.jinja_env.filters |= {"story": story, "call_state": of_state, "kind": of_kind, "plain": undeceiving}
    app.jinja_env.globals |= {"said": said}

    @app.get("/<any(th,en):language>/calls")
    def calls() -> Response:
        return make_response(render_template("calls.html", published=notices.published(), most=LISTED))

    @app.get("/<any(th,en):language>/calls/<name>")
    def call(name: str) -> tuple[Response, int]:
        published = notices.published()
        found = published.call(find_id(name))
        if found is None:
            raise NoSuchPost
        if found.post.withdrawn:
            return _withdrawn(found)
        about = published.about(found)
        earlier, whole = about[:-SHOWN_WHOLE], about[-SHOWN_WHOLE:]
        takes = bulletins.is_open(found) and context.box.openness().is_open
        page = render_template("call.html", call=found, earlier=earlier, whole=whole, takes_answers=takes)
        return make_response(page), 200

    @app.get("/<any(th,en):language>/posts")
    def posts() -> Response:
        return make_response(render_template("posts.html", published=notices.published(), most=LISTED))

    @app.get("/<any(th,en):language>/posts/<name>")
    def post(name: str) -> tuple[Response, int]:
        published = notices.published()
        found = published.by_id.get(find_id(name))
        if found is None or bulletins.is_call(found):
            raise NoSuchPost
        if found.post.withdrawn:
            return _withdrawn(found)
        about = published.call(found.post.about)
        about = about if about is not None and not about.post.withdrawn else None
        return make_response(render_template("post.html", post=found, about=about)), 200

    @app.get("/<any(th,en):language>/desks/<int:number>")
    def desk(number: int) -> Response:
        found = next((each for each in context.box.manifest.desks if each.number == number), None)
        if found is None:
            raise NoSuchPost
        published = notices.published().of_desk(number)
        return make_response(render_template("desk.html", desk=found, published=published, most=LISTED))


def _withdrawn(found: Bulletin) -> tuple[Response, int]:
    """Say that a post was withdrawn, and when. Its text may be what it was withdrawn for: only its title is shown."""
    what = gettext("This call was withdrawn.") if bulletins.is_call(found) else gettext("This post was withdrawn.")
    return make_response(render_template("withdrawn.html", post=found, what=what)), 410
