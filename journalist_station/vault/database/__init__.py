"""The vault's database: SQLCipher, and the only place in this package that speaks SQL.

This module opens and guards the database; its neighbours hold the statements, one module a subject. The key is given
raw, since `journalist_station.vault.lock` has already stretched the passphrase. What is deleted is overwritten
(`secure_delete`, and FTS5's own), and `compact` drops what deletion leaves in free pages and in the log.

The journal is a write-ahead log with a full sync at each commit. It commits with one sync where a rollback journal
takes three (an import commits often), lets a reader look while an import writes, and is whole after a kill at any
moment. What speaks against it, old pages that linger in the log, `compact` answers by emptying it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from sqlcipher3 import dbapi2

from journalist_station.vault.database.schema import MIGRATIONS
from keys.errors import Misconfigured, NoRoom, NotAuthentic

Value: TypeAlias = int | str | bytes | None
Row: TypeAlias = tuple[Any, ...]

KEY_BYTES = 32
BUSY_MILLISECONDS = 10_000

_FULL = ("disk is full", "disk I/O error")


class Database:
    """One open connection. Every statement runs in a transaction of its own, or in the one that is open.

    Raises:
        NotAuthentic: from any method, when a page is damaged or the key is another database's.
        NoRoom: from any method that writes, when the disk is full; the transaction is then undone.
        Misconfigured: a newer program made the database, or another one holds it for too long.
    """

    def __init__(self, path: Path, key: bytes) -> None:
        """Open the database, making it when it isn't there, and bring it to this version's shape.

        Args:
            path: the file; its folder must exist.
            key: 32 bytes, used as they are.
        """
        if len(key) != KEY_BYTES:
            raise ValueError("a database key has 32 bytes")
        self.path = path
        # SQLite gives its log and its index of the log the mode that the database has.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        with _errors():
            self._connection = dbapi2.connect(str(path), isolation_level=None, check_same_thread=False)
            try:
                self._prepare(key)
                self._migrate()
            except BaseException:
                self._connection.close()
                raise

    def _prepare(self, key: bytes) -> None:
        for pragma in (
            "cipher_log_level = NONE",
            f"key = \"x'{key.hex()}'\"",
            "cipher_memory_security = ON",
            f"busy_timeout = {BUSY_MILLISECONDS}",
            "temp_store = MEMORY",
            "trusted_schema = OFF",
            "cell_size_check = ON",
            "secure_delete = ON",
            "foreign_keys = ON",
            "journal_mode = WAL",
            "synchronous = FULL",
        ):
            self._connection.execute(f"PRAGMA {pragma}").fetchall()

    def _migrate(self) -> None:
        version = int(self.value("PRAGMA user_version"))
        if version > len(MIGRATIONS):
            raise Misconfigured(
                "A newer version of this program made this vault.", "Install that version on this station."
            )
        for number, statements in enumerate(MIGRATIONS[version:], version + 1):
            with self.transaction():
                for statement in statements:
                    self._connection.execute(statement)
                self._connection.execute(f"PRAGMA user_version = {number}")

    def close(self) -> None:
        with _errors():
            self._connection.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what is done within as one, or undo it all. Inside another transaction it is that one's part."""
        if self._connection.in_transaction:
            yield
            return
        with _errors():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def run(self, sql: str, *values: Value) -> int:
        """Run a statement, and return how many rows it changed."""
        with _errors():
            return int(self._connection.execute(sql, values).rowcount)

    def run_many(self, sql: str, rows: Iterable[Sequence[Value]]) -> None:
        """Run a statement for each row of values, as one transaction."""
        with _errors(), self.transaction():
            self._connection.executemany(sql, rows)

    def insert(self, sql: str, *values: Value) -> int:
        """Run an INSERT, and return the number of the new row."""
        with _errors():
            return int(self._connection.execute(sql, values).lastrowid)

    def rows(self, sql: str, *values: Value) -> list[Row]:
        with _errors():
            return list(self._connection.execute(sql, values).fetchall())

    def row(self, sql: str, *values: Value) -> Row | None:
        with _errors():
            found: Row | None = self._connection.execute(sql, values).fetchone()
            return found

    def value(self, sql: str, *values: Value) -> Any:
        """Return the first value of the first row, or None when there is no row."""
        found = self.row(sql, *values)
        return None if found is None else found[0]

    def compact(self) -> None:
        """Rewrite the whole file and empty the log, so that nothing destroyed is left in either.

        Needs as much memory as the database has pages in use, since no plaintext or spare copy goes to the disk.

        Raises:
            Misconfigured: another program is reading, so the log can't be emptied now.
        """
        with _errors():
            self._connection.execute("VACUUM")
            busy, _, _ = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise Misconfigured(
                "Another program is reading this vault, so what was destroyed can't be overwritten yet.",
                "Close the other window and run the command again.",
            )

    def rekey(self, key: bytes) -> None:
        """Seal every page under another key. A kill meanwhile leaves the old one or the new one in force, whole."""
        if len(key) != KEY_BYTES:
            raise ValueError("a database key has 32 bytes")
        with _errors():
            self._connection.execute(f"PRAGMA rekey = \"x'{key.hex()}'\"").fetchall()
        self.compact()

    def check(self) -> list[str]:
        """Verify every page and index; return what is damaged, nothing when all is whole."""
        damaged = [str(found) for (found,) in self.rows("PRAGMA cipher_integrity_check")]
        return damaged or [str(found) for (found,) in self.rows("PRAGMA quick_check") if found != "ok"]


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    """Turn what the library raises for bad files and full disks into this project's errors."""
    try:
        yield
    except dbapi2.OperationalError as error:
        if any(sign in str(error) for sign in _FULL):
            raise NoRoom("There is no room left to write the vault.") from error
        if "locked" in str(error) or "busy" in str(error):
            raise Misconfigured(
                "Another program is writing to this vault.", "Wait until it has finished, or close it."
            ) from error
        if "unable to open" in str(error) or "readonly" in str(error):
            raise Misconfigured(
                "The vault's database can't be opened for writing.", "Check who owns the vault's folder."
            ) from error
        raise
    except dbapi2.IntegrityError:
        raise
    except dbapi2.DatabaseError as error:
        raise NotAuthentic(
            "The vault's database is damaged, or its key is another vault's.",
            "Make a copy of the vault's folder as it is, then restore the newest backup.",
        ) from error
