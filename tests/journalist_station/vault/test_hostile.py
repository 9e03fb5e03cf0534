"""A desk among the recipients that turns on another one, and a server that lies about another one's cells.

The desk has opened the tip: it knows the source's public key, the tip's id, every number and every byte of it, and can
bring cells of its own into the box. The other desk must take what the source sent, whatever comes when.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from journalist_station.vault import export, threads
from journalist_station.vault.database import cells as rows
from journalist_station.vault.database import tips as tip_rows
from journalist_station.vault.database.cells import Fate
from keys import bundle, cell
from keys import tip as tips
from keys.cell import Flags, Head, Kind, Sealer
from keys.inventory import CellId
from keys.primitives import ed25519_public, sha256
from tests.simulators import seen
from tests.simulators.dropbox import DropBox, File, Sent, Source
from tests.simulators.newsroom import Newsroom
from tests.simulators.seen import SeenFile, SeenTip
from tests.simulators.station import Station

TEXT = "ผู้ว่าฯ รับเงินจากผู้รับเหมา"
LARGE = bytes(range(256)) * 2_400
"""Three cells at six stanzas."""
FILES = [File("สัญญา.pdf", LARGE), File("small", b"a few words")]
WHOLE = SeenTip(
    TEXT, "complete", (SeenFile("สัญญา.pdf".encode(), LARGE, "whole"), SeenFile(b"small", b"a few words", "whole"))
)


@dataclass
class Betrayer:
    """The other desk: it opened a tip, and brings rivals into the box, sealed to desk 1."""

    box: DropBox
    source: Source
    sent: Sent

    def __post_init__(self) -> None:
        self.seed = self.box.newsroom.randomness(32)
        self.sealer = Sealer(self.box.recipients((1,)), self.box.geometry, self.box.newsroom.randomness)

    def put(self, item: int, number: int, payload: bytes, flags: Flags) -> CellId:
        head = Head(Kind.TIP, self.sent.tip, item, number)
        return self.box.store(cell.seal_block(self.sealer.seal(), head, self.box.geometry, payload, flags))

    def piece(self, number: int, *, last: bool = False) -> bytes:
        """Return content that fills a cell as the source's does, or is shorter as a last one's is."""
        head = tips.file_head(b"forged", b"") if number == 0 else b""
        return (head + b"forged " * 40_000)[: 1_000 if last else self.full]

    @property
    def full(self) -> int:
        return self.box.geometry.payload_bytes - tips.PIECE_FRAME_BYTES

    def genuine(self, item: int, number: int) -> bytes:
        """Return the payload of one of the source's own cells, opened with desk 2's key."""
        identity = self.box.newsroom.chain(2).identity(self.box.newsroom.week)
        return cell.open_cell(self.box.cells[self.sent.cells[item][number]], [identity], self.box.geometry).payload


def forged(desk: Betrayer, item: int, number: int, last: bool) -> CellId:
    """The source's key, and a signature by the desk's own."""
    piece, flags = desk.piece(number, last=last), Flags.LAST if last else Flags.NONE
    signer = tips.PieceSigner(desk.box.newsroom.network, desk.sent.tip, item, desk.seed)
    return desk.put(item, number, desk.source.keys.public + piece + signer.tail(number, flags, sha256(piece)), flags)


def own_name(desk: Betrayer, item: int, number: int, last: bool) -> CellId:
    """Signed well, by another key than the source's."""
    piece, flags = desk.piece(number, last=last), Flags.LAST if last else Flags.NONE
    signer = tips.PieceSigner(desk.box.newsroom.network, desk.sent.tip, item, desk.seed)
    return desk.put(item, number, signer.head + piece + signer.tail(number, flags, sha256(piece)), flags)


def moved(desk: Betrayer, item: int, number: int, last: bool) -> CellId:
    """A piece that the source did sign, in another place."""
    payload = desk.genuine(2, 0) if last else desk.genuine(1, 1 if number == 0 else 0)
    return desk.put(item, number, payload, Flags.LAST if last else Flags.NONE)


def cut_off(desk: Betrayer, item: int, number: int, last: bool) -> CellId:
    """The source's own first piece, as though the file ended, or went on, after it."""
    return desk.put(item, number, desk.genuine(1, 0), Flags.LAST | Flags.INTERRUPTED if last else Flags.LAST)


