"""Answering: replies, bulletins, documents of others, and the outbox that takes them along."""

from __future__ import annotations

import mimetypes
import sys
from pathlib import Path
from typing import Any

import click

from journalist_station.commands.display import size, typed, warn
from journalist_station.commands.session import FOLDER, INPUT, STICK, Session, VaultCommand
from journalist_station.vault import documents, outbox, replies, threads
from journalist_station.vault.database import tips as rows
from journalist_station.vault.outbox import Outbox
from journalist_station.vault.replies import Attachment
from journalist_station.vault.stick import Stick
from keys import bulletin as bulletins
from keys.bulletin import Bulletin, Post
from keys.ceremony.options import read_document, write_document
from keys.encoding import from_hex
from keys.errors import Malformed, Refused
from keys.files import read_file
from keys.languages import Text
from keys.minisign import SignedDocument
from keys.reply import LANGUAGES, MAX_TEXT_BYTES, STATES
from keys.terminal import note, printable, show_facts, show_json, show_table, with_json

_TYPE = "application/octet-stream"


@click.command(cls=VaultCommand)
@click.argument("thread")
@click.option("--text-file", type=click.Path(path_type=Path), help="A file with what to say; - to type it, or a pipe.")
@click.option("--text", metavar="TEXT", help="What to say. Practice vaults only: it stays in the shell's history.")
@click.option("--attach", multiple=True, type=INPUT, help="A file to send along. Its name goes with it. Repeatable.")
@click.option("--state", type=click.Choice([state for state in STATES if state]), help="The state the source will see.")
@click.option("--ask", "asks", multiple=True, type=int, metavar="DESK", help="Ask whether DESK may read the tip too.")
@click.option("--language", type=click.Choice(LANGUAGES), help="The reply's language.  [default: the source's last]")
@with_json
def reply(
    session: Session,
    thread: str,
    text: str | None,
    text_file: Path | None,
    attach: tuple[Path, ...],
    state: str | None,
    asks: tuple[int, ...],
    language: str | None,
    as_json: bool,
) -> None:
    """Answer a source. The reply goes out with the next outbox.

    THREAD is its number, its name in Thai or English, or the first digits of its key.
    """
    if text is not None and text_file is not None:
        raise click.UsageError("Give --text or --text-file, not both.")
    if text is not None:
        session.refuse_words("--text", "--text-file -")
    with session.vault() as vault:
        row = threads.find(vault, thread)
        words = _words(text, text_file)
        spoken = language or rows.messages(vault.database, row.number)[-1].language
        limit = vault.manifest.limits.reply_bytes
        number = replies.queue(
            vault,
            row,
            session.now,
            language=spoken,
            text=words,
            state=state or "",
            attachments=[_attachment(path, limit) for path in attach],
            asks=asks,
        )
        name = threads.name_of(vault, row)
    if as_json:
        show_json({"reply": number, "thread": row.number, "name": {"th": name.th, "en": name.en}})
    else:
        show_facts({"reply": number, "to": f"{row.number}  {name.th} / {name.en}", "goes": "with the next outbox"})
    session.next("outbox --to STICK")


def _words(text: str | None, path: Path | None) -> str:
    if path is None:
        return text or ""
    if str(path) == "-":
        raw = typed("Write the reply.", MAX_TEXT_BYTES)
    else:
        raw = read_file(path, MAX_TEXT_BYTES)
    try:
        return raw.decode("utf-8").strip("\n")
    except UnicodeDecodeError as error:
        raise Malformed("The text is not UTF-8.", "Save it as UTF-8 and try again.") from error


def _attachment(path: Path, limit: int) -> Attachment:
    try:
        path.name.encode()
    except UnicodeEncodeError as error:
        raise Malformed("The name of an attachment is not UTF-8.", "Rename it.") from error
    return Attachment(path.name, mimetypes.guess_type(path.name)[0] or _TYPE, read_file(path, limit))


