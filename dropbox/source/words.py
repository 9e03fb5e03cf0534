"""Sentences that pages look up: for errors, closed boxes and states. All go through the catalogues."""

from __future__ import annotations

from flask_babel import gettext, lazy_gettext

from dropbox.intake.sending import State
from keys.codename import UnknownWord, WrongCheckWord, WrongLength
from keys.epochs import Closed
from keys.errors import DropBoxError, NoRoom, Stale

LANGUAGES = ("th", "en")

_CLOSED = {
    Closed.NO_MANIFEST: lazy_gettext("The newsroom has not signed this drop box yet."),
    Closed.MANIFEST_ROLLED_BACK: lazy_gettext("The newsroom's signed description is older than one seen before."),
    Closed.MANIFEST_NOT_YET_VALID: lazy_gettext("The newsroom's signed description is not valid yet."),
    Closed.MANIFEST_EXPIRED: lazy_gettext("The newsroom's signed description has expired."),
    Closed.ORDERED: lazy_gettext("The newsroom has ordered this drop box closed."),
    Closed.CLOCK_BEHIND: lazy_gettext("The clock of this server is wrong."),
    Closed.WEEK_BELOW_FLOOR: lazy_gettext("The clock of this server is wrong."),
    Closed.NO_EPOCHS: lazy_gettext("No newsroom has published a key for this week."),
}

_FILE_STATES = {
    State.STORED: lazy_gettext("stored"),
    State.INTERRUPTED: lazy_gettext("broke off: only this much is stored"),
    State.TOO_LARGE: lazy_gettext("too large: only its beginning is stored"),
    State.NO_ROOM: lazy_gettext("no room: not all of it is stored"),
    State.TOO_MANY: lazy_gettext("too many files: not stored"),
    State.FAILED: lazy_gettext("could not be stored"),
}

_REPLY_STATES = {
    "": "",
    "opened": lazy_gettext("Opened: a journalist has read it."),
    "checking": lazy_gettext("Being checked: journalists are looking into it."),
    "needs-more": lazy_gettext("Needs more: please read what they ask."),
    "published": lazy_gettext("Published."),
    "closed": lazy_gettext("Closed: no further work on it for now."),
}


def of_closed(reason: Closed) -> str:
    return str(_CLOSED[reason])


def of_file(state: State) -> str:
    return str(_FILE_STATES[state])


def of_reply(state: str) -> str:
    return str(_REPLY_STATES[state])


def of_error(error: DropBoxError) -> tuple[str, str]:
    """Return what happened and what to do, in the page's language."""
    if isinstance(error, UnknownWord):
        return gettext("One of the words is not in the list."), gettext("Compare it with what you wrote down.")
    if isinstance(error, WrongCheckWord):
        return (
            gettext("The words don't fit together: one is wrong, or the order is."),
            gettext("Compare them with what you wrote down, in order."),
        )
    if isinstance(error, WrongLength):
        return gettext("A codename has eight words."), gettext("Type all eight, in order.")
    if isinstance(error, NoRoom):
        return gettext("There is no room just now."), gettext("Try again later. Text finds room longest.")
    if isinstance(error, Stale) and error.http_status == 503:
        return gettext("The drop box is closed."), gettext("Nothing was stored. Try again later.")
    return gettext(error.message), gettext(error.remedy)


def size(count: int) -> str:
    """A size for people: 48.2 MB."""
    if count < 1_000:
        return f"{count} B"
    value, unit = float(count), "B"
    for unit in ("kB", "MB", "GB"):
        value /= 1_000
        if value < 999.95:
            break
    return f"{value:.1f} {unit}"
