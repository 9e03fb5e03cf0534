"""How much of the documents region each may have: no desk can fill it, nor keep a manifest out. SPEC 18.5.3.

Half of the region is kept for manifests, epoch lists and close orders. The other half is for bulletins, in equal shares
for as many desks as the network can ever have.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from keys.errors import Malformed, NoRoom
from keys.minisign import SignedDocument

MAX_BULLETINS = 4_096
"""Of all desks: each has an R-th of it."""
MAX_LIST_BYTES = 65_536
"""An epoch list of thirteen weeks has 27,000; a close order less."""
MAX_SIGNATURE_BYTES = 1_024
HEAD_DIVISOR = 8
MAX_HEAD_BYTES = 131_072
_WORDS_BYTES = 24  # What a document adds to the head of the region's value.


def size_of(document: SignedDocument) -> int:
    """Return how many bytes of the region a document takes."""
    signatures = sum(2 + len(each) for each in document.signatures)
    return 4 + 4 + len(document.statement) + 1 + signatures + _WORDS_BYTES


@dataclass(frozen=True, slots=True)
class Allotment:
    """The shares of a region of so many bytes, in a network of at most so many desks (R of the manifest)."""

    room: int
    desks: int

    @property
    def bulletins(self) -> int:
        """How many bulletins a desk may have here, withdrawn ones among them."""
        return MAX_BULLETINS // self.desks

    @property
    def bulletin_bytes(self) -> int:
        """How many bytes a desk's bulletins may have together."""
        return self.room // 2 // self.desks

    def check_bulletin(self, document: SignedDocument, others: Iterable[SignedDocument]) -> None:
        """Ask whether a bulletin fits beside the others of its desk.

        Raises:
            Malformed: a signature is larger than any.
            NoRoom: the desk has as many, or as many bytes, as it may.
        """
        check_signatures(document)
        sizes = [size_of(each) for each in others]
        if len(sizes) >= self.bulletins:
            raise NoRoom(
                f"This desk has {len(sizes)} bulletins here, as many as it may.",
                "Write a new revision of one of them instead.",
            )
        if sum(sizes) + size_of(document) > self.bulletin_bytes:
            raise NoRoom(
                f"This desk's bulletins would have more than {self.bulletin_bytes} bytes together.",
                "Withdraw some by a short revision, then send it again.",
            )

    def check_total(self, documents: Iterable[SignedDocument]) -> None:
        """Raises: NoRoom: all of these together, with what stands before them, don't fit into the region."""
        head = min(self.room // HEAD_DIVISOR, MAX_HEAD_BYTES)
        if sum(size_of(each) for each in documents) > self.room - head:
            raise NoRoom("The server has no room left for documents.", "Make a server with a larger region for them.")


def check_list(document: SignedDocument) -> None:
    """Ask whether an epoch list or a close order has a size that one can have.

    Raises:
        Malformed: it is larger, or a signature is.
    """
    check_signatures(document)
    if len(document.statement) > MAX_LIST_BYTES:
        raise Malformed("This epoch list or close order is larger than any.")


def check_signatures(document: SignedDocument) -> None:
    """Raises: Malformed: a signature is larger than minisign's, so it counts for nothing and only takes room."""
    if any(len(each) > MAX_SIGNATURE_BYTES for each in document.signatures):
        raise Malformed("A signature of this document is larger than any.")
