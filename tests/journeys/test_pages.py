"""What a visitor sees when nothing is wrong, and when something is: in both languages, over tor."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest

from keys import codename
from keys.codename import Language
from keys.languages import LANGUAGES
from keys.primitives import system_randomness
from tests.journeys.practice import Practice, until
from tests.journeys.visitor import Visitor

WORDS = {"th": Language.THAI, "en": Language.ENGLISH}
NONE_YET = {"th": "ยังไม่มีคำตอบ", "en": "There is no reply yet."}
PRACTICE = {"th": "ฝึกซ้อม", "en": "Practice"}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("page", ["", "send", "return", "keys", "guide", "guide/law", "volunteer", "leave", "nowhere"])
def test_every_page_says_that_it_is_practice_and_is_a_picture(visitor: Visitor, page: str, language: str) -> None:
    visitor.open(f"/{language}/{page}")
    assert PRACTICE[language] in visitor.text("p.practice")
    assert visitor.text("main h1")
    visitor.picture(f"{page or 'front'}-{language}")


@pytest.mark.parametrize("language", LANGUAGES)
def test_word_that_is_not_in_the_list_gets_suggestions(visitor: Visitor, language: str) -> None:
    words = list(codename.make(WORDS[language], system_randomness).words)
    mistyped = [words[0][:-1] + ("ฯ" if language == "th" else "q"), *words[1:]]
    enter(visitor, language, " ".join(mistyped))
    until(lambda: visitor.has(".notice"), 60, "what is wrong")
    assert words[0] in visitor.texts(".notice b")
    assert visitor.path == f"/{language}/return"
    assert not [word for word in words if word in unquote(visitor.address)]
    visitor.picture(f"mistyped-{language}")


@pytest.mark.parametrize("language", LANGUAGES)
def test_wrong_word_of_the_list_is_caught_by_the_check_word(visitor: Visitor, language: str) -> None:
    one, two = (codename.make(WORDS[language], system_randomness).words for _ in range(2))
    enter(visitor, language, " ".join([*one[:3], two[3], *one[4:]]))
    until(lambda: visitor.has(".notice"), 60, "what is wrong")
    assert visitor.path == f"/{language}/return"
    visitor.picture(f"wrong-word-{language}")


@pytest.mark.parametrize("language", LANGUAGES)
def test_codename_that_was_never_used_opens_an_empty_mailbox(visitor: Visitor, language: str) -> None:
    enter(visitor, language, codename.make(WORDS[language], system_randomness).text)
    until(lambda: visitor.path.startswith(f"/{language}/inbox/"), 60, "a mailbox")
    assert visitor.text("main .lead") == NONE_YET[language]
    visitor.picture(f"empty-{language}")


def test_who_has_left_is_out(visitor: Visitor, newsroom: Practice) -> None:
    enter(visitor, "en", codename.make(Language.ENGLISH, system_randomness).text)
    until(lambda: visitor.path.startswith("/en/inbox/"), 60, "a mailbox")
    mailbox, cookies = visitor.path, visitor.cookies()
    assert newsroom.ask("GET", mailbox, headers={"Cookie": cookies}).status == 200
    visitor.follow("a.leave", to="/en/leave")
    assert visitor.cookies() == ""
    assert newsroom.ask("GET", mailbox, headers={"Cookie": cookies}).status != 200
    visitor.open(mailbox)
    assert not visitor.has("article, form.sending")
    visitor.picture("expired-en")


def test_front_page_is_small_and_asks_for_nothing_from_elsewhere(newsroom: Practice) -> None:
    page = newsroom.ask("GET", "/th/")
    styles = [newsroom.ask("GET", address) for address in ("/style.css", "/scripts-off.css")]
    wanted = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert all(address.startswith("/") for address in wanted)
    assert [address for address in wanted if address.endswith(".css")] == ["/style.css", "/scripts-off.css"]
    assert "<script" not in page.text
    assert sum(len(each.body) for each in (page, *styles)) < 30_000


def enter(visitor: Visitor, language: str, typed: str) -> None:
    visitor.open(f"/{language}/return")
    visitor.type("#codename", typed)
    visitor.press("main button[type=submit]")
