"""Promise 8: under flood big files are refused first; a text from somebody else goes through, and pages answer.

On the real server, behind tor's circuit lines, and with the codename parameters that a real newsroom has: Argon2id over
64 MiB, three passes.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from dropbox.service import SMALL_UPLOAD_BYTES
from keys import codename
from keys.codename import Language
from keys.primitives import system_randomness
from tests.dropbox.serving.visitors import Visit, wait_until
from tests.dropbox.source.site import form_fields, multipart
from tests.promises.browser import Answer
from tests.promises.crowd import Crowd, Member, SlowUpload, login, post
from tests.promises.desk import Tip
from tests.promises.server import Premises, fill, newsroom
from tests.promises.words import say
from tests.simulators.newsroom import Newsroom

REAL_KDF = (64 << 10, 3)
TEXT_SECONDS = 30.0
"""So long may a text take, from opening the form to the receipt, however busy the machine is."""
UPLOADS = 200
UPLOAD_BYTES_PER_SECOND = 2_000
SOME = 12
"""So many of a flood are let in at least, on however slow a machine. The others are turned away, and told so."""
CELLS_OF_ONE = 5
"""A message, a file of three, and the closing item."""
LOGINS = 1_000
LOGINS_PER_SECOND = LOGINS / 60
LOOKING = 100
STRANGERS = 0x1_0000
"""Circuits from here on belong to whoever isn't part of a flood."""
PAGES = ("/send", "/return", "/guide", "/calls", "/keys", "/progress/" + "0" * 32, "")


@pytest.fixture(scope="module")
def founded() -> Newsroom:
    return newsroom("floods", kdf=REAL_KDF)


@pytest.fixture(scope="module")
def premises(tmp_path_factory: pytest.TempPathFactory, founded: Newsroom) -> Iterator[Premises]:
    slots = 2 * 256 + UPLOADS * CELLS_OF_ONE
    with Premises(tmp_path_factory.mktemp("box"), founded, slots=slots, circuits=True).running() as found:
        yield found


class Strangers:
    """Those who come while a flood runs: each by a circuit that nobody has used yet."""

    def __init__(self, premises: Premises) -> None:
        self._premises = premises
        self._circuit = STRANGERS

    def circuit(self) -> int:
        self._circuit += 1
        return self._circuit

    def send_a_text(self, text: str) -> None:
        """Send a text in time, be shown its receipt, and find it sealed on the disk for the desk."""
        browser = self._premises.browser("en", self.circuit())
        browser.patience_seconds = TEXT_SECONDS
        sent = browser.send(text)
        assert sent.answer.status == 200, sent.answer.text
        assert say("Your message", "en") in sent.answer.text and sent.codename.words[0] in sent.answer.text
        assert self.tip(text).closed

    def tip(self, text: str) -> Tip:
        (found,) = (each for each in every_tip(self._premises) if each.message.text == text)
        return found

    def open_pages(self) -> None:
        for language in ("th", "en"):
            browser = self._premises.browser(language, self.circuit())
            browser.patience_seconds = TEXT_SECONDS
            for page in PAGES:
                answer = browser.get(page)
                assert (answer.status, answer.whole) == (200, True), page


@pytest.fixture
def strangers(premises: Premises) -> Iterator[Strangers]:
    """Whatever a flood does: every process that served before serves still, and none has failed."""
    pids = premises.pids()
    yield Strangers(premises)
    assert premises.pids() == pids
    assert "Traceback" not in premises.log() and "failed" not in premises.log()


def every_tip(premises: Premises) -> list[Tip]:
    return [tip for tips in premises.tips().values() for tip in tips]


def explained(answer: Answer) -> bool:
    """Whether somebody was turned away for now with a page that says so."""
    return answer.status == 503 and "</html>" in answer.text


# Uploads.


def test_large_uploads_of_two_hundred_circuits(premises: Premises, strangers: Strangers) -> None:
    """While all of them wait at the gate, and while those who passed it upload. Who is turned away hears at the end."""
    uploads = slow_uploads(UPLOADS)
    with Crowd(premises.source_socket, bytes_per_second=UPLOAD_BYTES_PER_SECOND) as crowd:
        members = [crowd.join(at + 1, *each.pieces, at_once=each.first) for at, each in enumerate(uploads)]
        strangers.send_a_text("a text while two hundred begin to upload")
        strangers.open_pages()
        wait_until(lambda: len(premises.records()) > SOME, "some of them upload", seconds=60)
        strangers.send_a_text("a text while they upload")
        strangers.open_pages()
        crowd.hurry()
        crowd.wait(members)
    assert_kept(premises, uploads, members)


def slow_uploads(count: int) -> list[SlowUpload]:
    """Just large enough for the lane of files."""
    return [
        SlowUpload(f"upload {number}", system_randomness(SMALL_UPLOAD_BYTES), system_randomness)
        for number in range(count)
    ]


def assert_kept(premises: Premises, uploads: Sequence[SlowUpload], members: Sequence[Member]) -> None:
    """Everybody got a receipt, and what it named is there whole; or was turned away, and nothing is there."""
    tips = {tip.message.text: tip for tip in every_tip(premises)}
    outcomes: Counter[str] = Counter()
    for upload, member in zip(uploads, members, strict=True):
        if upload.has_receipt(member):
            (file,) = tips[upload.text].files.values()
            assert tips[upload.text].complete and (file.content, file.interrupted) == (upload.content, False)
            outcomes["kept"] += 1
        else:
            assert member.answer is not None and explained(member.answer)
            assert upload.text not in tips
            outcomes["turned away"] += 1
    assert outcomes["kept"] > SOME, outcomes


