"""`manifest`: a plan becomes a draft, roots sign it apart, and the signatures are assembled to the manifest."""

from __future__ import annotations

from pathlib import Path

import click

from keys import manifest as manifests
from keys import minisign
from keys.ceremony import plan as plans
from keys.ceremony.description import changes_since, facts_of
from keys.ceremony.options import (
    FOLDER,
    INPUT,
    OUTPUT,
    now,
    read_document,
    refuse_existing,
    unlock,
    write_document,
)
from keys.errors import Misconfigured, NotAuthentic, Refused, Stale
from keys.files import read_file, write_file
from keys.keyfile import SignerKeyFile
from keys.manifest import Manifest
from keys.minisign import MAX_DOCUMENT_BYTES, SignedDocument
from keys.primitives import system_randomness
from keys.terminal import Passphrases, note, show_facts, show_json, show_table, with_json, with_passphrase_fd

MAX_PLAN_BYTES = 256 << 10
MAX_SIGNATURE_BYTES = 1_024

with_previous = click.option(
    "--previous", type=INPUT, help="The signed document of the manifest in force. Leave it out for a network's first."
)


def _with(previous: Path | None) -> str:
    return f" --previous {previous.name}" if previous else ""


@click.group()
def manifest() -> None:
    """The manifest: who serves, reads, carries and signs. Made anew each year, or when anything changes."""


@manifest.command("plan")
@click.argument("plan_file", type=OUTPUT)
def plan(plan_file: Path) -> None:
    """Write PLAN_FILE, a plan to be edited, with words about each line."""
    write_file(plan_file, plans.TEMPLATE.encode(), private=False)
    note(f"Edit {plan_file.name}, then: newsroom-keys manifest draft --plan {plan_file.name} DRAFT")


@manifest.command("draft")
@click.argument("draft_file", type=OUTPUT)
@click.option("--plan", "plan_file", type=INPUT, required=True, help="The plan; cards are looked for beside it.")
@with_previous
@click.option("--practice", is_flag=True, help="Found a practice network: each of its pages will say so, for good.")
@with_json
def draft(draft_file: Path, plan_file: Path, previous: Path | None, practice: bool, as_json: bool) -> None:
    """Turn a plan into DRAFT_FILE, the exact bytes that the roots sign."""
    refuse_existing(draft_file)
    before = _read_previous(previous)
    if before is not None and practice and not before.practice:
        raise Refused("This network is real, and stays so.", "Found another network to practise.")

    def card(name: str) -> bytes:
        # Only the last part of the name counts: a plan is somebody's text, and lists files beside it only.
        path = plan_file.parent / Path(name).name
        try:
            return read_file(path, MAX_PLAN_BYTES)
        except FileNotFoundError as error:
            raise Misconfigured(
                f"The plan names the card {path.name}, and it doesn't lie beside the plan.",
                f"Copy {path.name} into the plan's folder, or mend its name in the plan.",
            ) from error

    terms = plans.terms_of(
        read_file(plan_file, MAX_PLAN_BYTES),
        card,
        before,
        practice=practice,
        now=now(),
        randomness=system_randomness,
    )
    plans.refuse_unfinished(terms)
    raw = manifests.compose(terms) if before is None else manifests.succeed(before, terms)
    write_file(draft_file, raw, private=False)
    _show(manifests.parse(raw), before, as_json)
    note("Each root checks this draft on a machine of their own, and signs it.")
    note(f"Next: newsroom-keys manifest sign {draft_file.name} --key ROOT.key{_with(previous)}")


@manifest.command("sign")
@click.argument("draft_file", type=INPUT)
@click.option("--key", "key_file", type=INPUT, required=True, help="The root's key file.")
@click.option("--out", type=OUTPUT, help="Where the signature goes.  [default: DRAFT_FILE.<key id>.minisig]")
@with_previous
@with_passphrase_fd
@with_json
def sign(
    draft_file: Path,
    key_file: Path,
    out: Path | None,
    previous: Path | None,
    passphrases: Passphrases,
    as_json: bool,
) -> None:
    """Sign DRAFT_FILE as one root. What is signed is shown first; the passphrase is the consent."""
    draft = manifests.parse(read_file(draft_file, MAX_DOCUMENT_BYTES))
    before = _read_previous(previous)
    plans.refuse_unfinished(draft.terms)
    _refuse_blind(draft, before)
    if not as_json:
        _show(draft, before, as_json=False)
    content = unlock(key_file, passphrases)
    if not isinstance(content, SignerKeyFile) or content.role != "root":
        raise Refused("Only roots sign manifests, and this key file isn't a root's.", "Give a root's key file.")
    if content.key not in (*draft.roots, *(before.roots if before else ()), *draft.founding.roots):
        note("This root isn't in the draft: its signature counts only if it is a root of the manifest in force.")
    target = out or draft_file.with_name(f"{draft_file.name}.{content.key.id[::-1].hex()}.minisig")
    write_file(target, minisign.sign(content.seed, draft.raw, manifests.TYPE), private=False)
    if as_json:
        show_json({"signature": str(target), "signed_by": content.key.fingerprint, "sha256": draft.hash.hex()})
    else:
        show_facts({"signed by": f"{content.name}, {content.key.fingerprint}", "signature": str(target)})
    note("Hand the signature on. Whoever has enough of them assembles the manifest.")
    note(f"Next: newsroom-keys manifest assemble {draft_file.name} SIGNATURES…{_with(previous)}")


