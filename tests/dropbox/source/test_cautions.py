"""What pages warn of: scripts, another browser, a web proxy, an unsigned address. In both languages, nothing more."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.datastructures import Headers

from dropbox.source.cautions import Cautions, cautions
from keys.languages import LANGUAGES
from tests.dropbox.source.markup import Page
from tests.dropbox.source.site import TOR_BROWSER, Site
from tests.simulators.newsroom import Newsroom

ONION = Newsroom.onion("source")
OTHER = Newsroom.onion("another")
TOR_BROWSERS = [
    TOR_BROWSER,
    "Mozilla/5.0 (Windows NT 10.0; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0",
    "Mozilla/5.0 (Android 10; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0",
]
OTHER_BROWSERS = [
    "",
    "curl/8.1",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Mozilla/5.0 (Linux; Android 14; SM-A155F; wv) AppleWebKit/537.36 Chrome/140.0.0.0 Mobile Safari/537.36 Line/15.1",
    TOR_BROWSER + " Evil",
    TOR_BROWSER.replace("rv:140.0", "rv:128.0"),
]
SAID = {
    "passed": {"th": "ไม่ได้มาถึงคุณผ่าน Tor โดยตรง", "en": "did not come to you straight over Tor"},
    "address": {"th": "ไม่ใช่ที่อยู่ที่องค์กรเหล่านี้ลงลายเซ็นไว้", "en": "have not signed the address"},
    "browser": {"th": "ดูไม่ใช่ Tor Browser", "en": "does not look like Tor Browser"},
    "scripts": {"th": "JavaScript เปิดอยู่", "en": "JavaScript is on."},
}
PATHS = ("/", "/send", "/return", "/keys", "/guide", "/guide/law", "/volunteer", "/nowhere", "/inbox/" + "0" * 16)


def headers(**more: str) -> Headers:
    return Headers([("User-Agent", TOR_BROWSER), *((name.replace("_", "-"), value) for name, value in more.items())])


@pytest.mark.parametrize("agent", TOR_BROWSERS)
def test_tor_browser_at_a_signed_address_is_warned_of_nothing(agent: str) -> None:
    assert cautions(ONION, Headers([("User-Agent", agent)]), (ONION, OTHER)) == Cautions()


@pytest.mark.parametrize("agent", OTHER_BROWSERS)
def test_another_browser_is_warned_of(agent: str) -> None:
    assert cautions(ONION, Headers([("User-Agent", agent)]), (ONION,)) == Cautions(other_browser=True)


@pytest.mark.parametrize("name", ["Sec-CH-UA", "X-Requested-With"])
def test_what_only_other_makes_say_gives_them_away(name: str) -> None:
    assert cautions(ONION, headers(**{name: "x"}), (ONION,)) == Cautions(other_browser=True)


@pytest.mark.parametrize("name", ["X-Tor2web", "x-tor2web", "Via", "X-Forwarded-For", "X-Forwarded-Host", "CF-Ray"])
def test_whoever_passes_a_request_on_is_noticed(name: str) -> None:
    assert cautions(ONION, headers(**{name: "encrypted"}), (ONION,)) == Cautions(passed_on=True)


@pytest.mark.parametrize("host", [ONION + ".ws", ONION.removesuffix(".onion") + ".tor2web.io", "localhost:80", ""])
def test_a_host_that_is_no_onion_came_through_somebody(host: str) -> None:
    assert cautions(host, headers(), (ONION,)) == Cautions(passed_on=True)


@pytest.mark.parametrize("host", [OTHER, "www." + ONION, "a" * 56 + ".onion"])
def test_an_onion_that_nobody_signed_is_warned_of(host: str) -> None:
    assert cautions(host, headers(), (ONION,)) == Cautions(unsigned_address=True)
    assert cautions(host, headers(), ()) == Cautions(), "without a manifest nobody can say"


@given(host=st.text(max_size=80), agent=st.text(st.characters(codec="latin-1", exclude_characters="\r\n"), max_size=80))
def test_no_header_breaks_anything(host: str, agent: str) -> None:
    assert cautions(host, Headers([("User-Agent", agent)]), (ONION,)).passed_on


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("path", PATHS)
def test_every_page_says_it_and_what_to_do(site: Site, language: str, path: str) -> None:
    visitor = site.visitor(language)
    cases: dict[str, dict[str, Any]] = {
        "passed": {"headers": {"X-Tor2Web": "1"}},
        "address": {"base_url": f"http://{OTHER}"},
        "browser": {"headers": {"User-Agent": "curl/8"}},
    }
    plain = Page(visitor.get(path).text)
    assert not any(said[language] in plain.text for kind, said in SAID.items() if kind != "scripts")
    for kind, options in cases.items():
        page = Page(visitor.get(path, **options).text)
        (box,) = page.all("aside")
        assert box["class"] == "cautions" and SAID[kind][language] in box.text
        assert not any(said[language] in box.text for other, said in SAID.items() if other not in (kind, "scripts"))
        assert (ONION in box.text) is (kind != "browser"), "where to go instead"


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_warns_of_scripts_is_hidden_where_none_runs(site: Site, language: str) -> None:
    visitor = site.visitor(language)
    page = Page(visitor.get("/").text)
    (sheet,) = (link for link in page.all("link") if any(each.tag == "noscript" for each in link.inside))
    assert visitor.client.get(sheet["href"]).text.split() == [".scripts-on", "{", "display:", "none;", "}"]
    (box,) = page.all("aside")
    assert box["class"] == "cautions scripts-on" and SAID["scripts"][language] in box.text
    (box,) = Page(visitor.get("/", headers={"X-Tor2Web": "1"}).text).all("aside")
    (line,) = (each for each in Page(visitor.get("/").text).all("p") if each["class"] == "scripts-on")
    assert box["class"] == "cautions" and "Safest" in line.text


def test_nothing_of_a_header_is_shown(site: Site) -> None:
    marks = {"X-Tor2Web": "canary-a", "User-Agent": "canary-b", "X-Forwarded-Host": "canary-c.example"}
    for path in PATHS:
        page = site.visitor().get(path, headers=marks, base_url="http://canary-d.example").text
        assert "canary" not in page


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(options=st.sampled_from([{}, {"headers": {"X-Tor2Web": "1"}}, {"headers": {"User-Agent": "x"}}]))
def test_a_mailbox_is_one_length_whatever_is_warned_of(site: Site, options: dict[str, dict[str, str]]) -> None:
    full, empty = site.codename("en"), site.codename("en")
    site.answer(full, text="an answer")
    lengths = set()
    for name in (full, empty):
        visitor = site.visitor("en")
        visitor.sign_in(name.text)
        lengths.add(len(visitor.client.get(visitor.inbox_path, **options).data))
    assert len(lengths) == 1
    site.empty()
