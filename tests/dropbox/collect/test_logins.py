"""Who is let in: couriers of the manifest in force, with a fresh answer, for a while. SPEC sections 19.1 and 19.2."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbox.collect.logins import CHALLENGE_SECONDS, TOKEN_SECONDS, Logins, Unwelcome
from keys import statement
from keys.errors import Malformed
from keys.minisign import SigningKey
from tests.simulators.newsroom import Newsroom, seeded

NEWSROOM = Newsroom(couriers=("carrier", "other"))
SEED = NEWSROOM.courier_seeds["carrier"]


class Desk:
    """The logins of a server, and the time there."""

    def __init__(self, label: str = "logins") -> None:
        self.now = NEWSROOM.now
        self.logins = Logins(seeded(label), lambda: self.now)

    def log_in(self, challenge: bytes, seed: bytes = SEED, *, server: str = "alpha", key: bytes | None = None) -> bytes:
        signed = statement.make("courier-login", NEWSROOM.network, [("server", server)], challenge)
        courier = SigningKey.of(key or seed).text
        return self.logins.login(NEWSROOM.manifest, "alpha", courier, challenge, statement.sign(seed, signed))


def test_a_courier_that_answers_is_let_in_for_twelve_hours() -> None:
    desk = Desk()
    token = desk.log_in(desk.logins.challenge())

    for passed in (0, TOKEN_SECONDS):
        desk.now = NEWSROOM.now + passed
        desk.logins.check(NEWSROOM.manifest, token)
    desk.now += 1
    with pytest.raises(Unwelcome):
        desk.logins.check(NEWSROOM.manifest, token)


def test_a_challenge_is_answered_within_ten_minutes() -> None:
    desk = Desk()
    challenge = desk.logins.challenge()

    desk.now += CHALLENGE_SECONDS
    desk.log_in(challenge)
    desk.now += 1
    with pytest.raises(Unwelcome):
        desk.log_in(challenge)


REFUSED: dict[str, Callable[[Desk], bytes]] = {
    "a key that the manifest lacks": lambda desk: desk.log_in(desk.logins.challenge(), seeded("stranger")(32)),
    "a root's key": lambda desk: desk.log_in(desk.logins.challenge(), NEWSROOM.root_seeds[0]),
    "somebody else's answer": lambda desk: desk.log_in(
        desk.logins.challenge(), NEWSROOM.courier_seeds["other"], key=SEED
    ),
    "an answer for another server": lambda desk: desk.log_in(desk.logins.challenge(), server="beta"),
    "another server's challenge": lambda desk: desk.log_in(Desk("elsewhere").logins.challenge()),
    "a challenge of its own": lambda desk: desk.log_in(bytes(64)),
    "no challenge": lambda desk: desk.log_in(b""),
    "a token as challenge": lambda desk: desk.log_in(desk.log_in(desk.logins.challenge())),
}


@pytest.mark.parametrize("enter", REFUSED.values(), ids=REFUSED)
def test_nobody_else_is_let_in(enter: Callable[[Desk], bytes]) -> None:
    with pytest.raises(Unwelcome):
        enter(Desk())


@pytest.mark.parametrize("courier", ["", "not a key", "RWQ" + "A" * 53, "ก"])
def test_what_is_no_key_is_no_courier(courier: str) -> None:
    desk = Desk()

    with pytest.raises(Unwelcome):
        desk.logins.login(NEWSROOM.manifest, "alpha", courier, desk.logins.challenge(), bytes(64))


def test_a_challenge_is_no_token_and_no_server_takes_anothers() -> None:
    desk = Desk()

    with pytest.raises(Unwelcome):
        desk.logins.check(NEWSROOM.manifest, desk.logins.challenge())
    with pytest.raises(Unwelcome):
        Desk("restarted").logins.check(NEWSROOM.manifest, desk.log_in(desk.logins.challenge()))


def test_who_leaves_the_manifest_is_shut_out_at_once() -> None:
    newsroom = Newsroom(couriers=("carrier", "other"))
    desk = Desk()
    token = desk.log_in(desk.logins.challenge())
    left = newsroom.publish(couriers=newsroom.manifest.couriers[1:])

    with pytest.raises(Unwelcome, match="any more"):
        desk.logins.check(left, token)
    with pytest.raises(Unwelcome):
        desk.logins.login(left, "alpha", SigningKey.of(SEED).text, desk.logins.challenge(), bytes(64))


def test_challenges_and_tokens_are_never_the_same() -> None:
    desk = Desk()
    made = [desk.logins.challenge() for _ in range(20)] + [desk.log_in(desk.logins.challenge()) for _ in range(20)]

    assert len(set(made)) == 40


@given(token=st.binary(max_size=120))
def test_any_bytes_are_unwelcome_and_nothing_else(token: bytes) -> None:
    desk = Desk()
    with pytest.raises(Unwelcome):
        desk.logins.check(NEWSROOM.manifest, token)
    with pytest.raises(Unwelcome):
        desk.logins.login(NEWSROOM.manifest, "alpha", SigningKey.of(SEED).text, token, token)


def test_who_is_unwelcome_is_told_so_with_status_401() -> None:
    assert (Unwelcome.http_status, Malformed.http_status) == (401, 400)
