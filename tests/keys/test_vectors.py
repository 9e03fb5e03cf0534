"""The vectors of cells, tips, replies, inventories and bundles, which a second writing of SPEC made.

Each file is one scenario: what it is about, and whether it is good or which error it must raise.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from keys import bundle, errors, inventory, mailbox, primitives, reply, tip
from keys.age import HybridIdentity
from keys.bundle import EntryType, OutboundHead, OutboundReader
from keys.cell import Block, Flags, Geometry, Head, Kind, open_cell, parse_block, seal_digest
from keys.errors import NotForUs
from keys.inventory import CellId
from keys.minisign import SigningKey
from keys.reply import Place
from keys.statement import NetworkId
from keys.tip import Closing, ClosingEntry, Consent, FileHead, Mailbox, Message
from tests.simulators.parts import read_cells

VECTORS = Path(__file__).parents[1] / "vectors"
FORMATS = ("cell", "tip", "reply", "inventory", "bundle")


def vectors(folder: str, beginning: str = "") -> pytest.MarkDecorator:
    """Parametrize a test with the vectors of a folder whose names begin so."""
    paths = sorted(path for path in (VECTORS / folder).glob(f"{beginning}*.json"))
    assert paths, "there are no such vectors"
    return pytest.mark.parametrize(
        "vector", [json.loads(path.read_bytes()) for path in paths], ids=[p.stem for p in paths]
    )


@contextlib.contextmanager
def ending(expect: str) -> Iterator[None]:
    """Require the end that a vector names."""
    if expect == "ok":
        yield
        return
    with pytest.raises(getattr(errors, expect)):
        yield


@pytest.mark.parametrize("folder", FORMATS)
def test_the_generator_still_writes_these_vectors(folder: str, tmp_path: Path) -> None:
    program = VECTORS / folder / "generate.py"
    subprocess.run([sys.executable, str(program), str(tmp_path)], check=True, timeout=60)

    written = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    committed = {path.name: path.read_bytes() for path in (VECTORS / folder).glob("*.json")}
    sealed_by_typage = {name for name in committed if name.startswith("sealed-")}
    assert written == {name: content for name, content in committed.items() if name not in sealed_by_typage}


def network_of(vector: dict[str, Any]) -> NetworkId:
    return NetworkId(bytes.fromhex(vector["network"]))


def block_of(vector: dict[str, Any]) -> bytes:
    block = bytearray(vector["size"])
    for at, piece in vector["bytes"]:
        block[at : at + len(piece) // 2] = bytes.fromhex(piece)
    return bytes(block)


# Section 7


@vectors("cell", "sizes")
def test_sizes(vector: dict[str, Any]) -> None:
    for row in vector["sizes"]:
        geometry = Geometry(row["recipients"])
        sizes = (geometry.sealed_head_bytes, geometry.block_bytes, geometry.payload_bytes)
        assert sizes == (row["sealed_head"], row["block"], row["payload"])


@vectors("cell", "block")
def test_blocks(vector: dict[str, Any]) -> None:
    with ending(vector["expect"]):
        read = parse_block(block_of(vector), Geometry(vector["recipients"]))
        head = Head(Kind(vector["kind"]), bytes.fromhex(vector["series"]), vector["item"], vector["number"])
        assert read == Block(head, bytes.fromhex(vector["payload"]), Flags(vector["flags"]))


@vectors("cell", "sealed")
def test_cells_that_typage_sealed(vector: dict[str, Any]) -> None:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    sealed_head, block = base64.b64decode(vector["sealed_head"]), block_of(vector)
    cipher = ChaCha20Poly1305(primitives.hkdf(bytes.fromhex(vector["file_key"]), sealed_head[-16:], b"payload"))
    chunks = [block[at : at + 65_536] for at in range(0, len(block), 65_536)]
    sealed = [
        cipher.encrypt(number.to_bytes(11) + bytes([number == len(chunks) - 1]), chunk, None)
        for number, chunk in enumerate(chunks)
    ]
    cell = b"".join([sealed_head, *sealed])
    geometry, place = Geometry(vector["recipients"]), vector["place"]
    identity = HybridIdentity.from_text(vector["identity"])

    assert primitives.sha256(cell).hex() == vector["sha256"], "this is, byte for byte, what typage wrote"
    assert seal_digest(cell, geometry).hex() == vector["digest"]
    assert open_cell(cell, [identity], geometry) == parse_block(block, geometry)
    assert open_cell(cell, [identity], geometry, place) == parse_block(block, geometry)
    for other_place in set(range(geometry.recipients)) - {place}:
        with pytest.raises(NotForUs):
            open_cell(cell, [identity], geometry, other_place)
    with pytest.raises(NotForUs):
        open_cell(cell, [HybridIdentity.from_text(vector["stranger"])], geometry)


# Section 8


def message_of(said: dict[str, Any]) -> Message:
    box, consent = said["mailbox"], said["consent"]
    return Message(
        week=said["week"],
        language=said["language"],
        text=said["text"],
        desks=tuple(said["desks"]),
        refer=said["refer"],
        mailbox=Mailbox(bytes.fromhex(box["root"]), box["recipient"]) if box else None,
        kind=said["kind"],
        call=said["call"],
        answers=tuple((each["question"], each["answer"]) for each in said["answers"]),
        consent=Consent(**consent) if consent else None,
    )


def closing_of(said: dict[str, Any]) -> Closing:
    entries = [
        ClosingEntry(each["item"], each["size"], bytes.fromhex(each["sha256"]), each["interrupted"])
        for each in said["items"]
    ]
    return Closing(said["complete"], tuple(entries))


@vectors("tip", "message")
def test_messages(vector: dict[str, Any]) -> None:
    network, series, item = network_of(vector), bytes.fromhex(vector["tip"]), bytes.fromhex(vector["item"])
    with ending(vector["expect"]):
        source, message = tip.open_message(item, network, series, vector["desk"])
        assert (source.hex(), message) == (vector["source"], message_of(vector["json"]))
        if "seed" in vector:
            assert tip.sign_message(message, network, bytes.fromhex(vector["seed"]), series) == item


@vectors("tip", "closing")
def test_closing_items(vector: dict[str, Any]) -> None:
    network, series, item = network_of(vector), bytes.fromhex(vector["tip"]), bytes.fromhex(vector["item"])
    with ending(vector["expect"]):
        closing = tip.open_closing(item, network, series, bytes.fromhex(vector["source"]))
        assert closing == closing_of(vector["json"])
        assert tip.sign_closing(closing, network, bytes.fromhex(vector["seed"]), series) == item


@vectors("tip", "piece")
def test_pieces_of_files(vector: dict[str, Any]) -> None:
    network, series, payload = network_of(vector), bytes.fromhex(vector["tip"]), bytes.fromhex(vector["item"])
    content, number, flags = bytes.fromhex(vector["content"]), vector["cell"], vector["flags"]
    with ending(vector["expect"]):
        source, piece = tip.open_piece(payload, network, series, vector["number"], number, flags)
        assert (source.hex(), bytes(piece)) == (vector["source"], content)
        signer = tip.PieceSigner(network, series, vector["number"], bytes.fromhex(vector["seed"]))
        assert signer.head + content + signer.tail(number, flags, primitives.sha256(content)) == payload


@vectors("tip", "file")
def test_heads_of_files(vector: dict[str, Any]) -> None:
    item = bytes.fromhex(vector["item"])
    with ending(vector["expect"]):
        head = tip.read_file_head(item)
        name, declared = bytes.fromhex(vector["file_name"]), bytes.fromhex(vector["type"])
        assert head == FileHead(name, declared, len(item) - len(vector["rest"]) // 2)
        assert tip.file_head(name, declared) + bytes.fromhex(vector["rest"]) == item


# Section 9


@vectors("reply")
def test_replies(vector: dict[str, Any]) -> None:
    network = network_of(vector)
    place = Place(**{**vector["place"], "source": bytes.fromhex(vector["place"]["source"])})
    payloads = [bytes.fromhex(payload) for payload in vector["payloads"]]
    with ending(vector["expect"]):
        read = reply.open_first(payloads[0], place, network, bytes.fromhex(vector["key"]))
        words = {name: vector[name] for name in ("language", "text", "state")}
        files = [(each["name"], each["type"], bytes.fromhex(each["content"])) for each in vector["files"]]
        assert {name: getattr(read, name) for name in words} == words
        assert list(read.asks) == vector["asks"]
        assert [reply.read_attachment(read, at, iter(payloads)) for at in range(len(files))] == [f[2] for f in files]
        seed, size = bytes.fromhex(vector["seed"]), vector["payload_bytes"]
        assert reply.compose(place, network, seed, size, **words, attachments=files, asks=vector["asks"]) == payloads


@vectors("reply")
def test_addresses_of_replies(vector: dict[str, Any]) -> None:
    root = bytes.fromhex(vector.get("root", ""))
    for cell, (tag, address) in enumerate(zip(vector.get("tags", []), vector.get("addresses", []), strict=True)):
        place = vector["place"]
        made = mailbox.tag(root, place["desk"], place["week"], place["index"], cell)
        assert made.hex() == tag
        assert mailbox.address(network_of(vector), place["desk"], made).hex() == address


# Section 13


@vectors("inventory")
def test_inventories(vector: dict[str, Any]) -> None:
    raw, signature = bytes.fromhex(vector["statement"]), vector["signature"].encode()
    keys = {name: SigningKey.parse(text) for name, text in vector["servers"].items()}
    with ending(vector["expect"]):
        read = inventory.admit(raw, signature, network_of(vector), keys, vector["last"])
        said = vector["json"]
        cells = [(bytes.fromhex(cell), bytes.fromhex(digest)) for cell, digest in vector["cells"]]
        assert (read.server, read.sequence, read.time) == (vector["server"], vector["sequence"], vector["time"])
        assert {str(desk): mark for desk, mark in read.marks.items()} == said["marks"]
        assert {str(desk): list(numbers) for desk, numbers in read.refused.items()} == said["refused"]
        assert list(read.digests.items()) == cells
        again = inventory.compose(
            read.network,
            read.server,
            read.sequence,
            read.time,
            manifest=read.manifest,
            marks=read.marks,
            refused=read.refused,
            health=read.health,
            entries=cells,
        )
        assert again == raw


# Sections 14 and 15


def unpacked(pieces: Sequence[str | list[Any]]) -> bytes:
    return b"".join(
        bytes.fromhex(piece) if isinstance(piece, str) else bytes.fromhex(piece[0]) * piece[1] for piece in pieces
    )


@vectors("bundle", "outbound")
def test_outbound_bundles(vector: dict[str, Any]) -> None:
    raw = unpacked(vector["pieces"])
    with ending(vector["expect"]):
        reader = OutboundReader(io.BytesIO(raw))
        entries = list(reader.entries())
        reader.verify(bytes.fromhex(vector["key"]))
        assert reader.head == OutboundHead(network=network_of(vector), **vector["head"])
        expected = [(each["number"], each["type"], unpacked(each["pieces"])) for each in vector["entries"]]
        assert [(entry.number, entry.type, entry.content) for entry in entries] == expected
        contents = [(EntryType(type_), content) for _, type_, content in expected]
        assert b"".join(bundle.write_outbound(reader.head, contents, bytes.fromhex(vector["seed"]))) == raw


@vectors("bundle", "cells")
def test_parts(vector: dict[str, Any]) -> None:
    raw, found = unpacked(vector["pieces"]), []
    with ending(vector["expect"]):
        for cell_id, cell in read_cells(raw, network_of(vector), vector["server"]):
            found.append([cell_id.hex(), cell])
    assert found == [[cell_id, bytes.fromhex(byte) * bundle.CELL_BYTES] for cell_id, byte in vector["cells"]]
    if vector["expect"] == "ok":
        assert raw.startswith(bundle.cells_header(network_of(vector), vector["server"], vector["inventory"]))


@vectors("bundle", "known")
def test_lists_of_known_cells(vector: dict[str, Any]) -> None:
    raw = unpacked(vector["pieces"])
    with ending(vector["expect"]):
        read = bundle.parse_known(raw, network_of(vector))
        ids = [CellId(bytes.fromhex(each)) for each in vector["ids"]]
        assert (read.desk, read.inventories, read.ids) == (vector["desk"], vector["inventories"], frozenset(ids))
        assert bundle.known(network_of(vector), read.desk, read.inventories, ids) == raw
