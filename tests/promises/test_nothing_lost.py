"""Promise 7: what a receipt named is there, whole. What broke off is kept as far as it came, and marked.

Through kills of single processes and of the whole server at random moments of uploads, through browsers that go away,
and through names that other programs trip over.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import re
import signal
import termios
import threading
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import pytest

from keys.codename import Codename
from tests.dropbox.serving.visitors import Visit, wait_until
from tests.dropbox.source.site import Upload
from tests.promises.browser import MULTIPART, Answer, Form
from tests.promises.desk import DeskPost, Tip, source_keys
from tests.promises.server import Premises
from tests.promises.words import say

UPLOADERS = 3
BOUNDARY_BYTES = 80
"""So much of what came may still be held back when an upload breaks: it could be the beginning of a boundary."""


def only_tip(premises: Premises, name: Codename) -> Tip:
    """Return the one tip of a codename, as desk 1 opens it."""
    (found,) = premises.tips()[source_keys(premises.newsroom, name).public]
    return found


# Names.

EMPTY = "ว่าง.txt"
NAMES: dict[str, list[str | bytes]] = {
    "two of one name": ["หลักฐาน.pdf", "หลักฐาน.pdf"],
    "an empty file and one without a name": [EMPTY, ""],
    "a Thai name of 255 bytes": ["ก" * 84 + ".md"],
    "names with a way in them": ["../../etc/passwd", "/etc/shadow", "..\\..\\boot.ini", "C:\\windows\\x"],
    "names that are no text": [b"\xff\xfe\x80.bin", "a\u202efdp.exe", "สระ\u0e4d\u0e32.txt"],
    "names with quotes, spaces and semicolons": ["a b;c='d'.txt", " leading.txt", "%22quoted%22.txt"],
}


@pytest.mark.parametrize("case", NAMES)
def test_every_name_is_kept_as_it_was_given(premises: Premises, case: str) -> None:
    files = [Upload(name, b"" if name == EMPTY else b"content %d" % at) for at, name in enumerate(NAMES[case])]
    sent = premises.browser().send("ชื่อไฟล์", files)
    assert sent.answer.status == 200
    assert sent.digests == [sha256(file.content).hexdigest() for file in files]
    tip = only_tip(premises, sent.codename)
    assert contents(tip) == [(file.raw_name, file.content) for file in files]
    assert tip.complete


def contents(tip: Tip) -> list[tuple[bytes, bytes]]:
    return [(file.name, file.content) for file in tip.files.values()]


def test_a_receipt_lists_sizes_and_digests(premises: Premises) -> None:
    content = os.urandom(700_000)
    sent = premises.browser("en").send("ข้อความ", [Upload("ใหญ่.bin", content)])
    assert sent.digests == [sha256(content).hexdigest()]
    assert "2 items stored, 700.0 kB" in sent.answer.text
    received = only_tip(premises, sent.codename)
    assert sha256(received.message.to_json()).hexdigest() in sent.answer.text
    (file,) = received.files.values()
    assert file.content == content and not file.interrupted


# What breaks off.


@contextlib.contextmanager
def upload_of_two(premises: Premises, *, whole: int, part: int) -> Iterator[tuple[Form, list[Upload]]]:
    """Send a message, a first file whole and part of a second one, and wait until all of it was taken."""
    browser = premises.browser()
    form = browser.open_form()
    files = [Upload("แรก.bin", os.urandom(whole)), Upload("สอง.bin", os.urandom(2_000_000))]
    body = browser.body(form, "ข้อความก่อนสายขาด", files)
    with browser.half_sent(form, body, body.index(files[1].content) + part) as visit:
        wait_until(lambda: unread(visit) == 0, "all that was sent was taken")
        yield form, files


def unread(visit: Visit) -> int:
    """How much of what was sent lies in the socket still."""
    left = array("i", [0])
    fcntl.ioctl(visit.socket, termios.TIOCOUTQ, left)
    return left[0]


def assert_kept(premises: Premises, form: Form, files: Sequence[Upload], part: int) -> None:
    tip = only_tip(premises, form.codename)
    assert tip.message.text == "ข้อความก่อนสายขาด"
    first, second = tip.files.values()
    assert (first.name, first.content, first.interrupted) == (files[0].raw_name, files[0].content, False)
    assert second.name == files[1].raw_name and second.interrupted
    assert files[1].content.startswith(second.content)
    assert part - BOUNDARY_BYTES <= len(second.content) <= part
    assert tip.closing is not None and not tip.closing.complete
    assert [(entry.size, entry.sha256, entry.interrupted) for entry in tip.closing.items] == [
        (len(each.content), sha256(each.content).digest(), each.interrupted) for each in (first, second)
    ]


@pytest.mark.parametrize("part", [0, 1_000, 600_000])
def test_a_browser_that_goes_away_leaves_what_came(premises: Premises, part: int) -> None:
    with upload_of_two(premises, whole=300_000, part=part) as (form, files):
        pass
    wait_until(lambda: only_tip(premises, form.codename).closing is not None, "what came is committed")
    assert_kept(premises, form, files, part)
    progress, told = f"/progress/{form.address.rsplit('/', 1)[1]}", say("Not everything could be stored.", "en")
    wait_until(lambda: told in premises.browser("en").get(progress).text, "the progress frame says so")


def in_work(premises: Premises) -> bool:
    """Whether anything lies in a slot that isn't committed."""
    return bool(premises.headers_in_free_slots())


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGQUIT])
def test_a_server_that_is_stopped_keeps_what_came(tmp_path: Path, sig: signal.Signals) -> None:
    premises = Premises(tmp_path, slots=140)
    with premises.running(), upload_of_two(premises, whole=10_000, part=500_000) as (form, files):
        assert premises.stop(sig) == 0
    assert_kept(premises, form, files, 500_000)
    assert not premises.headers_in_free_slots()


