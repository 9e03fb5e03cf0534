"""Promise 1, in memory: what a source wrote is gone from every process that goes on living, soon after the answer.

Two seconds after a response, and after leaving, neither message nor codename nor keys made of it stand anywhere in the
writable memory of the very workers that handled them, of their helpers or of their master.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from keys import mailbox
from keys.codename import Codename
from tests.dropbox.serving.visitors import wait_until
from tests.dropbox.source.site import Upload
from tests.promises.browser import Browser
from tests.promises.desk import source_keys
from tests.promises.server import Premises

SECONDS = 2.0
MESSAGE = "นกฮูกเหลืองเห็นสมุดบัญชีเล่มที่สองใต้บันไดวัดร้าง"
FILE_NAME = "สมุดบัญชีเล่มที่สองใต้บันได.ods"
CONTENT = b"Canary: the ledger beneath the temple stairs.\n" * 40_000
SLOTS = 128

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may look into a server that hides itself")


def canaries(premises: Premises, name: Codename) -> dict[str, bytes]:
    """Return what must be forgotten, in the forms that Python keeps texts in, under what a failure calls it."""
    texts = {
        "message": MESSAGE,
        "file name": FILE_NAME,
        "codename": name.text,
        "codename, its first words": " ".join(name.words[:4]),
        "codename, its last words": " ".join(name.words[-4:]),
        "codename, joined": "".join(name.words),
    }
    keys = source_keys(premises.newsroom, name)
    found = {what: text.encode() for what, text in texts.items()}
    found |= {f"{what}, two bytes a letter": text.encode("utf-16-le") for what, text in texts.items()}
    return found | {
        "file": CONTENT[:92],
        "stretched key": mailbox.stretch(name, premises.newsroom.manifest.codename[0]),
        "mailbox root": keys.root,
        "reply seed": keys.reply_seed,
        "signing seed": keys.signing_seed,
    }


def remembered(pids: list[int], wanted: Mapping[str, bytes]) -> set[tuple[str, str]]:
    """Return which canaries stand in the writable memory of which processes."""
    found = set()
    for pid in pids:
        program = Path(f"/proc/{pid}/comm").read_text().strip()
        for area in writable_memory(pid):
            found |= {(f"{program} {pid}", what) for what, needle in wanted.items() if needle in area}
    return found


def writable_memory(pid: int) -> Iterator[bytes]:
    with open(f"/proc/{pid}/mem", "rb", 0) as contents:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, rights = line.split()[:2]
            if rights.startswith("rw"):
                start, end = (int(part, 16) for part in span.split("-"))
                with contextlib.suppress(OSError):  # What the kernel keeps to itself.
                    contents.seek(start)
                    yield contents.read(end - start)


@pytest.fixture(scope="module")
def premises(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Premises]:
    with Premises(tmp_path_factory.mktemp("box"), slots=SLOTS).running() as found:
        yield found


@pytest.fixture(autouse=True)
def same_processes(premises: Premises) -> Iterator[None]:
    """A process that was replaced meanwhile would prove nothing."""
    before = premises.pids()
    yield
    assert premises.pids() == before


def forgets(premises: Premises, name: Codename) -> None:
    ended = time.monotonic()
    wanted = canaries(premises, name)
    wait_until(lambda: time.monotonic() > ended + SECONDS, "the time has passed after which nothing may be left")
    assert remembered(premises.pids(), wanted) == set()


def test_a_message_after_its_receipt(premises: Premises) -> None:
    sent = premises.browser().send(MESSAGE)
    assert sent.answer.status == 200
    forgets(premises, sent.codename)


def test_a_message_and_a_file_after_their_receipt(premises: Premises) -> None:
    sent = premises.browser("en").send(MESSAGE, [Upload(FILE_NAME, CONTENT, "application/x-canary")])
    assert sent.answer.status == 200 and len(sent.digests) == 1
    forgets(premises, sent.codename)


def test_a_codename_after_leaving(premises: Premises) -> None:
    sent = premises.browser().send(MESSAGE)
    browser = premises.browser()
    enter(browser, sent.codename)
    forgets(premises, sent.codename)  # What a session needs is in the browser's cookie alone.
    assert browser.inbox().status == 200
    assert browser.get("/leave").status == 200
    forgets(premises, sent.codename)


def test_a_codename_that_was_mistyped(premises: Premises) -> None:
    name = premises.browser().open_form().codename
    assert premises.browser().sign_in(name.text[:-1] + "๏").status == 400
    forgets(premises, name)


def test_the_search_would_find_them(premises: Premises) -> None:
    browser = premises.browser()
    form = browser.open_form()
    body = browser.body(form, MESSAGE)
    with browser.half_sent(form, body, len(body) - 10, as_files=False):
        wanted = canaries(premises, form.codename)
        names: set[str] = set()

        def seen() -> bool:
            names.update(what for _, what in remembered(premises.pids(), wanted))
            return {"message", "codename"} <= names

        wait_until(seen, "a process holds what was half sent")


def enter(browser: Browser, name: Codename) -> None:
    assert browser.sign_in(name.text).status == 303
    assert browser.inbox().status == 200
