"""Volunteering: sealed like a tip, as its own kind, in one cell, under a codename of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pytest

from keys import codename
from keys.languages import LANGUAGES
from tests.dropbox.source.markup import Page
from tests.dropbox.source.site import Sent, Site, Upload, action, hidden, multipart
from tests.simulators.newsroom import Newsroom

ASKED = {
    "th": ("คุณทำอะไรได้", "ที่ไหน และเมื่อไร", "ติดต่อคุณได้ทางไหน"),
    "en": ("What can you do?", "Where, and when?", "How can they reach you?"),
}


@pytest.fixture(autouse=True)
def emptied(site: Site) -> Iterator[None]:
    yield
    site.empty()


def offer(
    site: Site,
    answers: Mapping[str, str],
    language: str = "en",
    *,
    desks: Sequence[int] = (1, 2),
    files: Sequence[Upload] = (),
) -> Sent:
    visitor = site.visitor(language)
    page = visitor.get("/volunteer").text
    fields = [("codename", hidden(page, "codename")), *answers.items(), *(("desk", str(desk)) for desk in desks)]
    address = action(page)
    response = visitor.post(address, multipart(fields, files))
    return Sent(codename.read(hidden(page, "codename")), address.rsplit("/", 1)[1], response)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_desk_opens_an_offer_as_its_own_kind(site: Site, language: str) -> None:
    sent = offer(site, {"can": "อ่านบัญชี\r\nและแผนที่", "where": "ขอนแก่น", "reach": "081-000-0000"}, language)
    assert sent.response.status_code == 200 and len(site.cells) == 1
    assert {"th": "เก็บแล้ว 1 รายการ", "en": "1 item stored"}[language] in sent.text
    assert all(word in sent.text for word in sent.codename.words)
    for desk in (1, 2):
        received = site.tip(sent, desk)
        message = received.message
        assert (message.kind, message.language, message.desks, message.refer) == ("volunteer", language, (1, 2), "ask")
        assert message.answers == tuple(
            zip(ASKED[language], ("อ่านบัญชี\nและแผนที่", "ขอนแก่น", "081-000-0000"), strict=True)
        )
        assert (message.text, message.call, received.files, received.closed) == ("", "", {}, True)
    assert site.tips(3) == []


def test_without_a_way_to_be_reached_they_answer_to_the_codename(site: Site) -> None:
    sent = offer(site, {"can": "read contracts"})
    message = site.tip(sent).message
    assert message.answers == ((ASKED["en"][0], "read contracts"),)
    keys = site.source_keys(sent.codename)
    assert message.mailbox is not None and message.mailbox.root == keys.root
    site.answer(sent.codename, text="please come")
    visitor = site.visitor("en")
    visitor.sign_in(sent.codename.text)
    assert "please come" in visitor.inbox().text


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_says_that_contact_ends_anonymity_before_any_field(site: Site, language: str) -> None:
    page = site.visitor(language).get("/volunteer").text
    warned = {"th": "คุณจะไม่เป็นนิรนามสำหรับองค์กรเหล่านี้อีก", "en": "you are not anonymous to them any more"}[language]
    field = page.index("<textarea")
    assert page.index(warned) < field and page.index("New Identity") < field and page.index('class="codename"') < field
    assert not [each for each in Page(page).all("input") if each["type"] == "file"]


def test_every_page_has_a_codename_of_its_own(site: Site) -> None:
    visitor = site.visitor()
    shown = {hidden(visitor.get(path).text, "codename") for path in ("/volunteer", "/volunteer", "/send")}
    assert len(shown) == 3


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({}, "neither a message nor a file"),
        ({"can": " ", "reach": "\n"}, "neither a message nor a file"),
        ({"can": "x" * 6_001}, "longer"),
        ({"text": "of another form"}, "not stored"),
        ({"can": "x", "refer": "yes"}, "not stored"),
    ],
)
def test_what_the_form_does_not_ask_for_is_refused(site: Site, answers: dict[str, str], said: str) -> None:
    sent = offer(site, answers)
    assert sent.response.status_code in (400, 413) and site.cells == frozenset(), sent.text
    assert said in sent.text.lower() or "nothing was stored" in sent.text.lower()


def test_nobody_to_read_it_is_refused(site: Site) -> None:
    sent = offer(site, {"can": "x"}, desks=())
    assert sent.response.status_code == 400 and "No newsroom is ticked" in sent.text and not site.cells


def test_a_file_is_not_taken_and_the_offer_is(site: Site) -> None:
    sent = offer(site, {"can": "x"}, files=[Upload("cv.pdf", b"1" * 1_000)])
    assert sent.response.status_code == 200 and "1 item stored" in sent.text and "Not stored" in sent.text
    received = site.tip(sent)
    assert received.message.kind == "volunteer" and received.files == {}


def test_progress_is_shown_beside_it(site: Site) -> None:
    sent = offer(site, {"can": "x"})
    assert "Everything is stored" in site.visitor("en").get(f"/progress/{sent.upload}").text


def test_a_closed_box_takes_no_offer(tmp_path_factory: pytest.TempPathFactory) -> None:
    site = Site(tmp_path_factory.mktemp("closed"), Newsroom(desks=1), slots=16)
    try:
        site.box.admit([site.newsroom.close_order()])
        response = site.visitor("en").get("/volunteer")
        assert response.status_code == 503 and "closed" in response.text
    finally:
        site.close()
