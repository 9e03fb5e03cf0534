"""Files locked with a passphrase: scrypt, with a bound on the work that a file may ask for. SPEC section 4.6."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from keys import primitives
from keys.age.header import SCRYPT, HeaderMalformed, Stanza, decode, refuse_scrypt_in_company
from keys.age.recipients import WRAP_NONCE, WRAPPED_FILE_KEY_BYTES, Label
from keys.encoding import to_base64
from keys.errors import Malformed, NotAuthentic, Refused
from keys.primitives import Randomness

SALT_BYTES = 16
DEFAULT_LOG_N = 18
MAX_LOG_N = 20

_SALT_LABEL = b"age-encryption.org/v1/scrypt"
_WORK_FACTOR = re.compile(r"[1-9][0-9]*\Z")


class WorkRefused(Refused):
    """Opening this file would take more memory and time than is allowed here."""

    default_remedy = "Ask for the file again, locked with a smaller scrypt work factor."


@dataclass(frozen=True, slots=True, eq=False)
class PassphraseRecipient:
    """Whoever knows the passphrase. Stands alone in a file.

    Args:
        passphrase: used as its UTF-8 bytes, exactly as given: normalise it before, if it was typed.
        log_n: the work factor's logarithm; opening takes 1 KiB × 2**log_n of memory (18: 256 MiB, about a second).

    Raises:
        Malformed: an empty passphrase, or one that isn't text.
    """

    passphrase: str = field(repr=False)
    log_n: int = DEFAULT_LOG_N
    label: ClassVar[Label] = Label.PASSPHRASE

    def __post_init__(self) -> None:
        _encoded(self.passphrase)
        if not 1 <= self.log_n <= MAX_LOG_N:
            raise ValueError(f"a work factor is between 1 and {MAX_LOG_N}")

    def wrap(self, file_key: bytes, randomness: Randomness) -> list[Stanza]:
        """Wrap the file key under the passphrase and a fresh salt of 16 bytes."""
        salt = randomness(SALT_BYTES)
        body = _wrapping(self.passphrase, salt, self.log_n).seal(WRAP_NONCE, file_key)
        return [Stanza(SCRYPT, (to_base64(salt), str(self.log_n)), body)]


@dataclass(frozen=True, slots=True, eq=False)
class PassphraseIdentity:
    """Whoever knows the passphrase, with the most work they are ready to do for a file.

    Args:
        passphrase: as for the recipient.
        max_log_n: files above this work factor are refused unopened (20: 1 GiB).

    Raises:
        Malformed: an empty passphrase, or one that isn't text.
    """

    passphrase: str = field(repr=False)
    max_log_n: int = MAX_LOG_N

    def __post_init__(self) -> None:
        _encoded(self.passphrase)

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        """As `Identity.unwrap` says.

        Raises:
            HeaderMalformed: the stanza breaks its type's rules, or stands in company.
            WorkRefused: its work factor is above `max_log_n`.
        """
        refuse_scrypt_in_company(stanzas)
        for stanza in stanzas:
            if stanza.type == SCRYPT:
                return self._unwrap(stanza)
        return None

    def _unwrap(self, stanza: Stanza) -> bytes | None:
        salt, log_n = _parts(stanza)
        if log_n > self.max_log_n:
            raise WorkRefused(f"This file asks for more than 2 to the power of {self.max_log_n} steps of scrypt.")
        try:
            return _wrapping(self.passphrase, salt, log_n).open(WRAP_NONCE, stanza.body)
        except NotAuthentic:
            return None


def _parts(stanza: Stanza) -> tuple[bytes, int]:
    if len(stanza.arguments) != 2 or len(stanza.body) != WRAPPED_FILE_KEY_BYTES:
        raise HeaderMalformed("A scrypt stanza has the wrong parts.")
    salt = decode(stanza.arguments[0])
    if len(salt) != SALT_BYTES or not _WORK_FACTOR.match(stanza.arguments[1]):
        raise HeaderMalformed("A scrypt stanza has a salt or a work factor that is none.")
    # Three digits are beyond any bound; more would only be work to read.
    return salt, int(stanza.arguments[1][:3])


def _wrapping(passphrase: str, salt: bytes, log_n: int) -> primitives.Aead:
    return primitives.Aead(primitives.scrypt(_encoded(passphrase), _SALT_LABEL + salt, log_n))


def _encoded(passphrase: str) -> bytes:
    try:
        encoded = passphrase.encode("utf-8")
    except UnicodeEncodeError as error:
        raise Malformed("The passphrase isn't text.", "Type it again, in a terminal that is set to UTF-8.") from error
    if not encoded:
        raise Malformed("The passphrase is empty.", "Give one: it is all that protects the file.")
    return encoded
