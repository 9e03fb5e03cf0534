"""What all tests share: the option `--long`, hypothesis without a clock, and one private Tor network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.tor_fixture import TorNetwork

settings.register_profile("house", deadline=None, print_blob=True)
settings.load_profile("house")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the long rounds too")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "tor: runs real tor on loopback")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long rounds out unless they are asked for."""
    if config.getoption("--long"):
        return
    long = [item for item in items if item.get_closest_marker("long")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if not item.get_closest_marker("long")]


@pytest.fixture(scope="session")
def tor_network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TorNetwork]:
    """The run's private Tor network, up and with both services published.

    When it doesn't come up, the error says which node is in the way, and its notes are the end of that node's log.
    """
    from tests.tor_fixture import TorNetwork  # Tests without tor needn't have stem.

    tor = TorNetwork(tmp_path_factory.mktemp("tor"))
    with tor.network:
        tor.network.wait_published([tor.source, tor.collect])
        yield tor