def unsigned(desk: Betrayer, item: int, number: int, last: bool) -> CellId:
    """No signature at all, nor room for one."""
    return desk.put(item, number, b"x", Flags.LAST)


Rival = Callable[[Betrayer, int, int, bool], CellId]
RIVALS: Sequence[Rival] = (forged, own_name, moved, cut_off, unsigned)
TRIES = {
    "for the first cell": [(1, 0, False)],
    "for the last cell": [(1, 2, True)],
    "shorter": [(1, 1, True)],
    "longer": [(1, 3, False), (1, 4, True)],
    "very much longer": [(1, 2**32 - 1, True)],
    "for every cell": [(1, 0, False), (1, 1, False), (1, 2, True)],
    "in a file of one cell": [(2, 0, True)],
    "a file that there isn't": [(9, 0, True)],
}
ORDERS = ("before", "with", "after")


def bring(station: Station, box: DropBox, *trips: Sequence[CellId]) -> None:
    """Carry cells to the station, trip by trip."""
    for number, trip in enumerate(trips):
        stick = station.stick(f"trip {number}")
        box.fill(stick, only=trip)
        station.take(stick)


def in_order(order: str, rivals: list[CellId], genuine: list[CellId]) -> list[list[CellId]]:
    return {"before": [rivals, genuine], "with": [rivals + genuine], "after": [genuine, rivals]}[order]


def fates(station: Station) -> dict[CellId, int]:
    return {cell_: fate for cell_, _, fate in station.vault.database.rows("SELECT cell, digest, fate FROM cells")}


def the_sources(station: Station, source: Source) -> SeenTip:
    [tip] = seen.everything(station.vault)[source.keys.public]
    return tip


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("places", TRIES.values(), ids=TRIES)
@pytest.mark.parametrize("rival", [forged, own_name])
def test_rivals_cost_the_source_nothing(
    station: Station, box: DropBox, source: Source, rival: Rival, places: list[tuple[int, int, bool]], order: str
) -> None:
    sent = box.send(source, TEXT, FILES, desks=(1, 2))
    desk = Betrayer(box, source, sent)
    rivals = [rival(desk, *place) for place in places]
    bring(station, box, *in_order(order, rivals, sent.all))

    assert the_sources(station, source) == WHOLE
    settled = fates(station)
    assert {settled[each] for each in sent.all} == {Fate.HELD}
    assert set(settled) == {*sent.all, *rivals}, "nothing is asked for again and again"
    [[tip]] = seen.tips(station.vault).values()
    if rival is forged:
        assert {settled[each] for each in rivals} == {Fate.REFUSED}
        assert (tip.standing.forged, tip.standing.strangers) == (len(rivals), 0)
    else:
        assert (tip.standing.forged, tip.standing.strangers) == (0, 1)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("rival", [moved, cut_off, unsigned])
def test_what_the_source_signed_serves_nowhere_else(
    station: Station, box: DropBox, source: Source, rival: Rival, order: str
) -> None:
    sent = box.send(source, TEXT, FILES, desks=(1, 2))
    desk = Betrayer(box, source, sent)
    rivals = [rival(desk, 1, 0, False), rival(desk, 1, 2, True), rival(desk, 2, 0, False)]
    bring(station, box, *in_order(order, rivals, sent.all))

    assert the_sources(station, source) == WHOLE
    settled = fates(station)
    assert {settled[each] for each in rivals} == {Fate.REFUSED}
    assert {settled[each] for each in sent.all} == {Fate.HELD}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("rival", RIVALS)
def test_without_a_closing_item_too(station: Station, box: DropBox, source: Source, rival: Rival, order: str) -> None:
    sent = box.send(source, TEXT, FILES, desks=(1, 2), closed=False)
    desk = Betrayer(box, source, sent)
    rivals = [rival(desk, 1, 0, False), rival(desk, 1, 1, True), rival(desk, 1, 7, False)]
    bring(station, box, *in_order(order, rivals, sent.all))

    assert the_sources(station, source) == SeenTip(TEXT, "not-closed", WHOLE.files)


