"""Promise 1 where the program itself fails: an exception in any view leaves nothing of the request anywhere.

Each route in turn is made to fail with everything that was sent in its exception.
"""

from __future__ import annotations

import gc
import io
import logging
import re
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import request

from dropbox.refusals import Failed
from dropbox.serving.journal import ScrubbingFormatter, SilentErrors
from dropbox.source import app as application
from dropbox.source.headers import HEADERS
from tests.dropbox.source.site import BOUNDARY, Site
from tests.promises.words import say

CANARY = "canary5f1c"
IN_PATH = "place77aa"
"""Stands in addresses. A page may name its own, in its link to the other language; nothing else may."""
BODY = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="text"\r\n\r\n{CANARY}\r\n--{BOUNDARY}--\r\n'.encode(),
    f"multipart/form-data; boundary={BOUNDARY}",
)
FORM = (f"codename={CANARY}&token={CANARY}&reply={CANARY}".encode(), "application/x-www-form-urlencoded")
SENT = (None, FORM, BODY)


class Planted(Exception):
    """What no page knows of."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, slots=8, reserve=1)
    yield made
    made.close()


@contextmanager
def listening() -> Iterator[io.StringIO]:
    """Yield all that any logger writes, as the server writes it down; nobody else keeps records meanwhile."""
    root, text = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers[:], root.level
    handler = logging.StreamHandler(text)
    handler.setFormatter(ScrubbingFormatter("%(name)s %(levelname)s %(message)s"))
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG)
    yield text
    root.handlers[:] = handlers
    root.setLevel(level)


class Failure:
    """Raises with all that the request holds, and with a cause that holds it too; remembers what it raised weakly."""

    def __init__(self) -> None:
        self.raised: list[weakref.ref[BaseException]] = []

    def __call__(self, *_values: Any, **_names: Any) -> Any:
        told = f"{request.url} {request.headers} {request.cookies}"
        local = bytearray(request.stream.read()) + told.encode()
        assert CANARY.encode() in local, "the request would leave nothing to find"
        try:
            raise Planted(bytes(local))
        except Planted as cause:
            error = Planted(told)
            self.raised += [weakref.ref(cause), weakref.ref(error)]
            raise error from cause


def requests(site: Site) -> Iterator[tuple[str, str, str, tuple[bytes, str] | None]]:
    """Every endpoint, by every method, with a path that holds the canary wherever it may."""
    blanks = {"<any(th,en):language>": "en", "<int:number>": "1"}
    for rule in site.app.url_map.iter_rules():
        path = re.sub("<[^>]+>", lambda blank: blanks.get(blank[0], IN_PATH), rule.rule)
        for method in sorted(rule.methods or ()):
            for sent in SENT if method == "POST" else SENT[:1]:
                yield rule.endpoint, method, path, sent


def ask(site: Site, method: str, path: str, sent: tuple[bytes, str] | None) -> tuple[int, dict[str, str], str]:
    """Ask as the worker does, and keep of the answer nothing but its words."""
    body, kind = sent or (b"", "")
    client = site.app.test_client()
    client.set_cookie("box-" + CANARY, CANARY)
    overrides = {"wsgi.input_terminated": True, "wsgi.errors": SilentErrors(), "HTTP_X": CANARY}
    options: dict[str, Any] = {"data": body, "content_type": kind} if method == "POST" else {}
    response = client.open(f"{path}?{CANARY}", method=method, environ_overrides=overrides, **options)
    return response.status_code, dict(response.headers), response.text


def assert_nothing_is_left(failure: Failure, page: str, log: str) -> None:
    assert CANARY not in page and CANARY not in log and IN_PATH not in log
    assert not hasattr(sys, "last_value") and sys.exc_info() == (None, None, None)
    gc.collect()
    assert failure.raised and not [each for each in failure.raised if each() is not None], "it is still in memory"
    failure.raised.clear()


def test_a_view_that_fails_leaves_nothing(
    site: Site, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = set()
    for endpoint, method, path, sent in requests(site):
        failure = Failure()
        monkeypatch.setitem(site.app.view_functions, endpoint, failure)
        with listening() as log:
            status, headers, page = ask(site, method, path, sent)
        assert status == 500, path
        assert {name: headers.get(name) for name in HEADERS} == HEADERS
        assert method == "HEAD" or say(Failed.sentence, "th" if path == "/" else "en") in page or "." in path
        assert_nothing_is_left(failure, f"{headers} {page}", log.getvalue() + "".join(capfd.readouterr()))
        assert "a page failed: Planted" in log.getvalue()
        failed.add(endpoint)
    assert failed == set(site.app.view_functions)


def within(where: str) -> Callable[[Site, Failure, pytest.MonkeyPatch], None]:
    def plant(site: Site, failure: Failure, monkeypatch: pytest.MonkeyPatch) -> None:
        if where == "before every view":
            site.app.before_request_funcs.setdefault(None, []).insert(0, failure)
        elif where == "after every view":
            site.app.after_request_funcs.setdefault(None, []).append(failure)
        elif where == "in every template":
            site.app.template_context_processors[None].append(failure)
        else:
            monkeypatch.setattr(application, "refusal_page", failure)
            site.app.before_request_funcs.setdefault(None, []).insert(0, failure)

    return plant


PLACES = ("before every view", "after every view", "in every template", "in the error page too")


@pytest.mark.parametrize("where", PLACES)
def test_what_fails_around_the_views_leaves_nothing(
    site: Site, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Where even the error page fails, the exception comes out of the application: to the worker, which drops it."""
    failure, failures = Failure(), 0
    within(where)(site, failure, monkeypatch)
    for _, method, path, sent in requests(site):
        with listening() as log:
            page = page_or_nothing(site, method, path, sent)
        assert page or where != "before every view"
        if failure.raised:
            failures += 1
            assert_nothing_is_left(failure, page, log.getvalue() + "".join(capfd.readouterr()))
    assert failures > len(site.app.view_functions)


def page_or_nothing(site: Site, method: str, path: str, sent: tuple[bytes, str] | None) -> str:
    try:
        return str(ask(site, method, path, sent))
    except Planted:
        return ""
