"""The keys page: fingerprints, and every signed document, signature and key as stock tools take them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from flask import Flask, Response, make_response, render_template

from dropbox.source.context import Context
from dropbox.source.headers import saved_as
from keys import minisign, statement
from keys.encoding import week_of, week_start
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


def register(app: Flask, context: Context) -> None:
    """Add these pages to the application."""

    @app.get("/<any(th,en):language>/keys")
    def keys() -> Response:
        in_force, now = context.box.manifest, context.box.now
        signers = _keys(in_force)
        return make_response(
            render_template(
                "keys.html",
                signers=signers,
                papers=[_paper(name, document, signers) for name, document in context.box.documents()],
                recipients=dict(_recipients(context)),
                serve_until=week_start(week_of(now) + 1) - 1,
            )
        )

    @app.get("/<any(th,en):language>/keys/<name>")
    def document(name: str) -> Response:
        for file, content in _files(context):
            if file == name:
                response = Response(content, mimetype="application/octet-stream")
                response.headers["Content-Disposition"] = saved_as(file)
                return response
        raise NotForUs("There is no such file.")


def _files(context: Context) -> Iterator[tuple[str, bytes]]:
    """Yield everything that the keys page offers, by the name it is saved under."""
    for name, signed in context.box.documents():
        yield name, signed.statement
        for at, signature in enumerate(signed.signatures):
            yield _signature_file(name, at), signature
    for name, key in _keys(context.box.manifest).items():
        yield name, key.file()
    for _, (name, line) in _recipients(context):
        yield name, line


def _signature_file(name: str, at: int) -> str:
    """minisign looks for the first one of these beside the document by itself."""
    return f"{name}.minisig" if at == 0 else f"{name}.{at + 1}.minisig"


def _keys(in_force: Manifest) -> dict[str, SigningKey]:
    """Return the signing keys of the network by the file that each is saved as."""
    keys = {f"root-{at}.pub": key for at, key in enumerate(in_force.roots, 1)}
    keys |= {f"desk-{desk.number}.pub": desk.key for desk in in_force.desks}
    return keys | {f"server-{server.name}.pub": server.key for server in in_force.servers}


def _paper(name: str, signed: SignedDocument, keys: dict[str, SigningKey]) -> Paper:
    kind = statement.type_of(signed.statement)

    def signer(signature: bytes) -> str:
        found = minisign.signers(keys.values(), signed.statement, [signature], kind)
        return next((file for file, key in keys.items() if key in found), "")

    signatures = (
        Signature(_signature_file(name, at), signer(signature)) for at, signature in enumerate(signed.signatures)
    )
    return Paper(name, tuple(signatures))


def _recipients(context: Context) -> Iterator[tuple[int, tuple[str, bytes]]]:
    """Yield each open desk's number and its recipient of this week, as a file that `age -R` takes."""
    opening = context.box.openness()
    for desk, recipient in sorted(opening.recipients.items()):
        yield desk, (f"recipient-{desk}-{opening.week}.txt", f"{recipient}\n".encode())
