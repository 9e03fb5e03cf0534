"""What a source can be told when something can't be done: each case one class, its sentences in the catalogues.

Whatever else goes wrong below the pages is turned into one of these by `refusal_of`, so that no sentence reaches a
source that isn't there in both languages, and none that carries anything of what was sent.
"""

from __future__ import annotations

from typing import ClassVar

from keys.errors import DropBoxError, Malformed, Misconfigured, NoRoom, NotAuthentic, NotForUs, Refused, Stale


def N_(text: str) -> str:
    """Return a sentence as it is: by this name gettext's tools find those that are looked up later."""
    return text


class Refusal(DropBoxError):
    """One case, told in the page's language: what happened and what is safe, then what to do."""

    sentence: ClassVar[str]
    advice: ClassVar[str]

    def __init__(self) -> None:
        super().__init__(self.sentence, self.advice)


class BadForm(Refusal, Malformed):
    """The form isn't one that these pages send."""

    sentence = N_("The form did not arrive the way this page sends it. Nothing of it was stored.")
    advice = N_("Open the page again in Tor Browser and send it from there.")


class FromElsewhere(Refusal, Refused):
    """The browser says that another site made it send this form."""

    sentence = N_("Another website made your browser send this form. Nothing of it was stored.")
    advice = N_("Open this drop box by its own address in Tor Browser and send it from there.")


class TooLong(Refusal, Refused):
    """A text is longer than its field takes."""

    http_status = 413
    sentence = N_("The text is too long. Nothing was stored.")
    advice = N_("Shorten it, or attach the long part as a file.")


class BrokenOff(Refusal, Malformed):
    """The upload ended before the message was there."""

    sentence = N_("The connection broke before your message was here. Nothing was stored.")
    advice = N_("Send it again. Your codename stays the same while this page is open.")


class TooSlow(Refusal, Malformed):
    """Too little came for too long."""

    http_status = 408
    sentence = N_("Too little arrived for too long, so the connection was ended.")
    advice = N_("Choose New Tor Circuit for this Site in Tor Browser, then try again.")


class NoDesk(Refusal, Refused):
    """No desk was chosen."""

    http_status = 400
    sentence = N_("No newsroom is ticked, so nobody could read this. Nothing was stored.")
    advice = N_("Tick at least one newsroom, then send again.")


class DeskClosed(Refusal, Stale):
    """A desk was chosen that takes nothing now."""

    sentence = N_("One of the newsrooms you ticked takes nothing at the moment. Nothing was stored.")
    advice = N_("Copy your text, then open the page again: it lists the newsrooms that do.")


class BadChoice(Refusal, Refused):
    """A choice that the form doesn't offer."""

    http_status = 400
    sentence = N_("One of the choices is none that this page offers. Nothing was stored.")
    advice = N_("Open the page again and choose anew.")


class NothingToSend(Refusal, Refused):
    """Neither a message nor a file."""

    http_status = 400
    sentence = N_("There is neither a message nor a file.")
    advice = N_("Write something or choose a file, then send again.")


class Closed(Refusal, Stale):
    """The box takes nothing."""

    sentence = N_("This drop box is closed at the moment. Nothing was stored.")
    advice = N_("Come back another day. Replies that are there can still be read.")


class Busy(Refusal, NoRoom):
    """Too many are waiting for their turn."""

    http_status = 503
    sentence = N_("Many people are here at once, and your turn did not come in time.")
    advice = N_("Wait a moment, then try again.")


class Full(Refusal, NoRoom):
    """Not even a text finds room."""

    sentence = N_("There is no room left just now. Nothing was stored.")
    advice = N_("Try again in a day. A short text finds room before anything else does.")


class Expired(Refusal, Stale):
    """The session ended: too long idle, too old, left, or the server was restarted."""

    http_status = 403
    sentence = N_("This mailbox is no longer open here. What a receipt listed is stored.")
    advice = N_("Enter your codename again under See replies.")


class NotHere(Refusal, NotForUs):
    """No such page, or not any more."""

    sentence = N_("There is nothing at this address.")
    advice = N_("Go back to the first page.")


class NoSuchPost(Refusal, NotForUs):
    """No such call or post: never published here, not yet, or its signature doesn't verify."""

    sentence = N_("There is no such call or post here.")
    advice = N_("The list of calls shows all that newsrooms have signed.")


class ReplyGone(Refusal, NotForUs):
    """A reply that was there has been deleted, or its time is over."""

    sentence = N_("This reply is no longer here.")
    advice = N_("Go back to your replies.")


class ReplyDamaged(Refusal, NotAuthentic):
    """A reply's cells aren't what the desk signed."""

    sentence = N_("This file is not what the newsroom signed, so it is not shown.")
    advice = N_("Tell the newsroom in a message, and ask for it again.")


class UnknownWord(Refusal, Malformed):
    """A word of a codename that no list has."""

    sentence = N_("One of the words is in none of our lists.")
    advice = N_("Compare it with what you wrote down.")


class WrongWords(Refusal, Malformed):
    """The check word doesn't fit."""

    sentence = N_("These words do not belong together: one is wrong, or the order is.")
    advice = N_("Compare them one by one with what you wrote down.")


class WrongLength(Refusal, Malformed):
    """Too few words, or too many."""

    sentence = N_("A codename has eight words.")
    advice = N_("Type all eight, in their order.")


class Failed(Refusal, Misconfigured):
    """The fault is here."""

    http_status = 500
    sentence = N_("Something failed here, not on your side. What a receipt listed is stored.")
    advice = N_("Try again in a while.")


REFUSALS: tuple[type[Refusal], ...] = (
    BadForm,
    FromElsewhere,
    TooLong,
    BrokenOff,
    TooSlow,
    NoDesk,
    DeskClosed,
    BadChoice,
    NothingToSend,
    Closed,
    Busy,
    Full,
    Expired,
    NotHere,
    NoSuchPost,
    ReplyGone,
    ReplyDamaged,
    UnknownWord,
    WrongWords,
    WrongLength,
    Failed,
)
