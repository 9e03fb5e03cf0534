"""Public cards: what travels to a ceremony instead of a key."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys import cards
from keys.cards import Card, CourierCard, DeskCard, RootCard, ServerCard
from keys.encoding import parse_json, to_json
from keys.errors import DropBoxError, Malformed, NotAuthentic
from keys.languages import Text
from keys.manifest import Desk, Party
from keys.minisign import SigningKey

KEY = SigningKey.of(bytes(32))
OTHER = SigningKey.of(b"\1" * 32)
CARDS: list[Card] = [
    RootCard("คุณ ก", KEY),
    ServerCard(Party("alpha", KEY)),
    CourierCard(Party("carrier", KEY)),
    DeskCard(Desk(4, Text("โต๊ะ", "Desk"), Text("บรรทัด\nหนึ่ง", ""), KEY)),
]


@pytest.mark.parametrize("card", CARDS, ids=lambda card: type(card).__name__)
def test_a_card_is_read_back(card: Card) -> None:
    assert cards.parse(cards.compose(card)) == card


@pytest.mark.parametrize("changes", [{"key": OTHER.text}, {"fingerprint": OTHER.fingerprint}])
def test_a_card_whose_key_was_exchanged_is_told(changes: dict[str, str]) -> None:
    for card in CARDS:
        with pytest.raises(NotAuthentic):
            cards.parse(to_json({**parse_json(cards.compose(card)), **changes}))


@pytest.mark.parametrize(
    "changes",
    [{"version": 2}, {"type": "reader"}, {"type": "root"}, {"number": 0}, {"surprise": 1}, {"name": "x"}, {"key": ""}],
    ids=json.dumps,
)
def test_a_card_has_one_form(changes: dict[str, object]) -> None:
    with pytest.raises(Malformed):
        cards.parse(to_json({**parse_json(cards.compose(CARDS[3])), **changes}))


def test_what_no_reader_would_take_is_not_written() -> None:
    for card in (RootCard("\x1b", KEY), ServerCard(Party("Alpha", KEY))):
        with pytest.raises(Malformed):
            cards.compose(card)


@given(data=st.binary(max_size=200))
def test_any_bytes_raise_only_our_errors(data: bytes) -> None:
    with contextlib.suppress(DropBoxError):
        cards.parse(data)
