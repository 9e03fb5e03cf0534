"""Bad input over the real sockets: the right status, a page that explains, nothing stored, and a server that lives."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from dropbox.service import SMALL_UPLOAD_BYTES
from dropbox.serving.prepared import sentences
from keys import codename
from keys.codename import Language
from tests.dropbox.serving.visitors import Visit
from tests.dropbox.source.site import BOUNDARY, form_fields
from tests.promises.browser import MULTIPART, URL_ENCODED, Answer
from tests.promises.desk import DeskPost
from tests.promises.server import Premises
from tests.promises.words import LANGUAGES, say
from tests.simulators.newsroom import seeded

BAD_FORM = "The form did not arrive the way this page sends it. Nothing of it was stored."
BROKEN_OFF = "The connection broke before your message was here. Nothing was stored."
TOO_LONG = "The text is too long. Nothing was stored."
NO_DESK = "No newsroom is ticked, so nobody could read this. Nothing was stored."
BAD_CHOICE = "One of the choices is none that this page offers. Nothing was stored."
DESK_CLOSED = "One of the newsrooms you ticked takes nothing at the moment. Nothing was stored."
NOTHING_TO_SEND = "There is neither a message nor a file."
WRONG_WORDS = "These words do not belong together: one is wrong, or the order is."
UNKNOWN_WORD = "One of the words is in none of our lists."
WRONG_LENGTH = "A codename has eight words."
NOTHING_HERE = "There is nothing at this address."
EXPIRED = "This mailbox is no longer open here. What a receipt listed is stored."

DASHES = f"--{BOUNDARY}".encode()
FILE_HEAD = b'Content-Disposition: form-data; name="files"; filename="a.bin"\r\n\r\n'
NO_FILE = DASHES + b"\r\n" + FILE_HEAD.replace(b"a.bin", b"") + b"\r\n"


def field(name: str, value: bytes) -> bytes:
    return DASHES + b'\r\nContent-Disposition: form-data; name="%s"\r\n\r\n' % name.encode() + value + b"\r\n"


def ending() -> bytes:
    return DASHES + b"--\r\n"


@dataclass(frozen=True)
class Bad:
    """One bad upload: the form's body, given its good fields; what it is declared as; what comes of it."""

    body: Callable[[bytes], bytes]
    status: int
    says: str
    declared: str = MULTIPART


def plain(name: str, value: bytes) -> Callable[[bytes], bytes]:
    """The good fields, and one more."""
    return lambda good: good + field(name, value) + ending()


pytestmark = pytest.mark.usefixtures("unharmed")

CODENAME = codename.make(Language.ENGLISH, seeded("bad input")).text.encode()
GOOD = [("codename", CODENAME.decode()), *form_fields("the message", (1,))]
FIELDS = b"".join(field(name, value.encode()) for name, value in GOOD)

