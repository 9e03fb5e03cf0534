"""Keeping the vault: making one, its weeks, its backup, its passphrase, its log, and how it stands."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from journalist_station.commands.display import day, size, warn
from journalist_station.commands.session import FOLDER, INPUT, OUTPUT, Session, VaultCommand
from journalist_station.vault import backup as backups
from journalist_station.vault import epochs, journal, outbox
from journalist_station.vault.database import cells, facts, post
from journalist_station.vault.epochs import Outstanding
from journalist_station.vault.vault import Vault
from keys import keyfile
from keys import manifest as manifests
from keys.ceremony.description import moment
from keys.ceremony.options import read_document, write_document
from keys.encoding import week_of, week_start
from keys.epochs import DEFAULT_WEEKS, MAX_WEEKS
from keys.errors import Misconfigured, NotForUs, Refused
from keys.files import read_file
from keys.keyfile import ChainKeyFile, DeskKeyFile
from keys.primitives import system_randomness
from keys.statement import NetworkId, read_network_id
from keys.terminal import Passphrases, note, show_facts, show_json, show_table, with_json

_CONFIRM_DIGITS = 8


@click.command(cls=VaultCommand)
@click.option("--desk-key", type=INPUT, required=True, help="The desk's key file, from newsroom-keys.")
@click.option(
    "--manifest",
    "manifest_files",
    type=INPUT,
    required=True,
    multiple=True,
    help="The network's signed manifest document. After the first: all of them, from the first on.",
)
@click.option("--network", metavar="ID", help="The network's id, 64 digits, from somewhere else than these files.")
@with_json
def init(
    session: Session, desk_key: Path, manifest_files: tuple[Path, ...], network: str | None, as_json: bool
) -> None:
    """Make a desk's vault in a new folder.

    Asks for two passphrases: the desk key file's, then a new one for the vault. A practice network's manifest makes a
    practice vault, for good.
    """
    documents = [read_document(path) for path in manifest_files]
    first = manifests.parse(documents[0].statement)
    up = session.check(practice=first.practice)
    desk = _desk_key(desk_key, session.passphrases)
    trusted = _confirmed(first.network, network, desk)
    passphrase = session.passphrases.ask("the vault", new=True)
    with Vault.create(session.folder, passphrase, desk, documents, trusted, session.now, system_randomness) as vault:
        if up:
            journal.record(vault.database, session.now, "despite-network", interfaces=up)
        shown: dict[str, object] = {
            "vault": str(session.folder),
            "desk": vault.desk,
            "name": f"{vault.me.name.th} / {vault.me.name.en}",
            "fingerprint": vault.me.key.fingerprint,
            "network": vault.network.hex(),
            "manifest": vault.manifest.sequence,
            "practice": vault.practice,
        }
    (show_json if as_json else show_facts)(shown)
    session.next("epochs --out FOLDER")


def _desk_key(path: Path, passphrases: Passphrases) -> DeskKeyFile:
    content = keyfile.unlock(read_file(path, keyfile.MAX_BYTES), passphrases.ask(f"the key file {path.name}"))
    if not isinstance(content, DeskKeyFile):
        raise NotForUs("This key file isn't a desk's.", "Give the key file of the desk that reads here.")
    return content


def _confirmed(found: NetworkId, given: str | None, desk: DeskKeyFile) -> NetworkId:
    """Return the network's id as somebody confirmed it: by option, by the desk's key file, or by typing its digits."""
    if given is not None:
        trusted = read_network_id(given)
    elif desk.network is not None:
        trusted = desk.network
    else:
        if not sys.stdin.isatty():
            raise Misconfigured("The network's id has to be confirmed.", "Give it with --network.")
        digits = found.hex()
        print("The id of this network, as its manifest has it:", file=sys.stderr)
        print("   ", " ".join(digits[at : at + 4] for at in range(0, len(digits), 4)), file=sys.stderr)
        typed = click.prompt(f"Type its first {_CONFIRM_DIGITS} digits from a source you trust", err=True)
        if "".join(typed.split()).casefold() != digits[:_CONFIRM_DIGITS]:
            raise NotForUs("That isn't the id of this manifest's network.", "Ask the roots for the right manifest.")
        trusted = found
    if trusted != found:
        raise NotForUs("This manifest belongs to another network.", "Ask the roots for the right manifest.")
    return trusted


@click.command("epochs", cls=VaultCommand)
@click.option("--weeks", type=click.IntRange(1, MAX_WEEKS), default=DEFAULT_WEEKS, show_default=True, help="How many.")
@click.option("--out", type=FOLDER, help="Write the signed list to this folder as well, for a server's start.")
@click.option("--adopt", type=INPUT, metavar="DOCUMENT", help="Take over a list that newsroom-keys made.")
@click.option("--chain", type=INPUT, help="The key file of the chain behind the list to be taken over.")
@with_json
def epochs_(
    session: Session, weeks: int, out: Path | None, adopt: Path | None, chain: Path | None, as_json: bool
) -> None:
    """Begin a new epoch list: the desk's keys for the coming weeks. It goes out with the next outbox."""
    if (adopt is None) != (chain is None):
        raise click.UsageError("Give --adopt and --chain together.")
    with session.vault() as vault:
        if adopt is not None and chain is not None:
            document = read_document(adopt)
            made = epochs.adopt(vault, _chain(chain, session.passphrases), document, session.now)
        else:
            made, document = epochs.begin(vault, session.now, weeks)
    shown: dict[str, object] = {
        "desk": made.desk,
        "sequence": made.sequence,
        "first_week": made.first_week,
        "from": day(week_start(made.first_week)),
        "until": day(week_start(made.first_week + len(made.recipients))),
    }
    if out is not None:
        shown["document"] = str(write_document(out, f"epochs-{made.desk}-{made.sequence}", document))
    (show_json if as_json else show_facts)(shown)
    if chain is not None:
        note("Destroy the chain file and every copy of it: erasing weeks here doesn't reach it, and it opens them all.")
    if out is not None:
        note("A server that is being founded takes the document: dropbox-server admit. Later ones go with the outbox.")
    session.next("outbox --to STICK")


