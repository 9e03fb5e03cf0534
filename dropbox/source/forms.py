"""What the forms say, checked: from texts to a message. Nothing here knows of HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dropbox.intake.receive import Form
from keys import tip
from keys.errors import Refused
from keys.mailbox import SourceKeys
from keys.manifest import Manifest
from keys.age.recipients import HybridIdentity

CODENAME, TEXT, DESK, REFER, ANSWER, LANGUAGE = "codename", "text", "desk", "refer", "answer", "language"
FILES = "files"
MAX_CODENAME_BYTES = 4_000
SMALL = 64


def limits(in_force: Manifest) -> dict[str, int]:
    """The most bytes of each text field of the send form."""
    return {
        CODENAME: MAX_CODENAME_BYTES,
        TEXT: min(in_force.limits.message_bytes, tip.MAX_TEXT_BYTES),
        DESK: SMALL,
        REFER: SMALL,
        ANSWER: SMALL,
    }


@dataclass(frozen=True, slots=True)
class Choice:
    """What the source chose: which desks may read, whether they may pass it on, whether to be asked back."""

    desks: tuple[int, ...]
    refer: str
    answerable: bool


class BadForm(Refused):
    """A form that can't be taken as it is; the page says which of its fields and why."""

    http_status = 400


def choice(form: Form, open_desks: Sequence[int]) -> Choice:
    """Read the choices of a send form.

    Raises:
        BadForm: no desk, a desk that isn't open, or a choice that the form doesn't offer.
    """
    chosen = set()
    for value in form.all(DESK):
        if not value.isascii() or not value.isdecimal() or len(value) > 3 or int(value) not in open_desks:
            raise BadForm("One of the newsrooms you chose can't take tips now.", "Open the page again and choose anew.")
        chosen.add(int(value))
    if not chosen:
        raise BadForm("Choose at least one newsroom that may read this.", "Tick one, then send again.")
    refer = form.one(REFER) or "ask"
    if refer not in tip.REFERRALS:
        raise BadForm("Say whether the newsrooms may pass this on.", "Choose one of the three answers.")
    return Choice(tuple(sorted(chosen)), refer, form.one(ANSWER) == "yes")


def message(form: Form, chosen: Choice, keys: SourceKeys, week: int, language: str) -> tip.Message:
    """Put a form together into the message that is sealed."""
    mailbox = None
    if chosen.answerable:
        recipient = str(HybridIdentity.from_seed(keys.reply_seed).recipient())
        mailbox = tip.Mailbox(keys.root, recipient)
    return tip.Message(
        week=week,
        language=language,
        text=form.one(TEXT).replace("\r\n", "\n"),
        desks=chosen.desks,
        refer=chosen.refer,
        mailbox=mailbox,
    )
