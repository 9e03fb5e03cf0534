"""Codenames: seven random words and a check word, and how they are read however they are typed. SPEC section 5.

A codename is all that a source keeps, and it is kept nowhere else. Nothing here writes it into an error or a repr.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from keys import primitives
from keys.errors import Malformed
from keys.primitives import Randomness
from keys.wordlist import LIST_LENGTH, Language, Piece, WordList, word_list

__all__ = ["Codename", "Language", "UnknownWord", "WrongCheckWord", "WrongLength", "make", "read"]

SECRET_WORDS = 7
WORDS = SECRET_WORDS + 1
MAX_TYPED = 1_000
"""In characters: ten times the longest codename."""

_CHECK = b"mustshare/v1/check\0"
_DRAWN = 1 << 16
_EVEN = _DRAWN - _DRAWN % LIST_LENGTH  # Eight times the list's length; numbers from here on are drawn again.
_MISCOUNTED = 2


class UnknownWord(Malformed):
    """Some words aren't in the list.

    Attributes:
        positions: which, counted from 1.
        suggestions: for each of them up to five words of the list that may be meant. They come close to the
            codename: for the page that asks again, never for a log.
    """

    default_remedy = "Compare it with what you wrote down."

    def __init__(self, positions: tuple[int, ...], suggestions: tuple[tuple[str, ...], ...]) -> None:
        super().__init__("One of the words is not in the list.")
        self.positions = positions
        self.suggestions = suggestions


class WrongCheckWord(Malformed):
    """Every word is in the list, but they don't belong together."""

    default_remedy = "Compare them with what you wrote down, in order."

    def __init__(self) -> None:
        super().__init__("The words don't fit together: one is wrong, or the order is.")


class WrongLength(Malformed):
    """There are fewer words than eight, or more.

    Attributes:
        count: how many were read.
    """

    default_remedy = "Type all eight, in order."

    def __init__(self, count: int) -> None:
        super().__init__("A codename has eight words.")
        self.count = count


@dataclass(frozen=True, slots=True, repr=False)
class Codename:
    """A codename, as its language and the places of its seven words in that list."""

    language: Language
    indices: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.indices) != SECRET_WORDS or not all(0 <= index < LIST_LENGTH for index in self.indices):
            raise ValueError("a codename is seven places in a list of 7,776")

    def __repr__(self) -> str:
        return "Codename(…)"

    @property
    def words(self) -> tuple[str, ...]:
        """The eight words that a source keeps, the check word last."""
        return (*self._secret_words, word_list(self.language).words[self.check])

    @property
    def text(self) -> str:
        """The eight words with single spaces between them."""
        return " ".join(self.words)

    @property
    def canonical(self) -> bytes:
        """What is stretched with Argon2id: the language and the seven words, as the frozen list spells them."""
        return f"{self.language}:{'-'.join(self._secret_words)}".encode()

    @property
    def check(self) -> int:
        """The place of the check word, which follows from the seven."""
        return int.from_bytes(primitives.sha256(_CHECK + self.canonical)[:8]) % LIST_LENGTH

    @property
    def _secret_words(self) -> tuple[str, ...]:
        words = word_list(self.language).words
        return tuple(words[index] for index in self.indices)


def make(language: Language, randomness: Randomness) -> Codename:
    """Draw a codename, each as likely as any other."""
    indices: list[int] = []
    while len(indices) < SECRET_WORDS:
        drawn = int.from_bytes(randomness(2))
        if drawn < _EVEN:
            indices.append(drawn % LIST_LENGTH)
    return Codename(language, tuple(indices))


def read(typed: str) -> Codename:
    """Read a codename, of either language, from whatever somebody typed or pasted.

    Case, width and composition of letters, spaces or none between words, punctuation, numbering, and the order in
    which Thai marks were typed make no difference. A wrong word is never replaced by one that it resembles.

    Raises:
        UnknownWord: some words aren't in the list.
        WrongLength: these aren't eight words.
        WrongCheckWord: these are eight words, but no codename.
        Malformed: it is far too long to be one.
    """
    runs = _runs(typed[: MAX_TYPED + 1])
    letters = "".join(runs)
    if max(len(typed), len(letters)) > MAX_TYPED:  # One typed character can unfold into eighteen.
        raise Malformed("This is far longer than a codename.", WrongLength.default_remedy)
    thai = sum(map(_is_thai, letters))
    language = Language.THAI if thai > len(letters) - thai else Language.ENGLISH
    pieces = _pieces(runs, word_list(language))
    indices = tuple(piece.index for piece in pieces if piece.index is not None)
    if len(indices) < len(pieces) and abs(len(pieces) - WORDS) <= _MISCOUNTED:
        raise _unknown(language, pieces)
    if len(pieces) != WORDS:
        raise WrongLength(len(pieces))
    codename = Codename(language, indices[:SECRET_WORDS])
    if codename.check != indices[SECRET_WORDS]:
        raise WrongCheckWord
    return codename


def _pieces(runs: list[str], words: WordList) -> list[Piece]:
    """Read the letters without their spaces; only where they aren't words, or were typed as eight, do spaces count."""
    pieces = words.apart(_spelled("".join(runs)))
    if pieces is None or (len(runs) == WORDS != len(pieces)):
        return words.guess([_spelled(run) for run in runs], WORDS)
    return pieces


def _unknown(language: Language, pieces: list[Piece]) -> UnknownWord:
    unknown = [(position, piece.letters) for position, piece in enumerate(pieces, 1) if piece.index is None]
    words = word_list(language)
    return UnknownWord(tuple(position for position, _ in unknown), tuple(words.near(letters) for _, letters in unknown))


_BORDER = "\0"

# How Thai is typed, and how the lists spell it in NFKD.
_ATTACHED = "\u0e31\u0e34-\u0e3a\u0e47"  # Vowels above and below, and the vowel shortener.
_TONES = "\u0e48-\u0e4b"
_SILENCER = "\u0e4c"
_NIKHAHIT = "\u0e4d"  # With า it makes ำ.
_THAI_SPELLINGS = (
    (re.compile("\u0e45"), "า"),
    (re.compile("เเ"), "แ"),
    (re.compile(f"([{_TONES}{_SILENCER}]+)([{_ATTACHED}]+)"), r"\2\1"),  # A tone before the vowel that it stands on.
    (re.compile(f"({_NIKHAHIT})([{_TONES}]+)(?=า)"), r"\2\1"),
    (re.compile(f"({_NIKHAHIT}?[ะา])([{_TONES}]+)"), r"\2\1"),
    (re.compile(f"([{_ATTACHED}{_TONES}{_SILENCER}{_NIKHAHIT}])\\1+"), r"\1"),  # A mark typed twice looks like one.
)


def _runs(typed: str) -> list[str]:
    """Fold what was typed into runs of letters; numbers that stand alone are dropped."""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", typed).casefold())
    runs = "".join(map(_kept, folded)).split(_BORDER)
    return [run for run in runs if run and not run.isdecimal()]


def _spelled(letters: str) -> str:
    for pattern, spelling in _THAI_SPELLINGS:
        letters = pattern.sub(spelling, letters)
    return letters


def _kept(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cf" or (category[0] == "M" and not _is_thai(character)):
        return ""  # Joiners, direction marks, soft hyphens, accents, variation selectors.
    return character if category[0] in "LMN" else _BORDER


def _is_thai(character: str) -> bool:
    return "\u0e01" <= character <= "\u0e5b"
