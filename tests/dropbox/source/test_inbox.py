"""Coming back: replies read, answered, deleted; one length and equal work for every mailbox. Promises 2, 10 and 12."""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Iterator
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from dropbox.replies import Work
from dropbox.sessions import COOKIE_PREFIX, IDLE_SECONDS, Session
from dropbox.source.headers import saved_as
from keys import reply
from keys.codename import Codename
from keys.encoding import week_of
from keys.languages import LANGUAGES
from keys.terms import KdfParameters, Limits
from keys.tip import Consent
from tests.dropbox.source.site import Site, Upload, Visitor, action, form_fields, hidden, multipart
from tests.simulators.newsroom import Newsroom


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    newsroom = Newsroom(desks=2, limits=Limits(acknowledge_weeks=2, reply_slots=3))
    made = Site(tmp_path_factory.mktemp("inbox"), newsroom, slots=96)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def emptied(site: Site) -> Iterator[None]:
    yield
    site.empty()


def open_inbox(site: Site, name: Codename, language: str = "en") -> tuple[Visitor, str]:
    visitor = site.visitor(language)
    assert visitor.sign_in(name.text).status_code == 303
    response = visitor.inbox()
    assert response.status_code == 200
    return visitor, response.text


def delete(visitor: Visitor, page: str, reply_name: str) -> TestResponse:
    address = re.search(r'action="([^"]*/delete)"', page)
    assert address
    return visitor.client.post(address[1], data={"token": hidden(page, "token"), "reply": reply_name})


def mistyped(site: Site) -> Codename:
    """Another codename whose check word happens to fit, as one typing error in 7,776 gives."""
    return site.codename()


# Reading.


def test_a_reply_is_shown_with_its_desk_week_state_and_text(site: Site) -> None:
    name = site.codename()
    site.answer(name, desk=2, text="ขอบคุณ\n<b>ตัวหนา</b>", state="needs-more")
    _, page = open_inbox(site, name)
    assert "There is 1 reply for you" in page
    assert "Desk 2" in page and "Week of 16 November 2026" in page
    assert "Needs more" in page and "They ask you for something" in page
    assert "ขอบคุณ\n&lt;b&gt;ตัวหนา&lt;/b&gt;" in page
    _, page = open_inbox(site, name, "th")
    assert "โต๊ะข่าว 2" in page and "16 พฤศจิกายน 2569" in page and "มีคำตอบถึงคุณ 1 ฉบับ" in page


@pytest.mark.parametrize("state", [state for state in reply.STATES if state])
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_state_says_what_it_means(site: Site, state: str, language: str) -> None:
    name = site.codename()
    site.answer(name, text="", state=state)
    _, page = open_inbox(site, name, language)
    said = re.search(r'<p class="state"><b>([^<]+)</b> ([^<]+)</p>', page)
    assert said and said[1] and said[2]


def test_replies_of_all_desks_and_weeks_stand_newest_first(site: Site) -> None:
    name, week = site.codename(), week_of(site.newsroom.now)
    for desk, at, index in [(1, week - 4, 0), (2, week, 2), (1, week, 1), (1, week + 1, 0), (2, week - 1, 1)]:
        site.answer(name, desk=desk, week=at, index=index, text=f"text {desk} {at - week} {index}")
    for desk, at in [(1, week - 5), (1, week + 2)]:
        site.answer(name, desk=desk, week=at, text="outside the time that is looked at")
    _, page = open_inbox(site, name)
    assert re.findall(r"text (\d -?\d \d)", page) == ["1 1 0", "2 0 2", "1 0 1", "2 -1 1", "1 -4 0"]
    assert "outside" not in page


