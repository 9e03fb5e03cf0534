"""What a source can do, all of it, in each language over tor: from the first page to leaving."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import pytest

from keys.languages import LANGUAGES
from tests.journeys.practice import Practice, sha256, until
from tests.journeys.visitor import PAGE_SECONDS, Visitor

UPLOAD_SECONDS = 120.0
ANSWERS = {"th": ("ปลายเดือนมีนาคม ที่ห้องพัสดุ", "รองปลัด"), "en": ("Late in March, in the store room", "The deputy clerk")}
MESSAGE = {"th": "สัญญาฉบับแรกถูกเก็บไว้ในตู้ชั้นสอง", "en": "The first contract was kept in the second cabinet"}
REPLY = {"th": "ขอบคุณครับ ขอถามต่อว่าใครถือกุญแจตู้", "en": "Thank you. Who holds the key of that cabinet?"}
STATE = {"th": "ขอข้อมูลเพิ่ม", "en": "Needs more"}
MISTYPED = {"th": "ฯ", "en": "q"}


@dataclass(frozen=True)
class Told:
    """What one source has sent, and how to come back."""

    words: list[str]
    receipt: list[str]
    digest: str


@pytest.fixture(scope="module")
def told(newsroom: Practice, visitor: Visitor) -> dict[str, Told]:
    """Two sources, one in each language, find the call from the first page and answer it with a file."""
    return {language: tell(newsroom, visitor, language) for language in LANGUAGES}


def tell(newsroom: Practice, visitor: Visitor, language: str) -> Told:
    file = newsroom.folder / f"contract-{language}.pdf"
    file.write_bytes(language.encode() * 60_000)
    visitor.open(f"/{language}/")
    assert not visitor.shows(".scripts-on")
    visitor.follow(f'footer a[href="/{language}/guide"]', to=f"/{language}/guide")
    visitor.follow("main .items a", to=f"/{language}/guide/")
    assert visitor.text("main h1")
    visitor.follow(f'footer a[href="/{language}/calls"]', to=f"/{language}/calls")
    visitor.picture(f"calls-{language}")
    visitor.follow(".titles a", to=f"/{language}/calls/")
    assert len(visitor.texts(".questions li")) == 3
    visitor.picture(f"call-{language}")
    visitor.picture_of_screen(f"call-{language}")
    visitor.follow('main a.button[href*="/send"]', to=f"/{language}/send")
    words = visitor.texts("ol.codename > li")
    visitor.picture(f"answering-{language}")
    fields = visitor.attributes(".field textarea:not(#text)", "id")
    for field, answer in zip(fields, ANSWERS[language], strict=False):
        visitor.type(f"#{field}", answer)
    visitor.type("#text", MESSAGE[language])
    visitor.choose_files([file])
    visitor.press("form.sending button[type=submit]")
    until(lambda: visitor.frame_has("result", "ol.items, .notice"), UPLOAD_SECONDS, "the receipt")
    with visitor.frame("result"):
        receipt, again = visitor.texts("ol.items > li"), visitor.texts("ol.codename > li")
    visitor.picture(f"answered-{language}")
    visitor.follow("header a.leave", to=f"/{language}/leave")
    assert again == words
    return Told(words, receipt, sha256(file.read_bytes()))


@pytest.fixture(scope="module")
def attached(newsroom: Practice) -> Path:
    path = newsroom.folder / "ตารางราคา.csv"
    path.write_bytes(b"1,2,3\n" * 5_000)
    return path


@pytest.fixture(scope="module")
def threads(newsroom: Practice, told: dict[str, Told], attached: Path) -> dict[str, int]:
    """The desk reads both, replies with a file and a state, and asks whether another desk may read; it is carried."""
    assert set(told) == set(LANGUAGES)
    newsroom.succeed(newsroom.step(2))
    newsroom.succeed(newsroom.step(3))
    found = {language: thread_of(newsroom, MESSAGE[language]) for language in LANGUAGES}
    for language, thread in found.items():
        given = ("--text", REPLY[language], "--attach", str(attached), "--state", "needs-more", "--ask", "3")
        newsroom.station("isra", "reply", thread, *given)
    newsroom.station("isra", "outbox", "--to", newsroom.stick("isra"))
    newsroom.succeed(newsroom.step(2))
    return found


def thread_of(newsroom: Practice, text: str) -> int:
    [found] = newsroom.station("isra", "list", "--search", text)["threads"]
    return int(found["number"])


@pytest.mark.parametrize("language", LANGUAGES)
def test_receipt_names_what_is_stored(told: dict[str, Told], language: str) -> None:
    message, file = told[language].receipt
    assert message and told[language].digest in file and f"contract-{language}.pdf" in file


@pytest.mark.parametrize("language", LANGUAGES)
def test_desk_has_the_answers_beside_its_questions(newsroom: Practice, threads: dict[str, int], language: str) -> None:
    shown = newsroom.station("isra", "show", threads[language])
    [tip] = shown["tips"]
    assert MESSAGE[language] in tip["text"]
    assert all(answer in str(shown) for answer in ANSWERS[language])
    assert [each["size"] for each in tip["files"]] == [120_000]


@pytest.mark.parametrize("language", LANGUAGES)
def test_source_comes_back_reads_answers_and_leaves(
    visitor: Visitor, told: dict[str, Told], threads: dict[str, int], attached: Path, language: str
) -> None:
    assert threads
    words = told[language].words
    visitor.open(f"/{language}/return")
    visitor.type("#codename", " ".join([words[0][:-1] + MISTYPED[language], *words[1:]]))
    visitor.press("main button[type=submit]")
    until(lambda: visitor.has(".notice"), PAGE_SECONDS, "what is wrong")
    assert words[0] in visitor.texts(".notice b") and words[0] not in unquote(visitor.address)
    visitor.clear("#codename")
    visitor.type("#codename", " ".join(words))
    visitor.follow("main button[type=submit]", to=f"/{language}/inbox/")
    reply = 'article.reply:has(a[href*="/file/"])'
    assert REPLY[language] in visitor.text(reply) and STATE[language] in visitor.text(f"{reply} .state")
    saved = visitor.fetch(visitor.attributes(f"{reply} .items a", "href")[0])
    assert saved.body == attached.read_bytes()
    visitor.picture(f"asked-{language}")
    visitor.picture_of_screen(f"asked-{language}")
    visitor.follow('form.asked button[value="yes"]', to=f"/{language}/inbox/")
    until(lambda: not visitor.has("article.reply"), PAGE_SECONDS, "the answer is stored")
    visitor.picture(f"consent-{language}")
    visitor.press("main .actions a")
    until(lambda: visitor.has(reply), PAGE_SECONDS, "the replies again")
    visitor.press(f"{reply} details summary")
    visitor.press(f'{reply} button[name="reply"]')
    until(lambda: visitor.has("main h1") and not visitor.has(reply), PAGE_SECONDS, "the reply is gone")
    visitor.follow(f'footer a[href="/{language}/volunteer"]', to=f"/{language}/volunteer")
    visitor.type("#can", MESSAGE[language][:10])
    visitor.press("form.sending button[type=submit]")
    until(lambda: visitor.frame_has("result", "ol.items, .notice"), UPLOAD_SECONDS, "the offer's receipt")
    with visitor.frame("result"):
        assert len(visitor.texts("ol.items > li")) == 1
    visitor.follow(f'footer a[href="/{language}/keys"]', to=f"/{language}/keys")
    paper = visitor.fetch(visitor.attributes("#papers ~ .items a", "href")[0])
    assert paper.status == 200 and paper.body
    visitor.follow("header a.leave", to=f"/{language}/leave")
    assert visitor.cookies() == ""
    assert visitor.has("main h1") and not visitor.has("header.top")


@pytest.mark.parametrize("language", LANGUAGES)
def test_desk_is_told_that_it_may_pass_it_on(newsroom: Practice, threads: dict[str, int], language: str) -> None:
    newsroom.succeed(newsroom.step(2))
    newsroom.succeed(newsroom.step(3))
    said = [tip["consent"] for tip in newsroom.station("isra", "show", threads[language])["tips"]]
    assert [each["allowed"] for each in said if each is not None] == [True]