def _chain(path: Path, passphrases: Passphrases) -> ChainKeyFile:
    content = keyfile.unlock(read_file(path, keyfile.MAX_BYTES), passphrases.ask(f"the key file {path.name}"))
    if not isinstance(content, ChainKeyFile):
        raise NotForUs("This key file isn't a chain's.", "Give the chain file that newsroom-keys wrote with the list.")
    return content


@click.command(cls=VaultCommand)
@click.option(
    "--through", type=click.IntRange(min=0), metavar="WEEK", help="The last week to erase.  [default: all due]"
)
@click.option("--yes", is_flag=True, help="Don't ask, whatever may still be outstanding.")
@with_json
def erase(session: Session, through: int | None, yes: bool, as_json: bool) -> None:
    """Erase the keys of past weeks for good: nothing that was sealed to them opens any more.

    What was imported stays. Says first what may still be outstanding. The newest backup has the keys until it is
    replaced.
    """
    with session.vault() as vault:
        due = epochs.erasable(vault, session.now)
        last = due if through is None else through
        if last is None:
            if as_json:
                show_json({"weeks": [], "through": None})
            note("No week's keys are due to be erased.")
            return
        open_ = epochs.outstanding(vault, last)
        early = due is None or last > due
        if (open_ or early) and not yes:
            _ask_to_erase(last, open_, early)
        gone = epochs.erase(vault, last, session.now)
        behind = facts.number(vault.database, backups.WEEK)
        backed_up = facts.number(vault.database, backups.TIME)
    (show_json if as_json else show_facts)({"through": last, "weeks": gone if as_json else " ".join(map(str, gone))})
    if backed_up and behind <= last:
        warn(f"The backup of {day(backed_up)} still opens week {behind}: replace it now, and destroy any copy.")
    session.next("backup --out FILE")