def test_attachments_are_handed_out_as_they_were_signed(site: Site) -> None:
    name = site.codename()
    content = bytes(range(256)) * 2_500
    files = [("ตาราง.xlsx", "x/y", content), ("b/../c.txt", "text/plain", b""), ("", "", b"third")]
    site.answer(name, attachments=files)
    visitor, page = open_inbox(site, name)
    links = re.findall(r'href="([^"]*/file/[^"]*)"', page)
    responses = [visitor.client.get(html.unescape(link)) for link in links]
    assert [response.data for response in responses] == [content, b"", b"third"]
    assert {response.mimetype for response in responses} == {"application/octet-stream"}
    dispositions = [response.headers["Content-Disposition"] for response in responses]
    assert [unquote(each).removeprefix("attachment; filename*=UTF-8''") for each in dispositions] == [
        "ตาราง.xlsx",
        "b_.._c.txt",
        "file",
    ]


@given(st.text(st.characters(codec="utf-8"), max_size=300))
def test_any_name_can_be_saved_in_no_folder(name: str) -> None:
    header = saved_as(name)
    assert re.fullmatch(r"[\x20-\x7e]+", header)
    saved = unquote(header.partition("''")[2])
    assert saved and not set(saved) & set("/\\\r\n\0") and saved not in (".", "..") and len(saved) <= 80


@pytest.mark.parametrize("path", ["9-9-9/0", "1-2968-0/1", "1-2968-0/x", "1-2968-0/-1", "1-2968-1/0", "x/0"])
def test_what_is_not_there_is_not_found(site: Site, path: str) -> None:
    name = site.codename()
    site.answer(name, attachments=[("a", "", b"1")])
    visitor, _ = open_inbox(site, name)
    assert visitor.client.get(f"{visitor.inbox_path}/file/{path}").status_code == 404


def test_a_forged_moved_or_replayed_reply_is_not_shown(site: Site) -> None:
    name, week = site.codename(), week_of(site.newsroom.now)
    site.answer(name, desk=1, index=0, text="forged", signed_by=site.newsroom.desk_seed(2))
    genuine = site.answer(name, desk=1, index=1, text="genuine")
    (elsewhere,) = site.answer(name, desk=1, index=2, week=week - 1, text="to be replaced")
    cell = site.store.read(genuine[0])
    site.store.delete([elsewhere])
    with site.store.item(1) as deposit:  # The genuine cell again, at another address of the same mailbox.
        deposit.append(cell, elsewhere, hashlib.sha256(cell).digest())
        deposit.commit()
    _, page = open_inbox(site, name)
    assert page.count("genuine") == 1 and "forged" not in page and "1 reply" in page


def test_damaged_attachments_are_not_handed_out(site: Site) -> None:
    name = site.codename()
    ids = site.answer(name, text="the text", attachments=[("a", "", b"1" * 600_000)])
    visitor, page = open_inbox(site, name)
    (link,) = re.findall(r'href="([^"]*/file/[^"]*)"', page)
    cell = site.store.read(ids[1])
    site.store.delete([ids[1]])
    assert visitor.client.get(link).status_code == 404
    with site.store.item(1) as deposit:
        deposit.append(cell[:-1] + bytes([cell[-1] ^ 1]), ids[1], hashlib.sha256(cell).digest())
        deposit.commit()
    response = visitor.client.get(link)
    assert response.status_code == 403
    assert "not what the newsroom signed" in response.text and "111" not in response.text
    assert "the text" in visitor.inbox().text


# Deleting, answering, leaving.


def test_deleting_a_reply_removes_all_its_cells_and_overwrites_them(site: Site) -> None:
    name = site.codename()
    keep = site.answer(name, index=0, text="keep")
    ids = site.answer(name, index=1, text="delete", attachments=[("a", "", b"1" * 600_000)])
    samples = [site.store.read(each)[100_000:100_064] for each in ids]
    assert len(ids) == 3
    visitor, page = open_inbox(site, name)
    response = delete(visitor, page, f"1-{site.newsroom.week}-1")
    assert (response.status_code, response.headers["Location"]) == (303, visitor.inbox_path)
    assert site.cells == {*keep}
    slab = (site.folder / "cells.slab").read_bytes()
    assert not any(sample in slab for sample in samples)
    assert "keep" in visitor.inbox().text
    assert delete(visitor, page, f"1-{site.newsroom.week}-1").status_code == 404


