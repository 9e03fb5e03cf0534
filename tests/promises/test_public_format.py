"""Promise 4: what lies on the server's disk opens with age's own implementation and the week's key."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from keys.age.recipients import HybridIdentity
from keys.bundle import EntryType
from keys.encoding import parse_json
from keys.tip import CLOSING_ITEM
from tests.dropbox.source.site import Upload
from tests.keys.age.peers import typage
from tests.promises.desk import DeskPost, identities, source_keys
from tests.promises.server import Premises

TEXT = "สะพานร้าวก่อนเปิดใช้"
NAME = "ใบตรวจรับ.pdf"
CONTENT = bytes(range(256)) * 500


@pytest.fixture(scope="module")
def blocks(premises: Premises, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[int, int], bytes]:
    """What typage makes of the raw cells of one tip with a file, by item and cell number."""
    premises.browser().send(TEXT, [Upload(NAME, CONTENT, "application/pdf")])
    folder = tmp_path_factory.mktemp("cells")
    blocks = {}
    for number, sealed in enumerate(premises.cells().values()):
        file = folder / str(number)
        file.write_bytes(sealed)
        block = opened(premises, file)
        blocks[int.from_bytes(block[24:28]), int.from_bytes(block[28:32])] = block
    return blocks


def opened(premises: Premises, file: Path) -> bytes:
    """Open a cell with whichever of desk 1's weeks it was sealed to."""
    for identity in identities(premises.newsroom, 1):
        try:
            return typage("decrypt", identity.secret_text(), str(file))
        except subprocess.CalledProcessError:
            continue
    raise AssertionError("typage opens this cell with no key of the desk")


def payload(block: bytes) -> bytes:
    return block[32 : 32 + int.from_bytes(block[-8:-4])]


def test_every_cell_opens_with_ages_own_program(blocks: dict[tuple[int, int], bytes]) -> None:
    assert sorted(blocks) == [(0, 0), (1, 0), (CLOSING_ITEM, 0)]
    assert {block[:4] for block in blocks.values()} == {b"MSC1"}
    assert len({len(block) for block in blocks.values()}) == 1


def test_message_and_file_are_read_as_the_specification_says(blocks: dict[tuple[int, int], bytes]) -> None:
    assert parse_json(payload(blocks[0, 0])[96:])["text"] == TEXT
    file = payload(blocks[1, 0])[32:-64]  # The piece, between the source's key and its signature.
    end = 2 + int.from_bytes(file[:2])
    assert file[2:end].decode() == NAME
    assert file[end + 2 + int.from_bytes(file[end : end + 2]) :] == CONTENT


def test_no_other_key_opens_it(premises: Premises, blocks: dict[tuple[int, int], bytes], tmp_path: Path) -> None:
    """Neither a desk's that wasn't chosen, nor one of another week."""
    assert blocks
    file = tmp_path / "cell"
    file.write_bytes(next(iter(premises.cells().values())))
    chain = premises.newsroom.chain(1)
    others = [*identities(premises.newsroom, 2)[:1], chain.identity(premises.newsroom.week + 2)]
    for identity in others:
        with pytest.raises(subprocess.CalledProcessError):
            typage("decrypt", identity.secret_text(), str(file))


def test_a_reply_opens_with_the_sources_key(premises: Premises, tmp_path: Path) -> None:
    """So a source too can read what was answered with stock software, and a filler looks no different."""
    sent = premises.browser().send("ขอคำตอบ")
    post = DeskPost(premises.newsroom, 1)
    before = set(premises.cells())
    entries = post.reply(sent.codename, "ได้รับแล้ว")
    assert premises.courier().deliver(post.bundle(*entries)).status == 200
    (reply,) = [content[32:] for kind, content in entries if kind is EntryType.CELL]
    arrived = {cell_id: sealed for cell_id, sealed in premises.cells().items() if cell_id not in before}
    assert len(arrived) == premises.newsroom.manifest.limits.bundle_cells
    assert reply in arrived.values()
    file = tmp_path / "reply"
    file.write_bytes(reply)
    identity = HybridIdentity.from_seed(source_keys(premises.newsroom, sent.codename).reply_seed)
    assert "ได้รับแล้ว".encode() in typage("decrypt", identity.secret_text(), str(file))
