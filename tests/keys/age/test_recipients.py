"""Public and private keys: their text, what they wrap, and what they refuse to unwrap."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys import primitives
from keys.age import bech32, header
from keys.age.header import HeaderMalformed, Stanza
from keys.age.recipients import (
    HybridIdentity,
    HybridRecipient,
    X25519Identity,
    X25519Recipient,
    parse_identity,
    parse_recipient,
)
from keys.encoding import to_base64
from keys.errors import Malformed, NotAuthentic
from tests.keys.age.doubles import counting, seeded

FILE_KEY = bytes(range(16))
HYBRID = HybridIdentity.from_seed(bytes(32))
CLASSICAL = X25519Identity(b"\x42" * 32)

# Every spelling in 255 bits of the points whose order divides 8, on the curve or its twist; the top bit means nothing.
LOW_ORDER = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]
low_order_points = st.builds(
    lambda point, top: point[:31] + bytes([point[31] | top]),
    st.sampled_from(LOW_ORDER).map(bytes.fromhex),
    st.sampled_from([0, 0x80]),
)
either = pytest.mark.parametrize("identity", [CLASSICAL, HYBRID], ids=["X25519", "hybrid"])


def test_the_keys_of_the_age_specification() -> None:
    classical = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"
    assert X25519Identity.from_text(classical).secret == b"\x42" * 32
    public = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"
    assert str(X25519Identity.from_text(classical).recipient()) == public
    hybrid = "AGE-SECRET-KEY-PQ-1XX76JRALNLXDMEW0CRK45QMCCH4X06SE84UN3VPM33W6HWDX0H3SK3ZQFR"
    text = str(HybridIdentity.from_text(hybrid).recipient())
    assert text.startswith("age1pq1x34nzsvr0rxjsgdn8zgyhfe8j7ceq5r9rdelkjuh3y235jzxshfg87pzf5zrqtzdxz95paef6caq5")
    # The specification prints all 1,957 characters; this is their SHA-256.
    expected = "a091dd7e0ee9d62b75173dcc98441a0424baa941e66a8776e570a4ae60ff61ea"
    assert hashlib.sha256(text.encode()).hexdigest() == expected


@given(st.binary(min_size=32, max_size=32))
def test_every_key_comes_back_from_its_text(secret: bytes) -> None:
    classical, hybrid = X25519Identity(secret), HybridIdentity.from_seed(secret)
    for identity in (classical, hybrid):
        text = identity.secret_text()
        assert parse_identity(text).secret_text() == text
        recipient = identity.recipient()
        assert parse_recipient(str(recipient)) == recipient
    assert classical.secret_text().startswith("AGE-SECRET-KEY-1")
    assert hybrid.secret_text().startswith("AGE-SECRET-KEY-PQ-1")
    assert str(classical.recipient()).startswith("age1")
    assert str(hybrid.recipient()).startswith("age1pq1")


@given(st.one_of(st.text(max_size=100), st.builds(bech32.encode, st.sampled_from(["age", "age1pq", "AGE-SECRET-KEY-",
       "AGE-SECRET-KEY-PQ-"]), st.binary(max_size=1300))))  # fmt: skip
def test_any_text_is_a_key_or_malformed(text: str) -> None:
    with contextlib.suppress(Malformed):
        assert str(parse_recipient(text)) == text
    with contextlib.suppress(Malformed):
        assert parse_identity(text).secret_text() == text


@given(st.binary(min_size=1216, max_size=1216))
def test_any_bytes_of_the_right_length_are_a_usable_hybrid_key_or_malformed(public: bytes) -> None:
    for candidate in (public, HYBRID.recipient().public[:1184] + public[:32]):
        with contextlib.suppress(Malformed):
            assert len(HybridRecipient(candidate).wrap(FILE_KEY, seeded())) == 1


@given(low_order_points)
def test_a_low_order_point_is_nobodys_public_key(point: bytes) -> None:
    assert primitives.x25519_is_low_order(point)
    with pytest.raises(NotAuthentic):
        primitives.x25519_agree(b"\x42" * 32, point)
    with pytest.raises(Malformed):
        X25519Recipient(point)
    with pytest.raises(Malformed):
        HybridRecipient(HYBRID.recipient().public[:1184] + point)


@given(st.binary(min_size=32, max_size=32), st.integers(0, 2**255 - 1))
def test_only_low_order_points_count_as_such(secret: bytes, coordinate: int) -> None:
    assert not primitives.x25519_is_low_order(primitives.x25519_public(secret))
    point = coordinate.to_bytes(32, "little")
    if not primitives.x25519_is_low_order(point):
        assert any(primitives.x25519_agree(secret, point))


@either
def test_only_the_right_identity_unwraps(identity: X25519Identity | HybridIdentity) -> None:
    stanzas = identity.recipient().wrap(FILE_KEY, seeded())
    assert identity.unwrap(stanzas) == FILE_KEY
    for other in (X25519Identity(b"\x43" * 32), HybridIdentity.from_seed(b"\x43" * 32)):
        assert other.unwrap(stanzas) is None
    assert identity.unwrap([]) is None


@either
def test_an_identity_finds_its_stanza_among_others(identity: X25519Identity | HybridIdentity) -> None:
    others = [type(identity)(bytes([number]) * 32).recipient() for number in range(1, 4)]
    stanzas = [stanza for other in others for stanza in other.wrap(bytes(16), seeded())]
    stanzas += [Stanza("example.com/grease", ("x",), b"y"), *identity.recipient().wrap(FILE_KEY, seeded(2))]
    assert identity.unwrap(stanzas) == FILE_KEY


def test_the_same_randomness_gives_the_same_x25519_stanza() -> None:
    one, other = (CLASSICAL.recipient().wrap(FILE_KEY, counting()) for _ in range(2))
    assert one == other
    assert one[0].arguments == (to_base64(primitives.x25519_public(bytes(range(32)))),)


def test_every_wrapping_differs() -> None:
    randomness = seeded()
    for identity in (CLASSICAL, HYBRID):
        one, other = (identity.recipient().wrap(FILE_KEY, randomness)[0] for _ in range(2))
        assert one.arguments != other.arguments
        assert one.body != other.body


def test_the_same_seed_is_the_same_hybrid_identity() -> None:
    again = HybridIdentity.from_seed(bytes(32))
    assert again.unwrap(HYBRID.recipient().wrap(FILE_KEY, seeded())) == FILE_KEY


@pytest.mark.parametrize("count", [2, 4, 6, 16])
def test_a_header_of_hybrid_stanzas_has_one_length_whoever_they_are_for(count: int) -> None:
    recipients = [HybridIdentity.from_seed(bytes([n]) * 32).recipient() for n in range(count)]
    stanzas = [stanza for recipient in recipients for stanza in recipient.wrap(FILE_KEY, seeded())]
    assert len(header.header_bytes(FILE_KEY, stanzas)) == 22 + 1557 * count + 48


@either
@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"arguments": ()}, id="no share"),
        pytest.param({"arguments": ("{share}", "x")}, id="an argument too many"),
        pytest.param({"arguments": ("{share}=",)}, id="padding"),
        pytest.param({"arguments": ("A{share}",)}, id="a long share"),
        pytest.param({"arguments": ("AAAA",)}, id="a short share"),
        pytest.param({"arguments": ("-" * 43,)}, id="no base64"),
        pytest.param({"body": bytes(31)}, id="a short body"),
        pytest.param({"body": bytes(33)}, id="a long body"),
        pytest.param({"body": b""}, id="no body"),
    ],
)
def test_a_stanza_that_breaks_its_types_rules_is_refused_wherever_it_stands(
    identity: X25519Identity | HybridIdentity, change: dict[str, tuple[str, ...] | bytes]
) -> None:
    good = identity.recipient().wrap(FILE_KEY, seeded())[0]
    arguments = change.get("arguments", good.arguments)
    assert isinstance(arguments, tuple)
    filled = tuple(argument.replace("{share}", good.arguments[0]) for argument in arguments)
    body = change.get("body", good.body)
    assert isinstance(body, bytes)
    bad = replace(good, arguments=filled, body=body)
    for stanzas in ([bad], [good, bad], [bad, good]):
        with pytest.raises(HeaderMalformed):
            identity.unwrap(stanzas)


@given(low_order_points)
def test_a_low_order_share_is_refused(point: bytes) -> None:
    for identity in (CLASSICAL, HYBRID):
        good = identity.recipient().wrap(FILE_KEY, seeded())[0]
        share = header.decode(good.arguments[0])[:-32] + point
        with pytest.raises(HeaderMalformed):
            identity.unwrap([replace(good, arguments=(to_base64(share),))])


@given(st.data())
def test_a_changed_stanza_unwraps_nothing(choice: st.DataObject) -> None:
    for identity in (CLASSICAL, HYBRID):
        good = identity.recipient().wrap(FILE_KEY, seeded())[0]
        share, body = bytearray(header.decode(good.arguments[0])), bytearray(good.body)
        target = choice.draw(st.sampled_from([share, body]))
        target[choice.draw(st.integers(0, len(target) - 1))] ^= choice.draw(st.integers(1, 255))
        changed = replace(good, arguments=(to_base64(bytes(share)),), body=bytes(body))
        with contextlib.suppress(HeaderMalformed):
            assert identity.unwrap([changed]) is None


@given(st.binary(min_size=1120, max_size=1120), st.binary(min_size=32, max_size=32))
def test_any_well_formed_stanza_unwraps_nothing_or_is_malformed(share: bytes, body: bytes) -> None:
    for identity, stanza in (
        (CLASSICAL, Stanza("X25519", (to_base64(share[:32]),), body)),
        (HYBRID, Stanza("mlkem768x25519", (to_base64(share),), body)),
    ):
        with contextlib.suppress(HeaderMalformed):
            assert identity.unwrap([stanza]) is None


def test_a_secret_is_never_shown() -> None:
    for identity in (X25519Identity(b"\x5a" * 32), HybridIdentity.from_seed(b"\x5a" * 32)):
        for shown in (repr(identity), str(identity), f"{identity}"):
            assert "Z" * 8 not in shown
            assert identity.secret_text() not in shown


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_secret_of_another_length_is_malformed(length: int) -> None:
    for make in (X25519Identity, HybridIdentity.from_seed):
        with pytest.raises(Malformed):
            make(bytes(length))


def test_one_kind_of_key_is_not_read_as_the_other() -> None:
    with pytest.raises(Malformed):
        X25519Recipient.from_text(str(HYBRID.recipient()))
    with pytest.raises(Malformed):
        HybridRecipient.from_text(str(CLASSICAL.recipient()))
    with pytest.raises(Malformed):
        X25519Identity.from_text(HYBRID.secret_text())
    with pytest.raises(Malformed):
        HybridIdentity.from_text(CLASSICAL.secret_text())
    with pytest.raises(Malformed):
        parse_recipient(CLASSICAL.secret_text())
    with pytest.raises(Malformed):
        parse_identity(str(CLASSICAL.recipient()))
