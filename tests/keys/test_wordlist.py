"""The frozen lists: what SPEC section 5 promises of them."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import unicodedata
from itertools import pairwise
from pathlib import Path

import pytest

from keys import wordlist
from keys.errors import Misconfigured
from keys.wordlist import LIST_LENGTH, Language, distance, word_list

SOURCE = Path(__file__).parents[2] / "keys" / "words"
MARKS = str.maketrans("", "", "่้๊๋์็")


@pytest.mark.parametrize("language", Language)
def test_a_list_has_7776_different_words_in_order(language: Language) -> None:
    words = word_list(language).words

    assert len(words) == len(set(words)) == LIST_LENGTH
    assert list(words) == sorted(words)
    assert all(unicodedata.normalize("NFC", word) == word for word in words)


@pytest.mark.parametrize("form", ["NFC", "NFKC", "NFKD"])
@pytest.mark.parametrize("language", Language)
def test_no_word_begins_another(language: Language, form: str) -> None:
    words = sorted(unicodedata.normalize(form, word) for word in word_list(language).words)  # type: ignore[arg-type]

    assert not [(one, other) for one, other in pairwise(words) if other.startswith(one)]


def test_english_words_are_plain_letters() -> None:
    assert all(word.isascii() and word.isalpha() and word.islower() for word in word_list(Language.ENGLISH).words)
    assert {len(word) for word in word_list(Language.ENGLISH).words} <= set(range(3, 11))


def test_thai_words_are_letters_and_marks_in_their_places() -> None:
    for word in word_list(Language.THAI).words:
        assert 3 <= len(word) <= 11
        assert all("ก" <= letter <= "ฮ" or "ะ" <= letter <= "ู" or "เ" <= letter <= "์" for letter in word)
        assert "ๆ" not in word and "ๅ" not in word
        assert not unicodedata.category(word[0]).startswith("M") and word[0] not in "ะาำ"
        assert word[-1] not in "เแโใไ"


def test_no_thai_words_differ_in_tone_marks_alone() -> None:
    shapes = [word.translate(MARKS) for word in word_list(Language.THAI).words]

    assert len(shapes) == len(set(shapes))


@pytest.mark.parametrize(("language", "name"), [(Language.THAI, "thai"), (Language.ENGLISH, "english")])
def test_no_struck_word_is_in_a_list(language: Language, name: str) -> None:
    struck = {
        word
        for line in (SOURCE / f"{name}-excluded.txt").read_text("utf-8").splitlines()
        if line and line[0] not in "#["
        for word in line.split()
    }

    assert len(struck) > 100
    assert not struck & set(word_list(language).words)


def test_another_list_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(wordlist._FILES, Language.THAI, ("english.txt", wordlist._FILES[Language.THAI][1]))
    with pytest.raises(Misconfigured, match=r"english\.txt"):
        word_list.__wrapped__(Language.THAI)

    monkeypatch.setitem(wordlist._FILES, Language.THAI, ("none.txt", ""))
    with pytest.raises(Misconfigured, match="missing"):
        word_list.__wrapped__(Language.THAI)


@pytest.mark.parametrize(
    ("nearer", "farther", "word"),
    [
        ("กลวย", "กวย", "กล้วย"),  # a tone mark is less than a letter
        ("ลัก", "นัก", "รัก"),  # what sounds alike is less than what doesn't
        ("hosue", "hoxxe", "house"),  # two letters swapped are less than two wrong ones
        ("jouse", "zouse", "house"),  # a neighbouring key is less than a far one
        ("housse", "houxse", "house"),  # a doubled letter is less than a foreign one
    ],
)
def test_likelier_slips_are_nearer(nearer: str, farther: str, word: str) -> None:
    assert 0 < distance(nearer, word) < distance(farther, word)
    assert distance(word, word) == 0


def test_the_script_makes_both_lists_again() -> None:
    """Only where the packages are that hold the sources: the product doesn't need them."""
    for package, version in (("pythainlp", "5.4.0"), ("xkcdpass", "1.30.0")):
        try:
            found = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found = "none"
        if found != version:
            pytest.skip(f"needs {package} {version}")
    script = SOURCE.parents[1] / "scripts" / "make-word-lists"

    made = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, timeout=60)

    assert (made.returncode, made.stdout.count("as committed")) == (0, 2), made.stderr
