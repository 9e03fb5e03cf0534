"""Files sealed to the published keys are opened beside the original; whatever else stays as it is."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest

from keys import age, primitives
from keys.age import HybridIdentity, PassphraseRecipient, Recipient, X25519Identity
from keys.age.stream import CHUNK_BYTES
from tests.simulators import seen
from tests.simulators.dropbox import DropBox, File, Source
from tests.simulators.newsroom import Newsroom
from tests.simulators.seen import SeenFile
from tests.simulators.station import Station

CONTENT = b"minutes of the meeting\n" * 20_000


def sealed(recipients: Sequence[Recipient], content: bytes = CONTENT) -> bytes:
    return age.seal_bytes(content, recipients, primitives.system_randomness)


def arrived(station: Station, box: DropBox, source: Source, *files: File) -> tuple[SeenFile, ...]:
    box.send(source, "", list(files))
    station.fetch(box)
    return seen.only(station.vault).files


@pytest.mark.parametrize("armor", [False, True])
@pytest.mark.parametrize("desks", [(1,), (1, 2)])
def test_a_file_sealed_to_the_published_keys_is_opened_beside_the_original(
    station: Station, box: DropBox, source: Source, armor: bool, desks: tuple[int, ...]
) -> None:
    raw = sealed(box.recipients(desks))
    raw = age.armored(raw) if armor else raw
    assert arrived(station, box, source, File("minutes.pdf.age", raw)) == (
        SeenFile(b"minutes.pdf.age", raw, "whole"),
        SeenFile(b"minutes.pdf", CONTENT, "whole", inside=True),
    )
    assert seen.only(station.vault).state == "complete"


def test_another_weeks_key_opens_too(newsroom: Newsroom, station: Station, box: DropBox, source: Source) -> None:
    raw = sealed(box.recipients((1,)))
    newsroom.pass_time(weeks=3)
    found = arrived(station, box, source, File("x", raw))
    assert found[1] == SeenFile(b"x", CONTENT, "whole", inside=True)


def test_an_empty_file_inside(station: Station, box: DropBox, source: Source) -> None:
    found = arrived(station, box, source, File(".age", sealed(box.recipients((1,)), b"")))
    assert found[1] == SeenFile(b".age", b"", "whole", inside=True)


@pytest.mark.parametrize("kept", [300_000, 2_000])
def test_of_a_file_that_was_cut_short_the_part_is_kept_that_came(
    station: Station, box: DropBox, source: Source, kept: int
) -> None:
    raw = sealed(box.recipients((1,)))
    original, *inside = arrived(station, box, source, File("x.age", raw, stops_at=kept))
    assert original == SeenFile(b"x.age", raw[:kept], "interrupted")
    if kept == 2_000:
        assert inside == []
    else:
        [part] = inside
        assert part.state == "interrupted" and part.content is not None and CONTENT.startswith(part.content)
        assert len(part.content) == 4 * CHUNK_BYTES


@pytest.mark.parametrize("whose", ["desk 2", "a stranger", "a classical key", "a passphrase"])
def test_a_file_for_somebody_else_stays_as_it_is(station: Station, box: DropBox, source: Source, whose: str) -> None:
    stranger = HybridIdentity.from_seed(os.urandom(32)).recipient()
    recipients: dict[str, Sequence[Recipient]] = {
        "desk 2": box.recipients((2,)),
        "a stranger": [stranger],
        "a classical key": [X25519Identity(os.urandom(32)).recipient()],
        "a passphrase": [PassphraseRecipient("whatever it is", 10)],
    }
    raw = sealed(recipients[whose])
    assert arrived(station, box, source, File("x.age", raw)) == (SeenFile(b"x.age", raw, "whole"),)


@pytest.mark.parametrize(
    "raw",
    [
        b"age-encryption.org/v1\n",
        b"age-encryption.org/v1\n-> mlkem768x25519 AAAA\n\n--- AAAA\n",
        b"-----BEGIN AGE ENCRYPTED FILE-----\nAAAA",
        b"\n\n -----BEGIN AGE ENCRYPTED FILE-----\n",
    ],
)
def test_what_only_looks_like_an_age_file_stays_as_it_is(
    station: Station, box: DropBox, source: Source, raw: bytes
) -> None:
    assert arrived(station, box, source, File("x.age", raw)) == (SeenFile(b"x.age", raw, "whole"),)
