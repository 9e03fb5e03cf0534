"""The manifest: what the roots of a network signed, and whether to believe it. SPEC section 10.

Verification is pure: documents, the trusted manifest and the time come in, a manifest in force or an error comes out.
Nothing here remembers anything: who calls keeps what was admitted, and its floors (`keys.epochs.Floors`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from keys import minisign, primitives, statement
from keys.encoding import Fields, parse_json, to_json
from keys.errors import Malformed, NotAuthentic, NotForUs, Refused, Stale
from keys.languages import Text
from keys.minisign import SignedDocument, SigningKey
from keys.statement import NetworkId
from keys.terms import (
    HASH_BYTES,
    Desk,
    Founding,
    KdfParameters,
    Limits,
    Onions,
    Party,
    Terms,
    from_fields,
    network_id,
    to_fields,
)

__all__ = [
    "Desk",
    "Founding",
    "KdfParameters",
    "Limits",
    "Manifest",
    "Onions",
    "Party",
    "Terms",
    "Text",
    "admit",
    "admit_run",
    "check_dates",
    "compose",
    "network_id",
    "parse",
    "signers",
    "succeed",
    "verify",
    "verify_run",
]

TYPE = "manifest"
NO_PREVIOUS = bytes(HASH_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest(Terms):
    """A manifest taken apart. Whether it is in force only `admit` says. `raw` is the statement that was signed."""

    raw: bytes
    network: NetworkId
    sequence: int
    previous: bytes

    @property
    def hash(self) -> bytes:
        """SHA-256 of the statement: what the next manifest names as its previous."""
        return primitives.sha256(self.raw)

    @property
    def terms(self) -> Terms:
        """The terms alone, to be changed by `dataclasses.replace` and signed anew."""
        return Terms(**{each.name: getattr(self, each.name) for each in fields(Terms)})

    @property
    def desk_numbers(self) -> tuple[int, ...]:
        return tuple(desk.number for desk in self.desks)

    def desk(self, number: int) -> Desk:
        """Raises: NotForUs: when the manifest has no such desk."""
        for desk in self.desks:
            if desk.number == number:
                return desk
        raise NotForUs(f"The manifest has no desk {number}.")

    def server(self, name: str) -> Party:
        """Raises: NotForUs: when the manifest has no such server."""
        for server in self.servers:
            if server.name == name:
                return server
        raise NotForUs("The manifest has no server of that name.")

    def courier(self, key: SigningKey) -> Party:
        """Raises: NotForUs: when the manifest doesn't list this courier, or no longer."""
        for courier in self.couriers:
            if courier.key == key:
                return courier
        raise NotForUs("The manifest lists no courier with that key.", "Ask the roots to list the key in a manifest.")


def compose(terms: Terms, sequence: int = 1, previous: bytes = NO_PREVIOUS) -> bytes:
    """Return the statement of a manifest with these terms, to be signed by roots.

    Raises:
        Malformed: the terms can't stand in a manifest, with the words that `parse` has for it.
    """
    body = to_json({**to_fields(terms), "previous": previous.hex()})
    raw = statement.make(TYPE, terms.founding.network, [("sequence", sequence)], body)
    parse(raw)
    return raw


def succeed(trusted: Manifest, terms: Terms) -> bytes:
    """Return the statement of the manifest that follows a trusted one, to be signed by roots of both.

    Raises:
        Malformed: the terms can't stand in a manifest.
        Refused: they change what a network keeps for life (SPEC 10.3, step 3).
    """
    raw = compose(terms, trusted.sequence + 1, trusted.hash)
    _check_succession(parse(raw), trusted)
    return raw


