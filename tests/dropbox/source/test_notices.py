"""Calls and posts on their pages: signed, in both languages, as they stand, and nothing that isn't verified."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dropbox.store import Change
from keys.bulletin import parse
from keys.languages import LANGUAGES, Text
from keys.minisign import SignedDocument
from tests.dropbox.source.markup import Page
from tests.dropbox.source.site import Site
from tests.simulators.newsroom import DAY, Newsroom

TITLE = Text("ใครเห็นสะพานนี้", "Who saw this bridge")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, slots=16)
    yield made
    made.close()


def publish(site: Site, desk: int = 1, days_ago: float = 0, **words: Any) -> str:
    """Admit a post and return its id."""
    document = site.newsroom.bulletin(desk, issued=site.newsroom.now - int(days_ago * DAY), **words)
    site.box.admit([document])
    return parse(document.statement).id.hex()


def read(site: Site, path: str, language: str = "en", status: int = 200) -> Page:
    response = site.visitor(language).get(path)
    assert response.status_code == status, response.text
    return Page(response.text)


def titles(page: Page) -> list[str]:
    """The titles that a page lists, without what stands beside them."""
    inside = [each for each in page.all("a") if any("titles" in around["class"] for around in each.inside)]
    return [each.text.strip() for each in inside]


def text(th: str, en: str) -> Text:
    return Text(th, en)


def test_calls_are_listed_newest_first_and_by_their_state(site: Site) -> None:
    for days, state in ((3, "open"), (1, "open"), (2, "checking"), (4, "published"), (5, "closed")):
        publish(site, days_ago=days, state=state, title=text(f"ไทย {state} {days}", f"{state} {days}"))
    assert titles(read(site, "/calls")) == ["open 1", "open 3", "checking 2", "published 4", "closed 5"]
    thai = read(site, "/calls", "th")
    assert titles(thai)[0] == "ไทย open 1"
    assert "กำลังตรวจสอบ" in thai.text and "Being checked" not in thai.text
    assert titles(read(site, "/")) == ["open 1", "open 3"]


def test_without_any_post_every_list_says_so(site: Site) -> None:
    for language, calls, posts in (("en", "no open call", "Nothing has been"), ("th", "ไม่มีเรื่อง", "ยังไม่มีเรื่อง")):
        assert calls in read(site, "/calls", language).text
        assert posts in read(site, "/posts", language).text
        assert not [each for each in read(site, "/", language).all("h2") if each["id"] in ("calls", "news")]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_calls_page_tells_its_story_and_what_came_of_it(site: Site, language: str) -> None:
    body = text("## เรื่อง\n\nเล่า **ให้เรา** ฟัง", "## Story\n\nTell **us**")
    asked = (text("เมื่อไร", "When?"), text("ที่ไหน", "Where?"))
    name = publish(site, days_ago=9, title=TITLE, body=body, questions=asked)
    about = bytes.fromhex(name)
    for desk, days, kind, words in ((2, 1, "outcome", "B"), (1, 5, "update", "A")):
        publish(site, desk, days, kind=kind, about=about, title=text(f"หลัง {words}", f"after {words}"), questions=())
    page = read(site, f"/calls/{name}", language)
    assert page.one("h1").text == TITLE.of(language)
    assert page.all("strong")[-1].text == {"th": "ให้เรา", "en": "us"}[language]
    assert site.newsroom.manifest.desk(1).name.of(language) in page.text
    assert [each.text.strip() for each in page.all("li") if each["class"] == "lines"] == [q.of(language) for q in asked]
    order = [page.text.index(f"{'หลัง' if language == 'th' else 'after'} {words}") for words in "AB"]
    assert order == sorted(order)
    assert f"/{language}/send?call={name}" in [each["href"] for each in page.all("a")]


@pytest.mark.parametrize("state", ["checking", "published", "closed"])
def test_a_call_that_is_not_open_takes_no_answers(site: Site, state: str) -> None:
    name = publish(site, state=state)
    for language, said in (("en", "takes no more answers"), ("th", "ปิดรับข้อมูลแล้ว")):
        page = read(site, f"/calls/{name}", language)
        assert said in page.text
        assert not [each for each in page.all("a") if "call=" in each["href"]]


def test_posts_have_pages_of_their_own(site: Site) -> None:
    call = publish(site, days_ago=3, title=TITLE)
    update = publish(
        site, 2, 2, kind="update", about=bytes.fromhex(call), title=text("ก", "News"), body=text("ข", "So")
    )
    guide = publish(site, 1, 1, kind="guidance", title=text("ค", "Take care"))
    page = read(site, f"/posts/{update}")
    assert (page.one("h1").text, f"/en/calls/{call}" in page.source) == ("News", True)
    assert "Desk 2" in page.text and "So" in page.text
    assert titles(read(site, "/posts")) == ["News", "Take care"]
    assert titles(read(site, "/")) == [TITLE.en, "News"]
    assert read(site, f"/posts/{guide}", "th").one("h1").text == "ค"


def test_what_was_withdrawn_says_so_on_its_own_page_and_stands_in_no_list(site: Site) -> None:
    name = publish(site, days_ago=2, title=TITLE, body=text("ลับ", "secret"))
    update = publish(site, days_ago=2, kind="update", title=text("พลาด", "Mistake"), body=text("ลับ", "secret"))
    for each, kind in ((name, "call"), (update, "update")):
        publish(
            site, id=bytes.fromhex(each), revision=2, kind=kind, withdrawn=True, body=text("ลับ", "secret"), title=TITLE
        )
    for language, said in (("en", "withdrawn"), ("th", "ถอนออกแล้ว")):
        for path in (f"/calls/{name}", f"/posts/{update}"):
            page = read(site, path, language, 410)
            assert said in page.one("h1").text and TITLE.of(language) in page.text
            assert "secret" not in page.source and "ลับ" not in page.source
            assert {"th": "2569", "en": "2026"}[language] in page.text
        for path in ("/", "/calls", "/posts", "/desks/1"):
            assert TITLE.of(language) not in read(site, path, language).text


@pytest.mark.parametrize("name", ["0" * 32, "0" * 31, "F" * 32, "x", "0" * 33, "%00" * 32, "ก" * 32])
def test_what_was_never_published_is_not_here(site: Site, name: str) -> None:
    publish(site)
    for path in ("/calls/", "/posts/"):
        for language, said in (("en", "There is no such call"), ("th", "ไม่มีเรื่อง")):
            assert said in read(site, path + name, language, 404).text


def test_a_call_has_no_page_among_posts_and_a_post_none_among_calls(site: Site) -> None:
    call, update = publish(site), publish(site, kind="update")
    read(site, f"/posts/{call}", status=404)
    read(site, f"/calls/{update}", status=404)


def test_a_post_whose_signature_does_not_verify_is_nowhere(site: Site) -> None:
    good, bad = publish(site, 1, title=text("จริง", "True one")), publish(site, 2, title=text("ปลอม", "Forged one"))
    state = site.box.admitted().state
    found = state.bulletins[bytes.fromhex(bad)]
    changed = SignedDocument(found.statement.replace(b"Forged one", b"Forged two"), found.signatures)
    documents = replace(state, bulletins={**state.bulletins, bytes.fromhex(bad): changed})
    site.store.apply(Change(documents=documents.encode()))
    for path in ("/", "/calls", "/desks/2", "/send"):
        assert "Forged" not in read(site, path).text
    read(site, f"/calls/{bad}", status=404)
    assert titles(read(site, "/calls")) == ["True one"] and good


def test_a_post_of_tomorrow_is_not_shown_today(site: Site) -> None:
    site.newsroom.now = site.newsroom.now // DAY * DAY + 3_600
    name = publish(site, days_ago=-0.99)
    read(site, f"/calls/{name}", status=404)
    assert titles(read(site, "/calls")) == []
    site.newsroom.pass_time(days=1)
    read(site, f"/calls/{name}")


def test_one_desks_page_has_what_is_its_own(site: Site) -> None:
    publish(site, 1, title=text("หนึ่ง", "One"))
    publish(site, 2, title=text("สอง", "Two"))
    publish(site, 2, 1, kind="update", title=text("สาม", "Three"))
    assert titles(read(site, "/desks/2")) == ["Two", "Three"]
    assert titles(read(site, "/desks/3")) == []
    for number in ("0", "9", "99999999999999999999"):
        read(site, f"/desks/{number}", status=404)


def test_a_body_in_one_language_only_says_so_and_is_marked(site: Site) -> None:
    name = publish(site, body=text("", "Only English"))
    thai, english = read(site, f"/calls/{name}", "th"), read(site, f"/calls/{name}", "en")
    assert "ขณะนี้มีแต่ภาษาอังกฤษ" in thai.text and "Only English" in thai.text
    assert [each["lang"] for each in thai.all("div") if each["class"] == "story"] == ["en"]
    assert "so far" not in english.text
    publish(site, id=bytes.fromhex(name), revision=2, body=text("", ""))
    assert "ขณะนี้มีแต่" not in read(site, f"/calls/{name}", "th").text


HOSTILE = (
    "<script>alert(1)</script>\n\n[x](javascript:alert(1)) ![](//evil/i.png)\n\n<http://evil.onion>\n\n# a\n\n#### b"
)


def test_hostile_markdown_and_titles_change_nothing_of_the_page(site: Site) -> None:
    deceiving = "<b>\u00ad\u2060\U000e0041 'x' \"y\" &amp; {{ 7*7 }}"
    title = text(deceiving, deceiving)
    call = publish(site, title=title, body=text(HOSTILE, HOSTILE), questions=(text(HOSTILE, HOSTILE),) * 8)
    update = publish(site, kind="update", about=bytes.fromhex(call), title=title, body=text(HOSTILE, HOSTILE))
    for path in ("/", "/calls", f"/calls/{call}", "/posts", f"/posts/{update}", "/desks/1", f"/send?call={call}"):
        page = read(site, path)
        assert not {"script", "img", "svg"} & {each.tag for each in page.elements}, path
        assert not [each for each in page.all("a") if not each["href"].startswith("/en/") and not each["hreflang"]]
        assert not {"\u00ad", "\u2060", "\U000e0041"} & set(page.source)
        levels = [int(each.tag[1]) for each in page.all("h1", "h2", "h3", "h4", "h5", "h6")]
        assert all(after - before <= 1 for before, after in zip([0, *levels], levels, strict=False)), (path, levels)


def test_lists_and_pages_stay_bounded(site: Site) -> None:
    site.box.admit([site.newsroom.bulletin(1 + at % 3, title=TITLE, questions=()) for at in range(110)])
    call = publish(site)
    updates = [
        site.newsroom.bulletin(2, kind="update", about=bytes.fromhex(call), title=text("ง", f"u{at}"))
        for at in range(40)
    ]
    site.box.admit(updates)
    page = read(site, "/calls")
    assert len(titles(page)) == 100 and "not listed" in page.text
    assert len(read(site, f"/calls/{call}").all("article")) == 20
    assert len(read(site, "/").source) < 20_000


def test_a_server_without_a_manifest_has_no_posts(tmp_path: Path) -> None:
    site = Site(tmp_path, Newsroom(), slots=16, open_=False)
    for path, status in (("/calls", 200), ("/posts", 200), ("/calls/" + "0" * 32, 404), ("/desks/1", 503)):
        read(site, path, status=status)
    site.close()


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_first_page_stays_small_with_many_desks_and_posts(tmp_path: Path, language: str) -> None:
    newsroom = Newsroom(desks=12, recipients=14)
    names = tuple(replace(desk, description=text("ทำข่าว" * 12, "Reports " * 12)) for desk in newsroom.terms.desks)
    newsroom.publish(desks=names, partners=tuple(text(f"พันธมิตร {at}", f"Partner {at}") for at in range(8)))
    site = Site(tmp_path, newsroom, slots=16)
    kinds = ("call", "update", "outcome")
    long = text("ชื่อเรื่องที่ยาวมาก" * 5, "A very long title " * 5)
    site.box.admit([newsroom.bulletin(1 + at % 12, kind=kinds[at % 3], title=long) for at in range(30)])
    page = read(site, "/", language)
    client = site.app.test_client()
    loaded = {element["href"] for element in page.all("link")}
    assert len(loaded) <= 2 and not page.all("iframe")
    assert len(page.source.encode()) + sum(len(client.get(path).data) for path in loaded) < 30_000
    assert len([each for each in page.all("a") if "/calls/" in each["href"]]) == 2
    for desk in newsroom.manifest.desks:
        assert desk.name.of(language) in page.text
    site.close()