@pytest.mark.parametrize("rival", RIVALS)
def test_a_missing_cell_is_waited_for_and_nothing_takes_its_place(
    station: Station, box: DropBox, source: Source, rival: Rival
) -> None:
    sent = box.send(source, TEXT, FILES, desks=(1, 2))
    missing = sent.cells[1][1]
    rivals = [rival(Betrayer(box, source, sent), 1, 1, False) for _ in range(3)]
    bring(station, box, [each for each in (*sent.all, *rivals) if each != missing])
    tip = the_sources(station, source)
    assert (tip.state, tip.files[0].content, tip.files[0].state) == ("missing", None, "missing")
    bring(station, box, [], [missing])
    assert the_sources(station, source) == WHOLE


def test_a_message_that_is_sealed_once_more_without_its_flag_is_closed_all_the_same(
    station: Station, box: DropBox, source: Source
) -> None:
    sent = box.send(source, TEXT, desks=(1, 2))
    again = Betrayer(box, source, sent)
    copy = again.put(0, 0, again.genuine(0, 0), Flags.LAST)
    bring(station, box, [copy])
    assert the_sources(station, source).state == "not-closed"
    bring(station, box, [], sent.all)
    assert the_sources(station, source) == SeenTip(TEXT, "complete", ())


@pytest.mark.parametrize("first", ["thief", "source"])
def test_a_desk_that_takes_the_tips_id_in_its_own_name_shows_apart(
    station: Station, box: DropBox, source: Source, first: str
) -> None:
    sent = box.send(source, TEXT, FILES, desks=(1, 2))
    thief = Source(box.newsroom, 7)
    theirs = box.send(thief, "not the source", [File("สัญญา.pdf", b"another contract")], tip_id=sent.tip)
    bring(station, box, *([theirs.all, sent.all] if first == "thief" else [sent.all, theirs.all]))
    found = seen.everything(station.vault)
    assert found[source.keys.public] == [WHOLE]
    assert [file.content for file in found[thief.keys.public][0].files] == [b"another contract"]


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_in_any_order_over_any_number_of_sticks(data: st.DataObject) -> None:
    newsroom = Newsroom(desks=2)
    with tempfile.TemporaryDirectory() as folder:
        station, box, source = Station(newsroom, Path(folder)), DropBox(newsroom), Source(newsroom)
        sent = box.send(source, TEXT, FILES, desks=(1, 2), closed=(closed := data.draw(st.booleans())))
        desk = Betrayer(box, source, sent)
        places = st.tuples(st.sampled_from(RIVALS), st.integers(1, 3), st.integers(0, 4), st.booleans())
        rivals = [
            rival(desk, item, number, last) for rival, item, number, last in data.draw(st.lists(places, max_size=8))
        ]
        order = data.draw(st.permutations([*sent.all, *rivals]))
        cuts = sorted(data.draw(st.lists(st.integers(0, len(order)), max_size=3)))
        trips = [order[start:end] for start, end in zip([0, *cuts], [*cuts, len(order)], strict=True)]
        bring(station, box, *trips)

        expected = SeenTip(TEXT, "complete" if closed else "not-closed", WHOLE.files)
        assert the_sources(station, source) == expected
        settled = fates(station)
        assert {settled[each] for each in sent.all} == {Fate.HELD}
        assert set(settled) == {*sent.all, *rivals}
        station.vault.close()


def test_an_export_says_whose_each_file_is_and_why(
    station: Station, box: DropBox, source: Source, tmp_path: Path
) -> None:
    sent = box.send(source, TEXT, FILES, desks=(1, 2))
    desk = Betrayer(box, source, sent)
    bring(station, box, [forged(desk, 1, 0, False), own_name(desk, 2, 0, True)], sent.all)
    (tmp_path / "out").mkdir()
    [thread] = tip_rows.threads(station.vault.database)
    folder = export.export_thread(station.vault, thread, tmp_path / "out", 0).folder
    names = json.loads((folder / "1/names.json").read_bytes())
    assert [file["listed"] for file in names["files"]] == ["same", "same"]
    assert names["signed_by"] == source.keys.public.hex()
    assert (names["forged_cells_refused"], names["files_of_strangers"]) == (1, 1)
    assert (folder / "1/files/small").read_bytes() == b"a few words"
    apart = export.export_tip_without_message(station.vault, sent.tip, tmp_path / "out", 0).folder
    names = json.loads((apart / "1/names.json").read_bytes())
    assert names["signed_by"] == ed25519_public(desk.seed).hex()
    assert "isn't that source" in names["note"]


