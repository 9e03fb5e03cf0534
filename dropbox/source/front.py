"""The first page, the keys page with its signed documents, and the style sheet."""

from __future__ import annotations

from importlib.resources import files

from flask import Flask, Response, make_response, render_template

from dropbox.source.context import Context
from keys.errors import NotForUs
from keys.minisign import SignedDocument


def register(app: Flask, context: Context) -> None:
    """Add these pages to the application."""
    style = files("dropbox.source").joinpath("static/style.css").read_bytes()

    @app.get("/style.css")
    def stylesheet() -> Response:
        return Response(style, mimetype="text/css")

    @app.get("/")
    @app.get("/<any(th,en):language>/")
    def front() -> Response:
        return make_response(render_template("front.html"))

    @app.get("/<any(th,en):language>/keys")
    def keys() -> Response:
        documents = [name for name, _ in context.box.documents()]
        return make_response(render_template("keys.html", documents=documents, lists=context.box.admitted().lists))

    @app.get("/<any(th,en):language>/keys/<name>")
    def document(name: str) -> Response:
        return _download(name, _content(dict(context.box.documents()), name, context))


def _content(documents: dict[str, SignedDocument], name: str, context: Context) -> bytes:
    """Return a statement, one of its signatures, or a signing key, as stock minisign takes them."""
    stem, _, kind = name.partition(".")
    if stem in documents and not kind:
        return documents[stem].statement
    number, _, suffix = kind.partition(".")
    signatures = documents[stem].signatures if stem in documents else ()
    if suffix == "minisig" and number.isascii() and number.isdecimal() and 0 < int(number) <= len(signatures):
        return signatures[int(number) - 1]
    in_force = context.box.manifest
    keys = {f"desk-{desk.number}": desk.key for desk in in_force.desks}
    keys |= {f"root-{at}": root for at, root in enumerate(in_force.roots, 1)}
    if kind == "pub" and stem in keys:
        return keys[stem].file()
    raise NotForUs("There is no such page.", "Go back to the first page.")


def _download(name: str, content: bytes) -> Response:
    response = Response(content, mimetype="application/octet-stream")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
