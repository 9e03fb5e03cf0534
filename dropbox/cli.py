"""The command `dropbox-server`: init, admit, guidance, serve, status."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress as Bar

from dropbox import guides
from dropbox.admitted import Admitted
from dropbox.box import Box
from dropbox.consensus import Comparison, ConsensusFile
from dropbox.guides import Guides
from dropbox.home import UNFOUNDED, Home, found
from dropbox.serving import memory
from dropbox.state import State
from dropbox.store import Status, Store
from dropbox.store import status as look_at
from keys import cards, files, statement, terminal
from keys.encoding import week_of
from keys.errors import Refused
from keys.minisign import MAX_DOCUMENT_BYTES, SignedDocument, SigningKey
from keys.primitives import system_randomness
from keys.terms import Party

CELLS_A_GIB = 4_096
MAX_NOT_SHOWN = 20
"""So many of the documents that don't verify are told one by one to people; `--json` has all."""
MAX_DOCUMENT_FILE_BYTES = MAX_DOCUMENT_BYTES + 65_536

with_home = click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("/var/lib/mustshare"),
    show_default=True,
    help="The server's folder.",
)

with_consensus = click.option(
    "--consensus",
    type=click.Path(path_type=Path),
    default=Path("/run/mustshare-tor/consensus"),
    show_default=True,
    help="tor's consensus, to compare the clock with: its cached-microdesc-consensus, or what onion-config writes.",
)


@click.group()
def cli() -> None:
    """Run a drop box: it takes tips over Tor, seals them as they stream in, and keeps only ciphertext."""


@cli.command()
@with_home
@click.option("--name", required=True, help="The server's name in the manifest: a-z, 0-9 and -.")
@click.option("--gib", type=click.IntRange(1, 4_096), default=40, show_default=True, help="Room for cells, in GiB.")
@terminal.with_json
def init(home: Path, name: str, gib: int, as_json: bool) -> None:
    """Make a server: its folder, all of its room filled with noise, and its key. Prints the key's public card."""
    place = Home(home)
    key = place.settle(name, gib * CELLS_A_GIB, system_randomness)
    _create(place, gib * CELLS_A_GIB)
    card = home / f"server-{name}.card"
    files.write_file(card, cards.compose(cards.ServerCard(Party(key.name, SigningKey.of(key.seed)))), private=False)
    told = {"home": str(home), "card": str(card), "cells": gib * CELLS_A_GIB}
    _show(told, as_json)
    terminal.note("Give the card to the roots: the manifest must list it.")
    terminal.note(f"Then: dropbox-server admit --home {home} --network ID MANIFEST EPOCHS…")


def _create(place: Home, slots: int) -> None:
    with Bar(transient=True, console=Console(stderr=True)) as bar:
        task = bar.add_task("filling the room with noise", total=None)
        Store.create(place.data, slots, progress=lambda done, of: bar.update(task, completed=done, total=of))
    with place.open_store(system_randomness) as store:
        found(store)


