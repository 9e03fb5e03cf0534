"""The command, run as a courier runs it: what it fetches, delivers, wipes, and how it goes on after a cut."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from pathlib import Path

import pytest

from dropbox.collect.app import create_app
from dropbox.collect.logins import Logins
from journalist_station.courier.stick import StickAhead, StickFull
from journalist_station.courier.wire import Cut
from keys import bundle, inventory, minisign
from keys.bundle import CELL_BYTES
from keys.cell import seal_digest
from keys.errors import Malformed, NotAuthentic, NotForUs, Refused, Stale
from keys.inventory import CellId
from keys.minisign import SignedDocument
from tests.dropbox.serving.visitors import wait_until
from tests.journalist_station.courier.trip import (
    PASSPHRASE,
    Trip,
    carried,
    environment,
    inbound,
    outbound,
    parts,
    stored,
    write_known,
)
from tests.simulators.newsroom import seeded
from tests.simulators.office import SERVER, Office, acknowledging, reply_cell, serving
from tests.simulators.wires import Recorder, cutting


def test_a_first_trip_brings_everything(office: Office, trip: Trip, socket: Path) -> None:
    ids = office.fill(5)
    stick = trip.stick()

    ended = trip.run(socket, stick)

    assert (ended.code, ended.said) == (0, "")
    assert ended.facts == {
        "delivered": 0,
        "wiped": 0,
        "fetched": {str(stick): 5},
        "gone": 0,
        "listed": 5,
        "inventory": 1,
        "troubles": [],
    }
    assert carried(office, stick) == stored(office, ids)
    names = {path.name for path in inbound(stick).iterdir()}
    assert names == {
        "inventory",
        "inventory.minisig",
        "cells-1-1",
        "manifest-1",
        "manifest-1.minisig",
        "manifest-1.1.minisig",
        "epochs-1-1",
        "epochs-1-1.minisig",
        "epochs-2-1",
        "epochs-2-1.minisig",
    }
    raw, signature = (inbound(stick) / "inventory").read_bytes(), (inbound(stick) / "inventory.minisig").read_bytes()
    keys = {party.name: party.key for party in office.newsroom.manifest.servers}
    assert list(inventory.admit(raw, signature, office.newsroom.network, keys, {}).digests) == ids


def test_a_second_trip_brings_what_is_new(office: Office, trip: Trip, socket: Path, recorder: Recorder) -> None:
    ids = office.fill(2)
    stick = trip.stick()
    trip.run(socket, stick)
    assert trip.run(socket, stick).facts["fetched"] == {str(stick): 0}
    assert len(recorder.cells) == 1

    more = office.fill(2, "more")
    assert trip.run(socket, stick).facts["fetched"] == {str(stick): 2}
    assert sorted(recorder.asked) == sorted(ids + more), "no cell twice"
    assert carried(office, stick) == stored(office, ids + more)


@pytest.mark.parametrize("seed", range(3))
def test_a_connection_that_breaks_is_mended_from_the_very_byte(
    office: Office, trip: Trip, socket: Path, recorder: Recorder, seed: int
) -> None:
    ids = office.fill(4)
    stick = trip.stick()
    chance = random.Random(seed)
    # The challenge, the session, the inventory and the documents are small; then come the cells.
    breaks = [None] * 4 + [chance.randrange(1_000, 500_000) for _ in range(6)]

    with cutting(socket, breaks) as cut:
        ended = trip.run(cut.path, stick)

    assert ended.code == 0, ended.said
    assert carried(office, stick) == stored(office, ids)
    assert len(recorder.cells) > 1
    assert any(offset for offset, _ in recorder.cells)
    for (_, before), (_, after) in zip(recorder.cells, recorder.cells[1:], strict=False):
        assert after == before[-len(after) :], "a cell that is whole isn't asked for again"


@pytest.mark.parametrize("number", range(4), ids=["challenge", "session", "inventory", "documents"])
@pytest.mark.parametrize("after", [0, 30, 170])
def test_a_break_anywhere_else_is_mended_too(
    office: Office, trip: Trip, socket: Path, tmp_path: Path, number: int, after: int
) -> None:
    office.fill(1)

    with cutting(socket, [None] * number + [after]) as cut, trip.entered(trip.stick()) as stick:
        courier = trip.courier(cut.path)
        courier.sync([stick])

    assert courier.errand.fetched == {str(stick.folder): 1}


def test_what_came_before_a_break_stays_and_the_next_run_goes_on(
    office: Office, trip: Trip, socket: Path, recorder: Recorder
) -> None:
    ids = office.fill(4)
    stick = trip.stick()

    with cutting(socket, [None] * 4 + [2 * CELL_BYTES + 50_000] + [0] * 40) as cut, trip.entered(stick) as entered:
        courier = trip.courier(cut.path)
        with pytest.raises(Cut):
            courier.sync([entered])
    assert courier.errand.fetched == {str(stick): 2}
    assert list(carried(office, stick)) == ids[:2]

    assert trip.run(socket, stick).facts["fetched"] == {str(stick): 2}
    # The service may yet be answering what the first run asked for when its connection was cut.
    assert [each for each in recorder.cells if not each[0]] == [(0, ids), (0, ids[2:])]
    assert carried(office, stick) == stored(office, ids)


def test_when_nothing_answers_it_says_so(office: Office, trip: Trip, tmp_path: Path) -> None:
    with trip.entered(trip.stick()) as stick, pytest.raises(Cut):
        trip.courier(tmp_path / "nothing").sync([stick])


def test_a_kill_leaves_whole_cells_which_the_next_run_keeps(
    office: Office, trip: Trip, socket: Path, recorder: Recorder
) -> None:
    ids = office.fill(4)
    stick = trip.stick()

    with (
        cutting(socket, [None] * 4 + [2 * CELL_BYTES + 50_000], hold=True) as cut,
        subprocess.Popen(
            trip.command(cut.path, stick), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment()
        ) as process,
    ):
        assert process.stdin is not None
        process.stdin.write(f"{PASSPHRASE}\n".encode())
        process.stdin.close()
        assert cut.reached.wait(60)
        unfinished = inbound(stick) / ".cells-1-1"
        wait_until(lambda: unfinished.exists() and unfinished.stat().st_size > 2 * CELL_BYTES, "two cells are there")
        process.send_signal(signal.SIGKILL)
    assert parts(stick) == []
    with unfinished.open("ab") as part:
        part.write(b"half a cell")

    recorder.cells.clear()
    ended = trip.run(socket, stick)

    assert ended.facts["fetched"] == {str(stick): 2}
    assert recorder.cells == [(0, ids[2:])]
    assert carried(office, stick) == stored(office, ids)
    assert [path.name for path in parts(stick)] == ["cells-1-1", "cells-2-1"]
    assert not list(inbound(stick).glob(".*"))


def test_a_bundle_is_delivered_and_wiped_when_the_inventory_confirms_it(
    office: Office, trip: Trip, socket: Path
) -> None:
    stick = trip.stick()
    raw = office.bundle(1, [reply_cell("a")])
    place = outbound(stick) / "desk-1-alpha"
    place.write_bytes(raw)
    os.link(place, trip.folder / "the same blocks")

    ended = trip.run(socket, stick)

    assert (ended.facts["delivered"], ended.facts["wiped"], ended.facts["troubles"]) == (1, 1, [])
    assert office.holds(office.address(1, "a")) == [True]
    assert list(outbound(stick).iterdir()) == []
    left = (trip.folder / "the same blocks").read_bytes()
    assert len(left) == len(raw)
    assert not any(left[at : at + 16] == raw[at : at + 16] for at in range(0, len(raw), 4_096))


def test_what_is_not_confirmed_or_not_for_this_server_is_kept(office: Office, trip: Trip, socket: Path) -> None:
    stick = trip.stick()
    gap = office.bundle(1, [reply_cell("a")], first=7)
    other = office.bundle(1, [reply_cell("b")], server="beta")
    (outbound(stick) / "gap").write_bytes(gap)
    (outbound(stick) / "other").write_bytes(other)
    (outbound(stick) / "notes.txt").write_bytes(b"call Malee")
    (outbound(stick) / ".hidden").write_bytes(office.bundle(2, [reply_cell("c")]))

    ended = trip.run(socket, stick)

    assert (ended.code, ended.facts["delivered"], ended.facts["wiped"]) == (Stale.exit_code, 0, 0)
    assert "error: The bundle gap stays on its stick; all else was carried. The drop box says: " in ended.said
    assert [trouble["what"] for trouble in ended.facts["troubles"]] == ["gap"]
    assert "missing" in ended.facts["troubles"][0]["why"]
    assert (outbound(stick) / "gap").read_bytes() == gap
    assert (outbound(stick) / "other").read_bytes() == other
    assert (outbound(stick) / "notes.txt").read_bytes() == b"call Malee"
    assert office.holds(office.address(2, "c")) == [False]


def test_a_bundle_that_is_refused_keeps_nothing_else_waiting(office: Office, trip: Trip, socket: Path) -> None:
    ids = office.fill(2)
    stick = trip.stick()
    forged = office.bundle(1, [reply_cell("a"), reply_cell("b")], signed_by=seeded("nobody")(32))
    (outbound(stick) / "a-forged").write_bytes(forged)
    (outbound(stick) / "b-good").write_bytes(office.bundle(2, [reply_cell("c"), acknowledging(ids)]))

    ended = trip.run(socket, stick)

    assert (ended.code, ended.facts["delivered"]) == (Refused.exit_code, 1)
    assert "error: The bundle a-forged stays" in ended.said and "\nhint: " in ended.said
    (trouble,) = ended.facts["troubles"]
    assert trouble["what"] == "a-forged"
    assert trouble["why"].startswith("The drop box says:")
    assert (outbound(stick) / "a-forged").read_bytes() == forged
    assert not (outbound(stick) / "b-good").exists()
    assert carried(office, stick).keys() == {*ids, office.address(2, "c")}


def test_bundles_on_several_sticks_are_delivered_in_their_order(office: Office, trip: Trip, socket: Path) -> None:
    one, other = trip.stick("one"), trip.stick("other")
    (outbound(one) / "z").write_bytes(office.bundle(1, [reply_cell("a")]))
    (outbound(one) / "a").write_bytes(office.bundle(1, [reply_cell("b")], first=2))
    (outbound(other) / "x").write_bytes(office.bundle(1, [reply_cell("a"), reply_cell("b"), reply_cell("c")]))

    ended = trip.run(socket, one, other)

    assert (ended.facts["delivered"], ended.facts["wiped"], ended.facts["troubles"]) == (3, 3, [])
    assert office.mark(1) == 3


def test_each_stick_gets_what_its_own_station_lacks(
    office: Office, trip: Trip, socket: Path, recorder: Recorder
) -> None:
    ids = office.fill(4)
    one, other = trip.stick("one"), trip.stick("other")
    write_known(office, one, 1, ids[:2])
    write_known(office, other, 2, ids[1:3])

    ended = trip.run(socket, one, other)

    assert ended.facts["fetched"] == {str(one): 2, str(other): 2}
    assert list(carried(office, one)) == ids[2:]
    assert list(carried(office, other)) == [ids[0], ids[3]]
    assert sorted(recorder.asked) == [ids[0], ids[2], ids[3]], "each once, and what both know not at all"


def test_desks_that_share_a_stick_each_get_what_they_lack(office: Office, trip: Trip, socket: Path) -> None:
    ids = office.fill(4)
    stick = trip.stick()
    write_known(office, stick, 1, ids[:3])
    write_known(office, stick, 2, ids[2:])

    trip.run(socket, stick)

    assert list(carried(office, stick)) == [ids[0], ids[1], ids[3]]


def test_a_retired_desk_s_list_counts_for_nothing(office: Office, trip: Trip, socket: Path, tmp_path: Path) -> None:
    ids = office.fill(2)
    desks = office.newsroom.manifest.desks[:1]
    office.newsroom.publish(desks=desks, retired_desks=(2,))
    office.box.admit(office.newsroom.documents[1:])
    again = Trip(tmp_path, office.newsroom)
    write_known(office, again.stick(), 1, ids)
    write_known(office, again.stick(), 2, [])

    assert again.run(socket, again.stick()).facts["fetched"] == {str(again.stick()): 0}


@pytest.mark.parametrize("raw", [b"", b"mustshare/v1/known\nnonsense", b"\x00" * 1_000])
def test_a_list_that_can_t_be_read_means_that_more_is_fetched(
    office: Office, trip: Trip, socket: Path, raw: bytes
) -> None:
    office.fill(1)
    stick = trip.stick()
    write_known(office, stick, 1, [])
    (stick / "mustshare" / "known-1").write_bytes(raw)

    assert trip.run(socket, stick).facts["fetched"] == {str(stick): 1}


def test_a_cell_that_came_damaged_is_fetched_again(office: Office, trip: Trip, socket: Path) -> None:
    ids = office.fill(3)
    stick = trip.stick()
    trip.run(socket, stick)
    # The station read the stick under inventory 1, and could use two of its cells.
    write_known(office, stick, 1, ids[:2], read=1)

    ended = trip.run(socket, stick)

    assert ended.facts["fetched"] == {str(stick): 1}
    assert list(carried(office, stick)) == ids[2:]
    assert [path.name for path in parts(stick)] == ["cells-2-1"], "what was read is gone"


def test_a_part_that_no_station_has_read_stays(office: Office, trip: Trip, socket: Path) -> None:
    ids = office.fill(2)
    stick = trip.stick()
    trip.run(socket, stick)
    write_known(office, stick, 1, ids, read=1)
    more = office.fill(1, "more")
    trip.run(socket, stick)
    write_known(office, stick, 2, [], read=0)  # Another desk's station that hasn't seen any of it.

    trip.run(socket, stick)

    assert carried(office, stick).keys() == {*ids, *more}


def prepare(office: Office, stick: Path, number: int, cells: dict[CellId, bytes], seed: bytes) -> None:
    """Write an inventory of this number and a part of its cells to a stick."""
    network = office.newsroom.network
    entries = sorted((cell_id, seal_digest(cell, office.geometry)) for cell_id, cell in cells.items())
    raw = inventory.compose(
        network, SERVER, number, 1, manifest=1, marks={}, refused={}, health=inventory.Health(), entries=entries
    )
    inbound(stick).mkdir(parents=True, exist_ok=True)
    (inbound(stick) / "inventory").write_bytes(raw)
    (inbound(stick) / "inventory.minisig").write_bytes(minisign.sign(seed, raw, "inventory"))
    records = b"".join(cell_id + cell for cell_id, cell in cells.items())
    header = bundle.cells_header(network, SERVER, number)
    (inbound(stick) / f"cells-{number}-1").write_bytes(header + records)


def test_a_stick_that_brings_what_its_server_has_forgotten_is_left_as_it_is(
    office: Office, trip: Trip, socket: Path
) -> None:
    """The server was put back to an older state: what it had lies on this stick, and nowhere else."""
    ids = office.fill(1)
    ahead, other = trip.stick("ahead"), trip.stick("other")
    prepare(office, ahead, 99, {CellId(bytes(32)): bytes(CELL_BYTES)}, office.newsroom.server_seeds[SERVER])
    before = {path.name: path.read_bytes() for path in inbound(ahead).iterdir()}

    ended = trip.run(socket, ahead, other)

    assert ended.code == StickAhead.exit_code
    assert "put back to an older state" in ended.said
    assert "station" in ended.said
    assert {path.name: path.read_bytes() for path in inbound(ahead).iterdir()} == before
    assert carried(office, other) == stored(office, ids)
    # Once its station has read it, it serves again.
    write_known(office, ahead, 1, [CellId(bytes(32))], read=99)
    assert trip.run(socket, ahead).facts["fetched"] == {str(ahead): 1}


def test_a_prepared_stick_keeps_no_cell_from_being_fetched(office: Office, trip: Trip, socket: Path) -> None:
    ids = office.fill(2)
    stick = trip.stick()
    prepare(office, stick, 99, dict.fromkeys(ids, bytes(CELL_BYTES)), bytes(32))
    prepare(office, stick, 1, dict.fromkeys(ids, bytes(CELL_BYTES)), bytes(32))

    assert trip.run(socket, stick).facts["fetched"] == {str(stick): 2}
    assert [path.name for path in parts(stick)] == ["cells-1-1", "cells-1-2"]


def test_a_cell_that_was_exchanged_is_noticed(office: Office, trip: Trip, socket: Path, recorder: Recorder) -> None:
    ids = office.fill(3)
    stick = trip.stick()

    def exchange(path: str, body: bytes) -> bytes:
        return body[:CELL_BYTES] + b"!" + body[CELL_BYTES + 1 :] if path == "/v1/cells" else body

    recorder.change = exchange
    ended = trip.run(socket, stick)
    assert (ended.code, ended.facts["gone"], ended.facts["fetched"]) == (0, 1, {str(stick): 2})
    assert list(carried(office, stick)) == [ids[0], ids[2]]

    recorder.change = None
    assert trip.run(socket, stick).facts["fetched"] == {str(stick): 1}
    assert carried(office, stick) == stored(office, ids)


def test_a_cell_that_was_deleted_meanwhile_is_told_as_gone(
    office: Office, trip: Trip, socket: Path, recorder: Recorder
) -> None:
    ids = office.fill(2)
    recorder.before = lambda path: path == "/v1/cells" and office.store.delete(ids[:1])

    ended = trip.run(socket, trip.stick())

    assert (ended.facts["gone"], ended.facts["listed"], ended.facts["fetched"]) == (1, 2, {str(trip.stick()): 1})


def test_a_courier_whose_login_ends_on_the_way_logs_in_again(
    office: Office, trip: Trip, socket: Path, recorder: Recorder
) -> None:
    ids = office.fill(2)
    stick = trip.stick()

    def sleep_over(path: str) -> None:
        if path == "/v1/documents" and recorder.paths.count(path) == 1:
            office.newsroom.pass_time(seconds=13 * 3_600)

    recorder.before = sleep_over
    ended = trip.run(socket, stick)

    assert ended.code == 0, ended.said
    assert recorder.paths.count("/v1/session") == 2
    assert carried(office, stick) == stored(office, ids)


def test_a_server_that_was_restarted_on_the_way_is_asked_anew(office: Office, trip: Trip, tmp_path: Path) -> None:
    ids = office.fill(4)
    restarted = create_app(office.box, Logins(seeded("restarted"), lambda: office.newsroom.now), "alpha")
    recorder = Recorder(office.app)

    def restart(path: str) -> None:
        if len(recorder.cells) == 1:
            recorder.app = restarted

    recorder.before = restart
    with serving(recorder, tmp_path / "s") as socket, cutting(socket, [None] * 4 + [400_000]) as cut:
        ended = trip.run(cut.path, trip.stick())

    assert ended.code == 0, ended.said
    assert carried(office, trip.stick()) == stored(office, ids)


def test_a_revoked_courier_is_told_so(office: Office, trip: Trip, socket: Path) -> None:
    office.fill(1)
    office.newsroom.publish(couriers=office.newsroom.manifest.couriers[1:])
    office.box.admit(office.newsroom.documents[1:])

    ended = trip.run(socket, trip.stick())

    assert (ended.code, ended.facts) == (NotAuthentic.exit_code, {})
    assert ended.said.startswith("error: The drop box says: ")
    assert "hint: " in ended.said
    assert parts(trip.stick()) == []


def test_a_wrong_passphrase_opens_nothing(trip: Trip, socket: Path, recorder: Recorder) -> None:
    ended = trip.run(socket, trip.stick(), passphrase="wrong")

    assert ended.code == NotAuthentic.exit_code
    assert "passphrase" in ended.said
    assert recorder.paths == []


def test_a_stick_that_is_not_mounted_is_not_invented(trip: Trip, socket: Path, recorder: Recorder) -> None:
    ended = trip.run(socket, trip.folder / "not there")

    assert ended.code == NotForUs.exit_code
    assert "mounted" in ended.said
    assert recorder.paths == []
    assert not (trip.folder / "not there").exists()


def test_a_full_stick_keeps_what_fitted(office: Office, trip: Trip, socket: Path) -> None:
    ids = office.fill(4)
    stick = trip.stick()

    ended = trip.run(socket, stick, limit=3 * CELL_BYTES)

    assert ended.code == StickFull.exit_code
    assert ended.said.startswith(f"error: The stick {stick.name} is full.\nhint: ")
    assert ended.facts["fetched"] == {str(stick): 2}
    assert list(carried(office, stick)) == ids[:2]
    assert trip.run(socket, stick).facts["fetched"] == {str(stick): 2}
    assert carried(office, stick) == stored(office, ids)


def test_a_stick_is_served_once_however_often_it_is_named(office: Office, trip: Trip, socket: Path) -> None:
    ids = office.fill(2)
    stick = trip.stick()
    (trip.folder / "link").symlink_to(stick)

    ended = trip.run(socket, stick, trip.folder / "link", trip.folder / "." / "stick" / ".." / "stick")

    assert (ended.code, ended.facts["fetched"]) == (0, {str(stick): 2})
    assert carried(office, stick) == stored(office, ids)


def test_a_draft_is_no_manifest(trip: Trip, socket: Path, recorder: Recorder) -> None:
    document = trip.newsroom.documents[-1]
    trip.manifest.write_bytes(SignedDocument(document.statement, document.signatures[:1]).encode())

    ended = trip.run(socket, trip.stick())

    assert ended.code == NotAuthentic.exit_code
    assert recorder.paths == []


@pytest.mark.parametrize("raw", [b"", b"not a manifest", bytes(2_000)])
def test_what_is_no_manifest_is_refused(trip: Trip, socket: Path, raw: bytes) -> None:
    trip.manifest.write_bytes(raw)

    assert trip.run(socket, trip.stick()).code == Malformed.exit_code


def test_a_server_that_the_manifest_lacks_is_not_gone_to(trip: Trip, socket: Path, recorder: Recorder) -> None:
    ended = trip.run(socket, trip.stick(), more=["--server", "beta"])

    assert ended.code == NotForUs.exit_code
    assert "alpha" in ended.said
    assert recorder.paths == []


@pytest.mark.parametrize("port", ["9050", "localhost:", ":9050", "localhost:0", "localhost:99999", "localhost:๙"])
def test_tor_s_port_is_written_in_one_way(trip: Trip, port: str) -> None:
    words = trip.command(Path("unused"), trip.stick(), more=["--socks", port])
    at = words.index("--socket")
    ended = subprocess.run(
        words[:at] + words[at + 2 :], input=f"{PASSPHRASE}\n", capture_output=True, text=True, env=environment()
    )

    assert ended.returncode == 78
    assert "HOST:PORT" in ended.stderr


def test_people_get_a_table(office: Office, trip: Trip, socket: Path) -> None:
    office.fill(1)
    words = [word for word in trip.command(socket, trip.stick()) if word != "--json"]

    ended = subprocess.run(words, input=f"{PASSPHRASE}\n", capture_output=True, text=True, env=environment())

    assert ended.returncode == 0
    assert ended.stdout.splitlines() == [
        f"cells fetched to {trip.stick()}\t1",
        "cells in the inventory\t1",
        "bundles delivered\t0",
        "bundles confirmed and wiped\t0",
    ]
