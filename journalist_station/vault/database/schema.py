"""What the vault's database looks like, as the steps that led there. A step that was released never changes again."""

from __future__ import annotations

from typing import Final

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        # Facts that there is one of: network, desk, keys, floors.
        "CREATE TABLE settings (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID",
        # Manifests as they were admitted: signed documents, SPEC 3.5.
        "CREATE TABLE manifests (sequence INTEGER PRIMARY KEY, document BLOB NOT NULL) STRICT",
        # The chain behind each epoch list, at the first week that isn't erased.
        """CREATE TABLE chains (
            sequence INTEGER PRIMARY KEY,
            week INTEGER NOT NULL,
            last_week INTEGER NOT NULL,
            secret BLOB NOT NULL
        ) STRICT""",
        # The newest inventory of each server, and the highest entry that it has confirmed.
        """CREATE TABLE servers (
            name TEXT PRIMARY KEY,
            sequence INTEGER NOT NULL,
            time INTEGER NOT NULL,
            mark INTEGER NOT NULL,
            health TEXT NOT NULL
        ) STRICT, WITHOUT ROWID""",
        # What the newest inventories list; `since` is the time of the first one that did.
        """CREATE TABLE sightings (
            server TEXT NOT NULL,
            cell BLOB NOT NULL,
            digest BLOB NOT NULL,
            since INTEGER NOT NULL,
            acknowledged INTEGER NOT NULL DEFAULT 0,
            PRIMARY KEY (server, cell)
        ) STRICT, WITHOUT ROWID""",
        "CREATE INDEX sightings_cell ON sightings (cell)",
        # What became of each cell that needn't be fetched again. An id alone names no cell: a server may list another
        # one's id over other bytes.
        """CREATE TABLE cells (
            cell BLOB NOT NULL,
            digest BLOB NOT NULL,
            fate INTEGER NOT NULL,
            PRIMARY KEY (cell, digest)
        ) STRICT, WITHOUT ROWID""",
        # Cells that came damaged behind the header that their server lists. `first` and `again` are inventories.
        """CREATE TABLE damages (
            server TEXT NOT NULL,
            cell BLOB NOT NULL,
            digest BLOB NOT NULL,
            first INTEGER NOT NULL,
            again INTEGER,
            content BLOB NOT NULL,
            same INTEGER NOT NULL DEFAULT 1,
            PRIMARY KEY (server, cell)
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE threads (
            number INTEGER PRIMARY KEY,
            source BLOB NOT NULL UNIQUE,
            since INTEGER NOT NULL,
            root BLOB,
            recipient TEXT
        ) STRICT""",
        """CREATE TABLE messages (
            number INTEGER PRIMARY KEY,
            thread INTEGER NOT NULL REFERENCES threads,
            tip BLOB NOT NULL,
            digest BLOB NOT NULL,
            raw BLOB NOT NULL,
            kind TEXT NOT NULL,
            language TEXT NOT NULL,
            call TEXT NOT NULL,
            week INTEGER NOT NULL,
            imported INTEGER NOT NULL,
            closed INTEGER NOT NULL,
            other_mailbox INTEGER NOT NULL,
            state TEXT NOT NULL,
            told INTEGER NOT NULL DEFAULT 0,
            UNIQUE (tip, digest)
        ) STRICT""",
        "CREATE INDEX messages_thread ON messages (thread)",
        "CREATE INDEX messages_untold ON messages (told) WHERE NOT told",
        """CREATE TABLE closings (
            tip BLOB NOT NULL,
            source BLOB NOT NULL,
            raw BLOB NOT NULL,
            PRIMARY KEY (tip, source)
        ) STRICT""",
        """CREATE TABLE replies (
            number INTEGER PRIMARY KEY,
            thread INTEGER NOT NULL REFERENCES threads,
            created INTEGER NOT NULL,
            automatic INTEGER NOT NULL,
            language TEXT NOT NULL,
            text TEXT NOT NULL,
            state TEXT NOT NULL,
            asks TEXT NOT NULL,
            week INTEGER,
            place INTEGER,
            delivered INTEGER,
            UNIQUE (thread, week, place)
        ) STRICT""",
        # Places of replies that were sealed once more: never to be taken again.
        """CREATE TABLE spent_places (
            thread INTEGER NOT NULL REFERENCES threads,
            week INTEGER NOT NULL,
            place INTEGER NOT NULL,
            PRIMARY KEY (thread, week, place)
        ) STRICT, WITHOUT ROWID""",
        "CREATE INDEX replies_queued ON replies (week) WHERE week IS NULL",
        # A file: one that came with a tip, what an age file of a tip held (`parent`), or a reply's attachment.
        # `source` signed every piece of what came with a tip: what different keys signed under one tip stays apart.
        # Its secret is the seed of the identity that its runs are sealed to: without this row they are noise.
        """CREATE TABLE items (
            number INTEGER PRIMARY KEY,
            tip BLOB,
            source BLOB,
            item INTEGER,
            parent INTEGER REFERENCES items,
            reply INTEGER REFERENCES replies,
            secret BLOB NOT NULL,
            name BLOB,
            type BLOB,
            last_cell INTEGER,
            interrupted INTEGER NOT NULL DEFAULT 0,
            state TEXT NOT NULL,
            UNIQUE (tip, source, item)
        ) STRICT""",
        # How many cells claimed a place in a source's file, and weren't signed by that source.
        """CREATE TABLE forgeries (
            tip BLOB NOT NULL,
            source BLOB NOT NULL,
            item INTEGER NOT NULL,
            cells INTEGER NOT NULL,
            PRIMARY KEY (tip, source, item)
        ) STRICT, WITHOUT ROWID""",
        "CREATE INDEX items_parent ON items (parent) WHERE parent IS NOT NULL",
        "CREATE INDEX items_reply ON items (reply) WHERE reply IS NOT NULL",
        # Consecutive or scattered cells of an item, joined in order in one sealed file. A whole item is one run.
        """CREATE TABLE runs (
            file TEXT PRIMARY KEY,
            item INTEGER NOT NULL REFERENCES items,
            cells BLOB NOT NULL,
            size INTEGER NOT NULL,
            sha256 BLOB NOT NULL
        ) STRICT, WITHOUT ROWID""",
        "CREATE INDEX runs_item ON runs (item)",
        # What is to be delivered: to one server, or to all when `server` is empty.
        """CREATE TABLE letters (
            number INTEGER PRIMARY KEY,
            type INTEGER NOT NULL,
            server TEXT NOT NULL,
            label TEXT NOT NULL,
            reply INTEGER REFERENCES replies,
            content BLOB NOT NULL
        ) STRICT""",
        "CREATE INDEX letters_reply ON letters (reply) WHERE reply IS NOT NULL",
        # A letter's number at a server (SPEC 15.1). What was numbered together, at one time, is a batch.
        """CREATE TABLE entries (
            server TEXT NOT NULL,
            number INTEGER NOT NULL,
            letter INTEGER NOT NULL REFERENCES letters,
            batch INTEGER NOT NULL,
            written INTEGER NOT NULL,
            PRIMARY KEY (server, number)
        ) STRICT, WITHOUT ROWID""",
        "CREATE UNIQUE INDEX entries_letter ON entries (letter, server)",
        # Who did what: each row's hash covers the one before.
        """CREATE TABLE acts (
            number INTEGER PRIMARY KEY,
            time INTEGER NOT NULL,
            what TEXT NOT NULL,
            facts TEXT NOT NULL,
            hash BLOB NOT NULL
        ) STRICT""",
        # NFKC text; a row's number is the subject's times 4 plus what it is: 0 a message, 1 a file's name.
        "CREATE VIRTUAL TABLE search USING fts5 (text, tokenize = 'trigram')",
        "INSERT INTO search (search, rank) VALUES ('secure-delete', 1)",
    ),
)
