"""Reading what came: import, list, show, export."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from journalist_station.commands.display import STATES, bar, called, day, show_text, size, typed, warn, worst
from journalist_station.commands.session import FOLDER, STICK, Session, VaultCommand
from journalist_station.vault import damaged, epochs, importing, names, threads
from journalist_station.vault import export as exporting
from journalist_station.vault.database import post
from journalist_station.vault.database import tips as rows
from journalist_station.vault.database.post import ReplyRow
from journalist_station.vault.database.tips import ItemState, Summary
from journalist_station.vault.importing import Report
from journalist_station.vault.stick import Stick
from journalist_station.vault.threads import FileFacts, Listed, Tip, TipState
from journalist_station.vault.vault import Vault
from keys.encoding import from_hex, week_start
from keys.errors import Malformed
from keys.terminal import note, printable, show_facts, show_json, show_table, with_json
from keys.tip import Consent, message_digest

MAX_SEARCH_BYTES = 1_024
_REPLY_STATES = {
    "": "",
    "opened": "opened",
    "checking": "checking",
    "needs-more": "needs more",
    "published": "published",
    "closed": "closed",
}


@click.command("import", cls=VaultCommand)
@click.argument("sticks", nargs=-1, required=True, type=STICK, metavar="STICK…")
@click.option("--cores", type=click.IntRange(min=1), help="How many processes open cells.  [default: all cores]")
@with_json
def import_(session: Session, sticks: tuple[Path, ...], cores: int | None, as_json: bool) -> None:
    """Import what the courier brought on one stick or several.

    Sticks may come in any order and more than once. What is damaged, or not for this desk, is counted.
    """
    with session.vault() as vault, bar("Import") as progress:
        found = [Stick(stick) for stick in sticks]
        report = importing.import_sticks(vault, found, session.now, workers=cores, progress=progress)
        due = epochs.erasable(vault, session.now)
    _show_report(report, as_json)
    if due is not None:
        note(f"The keys of week {due} and before are due to be erased.")
    if report.problems and not report.inventories and not report.cells:
        raise report.problems[0][1]
    session.next("list")


def _show_report(report: Report, as_json: bool) -> None:
    if as_json:
        show_json(_report_facts(report))
        return
    facts = {
        "messages": report.messages,
        "of them in new threads": report.new_threads,
        "files": report.files,
        "opened inside age files": report.opened_inside,
        "files with cells missing": report.waiting,
        "cells taken": report.held,
        "cells for others": report.foreign,
        "cells damaged or exchanged": report.damaged,
        "cells listed, and not here yet": report.unread,
        "cells in no inventory": report.unlisted,
        "cells refused": report.refused,
        "of them forged pieces of files": report.forged,
        "referrals, kept for later": report.referrals,
        "parts cut short": report.cut_short,
        "replies confirmed": report.delivered,
        "replies to be sent again": report.sent_again,
    }
    always = ("messages", "files", "cells taken", "cells for others")
    show_facts({name: value for name, value in facts.items() if value or name in always})
    for server, problem in report.problems:
        warn(f"{server}: {problem.message} {problem.remedy}")
    for warning in report.warnings:
        warn(warning)
    if report.damaged_at_source:
        warn(_at_source(report.damaged_at_source))


def _at_source(count: int) -> str:
    return (
        f"Cells that came damaged on two trips: {count}. Their server has them so, or the sticks are worn. "
        "What it means, and how to let them go: journalist-station release"
    )


def _report_facts(report: Report) -> dict[str, Any]:
    counted = (
        "manifest cells held foreign damaged damaged_at_source unread unlisted refused forged referrals cut_short "
        "messages new_threads files opened_inside waiting delivered sent_again warnings inventories"
    )
    return {
        **{name: getattr(report, name) for name in counted.split()},
        "threads": sorted(report.threads),
        "problems": [
            {"server": server, "error": each.message, "hint": each.remedy} for server, each in report.problems
        ],
    }


@click.command("list", cls=VaultCommand)
@click.option(
    "--search",
    metavar="TEXT",
    help="Only threads in whose messages or file names this occurs. - to type it: the only way at a real vault, for "
    "arguments stay in the shell's history.",
)
@with_json
def list_(session: Session, search: str | None, as_json: bool) -> None:
    """List the threads, the one with the newest message first."""
    if search not in (None, "-"):
        session.refuse_words("--search", "--search -")
    with session.vault() as vault:
        found = rows.summaries(vault.database)
        if search == "-":
            search = _typed_search()
        if search is not None:
            hits = set(rows.search(vault.database, search))
            found = [each for each in found if each.number in hits]
        strays = rows.strays(vault.database)
        lost = sorted({each.tip for each in strays if not each.claimed})
        strangers = [each for each in strays if each.claimed]
        broken = len(damaged.at_source(vault))
        if as_json:
            threads_ = [_summary_facts(vault, each) for each in found]
            show_json(
                {
                    "threads": threads_,
                    "without_message": [tip.hex() for tip in lost],
                    "strangers": [{"tip": each.tip.hex(), "signed_by": each.source.hex()} for each in strangers],
                    "damaged_at_source": broken,
                }
            )
            return
        columns = ["", "thread", "tips", "files", "newest", "kind", "state", "answer"]
        show_table(columns, [_summary_row(vault, each) for each in found])
    for tip in lost:
        note(f"Files without a message: {tip.hex()}. The message may still come; export takes that number too.")
    for tip in sorted({each.tip for each in strangers}):
        note(f"A stranger signed files under tip {tip.hex()}, which another source sent. They are kept apart from it.")
    if broken:
        warn(_at_source(broken))
    if found:
        session.next(f"show {found[0].number}")
    else:
        note("No threads." if search is None else "Nothing found.")


def _typed_search() -> str:
    raw = typed("What to search for?", MAX_SEARCH_BYTES, line=True)
    if len(raw) > MAX_SEARCH_BYTES:
        raise Malformed("That is too much to search for.", "Type a word or two.")
    try:
        return raw.decode("utf-8").strip()
    except UnicodeDecodeError as error:
        raise Malformed("What was typed is not UTF-8.", "Type it again.") from error


def _summary_row(vault: Vault, each: Summary) -> list[object]:
    answer = "wants no answer" if not each.answerable else _REPLY_STATES[each.reply_state]
    if each.unsent:
        answer = f"{answer} ({each.unsent} not confirmed)".strip()
    return [
        each.number,
        called(names.thread_name(vault.network, each.source)),
        each.tips,
        each.files,
        day(each.newest),
        " ".join(sorted(each.kinds)),
        STATES[worst(each.states)],
        answer,
    ]


def _summary_facts(vault: Vault, each: Summary) -> dict[str, Any]:
    name = names.thread_name(vault.network, each.source)
    return {
        "number": each.number,
        "name": {"th": name.th, "en": name.en},
        "source": each.source.hex(),
        "answerable": each.answerable,
        "tips": each.tips,
        "files": each.files,
        "first_imported": each.first,
        "newest_imported": each.newest,
        "state": worst(each.states).value,
        "kinds": sorted(each.kinds),
        "calls": sorted(each.calls),
        "replies": each.replies,
        "replies_unconfirmed": each.unsent,
        "reply_state": each.reply_state,
    }


@click.command(cls=VaultCommand)
@click.argument("thread")
@with_json
def show(session: Session, thread: str, as_json: bool) -> None:
    """Show a thread: what its source wrote and sent, and what this desk answered.

    THREAD is its number, its name in Thai or English, or the first digits of its key.
    """
    with session.vault() as vault:
        row = threads.find(vault, thread)
        tips = [threads.read_tip(vault, each) for each in rows.messages(vault.database, row.number)]
        replies = post.replies(vault.database, row.number)
        name = threads.name_of(vault, row)
        if as_json:
            show_json(
                {
                    "number": row.number,
                    "name": {"th": name.th, "en": name.en},
                    "source": row.source.hex(),
                    "answerable": row.root is not None,
                    "tips": [_tip_facts(tip) for tip in tips],
                    "replies": [_reply_facts(vault, each) for each in replies],
                }
            )
            return
        print(f"{row.number}  {called(name)}" + ("" if row.root else "  (wants no answer)"))
        for number, tip in enumerate(tips, 1):
            _show_tip(number, tip)
        for each in replies:
            _show_reply(vault, each)
    session.next(f"export {row.number} --to FOLDER")
    if row.root is not None:
        session.next(f"reply {row.number} --text-file -")


def _show_tip(number: int, tip: Tip) -> None:
    row, message = tip.row, tip.message
    print(f"\nTip {number}: {STATES[tip.state]}, week of {day(week_start(row.week))}, imported {day(row.imported)}")
    desks = ", ".join(map(str, message.desks))
    print(f"Kind {row.kind}, language {row.language}, for desks {desks}, may be passed on: {message.refer}")
    print(f"As the receipt names it: SHA-256 {message_digest(row.raw).hex()}")
    if row.call:
        print(f"Answers call {row.call}")
    if message.consent is not None:
        print(_consent(message.consent))
    if row.other_mailbox:
        print("It names another mailbox than the first message: answers still go to the first.")
    print()
    show_text(exporting.text_of(tip).rstrip("\n"))
    if tip.files:
        print()
        show_table(["", "file", "size", "state", "sha256"], [_file_row(file) for file in tip.files])
    for entry in tip.absent:
        print(f"File {entry.item} is listed, {size(entry.size)}, and none of it is here.")
    for line in _cautions(tip):
        print(line)


def _consent(consent: Consent) -> str:
    said = "allows" if consent.allowed else "does not allow"
    asked = f"reply {consent.index + 1} of the week of {day(week_start(consent.week))}"
    return f"The source {said} what {asked} asked: to pass it on. No more than that is allowed."


def _cautions(tip: Tip) -> Iterator[str]:
    """Say which files are the source's and why, where that isn't plain."""
    standing = tip.standing
    if tip.state is TipState.DIFFERS:
        yield (
            "The source's key signed a list of what it sent, and not all files are as it says. Rely on those that are "
            "as listed, and ask the source: somebody else may know its codename."
        )
    elif tip.files and standing.closing is None:
        yield "The source's key signed every piece here. Its list hasn't come, so there may have been more."
    if standing.forged:
        yield (
            f"Refused: {standing.forged} cells that somebody passed off as pieces of these files. The source's key "
            "didn't sign them; what is shown, it signed."
        )
    if standing.strangers:
        yield (
            f"Kept apart: {standing.strangers} files that came under this tip's number, signed by another key. They "
            f"aren't this source's. To look at them: export {tip.row.tip.hex()}"
        )


_LISTED = {
    Listed.SAME: "as listed",
    Listed.DIFFERS: "differs from the list",
    Listed.NOT: "not in the list",
}


def _file_row(file: FileFacts) -> list[object]:
    inside = file.row.parent is not None
    state = {ItemState.WHOLE: "", ItemState.INTERRUPTED: "interrupted", ItemState.MISSING: "cells missing"}
    words = state.get(file.row.state, file.row.state)
    if file.listed is not Listed.UNKNOWN:
        words = f"{words}, {_LISTED[file.listed]}" if words else _LISTED[file.listed]
    return [
        "inside" if inside else file.row.item,
        _file_name(file),
        size(file.size),
        words,
        file.sha256.hex() if file.sha256 else "",
    ]


def _file_name(file: FileFacts) -> str:
    if file.name is None:
        return "(name not here yet)"
    return file.name.decode("utf-8", "replace") or "(no name)"


def _show_reply(vault: Vault, reply: ReplyRow) -> None:
    who = "Automatic answer" if reply.automatic else "Answer"
    went = "waits for the next outbox" if reply.week is None else "on its way"
    if reply.delivered is not None:
        went = f"on the server since {day(reply.delivered)} or before"
    state = f", state: {_REPLY_STATES[reply.state]}" if reply.state else ""
    print(f"\n{who} {reply.number} of {day(reply.created)}: {went}{state}")
    if reply.asks:
        print(f"Asks whether it may be passed on to {_names(vault, reply.asks)}{_place_of(reply)}")
    if reply.text:
        print()
        show_text(reply.text)
    for file in threads.attachments_of(vault, reply.number):
        print(f"    attached: {printable(_file_name(file))}, {size(file.size)}")


def _names(vault: Vault, desks: Iterable[int]) -> str:
    known = {desk.number: desk.name.en for desk in vault.manifest.desks}
    return ", ".join(known.get(number, f"desk {number}, which is no more") for number in desks)


def _place_of(reply: ReplyRow) -> str:
    """Say which reply it is as a source's consent names it."""
    if reply.week is None or reply.place is None:
        return ""
    return f" (reply {reply.place + 1} of the week of {day(week_start(reply.week))})"


