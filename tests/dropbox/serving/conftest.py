"""What the tests of serving share: a small site behind the real server, and a folder for sockets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dropbox.serving.visitors import Server, small_site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A site with its usual settings, shared by the tests of one module; they must leave it idle."""
    with small_site(tmp_path_factory.mktemp("site")) as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for a site of the test's own."""
    return tmp_path
