"""What docs/SPEC.md prints is what the code does: worked bytes, and the program of section 20 run as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from keys import bundle, primitives, statement, tip
from keys.bundle import CELL_BYTES
from keys.cell import Flags
from keys.minisign import SigningKey
from keys.statement import NetworkId
from tests.keys.age.peers import PEERS, require_peers
from tests.simulators.dropbox import DropBox, File, Source
from tests.simulators.newsroom import Newsroom, seeded

SPEC = (Path(__file__).parents[2] / "docs" / "SPEC.md").read_text(encoding="utf-8")
TYPAGE = ["node", str(PEERS / "typage.mjs"), "decrypt"]


def section(begins: str, ends: str) -> str:
    start = SPEC.index(begins)
    return SPEC[start : SPEC.index(ends, start)]


def test_the_worked_statement_is_what_is_signed() -> None:
    text = section("3.6. Worked bytes", "## 4.")
    (header,) = re.findall(r"```text\n(.*?)```", text, re.DOTALL)
    (both,) = re.findall(r"```hex\n(.*?)```", text, re.DOTALL)
    digest, signature = (bytes.fromhex(part) for part in both.split("\n\n"))
    seed, network, body = b"\x42" * 32, NetworkId(bytes(range(32))), bytes(range(16))
    raw = statement.make("courier-login", network, [("server", "alpha")], body)

    assert raw == header.encode() + body
    assert f"it has {len(raw)} bytes" in text
    assert digest == primitives.blake2b(raw, 64)
    assert signature == statement.sign(seed, raw)
    assert f"`{SigningKey.of(seed).text}`" in text
    assert f"`{SigningKey.of(seed).fingerprint}`" in text


LIMITS = {
    "most 100,000 entries": bundle.MAX_ENTRIES,
    "n ≤ 65,536": bundle.MAX_ACKNOWLEDGED,
    "at most 200,000 bytes": tip.MAX_TEXT_BYTES,
    "distinct, at most 1,000": tip.MAX_ITEMS,
}


@pytest.mark.parametrize(("words", "limit"), LIMITS.items(), ids=LIMITS)
def test_the_limits_are_those_of_the_code(words: str, limit: int) -> None:
    assert f"{limit:,}" in words
    assert words in SPEC


PROGRAM = section("```python\n", "```\n").removeprefix("```python\n")


def test_the_recovery_program_is_short_and_stands_alone() -> None:
    assert len(PROGRAM.splitlines()) <= 25
    assert re.findall(r"^import (.*)$", PROGRAM, re.MULTILINE) == ["pathlib, subprocess, sys"]


def cells_apart(part: bytes, folder: Path) -> None:
    """Do what section 20 says: skip the header up to the empty line, then 32 + 262,144 bytes each."""
    folder.mkdir()
    records = part[part.index(b"\n\n") + 2 :]
    for at in range(0, len(records), 32 + CELL_BYTES):
        (folder / f"{at}").write_bytes(records[at + 32 : at + 32 + CELL_BYTES])


def recover(cells: Path, identity: Path, out: Path) -> str:
    """Run the program, with typage to open each cell; return what it printed."""
    out.mkdir()
    require_peers()
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(cells), str(identity), str(out), *TYPAGE],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return ran.stdout


LONG = seeded("a long file")(262_144 + 100_000)
BROKEN = seeded("a file that broke off")(5_000)


def week_identity(newsroom: Newsroom, folder: Path) -> Path:
    """Write desk 1's identity of this week as a file, as a person would keep it."""
    (folder / "identity").write_text(newsroom.chain(1).identity(newsroom.week).secret_text() + "\n")
    return folder / "identity"


def test_every_file_is_recovered_without_this_software(tmp_path: Path) -> None:
    newsroom = Newsroom(desks=2)
    box = DropBox(newsroom)
    files = [
        File("สัญญา.pdf", LONG, type="application/pdf"),
        File("", b""),
        File("../../etc/passwd", "รูทไม่มี".encode()),
        File("broken", BROKEN, stops_at=4_000),
    ]
    series = box.send(Source(newsroom), "ต้องแฉเรื่องสะพาน", files).tip.hex()
    box.send(Source(newsroom, 1), "to the other desk", desks=(2,))
    box.fill(tmp_path / "stick")
    (part,) = box.folder(tmp_path / "stick").glob("cells-*")
    cells_apart(part.read_bytes(), tmp_path / "cells")

    printed = recover(tmp_path / "cells", week_identity(newsroom, tmp_path), tmp_path / "out")

    found = {path.name.removeprefix(f"{series}-"): path.read_bytes() for path in (tmp_path / "out").iterdir()}
    closing, message = found.pop("closing.json"), found.pop("message.json")
    assert found == {
        "file-1": LONG,
        "file-2": b"",
        "file-3": "รูทไม่มี".encode(),
        "file-4": BROKEN[:4_000],
    }
    assert tip.parse_message(message).text == "ต้องแฉเรื่องสะพาน"
    listed = {entry.item: entry.sha256 for entry in tip.parse_closing(closing).items}
    assert listed == {number: primitives.sha256(found[f"file-{number}"]) for number in range(1, 5)}
    assert repr("สัญญา.pdf".encode()) in printed
    assert "passwd" in printed


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    newsroom = Newsroom(desks=1)
    box = DropBox(newsroom)
    ids = box.send(Source(newsroom), "", [File("long", LONG), File("damaged", b"x")]).cells
    (tmp_path / "cells").mkdir()
    first, *_ = ids[1]
    (tmp_path / "cells" / "first of two").write_bytes(box.cells[first])
    (tmp_path / "cells" / "damaged").write_bytes(box.cells[ids[2][0]][:-1] + b"!")

    recover(tmp_path / "cells", week_identity(newsroom, tmp_path), tmp_path / "out")

    (found,) = (tmp_path / "out").iterdir()
    assert found.name.endswith("-file-1.incomplete")
    assert LONG.startswith(found.read_bytes())
    assert found.stat().st_size > 200_000


def test_the_trailer_that_the_program_reads_is_the_code_s() -> None:
    assert (Flags.LAST, Flags.INTERRUPTED, Flags.CLOSED) == (1, 2, 4)
