"""Promise 12: a mailbox with replies and one without have the same number of bytes and take the same work.

Bytes are those of the whole answer, headers and cookie included. Work is counted: addresses looked up, cells read,
cells opened, signatures verified, codenames stretched.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from keys import codename
from keys.codename import Codename, Language
from keys.primitives import system_randomness
from tests.promises.browser import Answer
from tests.promises.desk import DeskPost
from tests.promises.server import Oddities, Premises

REPLIES = ("สั้น", "ยาว " * 400, "<&>\"'" * 300)


@dataclass(frozen=True)
class Visited:
    """One visit with a codename: what was answered, and what work it took."""

    entering: Answer
    inbox: Answer
    work: list[dict[str, object]]


@dataclass(frozen=True)
class Box:
    premises: Premises
    counts: Path

    def visit(self, name: Codename, language: str = "th") -> Visited:
        browser = self.premises.browser(language)
        already = len(self.counted())
        entering, inbox = browser.sign_in(name.text), browser.inbox()
        return Visited(entering, inbox, self.counted()[already:])

    def counted(self) -> list[dict[str, object]]:
        lines = self.counts.read_text().splitlines() if self.counts.exists() else []
        found = [json.loads(line) for line in lines]
        return [{**facts, "path": re.sub("[0-9a-f]{16}", "LABEL", facts["path"])} for facts in found]


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    folder = tmp_path_factory.mktemp("box")
    counts = folder / "counts"
    with Premises(folder).running(Oddities(counts=str(counts))) as premises:
        yield Box(premises, counts)


@pytest.fixture(scope="module")
def answered(box: Box) -> Codename:
    """Somebody with replies of both desks, one of them with an attachment that fills further cells."""
    newsroom = box.premises.newsroom
    sent = box.premises.browser().send("เบาะแส", desks=(1, 2))
    first, second = DeskPost(newsroom, 1), DeskPost(newsroom, 2)
    entries = [entry for index, text in enumerate(REPLIES) for entry in first.reply(sent.codename, text, index=index)]
    courier = box.premises.courier()
    assert courier.deliver(first.bundle(*entries)).status == 200
    attachment = ("รูป.jpg", "image/jpeg", bytes(300_000))
    bundle = second.bundle(*second.reply(sent.codename, "มีไฟล์แนบ", attachments=[attachment]))
    assert courier.deliver(bundle).status == 200
    return sent.codename


@pytest.fixture(scope="module")
def waiting(box: Box) -> Codename:
    """Somebody who sent something, and hasn't been answered."""
    return box.premises.browser().send("ยังรอคำตอบ").codename


def mistyped(name: Codename) -> Codename:
    """Return a codename that differs from this one in one word, check word and all."""
    for index in range(7_776):
        other = replace(name, indices=(*name.indices[:-1], index))
        if other != name and other.check == name.check:
            return other
    return replace(name, indices=((name.indices[0] + 1) % 7_776, *name.indices[1:]))


@pytest.fixture(scope="module")
def strangers(answered: Codename) -> list[Codename]:
    """Codenames that nobody was given here: one mistyped, one drawn."""
    return [mistyped(answered), codename.make(Language.THAI, system_randomness)]


@pytest.mark.parametrize("language", ["th", "en"])
def test_full_empty_and_mistyped_are_one_length(
    box: Box, answered: Codename, waiting: Codename, strangers: list[Codename], language: str
) -> None:
    visits = [box.visit(name, language) for name in (answered, waiting, *strangers)]
    assert {visit.entering.status for visit in visits} == {303}
    assert {visit.inbox.status for visit in visits} == {200}
    assert len({len(visit.inbox.raw) for visit in visits}) == 1
    assert len({len(visit.entering.raw) for visit in visits}) == 1


def test_so_are_all_headers(box: Box, answered: Codename, strangers: list[Codename]) -> None:
    """Each line by itself: names, order and lengths."""

    def shape(answer: Answer) -> list[tuple[str, int]]:
        return [(line.partition(": ")[0], len(line)) for line in answer.head.split("\r\n")]

    visits = [box.visit(name) for name in (answered, strangers[0])]
    assert shape(visits[0].inbox) == shape(visits[1].inbox)
    assert shape(visits[0].entering) == shape(visits[1].entering)


def test_what_differs_is_only_what_is_shown(box: Box, answered: Codename, waiting: Codename) -> None:
    """The comparison isn't empty: one page does show the replies, the other says that there is none."""
    full, empty = box.visit(answered).inbox, box.visit(waiting).inbox
    assert all(text[:3] in full.text for text in REPLIES[:2]) and "มีไฟล์แนบ" in full.text
    assert full.text.count("<article") == 4 and "<article" not in empty.text


def test_they_take_the_same_work(box: Box, answered: Codename, waiting: Codename, strangers: list[Codename]) -> None:
    names = (answered, waiting, *strangers)
    for name in names:
        box.visit(name)  # Each process makes its stand-in once.
    works = [box.visit(name).work for name in names]
    assert all(work == works[0] for work in works)
    limits = box.premises.newsroom.manifest.limits
    addresses = 2 * limits.reply_slots * (limits.acknowledge_weeks + 4)
    login, inbox = works[0]
    assert inbox["lookups"] == inbox["reads"] == inbox["openings"] == inbox["verifications"] == addresses
    assert (login["stretchings"], inbox["stretchings"]) == (1, 0)


def test_it_stays_so_when_everything_was_deleted(box: Box) -> None:
    sent = box.premises.browser().send("ลบทีหลัง")
    post = DeskPost(box.premises.newsroom, 1)
    post.next = box.premises.courier().inventory().marks[1] + 1
    assert box.premises.courier().deliver(post.bundle(*post.reply(sent.codename, "ขอพบวันศุกร์"))).status == 200
    before = box.visit(sent.codename)
    browser = box.premises.browser()
    browser.sign_in(sent.codename.text)
    assert browser.delete_newest().status == 303
    after = box.visit(sent.codename)
    assert "ขอพบวันศุกร์" in before.inbox.text and "ขอพบวันศุกร์" not in after.inbox.text
    assert len(before.inbox.raw) == len(after.inbox.raw)
    assert before.work == after.work
