"""Promise 6: without a manifest and epoch lists that verify, are in date and are the newest, the box is closed.

It says so, takes nothing, and never falls back. What is wrong is put on the disk while the server is down, as somebody
could who has its disk; or the clock is moved while it runs.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from keys import codename
from keys.bundle import EntryType
from keys.codename import Language
from keys.minisign import SignedDocument
from keys.primitives import system_randomness
from tests.dropbox.source.site import Upload
from tests.promises.browser import MULTIPART, Form
from tests.promises.desk import DeskPost
from tests.promises.server import Oddities, Premises, newsroom
from tests.promises.words import LANGUAGES, say
from tests.simulators.tor import consensus_head

SLOTS = 24
DAY = 86_400
FORM = "0" * 32

UNSIGNED = "The newsrooms have not signed for this drop box yet."
NOT_THE_NEWEST = "What the newsrooms signed for this drop box is not the newest."
NOT_YET_VALID = "What the newsrooms signed for this drop box is not valid yet."
RUN_OUT = "What the newsrooms signed for this drop box has run out."
CONTRADICTED = "The clock of this server does not agree with the time of the Tor network."
WRONG_CLOCK = "The clock of this server is wrong."
NO_KEY = "No newsroom has published a key for this week."
ORDERED = "The newsrooms have closed this drop box by a signed order."


def forms(premises: Premises, language: str) -> list[tuple[str, bytes]]:
    """Return filled-in forms, as if they had been opened in good time: for the texts' lane and for the files'."""
    browser = premises.browser(language)
    form = Form(codename.make(Language(language), system_randomness), f"/{language}/send/{FORM}")
    uploads: tuple[list[Upload], ...] = ([], [Upload("large.bin", bytes(700_000))])
    return [(form.address, browser.body(form, "text", files)) for files in uploads]


def disk(premises: Premises) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in premises.home.data.iterdir()}


def assert_closed(premises: Premises, reason: str) -> None:
    """The page says why in both languages; forms opened before are refused; not a byte of the disk changes."""
    before = disk(premises)
    for language in LANGUAGES:
        browser = premises.browser(language)
        page = browser.get("/send")
        assert page.status == 503
        assert say("Nothing can be sent now", language) in page.text and say(reason, language) in page.text
        assert "<form" not in page.text and 'class="codename"' not in page.text
        for address, body in forms(premises, language):
            refused = browser.request("POST", address, body, MULTIPART)
            assert refused.status == 503
            assert say("This drop box is closed at the moment. Nothing was stored.", language) in refused.text
            progress = browser.get(f"/progress/{FORM}")
            assert say("This drop box is closed at the moment. Nothing was stored.", language) in progress.text
    assert disk(premises) == before


def assert_open(premises: Premises) -> None:
    before = len(premises.records())
    assert premises.browser().send("text").answer.status == 200
    assert len(premises.records()) == before + 1


# What may be wrong on the disk.


def missing_manifest(premises: Premises) -> None:
    premises.put_state(replace(premises.state(), manifests=()))


def under_signed_manifest(premises: Premises) -> None:
    """One signature is missing of the two that the network asks for."""
    state = premises.state()
    only = state.manifests[0]
    premises.put_state(replace(state, manifests=(SignedDocument(only.statement, only.signatures[:1]),)))


def older_data_folder(premises: Premises) -> None:
    """Put back as it was before the manifest in force was admitted; its own floors are as old as it is."""
    older = premises.folder / "older"
    shutil.copytree(premises.home.data, older)
    premises.newsroom.publish()
    premises.admit(premises.newsroom.documents[-1])
    shutil.rmtree(premises.home.data)
    older.rename(premises.home.data)


def older_lists(premises: Premises) -> None:
    older = premises.state().epochs
    for desk in premises.newsroom.manifest.desk_numbers:
        premises.admit(premises.newsroom.epochs(desk))
    premises.put_state(replace(premises.state(), epochs=older))


def lists_of_a_stranger(premises: Premises) -> None:
    """Recipients that no desk has signed: what somebody would plant who wants to read."""
    stranger = newsroom("stranger").desk_seed(1)
    forged = {desk: premises.newsroom.epochs(desk, sequence=7, signed_by=stranger) for desk in (1, 2)}
    premises.put_state(replace(premises.state(), epochs=forged))


ON_DISK: dict[Callable[[Premises], None], str] = {
    missing_manifest: UNSIGNED,
    under_signed_manifest: UNSIGNED,
    older_data_folder: NOT_THE_NEWEST,
    older_lists: NO_KEY,
    lists_of_a_stranger: NO_KEY,
}


@pytest.mark.parametrize("cause", ON_DISK, ids=lambda cause: cause.__name__)
def test_what_is_wrong_on_the_disk_closes_the_box(tmp_path: Path, cause: Callable[[Premises], None]) -> None:
    premises = Premises(tmp_path, slots=SLOTS)
    cause(premises)
    with premises.running():
        assert_closed(premises, ON_DISK[cause])


# The clock, and what arrives while the server runs.


class Clock:
    """A server's clock, as a file that says how many seconds it is ahead."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.set(days=0)

    def set(self, *, days: float) -> None:
        self.file.write_text(str(int(days * DAY)))


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path / "clock")


