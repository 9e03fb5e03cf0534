"""What the server's other parts rely on, each as they would meet it."""

from __future__ import annotations

import random
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from dropbox.store import Change, Outcome, Store
from keys.bundle import CELL_BYTES
from keys.errors import NoRoom, NotForUs
from keys.inventory import CellId
from tests.dropbox.store.cells import Made, make_cell

A, B, C, D = (make_cell(number) for number in range(4))
DESKS = frozenset({1, 2})


def put(store: Store, *cells: Made) -> Outcome:
    with store.item(len(cells)) as deposit:
        for cell in cells:
            deposit.append(cell.content, cell.cell_id, cell.digest)
        return deposit.commit()


def ids(store: Store) -> set[CellId]:
    return {cell_id for cell_id, _ in store.entries()}


def test_an_item_shows_up_whole_when_it_is_committed(store: Store) -> None:
    with store.item(2) as deposit:
        deposit.append(A.content, A.cell_id, A.digest)
        deposit.append(B.content, B.cell_id, B.digest)
        assert store.holds([A.cell_id, B.cell_id]) == [False, False]
        deposit.commit()
    assert store.entries() == sorted([(A.cell_id, A.digest), (B.cell_id, B.digest)])
    assert store.read(A.cell_id) == A.content
    assert store.read(B.cell_id) == B.content
    assert store.room().free == 10


def test_an_item_left_without_a_commit_leaves_nothing(store: Store) -> None:
    with pytest.raises(KeyError), store.item(2) as deposit:
        deposit.append(A.content, A.cell_id, A.digest)
        deposit.begin_cell().write(B.content[:70_000])
        raise KeyError("the upload's own trouble")
    assert store.entries() == []
    assert store.room().free == 12


@pytest.mark.parametrize("size", [1, 4_095, 4_097, 65_552, 262_143])
def test_the_borders_of_pieces_never_matter(store: Store, size: int) -> None:
    reused = bytearray(size)
    content = A.content if size > 1 else A.content[:9_000]
    with store.item() as deposit:
        writer = deposit.begin_cell()
        for at in range(0, len(content), size):
            piece = content[at : at + size]
            reused[: len(piece)] = piece
            writer.write(memoryview(reused)[: len(piece)])  # The sealer gives the same memory again and again.
        writer.write(A.content[len(content) :])
        writer.finish(A.cell_id, A.digest)
        deposit.commit()
    assert store.read(A.cell_id) == A.content


def test_cells_may_be_open_side_by_side_and_what_isnt_finished_is_dropped(store: Store) -> None:
    with store.item(3) as deposit:
        first, second, third = deposit.begin_cell(), deposit.begin_cell(), deposit.begin_cell()
        for at in range(0, CELL_BYTES, 65_536):
            first.write(A.content[at : at + 65_536])
            second.write(B.content[at : at + 65_536])
        third.write(C.content[:100])
        second.finish(B.cell_id, B.digest)
        first.finish(A.cell_id, A.digest)
        deposit.commit()
    assert ids(store) == {A.cell_id, B.cell_id}
    assert store.read(B.cell_id) == B.content
    assert store.room().free == 10


def test_a_programmers_mistake_is_told_at_once(store: Store) -> None:
    with store.item() as deposit:
        writer = deposit.begin_cell()
        with pytest.raises(ValueError, match="262,144"):
            writer.finish(A.cell_id, A.digest)
        with pytest.raises(ValueError, match="262,144"):
            writer.write(A.content + b"x")
    with pytest.raises(RuntimeError, match="ended"):
        deposit.begin_cell()
    with pytest.raises(RuntimeError, match="ended"):
        deposit.commit()
    with store.item() as deposit, pytest.raises(ValueError, match="32 bytes"):
        deposit.append(A.content, A.cell_id[:31], A.digest)
    with pytest.raises(ValueError, match="desk"):
        Change(acknowledged={128: []})
    for wrong in (frozenset({-1}), frozenset[int]()):
        with pytest.raises(ValueError, match="desk"):
            Change(current_desks=wrong)


def test_an_id_that_exists_is_refused_and_the_rest_stands(store: Store) -> None:
    put(store, A)
    impostor = Made(A.cell_id, C.digest, C.content)
    assert put(store, impostor, B) == Outcome((A.cell_id,), ())
    assert store.read(A.cell_id) == A.content
    assert store.read(B.cell_id) == B.content
    assert put(store, Made(D.cell_id, D.digest, D.content), Made(D.cell_id, C.digest, C.content)).refused == (
        D.cell_id,
    )
    assert store.read(D.cell_id) == D.content
    assert store.room().free == 9


