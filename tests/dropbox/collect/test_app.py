"""What couriers may fetch: the inventory, documents, cells; who they are is asked each time. SPEC section 19."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO, RawIOBase
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from dropbox.collect.logins import CHALLENGE_SECONDS, TOKEN_SECONDS
from dropbox.state import State
from dropbox.store import Change
from keys import bulletin, epochs, manifest
from keys.bundle import CELL_BYTES
from keys.cell import seal_digest
from keys.encoding import parse_json, to_json, u32
from keys.inventory import CellId
from tests.simulators.newsroom import seeded
from tests.simulators.office import Office, Visit, acknowledging, random_cell, reply_cell


def error_of(answer: TestResponse) -> str:
    """Return what an error says, requiring the form that SPEC 19.4 gives it."""
    said = parse_json(answer.data)
    assert set(said) == {"error", "hint"}
    assert said["error"] and said["hint"]
    assert answer.mimetype == "application/json"
    return str(said["error"])


def test_a_courier_is_let_in(office: Office) -> None:
    visit = office.visit("other")

    assert visit.get("/v1/inventory").status_code == 200


ASKING: dict[str, Callable[[Visit], TestResponse]] = {
    "inventory": lambda visit: visit.get("/v1/inventory"),
    "documents": lambda visit: visit.get("/v1/documents"),
    "cells": lambda visit: visit.cells([bytes(32)]),
    "outbound": lambda visit: visit.post("/v1/outbound", b"x"),
}


@pytest.mark.parametrize("ask", ASKING.values(), ids=ASKING)
@pytest.mark.parametrize("token", ["", "00", "zz", "0F", "no token", "ก".encode().decode("latin-1"), "a" * 4_000])
def test_without_a_token_there_is_nothing(office: Office, ask: Callable[[Visit], TestResponse], token: str) -> None:
    before = office.state.inventory

    answer = ask(Visit(office, token))

    assert answer.status_code == 401
    assert error_of(answer)
    assert office.state.inventory == before


@pytest.mark.parametrize("scheme", ["", "Basic", "bearer", "Bearer:"])
def test_a_token_is_a_bearers(office: Office, scheme: str) -> None:
    token = office.visit().token

    assert Visit(office).get("/v1/inventory", Authorization=f"{scheme} {token}").status_code == 401


def test_a_login_ends(office: Office) -> None:
    visit = office.visit()
    office.newsroom.pass_time(seconds=TOKEN_SECONDS + 1)

    assert visit.get("/v1/inventory").status_code == 401
    visit.log_in("carrier")
    assert visit.get("/v1/inventory").status_code == 200


def test_an_old_challenge_lets_nobody_in(office: Office) -> None:
    visit = Visit(office)
    challenge = visit.challenge()
    office.newsroom.pass_time(seconds=CHALLENGE_SECONDS + 1)

    assert visit.answer(office.newsroom.courier_seeds["carrier"], challenge).status_code == 401


def test_a_stranger_is_not_let_in(office: Office) -> None:
    visit = Visit(office)

    answers = [
        visit.answer(seeded("a stranger")(32), visit.challenge()),
        visit.answer(office.newsroom.desk_seed(1), visit.challenge()),
        visit.answer(office.newsroom.courier_seeds["carrier"], visit.challenge(), server="beta"),
        visit.answer(office.newsroom.courier_seeds["carrier"], visit.challenge(), type_="outbound"),
        visit.answer(office.newsroom.courier_seeds["carrier"], "00" * 60),
    ]
    assert [answer.status_code for answer in answers] == [401] * 5
    assert len({error_of(answer) for answer in answers[:4]}) == 1, "which of it was wrong isn't told"


def test_a_courier_that_a_newer_manifest_lacks_is_shut_out(office: Office) -> None:
    visit = office.visit("carrier")
    kept = office.newsroom.manifest.couriers[1:]
    office.newsroom.publish(couriers=kept)
    office.box.admit(office.newsroom.documents[1:])

    assert visit.get("/v1/inventory").status_code == 401
    assert visit.answer(office.newsroom.courier_seeds["carrier"], visit.challenge()).status_code == 401
    assert office.visit("other").get("/v1/inventory").status_code == 200


LOGINS = {
    "nothing": b"",
    "no JSON": b"hello",
    "a field too few": to_json({"courier": "", "challenge": ""}),
    "a field too many": to_json({"courier": "", "challenge": "", "signature": "00" * 64, "more": 1}),
    "a short signature": to_json({"courier": "", "challenge": "", "signature": "00"}),
    "a challenge that isn't hex": to_json({"courier": "", "challenge": "xyz", "signature": "00" * 64}),
    "a challenge of half a byte": to_json({"courier": "", "challenge": "000", "signature": "00" * 64}),
    "far too long": to_json({"courier": "x" * 5_000, "challenge": "", "signature": "00" * 64}),
}


@pytest.mark.parametrize("body", LOGINS.values(), ids=LOGINS)
def test_a_login_that_makes_no_sense_is_malformed(office: Office, body: bytes) -> None:
    answer = Visit(office).post("/v1/session", body)

    assert answer.status_code == 400
    assert error_of(answer)


def test_the_inventory_is_signed_and_lists_what_there_is(office: Office) -> None:
    ids = office.fill(3)
    visit = office.visit()

    found = visit.inventory()

    assert list(found.digests) == ids
    assert [found.digests[each] for each in ids] == [
        seal_digest(office.store.read(each), office.geometry) for each in ids
    ]
    assert (found.server, found.sequence, found.time, found.manifest) == ("alpha", 1, office.newsroom.now, 1)
    assert found.marks == {}
    assert found.health.days_left_epochs == {1: 7, 2: 7}
    assert (found.health.slots, found.health.free_slots) == (24, 21)
    assert visit.inventory().sequence == 2


def test_an_inventory_is_numbered_on_after_a_restart(tmp_path: Path) -> None:
    first = Office(tmp_path)
    first.visit().inventory()
    first.close()

    again = Office(tmp_path, first.newsroom, founded=False)
    try:
        assert again.visit().inventory().sequence == 2
    finally:
        again.close()


def test_no_inventory_is_signed_with_a_key_that_the_manifest_lacks(office: Office) -> None:
    party = office.newsroom.manifest.servers[0]
    other = type(party)(party.name, office.newsroom.add_root())
    office.newsroom.publish(servers=(other,))
    office.box.admit(office.newsroom.documents[1:])

    assert office.visit().get("/v1/inventory").status_code == 403


def test_the_inventory_tells_how_far_each_desk_came(office: Office) -> None:
    visit = office.visit()
    visit.deliver(office.bundle(1, [reply_cell("a"), reply_cell("b")]))
    visit.deliver(office.bundle(1, [reply_cell("a"), reply_cell("c")], first=3))

    found = visit.inventory()

    assert found.marks == {1: 4}
    assert found.refused == {1: (3,)}


def test_documents_come_with_their_names(office: Office) -> None:
    call = office.newsroom.bulletin(1)
    office.newsroom.publish(supporters=())
    office.box.admit([*office.newsroom.documents[1:], call])

    found = office.visit().documents()

    identity = bulletin.parse(call.statement, office.newsroom.network).id
    assert sorted(found) == [f"bulletin-{identity.hex()}", "epochs-1-1", "epochs-2-1", "manifest-1", "manifest-2"]
    assert found["manifest-2"] == office.newsroom.documents[1]
    run = [found["manifest-1"], found["manifest-2"]]
    in_force = manifest.admit_run(run, None, office.newsroom.network, office.newsroom.now)
    assert epochs.admit(found["epochs-2-1"], in_force, None, 0, office.newsroom.now).desk == 2
    assert found[f"bulletin-{identity.hex()}"] == call


def test_cells_come_in_the_order_asked_for(office: Office) -> None:
    ids = office.fill(3)
    visit = office.visit()
    asked = [ids[2], ids[0], ids[2]]

    answer = visit.cells(asked)

    assert answer.status_code == 200
    assert answer.data == b"".join(office.store.read(each) for each in asked)
    assert answer.content_length == 3 * CELL_BYTES


class Dribble(RawIOBase):
    """A body that arrives as it does over Tor: piece by piece."""

    def __init__(self, body: bytes) -> None:
        self._body = BytesIO(body)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        return self._body.readinto(memoryview(buffer)[:50])


def test_a_request_that_comes_in_pieces_is_read_whole(office: Office) -> None:
    ids = office.fill(3)
    visit = office.visit()
    body = u32(0) + b"".join(ids)

    answer = office.app.test_client().post(
        "/v1/cells",
        headers={"Authorization": f"Bearer {visit.token}"},
        environ_overrides={"wsgi.input": Dribble(body), "CONTENT_LENGTH": str(len(body))},
    )

    assert answer.status_code == 200
    assert answer.content_length == 3 * CELL_BYTES


@pytest.mark.parametrize("offset", [0, 1, 65_536, CELL_BYTES - 1])
def test_what_broke_off_goes_on_from_the_very_byte(office: Office, offset: int) -> None:
    ids = office.fill(2)

    answer = office.visit().cells(ids, offset)

    assert answer.data == b"".join(office.store.read(each) for each in ids)[offset:]
    assert answer.content_length == 2 * CELL_BYTES - offset


def test_a_cell_that_is_gone_is_noise_and_the_stream_keeps_its_shape(office: Office) -> None:
    ids = office.fill(3)
    listed = office.visit().inventory().digests
    office.store.delete([ids[1]])
    visit = office.visit()

    one, other = visit.cells(ids).data, visit.cells(ids).data

    assert len(one) == 3 * CELL_BYTES
    first, gone, last = (one[at : at + CELL_BYTES] for at in (0, CELL_BYTES, 2 * CELL_BYTES))
    assert (first, last) == (office.store.read(ids[0]), office.store.read(ids[2]))
    assert seal_digest(gone, office.geometry) != listed[ids[1]]
    assert gone != other[CELL_BYTES : 2 * CELL_BYTES], "and never the same noise"
    assert len(visit.cells([bytes(32)], 7).data) == CELL_BYTES - 7


BAD_CELLS = {
    "nothing": b"",
    "half an offset": b"\x00\x00",
    "no id": u32(0),
    "half an id": u32(0) + bytes(31),
    "an id and a half": u32(0) + bytes(48),
    "an offset behind the cell": u32(CELL_BYTES) + bytes(32),
    "an offset far behind": u32(2**32 - 1) + bytes(32),
    "too many": u32(0) + bytes(4_097 * 32),
}


@pytest.mark.parametrize("body", BAD_CELLS.values(), ids=BAD_CELLS)
def test_a_request_for_cells_that_makes_no_sense_is_malformed(office: Office, body: bytes) -> None:
    answer = office.visit().post("/v1/cells", body)

    assert answer.status_code == 400
    assert error_of(answer)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(path=st.sampled_from(["session", "cells", "outbound"]), body=st.binary(max_size=300))
def test_any_bytes_get_an_error_and_change_nothing(office: Office, path: str, body: bytes) -> None:
    before = office.store.documents()
    answer = office.visit().post(f"/v1/{path}", body)

    if path == "cells" and len(body) > 4 and len(body) % 32 == 4 and int.from_bytes(body[:4]) < CELL_BYTES:
        assert answer.status_code == 200
    else:
        assert answer.status_code == 400
        assert error_of(answer)
    assert office.store.documents() == before


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/th", 404),
        ("GET", "/v1/", 404),
        ("GET", "//v1/challenge", 404),
        ("GET", "/v1/challenge/", 404),
        ("POST", "/v1/challenge", 405),
        ("GET", "/v1/session", 405),
        ("GET", "/v1/outbound", 405),
        ("PUT", "/v1/cells", 405),
        ("OPTIONS", "/v1/challenge", 405),
    ],
)
def test_nothing_else_is_here(office: Office, method: str, path: str, status: int) -> None:
    answer = office.app.test_client().open(path, method=method)

    assert answer.status_code == status
    assert "dropbox-courier" in str(parse_json(answer.data)["hint"])


@pytest.mark.parametrize("path", ["/v1/challenge", "/v1/inventory", "/nothing"])
def test_no_answer_is_kept_on_the_way(office: Office, path: str) -> None:
    assert office.visit().get(path).headers["Cache-Control"] == "no-store"


def test_a_failure_of_the_program_tells_nothing_of_itself(
    office: Office, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails() -> None:
        raise ZeroDivisionError("secret/path")

    monkeypatch.setattr(office.box, "documents", fails)
    answer = office.visit().get("/v1/documents")

    assert answer.status_code == 500
    assert "secret" not in error_of(answer)
    assert "secret" not in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_a_closed_box_is_still_emptied(office: Office) -> None:
    ids = office.fill(1)
    office.newsroom.pass_time(weeks=60)  # The manifest has expired, and every epoch list.
    visit = office.visit()

    assert not office.box.openness().is_open
    assert list(visit.inventory().digests) == ids
    assert visit.cells(ids).data == office.store.read(ids[0])
    assert visit.deliver(office.bundle(1, [reply_cell(), acknowledging(ids)]))["mark"] == 2


def test_a_box_without_a_manifest_says_so(office: Office) -> None:
    office.store.apply(Change(documents=State(office.newsroom.network).encode()))

    answer = Visit(office).get("/v1/challenge")

    assert answer.status_code == 503
    assert "manifest" in error_of(answer)


def test_a_stored_cell_is_what_was_sealed(office: Office) -> None:
    (cell_id,) = office.fill(1, "one")

    assert office.visit().cells([cell_id]).data == random_cell("one 0")
    assert office.holds(CellId(cell_id)) == [True]
