"""The server's own folder: its data, its one key, its settings. Everything else is in signed documents."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from dropbox.box import ServerKey
from dropbox.floors import FloorsFile
from dropbox.state import State
from dropbox.store import Change, Store
from keys import files
from keys.encoding import Fields, parse_json, to_json
from keys.errors import Misconfigured, Refused
from keys.inventory import check_server_name
from keys.primitives import KEY_BYTES, Randomness
from keys.statement import NETWORK_ID_BYTES, NetworkId

UNFOUNDED = NetworkId(bytes(NETWORK_ID_BYTES))
"""Stands for the network until the first manifest is admitted."""

MAX_SETTINGS_BYTES = 4_096
_OF_THE_DISK = "lost+found"
RESERVE_DIVISOR = 50
MIN_RESERVE_SLOTS = 256
"""A quarter is kept for bundles, which alone free room: four of usual size."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What `init` decided: the server's name, and how many slots are kept for texts and bundles."""

    name: str
    reserve_slots: int


@dataclass(frozen=True, slots=True)
class Home:
    """A server's folder, 0700: `data/`, `server.key`, `server.json`, `floors.json`."""

    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def floors(self) -> FloorsFile:
        """What documents this server must never go below, kept beside the data folder."""
        return FloorsFile(self.folder / "floors.json")

    @property
    def guidance(self) -> Path:
        """The newsroom's own pages of guidance, read at start (`dropbox.guides`)."""
        return self.folder / "guidance"

    @property
    def _key(self) -> Path:
        return self.folder / "server.key"

    @property
    def _settings(self) -> Path:
        return self.folder / "server.json"

    def settle(self, name: str, slots: int, randomness: Randomness) -> ServerKey:
        """Make the key and the settings of a new server; the data folder is the caller's to create.

        Raises:
            Malformed: the name can't be a server's.
            Refused: there is a server here already, or something else.
        """
        check_server_name(name)
        if self._settings.exists():
            raise Refused(
                "There is a server in this folder already.", "Choose another folder, or use this one as it is."
            )
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(each.name != _OF_THE_DISK for each in self.folder.iterdir()):
            # It is about to be closed to everybody else: not a folder that others use.
            raise Refused("This folder holds something else than a server.", "Choose an empty folder, or a new one.")
        self.tighten()
        seed = randomness(KEY_BYTES)
        files.write_file(self._key, seed.hex().encode() + b"\n")
        reserve = min(max(slots // RESERVE_DIVISOR, MIN_RESERVE_SLOTS), slots // 2)
        files.write_file(self._settings, to_json({"version": 1, "name": name, "reserve_slots": reserve}))
        return ServerKey(name, seed)

    def tighten(self) -> None:
        """Close the folder to all but its owner, where that is who runs this. Nobody else needs to enter."""
        if self.folder.is_dir() and self.folder.stat().st_uid == os.geteuid():
            self.folder.chmod(0o700)

    def settings(self) -> Settings:
        """Raises: Misconfigured: there is no server here. Malformed: its settings are damaged."""
        if not self._settings.exists():
            raise Misconfigured("There is no server in this folder.", "Make one with dropbox-server init.")
        fields = Fields(parse_json(files.read_file(self._settings, MAX_SETTINGS_BYTES)), "server's settings")
        fields.integer("version", 1, 1)
        settings = Settings(check_server_name(fields.text("name")), fields.integer("reserve_slots", 0, 2**31))
        fields.done()
        return settings

    def key(self) -> ServerKey:
        """Read the server's key. Raises: Misconfigured: others may read it, or it isn't one."""
        if os.stat(self._key).st_mode & 0o077:
            raise Misconfigured("Others may read this server's key.", "Run chmod 600 on server.key in its folder.")
        try:
            seed = bytes.fromhex(files.read_file(self._key, 256).decode("ascii").strip())
        except ValueError as error:
            raise Misconfigured("This server's key is damaged.", "Restore it from the server's backup.") from error
        if len(seed) != KEY_BYTES:
            raise Misconfigured("This server's key is damaged.", "Restore it from the server's backup.")
        return ServerKey(self.settings().name, seed)

    def open_store(self, randomness: Randomness) -> Store:
        """Open the data folder for this process and those it forks."""
        return Store.open(self.data, reserve_slots=self.settings().reserve_slots, randomness=randomness)


def found(store: Store) -> None:
    """Write the state of a server that belongs to no network yet."""
    store.apply(Change(documents=State(UNFOUNDED).encode()))
