"""A small store on a real disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dropbox.store import Store

Opener = Callable[..., Store]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder of 12 slots."""
    Store.create(tmp_path / "data", 12, documents_bytes=4_096)
    return tmp_path / "data"


@pytest.fixture
def store(folder: Path) -> Iterator[Store]:
    with Store.open(folder, reserve_slots=3) as opened:
        yield opened
