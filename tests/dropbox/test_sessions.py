"""Sessions: sealed, of one length, each under its own name, ended by time, by leaving and by a restart."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from dropbox.refusals import Expired
from dropbox.sessions import ABSOLUTE_SECONDS, COOKIE_PREFIX, IDLE_SECONDS, Session, Sessions
from keys.primitives import system_randomness
from tests.simulators.newsroom import NOW, seeded


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(clock: Clock) -> Sessions:
    return Sessions(system_randomness, clock)


def read(sessions: Sessions, cookie: tuple[str, str]) -> Session:
    name, value = cookie
    return sessions.read(name.removeprefix(COOKIE_PREFIX), value)


def test_a_cookie_gives_its_session_back(sessions: Sessions) -> None:
    session = sessions.begin(bytes(range(32)))
    assert read(sessions, sessions.cookie(session)) == session


def test_cookies_have_one_length_and_hide_what_they_carry(sessions: Sessions) -> None:
    cookies = [sessions.cookie(sessions.begin(system_randomness(64))) for _ in range(20)]
    assert len({(len(name), len(value)) for name, value in cookies}) == 1
    session = sessions.begin(b"S" * 32)
    assert sessions.cookie(session)[1] != sessions.cookie(session)[1]
    assert "U1NT" not in sessions.cookie(session)[1], "base64 of what it carries"


def test_a_restart_ends_every_session(sessions: Sessions, clock: Clock) -> None:
    cookie = sessions.cookie(sessions.begin(bytes(32)))
    with pytest.raises(Expired):
        read(Sessions(system_randomness, clock), cookie)


def test_a_cookie_serves_only_under_its_own_name(sessions: Sessions) -> None:
    one, other = sessions.begin(bytes(32)), sessions.begin(bytes(32))
    with pytest.raises(Expired):
        sessions.read(one.label, sessions.cookie(other)[1])


def test_idleness_ends_it_and_use_prolongs_it(sessions: Sessions, clock: Clock) -> None:
    cookie = sessions.cookie(sessions.begin(bytes(32)))
    clock.now += IDLE_SECONDS
    cookie = sessions.cookie(read(sessions, cookie))
    clock.now += IDLE_SECONDS
    read(sessions, cookie)
    clock.now += 1
    with pytest.raises(Expired):
        read(sessions, cookie)


def test_no_use_prolongs_it_beyond_twelve_hours(sessions: Sessions, clock: Clock) -> None:
    cookie = sessions.cookie(sessions.begin(bytes(32)))
    for _ in range(ABSOLUTE_SECONDS // IDLE_SECONDS):
        clock.now += IDLE_SECONDS
        cookie = sessions.cookie(read(sessions, cookie))
    clock.now += 1
    with pytest.raises(Expired):
        read(sessions, cookie)


def test_an_upload_of_hours_ends_with_a_session_that_lives(sessions: Sessions, clock: Clock) -> None:
    session = sessions.begin(bytes(32))
    clock.now += 5 * 3_600
    read(sessions, sessions.cookie(session))


def test_leaving_ends_it_for_every_copy_and_no_other(sessions: Sessions) -> None:
    gone, stays = sessions.begin(bytes(32)), sessions.begin(bytes(32))
    copies = [sessions.cookie(gone) for _ in range(3)]
    sessions.revoke(gone)
    for copy in copies:
        with pytest.raises(Expired):
            read(sessions, copy)
    assert read(sessions, sessions.cookie(stays)) == stays


def test_leaving_is_known_to_every_process(sessions: Sessions) -> None:
    gone = [sessions.begin(bytes(32)) for _ in range(40)]
    children = []
    for part in (gone[:20], gone[20:]):
        child = os.fork()
        if child == 0:
            for session in part:
                sessions.revoke(session)
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    for session in gone:
        with pytest.raises(Expired):
            read(sessions, sessions.cookie(session))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda value: "",
        lambda value: value[:-4],
        lambda value: value[::-1],
        lambda value: "ก" + value,
        lambda value: "A" * len(value),
    ],
)
def test_anything_else_is_no_cookie(sessions: Sessions, spoil: Callable[[str], str]) -> None:
    name, value = sessions.cookie(sessions.begin(bytes(32)))
    with pytest.raises(Expired):
        read(sessions, (name, spoil(value)))


def test_form_tokens_are_a_sessions_own_and_a_purposes(sessions: Sessions) -> None:
    session, other = sessions.begin(bytes(32)), sessions.begin(bytes(32))
    sessions.check_form_token(session, "delete", sessions.form_token(session, "delete"))
    for token in (sessions.form_token(other, "delete"), sessions.form_token(session, "send"), "", "ก\ud800"):
        with pytest.raises(Expired):
            sessions.check_form_token(session, "delete", token)


def test_nothing_secret_is_printed(sessions: Sessions) -> None:
    assert repr(sessions.begin(b"secret" * 6)) == "Session(…)"


def test_the_same_randomness_gives_the_same_names() -> None:
    labels = [Sessions(seeded("x"), lambda: NOW).begin(bytes(32)).label for _ in range(2)]
    assert labels[0] == labels[1]
