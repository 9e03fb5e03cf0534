"""A newsroom of two desks with one server, and the station of desk 1."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulators.dropbox import DropBox, Source
from tests.simulators.newsroom import Newsroom
from tests.simulators.station import Station


@pytest.fixture
def newsroom() -> Newsroom:
    return Newsroom(desks=2)


@pytest.fixture
def station(newsroom: Newsroom, tmp_path: Path) -> Iterator[Station]:
    made = Station(newsroom, tmp_path)
    yield made
    made.vault.close()


@pytest.fixture
def box(newsroom: Newsroom, station: Station) -> DropBox:
    return DropBox(newsroom)


@pytest.fixture
def source(newsroom: Newsroom) -> Source:
    return Source(newsroom)