def test_deleting_needs_the_sessions_own_token(site: Site) -> None:
    name, stranger = site.codename(), site.codename()
    site.answer(name, text="mine")
    visitor, _ = open_inbox(site, name)
    for token in ("", "0" * 32, site.context.sessions.form_token(_session(site, stranger), "delete")):
        response = visitor.client.post(f"{visitor.inbox_path}/delete", data={"token": token, "reply": "1-2968-0"})
        assert response.status_code == 403
    assert "mine" in visitor.inbox().text


def _session(site: Site, name: Codename) -> Session:
    return site.context.sign_in(name, sending=False, circuit=None)


def test_a_follow_up_comes_in_the_same_thread(site: Site) -> None:
    sent = site.visitor("en").send("first")
    name = sent.codename
    site.answer(name, desk=2, text="ask")
    visitor, page = open_inbox(site, name)
    assert re.findall(r'name="desk" value="(\d)" checked', page) == ["2"], "only who has answered is ticked"
    files = [Upload("more.pdf", b"more")]
    response = visitor.post(action(page), multipart(form_fields("second", [2]), files))
    assert response.status_code == 200 and "2 items stored" in response.text
    first, second = sorted(site.tips(2), key=lambda tip: tip.message.text)
    assert (first.source, second.message.text) == (second.source, "second")
    assert [file.content for file in second.files.values()] == [b"more"]
    assert f"{COOKIE_PREFIX}" in response.headers["Set-Cookie"]


def test_a_follow_up_cannot_be_sent_as_somebody_else(site: Site) -> None:
    visitor, page = open_inbox(site, site.codename())
    body = multipart(form_fields("x", [1], name=site.codename().text))
    assert visitor.post(action(page), body).status_code == 200
    (tip,) = site.tips()
    sessions, label = site.context.sessions, visitor.inbox_path.rsplit("/", 1)[1]
    cookie = visitor.client.get_cookie(COOKIE_PREFIX + label)
    assert cookie is not None
    (keys,) = [site.context.signing_keys(sessions.read(label, cookie.value), site.newsroom.manifest)]
    assert tip.source == keys.public


def test_a_follow_up_without_a_session_is_told_in_its_frame(site: Site) -> None:
    _, page = open_inbox(site, site.codename())
    response = site.visitor("en").post(action(page), multipart(form_fields("x", [1])))
    assert response.status_code == 403
    assert 'class="frame"' in response.text and "Enter your codename again" in response.text
    assert site.cells == frozenset()


def test_leaving_ends_the_session_for_good(site: Site) -> None:
    visitor, _ = open_inbox(site, site.codename())
    label = visitor.inbox_path.rsplit("/", 1)[1]
    cookie = visitor.client.get_cookie(COOKIE_PREFIX + label)
    assert cookie is not None
    response = visitor.get("/leave")
    assert response.status_code == 200 and "New Identity" in response.text
    assert response.headers["Clear-Site-Data"] == '"cache", "cookies", "storage"'
    assert visitor.client.get_cookie(COOKIE_PREFIX + label) is None
    visitor.client.set_cookie(COOKIE_PREFIX + label, cookie.value)
    assert visitor.inbox().status_code == 403, "an old copy of the cookie opens nothing"
    assert visitor.get("/leave").status_code == 200, "and leaving twice is no error"


def test_leaving_asks_for_nothing(site: Site) -> None:
    for method in ("get", "post", "head"):
        assert getattr(site.visitor().client, method)("/en/leave").status_code == 200


def test_two_codenames_in_one_browser_stay_apart(site: Site) -> None:
    one, other = site.codename(), site.codename()
    site.answer(one, text="for the one")
    site.answer(other, text="for the other")
    visitor = site.visitor("en")
    visitor.sign_in(one.text)
    first = visitor.inbox_path
    visitor.sign_in(other.text)
    second = visitor.inbox_path
    assert first != second
    for path, there, missing in ((first, "for the one", "for the other"), (second, "for the other", "for the one")):
        page = visitor.client.get(path).text
        assert there in page and missing not in page


