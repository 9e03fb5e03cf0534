"""Letting go of cells that are damaged at their source."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from journalist_station.commands.display import day
from journalist_station.commands.session import Session, VaultCommand
from journalist_station.vault import damaged
from journalist_station.vault.database.damage import DamagedRow
from keys.encoding import SECONDS_A_WEEK
from keys.errors import Refused
from keys.terminal import note, show_json, show_table, with_json


@click.command(cls=VaultCommand)
@click.option("--yes", is_flag=True, help="Don't ask.")
@with_json
def release(session: Session, yes: bool, as_json: bool) -> None:
    """Let go of cells that came damaged from their server on two trips, and never open.

    They may have been a part of a tip. Once released they aren't asked for any more, and their servers may delete them.
    """
    with session.vault() as vault:
        found = damaged.at_source(vault)
        if found and not yes:
            _ask_to_release(found)
        if found:
            damaged.release(vault, found, session.now)
        age = vault.manifest.limits.acknowledge_weeks * SECONDS_A_WEEK
    if as_json:
        show_json({"released": [_facts(each, age) for each in found]})
        return
    if not found:
        note("No cell came damaged on two trips: there is nothing to release.")
        return
    _show(found, age)
    note(f"Released: {len(found)}. They are acknowledged like every other cell, by the first outbox from that day on.")
    session.next("outbox --to STICK")


def _ask_to_release(found: Sequence[DamagedRow]) -> None:
    lines = [f"Cells that came damaged on two trips, although they are the ones that their server lists: {len(found)}."]
    if other := sum(not each.same for each in found):
        lines.append(f"Of them damaged in another way each time: {other}. Try another stick first.")
    lines.append(
        "Whatever they held, perhaps a part of a tip, is lost once they are released. Nobody can bring it back."
    )
    for line in lines:
        print(line, file=sys.stderr)
    if not sys.stdin.isatty():
        raise Refused("Nobody is here to say that they may go. Nothing was released.", "Read this, then add --yes.")
    click.confirm("Release them for good?", abort=True, err=True)


def _show(found: Sequence[DamagedRow], age: int) -> None:
    show_table(
        ["server", "cell", "fetched with inventories", "damaged", "acknowledged from"],
        [
            [
                each.server,
                each.cell.hex()[:8],
                f"{each.first}, {each.again}",
                "the same way" if each.same else "in another way each time",
                day(each.since + age),
            ]
            for each in found
        ],
    )


def _facts(each: DamagedRow, age: int) -> dict[str, object]:
    return {
        "server": each.server,
        "cell": each.cell.hex(),
        "inventories": [each.first, each.again],
        "same": each.same,
        "acknowledged_from": each.since + age,
    }