@pytest.fixture
def premises(tmp_path: Path, clock: Clock) -> Iterator[Premises]:
    with Premises(tmp_path, slots=SLOTS).running(Oddities(clock=str(clock.file))) as found:
        yield found


def test_a_wrong_clock_closes_the_box(premises: Premises, clock: Clock) -> None:
    """Before the manifest's time, then behind what was seen already: by who sent something, or by a courier."""
    clock.set(days=-2)
    assert_closed(premises, NOT_YET_VALID)
    clock.set(days=0)
    assert_open(premises)
    clock.set(days=-2)
    assert_closed(premises, WRONG_CLOCK)
    clock.set(days=10)
    premises.courier().inventory()
    clock.set(days=8)
    assert_closed(premises, WRONG_CLOCK)
    clock.set(days=10)
    assert_open(premises)


def test_a_clock_that_tors_consensus_contradicts_closes_the_box(premises: Premises, clock: Clock) -> None:
    """And opens it within the same second once tor has a newer consensus; no wrong clock leaves a trace."""
    premises.consensus.write_bytes(consensus_head(int(time.time())))
    assert_open(premises)
    clock.set(days=9)
    assert_closed(premises, CONTRADICTED)
    clock.set(days=-1)
    assert_closed(premises, CONTRADICTED)
    clock.set(days=0)
    assert_open(premises)
    clock.set(days=9)
    premises.courier().inventory()
    clock.set(days=0)
    assert_open(premises)
    clock.set(days=9)
    premises.consensus.write_bytes(consensus_head(int(time.time()) + 9 * DAY))
    assert_open(premises)


def test_what_has_run_out_closes_the_box_until_the_newest_arrives(premises: Premises, clock: Clock) -> None:
    newsroom = premises.newsroom
    clock.set(days=366)
    assert_closed(premises, RUN_OUT)
    clock.set(days=57)
    assert_closed(premises, NO_KEY)
    newsroom.pass_time(days=57)
    lists = newsroom.epochs(1)
    newsroom.admit_epochs(1, lists)
    post = DeskPost(newsroom, 1)
    assert deliver(premises, post, EntryType.EPOCHS, lists) == []
    assert_open(premises)
    assert deliver(premises, post, EntryType.CLOSE, newsroom.close_order(newsroom.desk_seed(1))) == []
    assert_closed(premises, ORDERED)
    newsroom.publish()
    assert deliver(premises, post, EntryType.MANIFEST, newsroom.documents[-1]) == []
    assert_open(premises)


def deliver(premises: Premises, post: DeskPost, kind: EntryType, document: SignedDocument) -> list[int]:
    """Have a courier bring a document; return which entries were refused."""
    answer = premises.courier().deliver(post.bundle((kind, document.encode())))
    assert answer.status == 200, answer.body
    refused: list[int] = json.loads(answer.body)["refused"]
    return refused


def test_a_document_that_is_not_admitted_changes_nothing(premises: Premises) -> None:
    """Too few signatures, a list by another desk, a stranger's order: each is refused, and the box is as it was."""
    newsroom = premises.newsroom
    post = DeskPost(newsroom, 1)
    bad = {
        EntryType.MANIFEST: newsroom.succession(signed_by=[0]),
        EntryType.EPOCHS: newsroom.epochs(1, sequence=5, signed_by=newsroom.desk_seed(2)),
        EntryType.CLOSE: newsroom.close_order(signed_by=bytes(32)),
    }
    for kind, document in bad.items():
        number = post.next
        assert deliver(premises, post, kind, document) == [number]
        assert_open(premises)


def test_one_closed_desk_is_never_sealed_to(tmp_path: Path) -> None:
    """The other takes what is for it alone. Nothing is sealed to another week, desk or earlier key instead."""
    premises = Premises(tmp_path, slots=SLOTS)
    state = premises.state()
    premises.put_state(replace(state, epochs={1: state.epochs[1]}))
    with premises.running():
        browser = premises.browser("en")
        page = browser.get("/send").text
        assert 'value="1" checked' in page and 'value="2"' not in page
        assert browser.send("for both", desks=(1, 2)).answer.status == 503
        assert browser.send("for the closed one", desks=(2,)).answer.status == 503
        assert not premises.records()
        assert browser.send("for the open one", desks=(1,)).answer.status == 200
        assert len(premises.tips(1)) == 1 and not premises.tips(2)
