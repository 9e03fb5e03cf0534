"""The guidance: an index, and its short pages, rendered once before the workers fork."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from flask import Flask, Response, g, make_response, render_template
from markupsafe import Markup

from dropbox.guides import Guides
from dropbox.source import markdown
from dropbox.source.context import Context
from keys.errors import NotForUs

_BELOW_TITLE = re.compile("^#(#+ )", re.MULTILINE)
"""In a page's file the title is the first level; `markdown.render` begins below the title by itself."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A page of guidance as it is shown."""

    title: str
    body: Markup


def register(app: Flask, context: Context) -> None:
    """Add these pages to the application."""
    sheets = _rendered(context.guides)

    @app.get("/<any(th,en):language>/guide")
    def guide() -> Response:
        titles = [(name, each[g.language].title) for name, each in sheets.items()]
        return make_response(render_template("guides.html", titles=titles))

    @app.get("/<any(th,en):language>/guide/<name>")
    def guide_page(name: str) -> Response:
        if name not in sheets:
            raise NotForUs("There is no such page.")
        others = [(other, each[g.language].title) for other, each in sheets.items() if other != name]
        return make_response(render_template("guide.html", sheet=sheets[name][g.language], others=others))


def _rendered(guides: Guides) -> Mapping[str, Mapping[str, Sheet]]:
    return {
        name: {
            language: Sheet(guide.title, Markup(markdown.render(_BELOW_TITLE.sub(r"\1", guide.text))))
            for language, guide in each.items()
        }
        for name, each in guides.pages.items()
    }
