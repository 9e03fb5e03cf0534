"""The keys page: fingerprints, and every signed document, signature and key as stock tools take them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from flask import Flask, Response, make_response, render_template

from dropbox.admitted import Admitted
from dropbox.box import Box
from dropbox.source.context import Context
from dropbox.source.headers import saved_as
from keys import minisign, statement
from keys.encoding import week_start
from keys.epochs import Openness
from keys.errors import NotForUs
from keys.manifest import Manifest
from keys.minisign import SignedDocument, SigningKey


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature's file, and the file of the key that made it; empty when no key on this page did."""

    file: str
    key: str


@dataclass(frozen=True, slots=True)
class Paper:
    """A signed document to download, with its signatures."""

    file: str
    signatures: tuple[Signature, ...]


@dataclass(frozen=True, slots=True)
class Offer:
    """All that the keys page shows, and every file behind its links by the name it is saved under.

    `recipients` are the files that `age -R` takes, by the number of their desk. `checks` are the commands that say
    whether manifest and epoch lists are signed, `listed` those that say whether a recipient is a desk's own.
    """

    papers: tuple[Paper, ...]
    checks: tuple[str, ...]
    listed: tuple[str, ...]
    recipients: Mapping[int, str]
    serve_until: int
    files: Mapping[str, bytes]


class Papers:
    """Puts the offer together, and again when something else is in force: each signature on it is verified."""

    def __init__(self, box: Box) -> None:
        self._box = box
        self._made: tuple[Admitted, Openness, Offer] | None = None

    def offer(self) -> Offer:
        """Raises: Stale: the box has no manifest."""
        in_force, admitted, opening = self._box.manifest, self._box.admitted(), self._box.openness()
        if (
            self._made is None
            or self._made[1] != opening
            or not (self._made[0] is admitted or self._made[0].state.has_documents_of(admitted.state))
        ):
            self._made = (admitted, opening, _offer(in_force, self._box.documents(), opening))
        return self._made[2]


def register(app: Flask, context: Context) -> None:
    """Add these pages to the application."""
    papers = Papers(context.box)

    @app.get("/<any(th,en):language>/keys")
    def keys() -> Response:
        return make_response(render_template("keys.html", offer=papers.offer()))

    @app.get("/<any(th,en):language>/keys/<name>")
    def document(name: str) -> Response:
        content = papers.offer().files.get(name)
        if content is None:
            raise NotForUs("There is no such file.")
        response = Response(content, mimetype="application/octet-stream")
        response.headers["Content-Disposition"] = saved_as(name)
        return response


def _offer(in_force: Manifest, documents: list[tuple[str, SignedDocument]], opening: Openness) -> Offer:
    keys = _keys(in_force)
    lines = {
        desk: (f"recipient-{desk}-{opening.week}.txt", f"{recipient}\n".encode())
        for desk, recipient in sorted(opening.recipients.items())
    }
    files = {name: key.file() for name, key in keys.items()} | dict(lines.values())
    for name, signed in documents:
        files |= _files(name, signed)
    papers = tuple(_paper(name, signed, keys) for name, signed in documents)
    recipients = {desk: name for desk, (name, _) in lines.items()}
    return Offer(
        papers,
        tuple(_checks(papers, f"manifest-{in_force.sequence}")),
        tuple(_listed(papers, recipients)),
        recipients,
        week_start(opening.week + 1) - 1,
        files,
    )


def _checks(papers: Iterable[Paper], manifest: str) -> Iterator[str]:
    for paper in papers:
        if paper.file == manifest or paper.file.startswith("epochs-"):
            signed = (each for each in paper.signatures if each.key)
            yield from (f"minisign -V -p {each.key} -m {paper.file} -x {each.file}" for each in signed)


def _listed(papers: Sequence[Paper], recipients: Mapping[int, str]) -> Iterator[str]:
    for desk, file in recipients.items():
        lists = (paper.file for paper in papers if paper.file.startswith(f"epochs-{desk}-"))
        yield from (f"grep -c -F -f {file} {each}" for each in lists)


def _keys(in_force: Manifest) -> dict[str, SigningKey]:
    """Return the signing keys of the network by the file that each is saved as."""
    keys = {f"root-{at}.pub": key for at, key in enumerate(in_force.roots, 1)}
    keys |= {f"desk-{desk.number}.pub": desk.key for desk in in_force.desks}
    return keys | {f"server-{server.name}.pub": server.key for server in in_force.servers}


def _files(name: str, signed: SignedDocument) -> Iterator[tuple[str, bytes]]:
    yield name, signed.statement
    for at, signature in enumerate(signed.signatures):
        yield _signature_file(name, at), signature


def _signature_file(name: str, at: int) -> str:
    """minisign looks for the first one of these beside the document by itself."""
    return f"{name}.minisig" if at == 0 else f"{name}.{at + 1}.minisig"


def _paper(name: str, signed: SignedDocument, keys: Mapping[str, SigningKey]) -> Paper:
    kind = statement.type_of(signed.statement)

    def signer(signature: bytes) -> str:
        found = minisign.signers(keys.values(), signed.statement, [signature], kind)
        return next((file for file, key in keys.items() if key in found), "")

    signatures = (
        Signature(_signature_file(name, at), signer(signature)) for at, signature in enumerate(signed.signatures)
    )
    return Paper(name, tuple(signatures))
