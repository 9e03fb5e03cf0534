"""What desks publish, in the order in which pages show it."""

from __future__ import annotations

from typing import Any

import pytest

from dropbox.bulletins import Published, is_open
from keys.bulletin import Bulletin, parse
from tests.simulators.newsroom import DAY, Newsroom


@pytest.fixture
def newsroom() -> Newsroom:
    return Newsroom(desks=3)


def published(newsroom: Newsroom, *bulletins: Bulletin) -> Published:
    return Published.of({each.id: each for each in bulletins}, newsroom.now)


def made(newsroom: Newsroom, days_ago: float, desk: int = 1, **words: Any) -> Bulletin:
    issued = newsroom.now - int(days_ago * DAY)
    return parse(newsroom.bulletin(desk, issued=issued, **words).statement)


def test_calls_and_posts_are_newest_first_and_apart(newsroom: Newsroom) -> None:
    old, new = made(newsroom, 5), made(newsroom, 1)
    checking = made(newsroom, 2, state="checking")
    update, guide = made(newsroom, 3, kind="update"), made(newsroom, 4, kind="guidance")
    outcome = made(newsroom, 1, kind="outcome")
    found = published(newsroom, old, update, new, guide, checking, outcome)
    assert found.calls == (new, checking, old)
    assert (found.open_calls, found.other_calls) == ((new, old), (checking,))
    assert found.posts == (outcome, update, guide)
    assert (found.news, found.guidance) == ((outcome, update), (guide,))
    assert found.call(old.id) is old and found.call(update.id) is None and found.call(b"\0" * 16) is None


def test_what_belongs_to_a_call_stands_in_the_order_in_which_it_happened(newsroom: Newsroom) -> None:
    call = made(newsroom, 9)
    first, second = (made(newsroom, days, kind="update", about=call.id) for days in (8, 3))
    of_another = made(newsroom, 5, desk=2, kind="outcome", about=call.id)
    alone = made(newsroom, 4, kind="update")
    found = published(newsroom, second, alone, of_another, call, first)
    assert found.about(call) == (first, of_another, second)


def test_what_was_withdrawn_stands_in_no_list_but_is_found(newsroom: Newsroom) -> None:
    call = made(newsroom, 2, withdrawn=True)
    update = made(newsroom, 1, kind="update", withdrawn=True)
    found = published(newsroom, call, update)
    assert (found.calls, found.posts) == ((), ())
    assert found.call(call.id) is call and found.by_id[update.id] is update
    assert not is_open(call)


def test_a_post_of_a_later_day_waits_for_it_and_a_withdrawal_does_not(newsroom: Newsroom) -> None:
    tomorrow = made(newsroom, -1)
    gone = made(newsroom, -1, withdrawn=True)
    found = published(newsroom, tomorrow, gone)
    assert (set(found.by_id), found.calls) == ({gone.id}, ())
    newsroom.pass_time(days=1)
    assert published(newsroom, tomorrow, gone).calls == (tomorrow,)


def test_a_post_of_today_shows_all_day(newsroom: Newsroom) -> None:
    midnight = newsroom.now // DAY * DAY
    for hour, shown in ((0, True), (23, True), (24, False), (-1, True)):
        post = parse(newsroom.bulletin(issued=midnight + hour * 3_600).statement)
        assert (Published.of({post.id: post}, midnight).calls == (post,)) is shown


def test_one_desk_at_a_time(newsroom: Newsroom) -> None:
    one, two = made(newsroom, 1, desk=1), made(newsroom, 2, desk=2)
    update = made(newsroom, 1, desk=2, kind="update", about=one.id)
    found = published(newsroom, one, two, update)
    assert (found.of_desk(2).calls, found.of_desk(2).posts) == ((two,), (update,))
    assert found.of_desk(3) == Published({}, (), ())


def test_posts_of_one_second_have_one_order(newsroom: Newsroom) -> None:
    posts = [made(newsroom, 1) for _ in range(5)]
    assert published(newsroom, *posts).calls == published(newsroom, *reversed(posts)).calls
