"""Promise 5: a copied station, its backup and every recorded cell open nothing of an erased week."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from journalist_station.vault import backup, epochs
from journalist_station.vault.database import KEY_BYTES
from journalist_station.vault.lock import Lock
from journalist_station.vault.vault import Vault
from keys import cell
from keys.age import HybridIdentity
from keys.chain import Chain
from keys.encoding import SECONDS_A_WEEK, week_start
from keys.errors import DropBoxError, Misconfigured, NotForUs, Refused, Stale
from keys.inventory import CellId
from keys.keyfile import ChainKeyFile
from keys.primitives import system_randomness
from tests.simulators import seen
from tests.simulators.dropbox import DropBox, File, Source
from tests.simulators.newsroom import Newsroom
from tests.simulators.station import PASSPHRASE, QUICK, Station

GRACE_WEEKS = 8
PUBLIC_TABLES = {"sightings", "cells", "acts", "entries"}
"""What inventories say, and hashes."""


class Thief:
    """Has a copy of the vault with its passphrase, the backup with the desk's key, and every cell there was."""

    def __init__(self, station: Station, cells: dict[CellId, bytes], folder: Path) -> None:
        self.station = station
        self.cells = dict(cells)
        shutil.copytree(station.folder / "vault", folder / "seized")
        shutil.copy(station.folder / "backup", folder / "backup")
        secret, now = station.secret, station.newsroom.now
        self.vaults = [
            Vault.open(folder / "seized", PASSPHRASE, system_randomness),
            backup.restore(folder / "backup", secret, folder / "restored", PASSPHRASE, now, system_randomness, QUICK),
        ]

    def identities(self) -> list[HybridIdentity]:
        """Whatever can be made of the vaults: by their own code, and of every 32 bytes that stand in any row.

        How far a chain has come is all that its key knows; the number of its week doesn't enter.
        """
        far = self.station.newsroom.week + 100
        found = [each.seed for vault in self.vaults for each in epochs.identities(vault, far)]
        for secret in self.secrets():
            found.append(secret)
            chain = Chain(self.station.newsroom.network, self.station.desk, 1, 0, secret)
            found += [chain.identity_seed(steps) for steps in range(14)]
        return [HybridIdentity.from_seed(seed) for seed in set(found)]

    def secrets(self) -> set[bytes]:
        values = set()
        for vault in self.vaults:
            tables = {name for (name,) in vault.database.rows("SELECT name FROM sqlite_master WHERE type = 'table'")}
            for table in tables - PUBLIC_TABLES:
                for row in vault.database.rows(f'SELECT * FROM "{table}"'):
                    values |= {value for value in row if isinstance(value, bytes) and len(value) == KEY_BYTES}
        return values

    def opened(self) -> set[CellId]:
        identities = self.identities()
        return {each for each, sealed in self.cells.items() if self._opens(sealed, identities)}

    def _opens(self, sealed: bytes, identities: list[HybridIdentity]) -> bool:
        try:
            cell.open_cell(sealed, identities, self.station.vault.geometry)
        except DropBoxError:
            return False
        return True

    def close(self) -> None:
        for vault in self.vaults:
            vault.close()


def back_up(station: Station) -> None:
    backup.write(station.vault, PASSPHRASE, station.folder / "backup", station.newsroom.now)


def test_promise_5(newsroom: Newsroom, station: Station, box: DropBox, source: Source, tmp_path: Path) -> None:
    old = box.send(source, "sealed to the week that is erased", [File("f", b"f" * 300_000)])
    station.fetch(box)
    never_fetched = box.send(source, "recorded, never carried")
    newsroom.pass_time(weeks=1)
    new = box.send(source, "sealed to a later week")
    back_up(station)
    (tmp_path / "before").mkdir()
    before = Thief(station, box.cells, tmp_path / "before")
    assert before.opened() == {*old.all, *never_fetched.all, *new.all}
    before.close()

    through = newsroom.week - 1
    newsroom.now = week_start(through + 1 + GRACE_WEEKS)
    assert epochs.erasable(station.vault, newsroom.now) == through
    assert epochs.erase(station.vault, through, newsroom.now) == [through]
    back_up(station)

    (tmp_path / "after").mkdir()
    after = Thief(station, box.cells, tmp_path / "after")
    assert after.opened() == set(new.all)
    after.close()
    # What was imported in time is still there.
    assert seen.only(station.vault).files[0].content == b"f" * 300_000


def test_nothing_of_an_erased_key_is_left_in_the_files(newsroom: Newsroom, station: Station) -> None:
    """Not in free pages and not in the log: both are empty."""
    [chain] = station.vault.database.rows("SELECT secret FROM chains")
    newsroom.pass_time(weeks=12)
    epochs.erase(station.vault, newsroom.week - GRACE_WEEKS - 1, newsroom.now)
    database = station.vault.database
    assert database.value("PRAGMA freelist_count") == 0
    assert (station.folder / "vault/vault.db-wal").stat().st_size == 0
    assert chain[0] not in {secret for (secret,) in database.rows("SELECT secret FROM chains")}