@click.command("outbox", cls=VaultCommand)
@click.option("--to", "sticks", multiple=True, required=True, type=STICK, help="The stick to write to. Repeatable.")
@click.option("--again", is_flag=True, help="Write the last outbox once more, to another stick, without adding to it.")
@with_json
def outbox_(session: Session, sticks: tuple[Path, ...], again: bool, as_json: bool) -> None:
    """Write everything that waits to go out to a stick, and fillers, so that nobody can tell how much it was.

    It stays in the vault until an inventory confirms that it arrived: a lost stick loses nothing.
    """
    with session.vault() as vault:
        written = outbox.write(vault, [Stick(stick) for stick in sticks], session.now, again=again)
    if as_json:
        show_json(_outbox_facts(written))
    else:
        show_table(
            ["server", "entries", "cells with fillers", "cells let go", "documents", "size"],
            [[b.server, b.entries, b.cells, b.acknowledged, b.documents, size(b.size)] for b in written.bundles],
        )
        note(f"Replies: {written.replies}. Told that their tip was opened: {written.opened}.")
    if written.waiting:
        warn(f"{written.waiting} replies wait: their sources' places of this week are used up.")
    if written.late:
        warn(f"{written.late} replies went out two weeks ago or more, and no inventory has confirmed them.")
    note("Hand the stick to the courier.")
    note("Next, on the courier's laptop: dropbox-courier sync --manifest MANIFEST --key KEY --out STICK")


def _outbox_facts(written: Outbox) -> dict[str, Any]:
    names = ["server", "first", "entries", "cells", "acknowledged", "documents", "size"]
    return {
        "bundles": [{name: getattr(each, name) for name in names} for each in written.bundles],
        "replies": written.replies,
        "opened": written.opened,
        "waiting": written.waiting,
        "late": written.late,
    }


@click.command(cls=VaultCommand)
@click.argument("files", nargs=-1, required=True, type=INPUT, metavar="DOCUMENT…")
@with_json
def send(session: Session, files: tuple[Path, ...], as_json: bool) -> None:
    """Put documents that others signed in the outbox: manifests, close orders, bulletins with both signatures.

    A manifest is admitted here first, as the next one in force.
    """
    with session.vault() as vault:
        sent = documents.send(vault, [read_document(path) for path in files], session.now)
    if as_json:
        show_json({"documents": sent})
    else:
        show_table(["document"], [[each] for each in sent])
    session.next("outbox --to STICK")


@click.group()
def bulletin() -> None:
    """Bulletins: signed calls, updates, outcomes and guidance for the public."""


@bulletin.command("sign", cls=VaultCommand)
@click.option("--kind", type=click.Choice(bulletins.KINDS), help="What it is. Needed for a new bulletin.")
@click.option("--title-th", metavar="TEXT", help="The title in Thai.")
@click.option("--title-en", metavar="TEXT", help="The title in English.")
@click.option("--body-th", type=INPUT, help="A file with the text in Thai, Markdown.")
@click.option("--body-en", type=INPUT, help="A file with the text in English, Markdown.")
@click.option("--question", "questions", nargs=2, multiple=True, metavar="THAI ENGLISH", help="A call's question.")
@click.option("--about", metavar="ID", help="The call that it belongs to.")
@click.option("--state", type=click.Choice(bulletins.STATES), help="How far the work is.  [default: open]")
@click.option("--revises", metavar="ID", help="Revise this bulletin: whatever isn't given stays as it was.")
@click.option("--withdraw", is_flag=True, help="Withdraw the bulletin named with --revises.")
@click.option("--out", type=FOLDER, help="Write the signed document to this folder as well.")
@with_json
def sign(session: Session, out: Path | None, as_json: bool, **words: Any) -> None:
    """Sign a bulletin and put it in the outbox.

    Where the network asks for a second signature, another desk must countersign it: give it --out.
    """
    with session.vault() as vault:
        revised = None
        if words["revises"] is not None:
            revised = documents.find(vault, words["revises"]).bulletin
        made, document, queued = documents.sign(
            vault, _post(session.now, revised, words), session.now, revises=revised.id if revised else None
        )
    _show_bulletin(made, document, queued, out, as_json)
    if queued:
        session.next("outbox --to STICK")
    else:
        note("Another desk has to countersign it: journalist-station bulletin countersign DOCUMENT.")


