"""`epochs`: a desk's public keys for the coming weeks, and the chain that opens what is sealed to them."""

from __future__ import annotations

from pathlib import Path

import click

from keys import epochs, minisign
from keys import manifest as manifests
from keys.ceremony.description import moment
from keys.ceremony.options import (
    FOLDER,
    INPUT,
    document_paths,
    now,
    read_document,
    refuse_existing,
    unlock,
    with_work_factor,
    write_document,
    write_locked,
)
from keys.chain import Chain
from keys.encoding import week_of, week_start
from keys.errors import NotForUs
from keys.files import make_folder
from keys.keyfile import ChainKeyFile, DeskKeyFile
from keys.manifest import Manifest
from keys.minisign import SignedDocument
from keys.primitives import system_randomness
from keys.terminal import Passphrases, note, show_facts, show_json, with_json, with_passphrase_fd


@click.command("epochs")
@click.option("--key", "key_file", type=INPUT, required=True, help="The desk's key file.")
@click.option("--manifest", "manifest_file", type=INPUT, required=True, help="The signed document in force.")
@click.option("--after", type=INPUT, help="The desk's last epoch list, whose number the new one follows.")
@click.option("--weeks", type=click.IntRange(1, epochs.MAX_WEEKS), default=epochs.DEFAULT_WEEKS, show_default=True)
@click.option("--next-week", is_flag=True, help="Begin with the coming week instead of the present one.")
@click.option("--out", type=FOLDER, default=Path(), help="The folder to write to.  [default: here]")
@with_passphrase_fd
@with_work_factor
@with_json
def make_epochs(
    key_file: Path,
    manifest_file: Path,
    after: Path | None,
    weeks: int,
    next_week: bool,
    out: Path,
    passphrases: Passphrases,
    work_factor: int,
    as_json: bool,
) -> None:
    """Make a desk's epoch list, signed, and the locked chain file that opens what is sealed to its weeks.

    Asks for two passphrases: the desk's, then a new one for the chain. A station makes both by itself: this command is
    for a desk without one, and for practice.
    """
    issued, manifest = now(), manifests.parse(read_document(manifest_file).statement)
    first_week = week_of(issued) + next_week
    desk = _desk_key(key_file, manifest, passphrases)
    sequence = 1 if after is None else _last(after, manifest, desk.number).sequence + 1
    name = f"epochs-{desk.number}-{sequence}"
    chain_file = out / f"chain-{desk.number}-{sequence}.key"
    whole, plain, minisigs = document_paths(out, name, 1)
    refuse_existing(whole, plain, *minisigs, chain_file)

    chain = Chain.begin(manifest.network, desk.number, sequence, first_week, system_randomness)
    recipients = chain.recipients(range(first_week, first_week + weeks))
    raw = epochs.compose(manifest.network, desk.number, sequence, issued, first_week, recipients)
    document = SignedDocument(raw, (minisign.sign(desk.desk.signing_seed, raw, epochs.TYPE),))
    epochs.admit(document, manifest, None, 0, issued)
    # The chain first: a list whose chain was lost would take tips that nobody can open.
    make_folder(out)
    write_locked(chain_file, ChainKeyFile(chain), passphrases, work_factor)
    write_document(out, name, document)
    facts: dict[str, object] = {
        "desk": desk.number,
        "sequence": sequence,
        "first_week": first_week,
        "from": moment(week_start(first_week)),
        "until": moment(week_start(first_week + weeks)),
        "document": str(whole),
        "chain": str(chain_file),
    }
    (show_json if as_json else show_facts)(facts)
    note("Hand on the document. The chain file opens tips: take it to the station only, and destroy it there.")


def _desk_key(key_file: Path, manifest: Manifest, passphrases: Passphrases) -> DeskKeyFile:
    content = unlock(key_file, passphrases)
    if not isinstance(content, DeskKeyFile):
        raise NotForUs("This key file isn't a desk's.", "Give a desk's key file.")
    if manifest.desk(content.number).key != content.key:
        raise NotForUs(f"The manifest has another key for desk {content.number}.", "Compare the fingerprints.")
    return content


def _last(after: Path, manifest: Manifest, desk: int) -> epochs.EpochList:
    last = epochs.parse(read_document(after).statement, manifest.network)
    if last.desk != desk:
        raise NotForUs("That epoch list is another desk's.", "Give this desk's last list with --after.")
    return last
