"""Key files: a secret of the newsroom as a readable record, locked with a passphrase. SPEC section 16.

A key file is an armored age file, so stock `age -d` opens it if this program is gone. Locking takes the passphrase's
scrypt work on purpose: about a second and 256 MiB at the default work factor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from keys import age, primitives
from keys.age.passphrase import DEFAULT_LOG_N, PassphraseIdentity, PassphraseRecipient
from keys.chain import Chain
from keys.encoding import INTEGER_MAX, Fields, from_hex, parse_json, to_json
from keys.epochs import MAX_WEEK
from keys.errors import Malformed, NotAuthentic, NotForUs
from keys.languages import refuse_deceiving
from keys.minisign import SigningKey
from keys.primitives import KEY_BYTES, Randomness
from keys.statement import NETWORK_ID_BYTES, NetworkId
from keys.terms import MAX_DESK_NUMBER, parse_party_name

VERSION = 1
MAX_BYTES = 64 << 10
MAX_NAME_BYTES = 300
ROLES = ("root", "server", "courier")

_SIGN = b"mustshare/v1/desk/sign"
_BACKUP = b"mustshare/v1/desk/backup"


@dataclass(frozen=True, slots=True)
class DeskSecret:
    """The one secret of a desk, from which its signing seed and its backup key derive. It never opens a tip."""

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) != KEY_BYTES:
            raise ValueError("a desk secret has 32 bytes")

    @classmethod
    def make(cls, randomness: Randomness) -> DeskSecret:
        return cls(randomness(KEY_BYTES))

    @property
    def signing_seed(self) -> bytes:
        """The Ed25519 seed that signs the desk's lists, replies, bundles and bulletins."""
        return primitives.hkdf(self.secret, b"", _SIGN)

    @property
    def backup_key(self) -> bytes:
        """The 32 bytes that open the desk's backups."""
        return primitives.hkdf(self.secret, b"", _BACKUP)

    @property
    def key(self) -> SigningKey:
        """The public signing key, which the manifest lists."""
        return SigningKey.of(self.signing_seed)


@dataclass(frozen=True, slots=True)
class SignerKeyFile:
    """The key of a root, a server or a courier: an Ed25519 seed and a name for people."""

    role: str
    name: str
    seed: bytes = field(repr=False)

    @property
    def key(self) -> SigningKey:
        return SigningKey.of(self.seed)


@dataclass(frozen=True, slots=True)
class DeskKeyFile:
    """The key of a desk. `network` is None in a file that was made before the network's manifest."""

    name: str
    number: int
    network: NetworkId | None
    desk: DeskSecret

    @property
    def key(self) -> SigningKey:
        return self.desk.key


@dataclass(frozen=True, slots=True)
class ChainKeyFile:
    """The chain behind one epoch list of a desk. Whoever opens it reads that desk's tips from its week on."""

    chain: Chain


KeyFile: TypeAlias = SignerKeyFile | DeskKeyFile | ChainKeyFile


def lock(content: KeyFile, passphrase: str, randomness: Randomness, *, log_n: int = DEFAULT_LOG_N) -> bytes:
    """Lock a secret with a passphrase: the bytes of a key file, to be written where only its owner reads.

    Args:
        content: the secret with what belongs to it.
        passphrase: as typed; its strength is the caller's to ask for.
        randomness: for the file's own keys.
        log_n: scrypt's work factor, from 1 to 20. Lower than 18 only in tests.

    Raises:
        Malformed: an empty passphrase, or a content that no reader would take.
    """
    record = to_json(_record(content))
    _parse(record)
    return age.armored(age.seal_bytes(record, [PassphraseRecipient(passphrase, log_n)], randomness))


def unlock(data: bytes, passphrase: str) -> KeyFile:
    """Open a key file.

    Raises:
        NotAuthentic: the passphrase is wrong, or the file was changed.
        Malformed: it isn't a key file.
        Refused: opening it would take more work than a key file may ask for.
    """
    if len(data) > MAX_BYTES:
        raise Malformed("This is too long to be a key file.")
    try:
        record = age.open_bytes(age.dearmored(data), [PassphraseIdentity(passphrase)])
    except NotForUs as error:
        raise NotAuthentic(
            "The passphrase doesn't open this key file.",
            "Type it again, and mind Caps Lock and whether the keyboard is Thai or English.",
        ) from error
    return _parse(record)


def _record(content: KeyFile) -> dict[str, Any]:
    match content:
        case SignerKeyFile():
            fields: dict[str, Any] = {"type": content.role, "name": content.name, "secret": content.seed.hex()}
        case DeskKeyFile():
            fields = {
                "type": "desk",
                "name": content.name,
                "number": content.number,
                "network": (content.network or b"").hex(),
                "secret": content.desk.secret.hex(),
            }
        case ChainKeyFile():
            chain = content.chain
            fields = {
                "type": "chain",
                "network": chain.network.hex(),
                "desk": chain.desk,
                "sequence": chain.sequence,
                "week": chain.week,
                "secret": chain.key.hex(),
            }
    return {"version": VERSION, **fields}


def _parse(record: bytes) -> KeyFile:
    fields = Fields(parse_json(record), "key file")
    if fields.integer("version", 0, INTEGER_MAX) != VERSION:
        raise Malformed("This key file is of a version that this program doesn't know.")
    type_ = fields.choice("type", tuple(_READERS))
    content = _READERS[type_](type_, fields)
    fields.done()
    return content


def _signer(type_: str, fields: Fields) -> SignerKeyFile:
    name = _name(fields) if type_ == "root" else parse_party_name(fields.text("name"))
    return SignerKeyFile(type_, name, fields.hex("secret", KEY_BYTES))


def _desk(_type: str, fields: Fields) -> DeskKeyFile:
    network = fields.text("network", 2 * NETWORK_ID_BYTES)
    return DeskKeyFile(
        _name(fields),
        fields.integer("number", 1, MAX_DESK_NUMBER),
        NetworkId(from_hex(network, NETWORK_ID_BYTES)) if network else None,
        DeskSecret(fields.hex("secret", KEY_BYTES)),
    )


def _chain(_type: str, fields: Fields) -> ChainKeyFile:
    return ChainKeyFile(
        Chain(
            NetworkId(fields.hex("network", NETWORK_ID_BYTES)),
            fields.integer("desk", 1, MAX_DESK_NUMBER),
            fields.integer("sequence", 1, INTEGER_MAX),
            fields.integer("week", 0, MAX_WEEK),
            fields.hex("secret", KEY_BYTES),
        )
    )


def _name(fields: Fields) -> str:
    name = fields.text("name", MAX_NAME_BYTES)
    refuse_deceiving(name, "name in a key file")
    return name


_READERS: dict[str, Callable[[str, Fields], KeyFile]] = {
    **dict.fromkeys(ROLES, _signer),
    "desk": _desk,
    "chain": _chain,
}