def _post(now: int, before: Bulletin | None, words: dict[str, Any]) -> Post:
    """Make what a bulletin says from options, on the ground of the revision before."""
    if before is None and None in (words["kind"], words["title_th"], words["title_en"]):
        raise click.UsageError("A new bulletin needs --kind, --title-th and --title-en.")
    if words["withdraw"] and before is None:
        raise click.UsageError("Name the bulletin to be withdrawn with --revises.")
    old = before.post if before else Post(kind=words["kind"], issued=now, title=Text("", ""), body=Text("", ""))
    return Post(
        kind=words["kind"] or old.kind,
        about=old.about if words["about"] is None else from_hex(words["about"], bulletins.ID_BYTES),
        state=words["state"] or old.state,
        withdrawn=words["withdraw"],
        issued=now,
        title=Text(words["title_th"] or old.title.th, words["title_en"] or old.title.en),
        body=Text(_body(words["body_th"], old.body.th), _body(words["body_en"], old.body.en)),
        questions=tuple(Text(*each) for each in words["questions"]) or old.questions,
    )


def _body(path: Path | None, old: str) -> str:
    if path is None:
        return old
    try:
        return read_file(path, bulletins.MAX_BODY_BYTES).decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed("The text is not UTF-8.", "Save it as UTF-8 and try again.") from error


@bulletin.command("countersign", cls=VaultCommand)
@click.argument("file", type=INPUT, metavar="DOCUMENT")
@click.option("--out", type=FOLDER, help="Write the document with both signatures to this folder as well.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@with_json
def countersign(session: Session, file: Path, out: Path | None, yes: bool, as_json: bool) -> None:
    """Read another desk's bulletin, add this desk's signature, and put it in the outbox."""
    document = read_document(file)
    with session.vault() as vault:
        found = bulletins.parse(document.statement, vault.network)
        if not yes:
            _confirm_words(found)
        made, both = documents.countersign(vault, document, session.now)
    _show_bulletin(made, both, True, out, as_json)
    session.next("outbox --to STICK")


def _confirm_words(found: Bulletin) -> None:
    if not sys.stdin.isatty():
        raise Refused("Nobody is here to read the bulletin before it is signed.", "Read it, then add --yes.")
    for text in (found.post.title.th, found.post.title.en, found.post.body.th, found.post.body.en):
        print(printable(text, lines=True), end="\n\n")
    click.confirm(f"Sign this bulletin of desk {found.desk}?", abort=True)


def _show_bulletin(made: Bulletin, document: SignedDocument, queued: bool, out: Path | None, as_json: bool) -> None:
    facts: dict[str, object] = {
        "bulletin": made.id.hex(),
        "revision": made.revision,
        "kind": made.post.kind,
        "state": "withdrawn" if made.post.withdrawn else made.post.state,
        "in_outbox": queued,
    }
    if out is not None:
        facts["document"] = str(write_document(out, f"bulletin-{made.id.hex()}-{made.revision}", document))
    (show_json if as_json else show_facts)(facts)


@bulletin.command("list", cls=VaultCommand)
@with_json
def list_bulletins(session: Session, as_json: bool) -> None:
    """List the bulletins that went out from this station, each in its newest revision."""
    with session.vault() as vault:
        found = [each.bulletin for each in documents.posted(vault)]
    if as_json:
        show_json(
            {
                "bulletins": [
                    {
                        "bulletin": each.id.hex(),
                        "desk": each.desk,
                        "revision": each.revision,
                        "kind": each.post.kind,
                        "state": each.post.state,
                        "withdrawn": each.post.withdrawn,
                        "title": each.post.title.to_fields(),
                    }
                    for each in found
                ]
            }
        )
        return
    show_table(
        ["bulletin", "revision", "kind", "state", "title"],
        [
            [
                each.id.hex()[:8],
                each.revision,
                each.post.kind,
                "withdrawn" if each.post.withdrawn else each.post.state,
                f"{each.post.title.th} / {each.post.title.en}",
            ]
            for each in found
        ],
    )
