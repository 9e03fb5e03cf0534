"""Answering a desk that asks in a reply whether it may pass a tip on: one small sealed message. SPEC section 8.7.1."""

from __future__ import annotations

from collections.abc import Sequence

from dropbox.refusals import BadChoice
from dropbox.replies import Found
from dropbox.source import forms
from dropbox.source.context import Context
from dropbox.source.upload import new_sending
from keys import tip
from keys.manifest import Desk, Manifest

ALLOW, REFUSE = "yes", "no"


def asked_about(found: Found, in_force: Manifest) -> Sequence[Desk]:
    """Return the desks to whom a reply asks to pass the tip on, as far as they are still in the network."""
    return [desk for desk in in_force.desks if desk.number in found.reply.asks]


def answer(context: Context, found: Found, said: str, language: str) -> bool:
    """Seal the source's answer to the desk that asked, and store it; return whether it allows.

    Raises:
        BadChoice: the reply asks nothing, or that is no answer.
        Stale: the box, or that desk, is closed. Nothing was stored.
        NoRoom: nothing was stored.
    """
    in_force = context.box.manifest
    if said not in (ALLOW, REFUSE) or not asked_about(found, in_force):
        raise BadChoice
    week, sealer = context.box.sealer([found.place.desk])
    message = tip.Message(
        week=week,
        language=language,
        text="",
        desks=(found.place.desk,),
        refer="ask",
        mailbox=forms.mailbox_of(found.keys),
        consent=tip.Consent(found.place.week, found.place.index, said == ALLOW),
    )
    with context.seals(sealer) as seals:
        new_sending(context, seals, in_force, found.keys).message(message, closed=True)
    return said == ALLOW
