"""The first page and the style sheet."""

from __future__ import annotations

from importlib.resources import files

from flask import Flask, Response, make_response, render_template

from dropbox.source.context import Context


def register(app: Flask, context: Context) -> None:
    """Add these pages to the application."""
    style = files("dropbox.source").joinpath("static/style.css").read_bytes()

    @app.get("/style.css")
    def stylesheet() -> Response:
        return Response(style, mimetype="text/css")

    @app.get("/")
    @app.get("/<any(th,en):language>")
    @app.get("/<any(th,en):language>/")
    def front() -> Response:
        return make_response(render_template("front.html"))
