"""Replies: sealed to places that are never used twice, and lost by nothing that befalls a stick or a vault."""

from __future__ import annotations

from pathlib import Path

import pytest

from journalist_station.vault import backup, replies
from journalist_station.vault.database import post
from journalist_station.vault.database import tips as rows
from journalist_station.vault.database.tips import ThreadRow
from journalist_station.vault.replies import Attachment
from journalist_station.vault.vault import Vault
from keys.bundle import TAG_BYTES, EntryType
from keys.errors import Malformed, NoRoom, NotForUs, Refused, Stale
from keys.manifest import Limits
from keys.primitives import system_randomness
from tests.simulators.dropbox import DropBox, Received, Source
from tests.simulators.newsroom import Newsroom
from tests.simulators.station import PASSPHRASE, QUICK, Station

ANSWER = "ขอบคุณครับ มีเอกสารเพิ่มเติมไหม"


def thread_of(station: Station, source: Source) -> ThreadRow:
    found = rows.thread_of(station.vault.database, source.keys.public)
    assert found is not None
    return found


def answer(station: Station, source: Source, text: str = ANSWER, state: str = "", *files: Attachment) -> int:
    return replies.queue(
        station.vault,
        thread_of(station, source),
        station.newsroom.now,
        language="th",
        text=text,
        state=state,
        attachments=files,
    )


def said(received: list[Received]) -> list[tuple[str, str]]:
    return [(each.reply.text, each.reply.state) for each in received]


@pytest.fixture
def asked(station: Station, box: DropBox, source: Source) -> Source:
    """A source whose tip was imported."""
    box.send(source, "a tip")
    station.fetch(box)
    return source


def test_a_reply_with_attachments_reaches_its_source_and_nobody_else(
    newsroom: Newsroom, station: Station, box: DropBox, asked: Source
) -> None:
    large = Attachment("แบบฟอร์ม.pdf", "application/pdf", bytes(range(256)) * 3_000)
    answer(station, asked, ANSWER, "checking", large, Attachment("small.txt", "text/plain", b"hello"))
    written, [applied] = station.send(box)
    assert written.replies == 1
    assert (applied.refused, applied.cells) == ([], 16)
    [received] = asked.replies(box)
    assert said([received]) == [(ANSWER, "checking")]
    assert [each.name for each in received.reply.attachments] == ["แบบฟอร์ม.pdf", "small.txt"]
    assert received.attachments == [large.content, b"hello"]
    assert received.reply.cells == 4
    assert Source(newsroom, 5).replies(box) == []
    report = station.fetch(box)
    assert report.delivered == 1
    [reply] = post.replies(station.vault.database, thread_of(station, asked).number)
    assert reply.delivered == newsroom.now


def test_a_question_names_other_desks_of_the_network(station: Station, box: DropBox, asked: Source) -> None:
    def ask(*desks: int) -> None:
        thread = thread_of(station, asked)
        replies.queue(station.vault, thread, station.newsroom.now, language="th", text="", state="", asks=desks)

    for wrong in ((1,), (2, 9)):
        with pytest.raises(NotForUs):
            ask(*wrong)
    ask(2, 2)
    station.send(box)
    [received] = asked.replies(box)
    assert received.reply.asks == (2,)


def test_each_newly_opened_tip_is_told_of_with_the_next_outbox(station: Station, box: DropBox, asked: Source) -> None:
    silent = Source(box.newsroom, 1)
    box.send(silent, "don't answer", with_mailbox=False)
    station.fetch(box)
    written, _ = station.send(box)
    assert (written.opened, written.replies) == (1, 0)
    assert said(asked.replies(box)) == [("", "opened")]
    assert silent.replies(box) == []
    written, _ = station.send(box)
    assert written.opened == 0
    box.send(asked, "a follow-up")
    station.fetch(box)
    station.send(box)
    assert said(asked.replies(box)) == [("", "opened")] * 2


def test_who_is_answered_needs_no_word_that_the_tip_was_opened(station: Station, box: DropBox, asked: Source) -> None:
    answer(station, asked)
    station.send(box)
    assert said(asked.replies(box)) == [(ANSWER, "")]
    station.send(box)
    assert said(asked.replies(box)) == [(ANSWER, "")]


