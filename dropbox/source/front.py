"""The first page and the style sheet."""

from __future__ import annotations

from importlib.resources import files

from flask import Flask, Response, make_response, render_template

from dropbox.source.context import Context
from dropbox.source.notices import Notices

CALLS_SHOWN = 2
NEWS_SHOWN = 2
"""So many titles stand on the first page, which is one screen of a phone; links lead to the rest."""


def register(app: Flask, context: Context) -> None:
    """Add these pages to the application."""
    notices = Notices(context.box)
    style = files("dropbox.source").joinpath("static/style.css").read_bytes()
    without_scripts = files("dropbox.source").joinpath("static/scripts-off.css").read_bytes()

    @app.get("/style.css")
    def stylesheet() -> Response:
        return Response(style, mimetype="text/css")

    @app.get("/scripts-off.css")
    def scripts_off() -> Response:
        """Loaded only where no script runs: it hides what warns of scripts."""
        return Response(without_scripts, mimetype="text/css")

    @app.get("/")
    @app.get("/<any(th,en):language>")
    @app.get("/<any(th,en):language>/")
    def front() -> Response:
        published = notices.published()
        calls, news = published.open_calls, published.news
        return make_response(
            render_template("front.html", calls=calls, calls_shown=CALLS_SHOWN, news=news, news_shown=NEWS_SHOWN)
        )