def _tip_facts(tip: Tip) -> dict[str, Any]:
    row, message = tip.row, tip.message
    return {
        "tip": row.tip.hex(),
        "state": tip.state.value,
        "week": row.week,
        "imported": row.imported,
        "kind": row.kind,
        "language": row.language,
        "call": row.call,
        "desks": list(message.desks),
        "refer": message.refer,
        "consent": None if message.consent is None else asdict(message.consent),
        "other_mailbox": row.other_mailbox,
        "text": message.text,
        "sha256": message_digest(row.raw).hex(),
        "answers": [{"question": question, "answer": answer} for question, answer in message.answers],
        "files": [_file_facts(file) for file in tip.files],
        "absent": [{"item": each.item, "size": each.size, "sha256": each.sha256.hex()} for each in tip.absent],
        "forged_cells_refused": tip.standing.forged,
        "files_of_strangers": tip.standing.strangers,
    }


def _file_facts(file: FileFacts) -> dict[str, Any]:
    return {
        "item": file.row.item,
        "inside": file.row.parent is not None,
        "name": None if file.name is None else file.name.decode("utf-8", "replace"),
        "name_hex": None if file.name is None else file.name.hex(),
        "type": (file.row.type or b"").decode("utf-8", "replace"),
        "size": file.size,
        "sha256": file.sha256.hex() if file.sha256 else None,
        "state": file.row.state,
        "listed": file.listed.value,
    }


