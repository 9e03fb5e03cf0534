"""Sessions that live in a sealed cookie and nowhere else. DESIGN section 5.

The key is made in the arbiter before the workers fork and dies with it: a restart logs everyone out, a seized disk
holds no session. A cookie carries the stretched key, never the codename; all cookies have one length. The label is
part of the cookie's name, so two tabs with two codenames stay apart, and of what is sealed, so none can be moved.
"""

from __future__ import annotations

import mmap
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass

from dropbox.mutex import Mutex
from dropbox.refusals import Expired
from keys.encoding import Reader, u64
from keys.errors import Malformed, NotAuthentic
from keys.primitives import KEY_BYTES, Randomness, SecretBox, blake2b, hmac_sha256, same_bytes

LABEL_BYTES = 8
IDLE_SECONDS = 30 * 60
ABSOLUTE_SECONDS = 12 * 3600
COOKIE_PREFIX = "box-"
_REVOKED_PLACES = 65_536
_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class Session:
    """Who is here, as far as anybody can know: a label, the stretched keys, and when it began and was last seen."""

    label: str
    stretched: bytes
    began: int
    seen: int

    def __repr__(self) -> str:
        return "Session(…)"


class Sessions:
    """Opens, reads, renews and revokes sessions. Make one before the workers fork.

    Args:
        clock: Unix seconds.
    """

    def __init__(self, randomness: Randomness, clock: Callable[[], int]) -> None:
        self._randomness = randomness
        self._clock = clock
        self._box = SecretBox(randomness(KEY_BYTES))
        self._form_key = randomness(KEY_BYTES)
        self._revoked = mmap.mmap(-1, 8 + _REVOKED_PLACES * _DIGEST_BYTES)
        self._revoking = Mutex()

    def begin(self, stretched: bytes) -> Session:
        """Begin a session for a codename's stretched keys: 32 bytes for each set of KDF parameters of the manifest."""
        now = self._clock()
        return Session(self._randomness(LABEL_BYTES).hex(), stretched, now, now)

    def cookie(self, session: Session) -> tuple[str, str]:
        """Return the cookie's name and value; the value's length is the same for everybody."""
        label = bytes.fromhex(session.label)
        plain = label + session.stretched + u64(session.began) + u64(self._clock())
        return COOKIE_PREFIX + session.label, urlsafe_b64encode(self._box.seal(plain)).decode()

    def read(self, label: str, value: str) -> Session:
        """Open a cookie.

        Raises:
            Expired: it isn't a cookie of this run of the server under this name, or its session has ended.
        """
        try:
            reader = Reader(self._box.open(urlsafe_b64decode(value.encode("ascii"))))
            inner, stretched = reader.take(LABEL_BYTES).hex(), reader.take(max(reader.left - 16, 0))
            session = Session(inner, stretched, reader.u64(), reader.u64())
        except (Malformed, NotAuthentic, ValueError) as error:
            raise Expired from error
        now = self._clock()
        if (
            inner != label
            or now > session.began + ABSOLUTE_SECONDS
            or now > session.seen + IDLE_SECONDS
            or self._is_revoked(label)
        ):
            raise Expired
        return session

    def revoke(self, session: Session) -> None:
        """End a session for good: an old copy of its cookie opens nothing any more, in any worker.

        The list holds the 65,536 latest. A cookie that isn't renewed is out of date after 30 minutes, in which a
        machine that does 24 Argon2id runs a second can't open and leave that many sessions.
        """
        with self._revoking.held():
            at = int.from_bytes(self._revoked[:8], "big")
            offset = 8 + (at % _REVOKED_PLACES) * _DIGEST_BYTES
            self._revoked[offset : offset + _DIGEST_BYTES] = _revocation(session.label)
            self._revoked[:8] = u64(at + 1)

    def _is_revoked(self, label: str) -> bool:
        digest = _revocation(label)
        at = self._revoked.find(digest, 8)
        while at >= 0 and (at - 8) % _DIGEST_BYTES:
            at = self._revoked.find(digest, at + 1)
        return at >= 0

    def form_token(self, session: Session, purpose: str) -> str:
        """A token for one form of one session, so that no other page can make a browser send it."""
        return hmac_sha256(self._form_key, f"{purpose}\0{session.label}".encode())[:16].hex()

    def check_form_token(self, session: Session, purpose: str, token: str) -> None:
        """Raises: Expired: the token isn't this session's for this form."""
        if not same_bytes(self.form_token(session, purpose).encode(), token.encode("utf-8", "replace")):
            raise Expired


def _revocation(label: str) -> bytes:
    return blake2b(b"mustshare/revoked\0" + label.encode(), _DIGEST_BYTES)
