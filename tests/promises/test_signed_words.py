"""Promise 10: what a courier or a seized server could forge, alter or replay changes nothing that anybody reads.

Through the real collect interface and the real pages. A real vault takes what the server gives out, and notices one
that was put back to an older copy of itself.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from journalist_station.vault import epochs
from keys import mailbox
from keys.cell import Geometry, seal_digest
from keys.codename import Codename
from keys.minisign import SignedDocument
from tests.dropbox.serving.visitors import Response
from tests.promises.courier import Courier
from tests.promises.desk import DeskPost, source_keys
from tests.promises.server import Premises, newsroom
from tests.simulators import seen
from tests.simulators.station import Station

WEEKS = 4 * 7 + 1


@dataclass
class Case:
    """A source that waits for a word of desk 1, and what lies between."""

    premises: Premises
    name: Codename
    courier: Courier
    post: DeskPost

    def mailbox(self) -> str:
        browser = self.premises.browser()
        browser.sign_in(self.name.text)
        return browser.inbox().text


@pytest.fixture(scope="module")
def premises(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Premises]:
    with Premises(tmp_path_factory.mktemp("box")).running() as found:
        yield found


@pytest.fixture
def case(premises: Premises) -> Case:
    courier = premises.courier()
    post = DeskPost(premises.newsroom, 1)
    post.next = courier.inventory().marks.get(1, 0) + 1
    return Case(premises, premises.browser().send("เบาะแส").codename, courier, post)


def refused_of(answer: Response) -> list[int]:
    assert answer.status == 200, answer.body
    refused: list[int] = json.loads(answer.body)["refused"]
    return refused


def assert_refused(case: Case, outbound: bytes, status: int) -> None:
    """A bundle is refused as a whole: what is stored, what is marked and what a source reads stay as they were."""
    before, marks = case.premises.records(), case.courier.inventory().marks
    answer = case.courier.deliver(outbound)
    assert answer.status == status and set(json.loads(answer.body)) == {"error", "hint"}
    assert case.premises.records() == before
    assert case.courier.inventory().marks == marks
    assert not case.premises.headers_in_free_slots()


def test_a_word_of_the_desk_arrives(case: Case) -> None:
    """Else nothing here would show anything."""
    assert refused_of(case.courier.deliver(case.post.bundle(*case.post.reply(case.name, "ได้รับแล้ว")))) == []
    assert "ได้รับแล้ว" in case.mailbox()


def test_a_bundle_with_one_bit_changed_is_refused_wherever_it_is(case: Case, seed: int) -> None:
    outbound = case.post.bundle(*case.post.reply(case.name, "ปลอม"))
    chance = random.Random(seed)
    places = [len(outbound) - 1, len(outbound) - 64, *(chance.randrange(400, len(outbound)) for _ in range(6))]
    for at in places:
        changed = bytearray(outbound)
        changed[at] ^= 1 << chance.randrange(8)
        before = case.premises.records()
        assert case.courier.deliver(bytes(changed)).status in (400, 403), f"seed {seed}, byte {at}"
        assert case.premises.records() == before
    assert "ปลอม" not in case.mailbox()


def test_a_bundle_that_another_desk_signed_is_refused(case: Case) -> None:
    forged = case.post.bundle(*case.post.reply(case.name, "ปลอม"), signed_by=case.premises.newsroom.desk_seed(2))
    assert_refused(case, forged, 403)


def test_a_bundle_for_another_server_or_network_is_refused(case: Case) -> None:
    assert_refused(case, DeskPost(case.premises.newsroom, 1, "beta").bundle(), 404)
    assert_refused(case, DeskPost(newsroom("elsewhere"), 1).bundle(), 404)


def test_a_bundle_that_has_expired_is_refused(case: Case) -> None:
    case.premises.newsroom.pass_time(days=-WEEKS)
    try:
        late = case.post.bundle()
    finally:
        case.premises.newsroom.pass_time(days=WEEKS)
    assert_refused(case, late, 503)


def test_a_bundle_out_of_order_waits_for_the_one_before(case: Case) -> None:
    first, second = case.post.bundle(), case.post.bundle(*case.post.reply(case.name, "ฉบับที่สอง"))
    assert_refused(case, second, 503)
    assert refused_of(case.courier.deliver(first)) == []
    assert refused_of(case.courier.deliver(second)) == []
    assert "ฉบับที่สอง" in case.mailbox()


def test_a_replayed_bundle_brings_nothing_back(case: Case) -> None:
    """Neither what a source deleted, nor an older state of anything."""
    outbound = case.post.bundle(*case.post.reply(case.name, "ครั้งเดียว"))
    assert refused_of(case.courier.deliver(outbound)) == []
    browser = case.premises.browser()
    browser.sign_in(case.name.text)
    assert browser.delete_newest().status == 303
    before = case.premises.records()
    assert case.courier.deliver(outbound).status == 200
    assert case.premises.records() == before
    assert "ครั้งเดียว" not in case.mailbox()


def test_no_desk_speaks_for_another(case: Case) -> None:
    """Desk 2 knows the mailbox of a source that wrote to both, and takes neither desk 1's address nor its name."""
    other = DeskPost(case.premises.newsroom, 2)
    other.next = case.courier.inventory().marks.get(2, 0) + 1
    as_the_first = case.post.reply(case.name, "ในนามคนอื่น")
    assert refused_of(case.courier.deliver(other.bundle(*as_the_first))) == []
    assert "ในนามคนอื่น" not in case.mailbox()
    assert refused_of(case.courier.deliver(case.post.bundle(*case.post.reply(case.name, "ตัวจริง")))) == []
    assert "ตัวจริง" in case.mailbox()


