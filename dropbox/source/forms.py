"""What the forms say, checked: from texts to a message. Nothing here knows of HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dropbox.intake.receive import Form
from dropbox.refusals import BadChoice, DeskClosed, NoDesk
from keys import tip
from keys.age.recipients import HybridIdentity
from keys.mailbox import SourceKeys
from keys.manifest import Manifest

CODENAME, TEXT, DESK, REFER, ANSWER = "codename", "text", "desk", "refer", "answer"
FILES = "files"
YES = "yes"
MAX_CODENAME_BYTES = 4_000
SMALL = 64


def limits(in_force: Manifest) -> dict[str, int]:
    """The most bytes of each text field of the send form."""
    return {
        CODENAME: MAX_CODENAME_BYTES,
        TEXT: text_bytes(in_force),
        DESK: SMALL,
        REFER: SMALL,
        ANSWER: SMALL,
    }


def text_bytes(in_force: Manifest) -> int:
    """The most bytes of a message."""
    return min(in_force.limits.message_bytes, tip.MAX_TEXT_BYTES)


@dataclass(frozen=True, slots=True)
class Choice:
    """What the source chose: which desks may read, whether they may pass it on, whether to be asked back."""

    desks: tuple[int, ...]
    refer: str
    answerable: bool


def choice(form: Form, open_desks: Sequence[int]) -> Choice:
    """Read the choices of a send form.

    Raises:
        NoDesk, DeskClosed: nobody who is open was chosen, or somebody who isn't.
        BadChoice: a choice that the form doesn't offer.
    """
    chosen = {_number(value) for value in form.all(DESK)}
    if not chosen:
        raise NoDesk
    if not chosen <= set(open_desks):
        raise DeskClosed
    refer = form.one(REFER) or "ask"
    answer = form.one(ANSWER)
    if refer not in tip.REFERRALS or answer not in ("", YES):
        raise BadChoice
    return Choice(tuple(sorted(chosen)), refer, answer == YES)


def _number(value: str) -> int:
    if not (value.isascii() and value.isdecimal() and len(value) <= 3):
        raise BadChoice
    return int(value)


def message(form: Form, chosen: Choice, keys: SourceKeys, week: int, language: str) -> tip.Message:
    """Put a form together into the message that is sealed."""
    return tip.Message(
        week=week,
        language=language,
        text=form.one(TEXT).replace("\r\n", "\n"),  # How browsers send every line break.
        desks=chosen.desks,
        refer=chosen.refer,
        mailbox=mailbox_of(keys) if chosen.answerable else None,
    )


def mailbox_of(keys: SourceKeys) -> tip.Mailbox:
    """Return where answers to a source go."""
    return tip.Mailbox(keys.root, str(HybridIdentity.from_seed(keys.reply_seed).recipient()))
