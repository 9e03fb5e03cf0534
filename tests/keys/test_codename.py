"""Codenames: drawn evenly, read however they are typed, and never one taken for another."""

from __future__ import annotations

import json
import re
import traceback
import unicodedata
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from keys import codename
from keys.codename import Codename, Language, UnknownWord, WrongCheckWord, WrongLength
from keys.errors import Malformed
from keys.wordlist import LIST_LENGTH, word_list

VECTORS = Path(__file__).parents[1] / "vectors" / "codename"
ERRORS = {
    "unknown-word": UnknownWord,
    "wrong-check-word": WrongCheckWord,
    "wrong-length": WrongLength,
    "malformed": Malformed,
}

indices = st.integers(0, LIST_LENGTH - 1)
languages = st.sampled_from(Language)
codenames = st.builds(Codename, languages, st.tuples(*[indices] * 7))


@pytest.mark.parametrize("path", sorted(VECTORS.glob("made-*.json")), ids=lambda path: path.stem)
def test_made_vectors(path: Path) -> None:
    vector = json.loads(path.read_text("utf-8"))
    name = Codename(Language(vector["language"]), tuple(vector["indices"]))

    assert name.canonical.hex() == vector["canonical"]
    assert name.text == vector["text"]
    assert codename.read(vector["text"]) == name
    if vector["random"]:
        stream = iter(bytes.fromhex(vector["random"]))
        assert codename.make(name.language, lambda size: bytes(next(stream) for _ in range(size))) == name


@pytest.mark.parametrize("path", sorted(VECTORS.glob("read-*.json")), ids=lambda path: path.stem)
def test_read_vectors(path: Path) -> None:
    vector = json.loads(path.read_text("utf-8"))
    if vector["expect"] == "ok":
        assert codename.read(vector["typed"]) == Codename(Language(vector["language"]), tuple(vector["indices"]))
        return
    with pytest.raises(Malformed) as caught:
        codename.read(vector["typed"])
    assert type(caught.value) is ERRORS[vector["expect"]]
    if isinstance(caught.value, UnknownWord):
        assert caught.value.positions == tuple(vector["positions"])
        assert len(caught.value.suggestions) == len(caught.value.positions)
    if isinstance(caught.value, WrongLength):
        assert caught.value.count == vector["count"]


def test_every_word_is_as_likely_as_any_other() -> None:
    """Every pair of bytes is taken or drawn again; of those that are taken, each word has exactly eight."""
    taken = Counter[int]()
    for number in range(1 << 16):
        stream = iter(number.to_bytes(2) + bytes(14))
        name = codename.make(Language.ENGLISH, lambda size, stream=stream: bytes(next(stream) for _ in range(size)))  # type: ignore[misc]
        if next(stream, None) is not None:  # Seven numbers were read: this one was taken.
            taken[name.indices[0]] += 1

    assert set(taken.values()) == {8} and len(taken) == LIST_LENGTH


def untidy(name: Codename, random: Random) -> str:
    """Return a codename as people and programs write it: other separators, case, width, forms and stray characters."""
    separator = random.choice(["", " ", "  ", "-", "\n", "\t", " · ", "\u00a0", "_", ", ", "/", "\u3000", "\r\n"])
    words = [
        "".join(random.choice([letter, letter.upper(), wide(letter)]) for letter in word)
        if random.random() < 0.5
        else word
        for word in name.words
    ]
    if random.random() < 0.3:
        words = [f"{at}) {word}\n" for at, word in enumerate(words, 1)]
    text = unicodedata.normalize(random.choice(["NFC", "NFD", "NFKC", "NFKD"]), separator.join(words))
    if random.random() < 0.5:
        text = slipped_thai(text, random)
    stray = ["\u200b", "\u200c", "\u200d", "\ufeff", "\u00ad", "\u2060", "\ufe0f", " "]
    return "".join(letter + (random.choice(stray) if random.random() < 0.1 else "") for letter in text)


def wide(letter: str) -> str:
    return chr(ord(letter) + 0xFEE0) if "!" <= letter <= "~" else letter


def slipped_thai(text: str, random: Random) -> str:
    """Return Thai as it looks the same on the screen, typed otherwise."""
    slips = [
        ("\u0e41", "\u0e40\u0e40"),  # แ as เเ
        ("([\u0e48-\u0e4b])\u0e33", "\u0e4d\\1\u0e32"),  # ้ำ as ํ้า
        ("([\u0e48-\u0e4b])\u0e33", "\u0e33\\1"),  # ้ำ as ำ้
        ("([\u0e31\u0e34-\u0e39])([\u0e48-\u0e4c])", "\\2\\1"),  # the tone mark before the vowel
        ("([\u0e31\u0e34-\u0e39\u0e47-\u0e4c])", "\\1\\1"),  # marks typed twice
    ]
    for pattern, slip in random.sample(slips, k=random.randint(1, 3)):
        text = re.sub(pattern, slip, text)
    return text


@given(name=codenames, random=st.randoms(use_true_random=False))
def test_a_codename_survives_every_tolerated_spelling(name: Codename, random: Random) -> None:
    assert codename.read(untidy(name, random)) == name


