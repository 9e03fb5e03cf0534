"""An outbox doesn't show how many replies it holds, and what isn't confirmed goes again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from journalist_station.vault import documents, epochs, outbox, replies
from journalist_station.vault.database import post
from journalist_station.vault.database import tips as rows
from journalist_station.vault.replies import Attachment
from journalist_station.vault.stick import Stick
from keys import bulletin as bulletins
from keys.bundle import EntryType, OutboundReader
from keys.errors import Misconfigured, NoRoom, NotAuthentic, NotForUs, Refused, Stale
from keys.languages import Text
from keys.manifest import Limits
from tests.simulators.dropbox import DropBox, Source
from tests.simulators.newsroom import Newsroom, seeded
from tests.simulators.station import Station


def answer(station: Station, text: str, thread: int = 1) -> None:
    row = rows.thread(station.vault.database, thread)
    assert row is not None
    replies.queue(station.vault, row, station.newsroom.now, language="th", text=text, state="")


def bundle_of(station: Station, name: str = "stick", server: str = "alpha") -> OutboundReader:
    path = station.stick(name) / "mustshare/outbound" / f"desk-{station.desk}-{server}"
    with path.open("rb") as stream:
        reader = OutboundReader(stream)
        list(reader.entries())
        reader.verify(station.newsroom.manifest.desk(station.desk).key.public)
    return reader


@pytest.mark.parametrize(("waiting", "cells"), [(0, 4), (1, 4), (4, 4), (5, 8)])
def test_a_bundle_always_holds_a_multiple_of_cells(tmp_path: Path, waiting: int, cells: int) -> None:
    newsroom = Newsroom(limits=Limits(bundle_cells=4, reply_slots=16))
    station, box = Station(newsroom, tmp_path), DropBox(newsroom)
    for number in range(waiting):
        box.send(Source(newsroom, number), "tip")
    station.fetch(box)
    written, [applied] = station.send(box)
    assert written.opened == waiting
    assert applied.cells == bundle_of(station).head.cells == cells


def test_replies_stand_anywhere_among_the_fillers(tmp_path: Path) -> None:
    newsroom = Newsroom(limits=Limits(bundle_cells=4, reply_slots=32))
    station, box, source = Station(newsroom, tmp_path), DropBox(newsroom), Source(newsroom)
    box.send(source, "tip")
    station.fetch(box)
    seen: Counter[int] = Counter()
    for number in range(10):
        if number:
            answer(station, f"{number}")
        station.send(box)
        letters = [each.letter for each in post.entries_after(station.vault.database, "alpha", 0)]
        cells = [letter for letter in letters if letter.type == EntryType.CELL][-4:]
        [at] = [at for at, letter in enumerate(cells) if letter.reply is not None]
        seen[at] += 1
    assert len(seen) >= 3


def test_everything_unconfirmed_goes_again_and_the_confirmed_is_let_go(
    newsroom: Newsroom, station: Station, box: DropBox
) -> None:
    box.send(Source(newsroom), "tip")
    station.fetch(box)
    station.send(name="lost")
    station.send(name="also lost")
    first = bundle_of(station, "also lost").head
    assert (first.first, first.cells) == (1, 32)
    _, [applied] = station.send(box)
    assert (applied.entries, applied.cells) == (bundle_of(station).head.entries, 48)
    station.fetch(box)
    assert outbox.unconfirmed(station.vault) == {"alpha": 0}
    assert station.vault.database.value("SELECT count(*) FROM letters WHERE type = 2") == 0
    _, [applied] = station.send(box)
    assert bundle_of(station).head.first == box.marks[1] - applied.entries + 1
    assert applied.cells == 16
    # The lost sticks turn up: what they bring is known, and nothing comes back.
    before = dict(box.cells)
    for name in ("lost", "also lost"):
        assert [each.entries for each in box.deliver(station.stick(name))] == [0]
    assert box.cells == before


def test_again_writes_the_same_to_another_stick(newsroom: Newsroom, station: Station, box: DropBox) -> None:
    station.send(name="one")
    outbox.write(station.vault, [Stick(station.stick("two"))], newsroom.now, again=True)
    one, two = bundle_of(station, "one").head, bundle_of(station, "two").head
    assert (one.first, one.entries, one.cells) == (two.first, two.entries, two.cells)
    box.deliver(station.stick("one"))
    station.fetch(box)
    with pytest.raises(Refused, match="nothing"):
        outbox.write(station.vault, [Stick(station.stick("two"))], newsroom.now, again=True)


def names(station: Station, name: str = "stick") -> list[str]:
    return sorted(path.name for path in (station.stick(name) / "mustshare/outbound").iterdir())


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Station]:
    """A station whose bundles have eight cells at most."""
    monkeypatch.setattr(outbox, "USUAL_CELLS", 9)
    station = Station(Newsroom(desks=2, limits=Limits(bundle_cells=4, reply_slots=16)), tmp_path)
    yield station
    station.vault.close()


def owe(station: Station, box: DropBox, count: int) -> None:
    """Let so many sources send a tip: each is told that it was opened."""
    for number in range(count):
        box.send(Source(station.newsroom, number), "tip")
    station.fetch(box)


def answer_at_length(station: Station, thread: int, size: int) -> None:
    row = rows.thread(station.vault.database, thread)
    assert row is not None
    attachment = Attachment("file", "application/octet-stream", bytes(size))
    replies.queue(station.vault, row, station.newsroom.now, language="th", text="x", state="", attachments=[attachment])


def test_what_no_server_surely_has_room_for_goes_in_several_bundles(small: Station) -> None:
    box = DropBox(small.newsroom)
    owe(small, box, 5)
    for thread in range(1, 6):
        answer_at_length(small, thread, 700_000)
    written, applied = small.send(box)
    assert len(written.bundles) == len(applied) > 1
    assert {each.cells for each in applied} <= {4, 8}
    assert [each.refused for each in applied] == [[]] * len(applied)
    for number in range(5):
        [received] = Source(small.newsroom, number).replies(box)
        assert received.attachments == [bytes(700_000)]
    assert small.fetch(box).delivered == 5
    assert outbox.unconfirmed(small.vault) == {"alpha": 0}


def test_a_reply_is_never_divided(small: Station) -> None:
    """Half of it would stand in the mailbox until the next bundle comes."""
    box = DropBox(small.newsroom)
    owe(small, box, 2)
    answer_at_length(small, 1, 4_000_000)
    written, _ = small.send(box)
    assert sorted(each.cells for each in written.bundles) == [4, 16]
    entries = [each for each in post.entries_after(small.vault.database, "alpha", 0) if each.letter.reply is not None]
    assert len({(each.batch, each.letter.reply) for each in entries}) == 2


def test_bundles_that_an_earlier_outbox_left_on_the_stick_go(small: Station) -> None:
    box = DropBox(small.newsroom)
    for _ in range(5):
        small.send()
    assert names(small) == ["desk-1-alpha", "desk-1-alpha.0002", "desk-1-alpha.0003"]
    assert [each.cells for each in box.deliver(small.stick())] == [8, 8, 4]
    small.fetch(box, name="other")
    (small.stick() / "mustshare/outbound/desk-1-alpha.0009").mkdir()
    (small.stick() / "mustshare/outbound/desk-1-beta.0002").write_bytes(b"another's")
    small.send()
    assert names(small) == ["desk-1-alpha", "desk-1-alpha.0009", "desk-1-beta.0002"]


def test_part_of_the_bundles_may_come_first(small: Station) -> None:
    box = DropBox(small.newsroom)
    for _ in range(4):
        small.send()
    last = small.stick() / "mustshare/outbound/desk-1-alpha.0002"
    kept = last.read_bytes()
    last.unlink()
    box.deliver(small.stick())
    small.fetch(box)
    assert list(outbox.unconfirmed(small.vault).values()) == [8]
    last.write_bytes(kept)
    box.deliver(small.stick())
    small.fetch(box)
    assert outbox.unconfirmed(small.vault) == {"alpha": 0}


def test_acknowledgements_are_divided_too(small: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "MAX_ACKNOWLEDGED", 2)
    monkeypatch.setattr(outbox, "MAX_ACKNOWLEDGEMENTS", 1)
    box = DropBox(small.newsroom)
    owe(small, box, 5)
    small.newsroom.pass_time(weeks=6)
    small.publish()
    written, applied = small.send(box)
    assert [each.acknowledged for each in written.bundles] == [2, 2, 1]
    assert all(each.cells for each in applied)
    assert len(set.union(*(each.acknowledged for each in applied))) == 5


def test_again_goes_to_the_servers_that_lack_something(tmp_path: Path) -> None:
    newsroom = Newsroom(servers=("alpha", "beta"))
    station = Station(newsroom, tmp_path)
    try:
        alpha = DropBox(newsroom, "alpha")
        station.send(alpha)
        station.fetch(alpha)
        written = outbox.write(station.vault, [Stick(station.stick("two"))], newsroom.now, again=True)
        assert [each.server for each in written.bundles] == ["beta"]
    finally:
        station.vault.close()


def test_every_cell_is_acknowledged_at_its_age_and_not_before(
    newsroom: Newsroom, station: Station, box: DropBox
) -> None:
    sent = box.send(Source(newsroom), "tip", desks=(1,))
    other = box.send(Source(newsroom, 1), "not for us", desks=(2,))
    station.fetch(box)
    first_seen = newsroom.now
    station.send(box)
    own = set(box.cells) - {*sent.all, *other.all}
    newsroom.pass_time(days=3)
    late = box.foreign()
    station.fetch(box)
    age = 6 * 7 * 86_400
    newsroom.now = first_seen + age - 1
    station.publish()
    _, [applied] = station.send(box)
    assert applied.acknowledged == set()
    newsroom.now = first_seen + age
    _, [applied] = station.send(box)
    assert applied.acknowledged == {*sent.all, *other.all}
    newsroom.now = first_seen + age + 3 * 86_400
    _, [applied] = station.send(box)
    assert applied.acknowledged == own | {late}
    assert box.acknowledged[late] == {1}
    # Once is enough.
    station.fetch(box)
    newsroom.pass_time(weeks=1)
    station.publish()
    _, [applied] = station.send(box)
    assert not applied.acknowledged & {*sent.all, *other.all, late}


def test_a_cell_that_never_came_here_is_not_acknowledged(newsroom: Newsroom, station: Station, box: DropBox) -> None:
    sent = box.send(Source(newsroom), "tip")
    box.fill(station.stick(), only=[])
    station.take(station.stick())
    newsroom.pass_time(weeks=7)
    station.publish()
    box.fill(station.stick(), only=[])
    station.take(station.stick())
    _, [applied] = station.send(box)
    assert sent.all[0] not in applied.acknowledged
    assert sent.all[0] in box.cells


def test_every_server_has_its_own_numbers_and_the_same_replies(tmp_path: Path) -> None:
    newsroom = Newsroom(servers=("alpha", "beta"))
    station, source = Station(newsroom, tmp_path), Source(newsroom)
    alpha, beta = DropBox(newsroom, "alpha"), DropBox(newsroom, "beta")
    alpha.send(source, "over alpha")
    station.fetch(alpha, beta)
    answer(station, "hello")
    station.send(alpha)
    station.fetch(alpha)
    answer(station, "again")
    _, applied = station.send(alpha, beta)
    assert [each.cells for each in applied] == [16, 32]
    for box in (alpha, beta):
        assert [each.reply.text for each in source.replies(box)] == ["hello", "again"]
    station.fetch(alpha, beta)
    assert outbox.unconfirmed(station.vault) == {"alpha": 0, "beta": 0}


def test_documents_go_first_and_of_each_only_the_newest(newsroom: Newsroom, station: Station, box: DropBox) -> None:
    epochs.begin(station.vault, newsroom.now)
    newest, _ = epochs.begin(station.vault, newsroom.now, 9)
    document = newsroom.succession()
    documents.send(station.vault, [document], newsroom.now)
    _, [applied] = station.send(box)
    assert [kind for kind, _ in applied.documents] == [EntryType.MANIFEST, EntryType.EPOCHS]
    assert applied.documents[1][1].statement == newest.raw
    assert station.vault.manifest.sequence == 2
    _, [applied] = station.send(box)
    assert applied.documents == []


def test_bulletins_are_signed_revised_and_withdrawn(newsroom: Newsroom, station: Station, box: DropBox) -> None:
    made, _, queued = documents.sign(station.vault, newsroom.post(), newsroom.now)
    assert queued
    _, [applied] = station.send(box)
    [(_, epoch_list), (kind, call)] = applied.documents
    assert (kind, applied.refused) == (EntryType.BULLETIN, [])
    assert epoch_list.statement.startswith(b"mustshare/v1/epochs")
    first = newsroom.admit_bulletin(call)
    documents.sign(station.vault, newsroom.post(withdrawn=True), newsroom.now, revises=made.id)
    _, [applied] = station.send(box)
    second = newsroom.admit_bulletin(applied.documents[0][1], first)
    assert (second.id, second.revision, second.post.withdrawn) == (made.id, 2, True)
    [posted] = documents.posted(station.vault)
    assert posted.bulletin.revision == 2
    with pytest.raises(NotForUs):
        documents.sign(station.vault, newsroom.post(), newsroom.now, revises=bytes(16))


def test_a_bulletin_that_needs_two_desks(tmp_path: Path) -> None:
    newsroom = Newsroom(desks=2, bulletin_signatures=2)
    one, two = Station(newsroom, tmp_path / "1"), Station(newsroom, tmp_path / "2", desk=2)
    _, document, queued = documents.sign(one.vault, newsroom.post(), newsroom.now)
    assert not queued
    with pytest.raises(NotAuthentic):
        documents.send(one.vault, [document], newsroom.now)
    with pytest.raises(Refused, match="this desk"):
        documents.countersign(one.vault, document, newsroom.now)
    admitted, both = documents.countersign(two.vault, document, newsroom.now)
    assert newsroom.admit_bulletin(both).raw == admitted.raw
    box = DropBox(newsroom)
    _, [applied] = two.send(box)
    assert EntryType.BULLETIN in [kind for kind, _ in applied.documents]
    assert documents.send(one.vault, [both], newsroom.now) == [f"bulletin {admitted.id.hex()}"]


def test_close_orders_are_sent_and_nonsense_is_not(newsroom: Newsroom, station: Station, box: DropBox) -> None:
    documents.send(station.vault, [newsroom.close_order()], newsroom.now)
    _, [applied] = station.send(box)
    assert applied.documents[0][0] == EntryType.CLOSE
    with pytest.raises(NotAuthentic):
        documents.send(station.vault, [newsroom.close_order(signed_by=seeded("x")(32))], newsroom.now)


def test_an_epoch_list_that_follows_what_a_server_shows(newsroom: Newsroom, station: Station, box: DropBox) -> None:
    """A restored vault doesn't know its newest list: the stick does."""
    document = newsroom.epochs(1, sequence=7)
    box.documents["epochs-1-7"] = document
    report = station.fetch(box)
    assert any("epoch list 7" in warning for warning in report.warnings)
    made, _ = epochs.begin(station.vault, newsroom.now)
    assert made.sequence == 8


