"""The source's site: one Flask application, its language, its headers, and what it says when something is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, g, make_response, render_template, request, url_for
from flask_babel import Babel
from jinja2 import StrictUndefined
from werkzeug.exceptions import HTTPException

from dropbox import refusals
from dropbox.source import cautions, entrance, front, guidance, inbox, notices, papers, send, volunteer, words
from dropbox.source.context import Context
from dropbox.source.headers import harden
from keys.codename import Language
from keys.errors import DropBoxError
from keys.languages import LANGUAGES, Text
from keys.wordlist import word_list

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

DEFAULT_LANGUAGE = "th"


def create_app(context: Context) -> Flask:
    """Return the WSGI application of the source's site."""
    for each in Language:
        word_list(each)  # Read before the workers fork: no visitor waits for it, and they share its memory.
    app = Flask(__name__, static_folder=None)
    app.url_map.merge_slashes = False
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.config["BABEL_TRANSLATION_DIRECTORIES"] = str(files("dropbox").joinpath("translations"))
    _prepare_templates(app)
    Babel(app, locale_selector=language, default_locale="en")
    _speak(app)
    app.context_processor(lambda: _common(context))
    _explain_errors(app)
    app.before_request(_refuse_forms_of_other_sites)
    app.after_request(harden)
    for part in (front, notices, papers, send, entrance, inbox, guidance, volunteer):
        part.register(app, context)
    app.wsgi_app = _Nameless(app.wsgi_app)  # type: ignore[method-assign]
    return app


class _Nameless:
    """Serves every request under one name: what a client calls the host changes nothing, and can't break a page."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        asked = {cautions.HOST: environ.get("HTTP_HOST", ""), "HTTP_HOST": "onion", "SERVER_NAME": "onion"}
        return self._application({**environ, **asked}, start_response)


def _prepare_templates(app: Flask) -> None:
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.undefined = StrictUndefined
    app.jinja_env.filters |= {
        "size": words.size,
        "duration": words.duration,
        "day": words.day,
        "week_day": words.week_day,
        "shown_name": words.shown_name,
        "file_state": words.of_file,
        "reply_state": words.of_reply,
    }


def language() -> str:
    """The language of this request: from the address, else what the browser asks for, else Thai."""
    if "language" not in g:
        _, prefix, *_ = [*request.path.split("/"), ""]
        asked = (tag.lower().partition("-")[0] for tag in request.accept_languages.values())
        g.language = next((each for each in (prefix, *asked) if each in LANGUAGES), DEFAULT_LANGUAGE)
    return str(g.language)


def _speak(app: Flask) -> None:
    """Take the language out of every address before its view runs, and put it into every link."""

    @app.url_value_preprocessor
    def take(_endpoint: str | None, values: dict[str, Any] | None) -> None:
        language()
        if values is not None:
            values.pop("language", None)

    @app.url_defaults
    def give(endpoint: str, values: dict[str, Any]) -> None:
        if app.url_map.is_endpoint_expecting(endpoint, "language"):
            values.setdefault("language", language())


def _explain_errors(app: Flask) -> None:
    # Flask's own line quotes the address; what is to be told of a failure is told below, or by the worker.
    app.log_exception = lambda *_: None  # type: ignore[method-assign]

    @app.errorhandler(DropBoxError)
    def explain(error: DropBoxError) -> Response:
        return refusal_page(words.refusal_of(error))

    @app.errorhandler(HTTPException)
    def nothing_here(error: HTTPException) -> Response:
        response = refusal_page(refusals.NotHere())
        response.status_code = error.code or 404
        if isinstance(allowed := getattr(error, "valid_methods", None), list | tuple | set):
            response.headers["Allow"] = ", ".join(sorted(allowed))
        return response

    @app.errorhandler(Exception)
    def failed(error: Exception) -> Response:
        # What went wrong may carry what was sent: the exception is dropped here, and only its kind is logged.
        app.logger.error("a page failed: %s", type(error).__name__)
        return refusal_page(refusals.Failed())


def _refuse_forms_of_other_sites() -> None:
    """Refuse a form that another site made the browser send; from a page of ours it comes as `same-origin`.

    Only what a browser says outright counts: one that says nothing is let in, and so is an `Origin` of null, which
    Firefox sends under our own Referrer-Policy. Nobody with a codename is turned away for a token that has aged.

    Raises:
        FromElsewhere: the browser says so.
    """
    if request.method == "POST" and request.headers.get("Sec-Fetch-Site", "").strip().lower() == "cross-site":
        raise refusals.FromElsewhere


def refusal_page(refusal: refusals.Refusal) -> Response:
    """Say what is wrong: in the frame that an upload answers into, or on a page of its own."""
    sentence, advice = words.of_refusal(refusal)
    template = "refused.html" if g.get("framed") else "error.html"
    expired = isinstance(refusal, refusals.Expired)
    response = make_response(render_template(template, sentence=sentence, advice=advice, expired=expired))
    response.status_code = refusal.http_status
    return response


def _common(context: Context) -> dict[str, Any]:
    """What every template may use."""
    chosen = language()
    in_force = context.box.admitted().manifest
    opening = context.box.openness()

    def say(text: Text) -> str:
        return text.of(chosen)

    return {
        "language": chosen,
        "other_language": next(each for each in LANGUAGES if each != chosen),
        "other_path": _other_path(chosen),
        "manifest": in_force,
        "cautions": cautions.cautions(
            request.environ.get(cautions.HOST, ""), request.headers, in_force.onions.source if in_force else ()
        ),
        "say": say,
        "closed_because": None if opening.reason is None else words.of_closed(opening.reason),
        "open_desks": [desk for desk in in_force.desks if desk.number in opening.recipients] if in_force else [],
    }


def _other_path(chosen: str) -> str:
    """This page in the other language; the first page, where this address can't be opened by a link."""
    other = next(each for each in LANGUAGES if each != chosen)
    rule = request.url_rule
    if rule is None or "language" not in rule.arguments or "GET" not in (rule.methods or ()):
        return url_for("front", language=other)
    return f"/{other}{request.path.removeprefix(f'/{chosen}')}"
