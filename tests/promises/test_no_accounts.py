"""Promise 2: no accounts. Any well-formed codename logs in to an empty mailbox, and leaves the disk as it was.

With the codename parameters that a real newsroom has: Argon2id over 64 MiB, three passes.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dropbox.service import STIR_SECONDS
from keys import codename
from keys.codename import Codename, Language
from keys.primitives import system_randomness
from keys.terms import KdfParameters
from tests.promises.desk import DeskPost
from tests.promises.server import Premises, newsroom

NOTHING_YET = {"th": "ยังไม่มีคำตอบ", "en": "There is no reply yet."}


@pytest.fixture(scope="module")
def premises(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Premises]:
    founded = newsroom()
    founded.publish(codename=(KdfParameters(founded.randomness(16), 64 << 10, 3),))
    with Premises(tmp_path_factory.mktemp("box"), founded, slots=40).running() as found:
        yield found


def drawn(language: str) -> Codename:
    return codename.make(Language(language), system_randomness)


def everything(folder: Path) -> dict[str, tuple[str, int, int, int]]:
    """Return of each file below a folder: what it holds, when it was changed and read, and its rights."""
    found = {}
    for path in sorted(folder.rglob("*")):
        facts = path.lstat()
        if stat.S_ISREG(facts.st_mode):
            with open(path, "rb", opener=_unnoticed) as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            found[str(path.relative_to(folder))] = (digest, facts.st_mtime_ns, facts.st_atime_ns, facts.st_mode)
    return found


def _unnoticed(path: str, flags: int) -> int:
    """Open a file such that reading it sets no time."""
    return os.open(path, flags | os.O_NOATIME)


@pytest.mark.parametrize("language", ["th", "en"])
@pytest.mark.parametrize("of", ["th", "en"])
def test_a_codename_that_nobody_was_given_logs_in(premises: Premises, language: str, of: str) -> None:
    browser = premises.browser(language)
    assert browser.sign_in(drawn(of).text).status == 303
    inbox = browser.inbox()
    assert inbox.status == 200
    assert NOTHING_YET[language] in inbox.text and "<article" not in inbox.text


def test_one_that_was_given_is_let_in_just_the_same(premises: Premises) -> None:
    """The page tells apart only who was answered, never who has sent something."""
    sent = premises.browser().send("เบาะแส")
    sender, stranger = premises.browser(), premises.browser()
    answers = [sender.sign_in(sent.codename.text), stranger.sign_in(drawn("th").text)]
    assert [len(answer.raw) for answer in answers] == [len(answers[0].raw)] * 2
    assert all(NOTHING_YET["th"] in browser.inbox().text for browser in (sender, stranger))


def test_words_that_are_no_codename_do_not(premises: Premises) -> None:
    name = drawn("en")
    for typed in ("", "one two three", " ".join(name.words[:7]), " ".join([*name.words[1:], name.words[0]])):
        answer = premises.browser("en").sign_in(typed)
        assert answer.status == 400 and not answer.headers("Set-Cookie")


def test_logins_leave_nothing_on_the_disk(tmp_path: Path, premises: Premises) -> None:
    """On a server of its own, within a minute of its start: the timer that rewrites a free place hasn't run yet."""
    with Premises(tmp_path, premises.newsroom, slots=40).running() as fresh:
        began = time.monotonic()
        sent = fresh.browser().send("เบาะแส")
        post = DeskPost(fresh.newsroom, 1)
        assert fresh.courier().deliver(post.bundle(*post.reply(sent.codename))).status == 200
        before, log = everything(fresh.home.folder), fresh.log()
        for name in (sent.codename, *(drawn(language) for language in ("th", "en", "th"))):
            browser = fresh.browser()
            assert browser.sign_in(name.text).status == 303
            assert browser.inbox().status == 200
        assert browser.sign_in("no such words").status == 400
        after = everything(fresh.home.folder)
        assert time.monotonic() - began < STIR_SECONDS - 5, "this machine is too slow for this test"
        assert after == before and fresh.log() == log


def test_and_what_does_change_the_disk_would_be_seen(premises: Premises) -> None:
    before = everything(premises.home.folder)
    premises.browser().send("อีกเรื่อง")
    after = everything(premises.home.folder)
    assert {name for name in after if after[name] != before[name]} >= {
        f"data/cells.{kind}" for kind in ("slab", "index")
    }


def test_a_restart_forgets_who_was_there(tmp_path: Path, premises: Premises) -> None:
    """Sessions are in memory only."""
    box = Premises(tmp_path, premises.newsroom, slots=40)
    browser = box.browser()
    with box.running():
        browser.sign_in(drawn("th").text)
        assert browser.inbox().status == 200
    with box.running():
        assert browser.inbox().status == 403
        assert browser.sign_in(drawn("th").text).status == 303
