"""The source's site: one Flask application, its language, its headers, and what it says when something is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Flask, Response, g, make_response, render_template, request
from flask_babel import Babel, gettext
from werkzeug.exceptions import HTTPException

from dropbox.source import front, inbox, send
from dropbox.source.context import Context
from dropbox.source.headers import harden
from dropbox.source.words import LANGUAGES, of_closed, of_error, size
from keys.errors import DropBoxError, Malformed
from keys.languages import Text

DEFAULT_LANGUAGE = "th"


def create_app(context: Context) -> Flask:
    """Return the WSGI application of the source's site."""
    app = Flask("dropbox.source", static_folder=None, template_folder="templates", root_path=_root())
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters["size"] = size
    app.config["BABEL_TRANSLATION_DIRECTORIES"] = _translations()
    Babel(app, locale_selector=language, default_locale="en")

    @app.before_request
    def choose_language() -> None:
        given = (request.view_args or {}).pop("language", None)
        g.language = given or request.accept_languages.best_match(LANGUAGES) or DEFAULT_LANGUAGE

    @app.context_processor
    def common() -> Mapping[str, Any]:
        return _common(context)

    @app.errorhandler(DropBoxError)
    def explain(error: DropBoxError) -> Response:
        return _explanation(error)

    @app.errorhandler(HTTPException)
    def nothing_here(error: HTTPException) -> Response:
        response = _explanation(Malformed("There is no such page.", "Go back to the first page."))
        response.status_code = error.code or 404
        return response

    @app.errorhandler(Exception)
    def failed(_error: Exception) -> Response:
        # What went wrong may carry what was sent: the exception is dropped here, and only its kind is logged.
        app.logger.error("a page failed: %s", type(_error).__name__)
        response = make_response(
            render_template(
                "error.html",
                message=gettext("Something failed here, not at your end."),
                remedy=gettext("What a receipt has named is safe. Try again in a while."),
            )
        )
        response.status_code = 500
        return response

    app.after_request(harden)
    for part in (front, send, inbox):
        part.register(app, context)
    return app


def language() -> str:
    """The language of this request: from the address, else what the browser asks for, else Thai."""
    return str(g.get("language", DEFAULT_LANGUAGE))


def _explanation(error: DropBoxError) -> Response:
    message, remedy = of_error(error)
    response = make_response(render_template("error.html", message=message, remedy=remedy))
    response.status_code = error.http_status
    return response


def _common(context: Context) -> dict[str, Any]:
    admitted = context.box.admitted()
    chosen = language() if "language" in g else DEFAULT_LANGUAGE
    opening = context.box.openness()

    def say(text: Text) -> str:
        return text.of(chosen)

    return {
        "language": chosen,
        "other_language": "en" if chosen == "th" else "th",
        "manifest": admitted.manifest,
        "say": say,
        "opening": opening,
        "closed_because": None if opening.reason is None else of_closed(opening.reason),
        "path_after_language": request.path[3:] if request.path[1:3] in LANGUAGES else "/",
    }


def _root() -> str:
    from importlib.resources import files

    return str(files("dropbox.source"))


def _translations() -> str:
    from importlib.resources import files

    return str(files("dropbox").joinpath("translations"))
