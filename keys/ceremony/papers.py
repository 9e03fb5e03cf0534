"""`shares`: a desk's secret on paper, held by several people; brought back, and rehearsed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from keys.ceremony.options import (
    FOLDER,
    INPUT,
    OUTPUT,
    refuse_existing,
    unlock,
    with_work_factor,
    write_locked,
)
from keys.errors import Misconfigured, NotForUs
from keys.files import make_folder, read_file, write_file
from keys.keyfile import DeskKeyFile
from keys.statement import read_network_id
from keys.terminal import Passphrases, note, show_facts, show_json, show_table, with_json, with_passphrase_fd
from keys.terms import MAX_DESK_NUMBER

if TYPE_CHECKING:
    from keys.shares import Share

MAX_SHARE_BYTES = 4_096

try:
    from keys import shares as words
except ImportError:
    # The word shares come with the station's dependencies; a root's machine needs none of them.
    words = None  # type: ignore[assignment]


@click.group()
def shares() -> None:
    """Shares of a desk's secret: any K of N people bring it back, fewer know nothing."""
    if words is None:
        raise Misconfigured(
            "Shares need the package shamir-mnemonic, which isn't installed here.",
            "Install mustshare-dropbox[station].",
        )


@shares.command("make")
@click.option("--key", "key_file", type=INPUT, required=True, help="The desk's key file.")
@click.option("--threshold", "-k", type=int, required=True, help="How many shares bring the secret back.")
@click.option("--count", "-n", type=int, required=True, help="How many shares are made.")
@click.option("--out", type=FOLDER, help="Write one file a share to this folder, to be printed; else they are shown.")
@with_passphrase_fd
def make(key_file: Path, threshold: int, count: int, out: Path | None, passphrases: Passphrases) -> None:
    """Divide a desk's secret into shares of 33 words. Each belongs on paper, with another person, in another place."""
    content = unlock(key_file, passphrases)
    if not isinstance(content, DeskKeyFile):
        raise NotForUs("Only a desk's secret is divided.", "Give a desk's key file.")
    made = words.split(content.desk, threshold, count)
    head = f"Share {{}} of {count} of desk {content.number}: any {threshold} bring its secret back.\n"
    tail = f"Fingerprint of the desk: {content.key.fingerprint}\n"
    texts = [head.format(number) + _lines(share) + tail for number, share in enumerate(made, 1)]
    if out is None:
        click.echo("\n".join(texts), nl=False)
    else:
        paths = [out / f"desk-{content.number}-share-{number}.txt" for number in range(1, count + 1)]
        refuse_existing(*paths)
        make_folder(out)
        for path, text in zip(paths, texts, strict=True):
            write_file(path, text.encode())
    note(f"Next: newsroom-keys shares rehearse --fingerprint '{content.key.fingerprint}'")


def _lines(share: str) -> str:
    parts = share.split()
    return "".join(" ".join(parts[at : at + 11]) + "\n" for at in range(0, len(parts), 11))


with_shares = click.argument("share_files", type=INPUT, nargs=-1)
with_fingerprint = click.option(
    "--fingerprint", required=True, metavar="DIGITS", help="The desk's, as written down at the founding."
)


@shares.command("combine")
@click.argument("key_file", type=OUTPUT)
@with_shares
@with_fingerprint
@click.option("--number", type=click.IntRange(1, MAX_DESK_NUMBER), required=True, help="The desk's number.")
@click.option("--name", required=True, metavar="TEXT", help="The desk's name.")
@click.option("--network", default="", metavar="ID", help="The network's id, 64 hex digits.")
@with_passphrase_fd
@with_work_factor
@with_json
def combine(
    key_file: Path,
    share_files: tuple[Path, ...],
    fingerprint: str,
    number: int,
    name: str,
    network: str,
    passphrases: Passphrases,
    work_factor: int,
    as_json: bool,
) -> None:
    """Bring a desk's secret back into KEY_FILE, from SHARE_FILES or from shares typed one after another."""
    refuse_existing(key_file)
    secret = words.combine(_read(share_files), fingerprint)
    named = read_network_id(network) if network else None
    content = DeskKeyFile(name, number, named, secret)
    write_locked(key_file, content, passphrases, work_factor)
    facts: dict[str, object] = {"desk": number, "fingerprint": content.key.fingerprint, "key_file": str(key_file)}
    (show_json if as_json else show_facts)(facts)


@shares.command("rehearse")
@with_shares
@with_fingerprint
@with_json
def rehearse(share_files: tuple[Path, ...], fingerprint: str, as_json: bool) -> None:
    """Try which shares still bring the desk's secret back. Nothing is written."""
    given = _read(share_files)
    good = words.rehearse(given, fingerprint)
    rows = [{"share": share.number, "serves": share.number in good} for share in given]
    if as_json:
        show_json({"threshold": given[0].threshold, "shares": rows})
    else:
        show_table(["share", "serves"], [[row["share"], "yes" if row["serves"] else "no"] for row in rows])


def _read(share_files: Sequence[Path]) -> list[Share]:
    if share_files:
        return [words.Share.parse(_words_in(read_file(path, MAX_SHARE_BYTES))) for path in share_files]
    given = [_typed(1)]
    while len(given) < given[0].threshold:
        given.append(_typed(len(given) + 1))
    return given


def _typed(number: int) -> Share:
    """Ask for a share on the terminal, in view: words that can't be seen are mistyped. Never as an argument."""
    return words.Share.parse(click.prompt(f"Share {number}", err=True))


def _words_in(data: bytes) -> str:
    """Take the words out of a file: its own (`make` writes a line above and one below) or one with the words alone."""
    lines = data.decode("utf-8", "replace").splitlines()
    return " ".join(line for line in lines if ":" not in line)
