"""Every page in both languages: complete, labelled, self-contained, with the banner and the way out."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from keys.languages import LANGUAGES
from tests.dropbox.source.markup import Page
from tests.dropbox.source.screenshots import Album, fill
from tests.dropbox.source.site import Site
from tests.simulators.newsroom import Newsroom

FRAMES = ("receipt", "broken", "progress")
TOUCHED = ("a", "button", "summary")


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Album]:
    """Every page, as the screenshots show them; with frames, their content stands in `srcdoc`."""
    site = Site(tmp_path_factory.mktemp("pages"), slots=64)
    made = Album(site)
    for language in LANGUAGES:
        fill(site, made, language)
    yield made
    site.close()


def pages(album: Album) -> dict[str, Page]:
    return {name: Page(body.decode()) for name, body in album.pages.items()}


def whole(album: Album) -> dict[str, Page]:
    """The pages that aren't shown in a frame."""
    return {name: page for name, page in pages(album).items() if not name.endswith(FRAMES)}


def test_every_page_names_its_language_and_itself(album: Album) -> None:
    for name, page in pages(album).items():
        assert page.source.startswith("<!doctype html>"), name
        assert page.one("html")["lang"] == name[:2]
        assert page.one("title").text.strip(), name
        assert page.one("main").text.strip(), name
        assert len(page.all("h1")) == (0 if name.endswith("progress") else 1), name


def test_every_page_loads_nothing_but_this_sites_own_parts(album: Album) -> None:
    forbidden = {"script", "style", "img", "svg", "object", "embed", "font", "base", "video", "audio", "math"}
    for name, page in pages(album).items():
        assert not forbidden & {element.tag for element in page.elements}, name
        for element in page.elements:
            assert not {each for each in element.attributes if each == "style" or each.startswith("on")}, name
            for attribute in ("href", "src", "action"):
                assert re.match(r"(/(?!/)|\Z)", element[attribute]), (name, element[attribute])


def test_every_page_of_a_practice_newsroom_says_so(album: Album) -> None:
    said = {"th": "ฝึกซ้อม", "en": "Practice"}
    for name, page in pages(album).items():
        assert said[name[:2]] in page.one("html").text, name
    for name, page in whole(album).items():
        if not name.endswith(("sending", "sent", "refused", "left", "left-elsewhere")):
            assert {"th": "ระบบนี้ใช้ฝึก อย่าส่งเรื่องจริง", "en": "Do not send anything real"}[name[:2]] in page.text


def test_no_page_of_a_real_newsroom_says_so(tmp_path_factory: pytest.TempPathFactory) -> None:
    site = Site(tmp_path_factory.mktemp("real"), Newsroom(desks=2, practice=False), slots=32)
    album = Album(site)
    fill(site, album, "en")
    assert not [name for name, page in pages(album).items() if "Practice" in page.source]
    site.close()


def test_every_page_has_the_way_out(album: Album) -> None:
    for name, page in whole(album).items():
        if not name.endswith(("left", "left-elsewhere")):
            (leave,) = (link for link in page.all("a") if link["class"] == "leave")
            assert leave["href"] == f"/{name[:2]}/leave", name
    for name in ("th-receipt", "en-receipt"):
        assert [link["target"] for link in pages(album)[name].all("a")] == ["_top", "_top"]


def test_the_language_link_leads_to_the_same_page(album: Album) -> None:
    for path in ("/", "/send", "/return", "/keys"):
        for language, other in (("th", "en"), ("en", "th")):
            site = album.site
            page = Page(site.visitor(language).get(path).text)
            (link,) = (link for link in page.all("a") if link["hreflang"])
            assert link.attributes == {"class": "tongue", "href": f"/{other}{path}", "hreflang": other, "lang": other}


