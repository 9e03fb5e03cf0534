"""The guidance as sources see it: an index and short pages, in both languages, chosen by name and never by path."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dropbox import guides
from dropbox.source.app import create_app
from keys.languages import LANGUAGES
from tests.dropbox.source.markup import Page
from tests.dropbox.source.site import Site


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_index_leads_to_every_page(site: Site, language: str) -> None:
    visitor = site.visitor(language)
    page = Page(visitor.get("/guide").text)
    links = [link["href"] for link in page.all("a") if "/guide/" in link["href"]]
    assert links == [f"/{language}/guide/{name}" for name in guides.SHIPPED]
    for name, link in zip(guides.SHIPPED, links, strict=True):
        shown = Page(visitor.client.get(link).text)
        guide = guides.shipped().pages[name][language]
        assert shown.one("h1").text == shown.one("title").text == guide.title
        parts = guide.text.count("\n## ") + guide.text.startswith("## ")
        assert len(shown.all("h2")) == parts + 1 and not shown.all("h3")
        assert guide.text[:20].strip("#- *") in shown.text


@pytest.mark.parametrize("language", LANGUAGES)
def test_links_within_guidance_lead_to_pages_that_are_there(site: Site, language: str) -> None:
    visitor = site.visitor(language)
    for name in guides.SHIPPED:
        for link in Page(visitor.get(f"/guide/{name}").text).all("a"):
            assert link["href"].startswith((f"/{language}/", f"/{'en' if language == 'th' else 'th'}/"))
            assert visitor.client.get(link["href"]).status_code == 200


@pytest.mark.parametrize("name", ["nothing", "law.md", "..", "%2e%2e%2fserver.key", "..%2flaw", "LAW", "", "law/"])
def test_only_names_that_were_found_at_start_are_pages(site: Site, name: str) -> None:
    assert site.visitor().get(f"/guide/{name}").status_code == 404


def test_what_a_newsroom_writes_stands_before_what_ships_from_the_start_on(site: Site, tmp_path: Path) -> None:
    for language, text in {
        "th": "# กฎหมาย\nทนายยืนยันแล้ว",
        "en": "# Law\nConfirmed <script>x</script>\n\n# Again",
    }.items():
        (tmp_path / language).mkdir()
        (tmp_path / language / "law.md").write_text(text)
    app = create_app(replace(site.context, guides=guides.read(tmp_path)))
    (tmp_path / "en" / "law.md").write_text("# Changed\nlater")
    page = Page(app.test_client().get("/en/guide/law").text)
    assert page.one("h1").text == "Law" and "Confirmed" in page.text and "lawyer to confirm" not in page.text
    assert not page.all("script")
    assert "ทนายยืนยันแล้ว" in app.test_client().get("/th/guide/law").text
    assert Page(app.test_client().get("/en/guide/limits").text).one("h1").text == "What we can't protect"
