"""age v1: files sealed to public keys or a passphrase, in a format that other programs open too. SPEC section 4.

    seal(reader, writer, [HybridRecipient.from_text("age1pq1…")], system_randomness)
    open_(reader, writer, [HybridIdentity.from_text("AGE-SECRET-KEY-PQ-1…")])

Whatever is given to be opened, only these are raised, all of `keys.errors`: `HeaderMalformed`, `HeaderNotAuthentic`,
`NoIdentityMatches`, `WorkRefused`, `PayloadNotAuthentic`, and `ArmorMalformed` from an armored file.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

from keys.age.armor import ArmorMalformed, ArmorReader, ArmorWriter, armored, dearmored
from keys.age.header import (
    FILE_KEY_BYTES,
    SCRYPT,
    Header,
    HeaderMalformed,
    HeaderNotAuthentic,
    Reader,
    Stanza,
    header_bytes,
    parse,
)
from keys.age.passphrase import PassphraseIdentity, PassphraseRecipient, WorkRefused
from keys.age.recipients import (
    HybridIdentity,
    HybridRecipient,
    Identity,
    Label,
    Recipient,
    X25519Identity,
    X25519Recipient,
    parse_identity,
    parse_recipient,
)
from keys.age.stream import (
    CHUNK_BYTES,
    NONCE_BYTES,
    PayloadNotAuthentic,
    Source,
    StreamOpener,
    StreamSealer,
    Writer,
    payload_key,
    read_fully,
    refuse_raw,
)
from keys.errors import NotForUs, Refused
from keys.primitives import Randomness

__all__ = [
    "ArmorMalformed",
    "ArmorReader",
    "ArmorWriter",
    "HeaderMalformed",
    "HeaderNotAuthentic",
    "HybridIdentity",
    "HybridRecipient",
    "Identity",
    "Label",
    "NoIdentityMatches",
    "PassphraseIdentity",
    "PassphraseRecipient",
    "PayloadNotAuthentic",
    "Recipient",
    "Stanza",
    "StreamOpener",
    "StreamSealer",
    "WorkRefused",
    "X25519Identity",
    "X25519Recipient",
    "armored",
    "dearmored",
    "open_",
    "open_bytes",
    "opener",
    "parse_identity",
    "parse_recipient",
    "seal",
    "seal_bytes",
    "sealer",
]


_READ_BYTES = 4 * CHUNK_BYTES


class NoIdentityMatches(NotForUs):
    """The file is sealed to somebody else, or the passphrase is another."""

    default_remedy = "Check that you hold the key, and that it is the right week's."


def sealer(writer: Writer, recipients: Sequence[Recipient], randomness: Randomness) -> StreamSealer:
    """Write the header of a new file, and return what seals its content: `write` it, then `finish`.

    `randomness` gives, in this order: the file key (16 bytes), what each recipient asks for, the nonce (16 bytes).

    Raises:
        Refused: recipients that may not share a file.
        ValueError: no recipient.
    """
    refuse_raw(writer)
    _refuse_mixture(recipients)
    file_key = randomness(FILE_KEY_BYTES)
    stanzas = [stanza for recipient in recipients for stanza in recipient.wrap(file_key, randomness)]
    nonce = randomness(NONCE_BYTES)
    writer.write(header_bytes(file_key, stanzas) + nonce)
    return StreamSealer(payload_key(file_key, nonce), writer)


def seal(reader: Source, writer: Writer, recipients: Sequence[Recipient], randomness: Randomness) -> None:
    """Seal all that the reader gives, in memory that doesn't depend on its length. As `sealer`."""
    stream = sealer(writer, recipients, randomness)
    while data := read_fully(reader, _READ_BYTES):
        stream.write(data)
    stream.finish()


def opener(reader: Reader, identities: Sequence[Identity]) -> StreamOpener:
    """Read and verify a file's header, and return the iterable of its content, chunk by authentic chunk.

    Every identity is tried in turn. Any file is taken that one of them opens, whoever else it names.

    Raises:
        HeaderMalformed: it isn't an age v1 file, or its header breaks the rules.
        NoIdentityMatches: no identity opens it.
        HeaderNotAuthentic: the header was changed.
        WorkRefused: from a passphrase identity.
        PayloadNotAuthentic: from the iteration; see `StreamOpener`.
    """
    header = parse(reader)
    file_key = _file_key(header, identities)
    nonce = read_fully(reader, NONCE_BYTES)
    if len(nonce) != NONCE_BYTES:
        raise HeaderMalformed("This file ends right behind its header.")
    return StreamOpener(payload_key(file_key, nonce), reader)


def open_(reader: Reader, writer: Writer, identities: Sequence[Identity]) -> None:
    """Open a whole file, in memory that doesn't depend on its length. Raises: as `opener`, the iteration included.

    When it raises, what was written so far is authentic but not the whole: throw it away, or mark it as a part.
    """
    refuse_raw(writer)
    for plaintext in opener(reader, identities):
        writer.write(plaintext)


def seal_bytes(data: bytes, recipients: Sequence[Recipient], randomness: Randomness) -> bytes:
    """Seal bytes in memory. As `sealer`."""
    sealed = io.BytesIO()
    seal(io.BytesIO(data), sealed, recipients, randomness)
    return sealed.getvalue()


def open_bytes(data: bytes, identities: Sequence[Identity]) -> bytes:
    """Open a file in memory: all of it, or nothing. Raises: as `opener`, the iteration included."""
    return b"".join(opener(io.BytesIO(data), identities))


def _refuse_mixture(recipients: Sequence[Recipient]) -> None:
    if not recipients:
        raise ValueError("a file needs a recipient")
    labels = {recipient.label for recipient in recipients}
    if len(labels) > 1:
        raise Refused("Post-quantum keys, classical keys and passphrases don't mix: the weakest would open the file.")
    if Label.PASSPHRASE in labels and len(recipients) > 1:
        raise Refused("A file locked with a passphrase has no other recipient.")


def _file_key(header: Header, identities: Sequence[Identity]) -> bytes:
    for identity in identities:
        if (file_key := identity.unwrap(header.stanzas)) is not None:
            header.verify(file_key)
            return file_key
    if header.stanzas[0].type == SCRYPT:
        remedy = "Type it again, and mind Caps Lock and whether the keyboard is Thai or English."
        raise NoIdentityMatches("The passphrase doesn't open this file.", remedy)
    raise NoIdentityMatches("No key given here opens this file.")
