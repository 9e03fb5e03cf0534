"""The command `journalist-station`: one desk's air-gapped review station."""

from __future__ import annotations

import click

from journalist_station.commands.answering import bulletin, outbox_, reply, send
from journalist_station.commands.keeping import backup, epochs_, erase, init, log, passphrase, restore, status
from journalist_station.commands.reading import export, import_, list_, show
from journalist_station.commands.releasing import release
from keys import terminal


@click.group()
def cli() -> None:
    """Open, check and answer what sources sent, on a machine that never touches a network.

    Passphrases are asked for on the terminal, or read from --passphrase-fd N; never given as arguments.
    """


for _command in (
    init,
    epochs_,
    import_,
    list_,
    show,
    export,
    reply,
    bulletin,
    send,
    outbox_,
    release,
    erase,
    backup,
    restore,
    passphrase,
    log,
    status,
):
    cli.add_command(_command)


def main() -> None:
    """Run the command, and exit with its code."""
    terminal.run(cli, "journalist-station")


if __name__ == "__main__":
    main()