def test_idleness_closes_the_mailbox_and_use_keeps_it_open(site: Site) -> None:
    visitor, _ = open_inbox(site, site.codename())
    site.newsroom.pass_time(seconds=IDLE_SECONDS)
    assert visitor.inbox().status_code == 200
    site.newsroom.pass_time(seconds=IDLE_SECONDS)
    assert visitor.inbox().status_code == 200
    site.newsroom.pass_time(seconds=IDLE_SECONDS + 1)
    response = visitor.inbox()
    assert response.status_code == 403 and "no longer open" in response.text


@pytest.mark.parametrize("label", ["0" * 16, "x", "%00", "ก", "a" * 200])
def test_an_inbox_without_a_session_is_not_shown(site: Site, label: str) -> None:
    assert site.visitor().client.get(f"/th/inbox/{label}").status_code == 403


# The codename, typed.


def test_a_codename_is_read_however_it_is_typed(site: Site) -> None:
    for language in LANGUAGES:
        name = site.codename(language)
        for typed in (
            name.text,
            "".join(name.words),
            "\n".join(f"{at}. {word}" for at, word in enumerate(name.words, 1)),
        ):
            if language == "th" or " " in typed:
                assert site.visitor("th").sign_in(typed).status_code == 303
        assert site.visitor("en").sign_in(name.text.upper()).status_code == 303


def test_what_is_wrong_is_said_with_what_was_typed(site: Site) -> None:
    words = list(site.codename("en").words)
    cases = {
        "in none of our lists": [words[0], "zzzzzz", *words[2:]],
        "do not belong together": [words[1], words[0], *words[2:]],
        "has eight words": words[:5],
    }
    for sentence, typed in cases.items():
        response = site.visitor("en").sign_in(" ".join(typed))
        assert response.status_code == 400
        assert sentence in response.text and " ".join(typed) in response.text
        assert "Set-Cookie" not in response.headers
    for typed_text in ("", "x" * 5_000, "ก" * 2_000, "<script>"):
        assert site.visitor("en").sign_in(typed_text).status_code == 400


def test_near_words_are_offered_and_never_in_an_address(site: Site) -> None:
    typed = "contrite chlorde handheld net cackle module flyable leprechaun"
    response = site.visitor("en").sign_in(typed)
    assert "Word 2:" in response.text and "<b>chloride</b>" in response.text
    assert not re.search(r'(?:href|action|src)="[^"]*chlor', response.text)
    assert "Location" not in response.headers


def test_typing_waits_its_turn_behind_sending(site: Site) -> None:
    site.waits.clear()
    open_inbox(site, site.codename())
    assert site.waits == [(False, None)]


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"codename=x", "text/plain"),
        (b"", "application/x-www-form-urlencoded"),
        (b"x" * 9_000, None),
        (b"{}", "application/json"),
    ],
)
def test_another_form_is_refused(site: Site, data: bytes, kind: str | None) -> None:
    kind = kind or "application/x-www-form-urlencoded"
    assert site.visitor().client.post("/th/return", data=data, content_type=kind).status_code == 400


# Questions about passing a tip on. Promise 13.


def consent(visitor: Visitor, page: str, reply_name: str, allowed: str) -> TestResponse:
    form = re.search(r'<form class="asked".*?</form>', page, re.DOTALL)
    assert form
    address = re.search(r'action="([^"]*/consent)"', form[0])
    assert address
    said = {"token": hidden(form[0], "token"), "reply": reply_name, "allowed": allowed}
    return visitor.client.post(address[1], data=said)


