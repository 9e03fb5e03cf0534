"""When a private network is whole, when what it knew last time will do, and what the server is given of it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from dropbox.consensus import Comparison, ConsensusFile
from keys.errors import Misconfigured
from onion_config import consensus
from tests.simulators.tor import consensus_head

VALID_AFTER = 1_795_384_500  # 2026-11-22 21:55:00
FLAGS = "s Fast Guard HSDir Running Stable V2Dir Valid\n"


def write(folder: Path, relays: int, described: int, flags: str = FLAGS) -> None:
    text = "network-status-version 3 microdesc\nvalid-after 2026-11-22 21:55:00\n" + f"r x y z\n{flags}" * relays
    (folder / "cached-microdesc-consensus").write_text(text)
    (folder / "cached-microdescs").write_text("onion-key\nntor-onion-key x\n" * (described // 2))
    (folder / "cached-microdescs.new").write_text(
        "@last-listed 2026-11-22 21:55:03\nonion-key\nntor-onion-key x\n" * (described - described // 2)
    )


def test_an_empty_folder_knows_nobody(tmp_path: Path) -> None:
    assert consensus.members(tmp_path) == consensus.descriptors(tmp_path) == 0
    assert not consensus.is_usable(tmp_path, 6, VALID_AFTER)


def test_relays_and_descriptors_are_counted(tmp_path: Path) -> None:
    write(tmp_path, 6, 5)

    assert (consensus.members(tmp_path), consensus.descriptors(tmp_path)) == (6, 5)


@pytest.mark.parametrize("missing", ["Running", "HSDir", "Guard"])
def test_a_relay_that_lacks_a_flag_doesnt_count(tmp_path: Path, missing: str) -> None:
    write(tmp_path, 6, 6, FLAGS.replace(f" {missing}", ""))

    assert consensus.members(tmp_path) == 0


@pytest.mark.parametrize(
    ("relays", "described", "age", "usable"),
    [
        (6, 6, 0, True),
        (6, 6, 22 * 3600, True),
        (6, 6, 24 * 3600, False),
        (6, 6, -60, False),  # The clock was set back.
        (5, 6, 0, False),
        (6, 5, 0, False),
    ],
)
def test_what_was_known_will_do_for_a_day(tmp_path: Path, relays: int, described: int, age: int, usable: bool) -> None:
    write(tmp_path, relays, described)

    assert consensus.is_usable(tmp_path, 6, VALID_AFTER + age) == usable


def test_a_damaged_consensus_will_not_do(tmp_path: Path) -> None:
    write(tmp_path, 6, 6)
    (tmp_path / "cached-microdesc-consensus").write_bytes(b"\xff\x00" + FLAGS.encode() * 6)

    assert not consensus.is_usable(tmp_path, 6, VALID_AFTER)


def test_what_one_knows_is_handed_on_and_forgotten(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
    write(one, 6, 6)
    (one / "keys").mkdir()
    (one / "diff-cache").mkdir()
    (one / "diff-cache" / "1").touch()
    (one / "state").touch()

    consensus.copy(one, other)
    consensus.forget(one)

    assert consensus.is_usable(other, 6, VALID_AFTER)
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in other.iterdir())
    assert [path.name for path in one.iterdir()] == ["keys"]


def test_the_head_is_copied_for_everybody_as_the_server_reads_it(tmp_path: Path) -> None:
    head = consensus_head(VALID_AFTER)
    tor, target = tmp_path / "cached-microdesc-consensus", tmp_path / "copy"
    tor.write_bytes(head + b"r relay \xff" * 1_000)
    tor.chmod(0o600)

    consensus.copy_head(tmp_path, target)
    consensus.copy_head(tmp_path, target)

    assert target.read_bytes() == b"".join(head.splitlines(keepends=True)[:6])
    assert stat.S_IMODE(target.stat().st_mode) == 0o644
    assert ConsensusFile(target).compare(VALID_AFTER) is ConsensusFile(tor).compare(VALID_AFTER) is Comparison.AGREES


@pytest.mark.parametrize("content", [None, b"", b"network-status-version 3\n", b"x" * 2_000 + consensus_head(0)])
def test_without_a_consensus_nothing_is_copied(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "cached-microdesc-consensus").write_bytes(content)

    with pytest.raises(Misconfigured):
        consensus.copy_head(tmp_path, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
