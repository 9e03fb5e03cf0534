"""A form that another site made the browser send is refused; nobody else is turned away for where they come from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.dropbox.source.site import Site


@pytest.fixture(autouse=True)
def emptied(site: Site) -> Iterator[None]:
    yield
    site.empty()


@pytest.mark.parametrize("said", ["cross-site", "Cross-Site", " cross-site "])
@pytest.mark.parametrize("language", ["th", "en"])
def test_a_form_of_another_site_is_refused_with_a_page_that_explains(site: Site, language: str, said: str) -> None:
    sent = site.visitor(language).send("from elsewhere", headers={"Sec-Fetch-Site": said})
    assert sent.response.status_code == 403
    assert {"en": "Another website", "th": "เว็บไซต์อื่น"}[language] in sent.text
    assert site.cells == frozenset()


@pytest.mark.parametrize("path", ["/en/return", f"/en/send/{'0' * 32}", "/en/inbox/x/delete", "/en/nothing"])
def test_no_form_is_excepted(site: Site, path: str) -> None:
    answer = site.app.test_client().post(path, data={"codename": "x"}, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code in (403, 404)
    assert answer.status_code == 403 or "nothing" in path


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": ""},
        {"Origin": "null"},
        {"Origin": "http://elsewhere.example", "Referer": "http://elsewhere.example/"},
    ],
)
def test_everybody_else_is_let_in(site: Site, headers: dict[str, str]) -> None:
    sent = site.visitor("en").send("a text", headers=headers)
    assert sent.response.status_code == 200
    assert site.tip(sent).message.text == "a text"


def test_a_link_from_another_site_leads_here(site: Site) -> None:
    answer = site.app.test_client().get("/en/", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 200