@pytest.mark.parametrize(("said", "allowed"), [("yes", True), ("no", False)])
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_question_is_answered_to_the_desk_that_asked(site: Site, said: str, allowed: bool, language: str) -> None:
    name, week = site.codename(), site.newsroom.week
    site.answer(name, desk=2, index=1, asks=[1])
    visitor, page = open_inbox(site, name, language)
    other = site.newsroom.manifest.desk(1).name
    assert html.escape(other.of(language)) in page
    assert consent(visitor, page, f"2-{week}-1", said).status_code == 200
    (received,) = site.tips(2)
    assert received.source == site.source_keys(name).public and received.closed
    assert received.message.consent == Consent(week, 1, allowed)
    assert (received.message.desks, received.message.text, received.message.refer) == ((2,), "", "ask")
    assert site.tips(1) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_both_answers_look_the_same_from_outside(site: Site, language: str) -> None:
    name, week = site.codename(), site.newsroom.week
    site.answer(name, desk=2, asks=[1])
    visitor, page = open_inbox(site, name, language)
    answers = [consent(visitor, page, f"2-{week}-0", said) for said in ("yes", "no")]
    assert answers[0].data != answers[1].data
    assert len({(len(each.data), len(str(each.headers))) for each in answers}) == 1


def test_only_what_was_asked_can_be_answered(site: Site) -> None:
    name, week = site.codename(), site.newsroom.week
    site.answer(name, desk=1, index=0, asks=[2])
    site.answer(name, desk=2, index=0)
    visitor, page = open_inbox(site, name)
    assert page.count('class="asked"') == 1
    for reply_name, said, status in [
        (f"2-{week}-0", "yes", 400),
        (f"1-{week}-0", "perhaps", 400),
        (f"1-{week}-2", "yes", 404),
    ]:
        assert consent(visitor, page, reply_name, said).status_code == status
    stranger, _ = open_inbox(site, site.codename())
    assert consent(stranger, page, f"1-{week}-0", "yes").status_code == 403
    assert site.tips(1) == site.tips(2) == []


def test_a_question_about_a_desk_that_is_gone_is_not_asked(site: Site) -> None:
    name = site.codename()
    site.answer(name, text="the reply", asks=[9])
    _, page = open_inbox(site, name)
    assert "the reply" in page and 'class="asked"' not in page


# Promise 12.


def shape(response: TestResponse) -> tuple[int, list[tuple[str, int]], int]:
    return response.status_code, [(name, len(value)) for name, value in response.headers], len(response.data)


def everything(site: Site, name: Codename, language: str) -> list[tuple[int, list[tuple[str, int]], int]]:
    """Sign in, look, send a follow-up's refusal, look again: the shapes of all that the server answers."""
    visitor = site.visitor(language)
    return [
        shape(visitor.sign_in(name.text)),
        shape(visitor.inbox()),
        shape(visitor.inbox()),
        shape(visitor.inbox("?from=2")),
    ]


@pytest.mark.parametrize("language", LANGUAGES)
def test_full_empty_and_mistyped_mailboxes_look_the_same(site: Site, language: str) -> None:
    full, one, empty = site.codename(language), site.codename(language), site.codename(language)
    week = week_of(site.newsroom.now)
    for desk in (1, 2):
        for index in range(3):
            site.answer(full, desk=desk, index=index, text="ยาว" * 600, state="opened", attachments=[("a", "", b"1")])
            site.answer(full, desk=desk, index=index, week=week - 1, text="&<>'\"" * 1_200, asks=[3 - desk])
    site.answer(one, text="x")
    shapes = [everything(site, name, language) for name in (full, one, empty, mistyped(site))]
    assert all(each == shapes[0] for each in shapes)
    assert shapes[0][1][0] == 200


def test_deleting_and_what_follows_look_the_same(site: Site) -> None:
    last, first = site.codename(), site.codename()
    site.answer(last, text="only one")
    for index in range(3):
        site.answer(first, index=index, text="ยาว" * 600)
    shapes = []
    for name in (last, first):
        visitor, page = open_inbox(site, name)
        shapes.append([shape(delete(visitor, page, f"1-{site.newsroom.week}-0")), shape(visitor.inbox())])
    assert shapes[0] == shapes[1]


