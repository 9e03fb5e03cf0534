"""Without a valid manifest and a valid epoch list the box is closed, says so, and takes nothing. Promise 6."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from dropbox.consensus import Comparison
from dropbox.source import words
from dropbox.state import State
from dropbox.store import Change
from keys.epochs import Closed
from keys.languages import LANGUAGES
from keys.minisign import SignedDocument
from tests.dropbox.source.site import Site, form_fields, multipart
from tests.simulators.newsroom import DAY


def edit(site: Site, change: Callable[[State], State]) -> None:
    """Change what the server remembers, as somebody could who has its disk."""
    state = change(State.decode(site.store.documents()))
    site.store.apply(Change(documents=state.encode()))


def without_manifest(site: Site) -> None:
    edit(site, lambda state: State(state.network))


def under_signed(site: Site) -> None:
    def drop_signatures(state: State) -> State:
        first = state.manifests[0]
        return replace(state, manifests=(SignedDocument(first.statement, first.signatures[:1]),))

    edit(site, drop_signatures)


def changed(site: Site) -> None:
    def change_name(state: State) -> State:
        first = state.manifests[0]
        return replace(
            state, manifests=(SignedDocument(first.statement.replace(b"Desk 1", b"Desk X"), first.signatures),)
        )

    edit(site, change_name)


def rolled_back(site: Site) -> None:
    edit(site, lambda state: replace(state, floors=replace(state.floors, manifest=2)))


def expired(site: Site) -> None:
    site.newsroom.pass_time(days=366)


def not_yet_valid(site: Site) -> None:
    site.newsroom.pass_time(days=-2)
    edit(site, lambda state: replace(state, floors=replace(state.floors, latest=0, week=0)))


def ordered(site: Site) -> None:
    site.box.admit([site.newsroom.close_order()])


def clock_behind(site: Site) -> None:
    edit(site, lambda state: replace(state, floors=replace(state.floors, latest=site.newsroom.now + DAY + 1)))


def clock_contradicted(site: Site) -> None:
    site.clock = Comparison.DISAGREES


def week_below_floor(site: Site) -> None:
    edit(site, lambda state: replace(state, floors=replace(state.floors, week=site.newsroom.week + 1)))


def without_lists(site: Site) -> None:
    edit(site, lambda state: replace(state, epochs={}))


def lists_past(site: Site) -> None:
    site.newsroom.pass_time(weeks=8)


def lists_by_another(site: Site) -> None:
    document = site.newsroom.epochs(1, signed_by=site.newsroom.desk_seed(2))
    edit(site, lambda state: replace(state, epochs={1: document}))


def lists_rolled_back(site: Site) -> None:
    edit(site, lambda state: replace(state, floors=replace(state.floors, lists=dict.fromkeys((1, 2, 3), 9))))


CAUSES: dict[Callable[[Site], None], Closed] = {
    without_manifest: Closed.NO_MANIFEST,
    under_signed: Closed.NO_MANIFEST,
    changed: Closed.NO_MANIFEST,
    rolled_back: Closed.MANIFEST_ROLLED_BACK,
    expired: Closed.MANIFEST_EXPIRED,
    not_yet_valid: Closed.MANIFEST_NOT_YET_VALID,
    ordered: Closed.ORDERED,
    clock_contradicted: Closed.CLOCK_DISAGREES,
    clock_behind: Closed.CLOCK_BEHIND,
    week_below_floor: Closed.WEEK_BELOW_FLOOR,
    without_lists: Closed.NO_EPOCHS,
    lists_past: Closed.NO_EPOCHS,
    lists_by_another: Closed.NO_EPOCHS,
    lists_rolled_back: Closed.NO_EPOCHS,
}


@pytest.fixture
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("closed"), slots=8)
    yield made
    made.close()


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.__name__)
def test_a_closed_box_says_so_and_takes_nothing(fresh: Site, cause: Callable[[Site], None]) -> None:
    name, address = fresh.visitor("en").open_form()
    cause(fresh)
    assert fresh.box.openness().reason is CAUSES[cause]
    for language in LANGUAGES:
        visitor = fresh.visitor(language)
        with fresh.app.test_request_context(f"/{language}/"):
            reason = words.of_closed(CAUSES[cause])
        page = visitor.get("/send")
        assert page.status_code == 503
        assert reason in page.text and "<form" not in page.text and name.text not in page.text
        front = visitor.get("/")
        assert front.status_code == 200 and reason in front.text
    response = fresh.visitor("en").post(address, multipart(form_fields("x", [1], name=name.text)))
    assert response.status_code == 503
    assert "closed" in response.text
    assert fresh.cells == frozenset()
    assert "closed" in fresh.visitor("en").get(f"/progress/{address.rsplit('/', 1)[1]}").text


def test_one_desk_closed_leaves_the_others_open(fresh: Site) -> None:
    edit(fresh, lambda state: replace(state, epochs={2: state.epochs[2]}))
    page = fresh.visitor("en").get("/send").text
    assert 'value="2" checked' in page and 'value="1"' not in page
    assert "Takes nothing at the moment" in fresh.visitor("en").get("/").text
    assert fresh.visitor().send("x", desks=[2]).response.status_code == 200
    assert fresh.visitor().send("x", desks=[1, 2]).response.status_code == 503
    assert len(fresh.cells) == 1


def test_replies_can_be_read_while_the_box_is_closed(fresh: Site) -> None:
    name = fresh.codename()
    fresh.answer(name, text="คำตอบหนึ่ง")
    ordered(fresh)
    visitor = fresh.visitor()
    assert visitor.sign_in(name.text).status_code == 303
    page = visitor.inbox().text
    assert "คำตอบหนึ่ง" in page and 'enctype="multipart/form-data"' not in page


def test_without_a_manifest_every_page_still_shows(fresh: Site) -> None:
    without_manifest(fresh)
    for language in LANGUAGES:
        visitor = fresh.visitor(language)
        expected = {"/": 200, "/send": 503, "/return": 200, "/keys": 503, "/leave": 200, "/nowhere": 404}
        assert {path: visitor.get(path).status_code for path in expected} == expected
        assert visitor.sign_in(fresh.codename().text).status_code == 503


def test_a_box_opens_with_its_first_manifest(tmp_path_factory: pytest.TempPathFactory) -> None:
    site = Site(tmp_path_factory.mktemp("new"), slots=8, open_=False)
    assert site.visitor().get("/send").status_code == 503
    site.box.admit(site.newsroom.documents)
    assert site.visitor().get("/send").status_code == 503
    site.publish_epochs()
    assert site.visitor().send("x").response.status_code == 200
    site.close()


def test_a_new_week_is_sealed_to_its_own_key(fresh: Site) -> None:
    fresh.visitor().send("this week", desks=[1])
    fresh.newsroom.pass_time(weeks=1)
    fresh.visitor().send("next week", desks=[1])
    (tip,) = fresh.tips()
    assert (tip.message.text, tip.message.week) == ("next week", fresh.newsroom.week)
    fresh.newsroom.pass_time(weeks=-1)
    assert fresh.visitor().get("/send").status_code == 503, "the floor keeps a clock that went back from being used"