ACKNOWLEDGEMENTS: list[tuple[str, list[tuple[int, list[Made]]], frozenset[int], set[CellId]]] = [
    ("nobody", [], DESKS, set()),
    ("one of two", [(1, [A, B])], DESKS, set()),
    ("both, one cell", [(1, [A, B]), (2, [A])], DESKS, {A.cell_id}),
    ("both, all cells", [(1, [A, B]), (2, [B, A])], DESKS, {A.cell_id, B.cell_id}),
    ("the same one twice", [(1, [A]), (1, [A])], DESKS, set()),
    ("a desk that isn't in force counts for nothing", [(1, [A]), (3, [A])], DESKS, set()),
    ("an unknown cell is passed over", [(1, [A, D]), (2, [A, D])], DESKS, {A.cell_id}),
    ("the highest number", [(127, [A])], frozenset({127}), {A.cell_id}),
]


@pytest.mark.parametrize(
    "rounds,desks,gone", [row[1:] for row in ACKNOWLEDGEMENTS], ids=[r[0] for r in ACKNOWLEDGEMENTS]
)
def test_a_cell_goes_when_every_current_desk_has_acknowledged_it(
    store: Store, rounds: list[tuple[int, list[Made]]], desks: frozenset[int], gone: set[CellId]
) -> None:
    put(store, A, B)
    removed = set[CellId]()
    for desk, cells in rounds:
        removed |= set(store.apply(Change((), {desk: [c.cell_id for c in cells]}, current_desks=desks)).removed)
    assert removed == gone
    assert ids(store) == {A.cell_id, B.cell_id} - gone


def test_a_retired_desk_blocks_nothing_any_more(store: Store) -> None:
    put(store, A, B)
    store.apply(Change((), {1: [A.cell_id]}, current_desks=DESKS))
    assert ids(store) == {A.cell_id, B.cell_id}
    assert store.apply(Change(current_desks=frozenset({1}))).removed == (A.cell_id,)
    assert ids(store) == {B.cell_id}


def test_a_bundle_is_one_transaction(store: Store) -> None:
    put(store, A, B)
    with store.item(2, reserved=True) as deposit:
        deposit.append(C.content, C.cell_id, C.digest)
        deposit.append(D.content, D.cell_id, D.digest)
        outcome = store.apply(
            Change((deposit,), {1: [A.cell_id, D.cell_id]}, frozenset({1}), [B.cell_id, b"?" * 32], b"documents")
        )
    assert outcome.refused == ()
    assert set(outcome.removed) == {A.cell_id, B.cell_id, D.cell_id}
    assert ids(store) == {C.cell_id}
    assert store.documents() == b"documents"
    assert store.room().free == 11


def test_documents_are_replaced_whole_and_their_version_moves(store: Store) -> None:
    assert store.documents() == b""
    version, generation = store.documents_version, store.generation
    store.apply(Change(documents=b"x" * 4_000))
    assert store.documents_version != version
    store.apply(Change(documents=b"y"))
    assert store.documents() == b"y"
    version, generation = store.documents_version, store.generation
    put(store, A)
    assert store.documents_version == version
    assert store.generation != generation


def test_documents_that_dont_fit_are_refused_and_nothing_changes(store: Store) -> None:
    with store.item() as deposit:
        deposit.append(A.content, A.cell_id, A.digest)
        with pytest.raises(NoRoom, match="documents"):
            store.apply(Change((deposit,), documents=b"x" * 4_061))
    assert store.entries() == []
    assert store.documents() == b""
    store.apply(Change(documents=b"x" * 4_060))


def test_deleting_names_what_was_there(store: Store) -> None:
    put(store, A, B)
    assert store.delete([A.cell_id, C.cell_id]) == (A.cell_id,)
    assert store.delete([A.cell_id]) == ()
    with pytest.raises(NotForUs):
        store.read(A.cell_id)
    assert store.read(B.cell_id) == B.content
    put(store, A)
    assert store.read(A.cell_id) == A.content


