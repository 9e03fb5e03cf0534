from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.promises.server import Premises


@pytest.fixture(scope="module")
def premises(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Premises]:
    """A server that runs, shared by the tests of one module."""
    with Premises(tmp_path_factory.mktemp("box")).running() as found:
        yield found