def test_whoever_has_the_sources_key_is_told_from_its_first_list(
    station: Station, box: DropBox, source: Source
) -> None:
    sent = box.send(source, TEXT, FILES, desks=(1, 2))
    desk = Betrayer(box, source, sent)
    desk.seed = source.keys.signing_seed
    bring(station, box, [own_name(desk, 2, 0, True), own_name(desk, 9, 0, True)], sent.all)
    [[tip]] = seen.tips(station.vault).values()
    assert tip.state == "differs"
    assert [file.listed for file in tip.files] == [threads.Listed.SAME, threads.Listed.DIFFERS, threads.Listed.NOT]


class TestTwoServersOneOfWhichLies:
    """Alpha was seized. It lists what beta holds, over bytes of its own."""

    @pytest.fixture
    def boxes(self, tmp_path: Path) -> tuple[Station, DropBox, DropBox]:
        newsroom = Newsroom(desks=2, servers=("alpha", "beta"))
        station = Station(newsroom, tmp_path)
        return station, DropBox(newsroom, "alpha"), DropBox(newsroom, "beta")

    @pytest.mark.parametrize("first", ["alpha", "beta", "both"])
    @pytest.mark.parametrize("lie", ["foreign", "refused", "damaged"])
    def test_the_others_cells_are_read_and_kept(
        self, boxes: tuple[Station, DropBox, DropBox], lie: str, first: str
    ) -> None:
        station, alpha, beta = boxes
        source = Source(beta.newsroom)
        sent = beta.send(source, TEXT, FILES, desks=(1, 2))
        desk = Betrayer(alpha, source, sent)
        for each in sent.all:
            if lie == "foreign":
                alpha.cells[each] = alpha.cells.pop(alpha.foreign())
            elif lie == "refused":
                alpha.cells[each] = alpha.cells.pop(unsigned(desk, 1, 0, True))
            else:
                honest = beta.cells[each]
                alpha.cells[each] = honest[:-1] + bytes([honest[-1] ^ 1])
        for trip in {"alpha": [[alpha], [beta]], "beta": [[beta], [alpha]], "both": [[alpha, beta]]}[first]:
            station.fetch(*trip)
        # A courier that was told of alpha's cells alone didn't fetch beta's of the same ids: the next trip brings them.
        station.fetch(alpha, beta)
        assert the_sources(station, source) == WHOLE

    def test_nothing_is_known_while_a_cell_of_that_id_is_unread(self, boxes: tuple[Station, DropBox, DropBox]) -> None:
        station, alpha, beta = boxes
        sent = beta.send(Source(beta.newsroom), TEXT)
        [each] = sent.all
        alpha.cells[each] = alpha.cells.pop(alpha.foreign())
        stick = station.stick()
        alpha.fill(stick)
        beta.fill(stick, only=[])
        station.take(stick)
        assert fates(station) == {each: Fate.FOREIGN}
        assert bundle.parse_known((stick / "mustshare/known-1").read_bytes(), alpha.newsroom.network).ids == frozenset()
        far = station.newsroom.now + 1
        assert rows.due(station.vault.database, "alpha", far) == [each]
        assert rows.due(station.vault.database, "beta", far) == [], "what alpha lists says nothing of beta's cell"
        beta.fill(stick)
        station.take(stick)
        assert rows.due(station.vault.database, "beta", far) == [each]
        assert rows.settled(station.vault.database) == [each]

    def test_a_reply_of_this_desk_is_not_what_a_server_puts_under_its_address(
        self, boxes: tuple[Station, DropBox, DropBox]
    ) -> None:
        station, alpha, beta = boxes
        source = Source(beta.newsroom)
        beta.send(source, TEXT)
        station.fetch(alpha, beta)
        station.send(alpha, beta)
        own = next(iter(alpha.cells))
        alpha.cells[own] = alpha.cells.pop(alpha.foreign())
        report = station.fetch(alpha, beta)
        assert report.foreign == 1
