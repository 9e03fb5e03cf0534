"""Pages that stand ready as bytes, for answers that the application isn't asked for: full, too slow, malformed.

The site gives its own, so that they look and carry headers like every other page; those below stand in for any
status that it leaves out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

HeaderList = tuple[tuple[str, str], ...]

STATUSES = (400, 408, 411, 413, 414, 417, 431, 500, 503, 505)
"""Every status that may be answered with a prepared page."""

_SAFE_HEADERS: HeaderList = (
    ("Content-Type", "text/html; charset=utf-8"),
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'self'"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
)
_WORDS: dict[int, tuple[str, str]] = {
    408: (
        "ข้อมูลมาช้าจนขาดตอน ส่วนที่มีใบรับแล้วเก็บไว้ครบ กรุณากลับมาด้วยรหัสของคุณแล้วส่งส่วนที่เหลืออีกครั้ง",
        "It came too slowly and broke off. What a receipt lists is stored. "
        "Come back with your codename and send the rest.",
    ),
    413: (
        "ที่ส่งมาใหญ่เกินกว่าที่รับได้ กรุณาแบ่งส่งเป็นส่วนเล็กลง",
        "What you sent is larger than this box takes. Please send it in smaller parts.",
    ),
    500: (
        "ระบบของเราขัดข้อง ส่วนที่มีใบรับแล้วเก็บไว้ครบ กรุณาลองใหม่ในอีกสักครู่",
        "Something broke on our side. What a receipt lists is stored. Please try again in a moment.",
    ),
    503: (
        "ตอนนี้มีคนใช้พร้อมกันมาก กรุณารอสักครู่แล้วเปิดหน้านี้อีกครั้ง",
        "Many people are here at once. Please wait a moment, then open this page again.",
    ),
}
_UNREADABLE = (
    "เราอ่านคำขอนี้ไม่ได้ กรุณาเปิดหน้านี้อีกครั้งด้วย Tor Browser",
    "We could not read this request. Please open the page again with Tor Browser.",
)


@dataclass(frozen=True, slots=True)
class PreparedPage:
    """A whole page and its headers. Content-Length and Connection are added when it is sent."""

    body: bytes
    headers: HeaderList = _SAFE_HEADERS


def status_line(status: int) -> str:
    """Return a status with its phrase, as WSGI writes it: `503 Service Unavailable`."""
    return f"{status} {HTTPStatus(status).phrase}"


def sentences(status: int) -> tuple[str, str]:
    """Return what is said with a status, in Thai and in English: whoever is answered so may not have said which."""
    return _WORDS.get(status, _UNREADABLE)


def plain_page(status: int) -> PreparedPage:
    """Return the stand-in for a status: its sentences and nothing else."""
    thai, english = sentences(status)
    text = (
        '<!doctype html><html lang="th"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<title>{status}</title><p>{thai}</p><p lang="en">{english}</p></html>\n'
    )
    return PreparedPage(text.encode())


class PreparedPages:
    """Every prepared page of one site, by status."""

    def __init__(self, given: Mapping[int, PreparedPage]) -> None:
        self._pages = dict(given)

    def page(self, status: int) -> PreparedPage:
        if status not in self._pages:
            self._pages[status] = plain_page(status)
        return self._pages[status]