def test_replies_take_one_place_after_the_other_and_a_new_week_has_new_ones(
    newsroom: Newsroom, station: Station, box: DropBox, asked: Source
) -> None:
    slots = station.vault.manifest.limits.reply_slots
    for number in range(slots):
        answer(station, asked, f"reply {number}")
    with pytest.raises(NoRoom, match="places"):
        answer(station, asked, "one too many")
    station.send(box)
    received = asked.replies(box)
    assert [(each.week, each.index) for each in received] == [(newsroom.week, index) for index in range(slots)]
    with pytest.raises(NoRoom, match="places"):
        answer(station, asked, "one too many")
    newsroom.pass_time(weeks=1)
    answer(station, asked, "next week")
    station.send(box)
    assert [(each.week, each.index) for each in asked.replies(box)][-1] == (newsroom.week, 0)


def test_a_place_is_in_the_vault_before_anything_is_on_a_stick(
    station: Station, box: DropBox, asked: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(station, asked)

    def pulled_out(*_: object) -> int:
        raise OSError("the stick is gone")

    monkeypatch.setattr("journalist_station.vault.stick.Stick.write_bundle", pulled_out)
    with pytest.raises(OSError, match="gone"):
        station.send(box)
    monkeypatch.undo()
    station.reopen()
    [reply] = post.replies(station.vault.database, thread_of(station, asked).number)
    assert (reply.week, reply.place) == (station.newsroom.week, 0)
    station.send(box)
    assert said(asked.replies(box)) == [(ANSWER, "")]


def test_a_reply_whose_address_is_taken_goes_again_to_another(station: Station, box: DropBox, asked: Source) -> None:
    answer(station, asked)
    station.send(box, name="first")
    [received] = asked.replies(box)
    week, index, address = next(iter(each for each in asked.addresses(1) if each[:2] == (received.week, 1)))
    box.store(b"x" * 262_144, address)
    station.fetch(box)
    # The place is listed, so it isn't taken in the first place.
    answer(station, asked, "second")
    station.send(box)
    assert (week, index) == (received.week, 1)
    del box.cells[address]
    assert [each.index for each in asked.replies(box)] == [0, 2]
    # This one is taken while the bundle is under way.
    answer(station, asked, "third")
    (address,) = (each[2] for each in asked.addresses(1) if each[:2] == (received.week, 3))
    box.store(b"y" * 262_144, address)
    _, [applied] = station.send(box)
    assert len(applied.refused) == 1
    del box.cells[address]
    assert station.fetch(box).sent_again == 1
    station.send(box)
    assert sorted(said(asked.replies(box))) == sorted([(ANSWER, ""), ("second", ""), ("third", "")])
    assert station.fetch(box).sent_again == 0


def test_what_the_source_deleted_is_not_sent_again(station: Station, box: DropBox, asked: Source) -> None:
    answer(station, asked)
    station.send(box)
    [received] = asked.replies(box)
    asked.delete(box, received)
    station.fetch(box)
    station.send(box)
    station.send(box)
    assert asked.replies(box) == []


@pytest.mark.parametrize(
    ("text", "state", "files", "error"),
    [
        ("", "", [], Refused),
        (" \n", "", [], Refused),
        ("x" * 6_001, "", [], Malformed),
        ("x", "no such state", [], Malformed),
        ("x", "", [Attachment("f", "", bytes(40_000))], NoRoom),
        ("x", "", [Attachment("f", "", b"")] * 21, Malformed),
    ],
)
def test_what_can_be_no_reply_is_refused_before_anything_is_kept(
    tmp_path: Path, text: str, state: str, files: list[Attachment], error: type[Exception]
) -> None:
    newsroom = Newsroom(limits=Limits(reply_bytes=32 << 10))
    station, source = Station(newsroom, tmp_path), Source(newsroom)
    box = DropBox(newsroom)
    box.send(source, "a tip")
    station.fetch(box)
    with pytest.raises(error):
        answer(station, source, text, state, *files)
    assert post.replies(station.vault.database, 1) == []
    assert list((station.folder / "vault/items").rglob("*")) == []


def test_who_left_no_mailbox_cannot_be_answered(station: Station, box: DropBox, source: Source) -> None:
    box.send(source, "a tip", with_mailbox=False)
    station.fetch(box)
    with pytest.raises(Refused, match="no mailbox"):
        answer(station, source)


def restored(station: Station, copy: Path) -> None:
    """Lose the vault, and make it anew from a backup."""
    station.vault.close()
    (station.folder / "vault").rename(station.folder / f"lost {copy.name}")
    station.vault = backup.restore(
        copy, station.secret, station.folder / "vault", PASSPHRASE, station.newsroom.now, system_randomness, QUICK
    )


def places(source: Source, box: DropBox) -> list[tuple[int, int]]:
    return [(each.week, each.index) for each in source.replies(box)]


@pytest.mark.parametrize("deleted", [False, True])
@pytest.mark.parametrize("delivered_before", [False, True])
def test_no_place_is_used_twice_after_a_restore(
    newsroom: Newsroom, station: Station, box: DropBox, asked: Source, delivered_before: bool, deleted: bool
) -> None:
    copy = station.folder / "backup"
    backup.write(station.vault, PASSPHRASE, copy, newsroom.now)
    answer(station, asked, "said by the vault that was lost")
    station.send(*([box] if delivered_before else []), name="on its way")
    if delivered_before and deleted:
        [received] = asked.replies(box)
        asked.delete(box, received)
    restored(station, copy)
    with pytest.raises(Stale, match="restored"):
        station.send(box)
    station.fetch(box)
    answer(station, asked, "said by the new one")
    station.send(box)
    station.fetch(box)
    station.send(box)
    if not delivered_before:
        # The bundle of the lost vault comes too late: its numbers are taken.
        box.deliver(station.folder / "on its way")
        station.fetch(box)
        station.send(box)
    found = places(asked, box)
    assert len(found) == len(set(found))
    assert (newsroom.week, 0) not in found or not deleted
    texts = [text for text, _ in said(asked.replies(box))]
    assert texts.count("said by the new one") == 1
    assert all(week == newsroom.week + 1 for week, _ in found if (week, _) != (newsroom.week, 0))


def test_an_old_copy_of_a_vault_notices_and_says_what_was_not_said(
    newsroom: Newsroom, station: Station, box: DropBox, asked: Source, tmp_path: Path
) -> None:
    """Somebody copies the folder instead of restoring a backup: only the server's mark tells."""
    import shutil

    station.vault.close()
    shutil.copytree(station.folder / "vault", station.folder / "copy")
    station.reopen()
    answer(station, asked, "said and forgotten")
    station.send(box)
    station.vault.close()
    shutil.rmtree(station.folder / "vault")
    (station.folder / "copy").rename(station.folder / "vault")
    station.vault = Vault.open(station.folder / "vault", PASSPHRASE, station.randomness)
    answer(station, asked, "said in between")
    station.send(box, name="second")  # Its numbers are spent already: the server passes over it.
    assert [text for text, _ in said(asked.replies(box))] == ["said and forgotten"]
    report = station.fetch(box)
    assert (report.sent_again, report.delivered) == (1, 0)
    assert any("older copy" in warning for warning in report.warnings)
    station.send(box)
    station.fetch(box)
    station.send(box)
    texts = [text for text, _ in said(asked.replies(box))]
    assert "said and forgotten" in texts and "said in between" in texts


def test_fillers_look_like_replies(station: Station, box: DropBox, asked: Source) -> None:
    """Nothing of a cell entry but what only its readers can open tells one from the other."""
    answer(station, asked)
    station.send(box)
    entries = post.entries_after(station.vault.database, "alpha", 0)
    contents = [
        post.letter_content(station.vault.database, each.letter.number)
        for each in entries
        if each.letter.type == EntryType.CELL
    ]
    assert len(contents) == 16
    heads = {content[TAG_BYTES : TAG_BYTES + 60].split(b" ")[0:2].__repr__() for content in contents}
    assert len({len(content) for content in contents}) == 1 and len(heads) == 1
