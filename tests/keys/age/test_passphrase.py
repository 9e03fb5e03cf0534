"""Files locked with a passphrase: the work that they may ask for is ours to decide."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.age.header import HeaderMalformed, Stanza
from keys.age.passphrase import MAX_LOG_N, PassphraseIdentity, PassphraseRecipient, WorkRefused
from keys.errors import DropBoxError, Malformed
from tests.keys.age.doubles import counting, seeded

FILE_KEY = bytes(range(16))
LOG_N = 2
GOOD = PassphraseRecipient("ปลาทูนึ่งสามตัว", LOG_N).wrap(FILE_KEY, seeded())[0]


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=50))
def test_only_exactly_the_passphrase_unwraps(passphrase: str) -> None:
    stanzas = PassphraseRecipient(passphrase, LOG_N).wrap(FILE_KEY, seeded())
    assert PassphraseIdentity(passphrase).unwrap(stanzas) == FILE_KEY
    assert PassphraseIdentity(passphrase + " ").unwrap(stanzas) is None


def test_the_same_randomness_gives_the_same_stanza() -> None:
    one, other = (PassphraseRecipient("x", LOG_N).wrap(FILE_KEY, counting()) for _ in range(2))
    assert one == other
    assert one[0].type == "scrypt"
    assert one[0].arguments == ("AAECAwQFBgcICQoLDA0ODw", "2")


def test_a_file_above_the_bound_is_refused_before_any_work() -> None:
    costly = replace(GOOD, arguments=(GOOD.arguments[0], str(MAX_LOG_N + 1)))
    with pytest.raises(WorkRefused):
        PassphraseIdentity("x").unwrap([costly])
    with pytest.raises(WorkRefused):
        PassphraseIdentity("x", max_log_n=LOG_N - 1).unwrap([GOOD])


@pytest.mark.parametrize("factor", ["99", "100", "9" * 8000])
def test_an_absurd_work_factor_is_refused_too(factor: str) -> None:
    with pytest.raises(WorkRefused):
        PassphraseIdentity("x").unwrap([replace(GOOD, arguments=(GOOD.arguments[0], factor))])


@pytest.mark.parametrize("factor", ["0", "01", "+1", "-1", "1 ", "0x1", "1.0", "1e1", "", "๒", "²", "a", "1\n"])
def test_a_work_factor_that_is_no_plain_number_is_malformed(factor: str) -> None:
    with pytest.raises(HeaderMalformed):
        PassphraseIdentity("x").unwrap([replace(GOOD, arguments=(GOOD.arguments[0], factor))])


@pytest.mark.parametrize(
    "stanza",
    [
        pytest.param(replace(GOOD, arguments=()), id="no argument"),
        pytest.param(replace(GOOD, arguments=GOOD.arguments[:1]), id="no work factor"),
        pytest.param(replace(GOOD, arguments=(*GOOD.arguments, "x")), id="an argument too many"),
        pytest.param(replace(GOOD, arguments=("AAAA", "2")), id="a short salt"),
        pytest.param(replace(GOOD, arguments=("AAAA" + GOOD.arguments[0], "2")), id="a long salt"),
        pytest.param(replace(GOOD, arguments=(GOOD.arguments[0] + "==", "2")), id="padding"),
        pytest.param(replace(GOOD, body=bytes(31)), id="a short body"),
        pytest.param(replace(GOOD, body=bytes(33)), id="a long body"),
    ],
)
def test_a_stanza_that_breaks_the_rules_is_malformed(stanza: Stanza) -> None:
    with pytest.raises(HeaderMalformed):
        PassphraseIdentity("x").unwrap([stanza])


def test_a_passphrase_stands_alone() -> None:
    other = Stanza("X25519", ("abc",), bytes(32))
    for stanzas in ([GOOD, GOOD], [GOOD, other], [other, GOOD]):
        with pytest.raises(HeaderMalformed):
            PassphraseIdentity("ปลาทูนึ่งสามตัว").unwrap(stanzas)


def test_a_file_without_a_passphrase_is_not_for_it() -> None:
    assert PassphraseIdentity("x").unwrap([Stanza("X25519", ("abc",), bytes(32))]) is None


@pytest.mark.parametrize("passphrase", ["", "\ud800"], ids=["empty", "a lone surrogate"])
def test_what_is_no_passphrase_is_malformed(passphrase: str) -> None:
    for make in (PassphraseRecipient, PassphraseIdentity):
        with pytest.raises(Malformed):
            make(passphrase)


@pytest.mark.parametrize("log_n", [0, -1, MAX_LOG_N + 1])
def test_a_work_factor_that_we_would_not_open_is_a_programmers_mistake(log_n: int) -> None:
    with pytest.raises(ValueError, match="work factor"):
        PassphraseRecipient("x", log_n)


def test_a_passphrase_is_never_shown() -> None:
    for holder in (PassphraseRecipient("tuna-three"), PassphraseIdentity("tuna-three")):
        assert "tuna" not in repr(holder)


@given(st.lists(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=24), max_size=4),
       st.binary(max_size=40))  # fmt: skip
def test_any_stanza_unwraps_nothing_or_raises_ours(arguments: list[str], body: bytes) -> None:
    identity = PassphraseIdentity("x", max_log_n=4)
    for stanza in (
        Stanza("scrypt", tuple(arguments), body),
        Stanza("scrypt", (GOOD.arguments[0], *arguments), bytes(32)),
    ):
        with contextlib.suppress(DropBoxError):
            assert identity.unwrap([stanza]) is None
