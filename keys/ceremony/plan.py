"""The plan of a manifest: a file that people edit and read aloud, and the terms that it stands for.

TOML, so that comments may say why. Keys come from public cards that lie beside the plan; what a network keeps for
life (founding, R, practice) comes from the previous manifest and can't be written in a plan.
"""

from __future__ import annotations

import datetime
import json
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, TypeVar

from keys import cards
from keys.cards import Card, CourierCard, DeskCard, RootCard, ServerCard
from keys.encoding import Fields
from keys.errors import Malformed, Refused
from keys.languages import MAX_NAME_BYTES, Text
from keys.manifest import Manifest
from keys.minisign import MAX_SIGNATURES
from keys.onion import OnionAddress, parse_onion
from keys.primitives import ARGON2_SALT_BYTES, Randomness
from keys.terms import (
    DEFAULT_STANZAS,
    MAX_CODENAME_PARAMETERS,
    MAX_DESK_NUMBER,
    MAX_LISTED,
    MAX_STANZAS,
    NONCE_BYTES,
    Founding,
    KdfParameters,
    Limits,
    Onions,
    Terms,
    parse_desk_number,
)

TEMPLATE_NAME = Text("ชื่อเครือข่าย", "Name of the network")
TEMPLATE = f"""\
# The plan of a manifest. Edit it, read it aloud together, then: newsroom-keys manifest draft
# The names in quotes that end in .card are the public cards of roots, desks, servers and couriers.
# They lie beside this file. Compare every card's fingerprint by voice with whoever made it.

[network]
name = {{ th = "{TEMPLATE_NAME.th}", en = "{TEMPLATE_NAME.en}" }}
# From this day, 00:00 UTC; leave it out to begin at once. At most 366 days.
# valid_from = "2026-12-01"
valid_days = 365
# How many of the roots must sign each manifest.
threshold = 2
roots = ["root-a.card", "root-b.card", "root-c.card"]
desks = ["desk-1.card"]
servers = ["server-alpha.card"]
couriers = ["carrier.card"]
# Numbers of desks that left. They are never given to another desk.
retired_desks = []
# How many desks must sign a bulletin: 1 or 2.
bulletin_signatures = 1
# How many readers one cell has places for, at least the desks plus two. Only in the first plan: it stays for life.
recipients = 6
partners = []
supporters = []

[onions]
# The addresses that `onion-config keys` printed, each in quotes: source = ["….onion"]
source = []
collect = []

[codename]
# How hard a codename is to guess. Old values are kept for those who come back.
memory_mib = 64
passes = 3
# Set it to true once to draw a new salt with these values.
renew = false

[limits]
# What is left out has the default that docs/SPEC.md gives.
acknowledge_weeks = 6
grace_weeks = 8
file_bytes = 2_147_483_648
files = 20
"""

_T = TypeVar("_T", bound=Card)
_DAY = 86_400
_NETWORK_DEFAULTS: dict[str, Any] = {
    "valid_from": "",
    "valid_days": 365,
    "desks": [],
    "servers": [],
    "couriers": [],
    "retired_desks": [],
    "bulletin_signatures": 1,
    "recipients": 0,
    "partners": [],
    "supporters": [],
}


def filled(values: Mapping[str, object]) -> str:
    """Write the template with some of its lines filled in.

    Args:
        values: by the name that begins the line: a number, a string, a text in both languages, or a list of them.

    Raises:
        ValueError: the template has no such line, or several.
    """
    text = TEMPLATE
    for name, value in values.items():
        line = f"{name} = {_as_toml(value)}"
        text, found = re.subn(rf"(?m)^{re.escape(name)} = .*$", lambda _, line=line: line, text)  # type: ignore[misc]
        if found != 1:
            raise ValueError(f"the template has {found} lines for {name}")
    return text


def _as_toml(value: object) -> str:
    if isinstance(value, Text):
        return f"{{ th = {_as_toml(value.th)}, en = {_as_toml(value.en)} }}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_as_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)  # A JSON string or number is one of TOML's.


def refuse_unfinished(terms: Terms) -> None:
    """Refuse terms that nobody should sign: the template's own, or those of a box that nobody can find.

    A practice network needs no addresses: it may be reached by sockets alone.

    Raises:
        Refused: the plan is to be finished first.
    """
    if terms.name == TEMPLATE_NAME:
        raise Refused(
            "The network still has the name that stands in the plan's template.",
            "Write the network's own name into the plan, in Thai and English, and draft anew.",
        )
    missing = [
        site for site, listed in (("source", terms.onions.source), ("collect", terms.onions.collect)) if not listed
    ]
    if missing and not terms.practice:
        raise Refused(
            f"This manifest names no {' and no '.join(missing)} address: nobody would find the box.",
            "Write what onion-config keys printed into the plan's [onions], and draft anew.",
        )