def test_the_same_is_looked_up_read_and_opened_for_everybody(site: Site) -> None:
    full, empty = site.codename(), site.codename()
    for index in range(3):
        site.answer(full, index=index, text="x", attachments=[("a", "", b"1" * 600_000)])
    limits = site.newsroom.manifest.limits
    expected = (limits.acknowledge_weeks + 4) * limits.reply_slots * len(site.newsroom.manifest.desks)
    for name in (full, empty, mistyped(site)):
        visitor = site.visitor()
        visitor.sign_in(name.text)
        before = site.store.work()
        visitor.inbox()
        after = site.store.work()
        assert (after.lookups - before.lookups, after.reads - before.reads) == (expected, expected)
        work = Work()
        site.context.mailboxes.look(site.source_keys(name), site.newsroom.manifest, site.newsroom.now, work)
        assert work == Work(expected, expected, expected)


def test_many_replies_are_shown_page_by_page(site: Site) -> None:
    name, week = site.codename(), week_of(site.newsroom.now)
    expected = set()
    for at in range(week - 2, week + 1):
        for index in range(3):
            site.answer(name, week=at, index=index, text=f"[{at}/{index}]" + "&" * 5_500)
            expected.add(f"{at}/{index}")
    visitor, page = open_inbox(site, name)
    seen, pages = set(), 0
    while True:
        pages += 1
        seen |= set(re.findall(r"\[(\d+/\d)\]", page))
        older = re.search(r'href="([^"]*\?from=\d+)"', page)
        if not older:
            break
        page = visitor.client.get(older[1]).text
    assert seen == expected and pages > 2


@pytest.mark.parametrize("start", ["999", "-1", "x", "٣", "", "1" * 400])
def test_any_start_is_a_page(site: Site, start: str) -> None:
    name = site.codename()
    site.answer(name, text="the reply")
    visitor, _ = open_inbox(site, name)
    response = visitor.inbox(f"?from={start}")
    assert response.status_code == 200 and "the reply" in response.text


def test_a_text_cannot_be_reordered_or_hidden(site: Site) -> None:
    name = site.codename()
    site.answer(name, text="ok\nabc\u202edef\u200bghi\x00")
    _, page = open_inbox(site, name)
    assert "ok\nabc\ufffddef\u200bghi\ufffd</p>" in page


@pytest.mark.parametrize("letter", ["&", "'", '"', "\U0001f600", "ก", "\x01", "\n"])
def test_the_longest_reply_fits_one_page(site: Site, letter: str) -> None:
    name = site.codename()
    text = letter * (reply.MAX_TEXT_BYTES // len(letter.encode()))
    files = [(letter * (1_000 // len(letter.encode())), "", b"1")] * reply.MAX_ATTACHMENTS
    site.answer(name, text=text, state="needs-more", attachments=files, asks=[2])
    _, page = open_inbox(site, name)
    assert page.count("/file/") == reply.MAX_ATTACHMENTS
    assert html.unescape(page).count("\ufffd" if letter == "\x01" else letter) >= len(text)


# Parameters that changed.


def test_a_source_of_old_parameters_goes_on_in_its_thread(tmp_path_factory: pytest.TempPathFactory) -> None:
    newsroom = Newsroom(desks=1, limits=Limits(acknowledge_weeks=1, reply_slots=2))
    site = Site(tmp_path_factory.mktemp("old"), newsroom, slots=16)
    sent = site.visitor("en").send("first")
    old_keys = site.source_keys(sent.codename)
    newer = KdfParameters(newsroom.randomness(16), 8 << 10, 1)
    newsroom.publish(codename=(newer, *newsroom.terms.codename))
    site.box.admit(newsroom.documents[-1:])
    site.answer(sent.codename, text="under the old keys", keys=old_keys)
    visitor, page = open_inbox(site, sent.codename)
    assert "under the old keys" in page
    assert visitor.post(action(page), multipart(form_fields("second", [1]))).status_code == 200
    assert {tip.source for tip in site.tips()} == {old_keys.public}
    newcomer = site.visitor("en").send("new")
    assert site.source_keys(newcomer.codename, parameters=0).public in {tip.source for tip in site.tips()}
    site.close()
