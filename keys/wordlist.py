"""The two frozen lists of 7,776 words that codenames are made of. SPEC section 5.

No word of a list begins another one, as it is typed; so letters without any space still fall into words in one way
only. The lists are data of this package, read once, when first asked for, and verified against the digests here.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, cached_property
from importlib import resources
from itertools import accumulate, pairwise

from keys.errors import Misconfigured

LIST_LENGTH = 7776
SUGGESTIONS = 5


class Language(StrEnum):
    """The languages that codenames come in. Either serves on either language's pages."""

    THAI = "th"
    ENGLISH = "en"


_FILES = {
    Language.THAI: ("thai.txt", "89430e25a3c56aeb688d6d5232cbcd2e9ee52ea034248e866e407ecae18059e5"),
    Language.ENGLISH: ("english.txt", "2b61c5d8d9205962a00a9bf4b5c6913b2df257c9b44234ff098667cb0fff0c8c"),
}


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of typed letters: the index of the word that it is, or None and the letters as they stand."""

    index: int | None
    letters: str

    def __repr__(self) -> str:
        return "Piece(…)"


class WordList:
    """One list, in order. Make it with `word_list`."""

    def __init__(self, words: tuple[str, ...]) -> None:
        self.words = words
        self._index = {decomposed(word): index for index, word in enumerate(words)}
        self._lengths = sorted({len(letters) for letters in self._index})

    def apart(self, letters: str) -> list[Piece] | None:
        """Take letters without spaces apart into words of this list: in the one way there is, or None."""
        pieces = []
        at = 0
        while at < len(letters):
            end = next(self.ends(letters, at), None)
            if end is None:
                return None
            pieces.append(self.piece(letters[at:end]))
            at = end
        return pieces

    def guess(self, runs: Sequence[str], expected: int) -> list[Piece]:
        """Take runs of letters, between which somebody typed a space, for words and mistyped words.

        As many runs as are expected are one word each, right or wrong. Any other number is read as it costs least,
        with as few unknown letters as can be.
        """
        if len(runs) == expected:
            return [self.piece(run) for run in runs]
        return _Reading(self, runs).pieces()

    def ends(self, letters: str, at: int) -> Iterator[int]:
        """Yield where a word that begins at this letter ends: once at most, since no word begins another."""
        lengths = (length for length in self._lengths if at + length <= len(letters))
        return (at + length for length in lengths if letters[at : at + length] in self._index)

    def piece(self, letters: str) -> Piece:
        return Piece(self._index.get(letters), letters)

    def near(self, letters: str) -> tuple[str, ...]:
        """Return up to five words that somebody may have meant, the likeliest first; none when nothing is near."""
        grams = Counter(gram for each in set(_grams(letters)) for gram in self._by_gram.get(each, ()))
        often = sorted(grams, key=lambda index: (-grams[index] / (len(self.words[index]) + len(letters)), index))
        limit = min(_FAR, _FAR_AT_LEAST + _FAR_A_LETTER * len(letters))
        likely = ((decomposed(self.words[index]), index) for index in often[:_CANDIDATES])
        distances = ((distance(letters, word), index) for word, index in likely)
        nearest = sorted((far, index) for far, index in distances if far <= limit)
        return tuple(self.words[index] for _, index in nearest[:SUGGESTIONS])

    @cached_property
    def _by_gram(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for letters, index in self._index.items():
            for gram in set(_grams(letters)):
                found.setdefault(gram, []).append(index)
        return found


@cache
def word_list(language: Language) -> WordList:
    """Return the list of a language.

    Raises:
        Misconfigured: it isn't the list that this version was released with.
    """
    name, digest = _FILES[language]
    try:
        data = (resources.files("keys") / "words" / name).read_bytes()
    except OSError as error:
        raise Misconfigured(f"The word list {name} is missing.", "Install this package again.") from error
    if hashlib.sha256(data).hexdigest() != digest:
        raise Misconfigured(f"The word list {name} is not the one of this version.", "Install this package again.")
    return WordList(tuple(data.decode("utf-8").splitlines()))


def decomposed(word: str) -> str:
    """Return a word as typed letters are compared: NFKD, in which the Thai vowel ำ is two characters."""
    return unicodedata.normalize("NFKD", word)


# What it costs to take letters for something else than words. Chosen so that one mistyped word is one unknown piece.
_UNKNOWN = 12
_UNKNOWN_LETTER = 2
_UNKNOWN_EDGE = 20  # An unknown piece that begins or ends elsewhere than at the spaces that were typed.
_UNKNOWN_ACROSS = 30  # A space inside an unknown piece.
_WORD_EDGE = 1
_LONGEST_UNKNOWN = 24


class _Reading:
    """The cheapest way to read letters as words and unknown pieces."""

    def __init__(self, words: WordList, runs: Sequence[str]) -> None:
        self._words = words
        self._letters = "".join(runs)
        self._borders = set(accumulate(map(len, runs), initial=0))
        self._unknown_edge = _UNKNOWN_EDGE if len(runs) > 1 else 0

    def pieces(self) -> list[Piece]:
        last = len(self._letters)
        best: list[tuple[int, int]] = [(0, 0)] + [(1 << 30, 0)] * last  # Cost up to here, and where the last began.
        for at in range(last):
            for end, cost in self._steps(at):
                best[end] = min(best[end], (best[at][0] + cost, at))
        ends = [last]
        while ends[-1]:
            ends.append(best[ends[-1]][1])
        return [self._words.piece(self._letters[at:end]) for at, end in pairwise(reversed(ends))]

    def _steps(self, at: int) -> Iterator[tuple[int, int]]:
        inside = 0
        loose_start = at not in self._borders
        for end in range(at + 1, min(at + _LONGEST_UNKNOWN, len(self._letters)) + 1):
            loose = loose_start + (end not in self._borders)
            cost = _UNKNOWN + _UNKNOWN_LETTER * (end - at) + self._unknown_edge * loose + _UNKNOWN_ACROSS * inside
            yield end, cost
            inside += end in self._borders
        for end in self._words.ends(self._letters, at):
            crossed = sum(border in self._borders for border in range(at + 1, end))
            yield end, _WORD_EDGE * (loose_start + (end not in self._borders) + crossed)


# How far two spellings are apart, in tenths of a letter.
_LETTER = 10
_SWAPPED = 8
_DOUBLED = 4
_MARK = 3  # A Thai tone mark or silencer, there or not or another one.
_NEIGHBOUR = 6
_CLOSE = 4
_FAR = 24
_FAR_AT_LEAST = 6
_FAR_A_LETTER = 4
_CANDIDATES = 40

_MARKS = frozenset("่้๊๋์็")
# Letters that sound alike, look alike, or differ in length only.
_ALIKE = (
    *("ขฃคฅฆ", "ชฉฌซ", "ซสศษ", "ดฎ", "ตฏ", "ถฐทธฑฒ", "นณ", "พผภ", "ฟฝ", "ยญ", "รลฬฤ"),
    *("คดต", "บป", "กภถ", "ฎฏ", "มน", "อฮ", "ใไโ", "เแ", "ะาั", "ิีึื", "ุู"),
    *("ae", "ei", "ou", "ck", "sc", "sz", "iy", "mn", "vw"),
)
# Rows of the Thai (Kedmanee) and the Latin keyboard, without and with shift.
_KEYS = (
    ("\0\0\0ภถุึคตจขช", "\0\0\0\0\0ู"),
    ("\0ไํะัีรนยบล", "\0\0ฎฑธ\0๊ณ\0ญฐ"),
    ("ฟหกดเ้่าสวง", "ฤฆฏโฌ็๋ษศซ"),
    ("ผปแอิืทมใฝ", "\0\0ฉฮ\0์\0ฒฬ"),
    ("qwertyuiop", ""),
    ("asdfghjkl", ""),
    ("zxcvbnm", ""),
)


@cache
def _substitutions() -> dict[tuple[str, str], int]:
    costs: dict[tuple[str, str], int] = {}
    for plain, shifted in _KEYS:
        for one, other in [*pairwise(plain), *pairwise(shifted), *zip(plain, shifted, strict=False)]:
            costs[one, other] = costs[other, one] = _NEIGHBOUR
    for group in _ALIKE:
        costs.update({(one, other): _CLOSE for one in group for other in group})
    costs.update({(one, other): _MARK for one in _MARKS for other in _MARKS})
    return costs


def distance(typed: str, word: str) -> int:
    """Return how far a word is from what was typed, in tenths of a letter (Damerau-Levenshtein, weighted)."""
    costs = _substitutions()
    needless, missing = _lone(typed), _lone(word)
    rows = [list(accumulate(missing, initial=0))]
    for at, letter in enumerate(typed):
        above, row = rows[-1], [rows[-1][0] + needless[at]]
        for column, meant in enumerate(word):
            wrong = 0 if letter == meant else costs.get((letter, meant), _LETTER)
            cost = min(above[column] + wrong, above[column + 1] + needless[at], row[column] + missing[column])
            if at and column and letter == word[column - 1] and typed[at - 1] == meant:
                cost = min(cost, rows[-2][column - 1] + _SWAPPED)
            row.append(cost)
        rows.append(row)
    return rows[-1][-1]


def _lone(letters: str) -> list[int]:
    """Return for each letter what it costs when it is too many, or too few."""
    return [
        _MARK if letter in _MARKS else _DOUBLED if letter == before else _LETTER
        for before, letter in pairwise(f" {letters}")
    ]


def _grams(letters: str) -> Iterator[str]:
    plain = "".join(letter for letter in letters if letter not in _MARKS)
    return ("".join(pair) for pair in pairwise(f"^{plain}$"))