def test_an_address_that_is_taken_is_never_given_away(case: Case) -> None:
    """Not even to the same desk: what a source has read once, stays that."""
    assert refused_of(case.courier.deliver(case.post.bundle(*case.post.reply(case.name, "ฉบับแรก")))) == []
    number = case.post.next
    assert refused_of(case.courier.deliver(case.post.bundle(*case.post.reply(case.name, "ฉบับแทน")))) == [number]
    assert "ฉบับแรก" in case.mailbox() and "ฉบับแทน" not in case.mailbox()


def test_what_somebody_with_the_disk_puts_there_is_not_shown(case: Case) -> None:
    """A reply with a stranger's signature, at the right address: sealed to the source, and still nobody's word."""
    case.premises.kill()
    try:
        forger = newsroom("forger")
        entries = DeskPost(case.premises.newsroom, 1)
        seeds = case.premises.newsroom.desk_secrets
        own, seeds[1] = seeds[1], forger.desk_secrets[1]
        try:
            ((_, content),) = entries.reply(case.name, "ปลอมในดิสก์")
        finally:
            seeds[1] = own
        address = mailbox.address(case.premises.newsroom.network, 1, content[:32])
        with case.premises.store() as store, store.item(1, reserved=True) as deposit:
            deposit.append(content[32:], address, seal_digest(content[32:], Geometry(6)))
            deposit.commit()
    finally:
        case.premises.start()
    page = case.mailbox()
    assert "ปลอมในดิสก์" not in page and "<article" not in page


# A server that was put back.


class Desk(Station):
    """Desk 1's station; keeps its epoch list as a document, for the server."""

    document: SignedDocument

    def publish(self, weeks: int = 8) -> None:
        _, self.document = epochs.begin(self.vault, self.newsroom.now, weeks)
        self.newsroom.admit_epochs(self.desk, self.document)


def test_a_server_put_back_to_an_older_copy_of_itself_is_noticed(tmp_path: Path) -> None:
    of = newsroom(desks=1)
    premises = Premises(tmp_path, of, slots=40, admit=False)
    premises.admit(*of.documents)
    station = Desk(of, tmp_path / "desk")
    premises.admit(station.document)
    stick, post = station.stick(), DeskPost(of, 1)
    with premises.running():
        first = premises.browser().send("เรื่องแรก")
        premises.courier().fill(stick)
        assert station.take(stick).problems == []
    shutil.copytree(premises.home.folder, tmp_path / "older")
    with premises.running():
        premises.browser().send("เรื่องที่สอง")
        assert premises.courier().deliver(post.bundle(*post.reply(first.codename, "ตอบแล้ว"))).status == 200
        premises.courier().inventory()
        premises.courier().fill(stick)
        assert station.take(stick).problems == []
    shutil.rmtree(premises.home.folder)
    (tmp_path / "older").rename(premises.home.folder)
    with premises.running():
        premises.browser().send("เรื่องที่สาม")
        courier = premises.courier()
        courier.fill(stick)
        report = station.take(stick)
        assert report.problems == []
        (warning,) = report.warnings
        assert "put back to an older state" in warning
        answer = courier.deliver(post.bundle())
        assert answer.status == 503 and "missing" in json.loads(answer.body)["error"]
    texts = sorted(tip.text for found in seen.everything(station.vault).values() for tip in found)
    assert texts == sorted(["เรื่องแรก", "เรื่องที่สอง", "เรื่องที่สาม"]), "what had come stays, and what is new comes"
    assert source_keys(of, first.codename).public in seen.everything(station.vault)
