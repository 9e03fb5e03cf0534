"""`verify`, `fingerprint`, `close`: look at what was signed, and the one order that must be quick."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from keys import bulletin, cards, epochs, minisign
from keys import manifest as manifests
from keys.ceremony.description import facts_of, moment
from keys.ceremony.options import (
    FOLDER,
    INPUT,
    MAX_SIGNED_BYTES,
    document_paths,
    now,
    read_document,
    refuse_existing,
    unlock,
    write_document,
)
from keys.encoding import week_start
from keys.errors import DropBoxError, Malformed, NotForUs
from keys.files import read_file
from keys.keyfile import ChainKeyFile, DeskKeyFile
from keys.languages import Text
from keys.manifest import Manifest
from keys.minisign import SignedDocument, SigningKey
from keys.statement import PREFIX, read_network_id
from keys.terminal import Passphrases, note, show_facts, show_json, show_table, with_json, with_passphrase_fd

_KINDS = (manifests.TYPE, epochs.TYPE, bulletin.TYPE, bulletin.CLOSE_TYPE)


@click.command()
@click.argument("document_files", type=INPUT, nargs=-1, required=True)
@click.option("--network", metavar="ID", help="The network's id, 64 hex digits, from somewhere else than these files.")
@with_json
def verify(document_files: tuple[Path, ...], network: str | None, as_json: bool) -> None:
    """Verify signed documents: a network's manifests from the first on, then its epoch lists, bulletins and orders.

    Prints who signed. Without --network the id is taken from the first manifest: compare it with a source you trust.
    """
    documents = [(path, read_document(path)) for path in document_files]
    kinds = {kind: [(path, each) for path, each in documents if _kind(each) == kind] for kind in _KINDS}
    run = sorted(kinds[manifests.TYPE], key=lambda each: manifests.parse(each[1].statement).sequence)
    if not run:
        raise Malformed("There is no manifest among these documents.", "Give the network's manifests as well.")
    if network is None:
        trusted = manifests.parse(run[0][1].statement).network
        note(f"The id of this network is {trusted.hex()}. Compare it: --network was not given.")
    else:
        trusted = read_network_id(network)
    manifest = manifests.admit_run([document for _, document in run], None, trusted, now())
    rows: list[dict[str, Any]] = _manifest_rows(run)
    for kind in _KINDS[1:]:
        for path, document in kinds[kind]:
            rows.append({"file": path.name, **_verified(kind, document, manifest)})
    if as_json:
        show_json({"network": trusted.hex(), "documents": rows})
    else:
        show_table(["file", "is", "signed by"], [[row["file"], row["is"], "\n".join(row["signed_by"])] for row in rows])


def _kind(document: SignedDocument) -> str:
    first = document.statement.split(b"\n", 1)[0].decode("ascii", "replace").removeprefix(PREFIX)
    if first not in _KINDS:
        raise Malformed("One of these is neither a manifest, an epoch list, a bulletin nor a close order.")
    return first


def _manifest_rows(run: Sequence[tuple[Path, SignedDocument]]) -> list[dict[str, Any]]:
    rows, roots = [], set[SigningKey]()
    for path, document in run:
        manifest = manifests.parse(document.statement)
        roots |= set(manifest.roots)
        signed = manifests.signers(document, sorted(roots, key=lambda key: key.public))
        practice = " (practice)" if manifest.practice else ""
        rows.append(
            {
                "file": path.name,
                "is": f"manifest {manifest.sequence}{practice}, until {moment(manifest.valid_until)}",
                "signed_by": _fingerprints(signed),
            }
        )
    return rows


def _verified(kind: str, document: SignedDocument, manifest: Manifest) -> dict[str, Any]:
    """Admit one document under the manifest, and say in words what it is and who signed it."""
    desks = [desk.key for desk in manifest.desks]
    if kind == epochs.TYPE:
        admitted = epochs.admit(document, manifest, None, 0, now())
        until = moment(week_start(admitted.weeks[-1] + 1))
        what = f"epoch list {admitted.sequence} of desk {admitted.desk}, until {until}"
    elif kind == bulletin.TYPE:
        shown = bulletin.admit(document, manifest, None, now())
        state = "withdrawn" if shown.post.withdrawn else shown.post.state
        what = f"bulletin of desk {shown.desk}, revision {shown.revision}, {state}"
    else:
        order = bulletin.admit_close(document, manifest)
        what = f"order that closes the box under manifest {order.manifest}"
        desks += manifest.roots
    signed = minisign.signers(desks, document.statement, document.signatures, kind)
    return {"is": what, "signed_by": _fingerprints(signed)}


def _fingerprints(signed: frozenset[SigningKey]) -> list[str]:
    return sorted(key.fingerprint for key in signed)


@click.command()
@click.argument("file", type=INPUT)
@with_passphrase_fd
@with_json
def fingerprint(file: Path, passphrases: Passphrases, as_json: bool) -> None:
    """Show the fingerprints in FILE: a card, a manifest (draft or signed document), or a locked key file."""
    rows = _fingerprint_rows(file, passphrases)
    if as_json:
        show_json([{"of": name, "fingerprint": shown, "key": key} for name, shown, key in rows])
    else:
        show_table(["of", "fingerprint"], [row[:2] for row in rows])


def _fingerprint_rows(file: Path, passphrases: Passphrases) -> list[tuple[str, str, str]]:
    data = read_file(file, MAX_SIGNED_BYTES)
    if data.lstrip().startswith(b"-----BEGIN AGE"):
        content = unlock(file, passphrases)
        if isinstance(content, ChainKeyFile):
            raise NotForUs("A chain has no signing key.", "Compare the fingerprint of its desk.")
        named = f"desk {content.number}" if isinstance(content, DeskKeyFile) else f"{content.role} {content.name}"
        return [(named, content.key.fingerprint, content.key.text)]
    if data.lstrip().startswith(b"{"):
        card = cards.parse(data)
        return [("card", card.key.fingerprint, card.key.text)]
    facts = facts_of(_any_manifest(data))
    rows = [(f"network {facts['name']}", facts["network"], "")]
    for kind in ("roots", "servers", "couriers"):
        rows += [(f"{kind[:-1]} {each['name']}", each["fingerprint"], each["key"]) for each in facts[kind]]
    return rows + [(f"desk {each['number']}", each["fingerprint"], each["key"]) for each in facts["desks"]]


def _any_manifest(data: bytes) -> Manifest:
    if data.startswith(PREFIX.encode()):
        return manifests.parse(data)
    try:
        return manifests.parse(SignedDocument.decode(data).statement)
    except DropBoxError as error:
        raise Malformed("This is neither a card, a manifest nor a key file.") from error


@click.command()
@click.option("--key", "key_file", type=INPUT, required=True, help="The key file of any root or desk.")
@click.option("--manifest", "manifest_file", type=INPUT, required=True, help="The signed document in force.")
@click.option("--reason-th", required=True, metavar="TEXT", help="What the box's pages will say, in Thai.")
@click.option("--reason-en", required=True, metavar="TEXT", help="What the box's pages will say, in English.")
@click.option("--out", type=FOLDER, default=Path(), help="The folder to write to.  [default: here]")
@with_passphrase_fd
@with_json
def close(
    key_file: Path,
    manifest_file: Path,
    reason_th: str,
    reason_en: str,
    out: Path,
    passphrases: Passphrases,
    as_json: bool,
) -> None:
    """Sign an order that closes the box until the roots sign a manifest with a higher sequence."""
    manifest = manifests.parse(read_document(manifest_file).statement)
    name = f"close-{manifest.sequence}"
    whole, plain, minisigs = document_paths(out, name, 1)
    refuse_existing(whole, plain, *minisigs)
    content = unlock(key_file, passphrases)
    if isinstance(content, ChainKeyFile):
        raise NotForUs("A chain signs nothing.", "Give the key file of a root or a desk.")
    seed = content.desk.signing_seed if isinstance(content, DeskKeyFile) else content.seed
    raw = bulletin.compose_close(manifest, now(), Text(reason_th, reason_en))
    document = SignedDocument(raw, (minisign.sign(seed, raw, bulletin.CLOSE_TYPE),))
    bulletin.admit_close(document, manifest)
    write_document(out, name, document)
    facts: dict[str, object] = {"closes": manifest.network.hex(), "manifest": manifest.sequence, "document": str(whole)}
    (show_json if as_json else show_facts)(facts)