# What never comes whole.


@pytest.mark.parametrize("count", [60, 200])
@pytest.mark.parametrize("circuits", ["one", "many"])
def test_half_sent_heads(premises: Premises, strangers: Strangers, count: int, circuits: str) -> None:
    with contextlib.ExitStack() as stack:
        for number in range(count):
            visit = stack.enter_context(Visit(premises.source_socket, 1 if circuits == "one" else 1 + number))
            visit.send(b"POST /en/send/x HTTP/1.1\r\nHost: x.on")
        strangers.send_a_text(f"a text among {count} half-sent heads of {circuits}")
        strangers.open_pages()


def test_half_sent_texts(premises: Premises, strangers: Strangers) -> None:
    """Of the very kind that is to go through."""
    body = multipart(form_fields("half", (1,)))
    raw = post("/en/send/" + "0" * 32, body, length=SMALL_UPLOAD_BYTES - 1)
    with Crowd(premises.source_socket) as crowd:
        for number in range(UPLOADS):
            crowd.join(1 + number, raw)
        strangers.send_a_text("a text among half-sent ones")
        strangers.open_pages()


# Logins.


class Logins:
    """A thousand a minute, each a codename that somebody could have, each by a circuit of its own."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.members: list[Member] = []

    def __enter__(self) -> Logins:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join()

    def _run(self) -> None:
        for number in range(LOGINS):
            if self._enough.wait(1 / LOGINS_PER_SECOND):
                return
            typed = codename.make(Language.ENGLISH, system_randomness).text
            self.members.append(self._crowd.join(1 + number, login(typed)))


def test_a_thousand_logins_a_minute(premises: Premises, strangers: Strangers) -> None:
    with Crowd(premises.source_socket) as crowd:
        with Logins(crowd) as logins:
            wait_until(lambda: len(logins.members) >= 120, "logins wait for their turn", seconds=60)
            strangers.send_a_text("a text among logins")
            strangers.open_pages()
            strangers.send_a_text("another text among logins")
        crowd.wait(logins.members)
    answers = [member.answer for member in logins.members]
    assert all(answer is not None and (answer.status == 303 or explained(answer)) for answer in answers)
    assert sum(answer is not None and answer.status == 303 for answer in answers) > SOME


# Mailboxes.


class Looks:
    """A hundred circuits that open one mailbox again as soon as they were answered: one login is enough for that."""

    def __init__(self, crowd: Crowd, raw: bytes) -> None:
        self._crowd = crowd
        self._raw = raw
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.members: list[Member] = []

    def __enter__(self) -> Looks:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._enough.wait(0.02):
            waiting = sum(not member.ended for member in self.members)
            for _ in range(LOOKING - waiting):
                self.members.append(self._crowd.join(1 + len(self.members), self._raw))


def test_a_mailbox_that_is_opened_again_and_again(premises: Premises, strangers: Strangers) -> None:
    """Each time, all that could be a reply is looked up and opened: that takes a core half a second."""
    browser = premises.browser("en", 1)
    browser.sign_in(codename.make(Language.ENGLISH, system_randomness).text)
    ((name, value),) = browser.cookies.items()
    raw = f"GET {browser.inbox_path} HTTP/1.1\r\nHost: x.onion\r\nCookie: {name}={value}\r\n\r\n".encode()
    with Crowd(premises.source_socket) as crowd:
        with Looks(crowd, raw) as looks:
            wait_until(lambda: any(member.ended for member in looks.members), "some were answered", seconds=60)
            for number in range(3):
                strangers.send_a_text(f"a text among mailboxes {number}")
                strangers.open_pages()
        crowd.wait(looks.members)
    answers = [member.answer for member in looks.members]
    assert all(answer is not None and (answer.status == 200 or explained(answer)) for answer in answers)


# A disk that is nearly full.


def test_a_disk_that_is_nearly_full(tmp_path: Path, founded: Newsroom) -> None:
    """Large files find no room, and say so; texts do, until theirs is used up; and then that is said."""
    premises = Premises(tmp_path, founded, slots=60, circuits=True)
    with premises.store() as store:
        fill(store, founded.manifest.recipients, leaving=1)
    uploads = slow_uploads(5)
    with premises.running(), Crowd(premises.source_socket) as crowd:
        strangers = Strangers(premises)
        members = [crowd.join(1 + number, *upload.pieces) for number, upload in enumerate(uploads)]
        strangers.send_a_text("a text beside files that find no room")
        strangers.open_pages()
        crowd.wait(members)
        for upload, member in zip(uploads, members, strict=True):
            assert member.answer is not None and member.answer.status == 200
            assert not upload.has_receipt(member) and say(NOT_ALL, "en") in member.answer.text
            assert not strangers.tip(upload.text).complete
        strangers.send_a_text("a text after files that found no room")
        texts = list(until_full(premises, strangers.circuit))
        assert texts and {tip.message.text for tip in every_tip(premises)} >= set(texts)
        strangers.open_pages()
        assert "Traceback" not in premises.log() and "failed" not in premises.log()


NOT_ALL = "Not everything could be stored."
FULL = "There is no room left just now. Nothing was stored."


def until_full(premises: Premises, circuit: Callable[[], int]) -> Iterator[str]:
    """Send texts until there is no room even for one; give those that a receipt was shown for."""
    for number in range(60):
        answer = premises.browser("en", circuit()).send(f"text {number}").answer
        if answer.status != 200:
            assert say(FULL, "en") in answer.text
            return
        assert "1 item stored" in answer.text
        yield f"text {number}"
    raise AssertionError("it was never full")
