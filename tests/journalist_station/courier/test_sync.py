"""An errand in this process: sticks that fail, servers that wish us ill, and a service among several."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dropbox.collect.app import create_app
from journalist_station.courier.parts import RECORD_BYTES
from journalist_station.courier.stick import CellWriter, Stick, StickFailed, StickFull, explained
from journalist_station.courier.sync import PAUSES_SECONDS
from journalist_station.courier.wire import Cut, Unwelcome
from keys import bundle, minisign
from keys.bundle import CELL_BYTES
from keys.encoding import parse_json, to_json, u8, u32
from keys.errors import DropBoxError, Malformed, NotAuthentic, NotForUs
from keys.inventory import CellId
from tests.journalist_station.courier.trip import Trip, carried, environment, inbound, outbound, parts, stored
from tests.simulators.newsroom import seeded
from tests.simulators.office import SERVER, Office, reply_cell, serving
from tests.simulators.wires import Recorder, answering, cutting, http


def test_parts_are_cut_at_their_largest(office: Office, trip: Trip, socket: Path) -> None:
    ids = office.fill(5)
    header = len(bundle.cells_header(office.newsroom.network, SERVER, 1))

    with trip.entered(trip.stick()) as stick:
        trip.courier(socket, part_bytes=header + 2 * RECORD_BYTES).sync([stick])

    assert [path.stat().st_size for path in parts(trip.stick())] == [
        header + count * RECORD_BYTES for count in (2, 2, 1)
    ]
    assert carried(office, trip.stick()) == stored(office, ids)


class FailingWriter(CellWriter):
    """Writes so many cells, and then what a broken stick writes."""

    def __init__(self, folder: Path, inner: CellWriter, good: int, number: int) -> None:
        self._inner = inner
        self._folder = folder
        self._left = good
        self._number = number

    def __exit__(self, *error: object) -> None:
        self._inner.__exit__(None, None, None)

    def add(self, cell_id: CellId, cell: bytes) -> None:
        self._left -= 1
        with explained(self._folder):
            if self._left < 0:
                raise OSError(self._number, os.strerror(self._number))
        self._inner.add(cell_id, cell)


class FailingStick(Stick):
    """Takes so many cells, and then fails with an error of the operating system."""

    good = 1
    number = errno.ENOSPC

    def collect(self, inventory: int, max_bytes: int = bundle.MAX_PART_BYTES) -> CellWriter:
        return FailingWriter(self.folder, super().collect(inventory, max_bytes), self.good, self.number)


@pytest.mark.parametrize(
    ("number", "error"), [(errno.ENOSPC, StickFull), (errno.EIO, StickFailed), (errno.EROFS, StickFailed)]
)
def test_a_stick_that_fails_keeps_no_other_from_being_served(
    office: Office, trip: Trip, socket: Path, recorder: Recorder, number: int, error: type[DropBoxError]
) -> None:
    ids = office.fill(4)
    one, other = trip.stick("one"), trip.stick("other")
    courier = trip.courier(socket)
    failing = FailingStick(one, office.newsroom.network, SERVER, (1, 2))
    failing.number = number

    with failing, trip.entered(other) as good, pytest.raises(error):
        courier.sync([failing, good])

    assert courier.errand.fetched == {str(one): 1, str(other): 4}
    assert [what for what, _ in courier.errand.troubles] == ["one"]
    assert list(carried(office, one)) == ids[:1]
    assert carried(office, other) == stored(office, ids)


def test_what_only_a_failed_stick_lacks_is_not_fetched(
    office: Office, trip: Trip, socket: Path, recorder: Recorder
) -> None:
    ids = office.fill(6)
    failing = FailingStick(trip.stick(), office.newsroom.network, SERVER, (1, 2))

    with failing, pytest.raises(StickFull):
        trip.courier(socket).sync([failing])

    assert len(recorder.cells) == 1
    assert list(carried(office, trip.stick())) == ids[:1]


def test_a_stick_that_can_t_be_read_keeps_no_other_from_being_served(office: Office, trip: Trip, socket: Path) -> None:
    office.fill(1)
    one, other = trip.stick("one"), trip.stick("other")
    courier = trip.courier(socket)

    with trip.entered(one) as broken, trip.entered(other) as good:
        one.rename(trip.folder / "pulled out")
        with pytest.raises(StickFailed):
            courier.sync([broken, good])

    assert courier.errand.fetched == {str(one): 0, str(other): 1}


def test_the_service_of_the_server_is_found_among_several(office: Office, trip: Trip, tmp_path: Path) -> None:
    office.fill(1)
    beta = Recorder(create_app(office.box, office.logins, "beta"))
    with (
        serving(beta, tmp_path / "b") as other,
        serving(Recorder(office.app), tmp_path / "a") as alpha,
        trip.entered(trip.stick()) as stick,
    ):
        courier = trip.courier(tmp_path / "nothing", other, alpha)
        courier.sync([stick])

    assert courier.errand.fetched == {str(stick.folder): 1}
    assert set(beta.paths) == {"/v1/challenge"}


def test_when_no_service_is_the_server_s_it_says_so(office: Office, trip: Trip, tmp_path: Path) -> None:
    beta = Recorder(create_app(office.box, office.logins, "beta"))
    with serving(beta, tmp_path / "b") as other, trip.entered(trip.stick()) as stick:
        with pytest.raises(NotForUs):
            trip.courier(other).sync([stick])
        with pytest.raises(NotForUs):
            trip.courier(other, other).sync([stick])
        with pytest.raises(Cut):
            trip.courier(other, tmp_path / "perhaps this one").sync([stick])


def test_it_waits_longer_each_time_and_then_gives_up(trip: Trip, tmp_path: Path) -> None:
    waited: list[float] = []

    with trip.entered(trip.stick()) as stick, pytest.raises(Cut):
        trip.courier(tmp_path / "nothing", pause=waited.append).sync([stick])

    assert waited == list(PAUSES_SECONDS) == sorted(waited)


def test_as_long_as_something_comes_it_never_gives_up(office: Office, trip: Trip, socket: Path) -> None:
    ids = office.fill(1)
    waited: list[float] = []
    breaks = [None] * 4 + [20_000] * 14

    with cutting(socket, breaks) as cut, trip.entered(trip.stick()) as stick:
        trip.courier(cut.path, pause=waited.append).sync([stick])

    assert carried(office, trip.stick()) == stored(office, ids)
    assert set(waited) == {0.0}


def test_a_delivery_that_breaks_is_made_again(office: Office, trip: Trip, socket: Path, recorder: Recorder) -> None:
    raw = office.bundle(1, [reply_cell("a")])
    with trip.entered(trip.stick()) as stick, cutting(socket, [None, None, 1, 40]) as cut:
        (outbound(trip.stick()) / "a").write_bytes(raw)
        courier = trip.courier(cut.path)
        courier.sync([stick])

    assert (courier.errand.delivered, courier.errand.wiped) == (1, 1)
    assert recorder.paths.count("/v1/outbound") == 3, "applied at the first, and told at the third"


def test_a_bundle_that_breaks_every_connection_keeps_nothing_waiting(office: Office, trip: Trip, socket: Path) -> None:
    office.fill(1)
    with trip.entered(trip.stick()) as stick, cutting(socket, [None, None, *[0] * 5]) as cut:
        (outbound(trip.stick()) / "a").write_bytes(office.bundle(1, [reply_cell("a")], first=9))
        courier = trip.courier(cut.path)
        courier.sync([stick])

    assert [what for what, _ in courier.errand.troubles] == ["a"]
    assert courier.errand.fetched == {str(stick.folder): 1}


# Servers that aren't what they should be: what is changed, at which path, and how the courier ends.


def renamed(name: str) -> Callable[[Office, bytes], bytes]:
    """Call the first document something else."""

    def change(office: Office, body: bytes) -> bytes:
        length = body[4]
        return body[:4] + u8(len(name)) + name.encode() + body[5 + length :]

    return change


def said(**fields: object) -> Callable[[Office, bytes], bytes]:
    return lambda office, body: to_json({**parse_json(body), **fields})


def other_key(office: Office, body: bytes) -> bytes:
    raw = body[4 : 4 + int.from_bytes(body[:4])]
    return u32(len(raw)) + raw + minisign.sign(seeded("another server")(32), raw, "inventory")


ILL: dict[str, tuple[str, Callable[[Office, bytes], bytes], type[DropBoxError]]] = {
    "another network": ("/v1/challenge", said(network="00" * 32), NotForUs),
    "another server": ("/v1/challenge", said(server="beta"), NotForUs),
    "a challenge that isn't hex": ("/v1/challenge", said(challenge="xyz"), Malformed),
    "a challenge without end": ("/v1/challenge", said(challenge="00" * 5_000), Malformed),
    "a challenge and more": ("/v1/challenge", said(more=1), Malformed),
    "no challenge": ("/v1/challenge", lambda office, body: b"[]", Malformed),
    "a token with a line end": ("/v1/session", said(token="aa\r\nX: y"), Malformed),
    "no token": ("/v1/session", said(token=""), Malformed),
    "an inventory by another key": ("/v1/inventory", other_key, NotAuthentic),
    "half an inventory": ("/v1/inventory", lambda office, body: body[:40], Malformed),
    "no inventory": ("/v1/inventory", lambda office, body: b"", Malformed),
    "a document named like cells": ("/v1/documents", renamed("cells-1-1"), Malformed),
    "a document named like the inventory": ("/v1/documents", renamed("inventory"), Malformed),
    "a document named like a signature": ("/v1/documents", renamed("manifest-1.minisig"), Malformed),
    "a document that leads elsewhere": ("/v1/documents", renamed("../manifest-1"), Malformed),
    "a document with a path": ("/v1/documents", renamed("/etc/passwd"), Malformed),
    "a document with a NUL": ("/v1/documents", renamed("manifest-1\x00"), Malformed),
    "a document that hides": ("/v1/documents", renamed(".cells-1-1"), Malformed),
    "a document without a name": ("/v1/documents", renamed(""), Malformed),
    "a document twice": ("/v1/documents", renamed("epochs-1-1"), Malformed),
    "documents without end": ("/v1/documents", lambda office, body: u32(2**32 - 1) + body[4:], Malformed),
    "more behind the documents": ("/v1/documents", lambda office, body: body + b"x", Malformed),
    "fewer cells than asked for": ("/v1/cells", lambda office, body: body[:CELL_BYTES], Malformed),
    "more cells than asked for": ("/v1/cells", lambda office, body: body + body, Malformed),
}


@pytest.mark.parametrize(("path", "change", "error"), ILL.values(), ids=ILL)
def test_a_server_that_wishes_us_ill_gets_nowhere(
    office: Office,
    trip: Trip,
    socket: Path,
    recorder: Recorder,
    path: str,
    change: Callable[[Office, bytes], bytes],
    error: type[DropBoxError],
) -> None:
    office.fill(2)
    earlier = inbound(trip.stick())
    earlier.mkdir(parents=True)
    (earlier / "cells-1-1").write_bytes(b"what came before")
    before = {each for each in trip.folder.rglob("*") if "data" not in each.parts}
    recorder.change = lambda asked, body: change(office, body) if asked == path else body

    with trip.entered(trip.stick()) as stick, pytest.raises(error):
        trip.courier(socket).sync([stick])

    assert (earlier / "cells-1-1").read_bytes() == b"what came before"
    new = {each for each in trip.folder.rglob("*") if "data" not in each.parts} - before
    assert all(each.is_relative_to(trip.stick() / "mustshare") for each in new)
    assert not [each for each in new if each.name.startswith("cells")]


def test_who_is_never_welcome_gives_up(office: Office, trip: Trip, tmp_path: Path) -> None:
    refusal = http(to_json({"error": "No.", "hint": "Go."}), "401 Unauthorized")
    with (
        answering(tmp_path / "w", lambda request: refusal) as path,
        trip.entered(trip.stick()) as stick,
        pytest.raises(Unwelcome),
    ):
        trip.courier(path).sync([stick])


def test_who_logs_in_in_vain_gives_up(office: Office, trip: Trip, socket: Path, recorder: Recorder) -> None:
    def forget(path: str) -> None:
        if path == "/v1/inventory":
            office.newsroom.pass_time(seconds=13 * 3_600)

    recorder.before = forget
    with trip.entered(trip.stick()) as stick, pytest.raises(Unwelcome):
        trip.courier(socket).sync([stick])
    assert recorder.paths.count("/v1/session") == 2


def test_progress_is_told(office: Office, trip: Trip, socket: Path) -> None:
    office.fill(2)
    told: list[tuple[str, int, int]] = []
    with trip.entered(trip.stick()) as stick:
        raw = office.bundle(1, [reply_cell("a")])
        (outbound(trip.stick()) / "a").write_bytes(raw)
        trip.courier(socket, told=lambda *step: told.append(step)).sync([stick])

    assert [step for step in told if step[0] == "fetching"] == [
        ("fetching", number * CELL_BYTES, 3 * CELL_BYTES) for number in (1, 2, 3)
    ]
    delivering = [step for step in told if step[0] == "delivering"]
    assert delivering[0] == ("delivering", 0, len(raw))
    assert delivering[-1] == ("delivering", len(raw), len(raw))


def test_the_courier_holds_no_vault() -> None:
    program = """
import sys, journalist_station.courier.cli
foreign = ("journalist_station.vault", "sqlcipher3", "dropbox")
print([name for name in sys.modules if name.startswith(foreign)])
"""

    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment(), check=True)
    assert ran.stdout == "[]\n"