def parse(raw: bytes) -> Manifest:
    """Take a manifest's statement apart. Form only: no signature, no date, no place in a sequence is checked.

    Raises:
        Malformed: it doesn't follow SPEC 10.1.
    """
    if len(raw) > minisign.MAX_DOCUMENT_BYTES:
        raise Malformed("A manifest is longer than 1 MiB.")
    taken = statement.parse(raw, TYPE, ["sequence"])
    sequence = taken.number("sequence")
    if sequence < 1:
        raise Malformed("Manifests are numbered from 1.")
    body = Fields(parse_json(taken.body), "manifest")
    previous = body.hex("previous", HASH_BYTES)
    terms = from_fields(body)
    body.done()
    if (sequence == 1) != (previous == NO_PREVIOUS):
        raise Malformed("The first manifest has no previous one, and every other has.")
    return Manifest(
        raw=raw,
        network=taken.network,
        sequence=sequence,
        previous=previous,
        **{each.name: getattr(terms, each.name) for each in fields(Terms)},
    )


def signers(document: SignedDocument, roots: Sequence[SigningKey]) -> frozenset[SigningKey]:
    """Return which of these roots signed a manifest: distinct keys. Raises: Malformed: too many signatures."""
    return minisign.signers(roots, document.statement, document.signatures, TYPE)


def check_dates(manifest: Manifest, now: int) -> None:
    """Require that a manifest is in date. To be called each time it is used, not only when it is admitted.

    Raises:
        Stale: not yet valid, or no longer.
    """
    if now < manifest.valid_from:
        raise Stale("The manifest isn't valid yet.")
    if now >= manifest.valid_until:
        raise Stale(
            "The manifest has expired.", "Ask the network's roots for a new one, and check this machine's clock."
        )


def admit(document: SignedDocument, trusted: Manifest | None, network: NetworkId, now: int) -> Manifest:
    """Decide whether a document is the network's next manifest. SPEC 10.3, step by step.

    Args:
        document: the candidate.
        trusted: the manifest in force, or None on a machine that has never admitted one.
        network: the id that this machine was set up with.
        now: Unix seconds.

    Returns:
        The candidate as the new manifest in force; `trusted` itself when the candidate equals it.

    Raises:
        Malformed: it isn't a manifest.
        NotForUs: another network's.
        NotAuthentic: too few roots signed it, or it doesn't follow the trusted one.
        Refused: it changes what a network keeps for life.
        Stale: out of order, or out of date.
    """
    candidate = verify(document, trusted, network)
    if candidate is not trusted:
        # "4. now is within its dates."
        check_dates(candidate, now)
    return candidate


def admit_run(documents: Sequence[SignedDocument], trusted: Manifest | None, network: NetworkId, now: int) -> Manifest:
    """Admit manifests that follow one another, so that a machine which missed some catches up. SPEC 10.3.

    Each passes the steps 1 to 3 against the one before it; the dates (step 4) are asked of the last alone, since those
    between have been replaced. All or none: nothing is kept of a run that fails.

    Raises:
        ValueError: there are no documents.
        DropBoxError: as `admit` does.
    """
    latest = verify_run(documents, trusted, network)
    if latest is not trusted:
        check_dates(latest, now)
    return latest


def verify_run(documents: Sequence[SignedDocument], trusted: Manifest | None, network: NetworkId) -> Manifest:
    """Take the steps 1 to 3 for manifests that follow one another, and return the last, whatever its dates.

    For a machine that reads its own manifests again: an expired one still says who spoke, but opens nothing.

    Raises:
        ValueError: there are no documents.
        DropBoxError: as `admit` does, but for dates.
    """
    if not documents:
        raise ValueError("a run of manifests has at least one")
    latest = verify(documents[0], trusted, network)
    for document in documents[1:]:
        latest = verify(document, latest, network)
    return latest


