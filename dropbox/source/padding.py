"""Makes pages that must not tell anything by their length one length. Promise 12."""

from __future__ import annotations

MARK = b"<!--pad-->"
STEP_BYTES = 16 * 1024
REPLIES_BYTES = 64 * 1024
"""Room for replies on a page: more than the longest one takes when each of its characters must be escaped."""


def fixed_length(bare: int) -> int:
    """Return the length of a page that has `bare` bytes without any reply: the same whatever replies there are."""
    return -(-(bare + REPLIES_BYTES) // STEP_BYTES) * STEP_BYTES


def pad_to_step(page: bytes) -> bytes:
    """Fill a page up to whole steps, so that two which differ in a few words have one length. Raises: ValueError."""
    return pad(page, -(-len(page) // STEP_BYTES) * STEP_BYTES)


def pad(page: bytes, length: int) -> bytes:
    """Fill a page up to exactly `length` bytes, at the place where its template has the mark.

    Raises:
        ValueError: the page has no mark, or is too long already; its view must put less on it.
    """
    room = length - len(page)
    if room < 0 or MARK not in page:
        raise ValueError("a page of fixed length is too long, or has no place for its padding")
    at = page.index(MARK) + len(MARK) - len(b"-->")
    return page[:at] + b"." * room + page[at:]
