"""Answers to a call arrive sealed, beside the questions that the source saw, whatever became of the call meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keys.bulletin import parse
from keys.codename import read
from keys.languages import LANGUAGES, Text
from keys.terms import Limits
from tests.dropbox.source.markup import Page
from tests.dropbox.source.site import Sent, Site, Upload, Visitor, action, hidden, multipart
from tests.simulators.newsroom import Newsroom

ASKED = (Text("เห็นเมื่อไร", "When did you see it?"), Text("ใครอยู่ที่นั่น", "Who was there?"), Text("อะไรอีก", "What else?"))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, Newsroom(desks=3, limits=Limits(message_bytes=8_000)), slots=32)
    yield made
    made.close()


def publish(site: Site, desk: int = 2, **words: Any) -> str:
    document = site.newsroom.bulletin(desk, **{"questions": ASKED, **words})
    site.box.admit([document])
    return parse(document.statement).id.hex()


def form_of(page: str) -> list[tuple[str, str]]:
    """The form as a browser would send it: hidden fields, ticks and texts, in the page's order."""
    fields = []
    for element in Page(page).all("input", "textarea"):
        ticked = "checked" in element.attributes
        if element.tag == "textarea" or element["type"] == "hidden" or ticked:
            fields.append((element["name"], element["value"]))
    return fields


def answer(visitor: Visitor, page: str, answers: Mapping[str, str], *files: Upload, **changed: str) -> Sent:
    """Fill in a page that was opened, and send it. `changed`: fields that are sent with another value."""
    fields = [(name, answers.get(name, changed.get(name, value))) for name, value in form_of(page)]
    response = visitor.post(action(page), multipart(fields, files))
    return Sent(read(hidden(page, "codename")), action(page).rsplit("/", 1)[1], response)


def opened(visitor: Visitor, name: str) -> str:
    response = visitor.get(f"/send?call={name}")
    assert response.status_code == 200
    return response.text


@pytest.mark.parametrize("language", LANGUAGES)
def test_answers_arrive_with_the_call_and_its_questions(site: Site, language: str) -> None:
    name, visitor = publish(site), site.visitor(language)
    sent = answer(visitor, opened(visitor, name), {"answer-1": "วันศุกร์\r\nตอนเย็น", "answer-3": "x", "text": "อีกอย่าง"})
    assert sent.response.status_code == 200
    message = site.tip(sent, desk=2).message
    assert (message.kind, message.call, message.text) == ("tip", name, "อีกอย่าง")
    assert message.answers == ((ASKED[0].of(language), "วันศุกร์\nตอนเย็น"), (ASKED[2].of(language), "x"))
    assert message.desks == (2,) and site.blocks(1) == []
    size = len("วันศุกร์\nตอนเย็นxอีกอย่าง".encode())
    assert f"{size} B" in sent.text
    assert "meanwhile" not in sent.text and "ระหว่างที่คุณเขียน" not in sent.text


def test_the_form_shows_each_question_with_its_limit_and_the_desk_that_asks(site: Site) -> None:
    name = publish(site)
    for language in LANGUAGES:
        page = Page(opened(site.visitor(language), name))
        labels = {label["for"]: label.text.strip() for label in page.all("label")}
        fields = [element for element in page.all("textarea") if element["name"].startswith("answer-")]
        assert [labels[element["id"]] for element in fields] == [question.of(language) for question in ASKED]
        assert all({"th": "2,000", "en": "6,000"}[language] in page.source for _ in fields)
        assert [box["value"] for box in page.all("input") if box["name"] == "desk" and "checked" in box.attributes] == [
            "2"
        ]
        (link,) = (link for link in page.all("a") if link["hreflang"])
        assert link["href"] == f"/{link['lang']}/send?call={name}"


def test_one_answer_is_enough_and_none_is_nothing(site: Site) -> None:
    name, visitor = publish(site), site.visitor("en")
    sent = answer(visitor, opened(visitor, name), {"answer-2": "the mayor"})
    assert site.tip(sent, desk=2).message.text == ""
    sent = answer(visitor, opened(visitor, name), {"answer-1": " \r\n"})
    assert sent.response.status_code == 400 and "neither a message nor a file" in sent.text
    sent = answer(visitor, opened(visitor, name), {}, Upload("a.jpg", b"x"))
    assert site.tip(sent, desk=2).message.call == name


def test_open_calls_are_offered_above_the_form_and_none_is_the_default(site: Site) -> None:
    assert "call=" not in site.visitor().get("/send").text
    names = [publish(site, title=Text(f"ก{at}", f"c{at}")) for at in range(7)]
    publish(site, state="closed")
    page = site.visitor("en").get("/send").text
    offered = [link["href"] for link in Page(page).all("a") if "call=" in link["href"]]
    assert len(offered) == 5 and set(offered) <= {f"/en/send?call={name}" for name in names}
    assert page.index("call=") < page.index('class="codename"') and "/en/calls" in page
    assert not [name for name, _ in form_of(page) if name in ("call", "revision") or name.startswith("answer-")]
    sent = site.visitor("en").send("only a tip")
    assert (site.tip(sent).message.call, site.tip(sent).message.answers) == ("", ())


@pytest.mark.parametrize("name", ["0" * 32, "x", "", "F" * 32, "%00", "ก"])
def test_a_call_that_is_not_here_leaves_the_form_as_it_is(site: Site, name: str) -> None:
    page = site.visitor("en").get(f"/send?call={name}").text
    assert ("takes no answers any more" in page) is bool(name)
    assert "call" not in dict(form_of(page))


def test_a_call_that_takes_no_answers_says_so_before_anything_is_typed(site: Site) -> None:
    name = publish(site, state="checking")
    page = opened(site.visitor("en"), name)
    assert "takes no answers any more" in page and "call" not in dict(form_of(page))


