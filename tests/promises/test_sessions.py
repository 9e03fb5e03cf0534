"""Sessions in whatever process answers: two codenames never mix, leaving holds everywhere, and a restart ends all.

And a restart loses nothing of what was being sent but the item that wasn't finished.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from keys import codename
from keys.codename import Codename, Language
from keys.primitives import system_randomness
from tests.dropbox.serving.visitors import Visit, wait_until
from tests.dropbox.source.site import Upload, action, form_fields, multipart
from tests.promises.browser import MULTIPART, Browser
from tests.promises.desk import DeskPost, source_keys
from tests.promises.server import Premises

PAGES_PROCESSES = 2


def drawn() -> Codename:
    return codename.make(Language.THAI, system_randomness)


@contextlib.contextmanager
def only(premises: Premises, pid: int) -> Iterator[None]:
    """Let one process of all workers run, and the others stand still."""
    others = [each for each in premises.crews() if each != pid]
    for each in others:
        os.kill(each, signal.SIGSTOP)
    try:
        yield
    finally:
        for each in others:
            os.kill(each, signal.SIGCONT)


def serves_pages(premises: Premises, pid: int) -> bool:
    """Whether a worker answers the source's site, when it alone runs; if it doesn't, it answers the couriers'."""
    with only(premises, pid), Visit(premises.source_socket) as source, Visit(premises.collect_socket) as couriers:
        for visit in (source, couriers):
            visit.head("GET", "/")
        answered, _, _ = select.select([source.socket, couriers.socket], [], [], 20)
        assert len(answered) == 1
        return source.socket in answered


@pytest.fixture(scope="module")
def pages(premises: Premises) -> list[int]:
    """The processes that show pages: of those without a process beside them, the ones that aren't the couriers'."""
    alone = [pid for pid in premises.crews() if not Path(f"/proc/{pid}/task/{pid}/children").read_text()]
    found = [pid for pid in alone if serves_pages(premises, pid)]
    assert len(found) == PAGES_PROCESSES
    return found


def test_what_one_process_opened_another_knows(premises: Premises, pages: list[int]) -> None:
    for first, second in (pages, pages[::-1]):
        browser = premises.browser()
        with only(premises, first):
            assert browser.sign_in(drawn().text).status == 303
        with only(premises, second):
            assert browser.inbox().status == 200


def test_who_left_in_one_process_has_left_in_every(premises: Premises, pages: list[int]) -> None:
    """An old copy of the cookie opens nothing any more: neither the mailbox nor what its forms do."""
    for first, second in (pages, pages[::-1]):
        browser = premises.browser()
        with only(premises, second):
            assert browser.sign_in(drawn().text).status == 303
            assert browser.inbox().status == 200
        kept = dict(browser.cookies)
        with only(premises, first):
            left = browser.get("/leave")
        assert left.status == 200 and left.header("Clear-Site-Data") == '"cache", "cookies", "storage"'
        assert set(browser.cookies.values()) == {""}, "the browser was told to forget it"
        browser.cookies = kept
        for pid in pages:
            with only(premises, pid):
                assert browser.inbox().status == 403
                sent = browser.request("POST", f"{browser.inbox_path}/send/{'0' * 32}", b"", MULTIPART)
                assert sent.status == 403
                assert not [*browser.inbox().headers("Set-Cookie"), *sent.headers("Set-Cookie")]


def test_two_tabs_with_two_codenames_do_not_mix(premises: Premises, pages: list[int]) -> None:
    """In one browser, which sends every cookie with every request; in whatever order, and after one tab left too."""
    names, tabs = [drawn(), drawn()], {}
    post = DeskPost(premises.newsroom, 1)
    post.next = premises.courier().inventory().marks.get(1, 0) + 1
    replies = [entry for at, name in enumerate(names) for entry in post.reply(name, f"reply to {at}")]
    assert premises.courier().deliver(post.bundle(*replies)).status == 200
    browser = premises.browser("en")
    for at, name in enumerate(names):
        browser.sign_in(name.text)
        tabs[at] = browser.inbox_path
    for pid in pages * 2:
        with only(premises, pid):
            for at, path in tabs.items():
                browser.inbox_path = path
                page = browser.inbox().text
                assert f"reply to {at}" in page and f"reply to {1 - at}" not in page
    (_, first), (label, second) = browser.cookies.items()
    browser.cookies[label] = first
    assert browser.inbox().status == 403, "the cookie of one tab under the name of the other"
    browser.cookies[label] = second
    assert browser.inbox().status == 200


def test_a_follow_up_goes_into_the_thread_of_its_own_tab(premises: Premises) -> None:
    names = [drawn(), drawn()]
    browser = premises.browser("en")
    inboxes = []
    for name in names:
        browser.sign_in(name.text)
        inboxes.append(browser.inbox().text)
    for at, page in enumerate(inboxes):
        assert follow_up(browser, page, f"follow-up {at}") == 200
    tips = premises.tips()
    for at, name in enumerate(names):
        (tip,) = tips[source_keys(premises.newsroom, name).public]
        assert tip.message.text == f"follow-up {at}"


def follow_up(browser: Browser, page: str, text: str) -> int:
    return browser.request("POST", action(page), multipart(form_fields(text, (1,))), MULTIPART).status


def test_a_restart_ends_every_session_and_loses_no_finished_item(tmp_path: Path) -> None:
    premises, browser = Premises(tmp_path), Browser(tmp_path / "run/source/http.sock")
    files = [Upload("แรก.bin", os.urandom(300_000)), Upload("สอง.bin", os.urandom(600_000))]
    with contextlib.ExitStack() as stack:
        with premises.running():
            browser.sign_in(drawn().text)
            early, form = browser.open_form(), browser.open_form()
            body = browser.body(form, "ข้อความก่อนปิดเครื่อง", files)
            part = body.index(files[1].content) + 300_000
            stack.enter_context(browser.half_sent(form, body, part))
            wait_until(lambda: len(premises.records()) == 3, "a message and a file of two cells are stored")
            assert premises.stop(signal.SIGINT) == 0
        with premises.running():
            assert browser.inbox().status == 403
            (tip,) = premises.tips()[source_keys(premises.newsroom, form.codename).public]
            first, second = tip.files.values()
            assert (first.content, first.interrupted) == (files[0].content, False)
            assert second.interrupted and files[1].content.startswith(second.content)
            again = Browser(premises.source_socket)
            assert again.sign_in(form.codename.text).status == 303
            sent = browser.request("POST", early.address, browser.body(early, "หน้าที่เปิดไว้ก่อนปิด"), MULTIPART)
            assert sent.status == 200, "a form that was opened before can be sent after"
