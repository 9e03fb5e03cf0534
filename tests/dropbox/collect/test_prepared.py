"""What couriers are answered when the application isn't asked: the same form, and whether it passes by itself."""

from __future__ import annotations

import pytest

from dropbox.collect.prepared import prepared_pages
from keys.encoding import parse_json

PREPARED = prepared_pages()


@pytest.mark.parametrize("status", PREPARED)
def test_each_is_an_error_as_the_application_says_it(status: int) -> None:
    said, headers = parse_json(PREPARED[status].body), dict(PREPARED[status].headers)

    assert set(said) == {"error", "hint"}
    assert said["error"] and said["hint"]
    assert headers["Content-Type"] == "application/json"
    assert headers["Cache-Control"] == "no-store"
    assert ("Retry-After" in headers) is (status in (408, 503))