def _ask_to_erase(last: int, open_: Outstanding, early: bool) -> None:
    lines = [f"{count} cells that {name} lists were not carried here." for name, count in open_.unread.items()]
    lines += [f"No inventory of {name} is from after week {last}: it may hold more." for name in open_.silent]
    if open_.waiting:
        lines.append(f"{open_.waiting} files still miss cells.")
    if early:
        lines.append("The weeks' grace isn't over yet.")
    for line in lines:
        print(line, file=sys.stderr)
    if not sys.stdin.isatty():
        raise Refused("Something may still be outstanding. Nothing was erased.", "Import first; or add --yes.")
    click.confirm(f"Erase the keys of week {last} and before for good?", abort=True, err=True)


@click.command(cls=VaultCommand)
@click.option(
    "--out", "path", type=OUTPUT, required=True, help="The backup file. An older one of that name is replaced."
)
@with_json
def backup(session: Session, path: Path, as_json: bool) -> None:
    """Write the whole vault into one file, sealed to the desk's backup key, which only its key file or shares hold."""
    with session.vault() as vault:
        written = backups.write(vault, session.passphrase, path, session.now)
    reaches = written.reaches_back
    shown: dict[str, object] = {
        "backup": str(path),
        "size": written.size if as_json else size(written.size),
        "files": written.files,
        "reaches_back_to_week": reaches,
    }
    (show_json if as_json else show_facts)(shown)
    note("Keep this backup away from the station, and destroy the one before: it opens weeks that this one doesn't.")


@click.command(cls=VaultCommand)
@click.option("--from", "path", type=INPUT, required=True, help="The backup file.")
@click.option("--desk-key", type=INPUT, required=True, help="The desk's key file.")
@with_json
def restore(session: Session, path: Path, desk_key: Path, as_json: bool) -> None:
    """Make a vault in a new folder from a backup.

    Asks for two passphrases: the desk key file's, then a new one for the vault.
    """
    up = session.check(practice=backups.is_practice(path))
    desk = _desk_key(desk_key, session.passphrases)
    passphrase = session.passphrases.ask("the vault", new=True)
    with backups.restore(path, desk.desk, session.folder, passphrase, session.now, system_randomness) as vault:
        if up:
            journal.record(vault.database, session.now, "despite-network", interfaces=up)
        weeks = epochs.weeks(vault)
    shown: dict[str, object] = {"vault": str(session.folder), "desk": desk.number, "weeks": len(weeks)}
    (show_json if as_json else show_facts)(shown)
    session.next("import STICK")


@click.command(cls=VaultCommand)
def passphrase(session: Session) -> None:
    """Give the vault a new passphrase. Asks for the present one, then for the new one."""
    with session.vault() as vault:
        new = session.passphrases.ask("the vault", new=True)
        vault.change_passphrase(session.passphrase, new, session.now)
    note("The vault has a new passphrase. Whoever has a copy of the vault from before still needs the old one for it.")


@click.command(cls=VaultCommand)
@click.option("--last", type=click.IntRange(min=1), default=50, show_default=True, help="How many acts to show.")
@with_json
def log(session: Session, last: int, as_json: bool) -> None:
    """Verify the log of acts from its beginning, and show the last of them."""
    with session.vault() as vault:
        acts = facts.acts(vault.database)
        newest = journal.verify(acts)
    shown = acts[-last:]
    if as_json:
        listed = [{"number": a.number, "time": a.time, "act": a.what, "facts": json.loads(a.facts)} for a in shown]
        show_json({"acts": listed, "hash": newest.hex()})
        return
    rows = [[act.number, moment(act.time), act.what, _in_words(json.loads(act.facts))] for act in shown]
    show_table(["", "when", "act", "what of it"], rows)
    note(f"The log holds together. Its newest hash, to be written down elsewhere: {newest.hex()}")


