"""Files that others wrote are opened here, and files written here are opened by others. Both ways, each kind of key."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pyrage  # type: ignore[import-untyped]
import pytest

from keys.age import (
    HybridIdentity,
    NoIdentityMatches,
    PassphraseIdentity,
    PassphraseRecipient,
    X25519Identity,
    armored,
    dearmored,
    open_bytes,
    parse_identity,
    parse_recipient,
    seal_bytes,
)
from keys.age.stream import CHUNK_BYTES
from keys.primitives import system_randomness
from tests.keys.age.doubles import seeded
from tests.keys.age.peers import debian_age, debian_age_asking, typage

HYBRID = HybridIdentity.from_seed(b"\x01" * 32)
CLASSICAL = X25519Identity(b"\x02" * 32)
OTHER = X25519Identity(b"\x03" * 32)
PASSPHRASE = "ปลาทูนึ่ง three tins"
QUICK = PassphraseRecipient(PASSPHRASE, 10)

# Empty, one chunk to the byte, and an odd number of chunks.
CONTENTS = [b"", seeded(1)(CHUNK_BYTES), "แฉให้สุด\n".encode() * 12_345]
contents = pytest.mark.parametrize("data", CONTENTS, ids=["empty", "one chunk", "several chunks"])


@contents
def test_typage_and_we_open_each_others_post_quantum_files(data: bytes) -> None:
    others = [HybridIdentity.from_seed(bytes([number]) * 32).recipient() for number in range(2, 7)]
    ours = seal_bytes(data, [*others, HYBRID.recipient()], system_randomness)
    assert typage("decrypt", HYBRID.secret_text(), data=ours) == data
    theirs = typage("encrypt", f"{others[0]},{HYBRID.recipient()}", data=data)
    assert open_bytes(theirs, [HYBRID]) == data


@pytest.mark.parametrize("kind", ["hybrid", "x25519"])
def test_typages_keys_are_ours(kind: str) -> None:
    identity, recipient = typage("keygen", kind).decode().split()
    assert parse_identity(identity).secret_text() == identity
    assert str(parse_identity(identity).recipient()) == recipient
    sealed = seal_bytes(b"to typage's key", [parse_recipient(recipient)], system_randomness)
    assert typage("decrypt", identity, data=sealed) == b"to typage's key"


@contents
def test_typage_and_we_open_each_others_x25519_files(data: bytes) -> None:
    ours = seal_bytes(data, [OTHER.recipient(), CLASSICAL.recipient()], system_randomness)
    assert typage("decrypt", CLASSICAL.secret_text(), data=ours) == data
    theirs = typage("encrypt", f"{OTHER.recipient()},{CLASSICAL.recipient()}", data=data)
    assert open_bytes(theirs, [CLASSICAL]) == data


def test_typage_and_we_open_each_others_locked_files() -> None:
    ours = seal_bytes(b"locked", [QUICK], system_randomness)
    assert typage("decrypt", f"passphrase:{PASSPHRASE}", data=ours) == b"locked"
    theirs = typage("encrypt", f"passphrase:{PASSPHRASE}", data=b"locked")
    assert open_bytes(theirs, [PassphraseIdentity(PASSPHRASE)]) == b"locked"
    with pytest.raises(NoIdentityMatches):
        open_bytes(theirs, [PassphraseIdentity("another")])


def test_typage_refuses_what_is_not_its_own() -> None:
    with pytest.raises(subprocess.CalledProcessError):
        typage("decrypt", OTHER.secret_text(), data=seal_bytes(b"x", [CLASSICAL.recipient()], system_randomness))


@contents
def test_pyrage_and_we_open_each_others_x25519_files(data: bytes) -> None:
    ours = seal_bytes(data, [OTHER.recipient(), CLASSICAL.recipient()], system_randomness)
    assert pyrage.decrypt(ours, [pyrage.x25519.Identity.from_str(CLASSICAL.secret_text())]) == data
    theirs = pyrage.encrypt(data, [pyrage.x25519.Recipient.from_str(str(CLASSICAL.recipient()))])
    assert open_bytes(theirs, [OTHER, CLASSICAL]) == data


def test_pyrages_armor_is_ours() -> None:
    recipient = pyrage.x25519.Recipient.from_str(str(CLASSICAL.recipient()))
    for data in CONTENTS:
        theirs = pyrage.encrypt(data, [recipient], armored=True)
        assert open_bytes(dearmored(theirs), [CLASSICAL]) == data
        assert armored(dearmored(theirs)) == theirs
        ours = armored(seal_bytes(data, [CLASSICAL.recipient()], system_randomness))
        assert pyrage.decrypt(ours, [pyrage.x25519.Identity.from_str(CLASSICAL.secret_text())]) == data


def test_pyrage_and_we_open_each_others_locked_files() -> None:
    ours = seal_bytes(b"locked", [QUICK], system_randomness)
    assert pyrage.passphrase.decrypt(ours, PASSPHRASE) == b"locked"
    theirs = pyrage.passphrase.encrypt(b"locked", PASSPHRASE)
    assert open_bytes(theirs, [PassphraseIdentity(PASSPHRASE)]) == b"locked"


@contents
def test_debians_age_and_we_open_each_others_x25519_files(data: bytes, tmp_path: Path) -> None:
    key = tmp_path / "key.txt"
    key.write_text(CLASSICAL.secret_text() + "\n", encoding="ascii")
    ours = seal_bytes(data, [OTHER.recipient(), CLASSICAL.recipient()], system_randomness)
    for file in (ours, armored(ours)):
        assert debian_age("--decrypt", "--identity", str(key), data=file) == data
    theirs = debian_age("--encrypt", "--recipient", str(CLASSICAL.recipient()), data=data)
    assert open_bytes(theirs, [CLASSICAL]) == data
    theirs = debian_age("--encrypt", "--armor", "--recipient", str(CLASSICAL.recipient()), data=data)
    assert open_bytes(dearmored(theirs), [CLASSICAL]) == data


def test_debians_age_and_we_open_each_others_locked_files(tmp_path: Path) -> None:
    ours, theirs, opened = tmp_path / "ours.age", tmp_path / "theirs.age", tmp_path / "opened"
    ours.write_bytes(seal_bytes(b"locked", [QUICK], system_randomness))
    debian_age_asking(PASSPHRASE, "--decrypt", "--output", str(opened), str(ours))
    assert opened.read_bytes() == b"locked"
    debian_age_asking(PASSPHRASE, "--encrypt", "--passphrase", "--output", str(theirs), str(opened))
    assert open_bytes(theirs.read_bytes(), [PassphraseIdentity(PASSPHRASE)]) == b"locked"
