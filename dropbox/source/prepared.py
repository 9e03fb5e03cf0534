"""Pages for what the application is never asked: full, too large, too slow, unreadable. In both languages."""

from __future__ import annotations

from flask import Flask, make_response, render_template
from flask_babel import force_locale, gettext

from dropbox.serving.prepared import STATUSES, PreparedPage, sentences
from dropbox.source.headers import harden


def prepared_pages(app: Flask) -> dict[int, PreparedPage]:
    """Render these pages once, from the site's own templates and with the headers of every other page, by status.

    They are shown in the frame that an upload answers into as well as by themselves.
    """
    return {status: _page(app, status) for status in STATUSES}


def _page(app: Flask, status: int) -> PreparedPage:
    thai, english = sentences(status)
    with app.test_request_context("/"):
        with force_locale("en"):
            practice, leave = gettext("Practice"), gettext("Leave now")
        with force_locale("th"):
            page = render_template("prepared.html", thai=thai, english=english, practice=practice, leave=leave)
            response = harden(make_response(page))
    headers = tuple((name, value) for name, value in response.headers if name.lower() != "content-length")
    return PreparedPage(response.get_data(), headers)