@pytest.mark.parametrize("path", ["/nowhere", "/send/" + "0" * 32, "/keys/none", "/inbox/" + "0" * 16 + "/delete"])
def test_where_a_link_cannot_lead_the_first_page_stands_in(album: Album, path: str) -> None:
    visitor = album.site.visitor("th")
    for response in (visitor.get(path), visitor.client.post(f"/th{path}")):
        links = [link["href"] for link in Page(response.text).all("a") if link["hreflang"]]
        assert set(links) <= {"/en/", f"/en{path}"}
        for link in links:
            assert visitor.client.get(link).status_code in (200, 404)


@pytest.mark.parametrize(
    ("accepted", "language"),
    [("th", "th"), ("en-US,en;q=0.5", "en"), ("de,en;q=0.3", "en"), ("de", "th"), ("", "th"), ("th-TH,en;q=0.9", "th")],
)
def test_the_language_is_the_browsers_until_it_is_chosen(album: Album, accepted: str, language: str) -> None:
    client = album.site.app.test_client()
    for path in ("/", "/nothing"):
        assert Page(client.get(path, headers={"Accept-Language": accepted}).text).one("html")["lang"] == language
    assert Page(client.get("/en/", headers={"Accept-Language": "th"}).text).one("html")["lang"] == "en"


def test_every_field_has_its_label(album: Album) -> None:
    for name, page in pages(album).items():
        labelled = {label["for"] for label in page.all("label")}
        for element in page.all("input", "textarea", "select"):
            wrapped = any(each.tag == "label" for each in element.inside)
            assert element["type"] == "hidden" or wrapped or element["id"] in labelled, (name, element)
        for element in page.all("input"):
            if element["type"] in ("checkbox", "radio") and element["name"] in ("desk", "refer", "answer"):
                assert any(each.tag == "fieldset" for each in element.inside), name
        assert len(page.all("legend")) == len(page.all("fieldset"))
        for element in page.all("iframe", "progress"):
            assert element["title"] or element["aria-label"], name
        for element in page.all(*TOUCHED):
            assert element.text.strip(), name


def test_every_reference_within_a_page_leads_somewhere(album: Album) -> None:
    for name, page in pages(album).items():
        ids = page.ids
        assert len(set(ids)) == len(ids), name
        for element in page.elements:
            for attribute in ("for", "aria-labelledby", "aria-describedby"):
                assert set(element[attribute].split()) <= set(ids), (name, element)


def test_every_form_keeps_what_was_typed_out_of_the_address(album: Album) -> None:
    for name, page in pages(album).items():
        for form in page.all("form"):
            assert form["method"] == "post", name
            if form["enctype"]:
                assert (form["target"], form["autocomplete"]) == ("result", "off")
                assert any(frame["name"] == "result" for frame in page.all("iframe"))


def test_headings_leave_out_no_level(album: Album) -> None:
    for name, page in pages(album).items():
        levels = [int(element.tag[1]) for element in page.all("h1", "h2", "h3", "h4")]
        assert all(after - before <= 1 for before, after in zip([0, *levels], levels, strict=False)), (name, levels)


def test_the_front_page_is_small(album: Album) -> None:
    client = album.site.app.test_client()
    page = Page(client.get("/th/").text)
    loaded = [element["href"] for element in page.all("link")] + [frame["src"] for frame in page.all("iframe")]
    sizes = [len(client.get(path).data) for path in ("/th/", *loaded)]
    assert len(sizes) <= 3 and sum(sizes) < 30_000


def test_the_front_page_says_who_reads(album: Album) -> None:
    newsroom = album.site.newsroom
    for language in LANGUAGES:
        text = Page(album.site.visitor(language).get("/").text).text
        for desk in newsroom.manifest.desks:
            assert desk.name.of(language) in text


def test_limits_and_warnings_stand_before_the_file_chooser(album: Album) -> None:
    source = album.pages["en-send"].decode()
    chooser = source.index('type="file"')
    for said in ("At most 20 files, each of at most 2.1 GB", "Photos and videos", "Office files", "Printers"):
        assert source.index(said) < chooser
    assert source.index('class="codename"') < source.index("<form") < chooser
