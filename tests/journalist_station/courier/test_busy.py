"""A server that takes no further bundle just now: the courier tries again, and what comes in doesn't wait for it."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from dropbox.collect.app import create_app
from dropbox.collect.deliveries import Deliveries
from keys.minisign import SigningKey
from tests.journalist_station.courier.trip import Trip, outbound
from tests.simulators.office import SERVER, Office, reply_cell, serving

ANOTHER = bytes(32)


def test_a_place_that_comes_free_is_used(office: Office, trip: Trip, tmp_path: Path) -> None:
    deliveries = Deliveries(places=1)
    app = create_app(office.box, office.logins, SERVER, deliveries)
    stick = trip.stick()
    (outbound(stick) / "1").write_bytes(office.bundle(1, [reply_cell("a")]))
    with serving(app, tmp_path / "s") as socket, trip.entered(stick) as entered, ExitStack() as other:
        other.enter_context(deliveries.place(ANOTHER))
        waited: list[float] = []

        def pause(seconds: float) -> None:
            waited.append(seconds)
            if len(waited) == 2:
                other.close()

        courier = trip.courier(socket, pause=pause)
        courier.sync([entered])

    assert len(waited) == 2
    assert (courier.errand.delivered, courier.errand.troubles) == (1, [])
    assert office.mark(1) == 1


def test_a_bundle_that_finds_no_place_stays_on_the_stick(office: Office, trip: Trip, tmp_path: Path) -> None:
    deliveries = Deliveries()
    app = create_app(office.box, office.logins, SERVER, deliveries)
    office.fill(1)
    stick = trip.stick()
    bundle = outbound(stick) / "1"
    bundle.write_bytes(office.bundle(1, [reply_cell("a")]))
    key = SigningKey.of(trip.seed).public
    with serving(app, tmp_path / "s") as socket, trip.entered(stick) as entered, deliveries.place(key):
        courier = trip.courier(socket)
        courier.sync([entered])

    assert bundle.exists() and office.mark(1) == 0
    assert courier.errand.fetched == {str(stick): 1}
    ((name, error),) = courier.errand.troubles
    assert name == "1" and "delivering another bundle" in str(error)
