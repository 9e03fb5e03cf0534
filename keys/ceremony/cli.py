"""The command `newsroom-keys`."""

from __future__ import annotations

import click

from keys import terminal
from keys.ceremony.documents import close, fingerprint, verify
from keys.ceremony.manifests import manifest
from keys.ceremony.newkeys import courier, desk, root
from keys.ceremony.papers import shares
from keys.ceremony.weeks import make_epochs


@click.group()
def cli() -> None:
    """Found a network of newsrooms, sign for it, and check what others signed.

    Passphrases are asked for on the terminal, or read from --passphrase-fd N; never given as arguments.
    """


for _command in (root, desk, courier, manifest, make_epochs, verify, fingerprint, close, shares):
    cli.add_command(_command)


def main() -> None:
    """Run the command, and exit with its code."""
    terminal.run(cli, "newsroom-keys")


if __name__ == "__main__":
    main()