@pytest.mark.parametrize("words", [{"state": "closed"}, {"withdrawn": True, "questions": ()}])
def test_a_call_that_ends_while_somebody_writes_loses_nothing(site: Site, words: dict[str, Any]) -> None:
    name, visitor = publish(site), site.visitor("en")
    page = opened(visitor, name)
    publish(site, id=bytes.fromhex(name), revision=2, **words)
    sent = answer(visitor, page, {"answer-1": "on Friday"})
    assert "was changed or ended meanwhile" in sent.text
    message = site.tip(sent, desk=2).message
    assert (message.call, message.answers) == (name, (("(revision 1) When did you see it?", "on Friday"),))


def test_questions_that_change_while_somebody_writes_stay_those_that_were_seen(site: Site) -> None:
    name, visitor = publish(site), site.visitor("th")
    page = opened(visitor, name)
    publish(site, id=bytes.fromhex(name), revision=2, questions=(Text("คำถามใหม่", "A new question"),))
    sent = answer(visitor, page, {"answer-2": "นายก"})
    assert "ระหว่างที่คุณเขียน" in sent.text
    assert site.tip(sent, desk=2).message.answers == ((f"(revision 1) {ASKED[1].th}", "นายก"),)


def test_the_signed_question_counts_not_what_the_form_says_it_was(site: Site) -> None:
    name, visitor = publish(site), site.visitor("en")
    sent = answer(visitor, opened(visitor, name), {"answer-1": "yes", "question-1": "Are you a liar?"})
    assert site.tip(sent, desk=2).message.answers == ((ASKED[0].en, "yes"),)


def test_a_call_that_was_never_here_is_kept_as_the_form_says(site: Site) -> None:
    name, visitor = publish(site), site.visitor("en")
    sent = answer(visitor, opened(visitor, name), {"answer-1": "yes", "call": "ab" * 16})
    message = site.tip(sent, desk=2).message
    assert (message.call, message.answers) == ("ab" * 16, ((f"(revision 1) {ASKED[0].en}", "yes"),))


@pytest.mark.parametrize(
    "changed",
    [
        {"call": "x"},
        {"call": "F" * 32},
        {"call": ""},
        {"revision": ""},
        {"revision": "-1"},
        {"revision": "0"},
        {"revision": "9" * 17},
        {"call": "0" * 33},
        {"question-1": "x" * 2401},
        {"answer-1": "x" * 6001},
    ],
)
def test_a_form_that_this_page_does_not_send_is_refused(site: Site, changed: dict[str, str]) -> None:
    visitor, before = site.visitor("en"), site.cells
    sent = answer(visitor, opened(visitor, publish(site)), {"answer-2": "yes", **changed})
    assert sent.response.status_code in (400, 413)
    assert site.cells == before


ODD = st.sampled_from(
    ["", "0", "1", "-1", "١", "1e3", "0" * 32, "f" * 32, "x" * 40, "\x00", "\ud7ff", "ก" * 900, "1\r\n"]
) | st.text(st.characters(codec="utf-8"), max_size=40)
NAMES = st.sampled_from(
    ["call", "revision", "question-1", "answer-1", "answer-8", "answer-9", "question-0", "text", "desk"]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(NAMES, ODD), max_size=8))
def test_any_form_is_stored_whole_or_refused_with_a_reason(site: Site, fields: list[tuple[str, str]]) -> None:
    visitor, before = site.visitor("en"), site.cells
    name, address = visitor.open_form()
    response = visitor.post(address, multipart([("codename", name.text), ("desk", "1"), *fields]))
    assert response.status_code in (200, 400, 413, 503)
    if response.status_code == 200:
        message = site.tip(Sent(name, "", response)).message
        first = next((value for field, value in fields if field == "text"), "")
        assert message.text == first.replace("\r\n", "\n")
        assert not message.call or message.call == next(value for field, value in fields if field == "call")
        site.empty()
    else:
        assert site.cells == before


def test_text_and_answers_share_one_limit(site: Site) -> None:
    name, visitor = publish(site), site.visitor("en")
    fits = {"answer-1": "a" * 3_000, "answer-2": "b" * 3_000, "text": "c" * 2_000}
    sent = answer(visitor, opened(visitor, name), fits)
    assert [len(each) for _, each in site.tip(sent, desk=2).message.answers] == [3_000, 3_000]
    sent = answer(visitor, opened(visitor, name), {**fits, "text": "c" * 2_001})
    assert sent.response.status_code == 413 and "too long" in sent.text


def test_a_call_of_a_desk_that_is_closed_ticks_nobody(site: Site) -> None:
    name = publish(site)
    state = site.box.admitted().state
    site.newsroom.pass_time(weeks=2)
    site.box.admit([site.newsroom.epochs(desk, weeks=2) for desk in (1, 3)])
    assert state.epochs and site.box.openness().desks == (1, 3)
    page = site.visitor("en").get(f"/send?call={name}").text
    assert "takes nothing at the moment" in page
    assert [value for field, value in form_of(page) if field == "desk"] == []


def test_follow_ups_know_no_calls(site: Site) -> None:
    publish(site)
    visitor = site.visitor("en")
    visitor.sign_in(site.codename().text)
    page = visitor.inbox().text
    assert "call=" not in page and "answer-1" not in page
    body = multipart([("text", "x"), ("call", "0" * 32), ("revision", "1"), ("desk", "1")])
    assert visitor.post(action(page), body).status_code == 400


def test_the_inbox_has_one_length_whatever_is_published(site: Site) -> None:
    visitor = site.visitor("en")
    visitor.sign_in(site.codename().text)
    before = len(visitor.inbox().data)
    publish(site)
    assert len(visitor.inbox().data) == before
