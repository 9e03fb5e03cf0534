"""One practice newsroom and one visitor for all journeys."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.journeys.practice import Practice, practice
from tests.journeys.visitor import Visitor

_HERE = Path(__file__).parent
_NEWSROOM = pytest.StashKey[Practice]()


@pytest.fixture(scope="session")
def newsroom(request: pytest.FixtureRequest) -> Iterator[Practice]:
    """A practice newsroom, founded and open, exactly as `scripts/run` makes it. It leaves no process behind."""
    with practice() as made:
        request.config.stash[_NEWSROOM] = made
        made.start()
        yield made
        made.stop()
        assert made.processes() == []
        del request.config.stash[_NEWSROOM]


@pytest.fixture(scope="session")
def visitor(newsroom: Practice) -> Iterator[Visitor]:
    with Visitor(newsroom) as made:
        yield made


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.journey)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With whatever fails, show what tor and the server have logged."""
    report = yield
    newsroom = item.config.stash.get(_NEWSROOM, None)
    if newsroom is not None and report.failed:
        report.sections += [(f"the end of {name}", text) for name, text in newsroom.logs()]
    return report
