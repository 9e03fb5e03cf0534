"""`root`, `desk`, `server`, `courier`: make a key where its owner sits, locked, with a public card to hand on."""

from __future__ import annotations

from pathlib import Path

import click

from keys import cards
from keys.cards import Card, CourierCard, DeskCard, RootCard, ServerCard
from keys.ceremony.options import (
    INPUT,
    OUTPUT,
    refuse_existing,
    unlock,
    with_names,
    with_work_factor,
    write_locked,
)
from keys.errors import Malformed, Refused
from keys.files import write_file
from keys.keyfile import DeskKeyFile, DeskSecret, KeyFile, SignerKeyFile
from keys.languages import Text
from keys.primitives import KEY_BYTES, system_randomness
from keys.terminal import Passphrases, note, show_facts, show_json, with_json, with_passphrase_fd
from keys.terms import MAX_DESK_NUMBER, Desk, Party, parse_party_name


@click.group()
def root() -> None:
    """Roots: the people who sign the network's manifest."""


@root.command("new")
@click.argument("key_file", type=OUTPUT)
@click.option("--name", required=True, metavar="TEXT", help="Whose key it is, for people at the ceremony.")
@with_passphrase_fd
@with_work_factor
@with_json
def root_new(key_file: Path, name: str, passphrases: Passphrases, work_factor: int, as_json: bool) -> None:
    """Make a root's key: KEY_FILE, locked, and beside it the public card that the manifest's plan names."""
    seed = system_randomness(KEY_BYTES)
    content = SignerKeyFile("root", name, seed)
    _make(key_file, content, RootCard(name, content.key), passphrases, work_factor, as_json)


@root.command("public")
@click.argument("key_file", type=INPUT)
@click.option("--card", "card_file", type=OUTPUT, help="Write the public card anew to this file.")
@with_passphrase_fd
@with_json
def root_public(key_file: Path, card_file: Path | None, passphrases: Passphrases, as_json: bool) -> None:
    """Show the public half of a root's KEY_FILE."""
    content = unlock(key_file, passphrases)
    if not isinstance(content, SignerKeyFile) or content.role != "root":
        raise Refused("This key file isn't a root's.", "Use `newsroom-keys fingerprint` for other keys.")
    card = RootCard(content.name, content.key)
    if card_file is not None:
        write_file(card_file, cards.compose(card), private=False)
    _show(card, as_json, {} if card_file is None else {"card": str(card_file)})


@click.group()
def desk() -> None:
    """Desks: the newsrooms that read tips and answer them."""


@desk.command("new")
@click.argument("key_file", type=OUTPUT)
@click.option(
    "--number",
    required=True,
    type=click.IntRange(1, MAX_DESK_NUMBER),
    help="The desk's number in the network: one that no desk ever had.",
)
@with_names
@with_passphrase_fd
@with_work_factor
@with_json
def desk_new(
    key_file: Path,
    number: int,
    name_th: str,
    name_en: str,
    description_th: str,
    description_en: str,
    passphrases: Passphrases,
    work_factor: int,
    as_json: bool,
) -> None:
    """Make a desk's key: KEY_FILE, locked, and beside it the public card. Then make shares of it at once."""
    secret = DeskSecret.make(system_randomness)
    entry = Desk(number, Text(name_th, name_en), Text(description_th, description_en), secret.key)
    content = DeskKeyFile(name_en, number, None, secret)
    _make(key_file, content, DeskCard(entry), passphrases, work_factor, as_json)
    note(f"Next: newsroom-keys shares make --key {key_file.name} --threshold 3 --count 5")


@click.group()
def courier() -> None:
    """Couriers: the people who carry sticks between server and stations."""


@courier.command("new")
@click.argument("key_file", type=OUTPUT)
@click.option("--name", required=True, metavar="NAME", help="1 to 32 of a-z, 0-9 and -. It is public: no real name.")
@with_passphrase_fd
@with_work_factor
@with_json
def courier_new(key_file: Path, name: str, passphrases: Passphrases, work_factor: int, as_json: bool) -> None:
    """Make a courier's key: KEY_FILE, locked, and beside it the public card."""
    content = SignerKeyFile("courier", parse_party_name(name), system_randomness(KEY_BYTES))
    _make(key_file, content, CourierCard(Party(name, content.key)), passphrases, work_factor, as_json)


def _make(
    key_file: Path, content: KeyFile, card: Card, passphrases: Passphrases, work_factor: int, as_json: bool
) -> None:
    if key_file.suffix == ".card":
        raise Malformed("A key file can't be named like a card.", "Name it so that it ends in .key.")
    card_file = key_file.with_suffix(".card")
    public = cards.compose(card)
    refuse_existing(key_file, card_file)
    write_locked(key_file, content, passphrases, work_factor)
    write_file(card_file, public, private=False)
    _show(card, as_json, {"key file": str(key_file), "card": str(card_file)})
    note("Keep the key file here. Hand on the card, and write the fingerprint down.")


def _show(card: Card, as_json: bool, files: dict[str, str]) -> None:
    facts: dict[str, object] = {"key": card.key.text, "fingerprint": card.key.fingerprint}
    match card:
        case DeskCard():
            facts = {"desk": card.desk.number, "name": f"{card.desk.name.th} / {card.desk.name.en}"} | facts
        case RootCard():
            facts = {"root": card.name} | facts
        case ServerCard():
            facts = {"server": card.party.name} | facts
        case CourierCard():
            facts = {"courier": card.party.name} | facts
    facts |= files
    if as_json:
        show_json({name.replace(" ", "_"): value for name, value in facts.items()})
    else:
        show_facts(facts)