def test_the_chain_moves_on_and_its_list_goes_when_all_is_erased(newsroom: Newsroom, station: Station) -> None:
    first = newsroom.week
    assert [each.week for each in epochs.weeks(station.vault)] == list(range(first, first + 8))
    newsroom.pass_time(weeks=11)
    assert epochs.erasable(station.vault, newsroom.now) == first + 2
    assert epochs.erase(station.vault, first + 2, newsroom.now) == [first, first + 1, first + 2]
    assert [each.week for each in epochs.weeks(station.vault)] == list(range(first + 3, first + 8))
    assert epochs.erase(station.vault, first + 2, newsroom.now) == []
    newsroom.pass_time(weeks=9)
    assert epochs.erase(station.vault, first + 11, newsroom.now) == list(range(first + 3, first + 8))
    assert epochs.weeks(station.vault) == []
    station.publish()
    assert epochs.weeks(station.vault)[0].published == 2


def test_a_week_in_two_lists_is_erased_in_both(
    newsroom: Newsroom, station: Station, box: DropBox, source: Source
) -> None:
    newsroom.pass_time(weeks=2)
    in_first = box.send(source, "to the first list")
    station.publish()
    in_second = box.send(source, "to the second list")
    week = newsroom.week
    assert station.fetch(box).messages == 2
    newsroom.now = week_start(week + 1 + GRACE_WEEKS)
    epochs.erase(station.vault, week, newsroom.now)
    left = epochs.opening(epochs.identities(station.vault, week + 99))
    for each in (*in_first.all, *in_second.all):
        with pytest.raises(NotForUs):
            cell.open_cell(box.cells[each], left, box.geometry)


def test_a_week_that_is_not_over_is_never_erased(newsroom: Newsroom, station: Station) -> None:
    for week in (newsroom.week, newsroom.week + 1):
        with pytest.raises(Refused, match="isn't over"):
            epochs.erase(station.vault, week, newsroom.now)
    assert len(epochs.weeks(station.vault)) == 8


def test_grace_is_counted_from_the_weeks_end(newsroom: Newsroom, station: Station) -> None:
    end = week_start(newsroom.week + 1)
    assert epochs.erasable(station.vault, end + GRACE_WEEKS * SECONDS_A_WEEK - 1) is None
    assert epochs.erasable(station.vault, end + GRACE_WEEKS * SECONDS_A_WEEK) == newsroom.week


def test_what_may_be_outstanding_is_said_first(
    newsroom: Newsroom, station: Station, box: DropBox, source: Source
) -> None:
    week = newsroom.week
    assert epochs.outstanding(station.vault, week).silent == ["alpha"]
    sent = box.send(source, "tip", [File("f", b"f" * 300_000)])
    box.fill(station.stick(), only=sent.all[:2])
    station.take(station.stick())
    newsroom.pass_time(weeks=2)
    found = epochs.outstanding(station.vault, week)
    assert (found.unread, found.silent, found.waiting) == ({"alpha": 2}, ["alpha"], 1)
    station.fetch(box)
    assert not epochs.outstanding(station.vault, week)


def test_erasing_waits_for_nobody_who_reads(newsroom: Newsroom, station: Station) -> None:
    """While another program reads, old pages stay in the log: that is said, and the next try mends it."""
    newsroom.pass_time(weeks=12)
    station.vault.database.run("PRAGMA busy_timeout = 100")
    with (
        Vault.open(station.folder / "vault", PASSPHRASE, station.randomness) as other,
        other.database.transaction(),
        pytest.raises(Misconfigured),
    ):
        epochs.erase(station.vault, newsroom.week - 9, newsroom.now)
    epochs.erase(station.vault, newsroom.week - 9, newsroom.now)
    assert (station.folder / "vault/vault.db-wal").stat().st_size == 0


def test_a_list_that_was_made_elsewhere_is_taken_over(
    newsroom: Newsroom, station: Station, box: DropBox, source: Source
) -> None:
    document = newsroom.epochs(1, sequence=5)
    chain = newsroom.chains[1, 5]
    with pytest.raises(NotForUs):
        epochs.adopt(station.vault, ChainKeyFile(chain.advance_to(newsroom.week + 1)), document, newsroom.now)
    epochs.adopt(station.vault, ChainKeyFile(chain), document, newsroom.now)
    newsroom.admit_epochs(1, document)
    box.send(source, "tip")
    assert station.fetch(box).messages == 1
    with pytest.raises(Stale):
        epochs.adopt(station.vault, ChainKeyFile(chain), document, newsroom.now)


def test_a_chain_of_another_desk_or_list_is_not(newsroom: Newsroom, station: Station) -> None:
    document = newsroom.epochs(1, sequence=5)
    newsroom.epochs(1, sequence=6)
    with pytest.raises(NotForUs):
        epochs.adopt(station.vault, ChainKeyFile(newsroom.chains[1, 6]), document, newsroom.now)
    other = newsroom.epochs(2, sequence=5)
    with pytest.raises(NotForUs):
        epochs.adopt(station.vault, ChainKeyFile(newsroom.chains[2, 5]), other, newsroom.now)


def test_no_list_under_an_expired_manifest(newsroom: Newsroom, station: Station) -> None:
    with pytest.raises(Stale):
        epochs.begin(station.vault, newsroom.terms.valid_until)
    assert Lock.read(station.folder / "vault").practice
