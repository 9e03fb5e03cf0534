"""What the tests of the collect interface share: an office with a store, a clock and couriers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulators.office import Office


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """An office of two desks and two couriers."""
    office = Office(tmp_path)
    yield office
    office.close()
