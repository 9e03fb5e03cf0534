"""Leaving: one control on every page, first by keyboard; the session is over for all its cookies."""

from __future__ import annotations

import os

import pytest

from dropbox.serving.prepared import STATUSES
from dropbox.sessions import COOKIE_PREFIX
from dropbox.source.prepared import prepared_pages
from keys.languages import LANGUAGES
from tests.dropbox.source.markup import Page
from tests.dropbox.source.screenshots import Album, fill
from tests.dropbox.source.site import Site, Visitor
from tests.simulators.newsroom import Newsroom

REACHED = ("a", "button", "input", "textarea", "select", "summary", "iframe")


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_is_the_first_thing_that_a_keyboard_reaches(site: Site, language: str) -> None:
    album = Album(site)
    fill(site, album, language)
    for name, source in album.pages.items():
        page = Page(source.decode())
        if page.one("body")["class"] == "page" and "left" not in name:
            first = next(each for each in page.elements if each.tag in REACHED)
            assert (first.tag, first["class"], first["href"]) == ("a", "leave", f"/{language}/leave"), name
            assert not [each for each in page.elements if each["tabindex"] or each["accesskey"]], name


@pytest.mark.parametrize("desks", [None, []], ids=["receipt", "refused"])
def test_what_an_upload_answers_leaves_the_frame(site: Site, desks: list[int] | None) -> None:
    sent = site.visitor("en").send("text", desks=desks)
    (link,) = (each for each in Page(sent.text).all("a") if each["href"] == "/en/leave")
    assert link["target"] == "_top"


@pytest.mark.parametrize("status", STATUSES)
def test_pages_that_stand_ready_have_it_in_both_languages(site: Site, status: int) -> None:
    page = Page(prepared_pages(site.app)[status].body.decode())
    links = {link["href"]: (link["target"], link.text, link["lang"]) for link in page.all("a")}
    assert links == {"/th/leave": ("_top", "ออกทันที", ""), "/en/leave": ("_top", "Leave now", "en")}


def test_a_closed_box_and_one_without_a_manifest_have_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    site = Site(tmp_path_factory.mktemp("nothing"), Newsroom(desks=1), slots=16, open_=False)
    try:
        for path in ("/", "/send", "/volunteer", "/guide", "/keys", "/nowhere"):
            links = Page(site.visitor("en").get(path).text).all("a")
            assert [link["href"] for link in links if link["class"] == "leave"] == ["/en/leave"], path
        assert "You have left" in site.visitor("en").get("/leave").text
    finally:
        site.close()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("method", ["get", "post"])
def test_the_page_it_leads_to_is_harmless_and_says_what_to_do(site: Site, language: str, method: str) -> None:
    response = getattr(site.visitor(language).client, method)(f"/{language}/leave")
    page = Page(response.text)
    assert response.headers["Clear-Site-Data"] == '"cache", "cookies", "storage"'
    assert page.one("title").text == {"th": "ปิดหน้านี้แล้ว", "en": "This page is closed"}[language]
    assert "New Identity" in page.text and "Android" in page.text
    assert {"th": "ปุ่มย้อนกลับ", "en": "Back button"}[language] in page.text
    newsroom = site.newsroom.manifest
    told = [newsroom.name.of(language), *(desk.name.of(language) for desk in newsroom.desks), "เบาะแส", "tip"]
    assert not [each for each in told if each in page.text]
    assert not page.all("a", "form", "iframe")


@pytest.mark.parametrize("language", LANGUAGES)
def test_in_practice_it_says_so_and_otherwise_not(tmp_path_factory: pytest.TempPathFactory, language: str) -> None:
    for practice in (True, False):
        site = Site(tmp_path_factory.mktemp("practice"), Newsroom(desks=1, practice=practice), slots=16)
        said = {"th": "ฝึกซ้อม", "en": "Practice"}[language] in site.visitor(language).get("/leave").text
        site.close()
        assert said is practice


def test_another_browser_is_told_what_it_can_do(site: Site) -> None:
    for language, said in {"th": "ลบประวัติ", "en": "delete its history"}.items():
        visitor = site.visitor(language)
        assert said not in visitor.get("/leave").text
        assert said in visitor.get("/leave", headers={"User-Agent": "Mozilla/5.0 (iPhone)"}).text


def test_no_old_cookie_opens_anything_again_in_any_worker(site: Site) -> None:
    one, other, stays = site.codename(), site.codename(), site.codename()
    visitor = site.visitor("en")
    paths = []
    for name in (one, other):
        visitor.sign_in(name.text)
        paths.append(visitor.inbox_path)
    copies = dict(_cookie(visitor, path) for path in paths)
    elsewhere = site.visitor("en")
    elsewhere.sign_in(stays.text)
    worker = os.fork()
    if worker == 0:  # Another process that shares what was made before the fork answers the way out.
        os._exit(0 if visitor.get("/leave").status_code == 200 else 1)
    assert os.waitpid(worker, 0)[1] == 0
    thief = site.visitor("en")
    for key, value in copies.items():
        thief.client.set_cookie(key, value)
    assert len(copies) == 2
    for path in paths:
        response = thief.client.get(path)
        assert response.status_code == 403 and "no longer open" in response.text
        assert "Set-Cookie" not in response.headers
    assert elsewhere.inbox().status_code == 200, "nobody else is logged out"


@pytest.mark.parametrize("name", ["box-" + "a" * 5_000, "box-0123", "box-<b>", "box-0123456789abcdeg", "Box-x"])
def test_no_name_is_said_back_that_was_never_given(site: Site, name: str) -> None:
    response = site.app.test_client(use_cookies=False).get("/th/leave", headers={"Cookie": f"{name}=1"})
    assert response.status_code == 200 and "Set-Cookie" not in response.headers


def _cookie(visitor: Visitor, path: str) -> tuple[str, str]:
    name = COOKIE_PREFIX + path.rsplit("/", 1)[1]
    found = visitor.client.get_cookie(name)
    assert found is not None
    return name, found.value


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_mailbox_that_is_not_open_leads_to_where_it_is_opened(site: Site, language: str) -> None:
    page = Page(site.visitor(language).get("/inbox/0000000000000000").text)
    (button,) = (each for each in page.all("a") if each["class"].startswith("button"))
    assert button["href"] == f"/{language}/return"