def test_a_broken_text_stores_nothing(premises: Premises) -> None:
    before = premises.records()
    browser = premises.browser()
    form = browser.open_form()
    body = browser.body(form, "ข้อความที่มาไม่ถึง" * 100)
    with browser.half_sent(form, body, len(body) // 2, as_files=False):
        pass
    assert premises.browser().get("/send").status == 200
    assert premises.records() == before


# Kills.


@dataclass
class Uploader:
    """Sends a tip at a random pace, and remembers what its receipt said, if one came."""

    premises: Premises
    chance: random.Random
    text: str
    files: list[Upload] = field(default_factory=list)
    form: Form | None = None
    answer: Answer | None = None
    sent: int = 0

    def __post_init__(self) -> None:
        sizes = self.chance.choices([0, 500, 40_000, 300_000, 900_000], k=self.chance.randint(0, 3))
        self.files = [Upload(f"ไฟล์ {size}.bin", self.chance.randbytes(size)) for size in sizes]

    def run(self) -> None:
        browser = self.premises.browser()
        with contextlib.suppress(OSError, IndexError, AssertionError):
            self.form = browser.open_form()
            body = browser.body(self.form, self.text, self.files)
            with browser.begin("POST", self.form.address, b"", len(body), MULTIPART) as visit:
                while self.sent < len(body):
                    piece = body[self.sent : self.sent + self.chance.choice([3_000, 60_000, 250_000])]
                    visit.send(piece)
                    self.sent += len(piece)
                self.answer = Answer(visit.rest())

    @property
    def has_receipt(self) -> bool:
        answer = self.answer
        return answer is not None and answer.raw != b"" and answer.whole and answer.status == 200


class Rounds:
    """Rounds of uploads with a kill in each."""

    def __init__(self, premises: Premises, chance: random.Random) -> None:
        self.premises = premises
        self.chance = chance
        self.receipts = 0
        self.cut = 0

    def run(self, rounds: int) -> None:
        for number in range(rounds):
            uploaders = [self.uploader(f"รอบ {number} คน {at}") for at in range(UPLOADERS)]
            threads = [threading.Thread(target=uploader.run) for uploader in uploaders]
            for thread in threads:
                thread.start()
            self.wait_for_a_moment(uploaders, threads)
            self.strike()
            for thread in threads:
                thread.join(60)
                assert not thread.is_alive()
            self.check(uploaders)
            self.clear()

    def wait_for_a_moment(self, uploaders: Sequence[Uploader], threads: Sequence[threading.Thread]) -> None:
        """Wait until a random part of everything was sent, or nobody sends any more."""
        moment = self.chance.random() * sum(len(file.content) for each in uploaders for file in each.files)

        def has_come() -> bool:
            return sum(each.sent for each in uploaders) >= moment or not any(thread.is_alive() for thread in threads)

        wait_until(has_come, "so much was sent")

    def uploader(self, text: str) -> Uploader:
        return Uploader(self.premises, random.Random(self.chance.random()), text)

    def strike(self) -> None:
        """Kill everything at once, or one process, or all of the arbiter's workers but not the arbiter."""
        what = self.chance.choice(["server", "worker", "worker", "workers"])
        if what == "server":
            self.premises.kill()
            self.assert_nothing_by_half()
            self.premises.start()
            assert not self.premises.headers_in_free_slots(), "a slot wasn't swept"
            return
        victims = self.premises.crews()
        for pid in victims if what == "workers" else [self.chance.choice(victims)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_until(self.premises.answers, "others serve")

    def assert_nothing_by_half(self) -> None:
        """Whatever the raw index lists can be opened: `tips` fails on an item that lacks a cell or its end."""
        with self.premises.store():
            pass  # As the next server does: what a redo record holds is finished.
        self.premises.tips()

    def check(self, uploaders: Sequence[Uploader]) -> None:
        wait_until(lambda: not in_work(self.premises), "what nobody finished was swept")
        tips = self.premises.tips()
        inventory = self.premises.courier().inventory()
        assert set(inventory.digests) == {record.cell_id for record in self.premises.records().values()}
        for uploader in uploaders:
            if uploader.form is None:
                continue
            found = tips.get(source_keys(self.premises.newsroom, uploader.form.codename).public, [])
            assert len(found) <= 1
            if uploader.has_receipt:
                self.receipts += 1
                self.assert_whole(uploader, found[0])
            else:
                self.cut += 1
                for tip in found:
                    self.assert_part(uploader, tip)

    @staticmethod
    def assert_whole(uploader: Uploader, tip: Tip) -> None:
        assert tip.message.text == uploader.text
        assert uploader.answer is not None
        named = re.findall(r"SHA-256 <code>([0-9a-f]{64})</code>", uploader.answer.text)
        assert named == [sha256(file.content).hexdigest() for file in uploader.files]
        assert contents(tip) == [(file.raw_name, file.content) for file in uploader.files]
        assert tip.complete

    @staticmethod
    def assert_part(uploader: Uploader, tip: Tip) -> None:
        """Without a receipt: a beginning of what was sent, each file whole or marked."""
        assert tip.message.text == uploader.text
        for file, sent in zip(tip.files.values(), uploader.files, strict=False):
            assert file.name == sent.raw_name
            assert sent.content.startswith(file.content)
            assert file.interrupted or file.content == sent.content

    def clear(self) -> None:
        """Have both desks acknowledge everything, so that there is room for the next rounds."""
        ids = sorted({record.cell_id for record in self.premises.records().values()})
        if len(ids) < 40:
            return
        courier = self.premises.courier()
        marks = courier.inventory().marks
        for desk in (1, 2):
            post = DeskPost(self.premises.newsroom, desk)
            post.next = marks.get(desk, 0) + 1
            assert courier.deliver(post.bundle(post.acknowledgement(ids))).status == 200


@pytest.mark.parametrize("rounds", [pytest.param(20, id="20"), pytest.param(200, id="200", marks=pytest.mark.long)])
def test_kills_lose_nothing_that_a_receipt_named(tmp_path: Path, seed: int, rounds: int) -> None:
    print(f"seed {seed}")
    with Premises(tmp_path, slots=220).running() as premises:
        lived = Rounds(premises, random.Random(seed))
        lived.run(rounds)
        assert lived.receipts >= rounds // 4 and lived.cut >= rounds // 4, "the moments of the kills tell nothing"
        assert "Traceback" not in premises.log()