def verify(document: SignedDocument, trusted: Manifest | None, network: NetworkId) -> Manifest:
    """Take the steps 1 to 3 of SPEC 10.3: all but the dates. For ceremonies, which sign before a manifest is valid.

    Raises:
        DropBoxError: as `admit` does.
    """
    # "A candidate equal to the trusted statement is a no-op."
    if trusted is not None and document.statement == trusted.raw and trusted.network == network:
        return trusted
    candidate = parse(document.statement)

    # "1. the statement's network is the trusted id, and founding hashes to it"
    if candidate.network != network:
        raise NotForUs("This manifest belongs to another network.")
    if candidate.founding.network != network:
        raise NotAuthentic("The founding in this manifest isn't the one that the network's id commits to.")

    # "2. sequence 1 without a trusted manifest: …  Otherwise the sequence is the trusted one plus one, …"
    if trusted is None:
        _check_first(document, candidate)
    else:
        _check_next(document, candidate, trusted)

    # "3. R and the founding are unchanged; …"
    _check_succession(candidate, trusted)
    return candidate


def _check_first(document: SignedDocument, candidate: Manifest) -> None:
    if candidate.sequence != 1:
        raise Stale(
            f"This is manifest {candidate.sequence}, and none was admitted here before.",
            "Give the network's manifests from the first on.",
        )
    # "roots and threshold equal the founding ones, and threshold of them signed."
    founding = candidate.founding
    if frozenset(candidate.roots) != frozenset(founding.roots) or candidate.threshold != founding.threshold:
        raise NotAuthentic("The first manifest's roots aren't the founding ones.")
    _check_threshold(document, founding.roots, founding.threshold, "founding roots")


def _check_next(document: SignedDocument, candidate: Manifest, trusted: Manifest) -> None:
    # "Otherwise the sequence is the trusted one plus one, previous is the SHA-256 of the trusted statement,"
    if candidate.sequence == trusted.sequence:
        raise Stale(
            f"This is another manifest {candidate.sequence} than the one in force.",
            "Compare the two with the roots: one sequence number must never be signed twice.",
        )
    if candidate.sequence < trusted.sequence:
        raise Stale(f"This is manifest {candidate.sequence}; {trusted.sequence} is in force.")
    if candidate.sequence > trusted.sequence + 1:
        raise Stale(
            f"This is manifest {candidate.sequence}, and {trusted.sequence} is in force: those between are missing.",
            "Give the manifests between as well, in order.",
        )
    if candidate.previous != trusted.hash:
        raise NotAuthentic("This manifest doesn't follow the one in force.")
    # "and threshold of the trusted and threshold of the candidate's own roots signed;"
    _check_threshold(document, trusted.roots, trusted.threshold, "roots in force")
    _check_threshold(document, candidate.roots, candidate.threshold, "new roots")


def _check_threshold(document: SignedDocument, roots: Sequence[SigningKey], threshold: int, whose: str) -> None:
    signed = len(signers(document, roots))
    if signed < threshold:
        raise NotAuthentic(
            f"Only {signed} of the {whose} signed this manifest, and {threshold} must.",
            "Collect the signatures that are missing.",
        )


def _check_succession(candidate: Manifest, trusted: Manifest | None) -> None:
    # "no desk number of retired_desks (which only grows) is in use;"
    if set(candidate.retired_desks) & set(candidate.desk_numbers):
        raise Refused("This manifest gives the number of a retired desk to a desk.", "Choose a number never used.")
    if trusted is None:
        return
    # "R and the founding are unchanged;"
    if candidate.recipients != trusted.recipients or candidate.founding != trusted.founding:
        raise Refused("R and the founding stay as they are for a network's life.", "Keep them, or found a new network.")
    if not set(candidate.retired_desks) >= set(trusted.retired_desks):
        raise Refused("A retired desk's number stays retired.", "List it in retired_desks again.")
    # "a desk that left is retired;"
    if set(trusted.desk_numbers) - set(candidate.desk_numbers) - set(candidate.retired_desks):
        raise Refused("A desk that left isn't listed as retired.", "List its number in retired_desks.")
    # "practice is unchanged;"
    if candidate.practice != trusted.practice:
        raise Refused("A practice network stays one, and a real one stays real.", "Found a new network.")