# `good` is codename, text, desk, refer, answer, without the form's end.
UPLOADS: dict[str, Bad] = {
    "no boundary is named": Bad(lambda good: good + ending(), 400, BAD_FORM, "Content-Type: multipart/form-data"),
    "another boundary is named": Bad(
        lambda good: good + ending(), 400, BAD_FORM, "Content-Type: multipart/form-data; boundary=other"
    ),
    "a boundary that is none": Bad(
        lambda good: good + ending(), 400, BAD_FORM, f"Content-Type: multipart/form-data; boundary={'x' * 71}"
    ),
    "plain text": Bad(lambda good: good + ending(), 400, BAD_FORM, "Content-Type: text/plain"),
    "JSON": Bad(lambda good: b'{"text": "x"}', 400, BAD_FORM, "Content-Type: application/json"),
    "another form type": Bad(lambda good: b"text=x&desk=1", 400, BAD_FORM, URL_ENCODED),
    "no type": Bad(lambda good: good + ending(), 400, BAD_FORM, "X-Nothing: here"),
    "an empty body": Bad(lambda good: b"", 400, BROKEN_OFF),
    "random bytes": Bad(lambda good: os.urandom(5_000), 400, BAD_FORM),
    "no end": Bad(lambda good: good, 400, BROKEN_OFF),
    "an end within a part": Bad(lambda good: good[:-20], 400, BROKEN_OFF),
    "garbage behind a boundary": Bad(lambda good: good + DASHES + b"garbage\r\n" + ending(), 400, BAD_CHOICE),
    "a part without a head": Bad(lambda good: good + DASHES + b"\r\n\r\nx\r\n\r\n" + ending(), 400, BAD_FORM),
    "a part without a name": Bad(
        lambda good: good + DASHES + b"\r\nContent-Disposition: form-data\r\n\r\nx\r\n" + ending(), 400, BAD_FORM
    ),
    "a head that never ends": Bad(lambda good: good + DASHES + b"\r\nX: " + b"a" * 40_000, 400, BAD_FORM),
    "an unknown field": Bad(plain("surname", b"x"), 400, BAD_FORM),
    "10,000 parts": Bad(lambda good: good + field("desk", b"1") * 10_000 + ending(), 400, BAD_FORM),
    "10,000 empty files": Bad(
        lambda good: good + (DASHES + b"\r\n" + FILE_HEAD.replace(b"a.bin", b"") + b"\r\n") * 10_000 + ending(),
        400,
        BAD_FORM,
    ),
    "a file in a text's place": Bad(
        lambda good: good + DASHES + b"\r\n" + FILE_HEAD.replace(b"files", b"text") + b"x\r\n" + ending(), 400, BAD_FORM
    ),
    "a text behind a file": Bad(lambda good: DASHES + b"\r\n" + FILE_HEAD + b"x\r\n" + good + ending(), 400, NO_DESK),
    "a text that is no UTF-8": Bad(plain("text", b"\xff\xfe\x80"), 400, BAD_FORM),
    "a text that is too long": Bad(plain("text", b"x" * 70_000), 413, TOO_LONG),
    "a codename that is too long": Bad(plain("codename", b"word " * 2_000), 413, TOO_LONG),
    "a choice that is too long": Bad(plain("refer", b"x" * 100), 413, TOO_LONG),
    "no desk": Bad(lambda good: good.replace(b'name="desk"', b'name="text"') + ending(), 400, NO_DESK),
    "no desk, and a browser that sends all of a large file before it reads": Bad(
        lambda good: (
            good.replace(b'name="desk"', b'name="text"')
            + DASHES
            + b"\r\n"
            + FILE_HEAD
            + bytes(8_000_000)
            + b"\r\n"
            + ending()
        ),
        400,
        NO_DESK,
    ),
    "a desk that isn't there": Bad(plain("desk", b"99"), 503, DESK_CLOSED),
    "a desk that is no number": Bad(plain("desk", b"-1"), 400, BAD_CHOICE),
    "a choice that isn't offered": Bad(
        lambda good: good.replace(b'name="refer"\r\n\r\nask', b'name="refer"\r\n\r\nmay') + ending(), 400, BAD_CHOICE
    ),
    "neither message nor file": Bad(
        lambda good: good.replace(b"the message", b" \r\n ") + ending(), 400, NOTHING_TO_SEND
    ),
    "no codename": Bad(lambda good: good.replace(b'name="codename"', b'name="text"') + ending(), 400, WRONG_LENGTH),
    "unknown words": Bad(lambda good: good.replace(CODENAME, b"xyzzy " * 8) + ending(), 400, UNKNOWN_WORD),
    "words in another order": Bad(
        lambda good: good.replace(CODENAME, b" ".join(reversed(CODENAME.split()))) + ending(), 400, WRONG_WORDS
    ),
}


def label() -> str:
    return os.urandom(16).hex()


@pytest.mark.parametrize("case", UPLOADS)
def test_a_bad_upload_is_explained(premises: Premises, case: str) -> None:
    bad = UPLOADS[case]
    for language in LANGUAGES:
        browser, upload = premises.browser(language), label()
        answer = browser.request("POST", f"/{language}/send/{upload}", bad.body(FIELDS), bad.declared)
        assert (answer.status, answer.whole) == (bad.status, True)
        assert say(bad.says, language) in answer.text
        assert CODENAME.split()[0].decode() not in answer.text and "the message" not in answer.text
        assert say(bad.says, language) in browser.get(f"/progress/{upload}").text


