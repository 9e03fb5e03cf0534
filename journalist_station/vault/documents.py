"""Signed documents that go out with the outbox: bulletins of this desk, and what roots or other desks signed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from journalist_station.vault import journal
from journalist_station.vault.database import post
from journalist_station.vault.vault import Vault
from keys import bulletin as bulletins
from keys import manifest as manifests
from keys import minisign
from keys.bulletin import Bulletin, Post
from keys.bundle import EntryType
from keys.errors import Malformed, NotForUs, Refused
from keys.minisign import MAX_SIGNATURES, SignedDocument
from keys.statement import PREFIX

_BULLETIN = "bulletin "
_MANIFEST = "manifest "
_CLOSE = "close "


@dataclass(frozen=True, slots=True)
class Posted:
    """The newest revision of a bulletin that went to the outbox."""

    bulletin: Bulletin
    document: SignedDocument


def sign(vault: Vault, words: Post, now: int, *, revises: bytes | None = None) -> tuple[Bulletin, SignedDocument, bool]:
    """Sign a bulletin, and put it in the outbox unless another desk has to sign it first.

    Args:
        revises: the id of a bulletin of this desk that it replaces; a new bulletin without it.

    Returns:
        The bulletin, the signed document, and whether it is in the outbox.

    Raises:
        Malformed: the words can't stand in a bulletin.
        NotForUs: this vault knows no bulletin with that id.
        Stale: the manifest isn't in date.
    """
    manifest = vault.manifest_in_date(now)
    revision, id_ = 1, revises
    if id_ is None:
        id_ = vault.randomness(bulletins.ID_BYTES)
    else:
        revision = find(vault, id_.hex()).bulletin.revision + 1
    raw = bulletins.compose(vault.network, vault.desk, id_, revision, words)
    document = SignedDocument(raw, (minisign.sign(vault.signing_seed, raw, bulletins.TYPE),))
    made = bulletins.parse(raw)
    with vault.database.transaction():
        journal.record(vault.database, now, "bulletin", bulletin=id_.hex(), revision=revision)
        if manifest.bulletin_signatures == 1:
            _queue_bulletin(vault, made, document)
    return made, document, manifest.bulletin_signatures == 1


def countersign(vault: Vault, document: SignedDocument, now: int) -> tuple[Bulletin, SignedDocument]:
    """Add this desk's signature to another desk's bulletin, and put it in the outbox.

    Raises:
        Refused: it is this desk's own.
        DropBoxError: as `keys.bulletin.admit` does.
    """
    manifest = vault.manifest_in_date(now)
    found = bulletins.parse(document.statement, vault.network)
    if found.desk == vault.desk:
        raise Refused("This is a bulletin of this desk.", "Another desk has to sign it.")
    signature = minisign.sign(vault.signing_seed, document.statement, bulletins.TYPE)
    both = SignedDocument(document.statement, (*document.signatures, signature)[:MAX_SIGNATURES])
    admitted = bulletins.admit(both, manifest, None, now)
    with vault.database.transaction():
        journal.record(vault.database, now, "countersign", bulletin=admitted.id.hex(), revision=admitted.revision)
        _queue_bulletin(vault, admitted, both)
    return admitted, both


def send(vault: Vault, documents: Sequence[SignedDocument], now: int) -> list[str]:
    """Put documents that others signed in the outbox, in order; return what each one is.

    Manifests are admitted here first, as the next ones in force.

    Raises:
        Malformed: something that servers don't take from a desk.
        DropBoxError: one of them isn't admitted here; the ones before it are in the outbox.
    """
    return [_send(vault, document, now) for document in documents]


def _send(vault: Vault, document: SignedDocument, now: int) -> str:
    kind = document.statement.split(b"\n", 1)[0].decode("ascii", "replace").removeprefix(PREFIX)
    match kind:
        case manifests.TYPE:
            vault.admit_manifests([document], now)
            label, type_ = f"{_MANIFEST}{manifests.parse(document.statement).sequence}", EntryType.MANIFEST
        case bulletins.CLOSE_TYPE:
            order = bulletins.admit_close(document, vault.manifest_in_date(now))
            label, type_ = f"{_CLOSE}{order.manifest}", EntryType.CLOSE
        case bulletins.TYPE:
            found = bulletins.admit(document, vault.manifest_in_date(now), None, now)
            label, type_ = _label(found), EntryType.BULLETIN
        case _:
            raise Malformed(
                "This is no manifest, bulletin or close order.", "Give a .document file that newsroom-keys wrote."
            )
    with vault.database.transaction():
        post.add_letter(vault.database, type_, document.encode(), label=label)
        journal.record(vault.database, now, "send", document=label)
    return label


def _label(bulletin: Bulletin) -> str:
    return _BULLETIN + bulletin.id.hex()


def _queue_bulletin(vault: Vault, bulletin: Bulletin, document: SignedDocument) -> None:
    post.add_letter(vault.database, EntryType.BULLETIN, document.encode(), label=_label(bulletin))


def posted(vault: Vault) -> list[Posted]:
    """Return the newest revision of each bulletin that went to the outbox here."""
    found = []
    for _, number in post.labels(vault.database, _BULLETIN):
        document = SignedDocument.decode(post.letter_content(vault.database, number))
        found.append(Posted(bulletins.parse(document.statement), document))
    return found


def find(vault: Vault, digits: str) -> Posted:
    """Return the bulletin whose id begins with these digits. Raises: NotForUs: there is none, or there are several."""
    found = [each for each in posted(vault) if each.bulletin.id.hex().startswith(digits.casefold())]
    if len(found) != 1:
        raise NotForUs("This vault has no one bulletin with that id.", "journalist-station bulletin list shows them.")
    return found[0]
