"""One stick, back and forth: the server's cells to a station, a damaged one again, and the answer to the server."""

from __future__ import annotations

from pathlib import Path

from journalist_station.vault import importing, outbox, replies
from journalist_station.vault.database import tips as rows
from journalist_station.vault.importing import Report
from journalist_station.vault.stick import Stick
from keys.bundle import CELL_BYTES
from tests.journalist_station.courier.trip import Trip, inbound, outbound, parts
from tests.simulators import seen
from tests.simulators.dropbox import DropBox, File, Source
from tests.simulators.newsroom import Newsroom
from tests.simulators.office import Office, serving
from tests.simulators.station import Station


def carry(trip: Trip, socket: Path, stick: Path) -> int:
    """Make a trip, and return how many cells it brought."""
    with trip.entered(stick) as entered:
        courier = trip.courier(socket)
        courier.sync([entered])
    return courier.errand.fetched[str(stick)]


def take(station: Station, stick: Path) -> Report:
    return importing.import_sticks(station.vault, [Stick(stick)], station.newsroom.now, workers=1)


def damage(part: Path) -> None:
    """Change a byte in the last cell of a part, as a worn stick does."""
    raw = bytearray(part.read_bytes())
    raw[-CELL_BYTES // 2] ^= 1
    part.write_bytes(raw)


def test_a_tip_comes_in_and_an_answer_goes_out(tmp_path: Path) -> None:
    newsroom = Newsroom(desks=1)
    station = Station(newsroom, tmp_path)
    seals = DropBox(newsroom)
    source = Source(newsroom)
    seals.send(source, "ต้องแฉ", [File("สัญญา.pdf", b"%PDF")])
    office = Office(tmp_path, newsroom, with_epochs=False)
    office.keep(seals.cells)
    trip, stick = Trip(tmp_path, newsroom), station.stick()
    try:
        with serving(office.app, tmp_path / "s") as socket:
            assert carry(trip, socket, stick) == 3
            (part,) = parts(stick)
            damage(part)
            assert take(station, stick).damaged == 1

            assert carry(trip, socket, stick) == 1, "what came damaged comes again"
            assert [path.name for path in parts(stick)] == ["cells-2-1"]
            assert take(station, stick).damaged == 0
            assert seen.only(station.vault).state == "complete"
            assert carry(trip, socket, stick) == 0

            (thread,) = rows.threads(station.vault.database)
            replies.queue(station.vault, thread, newsroom.now, language="th", text="ขอบคุณ", state="checking")
            outbox.write(station.vault, [Stick(stick)], newsroom.now)
            assert len(list(outbound(stick).iterdir())) == 1
            carry(trip, socket, stick)
            assert list(outbound(stick).iterdir()) == []
            assert take(station, stick).delivered == 1
        for cell_id, _ in office.store.entries():
            seals.cells[cell_id] = office.store.read(cell_id)
        (received,) = source.replies(seals)
        assert received.reply.text == "ขอบคุณ"
        assert (inbound(stick) / "inventory").exists()
    finally:
        office.close()
        station.vault.close()
