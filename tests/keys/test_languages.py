"""Texts in both languages, and the characters that none of them may hold."""

from __future__ import annotations

from typing import Any

import pytest

from keys.errors import Malformed
from keys.languages import Text


@pytest.mark.parametrize("text", ["น้ำ\u200bใจ", "a\u200cb", "family 👨\u200d👩", "ก ข", "ราคา ฿5"])
def test_thai_and_other_scripts_are_fine(text: str) -> None:
    assert Text.parse({"th": text, "en": text}, "name", 100).of("th") == text


@pytest.mark.parametrize(
    "character", ["\0", "\x1b", "\n", "\t", "\x7f", "\x9b", "\u202e", "\u2066", "\u2028", "\ufeff"]
)
def test_what_commands_a_terminal_or_deceives_is_refused(character: str) -> None:
    with pytest.raises(Malformed):
        Text.parse({"th": "ก", "en": f"a{character}b"}, "name", 100)


def test_lines_are_allowed_where_asked_for() -> None:
    text = {"th": "ก\n\tข", "en": "a"}

    assert Text.parse(text, "body", 100, lines=True).th == "ก\n\tข"
    with pytest.raises(Malformed):
        Text.parse({"th": "ก\r\n", "en": "a"}, "body", 100, lines=True)


@pytest.mark.parametrize("value", [None, "a", [], {}, {"th": "ก"}, {"th": "ก", "en": 1}, {"th": "ก", "en": " "}])
def test_both_languages_must_say_something(value: Any) -> None:
    with pytest.raises(Malformed):
        Text.parse(value, "name", 100)


def test_length_counts_bytes() -> None:
    assert Text.parse({"th": "ก" * 33, "en": "a"}, "name", 99).th == "ก" * 33
    with pytest.raises(Malformed):
        Text.parse({"th": "ก" * 34, "en": "a"}, "name", 99)


def test_there_is_no_third_language() -> None:
    with pytest.raises(ValueError, match="th or in en"):
        Text("ก", "a").of("de")
