"""Every sentence a source can read exists in Thai and in English, with the same blanks to fill in."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from types import ModuleType

import pytest
from babel.messages.catalog import Message

from dropbox.refusals import REFUSALS, Refusal
from dropbox.source import words
from keys.epochs import Closed
from keys.languages import LANGUAGES
from tests.dropbox.source.screenshots import Album, fill
from tests.dropbox.source.site import Site

ROOT = Path(__file__).resolve().parents[3]
BLANK = re.compile(r"%\((\w+)\)[sd]")
THAI = re.compile("[\u0e01-\u0e5b]")


@pytest.fixture(scope="module")
def catalogues() -> ModuleType:
    spec = importlib.util.spec_from_file_location("catalogues", ROOT / "scripts/lib/catalogues.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def messages(catalogues: ModuleType, language: str) -> list[Message]:
    return [message for message in catalogues.read(language) if message.id]


def texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple | list):
        for each in value:
            yield from texts(each)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_is_translated_and_none_is_left_over(catalogues: ModuleType, language: str) -> None:
    assert [message.id for message in messages(catalogues, language)] == list(catalogues.used()), (
        "run scripts/lib/catalogues.py and translate what is new"
    )
    for message in messages(catalogues, language):
        assert all(texts(message.string)) and list(texts(message.string)), message.id
        assert not message.fuzzy, message.id


def test_thai_is_thai_and_fills_in_the_same_blanks(catalogues: ModuleType) -> None:
    for message in messages(catalogues, "th"):
        for text in texts(message.string):
            assert THAI.search(text), text
            assert not re.search("!|(?<!เ)ท่าน|ดำเนินการ", text)  # เท่านั้น ("only") is no officialese.
            # One Thai form stands for both English ones, and the plural names everything.
            wanted = set(BLANK.findall(list(texts(message.id))[-1]))
            assert set(BLANK.findall(text)) == wanted, text


def test_english_is_the_key_itself(catalogues: ModuleType) -> None:
    for message in messages(catalogues, "en"):
        assert list(texts(message.string)) == list(texts(message.id))
        assert not any("!" in text for text in texts(message.id))


def test_catalogues_are_compiled() -> None:
    for language in LANGUAGES:
        folder = files("dropbox").joinpath(f"translations/{language}/LC_MESSAGES")
        assert folder.joinpath("messages.mo").is_file(), "run scripts/lib/wheel_with_catalogues.py"


@pytest.mark.parametrize("refusal", REFUSALS)
def test_every_refusal_is_told_in_thai(site: Site, refusal: type[Refusal]) -> None:
    with site.app.test_request_context("/th/"):
        told = words.of_refusal(refusal())
        assert all(THAI.search(text) for text in told)
    with site.app.test_request_context("/en/"):
        assert words.of_refusal(refusal()) == (refusal.sentence, refusal.advice)
    assert isinstance(words.refusal_by_number(words.number_of(refusal())), refusal)


def test_every_reason_to_be_closed_has_its_words(site: Site) -> None:
    with site.app.test_request_context("/th/"):
        assert all(THAI.search(words.of_closed(reason)) for reason in Closed)


def test_no_english_sentence_shows_on_a_thai_page(site: Site, catalogues: ModuleType) -> None:
    album = Album(site)
    fill(site, album, "th")
    english = [text for message in messages(catalogues, "en") for text in texts(message.id) if len(text) > 8]
    for name, page in album.pages.items():
        shown = page.decode()
        assert [text for text in english if "%(" not in text and text in shown] == [], name