def test_the_reserve_is_for_text_and_bundles(folder: Path) -> None:
    """12 slots, 8 of them kept: texts leave a quarter of these to bundles, and each bundle takes no more than that."""
    with Store.open(folder, reserve_slots=8) as store, ExitStack() as held:
        with pytest.raises(NoRoom):
            store.item(5)
        file = held.enter_context(store.item(4))
        for _ in range(4):
            file.begin_cell()
        for begin in (file.begin_cell, lambda: store.item(2), lambda: store.item(3, reserved=True)):
            with pytest.raises(NoRoom):
                begin()
        bundles = [held.enter_context(store.item(2, reserved=True)) for _ in range(2)]
        for bundle in (*bundles, *bundles):
            bundle.begin_cell()
        for bundle in bundles:
            with pytest.raises(NoRoom):
                bundle.begin_cell()
        for _ in range(2):
            text = held.enter_context(store.item(1))
            text.begin_cell()
            with pytest.raises(NoRoom):
                text.begin_cell()
        with pytest.raises(NoRoom) as caught:
            store.item(1)
        assert caught.value.http_status == 507
    with Store.open(folder, reserve_slots=8) as store:
        assert store.room().free == 12


def test_texts_never_shut_out_the_bundle_that_frees_room(folder: Path) -> None:
    with Store.open(folder, reserve_slots=8) as store, ExitStack() as held:
        with pytest.raises(NoRoom):
            while True:
                held.enter_context(store.item(1)).begin_cell()
        assert store.room().free == 2
        bundle = held.enter_context(store.item(2, reserved=True))
        bundle.begin_cell()
        bundle.begin_cell()


def test_a_bundle_takes_what_is_free_before_the_reserve(folder: Path) -> None:
    with Store.open(folder, reserve_slots=8) as store, store.item(6, reserved=True) as bundle:
        for _ in range(6):
            bundle.begin_cell()
        with pytest.raises(NoRoom):
            bundle.begin_cell()


def test_what_fitted_can_still_be_committed_when_room_runs_out(store: Store) -> None:
    with store.item(2) as deposit:
        for number in range(9):
            cell = make_cell(number)
            deposit.append(cell.content, cell.cell_id, cell.digest)
        with pytest.raises(NoRoom):
            deposit.begin_cell()
        deposit.commit()
    assert len(store.entries()) == 9
    assert store.room().free == 3


def test_work_is_counted_and_the_same_for_full_and_empty_mailboxes(store: Store) -> None:
    put(store, A, B)

    def visit(addresses: list[bytes]) -> tuple[int, int]:
        before = store.work()
        for address, is_there in zip(addresses, store.holds(addresses), strict=True):
            cell = store.read(address) if is_there else store.read_any()
            assert len(cell) == CELL_BYTES
        after = store.work()
        return after.lookups - before.lookups, after.reads - before.reads

    assert visit([A.cell_id, B.cell_id, C.cell_id]) == visit([C.cell_id, D.cell_id, bytes(32)]) == (3, 3)


def test_stirring_changes_a_free_slot_and_record_and_nothing_else(store: Store) -> None:
    put(store, A, B)
    before = store.entries()
    slots = [store._slab.read(slot) for slot in range(12)]
    raw = store._index.read_raw()
    store.stir()
    changed = [slot for slot in range(12) if store._slab.read(slot) != slots[slot]]
    now = store._index.read_raw()
    assert changed == [slot for slot in range(12) if now[slot * 96 : slot * 96 + 96] != raw[slot * 96 : slot * 96 + 96]]
    assert len(changed) == 1
    assert store.entries() == before
    assert store.read(A.cell_id) == A.content
    assert store.room().free == 10


def test_stirring_a_full_store_does_no_harm(folder: Path) -> None:
    with Store.open(folder) as store, store.item(12) as deposit:
        for _ in range(12):
            deposit.begin_cell()
        store.stir()
    with Store.open(folder) as store:
        assert store.room().free == 12


def test_threads_lose_and_mix_nothing(store: Store) -> None:
    """Four threads put, read and delete their own cells at once."""
    failures: list[BaseException] = []

    def work(thread: int) -> None:
        chance = random.Random(thread)
        try:
            for turn in range(12):
                mine = [make_cell(1_000 * thread + 2 * turn + at) for at in range(chance.randint(1, 2))]
                put(store, *mine)
                assert store.holds([cell.cell_id for cell in mine]) == [True] * len(mine)
                assert all(store.read(cell.cell_id) == cell.content for cell in mine)
                assert set(store.delete(cell.cell_id for cell in mine)) == {cell.cell_id for cell in mine}
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    assert store.entries() == []
    assert store.room().free == 12


def test_exclusive_keeps_edits_of_the_documents_apart(store: Store) -> None:
    store.apply(Change(documents=b"0"))

    def count() -> None:
        for _ in range(20):
            with store.exclusive():
                store.apply(Change(documents=str(int(store.documents()) + 1).encode()))

    threads = [threading.Thread(target=count) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert store.documents() == b"60"
