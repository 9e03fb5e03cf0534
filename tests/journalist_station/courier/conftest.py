"""What the tests of the courier share: an office behind a socket, what it was asked, a laptop with sticks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journalist_station.courier.trip import Trip
from tests.simulators.office import Office, serving
from tests.simulators.wires import Recorder


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    office = Office(tmp_path)
    yield office
    office.close()


@pytest.fixture
def recorder(office: Office) -> Recorder:
    return Recorder(office.app)


@pytest.fixture
def socket(recorder: Recorder, tmp_path: Path) -> Iterator[Path]:
    """The office's door."""
    with serving(recorder, tmp_path / "s") as path:
        yield path


@pytest.fixture
def trip(office: Office, tmp_path: Path) -> Trip:
    return Trip(tmp_path, office.newsroom)