@manifest.command("assemble")
@click.argument("draft_file", type=INPUT)
@click.argument("signature_files", type=INPUT, nargs=-1, required=True)
@click.option("--out", type=FOLDER, default=Path(), help="The folder to write to.  [default: here]")
@with_previous
@with_json
def assemble(
    draft_file: Path, signature_files: tuple[Path, ...], out: Path, previous: Path | None, as_json: bool
) -> None:
    """Join the signatures of enough roots to DRAFT_FILE, and verify the whole.

    Writes manifest-<sequence>.document for servers and stations, and the plain files that stock minisign verifies.
    """
    raw = read_file(draft_file, MAX_DOCUMENT_BYTES)
    draft, before = manifests.parse(raw), _read_previous(previous)
    plans.refuse_unfinished(draft.terms)
    roots = {*draft.roots, *(before.roots if before else ())}
    signatures = {}
    for path in signature_files:
        signature = read_file(path, MAX_SIGNATURE_BYTES)
        signed = minisign.signers(roots, raw, [signature], manifests.TYPE)
        if not signed:
            raise NotAuthentic(f"{path.name} isn't a root's signature of this draft.", "Ask that root to sign it.")
        signatures.update(dict.fromkeys(signed, signature))
    ordered = tuple(signatures[key] for key in sorted(signatures, key=lambda key: key.public))
    document = SignedDocument(raw, ordered)
    # Dates are asked when a machine admits it: a manifest may be signed before it begins.
    manifests.verify(document, before, before.network if before else draft.founding.network)
    written = write_document(out, f"manifest-{draft.sequence}", document)
    if as_json:
        facts = facts_of(draft) | {"signed_by": [key.fingerprint for key in signatures], "document": str(written)}
        show_json(facts)
    else:
        show_table(["signed by"], [[key.fingerprint] for key in signatures])
        show_facts({"network": draft.network.hex(), "document": str(written)})
    if before is None:
        note("Every server, station and courier needs this document. Write the network's id down: they ask for it.")
        note(f"Next, at each desk: journalist-station init --desk-key KEY --manifest {written.name} --vault FOLDER")
    else:
        note(f"Next, at a desk: journalist-station send {written.name}")


def _read_previous(path: Path | None) -> Manifest | None:
    """Read the manifest in force. It is taken as trusted: it is the ceremony's own file, and servers check again."""
    return None if path is None else manifests.parse(read_document(path).statement)


def _refuse_blind(draft: Manifest, before: Manifest | None) -> None:
    """Let no root sign a successor without having seen what it changes."""
    if before is None and draft.sequence > 1:
        raise Refused(
            f"This is manifest {draft.sequence}, and what it changes can't be shown.",
            "Give the manifest in force with --previous.",
        )
    if before is not None and (draft.sequence, draft.previous) != (before.sequence + 1, before.hash):
        raise Stale(
            f"This draft doesn't follow manifest {before.sequence}, which --previous names.",
            "Ask for a draft made from the manifest in force.",
        )


def _show(draft: Manifest, before: Manifest | None, as_json: bool) -> None:
    facts = facts_of(draft)
    if as_json:
        show_json(facts | ({} if before is None else {"changes": changes_since(draft, before)}))
        return
    show_facts({name: value for name, value in facts.items() if not isinstance(value, list)})
    for name in ("roots", "servers", "couriers"):
        show_table([name, "fingerprint"], [[each["name"], each["fingerprint"]] for each in facts[name]])
    show_table(
        ["desk", "name", "fingerprint"],
        [[each["number"], f"{each['th']} / {each['en']}", each["fingerprint"]] for each in facts["desks"]],
    )
    if before is not None:
        show_table(["changes"], [[line] for line in changes_since(draft, before)])
