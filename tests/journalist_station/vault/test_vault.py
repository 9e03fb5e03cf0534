"""A vault is one desk's of one network, and opens with its passphrase or says why not."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from journalist_station.vault import journal
from journalist_station.vault.database import Database, facts
from journalist_station.vault.database import tips as rows
from journalist_station.vault.lock import Lock
from journalist_station.vault.vault import Vault
from keys.errors import DropBoxError, Malformed, Misconfigured, NotAuthentic, NotForUs, Refused, Stale
from keys.keyfile import DeskKeyFile, DeskSecret
from keys.primitives import system_randomness
from tests.simulators import seen
from tests.simulators.dropbox import DropBox, Source
from tests.simulators.newsroom import Newsroom
from tests.simulators.station import PASSPHRASE, QUICK, Station


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def opened(station: Station, passphrase: str) -> Vault:
    return Vault.open(station.folder / "vault", passphrase, system_randomness)


class TestLock:
    @pytest.mark.parametrize("passphrase", ["", "wrong", PASSPHRASE + " ", PASSPHRASE[:-1]])
    def test_a_wrong_passphrase_says_so_and_changes_nothing(self, station: Station, passphrase: str) -> None:
        station.vault.close()
        before = tree(station.folder)
        with pytest.raises(NotAuthentic, match="passphrase") as caught:
            opened(station, passphrase)
        assert "Caps Lock" in caught.value.remedy
        assert tree(station.folder) == before

    def test_two_ways_to_type_one_thai_passphrase(self, station: Station) -> None:
        station.vault.change_passphrase(PASSPHRASE, "นํ้าท่วมทุกปี", station.newsroom.now, QUICK)
        station.vault.close()
        station.vault = opened(station, "นํ้าท่วมทุกปี")

    def test_a_new_passphrase_opens_and_the_old_one_no_longer(self, station: Station) -> None:
        with pytest.raises(NotAuthentic):
            station.vault.change_passphrase("wrong", "new passphrase", station.newsroom.now, QUICK)
        station.vault.change_passphrase(PASSPHRASE, "new passphrase", station.newsroom.now, QUICK)
        station.vault.close()
        with pytest.raises(NotAuthentic):
            opened(station, PASSPHRASE)
        station.vault = opened(station, "new passphrase")

    def test_whether_it_is_a_practice_vault_cant_be_changed(self, station: Station) -> None:
        path = station.folder / "vault/lock"
        path.write_bytes(path.read_bytes().replace(b'"practice": true', b'"practice": false'))
        with pytest.raises(NotAuthentic):
            opened(station, PASSPHRASE)

    def test_another_vaults_lock_opens_nothing(self, station: Station) -> None:
        made = Lock.make(b"x" * 32, PASSPHRASE, practice=True, randomness=system_randomness, stretching=QUICK)
        made.write(station.folder / "vault", replace=True)
        with pytest.raises(NotAuthentic, match="damaged"):
            opened(station, PASSPHRASE)

    @pytest.mark.parametrize(
        "content",
        [b"", b"{}", b'{"version": 2}', b"\xff", b"[1]", b"x" * 5_000, b'{"version": 1, "memory_kib": 99999999}'],
    )
    def test_a_damaged_lock(self, station: Station, content: bytes) -> None:
        (station.folder / "vault/lock").write_bytes(content)
        with pytest.raises(Malformed, match="lock is damaged"):
            opened(station, PASSPHRASE)

    def test_others_may_not_read_it(self, station: Station) -> None:
        vault = station.folder / "vault"
        for path in [vault, *vault.rglob("*")]:
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
        vault.chmod(0o750)
        with pytest.raises(Misconfigured, match="Others"):
            opened(station, PASSPHRASE)

    def test_no_vault_there(self, tmp_path: Path) -> None:
        with pytest.raises(Misconfigured, match="no vault"):
            Vault.open(tmp_path, PASSPHRASE, system_randomness)


class TestCreate:
    def create(self, newsroom: Newsroom, folder: Path, *, desk: int = 1, secret: bytes | None = None) -> Vault:
        key = DeskKeyFile("desk", desk, None, DeskSecret(secret or newsroom.desk_secrets[desk]))
        return Vault.create(
            folder / "vault",
            PASSPHRASE,
            key,
            newsroom.documents,
            newsroom.network,
            newsroom.now,
            system_randomness,
            QUICK,
        )

    def test_later_manifests_too(self, newsroom: Newsroom, tmp_path: Path) -> None:
        newsroom.publish()
        with self.create(newsroom, tmp_path) as vault:
            assert vault.manifest.sequence == 2
            assert len(facts.manifests(vault.database)) == 2

    def test_a_key_that_the_manifest_doesnt_list(self, newsroom: Newsroom, tmp_path: Path) -> None:
        with pytest.raises(NotForUs, match="doesn't list"):
            self.create(newsroom, tmp_path, secret=bytes(32))
        assert list(tmp_path.iterdir()) == []

    def test_a_manifest_of_another_network(self, newsroom: Newsroom, tmp_path: Path) -> None:
        newsroom.documents = Newsroom("another").documents
        with pytest.raises(NotForUs):
            self.create(newsroom, tmp_path)
        assert list(tmp_path.iterdir()) == []

    def test_a_manifest_that_too_few_signed(self, newsroom: Newsroom, tmp_path: Path) -> None:
        document = newsroom.documents[0]
        newsroom.documents = [type(document)(document.statement, document.signatures[:1])]
        with pytest.raises(NotAuthentic):
            self.create(newsroom, tmp_path)

    def test_an_expired_manifest(self, newsroom: Newsroom, tmp_path: Path) -> None:
        newsroom.now = newsroom.terms.valid_until
        with pytest.raises(Stale):
            self.create(newsroom, tmp_path)

    def test_never_over_something_else(self, newsroom: Newsroom, tmp_path: Path) -> None:
        (tmp_path / "vault").mkdir()
        with pytest.raises(Refused):
            self.create(newsroom, tmp_path)


class TestAtRest:
    def test_nothing_stands_in_the_clear(self, station: Station, box: DropBox, source: Source) -> None:
        canary = "คานารี่ canary-5f1c"
        from tests.simulators.dropbox import File

        box.send(source, canary, [File(f"{canary}.txt", canary.encode() * 100)])
        station.fetch(box)
        for name, data in tree(station.folder / "vault").items():
            assert b"canary" not in data and canary.encode() not in data, name

    def test_a_damaged_page_is_told(self, station: Station) -> None:
        station.vault.close()
        path = station.folder / "vault/vault.db"
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        try:
            with opened(station, PASSPHRASE) as vault:
                assert vault.database.check() != []
        except DropBoxError:
            pass

    def test_a_truncated_or_foreign_database(self, station: Station) -> None:
        station.vault.close()
        path = station.folder / "vault/vault.db"
        whole = path.read_bytes()
        for data in (whole[:5_000], os.urandom(len(whole)), b"SQLite format 3\0" + bytes(9_000)):
            path.write_bytes(data)
            with pytest.raises(DropBoxError):
                opened(station, PASSPHRASE).close()

    def test_an_item_file_that_was_changed_or_taken_away(self, station: Station, box: DropBox, source: Source) -> None:
        from tests.simulators.dropbox import File

        box.send(source, "", [File("a", b"a" * 100_000)])
        station.fetch(box)
        [path] = [path for path in (station.folder / "vault/items").rglob("*") if path.is_file()]
        whole = path.read_bytes()
        for data in (whole[:-1], whole[:1_000], whole[:-20_000] + os.urandom(20_000), b""):
            path.write_bytes(data)
            with pytest.raises(DropBoxError):
                seen.only(station.vault)
        path.unlink()
        with pytest.raises(Misconfigured, match="missing"):
            seen.only(station.vault)

    def test_without_its_row_an_item_file_is_noise(self, station: Station, box: DropBox, source: Source) -> None:
        """Its header names no key: the recipient is one that only the row could make."""
        from tests.simulators.dropbox import File

        box.send(source, "", [File("a", b"a"), File("b", b"a")])
        station.fetch(box)
        files = [path.read_bytes() for path in (station.folder / "vault/items").rglob("*") if path.is_file()]
        assert len(files) == 2 and files[0][-40:] != files[1][-40:]
        secrets = {secret for (secret,) in station.vault.database.rows("SELECT secret FROM items")}
        assert len(secrets) == 2

    def test_what_is_deleted_leaves_nothing_in_the_search_index(self, station: Station) -> None:
        database = station.vault.database
        rows.index(database, rows.Found.MESSAGE, 1, "คำลับมาก xyzzyplugh")
        database.run("DELETE FROM search WHERE rowid = 4")
        left = b"".join(
            value for (value,) in database.rows("SELECT block FROM search_data") if isinstance(value, bytes)
        )
        assert b"xyz" not in left and b"plu" not in left


class TestDatabase:
    def test_an_older_vault_is_brought_up_to_date_and_a_newer_one_refused(self, tmp_path: Path) -> None:
        database = Database(tmp_path / "db", bytes(32))
        assert database.value("PRAGMA user_version") == 1
        database.run("PRAGMA user_version = 99")
        database.close()
        with pytest.raises(Misconfigured, match="newer version"):
            Database(tmp_path / "db", bytes(32))

    def test_a_migration_that_breaks_off_is_done_again(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        steps = (("CREATE TABLE one (a)",), ("CREATE TABLE two (a)", "this is no SQL"))
        monkeypatch.setattr("journalist_station.vault.database.MIGRATIONS", steps)
        with pytest.raises(Exception, match="syntax"):
            Database(tmp_path / "db", bytes(32))
        monkeypatch.setattr("journalist_station.vault.database.MIGRATIONS", (steps[0], steps[1][:1]))
        database = Database(tmp_path / "db", bytes(32))
        assert database.value("PRAGMA user_version") == 2
        assert database.rows("SELECT name FROM sqlite_master ORDER BY name") == [("one",), ("two",)]

    def test_a_transaction_is_all_or_nothing(self, station: Station) -> None:
        database = station.vault.database
        with pytest.raises(KeyError), database.transaction():
            facts.set_setting(database, "x", 1)
            with database.transaction():
                facts.set_setting(database, "y", 1)
            raise KeyError
        assert facts.setting(database, "x") is None and facts.setting(database, "y") is None

    def test_another_key_opens_nothing(self, station: Station) -> None:
        with pytest.raises(NotAuthentic):
            Database(station.folder / "vault/vault.db", bytes(32))


class TestJournal:
    def test_every_act_is_chained_to_the_one_before(self, station: Station) -> None:
        journal.record(station.vault.database, 1, "test", thai="ก")
        acts = facts.acts(station.vault.database)
        assert [act.what for act in acts] == ["init", "epochs", "test"]
        assert journal.verify(acts) == acts[-1].hash
        assert journal.verify([]) == bytes(32)

    @pytest.mark.parametrize(
        "sql",
        [
            "UPDATE acts SET facts = '{}' WHERE number = 1",
            "UPDATE acts SET time = 5 WHERE number = 2",
            "UPDATE acts SET what = 'nothing' WHERE number = 2",
            "DELETE FROM acts WHERE number = 1",
            "UPDATE acts SET hash = zeroblob(32) WHERE number = 2",
        ],
    )
    def test_what_was_changed_afterwards_shows(self, station: Station, sql: str) -> None:
        station.vault.database.run(sql)
        with pytest.raises(NotAuthentic, match="log"):
            journal.verify(facts.acts(station.vault.database))