def test_the_good_form_of_this_table_is_taken(premises: Premises, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Else the table would show nothing. On a server of its own, since this one stores nothing."""
    with Premises(tmp_path_factory.mktemp("good"), premises.newsroom, slots=8).running() as other:
        answer = other.browser().request("POST", f"/th/send/{label()}", FIELDS + ending(), MULTIPART)
        assert answer.status == 200 and len(other.records()) == 1


# Lengths that aren't true.


def test_a_form_longer_than_announced_is_cut_and_answered(premises: Premises) -> None:
    body = FIELDS + ending()
    for beyond in (10, 20_000):
        with premises.browser("en").begin(
            "POST", f"/en/send/{label()}", body + bytes(beyond), len(body) - 30, MULTIPART
        ) as visit:
            answer = Answer(visit.rest())
        assert answer.status == 400 and say(BROKEN_OFF, "en") in answer.text


def test_a_form_shorter_than_announced_stores_nothing(premises: Premises) -> None:
    """The browser has gone: who keeps its reading side open is told; a small form is simply dropped."""
    body = FIELDS + ending()
    for announced in (len(body) + 1_000, SMALL_UPLOAD_BYTES + 1_000):
        with premises.browser("en").begin("POST", f"/en/send/{label()}", body[:-5], announced, MULTIPART) as visit:
            visit.socket.shutdown(socket.SHUT_WR)
            raw = visit.rest()
        assert raw == b"" if announced < SMALL_UPLOAD_BYTES else say(BROKEN_OFF, "en") in Answer(raw).text


def test_an_announcement_beyond_every_limit_is_refused_at_once(premises: Premises) -> None:
    with premises.browser().begin("POST", f"/th/send/{label()}", FIELDS, 10**12, MULTIPART) as visit:
        answer = Answer(_one_answer(visit))
    assert answer.status == 413 and all(sentence in answer.text for sentence in sentences(413))


def _one_answer(visit: Visit) -> bytes:
    """Read an answer by its length, as a browser does that is still sending."""
    raw = b""
    while not (raw and Answer(raw).whole):
        raw += visit.socket.recv(65_536)
    return raw


# Requests that can't be read.

HOST = b"Host: x.onion\r\n"
HEADS: dict[str, tuple[bytes, int]] = {
    "a TLS greeting": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(200), 400),
    "random bytes": (b"\x00" + os.urandom(300), 400),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "another protocol": (b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", 505),
    "an address that is too long": (b"GET /" + b"a" * 5_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
    "a field that is too long": (b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 20_000 + b"\r\n\r\n", 431),
    "a hundred fields": (b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n" * 100 + b"\r\n", 431),
    "no length": (b"POST /th/send/x HTTP/1.1\r\n" + HOST + b"\r\n", 411),
    "chunks": (b"POST /th/send/x HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
    "two lengths": (b"POST /th/return HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nx", 400),
    "a negative length": (b"POST /th/return HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n", 400),
    "a length and chunks": (
        b"POST /th/return HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx",
        400,
    ),
    "bare line feeds": (b"GET / HTTP/1.1\nHost: x.onion\n\n", 400),
    "a folded field": (b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n\r\n", 400),
    "an expectation": (b"POST /th/return HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nExpect: magic\r\n\r\n", 417),
}


@pytest.mark.parametrize("case", HEADS)
def test_a_request_that_cannot_be_read_is_explained_in_both_languages(premises: Premises, case: str) -> None:
    raw, status = HEADS[case]
    for path in (premises.source_socket, premises.collect_socket):
        with Visit(path) as visit:
            visit.send(raw)
            answer = Answer(visit.rest())
        assert (answer.status, answer.whole) == (status, True)
        if path == premises.source_socket:
            assert all(sentence in answer.text for sentence in sentences(status))
            assert answer.header("Content-Security-Policy") is not None
        else:
            assert set(json.loads(answer.text)) == {"error", "hint"}


# Pages.

PAGES: dict[str, tuple[str, str, int, str]] = {
    "no such page": ("GET", "/{}/nowhere", 404, NOTHING_HERE),
    "a way out of the site": ("GET", "/{}/../../etc/passwd", 404, NOTHING_HERE),
    "a hidden way out": ("GET", "/{}/keys/..%2f..%2fserver.key", 404, NOTHING_HERE),
    "a zero byte": ("GET", "/{}/keys/a%00b", 404, NOTHING_HERE),
    "no UTF-8": ("GET", "/{}/keys/%ff%fe", 404, NOTHING_HERE),
    "a label that is none": ("GET", "/{}/progress/..", 404, NOTHING_HERE),
    "a mailbox without a session": ("GET", "/{}/inbox/0123456789abcdef", 403, EXPIRED),
    "a file without a session": ("GET", "/{}/inbox/0123456789abcdef/file/1-2-3/0", 403, EXPIRED),
    "a number that is huge": ("GET", f"/{{}}/inbox/0123456789abcdef/file/1-2-3/{'9' * 400}", 403, EXPIRED),
    "PUT": ("PUT", "/{}/send/x", 405, NOTHING_HERE),
    "DELETE": ("DELETE", "/{}/inbox/x", 405, NOTHING_HERE),
    "OPTIONS": ("OPTIONS", "/{}/send", 405, NOTHING_HERE),
    "TRACE": ("TRACE", "/{}/send", 405, NOTHING_HERE),
    "a method of its own": ("BREW", "/{}/send", 405, NOTHING_HERE),
    "a form to a page": ("POST", "/{}/keys", 405, NOTHING_HERE),
}


@pytest.mark.parametrize("case", PAGES)
def test_a_page_that_is_not_there_is_explained(premises: Premises, case: str) -> None:
    method, path, status, says = PAGES[case]
    for language in LANGUAGES:
        body = b"" if method in ("POST", "PUT") else None
        answer = premises.browser(language).request(method, path.format(language), body)
        assert (answer.status, answer.whole) == (status, True)
        assert say(says, language) in answer.text
        assert f'<html lang="{language}">' in answer.text


LOGINS: dict[str, tuple[bytes, str, int, str]] = {
    "nothing": (b"", URL_ENCODED, 400, BAD_FORM),
    "no field": (b"x=1", URL_ENCODED, 400, WRONG_LENGTH),
    "no UTF-8": (b"codename=%ff%fe", URL_ENCODED, 400, WRONG_LENGTH),
    "too long a field": (b"codename=" + b"a" * 9_000, URL_ENCODED, 400, BAD_FORM),
    "a thousand words": (b"codename=" + b"abacus+" * 1_000, URL_ENCODED, 400, WRONG_LENGTH),
    "another type": (b"codename=x", "Content-Type: text/plain", 400, BAD_FORM),
    "a thousand fields": (b"a=1&" * 1_500, URL_ENCODED, 400, WRONG_LENGTH),
}


@pytest.mark.parametrize("case", LOGINS)
def test_a_bad_login_is_explained(premises: Premises, case: str) -> None:
    body, declared, status, says = LOGINS[case]
    for language in LANGUAGES:
        answer = premises.browser(language).request("POST", f"/{language}/return", body, declared)
        assert answer.status == status and say(says, language) in answer.text
        assert not answer.headers("Set-Cookie")


def test_a_login_that_is_far_too_large_is_not_even_read(premises: Premises) -> None:
    answer = premises.browser().request("POST", "/th/return", b"codename=" + b"a" * 100_000, URL_ENCODED)
    assert answer.status == 413 and all(sentence in answer.text for sentence in sentences(413))


def test_cookies_and_tokens_that_are_not_ours_open_nothing(premises: Premises) -> None:
    browser = premises.browser("en")
    browser.sign_in(CODENAME.decode())
    ((name, value),) = browser.cookies.items()
    for forged in ("", "x", "A" * len(value), value[:-4] + "AAAA", value[:50], "\xff\xfe"):
        browser.cookies = {name: forged}
        assert browser.inbox().status == 403
    browser.cookies = {name: value}
    assert browser.inbox().status == 200
    for body in (b"token=x&reply=1-2-3", b"reply=1-2-3", b"token=" + b"0" * 32 + b"&reply="):
        assert browser.request("POST", f"{browser.inbox_path}/delete", body, URL_ENCODED).status == 403


# The collect interface.

COLLECT: dict[str, tuple[str, str, bytes | None, int]] = {
    "nothing there": ("GET", "/v1/nothing", None, 404),
    "another method": ("DELETE", "/v1/inventory", None, 405),
    "no cells": ("POST", "/v1/cells", bytes(4), 400),
    "half an id": ("POST", "/v1/cells", bytes(20), 400),
    "an offset beyond a cell": ("POST", "/v1/cells", b"\xff" * 36, 400),
    "too many cells": ("POST", "/v1/cells", bytes(4 + 32 * 5_000), 400),
    "an empty bundle": ("POST", "/v1/outbound", b"", 400),
    "a bundle of garbage": ("POST", "/v1/outbound", os.urandom(10_000), 400),
    "a login of garbage": ("POST", "/v1/session", b"[1, 2]", 400),
    "a login that is huge": ("POST", "/v1/session", b"{" + b" " * 10_000, 400),
    "a login with a number": ("POST", "/v1/session", b'{"courier": 1e400}', 400),
}


ASKED = (("GET", "/v1/inventory", None), ("GET", "/v1/documents", None), ("POST", "/v1/outbound", b"x"))


@pytest.mark.parametrize("case", COLLECT)
def test_a_courier_is_told_what_is_wrong(premises: Premises, case: str) -> None:
    method, path, body, status = COLLECT[case]
    answer = premises.courier().request(method, path, body)
    assert answer.status == status
    assert set(json.loads(answer.body)) == {"error", "hint"}


def test_a_stranger_is_told_nothing(premises: Premises) -> None:
    courier = premises.courier()
    for token in ("", "x", "00" * 40, "zz" * 40):
        courier._token = token
        for method, path, body in (
            ("GET", "/v1/inventory", None),
            ("GET", "/v1/documents", None),
            ("POST", "/v1/outbound", b"x"),
        ):
            answer = courier.request(method, path, body)
            assert answer.status == 401 and set(json.loads(answer.body)) == {"error", "hint"}


def test_a_bundle_cut_anywhere_is_refused_whole(premises: Premises) -> None:
    post = DeskPost(premises.newsroom, 1)
    bundle = post.bundle()
    courier = premises.courier()
    for at in (1, 100, 500, 300_000, len(bundle) - 64, len(bundle) - 1):
        answer = courier.deliver(bundle[:at])
        assert (answer.status == 400 and "cut short" in json.loads(answer.body)["error"]) or at < 400
    assert courier.inventory().marks == {}
    assert courier.deliver(bundle + b"x").status == 400
    assert courier.inventory().marks == {}