def terms_of(
    plan: bytes,
    card: Callable[[str], bytes],
    previous: Manifest | None,
    *,
    practice: bool,
    now: int,
    randomness: Randomness,
) -> Terms:
    """Read a plan, and return the terms of the manifest that it stands for.

    Args:
        plan: the file.
        card: returns the bytes of a card by the name that the plan gives it.
        previous: the manifest in force, or None for the first of a network, whose nonce and salt are drawn here.
        practice: whether a first manifest founds a practice network.
        now: Unix seconds, for a plan that doesn't say from when it is valid.
        randomness: for the nonce and the codename's salt.

    Raises:
        Malformed: it isn't a plan, a card is wrong, or a value is out of its bounds.
        NotAuthentic: a card was changed.
    """
    tables = Fields(_toml(plan), "plan")
    network = Fields({**_NETWORK_DEFAULTS, **tables.object("network")}, "plan's network")
    onions = _onions(Fields(tables.object("onions"), "plan's onions"))
    parameters = _codename(Fields(tables.object("codename"), "plan's codename"), previous, randomness)
    limits = _limits(tables.object("limits"))
    tables.done()

    def read(name: str, kind: type[_T], most: int = MAX_LISTED) -> list[_T]:
        found = [_card(card, each, kind) for each in network.array(name, most)]
        if len({each.key for each in found}) != len(found):
            raise Malformed(f"The plan's {name} list one key twice.", "Name each card once.")
        return found

    roots = tuple(root.key for root in read("roots", RootCard, MAX_SIGNATURES))
    if not roots:
        raise Malformed("The plan has no roots.", "Name the card of everybody who may sign.")
    threshold = network.integer("threshold", 1, len(roots))
    founding = previous.founding if previous else Founding(randomness(NONCE_BYTES), roots, threshold)
    valid_from = _day(network.text("valid_from"), now)
    terms = Terms(
        name=Text.parse(network.object("name"), "network's name", MAX_NAME_BYTES),
        practice=previous.practice if previous else practice,
        valid_from=valid_from,
        valid_until=valid_from + network.integer("valid_days", 1, 366) * _DAY,
        roots=roots,
        threshold=threshold,
        founding=founding,
        recipients=_recipients(network, previous),
        onions=onions,
        codename=parameters,
        limits=limits,
        servers=tuple(each.party for each in read("servers", ServerCard)),
        desks=tuple(sorted((each.desk for each in read("desks", DeskCard)), key=lambda desk: desk.number)),
        retired_desks=tuple(
            sorted(parse_desk_number(each) for each in network.array("retired_desks", MAX_DESK_NUMBER))
        ),
        couriers=tuple(each.party for each in read("couriers", CourierCard)),
        partners=_texts(network, "partners"),
        supporters=_texts(network, "supporters"),
        bulletin_signatures=network.integer("bulletin_signatures", 1, 2),
    )
    network.done()
    return terms


def _toml(plan: bytes) -> dict[str, Any]:
    try:
        return tomllib.loads(plan.decode("utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise Malformed(f"The plan isn't TOML: {error}.", "Mend the line that is named.") from error
    except UnicodeDecodeError as error:
        raise Malformed("The plan isn't text in UTF-8.", "Save it as UTF-8.") from error


def _card(card: Callable[[str], bytes], name: Any, kind: type[_T]) -> _T:
    if type(name) is not str:
        raise Malformed("The plan lists something else than the name of a card.", "Put each card's name in quotes.")
    found = cards.parse(card(name))
    if not isinstance(found, kind):
        raise Malformed(f"The card {name!r} stands in the wrong list of the plan.", "Move it to the list of its kind.")
    return found


def _recipients(network: Fields, previous: Manifest | None) -> int:
    # A plan that names another number than the one in force is refused when the draft is made (SPEC 10.3, step 3).
    return network.integer("recipients", 0, MAX_STANZAS) or (previous.recipients if previous else DEFAULT_STANZAS)


def _day(text: str, now: int) -> int:
    if not text:
        return now
    try:
        day = datetime.date.fromisoformat(text)
    except ValueError as error:
        raise Malformed("The plan's valid_from isn't a day.", 'Write it as "2026-12-01".') from error
    return int(datetime.datetime.combine(day, datetime.time(), datetime.UTC).timestamp())


def _onions(fields: Fields) -> Onions:
    def read(name: str) -> tuple[OnionAddress, ...]:
        return tuple(parse_onion(str(each)) for each in fields.array(name, MAX_LISTED))

    onions = Onions(read("source"), read("collect"))
    fields.done()
    return onions


def _codename(fields: Fields, previous: Manifest | None, randomness: Randomness) -> tuple[KdfParameters, ...]:
    memory_kib, passes = fields.integer("memory_mib", 8, 1024) * 1024, fields.integer("passes", 1, 16)
    renew = fields.boolean("renew")
    fields.done()
    kept = previous.codename if previous else ()
    if kept and not renew:
        if (kept[0].memory_kib, kept[0].passes) != (memory_kib, passes):
            raise Malformed(
                "The plan's codename parameters differ from those in force, and renew is false.",
                "Set renew to true to draw a new salt with them, or write those in force.",
            )
        return kept
    return (KdfParameters(randomness(ARGON2_SALT_BYTES), memory_kib, passes), *kept)[:MAX_CODENAME_PARAMETERS]


def _limits(given: dict[str, Any]) -> Limits:
    defaults = asdict(Limits())
    fields = Fields({**defaults, **given}, "plan's limits")
    limits = Limits(**{name: fields.integer(name, 0, 2**53 - 1) for name in defaults})
    fields.done()
    return limits


def _texts(fields: Fields, name: str) -> tuple[Text, ...]:
    return tuple(Text.parse(each, f"plan's {name}", MAX_NAME_BYTES) for each in fields.array(name, MAX_LISTED))
