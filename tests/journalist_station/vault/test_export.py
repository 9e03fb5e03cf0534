"""An export holds every byte under names that harm nothing, and is there whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journalist_station.vault import export
from journalist_station.vault.database import tips as rows
from journalist_station.vault.names import same_name, thread_name
from journalist_station.vault.safenames import MAX_NAME_BYTES, folded, part_name, safe_name, unused_name
from keys import tip
from keys.errors import Misconfigured, Refused
from keys.primitives import sha256
from keys.statement import NetworkId
from tests.simulators.dropbox import DropBox, File, Source
from tests.simulators.newsroom import Newsroom
from tests.simulators.station import Station

NAMES: list[str | bytes] = [
    "รายงาน ลับ.pdf",
    "a.txt",
    "a.txt",
    "A.TXT",
    "",
    "ก" * 85,
    "x" * 255,
    "x" * 255,
    "../../etc/passwd",
    "..\\..\\windows\\system32",
    "/absolute",
    ".hidden",
    "-rf",
    "~",
    "con.txt",
    "evil\u202egpj.exe",
    "line\nbreak",
    "\x1b[2J",
    "a/b/c",
    "trailing. ",
    "x" * 300 + ".pdf",
    b"\xff\xfe",
    b"nul\0byte",
]


def exported(station: Station, target: Path) -> Path:
    [thread] = rows.threads(station.vault.database)
    return export.export_thread(station.vault, thread, target, station.newsroom.now).folder


def test_every_file_comes_out_with_its_bytes_whatever_it_is_called(
    station: Station, box: DropBox, source: Source, tmp_path: Path
) -> None:
    files = [File(name, f"content {number}".encode()) for number, name in enumerate(NAMES)]
    box.send(source, "ข้อความ", files)
    station.fetch(box)
    folder = exported(station, tmp_path)
    listed = json.loads((folder / "1/names.json").read_bytes())
    assert listed["state"] == "complete"
    entries = {entry["item"]: entry for entry in listed["files"]}
    for number, file in enumerate(files, 1):
        entry = entries[number]
        assert bytes.fromhex(entry["name_hex"]) == file.raw_name
        assert (folder / "1/files" / entry["file"]).read_bytes() == file.content
        assert (entry["size"], entry["sha256"]) == (len(file.content), sha256(file.content).hex())
    on_disk = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert on_disk == {"1/message.txt", "1/message.signed", "1/names.json", "replies.json"} | {
        f"1/files/{entry['file']}" for entry in listed["files"]
    }
    assert (folder / "1/files/รายงาน ลับ.pdf").exists()
    assert (folder / "1/message.txt").read_text() == "ข้อความ\n"
    assert {path.name for path in tmp_path.iterdir()} == {"vault", "stick", folder.name}


def test_an_export_is_never_overwritten(station: Station, box: DropBox, source: Source, tmp_path: Path) -> None:
    box.send(source, "tip")
    station.fetch(box)
    folder = exported(station, tmp_path)
    (folder / "1/message.txt").write_text("annotated")
    with pytest.raises(Refused, match="not overwritten"):
        exported(station, tmp_path)
    assert (folder / "1/message.txt").read_text() == "annotated"
    with pytest.raises(Misconfigured):
        exported(station, tmp_path / "nowhere" / "below")


def test_of_a_file_with_missing_cells_the_stretches_come_out(
    station: Station, box: DropBox, source: Source, tmp_path: Path
) -> None:
    content = bytes(range(256)) * 6_000
    sent = box.send(source, "tip", [File("large.bin", content)])
    cells = sent.cells[1]
    assert len(cells) == 7
    for number, some in enumerate(([0, 4], [1, 3])):
        box.fill(station.stick(f"{number}"), only=[sent.all[0], *(cells[at] for at in some)])
        station.take(station.stick(f"{number}"))
    folder = exported(station, tmp_path)
    entries = json.loads((folder / "1/names.json").read_bytes())["files"]
    head = len(content) - sum(len((folder / "1/files" / entry["file"]).read_bytes()) for entry in entries)
    assert head > 0
    full = box.geometry.payload_bytes - tip.PIECE_FRAME_BYTES
    taken_off = 4 + len("large.bin") + len("application/octet-stream")
    assert {entry["file"]: entry["first_cell"] for entry in entries} == {"large.bin.part": 0, "large.bin (2).part": 3}
    first, second = ((folder / "1/files" / entry["file"]).read_bytes() for entry in entries)
    assert first == content[: 2 * full - taken_off]
    assert second == content[3 * full - taken_off : 5 * full - taken_off]


def test_files_without_a_message_come_out_too(station: Station, box: DropBox, source: Source, tmp_path: Path) -> None:
    sent = box.send(source, "tip", [File("f", b"f")])
    box.fill(station.stick(), only=sent.cells[1])
    station.take(station.stick())
    done = export.export_tip_without_message(station.vault, sent.tip, tmp_path, 0)
    assert (done.folder / "1/files/f").read_bytes() == b"f"
    with pytest.raises(Refused):
        export.export_tip_without_message(station.vault, bytes(16), tmp_path, 0)


def test_what_breaks_off_leaves_nothing(station: Station, box: DropBox, source: Source, tmp_path: Path) -> None:
    box.send(source, "tip", [File("a", b"a"), File("b", b"b" * 100_000)])
    station.fetch(box)
    before = sorted(tmp_path.iterdir())
    largest = max((station.folder / "vault/items").rglob("*"), key=lambda path: path.stat().st_size)
    for path in (station.folder / "vault/items").rglob("*"):
        if path.is_file() and path.stat().st_size >= 100_000:
            largest = path
    largest.write_bytes(largest.read_bytes()[:-1])
    with pytest.raises(Exception, match=r"cut short|damaged"):
        exported(station, tmp_path)
    assert sorted(tmp_path.iterdir()) == before


@given(st.one_of(st.binary(max_size=600), st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace"))))
def test_any_name_becomes_harmless(name: bytes) -> None:
    safe = safe_name(name)
    assert 0 < len(safe.encode()) <= MAX_NAME_BYTES
    assert safe not in (".", "..") and not safe.startswith((".", "-", "~"))
    assert not set(safe) & set('/\\\0\n\r<>:"|?*\x1b\u202e')
    assert safe_name(safe.encode()) == safe
    assert len(part_name(safe).encode()) <= MAX_NAME_BYTES


@given(st.lists(st.text(max_size=300).map(str.encode), max_size=8))
def test_any_names_stay_apart(names: list[bytes]) -> None:
    used: set[str] = set()
    for name in [*names, *names]:
        chosen = unused_name(safe_name(name), used)
        assert folded(chosen) not in used and len(chosen.encode()) <= MAX_NAME_BYTES
        used.add(folded(chosen))


@pytest.mark.parametrize("name", ["รายงาน.pdf", "a b (1).txt", "ก" * 85, "x" * 255, "é", "报告"])
def test_plain_names_stay_as_they_are(name: str) -> None:
    assert safe_name(name.encode()) == name


@given(st.binary(min_size=32, max_size=32))
def test_a_thread_has_one_name_in_two_scripts(source: bytes) -> None:
    network = NetworkId(bytes(32))
    name = thread_name(network, source)
    assert name == thread_name(network, source)
    assert name.en.isascii() and all("\u0e00" <= each <= "\u0e7f" or each == " " for each in name.th)
    for typed in (name.en, name.en.upper(), name.en.replace("-", " "), name.th, name.th.replace(" ", "")):
        assert same_name(typed, name)
    assert not same_name("", name)


def test_names_differ_between_sources_and_networks(newsroom: Newsroom) -> None:
    names = {thread_name(NetworkId(bytes([net]) * 32), bytes([n]) * 32) for n in range(100) for net in range(2)}
    assert len(names) == 200