def _in_words(value: Any) -> str:
    """Write what a log's entry says on one line for people: names and values, without brackets and quotes."""
    match value:
        case dict():
            return ", ".join(f"{name.replace('_', ' ')} {_in_words(each)}" for name, each in value.items())
        case list():
            return " ".join(map(_in_words, value)) or "none"
        case bool():
            return "yes" if value else "no"
        case None | "":
            return "none"
    return str(value)


@click.command(cls=VaultCommand)
@with_json
def status(session: Session, as_json: bool) -> None:
    """Say how the vault stands: its weeks, its servers, what waits to go out, what is due."""
    with session.vault() as vault:
        found = _status(vault, session.now)
    if as_json:
        show_json(found)
        return
    weeks = found["weeks"]
    show_facts(
        {
            "desk": f"{found['desk']}  {found['name']['th']} / {found['name']['en']}"
            + ("  (practice)" if found["practice"] else ""),
            "network": found["network"],
            "manifest": f"{found['manifest']}, {found['manifest_days_left']} days left",
            "epoch keys": _span(weeks[0], weeks[-1]) if weeks else "none",
            "keys published until": day(week_start(found["last_week"] + 1)) if weeks else "never",
            "replies waiting": found["replies_waiting"],
            "replies not confirmed": found["replies_unconfirmed"],
            "last backup": day(found["backup"]) if found["backup"] else "never",
        }
    )
    columns = ("name", "sequence", "time", "cells", "unread", "unconfirmed")
    show_table(
        ["server", "inventory", "of", "cells", "not read", "entries not confirmed", "free slots"],
        [
            [*(day(each[name]) if name == "time" else each[name] for name in columns), each["health"]["free_slots"]]
            for each in found["servers"]
        ],
    )
    _advise(session, found)


def _span(first: int, last: int) -> str:
    return f"weeks {first} to {last}, {day(week_start(first))} until {day(week_start(last + 1))}"


def _advise(session: Session, found: dict[str, Any]) -> None:
    """Print the next useful command."""
    if not found["weeks"] or found["last_week"] < week_of(session.now) + 2:
        note("The desk's keys run out soon: begin a new epoch list.")
        session.next("epochs")
    elif found["erase_through"] is not None:
        session.next("erase")
    elif found["replies_waiting"]:
        session.next("outbox --to STICK")
    else:
        session.next("import STICK")


def _status(vault: Vault, now: int) -> dict[str, Any]:
    known = cells.servers(vault.database)
    unconfirmed = outbox.unconfirmed(vault)
    weeks = [each.week for each in epochs.weeks(vault)]
    return {
        "desk": vault.desk,
        "name": vault.me.name.to_fields(),
        "fingerprint": vault.me.key.fingerprint,
        "network": vault.network.hex(),
        "practice": vault.practice,
        "manifest": vault.manifest.sequence,
        "manifest_days_left": max(0, (vault.manifest.valid_until - now) // 86_400),
        "weeks": weeks,
        "last_week": weeks[-1] if weeks else 0,
        "erase_through": epochs.erasable(vault, now),
        "replies_waiting": len(post.queued_replies(vault.database)),
        "replies_unconfirmed": len(post.undelivered_replies(vault.database)),
        "backup": facts.number(vault.database, backups.TIME),
        "backup_reaches_back_to_week": facts.number(vault.database, backups.WEEK),
        "servers": [
            {
                "name": name,
                "sequence": row.sequence,
                "time": row.time,
                "mark": row.mark,
                "cells": len(cells.listed(vault.database, name)),
                "unread": cells.open_count(vault.database, name, row.time + 1),
                "unconfirmed": unconfirmed.get(name, 0),
                "health": json.loads(row.health),
            }
            for name, row in known.items()
        ],
    }
