"""What `dropbox-server status` tells whoever runs the server: what is open, what was refused, what room is left."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dropbox.cli import facts_of, in_words
from dropbox.consensus import Comparison
from dropbox.store import Change, status
from keys.bundle import EntryType
from keys.minisign import SignedDocument
from tests.simulators.office import Office, reply_cell


def facts(office: Office, clock: Comparison = Comparison.NOT_COMPARED) -> dict[str, object]:
    return facts_of(status(office.data), office.state, "alpha", office.newsroom.now, clock)


def test_status_tells_who_filled_the_documents_and_what_was_refused(tmp_path: Path) -> None:
    office = Office(tmp_path)
    try:
        assert (facts(office)["bulletins"], facts(office)["entries_refused"]) == ({"1": 0, "2": 0}, {})
        flood = [(EntryType.BULLETIN, office.newsroom.bulletin(1).encode()) for _ in range(40)]
        said = office.visit().deliver(office.bundle(1, [*flood, reply_cell("a")]))
        told = facts(office)
        assert told["bulletins"] == {"1": 40 - len(said["refused"]), "2": 0}
        assert told["entries_refused"] == {"1": said["refused"]}
        assert told["documents_room"] == (1 << 18) - 36
        assert told["documents_bytes"] == len(office.store.documents())
        assert told["documents_that_do_not_verify"] == 0
        words = in_words(told)
        assert words["box"] == "open for desks 1, 2"
        assert words["bulletins"] == f"desk 1: {40 - len(said['refused'])}, desk 2: 0"
        assert not [name for name in words if name.startswith("not shown")]
        assert words["refused of desk 1"] == ", ".join(map(str, said["refused"]))
    finally:
        office.close()


def test_status_tells_which_post_is_hidden_and_why(tmp_path: Path) -> None:
    office = Office(tmp_path)
    try:
        good, forged = office.newsroom.bulletin(1), office.newsroom.bulletin(2)
        office.box.admit([good, forged])
        state = office.state
        (name,) = office.box.admitted().bulletins_of(2)
        changed = SignedDocument(forged.statement.replace(b"Who saw", b"Who hid"), forged.signatures)
        office.store.apply(Change(documents=replace(state, bulletins={**state.bulletins, name: changed}).encode()))
        assert set(office.box.admitted().bulletins) == set(state.bulletins) - {name}
        told = facts(office)
        because = "Desk 2 didn't sign this bulletin."
        assert told["documents_that_do_not_verify"] == 1
        assert told["not_shown"] == [{"kind": "bulletin", "desk": 2, "bulletin": name.hex(), "because": because}]
        assert in_words(told)["not shown or used, 1"] == f"bulletin {name.hex()} of desk 2: {because}"
    finally:
        office.close()


@pytest.mark.parametrize(
    ("clock", "box", "words"),
    [
        (Comparison.AGREES, "open for desks 1, 2", "agrees"),
        (Comparison.DISAGREES, "closed: clock-disagrees", "disagrees"),
        (Comparison.NOT_COMPARED, "open for desks 1, 2", "not compared"),
    ],
)
def test_status_says_how_the_clock_stands(tmp_path: Path, clock: Comparison, box: str, words: str) -> None:
    office = Office(tmp_path)
    try:
        told = facts(office, clock)
        assert told["clock"] == clock.value
        assert in_words(told)["box"] == box
        assert str(in_words(told)["clock"]).startswith(words)
    finally:
        office.close()


def test_status_of_a_server_without_a_manifest(tmp_path: Path) -> None:
    office = Office(tmp_path, with_epochs=False)
    try:
        told = facts_of(status(office.data), type(office.state)(office.newsroom.network), "alpha", 0)
        assert (told["open"], told["closed_because"], told["bulletins"]) == (False, "no-manifest", {})
        assert (in_words(told)["box"], in_words(told)["keys left"]) == ("closed: no-manifest", "none")
    finally:
        office.close()
