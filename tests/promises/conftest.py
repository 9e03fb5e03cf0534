"""What the tests of the promises share: the premises of a whole drop box, and their seed."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.promises.server import Premises


@pytest.fixture(scope="module")
def premises(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Premises]:
    """A server that runs, shared by the tests of one module."""
    with Premises(tmp_path_factory.mktemp("box")).running() as found:
        yield found


@pytest.fixture(scope="session")
def seed(request: pytest.FixtureRequest) -> int:
    """The seed of everything random that a test decides: scripts/test's, or another each time; printed on failure."""
    given = request.config.getoption("--hypothesis-seed", default=None)
    seed = int(given) if given is not None else random.randrange(1 << 32)
    print(f"seed of the promises: {seed} (again with --hypothesis-seed={seed})")
    return seed


@pytest.fixture
def unharmed(premises: Premises) -> Iterator[None]:
    """Whatever a test did: nothing was stored, and every process that served before serves still."""
    records, pids = premises.records(), premises.pids()
    yield
    assert premises.answers()
    assert premises.records() == records
    assert premises.pids() == pids
    assert not premises.headers_in_free_slots()
    assert "Traceback" not in premises.log()
