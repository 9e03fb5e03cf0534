"""Lets couriers in: a challenge, a signature, a token. Nothing is stored. SPEC section 19.

Challenges and tokens are sealed under a key made before the workers fork, in memory only. Client authorisation of the
onion service stands before all this; here it is known which courier came, and whether the manifest still lists them.
"""

from __future__ import annotations

from collections.abc import Callable

from keys import statement
from keys.encoding import Reader, u64
from keys.errors import DropBoxError, Malformed, NotAuthentic, NotForUs
from keys.manifest import Manifest
from keys.minisign import SigningKey
from keys.primitives import KEY_BYTES, Randomness, SecretBox

CHALLENGE_SECONDS = 600
TOKEN_SECONDS = 12 * 3600
_CHALLENGE, _TOKEN = b"C", b"T"


class Unwelcome(NotAuthentic):
    """Who asks hasn't shown to be a courier of this network, or not lately."""

    http_status = 401
    default_remedy = "Log in again. If that fails, ask the roots whether the manifest lists this courier's key."


class Logins:
    """Makes and checks challenges and tokens. Make one before the workers fork.

    Args:
        clock: Unix seconds.
    """

    def __init__(self, randomness: Randomness, clock: Callable[[], int]) -> None:
        self._box = SecretBox(randomness(KEY_BYTES))
        self._clock = clock

    def challenge(self) -> bytes:
        """Return bytes for a courier to sign within ten minutes."""
        return self._box.seal(_CHALLENGE + u64(self._clock()))

    def login(self, in_force: Manifest, server: str, courier: str, challenge: bytes, signature: bytes) -> bytes:
        """Check a courier's answer and return a token.

        Raises:
            Unwelcome: not a challenge of this server, too late, not a courier of the manifest, or not signed by it.
        """
        self._opened(challenge, _CHALLENGE, CHALLENGE_SECONDS)
        try:
            key = SigningKey.parse(courier)
            in_force.courier(key)
            context = [("server", server)]
            statement.verify(
                key.public, statement.make("courier-login", in_force.network, context, challenge), signature
            )
        except (Malformed, NotForUs, NotAuthentic) as error:
            raise Unwelcome("This courier isn't known here, or the signature isn't theirs.") from error
        return self._box.seal(_TOKEN + u64(self._clock()) + key.public)

    def check(self, in_force: Manifest, token: bytes) -> SigningKey:
        """Return the key of the courier that a token was given to.

        Raises:
            Unwelcome: not a token of this server's run, too old, or the courier is no longer in the manifest.
        """
        reader = self._opened(token, _TOKEN, TOKEN_SECONDS)
        try:
            return in_force.courier(SigningKey(reader.take(KEY_BYTES))).key
        except NotForUs as error:
            raise Unwelcome("The manifest doesn't list this courier any more.") from error

    def _opened(self, sealed: bytes, kind: bytes, seconds: int) -> Reader:
        try:
            reader = Reader(self._box.open(sealed))
            found, made = reader.take(1), reader.u64()
        except (DropBoxError, ValueError) as error:
            raise Unwelcome("This wasn't given out by this server since it started.") from error
        if found != kind or self._clock() > made + seconds:
            raise Unwelcome("This login has expired.")
        return reader
