"""Which manifests a machine believes: SPEC 10.3 as a table of one-line scenarios, and what nobody may change."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys import errors as error_classes
from keys import manifest, minisign
from keys.encoding import parse_json, to_json
from keys.errors import DropBoxError, Malformed, NotAuthentic, NotForUs, Refused, Stale
from keys.languages import Text
from keys.manifest import Founding, KdfParameters, Limits, Manifest, Party, Terms, network_id
from keys.minisign import SignedDocument, SigningKey
from keys.statement import NetworkId
from tests.simulators.newsroom import DAY, NOW, Newsroom

VECTORS = sorted((Path(__file__).parents[1] / "vectors" / "manifest").glob("*.json"))


def first(newsroom: Newsroom, *signed_by: int, **changes: Any) -> SignedDocument:
    """Return a first manifest of that network, signed by these roots."""
    raw = manifest.compose(replace(newsroom.terms, **changes))
    return newsroom.sign("manifest", raw, *(newsroom.root_seeds[at] for at in signed_by))


def admitted(newsroom: Newsroom, document: SignedDocument, trusted: Manifest | None) -> Manifest:
    return manifest.admit(document, trusted, newsroom.network, newsroom.now)


def test_the_first_manifest_is_admitted_by_the_network_id_alone() -> None:
    newsroom = Newsroom()

    found = admitted(newsroom, newsroom.documents[0], None)

    assert found.terms == newsroom.terms
    assert (found.sequence, found.network, found.raw) == (1, newsroom.network, newsroom.documents[0].statement)


@pytest.mark.parametrize(
    ("name", "make", "error"),
    [
        ("one root too few", lambda n: first(n, 0), NotAuthentic),
        ("one root twice", lambda n: first(n, 0, 0), NotAuthentic),
        ("nobody", lambda n: first(n), NotAuthentic),
        ("others added to the roots", lambda n: first(n, 0, 1, roots=(*n.terms.roots, n.add_root())), NotAuthentic),
        ("roots dropped", lambda n: first(n, 0, 1, roots=n.terms.roots[:2]), NotAuthentic),
        ("a lower threshold than the founding's", lambda n: first(n, 0, threshold=1), NotAuthentic),
        ("a higher threshold than the founding's", lambda n: first(n, 0, 1, 2, threshold=3), NotAuthentic),
        ("a retired number in use", lambda n: first(n, 0, 1, retired_desks=(2,)), Refused),
        ("not yet valid", lambda n: first(n, 0, 1, valid_from=n.now + 1), Stale),
        ("just expired", lambda n: first(n, 0, 1, valid_until=n.now), Stale),
        ("another network's", lambda _: Newsroom("elsewhere").documents[0], NotForUs),
        ("the second, where there was no first", lambda n: n.succession(), Stale),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_first_manifest_is_refused(
    name: str, make: Callable[[Newsroom], SignedDocument], error: type[DropBoxError]
) -> None:
    newsroom = Newsroom()
    document = make(newsroom)

    with pytest.raises(error):
        admitted(newsroom, document, None)


def test_a_founding_that_is_not_the_ids_is_refused() -> None:
    # The attacker keeps the id in the header, and puts roots of their own behind it.
    newsroom, attacker = Newsroom(), Newsroom("attacker")
    raw = attacker.documents[0].statement.replace(attacker.network.hex().encode(), newsroom.network.hex().encode())
    forged = attacker.sign("manifest", raw, *attacker.root_seeds)

    with pytest.raises(NotAuthentic):
        admitted(newsroom, forged, None)


@pytest.mark.parametrize("number", range(1, 4))
def test_thresholds_are_exact(number: int) -> None:
    newsroom = Newsroom(roots=3, threshold=number)

    assert admitted(newsroom, first(newsroom, *range(number)), None).threshold == number
    with pytest.raises(NotAuthentic):
        admitted(newsroom, first(newsroom, *range(number - 1)), None)


def test_signatures_of_strangers_do_no_harm() -> None:
    newsroom = Newsroom()
    document = first(newsroom, 0, 1)
    stranger = minisign.sign(bytes(32), document.statement, "manifest")

    crowd = SignedDocument(document.statement, (stranger, b"rubbish", *document.signatures))

    assert admitted(newsroom, crowd, None).sequence == 1


def test_a_signature_of_another_kind_counts_for_nothing() -> None:
    newsroom = Newsroom()
    raw = newsroom.documents[0].statement

    with pytest.raises(NotAuthentic):
        admitted(newsroom, newsroom.sign("epochs", raw, *newsroom.root_seeds), None)


def rotate(n: Newsroom, *kept: int, new: int = 0) -> tuple[SigningKey, ...]:
    return tuple(SigningKey.of(n.root_seeds[at]) for at in kept) + tuple(n.add_root() for _ in range(new))


# Three roots 0, 1, 2, two of whom must sign; 3 and 4 are new. Who signs, who is a root then, the new k, what follows.
ROTATIONS: list[tuple[str, list[int], Callable[[Newsroom], tuple[SigningKey, ...]], int, type[DropBoxError] | None]] = [
    ("nothing changes", [0, 1], lambda n: rotate(n, 0, 1, 2), 2, None),
    ("any two do", [1, 2], lambda n: rotate(n, 0, 1, 2), 2, None),
    ("one is too few", [2], lambda n: rotate(n, 0, 1, 2), 2, NotAuthentic),
    ("one twice is one", [2, 2], lambda n: rotate(n, 0, 1, 2), 2, NotAuthentic),
    ("a root leaves", [0, 1], lambda n: rotate(n, 0, 1), 2, None),
    ("a root leaves, who helped to sign, and one is left", [0, 2], lambda n: rotate(n, 0, 1), 2, NotAuthentic),
    ("a root leaves, who signed beside the two that stay", [0, 1, 2], lambda n: rotate(n, 0, 1), 2, None),
    ("a root comes", [0, 1], lambda n: rotate(n, 0, 1, 2, new=1), 2, None),
    ("the one who comes can't sign for the old", [0, 3], lambda n: rotate(n, 0, 1, 2, new=1), 2, NotAuthentic),
    ("all are replaced, both sides sign", [0, 1, 3, 4], lambda n: rotate(n, new=2), 2, None),
    ("all are replaced, the old alone sign", [0, 1], lambda n: rotate(n, new=2), 2, NotAuthentic),
    ("all are replaced, the new alone sign", [3, 4], lambda n: rotate(n, new=2), 2, NotAuthentic),
    ("all are replaced, one of each", [0, 3], lambda n: rotate(n, new=2), 2, NotAuthentic),
    ("the threshold falls, old k sign", [0, 1], lambda n: rotate(n, 0, 1, 2), 1, None),
    ("the threshold falls, the new k alone", [0], lambda n: rotate(n, 0, 1, 2), 1, NotAuthentic),
    ("the threshold rises, all sign", [0, 1, 2], lambda n: rotate(n, 0, 1, 2), 3, None),
    ("the threshold rises, the old k alone", [0, 1], lambda n: rotate(n, 0, 1, 2), 3, NotAuthentic),
]


@pytest.mark.parametrize(
    ("name", "signed_by", "roots", "threshold", "error"), ROTATIONS, ids=[scenario[0] for scenario in ROTATIONS]
)
def test_rotations(
    name: str,
    signed_by: list[int],
    roots: Callable[[Newsroom], tuple[SigningKey, ...]],
    threshold: int,
    error: type[DropBoxError] | None,
) -> None:
    newsroom = Newsroom()
    document = newsroom.succession([], roots=roots(newsroom), threshold=threshold)
    document = newsroom.sign("manifest", document.statement, *(newsroom.root_seeds[at] for at in signed_by))

    if error is None:
        assert admitted(newsroom, document, newsroom.manifest).sequence == 2
        return
    with pytest.raises(error):
        admitted(newsroom, document, newsroom.manifest)


def reordered(founding: Founding) -> Founding:
    return replace(founding, roots=founding.roots[::-1])


# What changes in the second manifest, signed by everybody, and what follows.
SUCCESSIONS: list[tuple[str, Callable[[Newsroom], dict[str, Any]], type[DropBoxError] | None]] = [
    ("a new name", lambda n: {"name": Text("ใหม่", "New")}, None),
    ("a skipped number", lambda n: {"sequence": 3}, Stale),
    ("another previous", lambda n: {"previous": bytes(31) + b"\1"}, NotAuthentic),
    ("another R", lambda n: {"recipients": 7}, Refused),
    ("another founding", lambda n: {"founding": replace(n.founding, nonce=bytes(32))}, NotForUs),
    ("the founding's roots in another order", lambda n: {"founding": reordered(n.founding)}, Refused),
    ("practice becomes real", lambda n: {"practice": False}, Refused),
    ("a desk comes", lambda n: {"desks": (*n.terms.desks, n.add_desk(9))}, None),
    ("a desk leaves and is retired", lambda n: {"desks": n.terms.desks[:1], "retired_desks": (2,)}, None),
    ("a desk leaves without being retired", lambda n: {"desks": n.terms.desks[:1]}, Refused),
    ("a retired desk stays", lambda n: {"retired_desks": (2,)}, Refused),
    ("a desk gets another key", lambda n: {"desks": (n.desk(1), n.add_desk(2))}, None),
    ("a courier leaves", lambda n: {"couriers": ()}, None),
    ("a new codename salt", lambda n: {"codename": (KdfParameters(bytes(16), 8192, 1), *n.terms.codename)}, None),
    ("not yet valid", lambda n: {"valid_from": n.now + DAY}, Stale),
    ("already expired", lambda n: {"valid_until": n.now - 1}, Stale),
]


@pytest.mark.parametrize(("name", "changes", "error"), SUCCESSIONS, ids=[scenario[0] for scenario in SUCCESSIONS])
def test_successions(
    name: str, changes: Callable[[Newsroom], dict[str, Any]], error: type[DropBoxError] | None
) -> None:
    newsroom = Newsroom()
    document = newsroom.succession(**changes(newsroom))

    if error is None:
        assert admitted(newsroom, document, newsroom.manifest).raw == document.statement
        return
    with pytest.raises(error):
        admitted(newsroom, document, newsroom.manifest)


def test_a_retired_number_never_returns() -> None:
    newsroom = Newsroom()
    newsroom.publish(desks=newsroom.terms.desks[:1], retired_desks=(2,))

    for changes in ({"retired_desks": ()}, {"desks": newsroom.terms.desks, "retired_desks": ()}):
        with pytest.raises(Refused):
            admitted(newsroom, newsroom.succession(**changes), newsroom.manifest)


def test_a_manifest_is_never_rolled_back() -> None:
    newsroom = Newsroom()
    newsroom.publish()
    newsroom.publish()

    for old in newsroom.documents[:2]:
        with pytest.raises(Stale):
            admitted(newsroom, old, newsroom.manifest)


def test_two_manifests_of_one_number_do_not_replace_each_other() -> None:
    newsroom = Newsroom()
    one, other = newsroom.succession(), newsroom.succession(couriers=())
    trusted = admitted(newsroom, one, newsroom.manifest)

    with pytest.raises(Stale, match="another manifest 2"):
        admitted(newsroom, other, trusted)


def test_the_same_manifest_again_changes_nothing() -> None:
    newsroom = Newsroom()
    unsigned = SignedDocument(newsroom.manifest.raw, ())

    assert admitted(newsroom, unsigned, newsroom.manifest) is newsroom.manifest
    newsroom.pass_time(weeks=60)
    assert admitted(newsroom, unsigned, newsroom.manifest) is newsroom.manifest


def test_a_machine_that_missed_some_catches_up_with_a_run() -> None:
    newsroom = Newsroom()
    for _ in range(2):
        newsroom.pass_time(weeks=45)
        newsroom.publish(valid_from=newsroom.now, valid_until=newsroom.now + 300 * DAY)
    assert newsroom.now > newsroom.terms.valid_until

    latest = manifest.admit_run(newsroom.documents, None, newsroom.network, newsroom.now)
    assert latest == newsroom.manifest

    for broken in ([newsroom.documents[at] for at in order] for order in ((0, 2), (1, 2), (0, 2, 1), (2,))):
        with pytest.raises((Stale, NotAuthentic)):
            manifest.admit_run(broken, None, newsroom.network, newsroom.now)
    with pytest.raises(Stale):
        manifest.admit_run(newsroom.documents[:2], None, newsroom.network, newsroom.now)
    assert manifest.verify_run(newsroom.documents[:2], None, newsroom.network).sequence == 2


@pytest.mark.parametrize(
    ("seconds", "in_date"), [(-DAY - 1, False), (-DAY, True), (0, True), (365 * DAY - 1, True), (365 * DAY, False)]
)
def test_dates_are_asked_each_time(seconds: int, in_date: bool) -> None:
    found = Newsroom().manifest

    with contextlib.nullcontext() if in_date else pytest.raises(Stale):
        manifest.check_dates(found, NOW + seconds)


def body_of(newsroom: Newsroom) -> dict[str, Any]:
    return parse_json(newsroom.manifest.raw.split(b"\n\n", 1)[1])


def statement_with(newsroom: Newsroom, **changes: Any) -> bytes:
    header = newsroom.manifest.raw.split(b"\n\n", 1)[0]
    return header + b"\n\n" + to_json({**body_of(newsroom), **changes})


NEWSROOM = Newsroom()
BODY = body_of(NEWSROOM)


@pytest.mark.parametrize("name", sorted(BODY))
def test_no_field_may_be_missing(name: str) -> None:
    body = {key: value for key, value in BODY.items() if key != name}

    with pytest.raises(Malformed):
        manifest.parse(NEWSROOM.manifest.raw.split(b"\n\n", 1)[0] + b"\n\n" + to_json(body))


OTHER_KINDS: list[Any] = [None, True, 1, -1, "x", [], {}, [1], [{}], 2**53 - 1]
GOOD = [
    *((name, 1) for name in ("version", "threshold", "bulletin_signatures")),
    *((name, []) for name in ("retired_desks", "servers", "couriers", "partners", "supporters")),
    ("retired_desks", [1]),
    ("practice", True),
]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (name, value)
        for name in sorted(BODY)
        for value in OTHER_KINDS
        if not any(name == good and type(value) is type(fine) and value == fine for good, fine in GOOD)
    ],
    ids=repr,
)
def test_no_field_may_be_of_another_kind(name: str, value: Any) -> None:
    with pytest.raises(Malformed):
        manifest.parse(statement_with(NEWSROOM, **{name: value}))


@pytest.mark.parametrize(
    "changes",
    [
        {"surprise": 1},
        {"version": 2},
        {"valid_until": BODY["valid_from"]},
        {"valid_until": BODY["valid_from"] + 366 * DAY + 1},
        {"threshold": 0},
        {"threshold": 4},
        {"roots": [BODY["roots"][0]] * 3},
        {"roots": []},
        {"recipients": 1},
        {"recipients": 17},
        {"desks": []},
        {"desks": list(reversed(BODY["desks"]))},
        {"desks": [BODY["desks"][0], {**BODY["desks"][1], "key": BODY["desks"][0]["key"]}]},
        {"desks": [BODY["desks"][0], {**BODY["desks"][1], "number": 1}]},
        {"desks": [{**BODY["desks"][0], "number": 0}]},
        {"desks": [{**BODY["desks"][0], "number": 128}]},
        {"desks": [{**BODY["desks"][0], "name": {"th": "ก"}}]},
        {"desks": [{**BODY["desks"][0], "name": {"th": "ก", "en": "a", "fr": "b"}}]},
        {"desks": [{**BODY["desks"][0], "name": {"th": "ก", "en": ""}}]},
        {"desks": [{**BODY["desks"][0], "name": {"th": "ก", "en": "a\x1b[2J"}}]},
        {"desks": [{**BODY["desks"][0], "name": {"th": "ก", "en": "\u202eb"}}]},
        {"retired_desks": [3, 3]},
        {"retired_desks": [4, 3]},
        {"servers": [{"name": "../x", "key": BODY["servers"][0]["key"]}]},
        {"servers": [BODY["servers"][0], {"name": "beta", "key": BODY["servers"][0]["key"]}]},
        {"servers": [BODY["servers"][0], {"name": "alpha", "key": BODY["roots"][0]}]},
        {"couriers": [{"name": "A B", "key": BODY["servers"][0]["key"]}]},
        {"onions": {"source": ["example.onion"], "collect": []}},
        {"onions": {"source": [BODY["onions"]["source"][0]] * 2, "collect": []}},
        {"onions": {"source": []}},
        {"codename": []},
        {"codename": [{"salt": "00" * 16, "memory_kib": 8191, "passes": 1}]},
        {"codename": [{"salt": "00" * 16, "memory_kib": 2**20 + 1, "passes": 1}]},
        {"codename": [{"salt": "00" * 16, "memory_kib": 8192, "passes": 17}]},
        {"codename": [{"salt": "00" * 15, "memory_kib": 8192, "passes": 1}]},
        {"codename": [{"salt": f"{at:032x}", "memory_kib": 8192, "passes": 1} for at in range(5)]},
        {"limits": {**BODY["limits"], "grace_weeks": BODY["limits"]["acknowledge_weeks"]}},
        *({"limits": {**BODY["limits"], name: 0}} for name in BODY["limits"]),
        *({"limits": {**BODY["limits"], name: 2**53 - 1}} for name in BODY["limits"]),
        {"bulletin_signatures": 3},
        {"partners": [{"th": "ก", "en": "a"}] * 2},
        {"previous": "11" * 32},
    ],
    ids=lambda changes: json.dumps(changes, ensure_ascii=True)[:60],
)
def test_values_have_bounds(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        manifest.parse(statement_with(NEWSROOM, **changes))


def test_more_desks_than_a_cell_has_readers_are_refused() -> None:
    newsroom = Newsroom(recipients=2)

    with pytest.raises(Malformed):
        newsroom.succession(desks=(*newsroom.terms.desks, newsroom.add_desk(3)))


def test_who_is_who() -> None:
    found = NEWSROOM.manifest

    assert found.desk(2).name.of("th") == "โต๊ะข่าว 2"
    assert found.server("alpha").key == SigningKey.of(NEWSROOM.server_seeds["alpha"])
    assert found.courier(SigningKey.of(NEWSROOM.courier_seeds["carrier"])).name == "carrier"
    for ask in (
        lambda: found.desk(3),
        lambda: found.server("beta"),
        lambda: found.courier(SigningKey.of(bytes(32))),
    ):
        with pytest.raises(NotForUs):
            ask()


def test_the_network_id_commits_to_roots_and_threshold_whatever_their_order() -> None:
    roots = NEWSROOM.founding.roots
    ids = {
        network_id(NEWSROOM.founding.nonce, 2, roots),
        network_id(NEWSROOM.founding.nonce, 2, roots[::-1]),
    }
    others = {
        network_id(NEWSROOM.founding.nonce, 1, roots),
        network_id(NEWSROOM.founding.nonce, 2, roots[:2]),
        network_id(bytes(32), 2, roots),
    }

    assert ids == {NEWSROOM.network}
    assert len(others | ids) == 4


def test_succeed_refuses_to_draft_what_no_machine_would_admit() -> None:
    with pytest.raises(Refused):
        manifest.succeed(NEWSROOM.manifest, replace(NEWSROOM.terms, practice=False))


texts = st.builds(
    Text, *[st.text(st.characters(exclude_categories=["Cc", "Cs", "Cf", "Zl", "Zp"]), min_size=1, max_size=20)] * 2
).filter(lambda text: bool(text.th.strip() and text.en.strip()))
keys_ = st.binary(min_size=32, max_size=32).map(SigningKey)
parties = st.lists(
    st.builds(Party, st.from_regex(r"[a-z0-9-]{1,32}", fullmatch=True), keys_),
    max_size=3,
    unique_by=(lambda party: party.name, lambda party: party.key.public),
).map(tuple)


@settings(max_examples=60)
@given(
    name=texts,
    servers=parties,
    couriers=parties,
    partners=st.lists(texts, max_size=3, unique=True).map(tuple),
    limits=st.builds(
        Limits,
        acknowledge_weeks=st.integers(1, 26),
        grace_weeks=st.integers(27, 52),
        reply_slots=st.integers(1, 32),
        file_bytes=st.integers(1024, 2**40),
    ),
)
def test_any_terms_are_read_back(**changes: Any) -> None:
    terms = replace(NEWSROOM.terms, **changes)

    assert manifest.parse(manifest.compose(terms)).terms == terms


@settings(max_examples=150)
@given(at=st.integers(0), change=st.integers(1, 255))
def test_any_changed_byte_of_the_statement_is_refused(at: int, change: int) -> None:
    document = NEWSROOM.documents[0]
    altered = bytearray(document.statement)
    altered[at % len(altered)] ^= change

    with pytest.raises(DropBoxError):
        admitted(NEWSROOM, SignedDocument(bytes(altered), document.signatures), None)


@given(data=st.binary(max_size=300), cut=st.integers(0, 2000))
def test_any_bytes_raise_only_our_errors(data: bytes, cut: int) -> None:
    head, body = NEWSROOM.manifest.raw.split(b"\n\n", 1)
    for raw in (data, head + b"\n\n" + data, head + b"\n\n" + body[: cut % len(body)] + data):
        with contextlib.suppress(DropBoxError):
            manifest.parse(raw)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 200) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["th", "en", "name", "key"]), inner),
    max_leaves=6,
)


@given(name=st.sampled_from(sorted(BODY)), value=json_values)
def test_any_json_raises_only_our_errors(name: str, value: Any) -> None:
    with contextlib.suppress(DropBoxError):
        manifest.parse(statement_with(NEWSROOM, **{name: value}))


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_vectors(path: Path) -> None:
    vector = json.loads(path.read_bytes())
    trusted = manifest.parse(vector["trusted"].encode()) if vector["trusted"] else None
    document = SignedDocument(vector["statement"].encode(), tuple(each.encode() for each in vector["signatures"]))
    network = NetworkId(bytes.fromhex(vector["network"]))
    if vector["expect"] != "admitted":
        with pytest.raises(getattr(error_classes, vector["expect"])):
            manifest.admit(document, trusted, network, vector["now"])
        return
    found = manifest.admit(document, trusted, network, vector["now"])
    assert found.hash.hex() == vector["sha256"]
    assert found.founding.network == network


def test_there_are_vectors() -> None:
    assert len(VECTORS) >= 8


def test_nothing_of_the_terms_is_forgotten_by_a_manifest() -> None:
    assert {each.name for each in fields(Terms)} <= {each.name for each in fields(Manifest)}
    assert isinstance(NEWSROOM.terms.founding, Founding)
