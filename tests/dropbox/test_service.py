"""How the server's sites are laid out: which request goes to which lane, and the pages that stand ready."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from dropbox.collect.prepared import prepared_pages as collect_pages
from dropbox.service import MAX_BUNDLE_BYTES, SMALL_UPLOAD_BYTES, largest_upload, plan
from dropbox.serving.head import Head
from dropbox.serving.prepared import STATUSES, PreparedPage, sentences
from dropbox.source.headers import HEADERS
from dropbox.source.prepared import prepared_pages as source_pages
from tests.dropbox.source.site import Site
from tests.simulators.newsroom import Newsroom

LABEL = "0123456789abcdef"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, PreparedPage]]:
    site = Site(tmp_path_factory.mktemp("site"), slots=16)
    yield source_pages(site.app)
    site.close()


@pytest.mark.parametrize(
    ("method", "path", "length", "lane"),
    [
        ("GET", "/", 0, "pages"),
        ("GET", "/th/send", 0, "pages"),
        ("GET", f"/en/inbox/{LABEL}", 0, "mailbox"),
        ("HEAD", f"/th/inbox/{LABEL}", 0, "mailbox"),
        ("POST", f"/th/inbox/{LABEL}/delete", 100, "mailbox"),
        ("POST", f"/en/inbox/{LABEL}/consent", 100, "mailbox"),
        ("POST", f"/en/inbox/{LABEL}/consent", SMALL_UPLOAD_BYTES, "mailbox"),
        ("POST", f"/en/inbox/{LABEL}/send/{LABEL}", 100, "text"),
        ("GET", f"/th/inbox/{LABEL}/file/1-2968-0/0", 0, "downloads"),
        ("GET", f"/en/inbox/{LABEL}/file/1-2968-0/0", 0, "downloads"),
        ("HEAD", f"/en/inbox/{LABEL}/file/1-2968-0/0", 0, "downloads"),
        ("POST", "/th/return", 100, "login"),
        ("POST", "/en/return", 100, "login"),
        ("POST", f"/th/send/{LABEL}", SMALL_UPLOAD_BYTES - 1, "text"),
        ("POST", f"/th/send/{LABEL}", SMALL_UPLOAD_BYTES, "files"),
        ("POST", f"/en/inbox/{LABEL}/send/{LABEL}", SMALL_UPLOAD_BYTES, "files"),
        ("POST", "/th/leave", 100, "pages"),
        ("POST", f"/th/volunteer/{LABEL}", 9_000, "text"),
        ("POST", f"/en/volunteer/{LABEL}", SMALL_UPLOAD_BYTES, "text"),
    ],
)
def test_each_request_has_its_lane(tmp_path: Path, method: str, path: str, length: int, lane: str) -> None:
    site, _ = plan(tmp_path, 1 << 30, group=None, circuits=True).sites
    assert site.lane_of(Head(method, path, "", "HTTP/1.1", (), length, False, 1)).name == lane


def test_pages_never_wait_for_uploads_or_downloads(tmp_path: Path) -> None:
    site, _ = plan(tmp_path, 1 << 30, group=None, circuits=True).sites
    pages, files = site.crews
    assert "files" not in pages.lanes and files.lanes == ("files", "downloads")
    assert pages.lifetime_seconds is not None and files.lifetime_seconds is None


def test_downloads_hold_little_memory_at_a_time(tmp_path: Path) -> None:
    """Each holds a whole attachment until it has been read, however slowly."""
    site, _ = plan(tmp_path, 1 << 30, group=None, circuits=True).sites
    lane = site.lane_of(Head("GET", f"/th/inbox/{LABEL}/file/1-2968-0/0", "", "HTTP/1.1", (), 0, False, 1))
    assert lane.threads * Newsroom().manifest.limits.reply_bytes <= 128 << 20


def test_the_largest_form_is_the_manifests() -> None:
    limits = Newsroom().manifest.limits
    assert largest_upload(Newsroom().manifest) > limits.files * limits.file_bytes


def test_without_a_manifest_every_form_reaches_the_pages_which_say_that_the_box_is_closed(tmp_path: Path) -> None:
    site, _ = plan(tmp_path, largest_upload(None), group=None, circuits=True).sites
    head = Head("POST", f"/th/send/{LABEL}", "", "HTTP/1.1", (), 10**14, False, 1)
    assert site.lane_of(head).max_body_bytes > head.length


@pytest.mark.parametrize("status", STATUSES)
def test_a_prepared_page_says_it_in_both_languages(pages: dict[int, PreparedPage], status: int) -> None:
    text = pages[status].body.decode()
    thai, english = sentences(status)
    assert f"<strong>{thai}</strong>" in text and f'<p lang="en"><strong>{english}</strong></p>' in text
    assert '<html lang="th">' in text and 'href="/style.css"' in text


def test_a_prepared_page_has_the_headers_of_every_page(pages: dict[int, PreparedPage]) -> None:
    for page in pages.values():
        headers = dict(page.headers)
        assert headers.pop("Content-Type") == "text/html; charset=utf-8"
        assert headers == HEADERS


def test_a_prepared_page_of_a_practice_newsroom_says_so(pages: dict[int, PreparedPage]) -> None:
    assert all("Practice" in page.body.decode() for page in pages.values())


def test_without_a_manifest_pages_stand_ready_too(tmp_path: Path) -> None:
    site = Site(tmp_path, slots=16, open_=False)
    try:
        assert set(source_pages(site.app)) == set(STATUSES)
    finally:
        site.close()


def test_couriers_are_answered_in_json() -> None:
    for page in collect_pages().values():
        assert set(json.loads(page.body)) == {"error", "hint"}
        assert {"Content-Type": "application/json", "Cache-Control": "no-store"}.items() <= dict(page.headers).items()


def test_the_largest_bundle_is_the_specs() -> None:
    spec = (Path(__file__).parents[2] / "docs/SPEC.md").read_text("utf-8")
    assert f"refuses a request of more than {MAX_BUNDLE_BYTES:,} bytes with 413" in spec
