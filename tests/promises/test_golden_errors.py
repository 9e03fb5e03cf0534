"""What the wire shows of every error: the same headers as on any page, to the letter, and no word of what answers.

On a server with little patience, so that it says 408 within a second.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from http import HTTPStatus

import pytest

from dropbox.serving.prepared import STATUSES
from tests.dropbox.serving.visitors import Visit
from tests.dropbox.source.test_headers import COMMON, HTML
from tests.promises.browser import URL_ENCODED, Answer
from tests.promises.server import Oddities, Premises

HOST = b"Host: x.onion\r\n"
ERRORS: dict[str, tuple[bytes, int]] = {
    "cannot be read": (b"GET / HTTP/1.1\nHost: x\n\n", 400),
    "no form": (b"POST /en/return HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\n\r\nx", 400),
    "no session": (b"GET /en/inbox/0123456789abcdef HTTP/1.1\r\n" + HOST + b"\r\n", 403),
    "no page": (b"GET /nowhere HTTP/1.1\r\n" + HOST + b"\r\n", 404),
    "another method": (b"PUT /en/send HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\n\r\n", 405),
    "too slow": (b"GET / HTTP/1.1\r\nHo", 408),
    "no length": (b"POST /en/return HTTP/1.1\r\n" + HOST + b"\r\n", 411),
    "too large": (b"POST /en/return HTTP/1.1\r\n" + HOST + b"Content-Length: 70000\r\n\r\n" + b"x" * 70_000, 413),
    "a long address": (b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
    "an expectation": (b"POST /en/return HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nExpect: x\r\n\r\nx", 417),
    "large fields": (b"GET / HTTP/1.1\r\n" + HOST + b"A: " + b"b" * 20_000 + b"\r\n\r\n", 431),
    "another method of its own": (b"BREW / HTTP/1.1\r\n" + HOST + b"\r\n", 405),
    "another protocol": (b"GET / HTTP/3.0\r\n" + HOST + b"\r\n", 505),
}
TELLING = re.compile(
    r"gunicorn|python|flask|werkzeug|jinja|wsgi|babel|traceback|exception|debian|linux|\.py\b|/usr|/home", re.IGNORECASE
)


@pytest.fixture(scope="module")
def premises(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Premises]:
    with Premises(tmp_path_factory.mktemp("box"), slots=40).running(Oddities(quick=True)) as found:
        yield found


def answer_to(premises: Premises, raw: bytes) -> Answer:
    with Visit(premises.source_socket) as visit:
        visit.send(raw)
        return Answer(visit.rest())


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_looks_like_any_page(premises: Premises, case: str) -> None:
    raw, status = ERRORS[case]
    answer = answer_to(premises, raw)
    first, *fields = answer.head.split("\r\n")
    assert first == f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"
    length = len(answer.raw.partition(b"\r\n\r\n")[2])
    allowed = [field for field in fields if status == 405 and field.startswith("Allow: ")]
    assert sorted(fields) == sorted(
        [*COMMON.split("\n"), HTML, f"Content-Length: {length}", "Connection: close", *allowed]
    )
    assert len(allowed) == (status == 405)
    assert not TELLING.search(answer.head) and not TELLING.search(answer.text)


def test_a_page_and_a_form_tell_no_more(premises: Premises) -> None:
    browser = premises.browser("en")
    sent = browser.send("text").answer
    entered = browser.request("POST", "/en/return", b"codename=x", URL_ENCODED)
    for answer in (browser.get("/"), browser.get("/send"), browser.get("/keys"), sent, entered):
        assert not TELLING.search(answer.head) and not TELLING.search(answer.text)
        names = [line.partition(":")[0] for line in answer.head.split("\r\n")[1:]]
        expected = {*(line.partition(":")[0] for line in COMMON.split("\n")), "Content-Type", "Content-Length"}
        assert set(names) - {"Set-Cookie"} == expected | {"Connection"} and len(names) == len(set(names))


def test_every_status_with_a_page_of_its_own_is_here() -> None:
    """But for two: 500, which nothing that is sent brings about, and 503, which a flood does."""
    assert set(STATUSES) - {status for _, status in ERRORS.values()} == {500, 503}
