"""A desk that the source chose has the mailbox's root and the reply recipient, and yet can't speak as anybody else."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

import pytest

from keys import codename, mailbox
from keys.codename import Codename, Language
from keys.encoding import week_of
from keys.primitives import system_randomness
from keys.reply import Place
from tests.journeys.betrayer import Betrayer
from tests.journeys.onion import form, sign_in
from tests.journeys.practice import Practice

MESSAGE = "ห้องนี้เคยจ่ายสองรอบ ผมมีสำเนา"
FORGED = "ผมโกหกทั้งหมด ลบเรื่องนี้ทิ้งเถอะ"
FALSE_ANSWER = "เราไม่ทำเรื่องนี้แล้ว เลิกส่งมา"
ANSWER = "เราได้สำเนาครบแล้ว กำลังเทียบกับบัญชี"
SECOND_ANSWER = "เทียบแล้ว ตรงกันทุกหน้า"


@dataclass(frozen=True)
class Before:
    """A source's thread as two desks have it, and the first desk's answer."""

    codename: Codename
    thread: int
    shown: dict[str, Any]
    inbox: str


@dataclass(frozen=True)
class After:
    """What came of the forgeries: the courier's account, the first desk's import, and the mailbox in the end."""

    carried: dict[str, Any]
    report: dict[str, Any]
    marks: dict[int, int]
    marks_before: dict[int, int]
    shown: dict[str, Any]
    inbox: str


def carry(newsroom: Practice) -> dict[str, Any]:
    """Run the printed errand; it ends with an error exactly when it had to leave something behind."""
    done = newsroom.run(newsroom.step(2).replace(" sync ", " sync --json "))
    facts: dict[str, Any] = json.loads(done.out)
    assert (done.code != 0) == bool(facts["troubles"]), done
    return facts


def inbox(newsroom: Practice, name: Codename) -> str:
    """The mailbox page of a codename."""
    return sign_in(newsroom.socks_port, newsroom.source, name.text).text


def thread_of(newsroom: Practice, desk: str, text: str) -> int:
    """The number of the thread in which a desk has read this message."""
    [found] = newsroom.station(desk, "list", "--search", text)["threads"]
    return int(found["number"])


@pytest.fixture(scope="module")
def before(newsroom: Practice) -> Before:
    """A source writes to two desks; both read it, and the first answers."""
    name = codename.make(Language.ENGLISH, system_randomness)
    fields = [("codename", name.text), ("text", MESSAGE), ("desk", "1"), ("desk", "2"), ("answer", "yes")]
    body, kind = form(fields)
    sent = newsroom.ask("POST", f"/th/send/{system_randomness(16).hex()}", body, {"Content-Type": kind})
    assert sent.status == 200
    carry(newsroom)
    for desk in ("isra", "khonthai"):
        newsroom.station(desk, "import", newsroom.stick(desk))
    thread = thread_of(newsroom, "isra", MESSAGE)
    newsroom.station("isra", "reply", thread, "--text", ANSWER)
    newsroom.station("isra", "outbox", "--to", newsroom.stick("isra"))
    carry(newsroom)
    newsroom.station("isra", "import", newsroom.stick("isra"))
    return Before(name, thread, newsroom.station("isra", "show", thread), inbox(newsroom, name))


@pytest.fixture(scope="module")
def after(newsroom: Practice, before: Before) -> After:
    """The second desk forges; everything is carried; then the first desk answers again."""
    betrayer = Betrayer(newsroom, 2, "khonthai", thread_of(newsroom, "khonthai", MESSAGE))
    now = int(time.time())
    week = week_of(now)
    marks = dict(newsroom.inventory().marks)
    betrayer.put_on_stick(_forgeries(betrayer, week), marks.get(2, 0) + 1, now)
    stolen = betrayer.put_on_stick(
        [_false_answer(betrayer, Place(1, week, 7, betrayer.source))], marks.get(1, 0) + 1, now, in_name_of=1
    )
    carried = carry(newsroom)
    stolen.unlink()
    report = newsroom.station("isra", "import", newsroom.stick("isra"))
    newsroom.station("isra", "reply", before.thread, "--text", SECOND_ANSWER)
    newsroom.station("isra", "outbox", "--to", newsroom.stick("isra"))
    applied = dict(newsroom.inventory().marks)
    carry(newsroom)
    shown = newsroom.station("isra", "show", before.thread)
    return After(carried, report, applied, marks, shown, inbox(newsroom, before.codename))


def _forgeries(betrayer: Betrayer, week: int) -> list[tuple[bytes, bytes]]:
    """Everything that the desk can put on the server under its own, good signature: tags, and cells."""
    other = system_randomness(16)
    words = betrayer.message
    forged = type(words)(week, "th", FORGED, words.desks, "yes", words.mailbox)
    cells = [
        betrayer.tip_cell(betrayer.sign_as_source(forged, other), other, 1, week),
        betrayer.tip_cell(betrayer.signed, system_randomness(16), 1, week),  # The true message as a second one.
        betrayer.tip_cell(betrayer.signed, betrayer.tip, 1, week),  # The true message once more.
    ]
    # At every place that the first desk could use next, and at the desk's own, in the first desk's name.
    places = [Place(1, week, index, betrayer.source) for index in range(8)]
    answers = [_false_answer(betrayer, place) for place in places]
    own = mailbox.tag(betrayer.mailbox.root, 2, week, 0)
    answers.append((own, betrayer.reply_cell(own, places[0], FALSE_ANSWER)))
    return [*((system_randomness(32), cell) for cell in cells), *answers]


def _false_answer(betrayer: Betrayer, place: Place) -> tuple[bytes, bytes]:
    tag = mailbox.tag(betrayer.mailbox.root, place.desk, place.week, place.index)
    return tag, betrayer.reply_cell(tag, place, FALSE_ANSWER)


def test_server_takes_the_desks_own_bundle_for_it_cannot_see_what_is_inside(after: After) -> None:
    assert after.marks[2] == after.marks_before.get(2, 0) + 16


def test_bundle_in_another_desks_name_is_refused(after: After) -> None:
    [trouble] = after.carried["troubles"]
    assert trouble["what"] == "desk-1-alpha"
    assert after.marks[1] == after.marks_before[1]


def test_forged_and_replayed_follow_ups_are_refused_by_the_other_station(before: Before, after: After) -> None:
    assert after.report["refused"] == 2
    assert (after.report["messages"], after.report["new_threads"]) == (0, 0)
    assert after.shown["tips"] == before.shown["tips"]
    assert [tip["text"] for tip in after.shown["tips"]] == [MESSAGE]


def test_another_desks_address_is_not_to_be_had(before: Before, after: After) -> None:
    assert ANSWER in before.inbox
    assert ANSWER in after.inbox
    assert SECOND_ANSWER in after.inbox
    assert FALSE_ANSWER not in after.inbox
    assert after.inbox.count('class="reply"') == before.inbox.count('class="reply"') + 1
