"""All that was sent arrives as it was, over any sticks in any order; what is damaged is counted."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection
from pathlib import Path

import pytest

from journalist_station.vault.database import tips as tip_rows
from journalist_station.vault.database.cells import Fate
from journalist_station.vault.stick import Stick
from keys import bundle, cell
from keys import tip as tips
from keys.bundle import CELL_BYTES
from keys.cell import Flags, Head, Kind, Sealer
from keys.errors import Malformed, NoRoom, NotAuthentic, NotForUs, Stale
from keys.inventory import CellId
from keys.tip import Mailbox
from tests.simulators import seen
from tests.simulators.dropbox import DropBox, File, Source
from tests.simulators.newsroom import Newsroom
from tests.simulators.seen import SeenFile
from tests.simulators.station import Station

THAI = "ผู้รับเหมารายเดียวได้งานทุกสัญญา จํานวนเงินสามสิบล้าน"
LARGE = bytes(range(256)) * 3_000
"""Four cells at six stanzas."""


def test_a_text_tip_arrives_as_it_was_written(station: Station, box: DropBox, source: Source) -> None:
    box.send(source, THAI)
    report = station.fetch(box)
    assert (report.messages, report.new_threads, report.held, report.problems) == (1, 1, 1, [])
    tip = seen.only(station.vault)
    assert (tip.text, tip.state, tip.files) == (THAI, "complete", ())


def test_files_arrive_with_the_same_bytes_and_names(station: Station, box: DropBox, source: Source) -> None:
    files = [
        File("สัญญาจ้าง ฉบับที่ ๑.pdf", LARGE, "application/pdf"),
        File("a.txt", b"one"),
        File("a.txt", b"two"),
        File("empty", b""),
        File("", b"nameless"),
        File("ก" * 85, b"255 bytes"),
        File("../../etc/passwd", b"root:x"),
        File(b"\xff\xfe not text", b"x"),
    ]
    box.send(source, THAI, files)
    report = station.fetch(box)
    assert report.files == len(files)
    tip = seen.only(station.vault)
    assert tip.state == "complete"
    assert tip.files == tuple(SeenFile(file.raw_name, file.content, "whole") for file in files)


@pytest.mark.parametrize("size", [-1, 0, 1])
def test_files_that_end_near_the_end_of_a_cell(station: Station, box: DropBox, source: Source, size: int) -> None:
    head = len(tips.file_head(b"f", File("f").type.encode()))
    content = os.urandom(2 * (box.geometry.payload_bytes - tips.PIECE_FRAME_BYTES) - head + size)
    sent = box.send(source, "", [File("f", content)])
    assert len(sent.cells[1]) == (3 if size > 0 else 2)
    station.fetch(box)
    assert seen.only(station.vault).files == (SeenFile(b"f", content, "whole"),)


def test_an_upload_that_broke_is_interrupted_and_keeps_what_came(
    station: Station, box: DropBox, source: Source
) -> None:
    box.send(source, THAI, [File("whole", b"w"), File("half", LARGE, stops_at=300_000)])
    station.fetch(box)
    tip = seen.only(station.vault)
    assert tip.state == "interrupted"
    assert tip.files == (SeenFile(b"whole", b"w", "whole"), SeenFile(b"half", LARGE[:300_000], "interrupted"))


def test_a_tip_without_closing_item_is_not_closed(station: Station, box: DropBox, source: Source) -> None:
    box.send(source, THAI, [File("f", b"f")], closed=False)
    box.send(Source(box.newsroom, 2), "no files either", closed=False)
    station.fetch(box)
    assert {tip.state for found in seen.everything(station.vault).values() for tip in found} == {"not-closed"}


@pytest.mark.parametrize("first", [[0], [1], [3], [0, 3], [1, 2], [0, 1, 2]])
def test_missing_cells_come_with_another_stick(
    station: Station, box: DropBox, source: Source, first: Collection[int]
) -> None:
    sent = box.send(source, THAI, [File("large", LARGE)])
    assert len(sent.cells[1]) == 4
    early = {sent.cells[1][number] for number in first}
    later = set(sent.all) - early
    box.fill(station.stick("one"), only=early | {sent.cells[0][0]})
    report = station.take(station.stick("one"))
    assert (report.files, report.waiting) == (0, 1)
    tip = seen.only(station.vault)
    assert tip.state == "missing" if report.waiting else "not-closed"
    assert tip.files == (SeenFile(b"large" if 0 in first else None, None, "missing"),)
    box.fill(station.stick("two"), only=later)
    station.reopen()
    report = station.take(station.stick("two"))
    assert (report.files, report.waiting, report.damaged) == (1, 0, 0)
    tip = seen.only(station.vault)
    assert (tip.state, tip.files) == ("complete", (SeenFile(b"large", LARGE, "whole"),))
    assert _files_on_disk(station) == tip_rows.all_files(station.vault.database)


def test_files_may_come_before_their_message(station: Station, box: DropBox, source: Source) -> None:
    sent = box.send(source, THAI, [File("large", LARGE)])
    box.fill(station.stick("one"), only=sent.cells[1])
    station.take(station.stick("one"))
    assert seen.everything(station.vault) == {}
    assert [each.tip for each in tip_rows.strays(station.vault.database)] == [sent.tip]
    box.fill(station.stick("two"), only=set(sent.all) - set(sent.cells[1]))
    station.take(station.stick("two"))
    tip = seen.only(station.vault)
    assert (tip.state, tip.files) == ("complete", (SeenFile(b"large", LARGE, "whole"),))


def test_an_item_of_which_nothing_came_is_missing(station: Station, box: DropBox, source: Source) -> None:
    sent = box.send(source, THAI, [File("one", b"1"), File("two", b"2")])
    box.fill(station.stick(), only=set(sent.all) - set(sent.cells[2]))
    station.take(station.stick())
    [[tip]] = seen.tips(station.vault).values()
    assert tip.state == "missing"
    assert [(entry.item, entry.size) for entry in tip.absent] == [(2, 1)]


def test_one_stick_twice_and_sticks_out_of_order(
    newsroom: Newsroom, station: Station, box: DropBox, source: Source
) -> None:
    first = box.send(source, "first", [File("large", LARGE)])
    one, two = station.stick("one"), station.stick("two")
    box.fill(one, only=first.all[::2])
    newsroom.pass_time(days=7)
    second = box.send(Source(newsroom, 1), "second")
    box.fill(two, only=[*first.all[1::2], *second.all])
    newer = station.take(two)
    assert newer.inventories == {"alpha": 2}
    older = station.take(one)
    # Its inventory is refused; its cells are as the newer inventory lists them, and complete the tip.
    assert [type(error) for _, error in older.problems] == [Stale]
    assert older.inventories == {}
    before = seen.everything(station.vault)
    assert before[source.keys.public][0].files == (SeenFile(b"large", LARGE, "whole"),)
    again = station.take(two, one)
    assert (again.cells, again.messages, again.files) == (0, 0, 0)
    assert seen.everything(station.vault) == before


def test_cells_from_two_sticks_at_once_and_from_two_servers(
    newsroom: Newsroom, station: Station, box: DropBox, source: Source
) -> None:
    sent = box.send(source, THAI, [File("large", LARGE)])
    box.fill(station.stick("one"), only=sent.all[::2])
    box.fill(station.stick("two"), only=sent.all[1:])
    station.take(station.stick("one"), station.stick("two"))
    assert seen.only(station.vault).files == (SeenFile(b"large", LARGE, "whole"),)


def test_two_servers_share_a_stick(tmp_path: Path) -> None:
    newsroom = Newsroom(servers=("alpha", "beta"))
    station = Station(newsroom, tmp_path)
    alpha, beta = DropBox(newsroom, "alpha"), DropBox(newsroom, "beta")
    alpha.send(Source(newsroom, 1), "over alpha")
    beta.send(Source(newsroom, 2), "over beta")
    report = station.fetch(alpha, beta)
    assert report.inventories == {"alpha": 1, "beta": 1}
    assert {tip.text for [tip] in seen.everything(station.vault).values()} == {"over alpha", "over beta"}


def test_cells_for_others_are_told_from_cells_for_us(
    newsroom: Newsroom, station: Station, box: DropBox, source: Source
) -> None:
    for_another = box.send(source, "not for desk 1", [File("f", LARGE)], desks=(2,))
    foreign = box.foreign()
    ours = box.send(source, "for both", desks=(1, 2))
    report = station.fetch(box)
    assert (report.held, report.foreign, report.damaged) == (1, len(for_another.all) + 1, 0)
    assert seen.only(station.vault).text == "for both"
    fates: dict[CellId, int] = {
        cell: fate for cell, _, fate in station.vault.database.rows("SELECT cell, digest, fate FROM cells")
    }
    assert fates == {
        **dict.fromkeys(for_another.all, Fate.FOREIGN),
        foreign: Fate.FOREIGN,
        ours.all[0]: Fate.HELD,
    }


def flipped(sealed: bytes, at: int) -> bytes:
    return sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]


@pytest.mark.parametrize("at", [0, 30, 9_000, 9_427, 9_428, 70_000, 140_000, CELL_BYTES - 1])
def test_a_damaged_cell_is_counted_and_may_come_again(station: Station, box: DropBox, source: Source, at: int) -> None:
    sent = box.send(source, THAI, [File("large", LARGE)])
    victim = sent.cells[1][1]
    box.fill(station.stick(), change=lambda each, sealed: flipped(sealed, at) if each == victim else sealed)
    report = station.take(station.stick())
    assert (report.damaged, report.foreign, report.waiting) == (1, 0, 1)
    assert victim not in box.known(station.stick())
    assert seen.only(station.vault).state == "missing"
    box.fill(station.stick())
    assert station.take(station.stick()).files == 1
    tip = seen.only(station.vault)
    assert (tip.state, tip.files) == ("complete", (SeenFile(b"large", LARGE, "whole"),))


def test_a_damaged_message_may_come_again(station: Station, box: DropBox, source: Source) -> None:
    box.send(source, THAI)
    box.fill(station.stick(), change=lambda _, sealed: flipped(sealed, CELL_BYTES - 1))
    assert station.take(station.stick()).damaged == 1
    assert seen.everything(station.vault) == {}
    box.fill(station.stick())
    station.take(station.stick())
    assert seen.only(station.vault).text == THAI


def test_a_good_copy_on_another_stick_stands_in_for_a_damaged_one(
    station: Station, box: DropBox, source: Source
) -> None:
    sent = box.send(source, THAI, [File("large", LARGE)])
    victim = sent.cells[1][2]
    box.fill(station.stick("a"), change=lambda each, sealed: flipped(sealed, 200_000) if each == victim else sealed)
    box.fill(station.stick("b"))
    report = station.take(station.stick("a"), station.stick("b"))
    assert report.files == 1
    assert seen.only(station.vault).files == (SeenFile(b"large", LARGE, "whole"),)


def test_a_cell_that_the_courier_exchanged_is_never_taken_for_somebody_elses(
    newsroom: Newsroom, station: Station, box: DropBox, source: Source
) -> None:
    sent = box.send(source, THAI)
    sealer = Sealer([], box.geometry, newsroom.randomness)
    swapped = cell.seal_block(sealer.seal(), cell.FILLER, box.geometry, b"", Flags.LAST)
    box.fill(station.stick(), change=lambda _, sealed: swapped)
    report = station.take(station.stick())
    assert (report.damaged, report.foreign, report.held) == (1, 0, 0)
    assert box.known(station.stick()) == frozenset()
    box.fill(station.stick())
    assert station.take(station.stick()).messages == 1
    assert box.known(station.stick()) == frozenset(sent.all)


def test_a_cell_that_no_inventory_lists_is_counted_and_not_kept(
    newsroom: Newsroom, station: Station, box: DropBox, source: Source
) -> None:
    other = DropBox(newsroom)
    planted = other.send(source, "planted")
    box.send(source, "listed")
    box.fill(station.stick())
    header = bundle.cells_header(newsroom.network, "alpha", 1)
    cells = header + planted.all[0] + other.cells[planted.all[0]]
    (box.folder(station.stick()) / "cells-1-77").write_bytes(cells)
    report = station.take(station.stick())
    assert (report.unlisted, report.messages) == (1, 1)
    assert seen.only(station.vault).text == "listed"


def test_a_part_that_was_cut_short_gives_its_whole_cells(station: Station, box: DropBox, source: Source) -> None:
    sent = box.send(source, THAI, [File("large", LARGE)])
    box.fill(station.stick())
    part = box.folder(station.stick()) / "cells-1-1"
    part.write_bytes(part.read_bytes()[: -CELL_BYTES // 2])
    report = station.take(station.stick())
    assert (report.cut_short, report.held) == (1, len(sent.all) - 1)
    assert box.known(station.stick()) == frozenset(sorted(sent.all)[:-1])


@pytest.mark.parametrize("workers", [1, 2])
def test_one_core_and_several_give_the_same(
    newsroom: Newsroom, tmp_path: Path, box: DropBox, station: Station, workers: int
) -> None:
    for number in range(40):
        files = [File(f"{number}", LARGE[: number * 9_000])] if number % 3 else []
        box.send(Source(newsroom, number), f"tip {number}", files, desks=(1 + number % 2,))
    box.fill(station.stick(), part_cells=17)
    report = station.take(station.stick(), workers=workers)
    assert report.messages == 20
    found = seen.everything(station.vault)
    texts = {tip.text: tip.files for [tip] in found.values()}
    assert texts == {
        f"tip {number}": (SeenFile(f"{number}".encode(), LARGE[: number * 9_000], "whole"),) if number % 3 else ()
        for number in range(0, 40, 2)
    }


def test_a_kept_week_opens_what_was_sealed_to_it_long_ago(
    newsroom: Newsroom, station: Station, box: DropBox, source: Source
) -> None:
    old = box.send(source, "sealed in the first week")
    newsroom.pass_time(weeks=5)
    station.publish()
    box.send(source, "sealed to the next list")
    newsroom.pass_time(weeks=3)
    report = station.fetch(box)
    assert report.messages == 2
    [tips_] = seen.everything(station.vault).values()
    assert [tip.text for tip in tips_] == ["sealed in the first week", "sealed to the next list"]
    assert old.all[0] in box.known(station.stick())


@pytest.mark.parametrize("who", ["stranger", "server of another network", "no signature at all"])
def test_a_forged_inventory_brings_nothing(
    newsroom: Newsroom, station: Station, box: DropBox, source: Source, who: str
) -> None:
    box.send(source, THAI)
    box.fill(station.stick())
    folder = box.folder(station.stick())
    if who == "stranger":
        raw, signature = box.inventory(signed_by=newsroom.randomness(32))
    elif who == "no signature at all":
        raw, signature = box.inventory()[0], b""
    else:
        raw, signature = DropBox(Newsroom("another")).inventory()
    (folder / "inventory").write_bytes(raw)
    (folder / "inventory.minisig").write_bytes(signature)
    report = station.take(station.stick())
    [(server, error)] = report.problems
    assert server == "alpha" and isinstance(error, NotAuthentic | NotForUs | Malformed)
    assert (report.cells, report.inventories) == (0, {})
    assert seen.everything(station.vault) == {}


def test_an_inventory_in_another_servers_folder_is_refused(tmp_path: Path) -> None:
    newsroom = Newsroom(servers=("alpha", "beta"))
    station, box = Station(newsroom, tmp_path), DropBox(newsroom, "alpha")
    box.send(Source(newsroom), THAI)
    box.fill(station.stick())
    box.folder(station.stick()).rename(station.stick() / "mustshare/inbound/beta")
    report = station.take(station.stick())
    assert len(report.problems) == 1 and report.messages == 0


def test_a_server_that_the_manifest_lost_is_not_believed(
    newsroom: Newsroom, station: Station, box: DropBox, source: Source
) -> None:
    box.send(source, THAI)
    newsroom.publish(servers=())
    report = station.fetch(box)
    assert report.manifest == 2
    assert [type(error) for _, error in report.problems] == [NotForUs]
    assert seen.everything(station.vault) == {}


def test_manifests_come_with_the_stick_and_only_signed_ones(
    newsroom: Newsroom, station: Station, box: DropBox, source: Source
) -> None:
    newsroom.publish(partners=())
    newsroom.publish(threshold=1)
    box.send(source, THAI)
    assert station.fetch(box).manifest == 3
    document = newsroom.succession(signed_by=[])
    box.fill(station.stick())
    box.write_document(box.folder(station.stick()), "manifest-4", document)
    report = station.take(station.stick())
    assert (report.manifest, station.vault.manifest.sequence) == (None, 3)
    assert [type(error) for _, error in report.problems] == [NotAuthentic]


def test_an_expired_manifest_admits_no_inventory(
    newsroom: Newsroom, station: Station, box: DropBox, source: Source
) -> None:
    box.send(source, THAI)
    box.fill(station.stick())
    newsroom.now = newsroom.terms.valid_until
    report = station.take(station.stick())
    assert [type(error) for _, error in report.problems] == [Stale]
    assert seen.everything(station.vault) == {}


def test_a_clock_behind_the_servers_is_told(newsroom: Newsroom, station: Station, box: DropBox) -> None:
    newsroom.pass_time(days=3)
    box.fill(station.stick())
    newsroom.pass_time(days=-3)
    assert any("clock" in warning for warning in station.take(station.stick()).warnings)


class TestForgedMessages:
    """A co-recipient desk knows everything that the source wrote, but not how it signs."""

    def refuse(self, station: Station, box: DropBox) -> None:
        report = station.fetch(box)
        assert (report.messages, report.refused) == (0, 1)
        assert seen.everything(station.vault) == {}

    def test_signed_by_somebody_else(self, newsroom: Newsroom, station: Station, box: DropBox, source: Source) -> None:
        item = tips.sign_message(_message(source), newsroom.network, newsroom.randomness(32), bytes(16))
        _seal(box, bytes(16), source.keys.public + item[32:])
        self.refuse(station, box)

    def test_changed(self, newsroom: Newsroom, station: Station, box: DropBox, source: Source) -> None:
        item = tips.sign_message(_message(source), newsroom.network, source.keys.signing_seed, bytes(16))
        _seal(box, bytes(16), item.replace(b"hello", b"hallo"))
        self.refuse(station, box)

    def test_of_another_tip(self, newsroom: Newsroom, station: Station, box: DropBox, source: Source) -> None:
        item = tips.sign_message(_message(source), newsroom.network, source.keys.signing_seed, bytes(16))
        _seal(box, b"\1" * 16, item)
        self.refuse(station, box)

    def test_of_another_network(self, newsroom: Newsroom, station: Station, box: DropBox, source: Source) -> None:
        item = tips.sign_message(_message(source), Newsroom("other").network, source.keys.signing_seed, bytes(16))
        _seal(box, bytes(16), item)
        self.refuse(station, box)

    def test_passed_on_by_another_desk(self, station: Station, box: DropBox, source: Source) -> None:
        box.send(source, THAI, desks=(2,), sealed_to=(1,))
        self.refuse(station, box)

    def test_without_end(self, newsroom: Newsroom, station: Station, box: DropBox, source: Source) -> None:
        item = tips.sign_message(_message(source), newsroom.network, source.keys.signing_seed, bytes(16))
        _seal(box, bytes(16), item.ljust(box.geometry.payload_bytes, b" "), Flags.NONE)
        self.refuse(station, box)

    def test_a_tips_id_taken_by_another_source_costs_the_first_nothing(
        self, newsroom: Newsroom, station: Station, box: DropBox, source: Source
    ) -> None:
        sent = box.send(source, "mine", [File("f", b"f")])
        thief = Source(newsroom, 7)
        box.send(thief, "not mine", tip_id=sent.tip)
        station.fetch(box)
        found = seen.everything(station.vault)
        assert [tip.text for tip in found[source.keys.public]] == ["mine"]
        assert [tip.text for tip in found[thief.keys.public]] == ["not mine"]
        assert found[source.keys.public][0].state == "complete"
        assert found[thief.keys.public][0].state == "complete"
        assert found[thief.keys.public][0].files == ()


def _message(source: Source) -> tips.Message:
    return tips.Message(week=1, language="en", text="hello", desks=(1,), refer="no", mailbox=source.mailbox)


def _seal(box: DropBox, tip: bytes, content: bytes, flags: Flags = Flags.LAST) -> CellId:
    seal = Sealer(box.recipients((1,)), box.geometry, box.newsroom.randomness).seal()
    return box.store(cell.seal_block(seal, Head(Kind.TIP, tip, 0, 0), box.geometry, content, flags))


@pytest.mark.parametrize(
    ("kind", "item", "number", "flags"),
    [
        (Kind.REPLY, 0, 0, Flags.LAST),
        (Kind.TIP, 0, 1, Flags.LAST),
        (Kind.TIP, tips.CLOSING_ITEM, 0, Flags.LAST),
        (Kind.TIP, tips.CLOSING_ITEM, 3, Flags.LAST),
    ],
)
def test_what_no_server_seals_is_refused_and_counted(
    newsroom: Newsroom, station: Station, box: DropBox, kind: Kind, item: int, number: int, flags: Flags
) -> None:
    seal = Sealer(box.recipients((1,)), box.geometry, newsroom.randomness).seal()
    box.store(cell.seal_block(seal, Head(kind, bytes(16), item, number), box.geometry, b"x" * 99, flags))
    report = station.fetch(box)
    assert (report.refused, report.messages) == (1, 0)


def test_two_last_cells_of_one_file(newsroom: Newsroom, station: Station, box: DropBox, source: Source) -> None:
    sent = box.send(source, THAI, [File("large", LARGE)])
    seal = Sealer(box.recipients((1,)), box.geometry, newsroom.randomness).seal()
    behind = box.store(cell.seal_block(seal, Head(Kind.TIP, sent.tip, 1, 9), box.geometry, b"x", Flags.LAST))
    box.fill(station.stick("one"), only=sent.all)
    station.take(station.stick("one"))
    box.fill(station.stick("two"), only=[behind])
    assert station.take(station.stick("two")).refused == 1
    assert seen.only(station.vault).files == (SeenFile(b"large", LARGE, "whole"),)


def test_referrals_are_counted_and_kept(newsroom: Newsroom, station: Station, box: DropBox) -> None:
    sealer = Sealer(box.recipients((1,)), box.geometry, newsroom.randomness)
    box.seal_item(sealer, b"\5" * 16, 0, b"x" * 300_000, kind=Kind.REFERRAL)
    report = station.fetch(box)
    assert (report.referrals, report.messages) == (2, 0)
    kept = station.vault.database.rows("SELECT name, secret, file FROM items JOIN runs ON runs.item = items.number")
    numbers = set()
    for head, secret, file in kept:
        with station.vault.files.read(file, secret) as pieces:
            data = b"".join(pieces)
        assert data.startswith(head)
        numbers.add(int.from_bytes(head[28:32], "big"))
    assert numbers == {0, 1}
    assert station.fetch(box).cells == 0


def test_own_replies_and_fillers_come_back_as_such(station: Station, box: DropBox, source: Source) -> None:
    box.send(source, THAI)
    station.fetch(box)
    _, [applied] = station.send(box)
    assert applied.cells == 16
    report = station.fetch(box)
    assert (report.cells, report.foreign) == (0, 0)
    assert seen.fates(station.vault) == {Fate.HELD: 1, Fate.OWN: 16}
    assert box.known(station.stick()) == frozenset(box.cells)


def test_a_mailbox_that_changes_is_shown_and_not_followed(
    newsroom: Newsroom, station: Station, box: DropBox, source: Source
) -> None:
    box.send(source, "no answer please", with_mailbox=False)
    box.send(source, "yes, answer", with_mailbox=True)
    box.send(source, "elsewhere", with_mailbox=Source(newsroom, 9).mailbox)
    box.send(source, "same again")
    for sent in list(box.cells):
        box.fill(station.stick(), only=[sent])
        station.take(station.stick())
    [thread] = tip_rows.threads(station.vault.database)
    [tips_] = seen.tips(station.vault).values()
    differing = {tip.message.text: tip.row.other_mailbox for tip in tips_}
    assert differing == {"no answer please": False, "yes, answer": False, "elsewhere": True, "same again": False}
    assert thread.root == source.keys.root


def test_a_mailbox_that_is_none_fixes_nothing(station: Station, box: DropBox, source: Source) -> None:
    box.send(source, "broken", with_mailbox=Mailbox(bytes(32), "age1pq1nonsense"))
    station.fetch(box)
    [thread] = tip_rows.threads(station.vault.database)
    assert thread.root is None
    box.send(source, "mended")
    station.fetch(box)
    [thread] = tip_rows.threads(station.vault.database)
    assert thread.root == source.keys.root


def test_the_stick_tells_which_cells_need_not_come_again(station: Station, box: DropBox, source: Source) -> None:
    sent = box.send(source, THAI, [File("large", LARGE)])
    foreign = box.foreign()
    station.fetch(box)
    assert box.known(station.stick()) == frozenset([*sent.all, foreign])
    more = box.send(source, "more")
    box.fill(station.stick())
    parts = sorted(path.name for path in box.folder(station.stick()).glob("cells-2-*"))
    assert parts == ["cells-2-1"]
    assert station.take(station.stick()).cells == len(more.all)


def test_the_stick_tells_how_far_it_was_read(station: Station, box: DropBox, source: Source) -> None:
    def read() -> dict[str, int] | None:
        known = Stick(station.stick()).known(1, station.newsroom.network)
        return None if known is None else dict(known.inventories)

    assert read() is None
    station.take(station.stick())
    assert read() == {}
    box.send(source, THAI)
    station.fetch(box)
    assert read() == {"alpha": 1}
    station.send(box)
    assert read() == {"alpha": 1}  # Nothing was read in the meantime.
    box.fill(station.stick("other"))
    station.take(station.stick("other"))
    assert read() == {"alpha": 1}
    station.take(station.stick())
    assert read() == {"alpha": 2}


def test_words_are_found_in_messages_and_file_names(station: Station, box: DropBox, source: Source) -> None:
    box.send(source, THAI, [File("ใบเสร็จ.pdf", b"x")])
    box.send(Source(box.newsroom, 3), "An English tip")
    station.fetch(box)
    database = station.vault.database
    by_source = {thread.source: thread.number for thread in tip_rows.threads(database)}
    thai, english = by_source[source.keys.public], by_source[Source(box.newsroom, 3).keys.public]
    # จำนวน is found though it was written จํานวน.
    for query, found in {
        "จำนวน": [thai],
        "เสร็จ": [thai],
        "ได้": [thai],
        "งา": [thai],
        "english": [english],
        "zebra": [],
        '"': [],
        "%": [],
        "": [thai, english],
    }.items():
        assert tip_rows.search(database, query) == sorted(found), query


def test_a_full_disk_loses_nothing(
    station: Station, box: DropBox, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.send(source, THAI, [File("small", b"s"), File("large", LARGE)])
    box.fill(station.stick())
    written = 0
    real = os.fsync

    def full(descriptor: int) -> None:
        nonlocal written
        if "/items/" in os.readlink(f"/proc/self/fd/{descriptor}"):
            written += 1
            if written > 1:
                raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NoRoom):
        station.take(station.stick())
    monkeypatch.undo()
    assert seen.only(station.vault).text == THAI
    station.take(station.stick())
    assert [file.content for file in seen.only(station.vault).files] == [b"s", LARGE]
    assert _files_on_disk(station) == tip_rows.all_files(station.vault.database)


def _files_on_disk(station: Station) -> frozenset[str]:
    return frozenset(path.name for path in (station.folder / "vault/items").rglob("*") if path.is_file())