def test_no_outbox_without_a_manifest_in_date_or_a_server(newsroom: Newsroom, station: Station) -> None:
    newsroom.now = newsroom.terms.valid_until
    with pytest.raises(Stale):
        station.send()
    newsroom.now -= 1
    station.vault.admit_manifests([newsroom.succession(servers=())], newsroom.now)
    with pytest.raises(Misconfigured, match="no server"):
        station.send()


def test_a_full_stick_loses_nothing(
    newsroom: Newsroom, station: Station, box: DropBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno
    import os

    real = os.fsync

    def full(descriptor: int) -> None:
        if "stick" in os.readlink(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    box.send(Source(newsroom), "tip")
    station.fetch(box)
    answer(station, "hello")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NoRoom, match="stick"):
        station.send()
    monkeypatch.undo()
    assert not list((station.stick() / "mustshare").rglob(".*"))
    _, [applied] = station.send(box)
    assert applied.refused == []
    assert [each.reply.text for each in Source(newsroom).replies(box)] == ["hello"]


def test_one_program_at_a_time(newsroom: Newsroom, station: Station) -> None:
    from journalist_station.vault.vault import Vault
    from tests.simulators.station import PASSPHRASE

    with (
        station.vault.exclusive(),
        Vault.open(station.folder / "vault", PASSPHRASE, station.randomness) as other,
        pytest.raises(Misconfigured, match="Another program"),
    ):
        outbox.write(other, [], newsroom.now)


def test_words_of_a_bulletin_are_checked(newsroom: Newsroom, station: Station) -> None:
    with pytest.raises(Exception, match="empty"):
        documents.sign(station.vault, newsroom.post(title=Text("", "")), newsroom.now)
    assert documents.posted(station.vault) == []
    assert bulletins.KINDS
