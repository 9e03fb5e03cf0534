"""A site for the tests of one module; those that change what it is make their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.dropbox.source.site import Site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("site"), slots=64)
    yield made
    made.close()
