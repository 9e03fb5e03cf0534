"""Plans that people edit: what they stand for, and what is said about their mistakes."""

from __future__ import annotations

import contextlib
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys import cards, manifest
from keys.cards import Card, CourierCard, DeskCard, RootCard, ServerCard
from keys.ceremony import plan
from keys.errors import DropBoxError, Malformed
from keys.languages import Text
from keys.manifest import Limits, Manifest, Terms
from keys.onion import onion_address
from tests.simulators.newsroom import DAY, NOW, Newsroom, seeded

NEWSROOM = Newsroom(desks=1)
CARDS: dict[str, Card] = {
    **{f"root-{'abc'[at]}.card": RootCard(f"Root {at}", key) for at, key in enumerate(NEWSROOM.terms.roots)},
    "desk-1.card": DeskCard(NEWSROOM.terms.desks[0]),
    "server-alpha.card": ServerCard(NEWSROOM.terms.servers[0]),
    "carrier.card": CourierCard(NEWSROOM.terms.couriers[0]),
}
ADDRESS = onion_address(bytes(32))
MISTYPED = onion_address(bytes(32)).replace("a", "b", 1)


def terms_of(text: str, previous: Manifest | None = None, *, practice: bool = False) -> Terms:
    def card(name: str) -> bytes:
        return cards.compose(CARDS[name]) if name in CARDS else b""

    return plan.terms_of(text.encode(), card, previous, practice=practice, now=NOW, randomness=seeded("a plan"))


def edited(*edits: tuple[str, str]) -> str:
    text = plan.TEMPLATE
    for pattern, line in edits:
        text, number = re.subn(pattern, line, text, flags=re.MULTILINE)
        assert number == 1, pattern
    return text


def test_the_template_is_a_plan() -> None:
    terms = terms_of(plan.TEMPLATE, practice=True)

    assert manifest.parse(manifest.compose(terms)).terms == terms
    assert (terms.practice, terms.threshold, terms.recipients) == (True, 2, 6)
    assert (terms.valid_from, terms.valid_until) == (NOW, NOW + 365 * DAY)
    assert terms.limits == Limits()
    assert [(each.memory_kib, each.passes) for each in terms.codename] == [(65536, 3)]
    assert terms.roots == terms.founding.roots == NEWSROOM.terms.roots


@pytest.mark.parametrize(
    ("pattern", "line", "words"),
    [
        (r"^threshold = 2", "threshold = 4", "threshold"),
        (r"^threshold = 2", "threshold = two", "line 11"),
        (r"^valid_days = 365", "valid_days = 367", "valid_days"),
        (r"^valid_days = 365", "valid_days = 36.5", "valid_days"),
        (r"^servers = .*", 'servers = ["root-a.card"]', "wrong list"),
        (r"^servers = .*", "servers = [1]", "something else"),
        (r"^partners = .*", 'partner = ["x"]', "unknown field"),
        (r"^partners = .*", 'partners = ["x"]', "partners"),
        (r"^memory_mib = 64", "memory_mib = 4", "memory_mib"),
        (r"^source = .*", f'source = ["{MISTYPED}"]', "mistyped"),
        (r"^recipients = 6", "recipients = 1", "recipients"),
        (r"^files = 20", "files = 0", "files"),
        (r"^files = 20", "folders = 20", "unknown field"),
        (r"^# valid_from = .*", 'valid_from = "tomorrow"', "valid_from"),
        (r"^# valid_from = .*", "valid_from = 2026-12-01", "valid_from"),
        (r"^retired_desks = .*", "retired_desks = [0]", "1 to 127"),
        (r"^name = .*", 'name = { th = "ก" }', "network's name"),
        (r"^\[limits\]", "[limit]", "limits"),
        (r"^roots = .*", 'roots = ["root-a.card", "root-a.card"]', "twice"),
        (r"^roots = .*", "roots = []", "no roots"),
        (r"^roots = .*", f"roots = {['root-a.card'] * 17}", "roots"),
        (r"^desks = .*", 'desks = ["desk-1.card", "desk-1.card"]', "twice"),
    ],
)
def test_a_bad_plan_is_told(pattern: str, line: str, words: str) -> None:
    with pytest.raises(Malformed) as raised:
        manifest.compose(terms_of(edited((pattern, line))))

    assert words in raised.value.message


def test_the_template_is_filled_in() -> None:
    name, partner = Text('ชื่อ "ที่อ้าง"', "A\\name"), Text("หุ้นส่วน", "A partner")
    terms = terms_of(plan.filled({"name": name, "threshold": 3, "partners": [partner], "source": [ADDRESS]}))

    assert (terms.name, terms.threshold, terms.partners) == (name, 3, (partner,))
    assert (terms.onions.source, terms.onions.collect) == ((ADDRESS,), ())
    assert plan.filled({}) == plan.TEMPLATE
    for unknown in ("nobody", "th", "valid_from", "n.me"):
        with pytest.raises(ValueError, match="the template has"):
            plan.filled({unknown: ""})


def test_a_day_is_read_as_utc() -> None:
    terms = terms_of(edited((r"^# valid_from = .*", 'valid_from = "2026-12-01"')))

    assert terms.valid_from == 1796083200
    assert terms.valid_from % DAY == 0


def test_what_a_network_keeps_for_life_comes_from_the_previous_manifest() -> None:
    previous = Newsroom(roots=3, desks=1, practice=True, recipients=9).manifest
    kept = edited((r"^recipients = 6\n", ""), (r"^memory_mib = 64", "memory_mib = 8"), (r"^passes = 3", "passes = 1"))

    terms = terms_of(kept, previous)

    assert (terms.recipients, terms.practice, terms.founding) == (9, True, previous.founding)
    assert terms.codename == previous.codename


def test_a_new_salt_is_drawn_only_on_request_and_old_ones_are_kept() -> None:
    previous = Newsroom(roots=3, desks=1).manifest
    with pytest.raises(Malformed, match="renew"):
        terms_of(plan.TEMPLATE, previous)

    renewed = edited((r"^renew = false", "renew = true"))
    codename = previous.codename
    for _ in range(5):
        codename = terms_of(renewed, replace(previous, codename=codename)).codename

    assert len(codename) == 4
    assert terms_of(renewed, previous).codename[1:] == previous.codename


@given(text=st.text(max_size=200))
def test_any_text_raises_only_our_errors(text: str) -> None:
    for whole in (text, plan.TEMPLATE + text, plan.TEMPLATE.replace("2", text[:10])):
        with contextlib.suppress(DropBoxError):
            terms_of(whole)
