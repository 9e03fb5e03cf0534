"""Large items claim slots a few at a time: none is lost, and none stays claimed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dropbox.store import Store
from keys.bundle import CELL_BYTES
from keys.errors import NoRoom
from tests.dropbox.store.cells import make_cell

SLOTS, RESERVE = 72, 4
CELL = make_cell(1)


@pytest.fixture
def roomy(tmp_path: Path) -> Iterator[Store]:
    Store.create(tmp_path / "data", SLOTS, documents_bytes=4_096)
    with Store.open(tmp_path / "data", reserve_slots=RESERVE) as opened:
        yield opened


def test_a_small_item_claims_just_what_it_writes(roomy: Store) -> None:
    with roomy.item(8) as deposit:
        for cells in range(1, 9):
            deposit.begin_cell()
            assert roomy.room().free == SLOTS - cells


@pytest.mark.parametrize("ending", ["commit", "abort"])
def test_what_a_large_item_claimed_and_did_not_use_is_free_again(roomy: Store, ending: str) -> None:
    with roomy.item(41) as deposit:
        for number in range(40):
            cell = make_cell(number)
            deposit.append(cell.content, cell.cell_id, cell.digest)
        deposit.begin_cell()
        assert SLOTS - 41 * 9 // 8 <= roomy.room().free < SLOTS - 41, "it has some in hand, an eighth at most"
        if ending == "commit":
            deposit.commit()
    stored = 40 if ending == "commit" else 0
    assert roomy.room().free == SLOTS - stored
    assert len(roomy.entries()) == stored


def test_every_slot_but_the_reserve_can_be_filled(roomy: Store) -> None:
    with roomy.item(2) as deposit:
        writers = [deposit.begin_cell() for _ in range(SLOTS - RESERVE)]
        with pytest.raises(NoRoom):
            deposit.begin_cell()
    assert len({writer.slot for writer in writers}) == SLOTS - RESERVE
    assert roomy.room().free == SLOTS


@pytest.mark.parametrize("piece_bytes", [1, 4_095, 9_428, 32_767, 32_768, 65_552, CELL_BYTES])
def test_a_cell_is_the_same_whatever_pieces_it_comes_in(roomy: Store, piece_bytes: int) -> None:
    with roomy.item() as deposit:
        writer = deposit.begin_cell()
        writer.write(CELL.content[: piece_bytes // 2])
        for at in range(piece_bytes // 2, CELL_BYTES, max(piece_bytes, 256)):
            writer.write(CELL.content[at : at + max(piece_bytes, 256)])
        writer.finish(CELL.cell_id, CELL.digest)
        deposit.commit()
    assert roomy.read(CELL.cell_id) == CELL.content
