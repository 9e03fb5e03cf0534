"""Makes pages that must not tell anything by their length one length. Promise 12."""

from __future__ import annotations

MARK = b"<!--pad-->"
PAGE_BYTES = 96 * 1024


def pad(page: bytes, length: int = PAGE_BYTES) -> bytes:
    """Fill a page up to exactly `length` bytes, at the place where its template has the mark.

    Raises:
        ValueError: the page has no mark, or is too long already; its view must put less on it.
    """
    room = length - len(page)
    if room < 0 or MARK not in page:
        raise ValueError("a page of fixed length is too long, or has no place for its padding")
    at = page.index(MARK) + len(MARK) - len(b"-->")
    return page[:at] + b"." * room + page[at:]
