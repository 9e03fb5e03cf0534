"""What couriers are answered when the application isn't asked: JSON like every answer here. SPEC section 19.4."""

from __future__ import annotations

from dropbox.serving.prepared import STATUSES, HeaderList, PreparedPage
from keys.encoding import to_json

_HEADERS: HeaderList = (("Content-Type", "application/json"), ("Cache-Control", "no-store"))
_PASSING: HeaderList = (*_HEADERS, ("Retry-After", "5"))
"""Of what passes by itself: a courier that reads this tries again, and counts nothing as refused."""
_SAID = {
    408: ("Too little arrived for too long, so the connection was ended.", "Run the courier again: it resumes."),
    413: ("What was sent is larger than this server takes.", "Check that the bundle is one that a station wrote."),
    500: ("Something failed here.", "Tell whoever runs the server."),
    503: ("Too many couriers are here at once.", "Try again in a moment."),
}
_UNREADABLE = ("This isn't a request that a courier makes.", "Use the dropbox-courier of this server's version.")


def prepared_pages() -> dict[int, PreparedPage]:
    """Return these answers by status."""
    return {status: _answer(status, *_SAID.get(status, _UNREADABLE)) for status in STATUSES}


def _answer(status: int, error: str, hint: str) -> PreparedPage:
    headers = _PASSING if status in (408, 503) else _HEADERS
    return PreparedPage(to_json({"error": error, "hint": hint}), headers)