@cli.command()
@with_home
@click.option("--network", metavar="ID", help="The network's id (64 hex digits), for the first manifest.")
@click.argument("documents", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@terminal.with_json
def admit(home: Path, network: str | None, documents: tuple[Path, ...], as_json: bool) -> None:
    """Take in signed documents (manifest, epoch lists, bulletins) while the server is stopped.

    The first manifest needs the network's id, which somebody must have read to you from the ceremony's paper.
    """
    place = Home(home)
    given = [SignedDocument.decode(files.read_file(path, MAX_DOCUMENT_FILE_BYTES)) for path in documents]
    given.sort(key=lambda document: statement.type_of(document.statement) != "manifest")
    with place.open_store(system_randomness) as store:
        box = Box(store, place.key(), lambda: int(time.time()), system_randomness, "", place.floors)
        if box.admitted().state.network == UNFOUNDED:
            if network is None:
                raise Refused("This server belongs to no network yet.", "Add --network with the network's id.")
            box.join(statement.read_network_id(network))
        told = box.admit(given)
    if as_json:
        terminal.show_json({"admitted": told})
    else:
        terminal.show_facts({"admitted": ", ".join(told)})
    terminal.note(f"Next: dropbox-server status --home {home}")


@cli.command()
@with_home
@click.option(
    "--run",
    "run_folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("/run/mustshare"),
    show_default=True,
    help="For sockets and locks, on a memory file system.",
)
@with_consensus
@click.option("--group", help="The group that may connect to the sockets: tor's.")
@click.option("--without-circuits", is_flag=True, hidden=True, help="For tests without tor.")
def serve(home: Path, run_folder: Path, consensus: Path, group: str | None, without_circuits: bool) -> int:
    """Serve both sites until stopped, each on a Unix socket below the run folder.

    The clock is compared with tor's consensus for each tip: while the two disagree the box is closed.
    """
    memory.poison_frees()
    memory.shield()
    from dropbox.service import COLLECT_SOCKET, SOURCE_SOCKET, Server

    authorities = ConsensusFile(consensus.absolute())
    server = Server(Home(home), run_folder.absolute(), lambda: int(time.time()), authorities)
    if authorities.compare(int(time.time())) is Comparison.NOT_COMPARED:
        terminal.note("There is no consensus of tor's to compare the clock with yet: keep the clock right.")

    def ready() -> None:
        click.echo(f"ready: {run_folder / SOURCE_SOCKET} and {run_folder / COLLECT_SOCKET}")

    return server.serve(group=group, circuits=not without_circuits, on_ready=ready)


@cli.command()
@with_home
@terminal.with_json
def guidance(home: Path, as_json: bool) -> None:
    """Copy the pages of guidance into the server's folder, to be edited there. No file that is there is changed.

    Each page is guidance/th/NAME.md and guidance/en/NAME.md: Markdown, its first line `# ` and the title. Further
    names become further pages. The server reads them when it starts.
    """
    place = Home(home)
    place.settings()
    written, kept = guides.copy(place.guidance)
    _show({"folder": str(place.guidance), "written": len(written), "already there": len(kept)}, as_json)
    terminal.note(f"Have a lawyer confirm what is marked {' or '.join(guides.TO_CONFIRM.values())}.")
    terminal.note("Edit, start the server again, then: dropbox-server status, which names each page that is not shown.")


@cli.command()
@with_home
@with_consensus
@terminal.with_json
def status(home: Path, consensus: Path, as_json: bool) -> None:
    """Say whether the box is open, for whom and until when, and how much room there is. Nothing about tips."""
    place = Home(home)
    settings = place.settings()
    found_there = look_at(place.data)
    state = place.floors.over(State.decode(found_there.documents))
    now = int(time.time())
    facts = facts_of(found_there, state, settings.name, now, ConsensusFile(consensus).compare(now))
    facts |= facts_of_guidance(guides.read(place.guidance))
    _show(facts if as_json else in_words(facts), as_json)


def facts_of(
    found_there: Status, state: State, name: str, now: int, clock: Comparison = Comparison.NOT_COMPARED
) -> dict[str, Any]:
    """What `status` tells. Args: clock: what tor's consensus says of `now`."""
    admitted = Admitted.verify(state, now)
    opening = admitted.open_at(now, clock)
    in_force = admitted.manifest
    return {
        "server": name,
        "network": admitted.state.network.hex() if admitted.state.network != UNFOUNDED else "",
        "open": opening.is_open,
        "closed_because": opening.reason.value if opening.reason else "",
        "open_desks": list(opening.desks),
        "clock": clock.value,
        "manifest": in_force.sequence if in_force else 0,
        "practice": bool(in_force and in_force.practice),
        "days_left_manifest": max(0, (in_force.valid_until - now) // 86_400) if in_force else 0,
        "weeks_left_epochs": {
            str(desk): max(0, each.weeks[-1] + 1 - week_of(now)) for desk, each in sorted(admitted.lists.items())
        },
        "documents_that_do_not_verify": len(admitted.rejected),
        "not_shown": [
            {"kind": each.kind, "desk": each.desk, "bulletin": each.bulletin.hex(), "because": each.because}
            for each in admitted.rejected
        ],
        "documents_bytes": len(found_there.documents),
        "documents_room": found_there.documents_room,
        "bulletins": {
            str(desk): len(admitted.bulletins_of(desk)) for desk in (in_force.desk_numbers if in_force else ())
        },
        "entries_refused": {str(desk): list(each) for desk, each in sorted(state.refused.items()) if each},
        "slots": found_there.slots,
        "free_slots": found_there.slots - found_there.stored,
    }


def facts_of_guidance(found: Guides) -> dict[str, Any]:
    """What `status` tells of the guidance as a start of the server would read it now."""
    return {
        "guidance_own": list(found.own),
        "guidance_not_shown": list(found.not_shown),
        "guidance_to_confirm": list(found.to_confirm),
    }


_OF_THE_CLOCK = {
    Comparison.AGREES: "agrees with tor's consensus",
    Comparison.DISAGREES: "disagrees with tor's consensus: set this machine's clock, and see that tor is connected",
    Comparison.NOT_COMPARED: "not compared: no consensus of tor's could be read at --consensus",
}


def in_words(facts: dict[str, Any]) -> dict[str, object]:
    """What `status` tells to people."""
    weeks = [f"desk {desk}: {left} weeks" for desk, left in facts["weeks_left_epochs"].items()]
    bulletins = [f"desk {desk}: {count}" for desk, count in facts["bulletins"].items()]
    desks = ", ".join(map(str, facts["open_desks"]))
    in_force = f"{facts['manifest']}, {facts['days_left_manifest']} days left"
    told: dict[str, object] = {
        "server": facts["server"],
        "network": facts["network"] or "none yet",
        "box": f"open for desks {desks}" if facts["open"] else f"closed: {facts['closed_because']}",
        "clock": _OF_THE_CLOCK[Comparison(facts["clock"])],
        "manifest": in_force if facts["manifest"] else "none yet",
        "practice": facts["practice"],
        "keys left": ", ".join(weeks) or "none",
        "bulletins": ", ".join(bulletins) or "none",
        "cells": f"room for {facts['slots']}, {facts['free_slots']} free",
        "documents": f"{facts['documents_bytes']} bytes of {facts['documents_room']}",
    }
    if facts["documents_that_do_not_verify"]:
        told["documents that don't verify"] = facts["documents_that_do_not_verify"]
    for number, each in enumerate(facts["not_shown"][:MAX_NOT_SHOWN], 1):
        whose = f" of desk {each['desk']}" if each["desk"] else ""
        name = f"{each['kind']} {each['bulletin']}".strip()
        told[f"not shown or used, {number}"] = f"{name}{whose}: {each['because']}"
    if facts.get("guidance_own"):
        told["guidance"] = f"{len(facts['guidance_own'])} pages of your own"
    for number, page in enumerate(facts.get("guidance_not_shown", ()), 1):
        told[f"guidance not shown, {number}"] = page
    if facts.get("guidance_to_confirm"):
        told["for your lawyer to confirm"] = ", ".join(facts["guidance_to_confirm"])
    for desk, refused in facts["entries_refused"].items():
        told[f"refused of desk {desk}"] = ", ".join(map(str, refused))
    return told


def _show(facts: dict[str, Any], as_json: bool) -> None:
    if as_json:
        terminal.show_json(facts)
    else:
        terminal.show_facts(facts)


def main() -> None:
    """Run the command, and exit with its code."""
    terminal.run(cli, "dropbox-server")


if __name__ == "__main__":
    main()
