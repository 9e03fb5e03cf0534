"""Sentences that pages look up: for refusals, closed boxes, states, sizes and times. All go through the catalogues."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime

from flask_babel import format_date, get_locale, gettext, lazy_gettext, ngettext

from dropbox import refusals
from dropbox.intake.sending import State
from dropbox.refusals import REFUSALS, Refusal
from dropbox.serving.gate import Busy
from dropbox.serving.pace import BodyBroken, TooSlow
from keys.codename import UnknownWord, WrongCheckWord, WrongLength
from keys.encoding import week_start
from keys.epochs import Closed
from keys.errors import DropBoxError, Misconfigured, NoRoom, NotAuthentic, NotForUs, Stale

_CLOSED = {
    Closed.NO_MANIFEST: lazy_gettext("The newsrooms have not signed for this drop box yet."),
    Closed.MANIFEST_ROLLED_BACK: lazy_gettext("What the newsrooms signed for this drop box is not the newest."),
    Closed.MANIFEST_NOT_YET_VALID: lazy_gettext("What the newsrooms signed for this drop box is not valid yet."),
    Closed.MANIFEST_EXPIRED: lazy_gettext("What the newsrooms signed for this drop box has run out."),
    Closed.ORDERED: lazy_gettext("The newsrooms have closed this drop box by a signed order."),
    Closed.CLOCK_DISAGREES: lazy_gettext("The clock of this server does not agree with the time of the Tor network."),
    Closed.CLOCK_BEHIND: lazy_gettext("The clock of this server is wrong."),
    Closed.WEEK_BELOW_FLOOR: lazy_gettext("The clock of this server is wrong."),
    Closed.NO_EPOCHS: lazy_gettext("No newsroom has published a key for this week."),
}

_FILE_STATES = {
    State.STORED: lazy_gettext("Stored."),
    State.INTERRUPTED: lazy_gettext("Broke off. What came is stored; send the file again."),
    State.TOO_LARGE: lazy_gettext("Too large. Only its beginning is stored; send the rest in parts."),
    State.NO_ROOM: lazy_gettext("There was no room for all of it. Send it again another day."),
    State.TOO_MANY: lazy_gettext("One file too many. Not stored; send it in a second message."),
    State.FAILED: lazy_gettext("Not stored: something failed here. Send it again."),
}

_REPLY_STATES = {
    "opened": (lazy_gettext("Opened"), lazy_gettext("A journalist has read what you sent.")),
    "checking": (lazy_gettext("Being checked"), lazy_gettext("Journalists are looking into it.")),
    "needs-more": (lazy_gettext("Needs more"), lazy_gettext("They ask you for something. Please read on.")),
    "published": (lazy_gettext("Published"), lazy_gettext("Something about it has been published.")),
    "closed": (lazy_gettext("Closed"), lazy_gettext("Nobody is working on it for now.")),
}

_REFUSAL_OF: tuple[tuple[type[DropBoxError], type[Refusal]], ...] = (
    (UnknownWord, refusals.UnknownWord),
    (WrongCheckWord, refusals.WrongWords),
    (WrongLength, refusals.WrongLength),
    (Busy, refusals.Busy),
    (NoRoom, refusals.Full),
    (TooSlow, refusals.TooSlow),
    (BodyBroken, refusals.BrokenOff),
    (Stale, refusals.Closed),
    (NotForUs, refusals.NotHere),
    (NotAuthentic, refusals.ReplyDamaged),
    (Misconfigured, refusals.Failed),
)
_BUDDHIST_YEARS = 543


def refusal_of(error: DropBoxError) -> Refusal:
    """Return what a source is told of an error. What stands in no catalogue is never shown."""
    if isinstance(error, Refusal):
        return error
    return next((told for kind, told in _REFUSAL_OF if isinstance(error, kind)), refusals.BadForm)()


def number_of(refusal: Refusal) -> int:
    """Return the number under which the progress board keeps a refusal; 0 stands for none."""
    return 1 + REFUSALS.index(type(refusal))


def refusal_by_number(number: int) -> Refusal:
    return REFUSALS[number - 1]()


def of_refusal(refusal: Refusal) -> tuple[str, str]:
    """Return what happened and what to do, in the page's language."""
    return gettext(refusal.sentence), gettext(refusal.advice)


def of_closed(reason: Closed) -> str:
    return str(_CLOSED[reason])


def of_file(state: State) -> str:
    return str(_FILE_STATES[state])


def of_reply(state: str) -> tuple[str, str] | None:
    """Return a reply's state and what it means; nothing when the desk gave none."""
    found = _REPLY_STATES.get(state)
    return (str(found[0]), str(found[1])) if found else None


def size(count: float) -> str:
    """A size for people: 48.2 MB."""
    if count < 1_000:
        return f"{count:.0f} B"
    units = ("kB", "MB", "GB", "TB")
    power = next((at for at in range(1, len(units)) if count < 999_950 * 1_000 ** (at - 1)), len(units))
    return f"{count / 1_000**power:.1f} {units[power - 1]}"


def duration(seconds: float) -> str:
    """A time for people, in the largest unit of which there are two."""
    if seconds < 120:
        return str(ngettext("%(num)d second", "%(num)d seconds", max(round(seconds), 1)))
    if seconds < 7_200:
        return str(ngettext("%(num)d minute", "%(num)d minutes", round(seconds / 60)))
    return str(ngettext("%(num)d hour", "%(num)d hours", round(seconds / 3_600)))


def day(unix_seconds: int, month: str = "MMMM") -> str:
    """A date for people, in UTC: 16 November 2026, in Thai with the Buddhist year. `month`: MMM for a short one."""
    date = datetime.fromtimestamp(unix_seconds, UTC).date()
    thai = str(get_locale()) == "th"
    return f"{format_date(date, f'd {month}')} {date.year + (_BUDDHIST_YEARS if thai else 0)}"


def week_day(week: int) -> str:
    """The Monday on which a week begins."""
    return day(week_start(week))


def shown_name(name: bytes | str, most: int = 120) -> str:
    """A file's name for a page, whatever bytes it is: what can't be seen or would reorder the line is replaced."""
    text = name.decode("utf-8", "replace") if isinstance(name, bytes) else name
    plain = undeceiving(text)
    return plain if len(plain) <= most else f"{plain[: most - 12]}…{plain[-11:]}"


def undeceiving(text: str, *, lines: bool = False) -> str:
    """A text for a page in which each character that can't be seen or reorders it is replaced; `lines` keeps breaks."""
    kept = "\n\t" if lines else ""
    # By letter, not by place: a bulletin's body has tens of thousands, and is looked through at each request.
    replaced = [letter for letter in set(text) if _deceives(letter) and letter not in kept]
    return text.translate(dict.fromkeys(map(ord, replaced), "\ufffd")) if replaced else text


def _deceives(letter: str) -> bool:
    """Say whether a character is a control or reorders text. Zero-width spaces are none: Thai is written with them."""
    return unicodedata.category(letter) in ("Cc", "Cf", "Zl", "Zp") and letter not in "\u200b\u200c\u200d"