def _reply_facts(vault: Vault, reply: ReplyRow) -> dict[str, Any]:
    return {
        "number": reply.number,
        "created": reply.created,
        "automatic": reply.automatic,
        "language": reply.language,
        "text": reply.text,
        "state": reply.state,
        "asks": list(reply.asks),
        "week": reply.week,
        "index": reply.place,
        "written": reply.week is not None,
        "delivered": reply.delivered,
        "attachments": [_file_facts(file) for file in threads.attachments_of(vault, reply.number)],
    }


@click.command(cls=VaultCommand)
@click.argument("thread")
@click.option("--to", "target", type=FOLDER, required=True, help="The folder in which a new one is made.")
@with_json
def export(session: Session, thread: str, target: Path, as_json: bool) -> None:
    """Write a thread's messages and files into a new folder, byte for byte.

    File names are made harmless; names.json says what each was called. Nothing is opened, nothing overwritten. Open
    what a stranger sent only where it can do no harm. THREAD is as for show, or the 32 digits of a tip without message.
    """
    with session.vault() as vault:
        if len(thread) == 32 and not thread.isdigit():
            try:
                tip = from_hex(thread, 16)
            except Malformed:
                tip = b""
            exported = (
                exporting.export_tip_without_message(vault, tip, target, session.now)
                if any(each.tip == tip for each in rows.strays(vault.database))
                else exporting.export_thread(vault, threads.find(vault, thread), target, session.now)
            )
        else:
            exported = exporting.export_thread(vault, threads.find(vault, thread), target, session.now)
    facts: dict[str, object] = {
        "folder": str(exported.folder),
        "tips": exported.tips,
        "files": exported.files,
        "size": exported.size if as_json else size(exported.size),
    }
    (show_json if as_json else show_facts)(facts)
    if not thread.startswith("-"):
        session.next(f"reply {thread} --text-file -")