@given(name=codenames, breaks=st.sets(st.integers(1, 90), max_size=20))
def test_spaces_in_the_wrong_places_do_not_matter(name: Codename, breaks: set[int]) -> None:
    letters = "".join(name.words)

    assert codename.read("".join(" " * (at in breaks) + letter for at, letter in enumerate(letters))) == name


@given(name=codenames, position=st.integers(0, 7), other=indices)
def test_any_other_word_is_caught_before_the_kdf(name: Codename, position: int, other: int) -> None:
    words = list(name.words)
    changed = word_list(name.language).words[other]
    assume(words[position] != changed)
    words[position] = changed
    # One codename in 7,776 has the same check word by chance: then nothing can tell.
    assume(position == 7 or Codename(name.language, replaced(name, position, other)).check != name.check)

    with pytest.raises(WrongCheckWord):
        codename.read(" ".join(words))


def replaced(name: Codename, position: int, other: int) -> tuple[int, ...]:
    return (*name.indices[:position], other, *name.indices[position + 1 :])


@given(name=codenames, position=st.integers(0, 7), at=st.integers(0, 10), letter=st.sampled_from("aqzกขุ่"))
def test_a_mistyped_word_is_named_or_caught(name: Codename, position: int, at: int, letter: str) -> None:
    words = list(name.words)
    words[position] = words[position][:at] + letter + words[position][at + 1 :]
    try:
        read = codename.read(" ".join(words))
    except UnknownWord as error:
        assert error.positions == (position + 1,)
    except WrongCheckWord:
        pass  # It became another word of the list.
    else:
        assert read == name  # The letter was the right one, or a mark typed twice.


@given(st.text(max_size=1_200) | st.text(alphabet="abcdeกขคเแ่้ำิ็\u0e4d\u200b -\n1\ufdfa", max_size=400))
def test_any_input_raises_our_errors_only(typed: str) -> None:
    try:
        name = codename.read(typed)
    except Malformed:
        return
    assert codename.read(name.text) == name


@given(name=codenames, position=st.integers(0, 7), letter=st.sampled_from(["", "ฮ", "q"]))
def test_errors_say_nothing_of_what_was_typed(name: Codename, position: int, letter: str) -> None:
    name = Codename(Language.THAI, name.indices)  # The messages are English: any Thai letter would be the codename's.
    words = [*name.words[:position], name.words[position] + letter, *name.words[position + 1 :]]
    try:
        codename.read(" ".join(words if letter else words[1:]))
    except Malformed as error:
        shown = "".join(traceback.format_exception(error, chain=True)) + repr(error) + error.message + error.remedy
        assert not re.search("[\u0e00-\u0e7f]", "\n".join(not_source(shown)))


def not_source(shown: str) -> list[str]:
    """Return a traceback's lines without those that quote our source, which has Thai in comments."""
    return [line for line in shown.splitlines() if not line.startswith("    ")]


def test_nothing_shows_a_codename_by_accident() -> None:
    name = codename.make(Language.THAI, lambda size: bytes(size))

    assert repr(name) == str(name) == f"{name}" == "Codename(…)"


def test_what_is_not_seven_words_is_no_codename() -> None:
    for wrong in ((0,) * 6, (0,) * 8, (0,) * 6 + (LIST_LENGTH,), (-1,) + (0,) * 6):
        with pytest.raises(ValueError, match="seven places"):
            Codename(Language.THAI, wrong)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("aardvarc", "aardvark"),
        ("girafe", "giraffe"),
        ("umbrela", "umbrella"),
        ("qumpkin", "pumpkin"),
        ("กลวย", "กล้วย"),  # a tone mark forgotten
        ("ผิเสือ", "ผีเสื้อ"),  # a short vowel for a long one
        ("นำผึง", "น้ำผึ้ง"),
        ("ศับปะรด", "สับปะรด"),  # another letter of the same sound
        ("สัปปะรด", "สับปะรด"),
        ("กระตาย", "กระต่าย"),
        ("ไบไม้", "ใบไม้"),
        ("มะพร้า", "มะพร้าว"),
    ],
)
def test_the_word_that_was_meant_comes_first(typed: str, meant: str) -> None:
    name = Codename(Language.THAI if typed[0] > "z" else Language.ENGLISH, (5, 10, 20, 40, 80, 160, 320))
    words = [*name.words[:2], typed, *name.words[3:]]

    with pytest.raises(UnknownWord) as caught:
        codename.read(" ".join(words))

    assert caught.value.positions == (3,)
    assert caught.value.suggestions[0][0] == meant
    assert len(caught.value.suggestions[0]) <= 5


def test_a_mistyped_word_is_found_without_spaces_too() -> None:
    name = Codename(Language.ENGLISH, (5, 10, 20, 40, 80, 160, 320))
    words = [*name.words[:3], "girafe", *name.words[4:]]

    with pytest.raises(UnknownWord) as caught:
        codename.read("".join(words))

    assert (caught.value.positions, caught.value.suggestions[0][0]) == ((4,), "giraffe")
