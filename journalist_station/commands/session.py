"""What each command begins with: the air-gap check, the passphrase, the open vault and the time."""

from __future__ import annotations

import contextlib
import os
import shlex
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from journalist_station import airgap
from journalist_station.commands.display import warn
from journalist_station.vault import journal
from journalist_station.vault.lock import Lock
from journalist_station.vault.vault import Vault
from keys.errors import Misconfigured, Refused
from keys.primitives import system_randomness
from keys.terminal import FolderToWrite, Passphrases, note, with_passphrase_fd

VAULT_VARIABLE = "MUSTSHARE_VAULT"
DESPITE = "--despite-network"
PASSPHRASE_FD = click.command()(with_passphrase_fd(lambda: None)).params[0]
"""The option that every command of this project has for its passphrases."""

STICK = click.Path(exists=True, file_okay=False, path_type=Path)
INPUT = click.Path(exists=True, dir_okay=False, path_type=Path)
OUTPUT = click.Path(dir_okay=False, path_type=Path)
FOLDER = FolderToWrite()


class Session:
    """One run of a command on one vault. `vault` opens it: check, passphrase, key.

    Args:
        folder: the vault's folder.
        passphrases: where its passphrase comes from.
        despite_network: go on although a network is up; said aloud and logged.
        pretended: the time that a practice vault is told instead of the clock's.
    """

    def __init__(
        self, folder: Path, passphrases: Passphrases, despite_network: bool, pretended: int | None = None
    ) -> None:
        self.folder = folder
        self.passphrases = passphrases
        self.passphrase = ""
        self._despite_network = despite_network
        self._pretended = pretended
        # The one place where the station looks at the clock.
        self.now = int(time.time()) if pretended is None else pretended

    def check(self, *, practice: bool) -> list[str]:
        """Make sure that the machine is cut off, before anything is unlocked; return what is up in spite of it all.

        Raises:
            Refused: a network interface is up. Or the time was pretended, and the vault is a real one.
        """
        if practice:
            note("A practice vault: the air-gap check is left out.")
            return []
        if self._pretended is not None:
            raise Refused("Only a practice vault can be told another time.", "Leave out --now.")
        up = airgap.interfaces_up()
        if up and not self._despite_network:
            raise Refused(
                f"This machine is connected: {', '.join(up)} is up. Nothing was unlocked.",
                f"Switch every network off. Or, if you must and know what it means, add {DESPITE}: it is logged.",
            )
        if up:
            warn(f"This machine is connected ({', '.join(up)} is up), and the vault is opened all the same.")
        return up

    @contextlib.contextmanager
    def vault(self) -> Iterator[Vault]:
        """Open the vault for as long as the context lasts."""
        up = self.check(practice=Lock.read(self.folder).practice)
        self.passphrase = self.passphrases.ask("the vault")
        with Vault.open(self.folder, self.passphrase, system_randomness) as vault:
            if up:
                journal.record(vault.database, self.now, "despite-network", interfaces=up)
            yield vault

    def refuse_words(self, option: str, instead: str) -> None:
        """Let no word about a source stand among a command's arguments, but to practise.

        Raises:
            Refused: the vault is a real one.
        """
        if not Lock.read(self.folder).practice:
            raise Refused(
                f"What follows {option} stays in the shell's history, and any program here can read it meanwhile.",
                f"Give {instead}, and type it when you are asked.",
            )

    def next(self, command: str) -> None:
        """Tell a person the command that is most likely useful now, ready to be pasted."""
        known = os.environ.get(VAULT_VARIABLE) == str(self.folder)
        note(f"Next: journalist-station {command}" + ("" if known else f" --vault {shlex.quote(str(self.folder))}"))


class VaultCommand(click.Command):
    """A command on a vault: it has the options that lead to one, and gets them as one argument, `session`."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.params += [
            click.Option(
                ["--vault", "folder"],
                type=click.Path(path_type=Path),
                envvar=VAULT_VARIABLE,
                show_envvar=True,
                metavar="FOLDER",
                help="The vault's folder.",
            ),
            PASSPHRASE_FD,
            click.Option([DESPITE], is_flag=True, help="Open a real vault although a network is up. It is logged."),
            click.Option(
                ["--now", "pretended"], type=int, hidden=True, help="Seconds since 1970; practice vaults only."
            ),
        ]

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command with a session in place of those options."""
        folder, passphrases, despite, pretended = (
            ctx.params.pop(name) for name in ("folder", "passphrases", "despite_network", "pretended")
        )
        if folder is None:
            raise Misconfigured(
                "No vault was named.", f"Give --vault FOLDER, or set {VAULT_VARIABLE} to its folder once and for all."
            )
        os.umask(0o077)
        ctx.params["session"] = Session(folder.absolute(), passphrases, despite, pretended)
        return super().invoke(ctx)
