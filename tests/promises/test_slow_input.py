"""What never comes, over the real sockets: it is ended and explained, stores nothing, and holds up nobody.

On a server with little patience: it waits a second where the real one waits a minute.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import pytest

from dropbox.service import SMALL_UPLOAD_BYTES
from dropbox.serving.prepared import sentences
from tests.dropbox.serving.visitors import Visit
from tests.dropbox.source.site import form_fields, multipart
from tests.promises.browser import MULTIPART, Answer
from tests.promises.server import Oddities, Premises
from tests.promises.words import LANGUAGES, say

TOO_SLOW = "Too little arrived for too long, so the connection was ended."
LABEL = "0" * 32
HALF_HEADS = 100

pytestmark = pytest.mark.usefixtures("unharmed")


@pytest.fixture(scope="module")
def premises(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Premises]:
    with Premises(tmp_path_factory.mktemp("box"), slots=40).running(Oddities(quick=True)) as found:
        yield found


def test_half_a_head_is_told_that_it_took_too_long(premises: Premises) -> None:
    for half in (b"", b"POST", b"POST /th/send/x HTTP/1.1\r\nHost: x.oni", b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20):
        with Visit(premises.source_socket) as visit:
            visit.send(half)
            answer = Answer(visit.rest())
        assert answer.status == 408 and all(sentence in answer.text for sentence in sentences(408))


def test_a_hundred_half_heads_hold_up_nobody(premises: Premises) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(HALF_HEADS):
            stack.enter_context(Visit(premises.source_socket)).send(b"GET /th/send HTTP/1.1\r\nHost")
        began = time.monotonic()
        assert premises.browser().get("/send").status == 200
        assert time.monotonic() - began < 1.0


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_small_form_that_never_ends(premises: Premises, language: str) -> None:
    """It is gathered before a page is asked, so the answer is the one that stands ready, in both languages."""
    body = multipart(form_fields("text", (1,)))
    with premises.browser(language).begin("POST", f"/{language}/send/{LABEL}", body, len(body) + 9, MULTIPART) as visit:
        answer = Answer(visit.rest())
    assert answer.status == 408 and all(sentence in answer.text for sentence in sentences(408))


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_large_form_that_never_ends(premises: Premises, language: str) -> None:
    body, browser = multipart(form_fields("text", (1,))), premises.browser(language)
    with browser.begin("POST", f"/{language}/send/{LABEL}", body[:-30], SMALL_UPLOAD_BYTES + 9, MULTIPART) as visit:
        answer = Answer(visit.rest())
    assert answer.status == 408 and say(TOO_SLOW, language) in answer.text
    assert say(TOO_SLOW, language) in browser.get(f"/progress/{LABEL}").text
