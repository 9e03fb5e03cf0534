"""Texts that exist in every language of the box, Thai and English as equals. SPEC section 2.5."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Any

from keys.encoding import Fields
from keys.errors import Malformed

LANGUAGES = ("th", "en")
MAX_NAME_BYTES = 300
MAX_DESCRIPTION_BYTES = 4_000

# Line and paragraph separators, and what reorders or hides text: none may stand in a name that people compare.
_DECEIVING = frozenset("\u2028\u2029\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")


@dataclass(frozen=True, slots=True)
class Text:
    """One text in each language, as it stands in a signed object."""

    th: str
    en: str

    def of(self, language: str) -> str:
        """Return the text in a language (`th` or `en`). Raises: ValueError: for any other language."""
        if language not in LANGUAGES:
            raise ValueError("a text is in th or in en")
        return self.th if language == "th" else self.en

    def to_fields(self) -> dict[str, str]:
        return {"th": self.th, "en": self.en}

    @classmethod
    def parse(cls, value: Any, what: str, max_bytes: int, *, lines: bool = False, empty: bool = False) -> Text:
        """Read a text in languages from parsed JSON.

        Control characters are refused, since these texts are printed on terminals too; `lines` allows line feeds
        and tabs, and `empty` allows empty texts.

        Raises:
            Malformed: another shape, too long, empty, or with characters that deceive.
        """
        fields = Fields(value, what)
        text = cls(fields.text("th", max_bytes), fields.text("en", max_bytes))
        fields.done()
        for part in (text.th, text.en):
            if not empty and not part.strip():
                raise Malformed(f"The {what} is empty in one of its languages.")
            refuse_deceiving(part, what, lines=lines)
        return text


def refuse_deceiving(text: str, what: str, *, lines: bool = False) -> None:
    """Refuse control characters and those that reorder or hide text.

    Zero-width space and (non-)joiners stay allowed: Thai is written with them.

    Raises:
        Malformed: when there is one.
    """
    for character in text:
        if lines and character in "\n\t":
            continue
        if character in _DECEIVING or unicodedata.category(character) == "Cc":
            raise Malformed(f"The {what} holds a control character, or one that reorders or hides text.")
