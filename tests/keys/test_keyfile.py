"""Key files: stock age opens them, a wrong passphrase says so, and nothing prints a secret."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys import age, keyfile, primitives
from keys.age.passphrase import PassphraseRecipient
from keys.chain import Chain
from keys.encoding import to_json
from keys.errors import DropBoxError, Malformed, NotAuthentic, Refused
from keys.keyfile import ChainKeyFile, DeskKeyFile, DeskSecret, KeyFile, SignerKeyFile
from keys.minisign import SigningKey
from keys.statement import NetworkId
from tests.keys.age.peers import debian_age_asking
from tests.simulators.newsroom import seeded

PASSPHRASE = "ถูก horse battery staple"
NETWORK = NetworkId(bytes(range(32)))
SECRET = bytes([7]) * 32
CONTENTS: list[KeyFile] = [
    SignerKeyFile("root", "คุณ ก", SECRET),
    SignerKeyFile("server", "alpha", SECRET),
    SignerKeyFile("courier", "carrier-2", SECRET),
    DeskKeyFile("โต๊ะ", 3, None, DeskSecret(SECRET)),
    DeskKeyFile("Desk", 127, NETWORK, DeskSecret(SECRET)),
    ChainKeyFile(Chain(NETWORK, 3, 9, 2968, SECRET)),
]


def locked(content: KeyFile, passphrase: str = PASSPHRASE) -> bytes:
    return keyfile.lock(content, passphrase, seeded("lock"), log_n=4)


def locked_record(record: bytes) -> bytes:
    return age.armored(age.seal_bytes(record, [PassphraseRecipient(PASSPHRASE, 4)], seeded("record")))


@pytest.mark.parametrize("content", CONTENTS, ids=lambda content: type(content).__name__)
def test_what_is_locked_is_unlocked(content: KeyFile) -> None:
    assert keyfile.unlock(locked(content), PASSPHRASE) == content


@pytest.mark.parametrize("passphrase", ["wrong", PASSPHRASE + " ", PASSPHRASE.upper()])
def test_a_wrong_passphrase_is_not_authentic_and_hints(passphrase: str) -> None:
    with pytest.raises(NotAuthentic) as raised:
        keyfile.unlock(locked(CONTENTS[0]), passphrase)

    assert "Caps Lock" in raised.value.remedy
    assert passphrase not in str(raised.value)


def test_stock_age_opens_a_key_file(tmp_path: Path) -> None:
    key_file, opened = tmp_path / "desk.key", tmp_path / "desk.json"
    key_file.write_bytes(locked(CONTENTS[4], "correct horse battery"))

    debian_age_asking("correct horse battery", "-d", "-o", str(opened), str(key_file))

    assert json.loads(opened.read_bytes()) == {
        "version": 1,
        "type": "desk",
        "name": "Desk",
        "number": 127,
        "network": NETWORK.hex(),
        "secret": SECRET.hex(),
    }


@pytest.mark.parametrize("content", CONTENTS, ids=lambda content: type(content).__name__)
def test_no_secret_is_shown(content: KeyFile) -> None:
    for shown in (repr(content), str(content), repr(getattr(content, "desk", None))):
        assert SECRET.hex() not in shown
        assert repr(SECRET)[2:-1] not in shown


def test_a_desks_keys_derive_from_its_secret_as_the_spec_says() -> None:
    desk = DeskSecret(SECRET)

    assert desk.signing_seed == primitives.hkdf(SECRET, b"", b"mustshare/v1/desk/sign")
    assert desk.backup_key == primitives.hkdf(SECRET, b"", b"mustshare/v1/desk/backup")
    assert desk.key == SigningKey.of(desk.signing_seed)
    assert len({SECRET, desk.signing_seed, desk.backup_key}) == 3


GOOD = {"version": 1, "type": "desk", "name": "Desk", "number": 1, "network": "", "secret": SECRET.hex()}


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"type": "mailbox"},
        {"type": "root"},
        {"type": "chain"},
        {"secret": SECRET.hex()[2:]},
        {"secret": SECRET.hex().upper().replace("07", "AB")},
        {"number": 0},
        {"number": 128},
        {"number": True},
        {"network": "00"},
        {"name": "\x1b[31m"},
        {"name": 1},
        {"surprise": ""},
    ],
    ids=json.dumps,
)
def test_a_record_has_one_form(changes: dict[str, object]) -> None:
    with pytest.raises(Malformed):
        keyfile.unlock(locked_record(to_json({**GOOD, **changes})), PASSPHRASE)


def test_the_good_record_is_good() -> None:
    assert keyfile.unlock(locked_record(to_json(GOOD)), PASSPHRASE) == DeskKeyFile("Desk", 1, None, DeskSecret(SECRET))


def test_a_file_that_asks_for_too_much_work_is_refused() -> None:
    lines = age.dearmored(locked(CONTENTS[0])).replace(b" 4\n", b" 30\n", 1)

    with pytest.raises(Refused):
        keyfile.unlock(age.armored(lines), PASSPHRASE)


def test_a_file_for_keys_instead_of_a_passphrase_is_refused() -> None:
    recipient = age.HybridIdentity.from_seed(SECRET).recipient()
    sealed = age.armored(age.seal_bytes(to_json(GOOD), [recipient], seeded("keys")))

    with pytest.raises(DropBoxError):
        keyfile.unlock(sealed, PASSPHRASE)


def test_what_no_reader_would_take_is_not_locked() -> None:
    for content in (SignerKeyFile("server", "Not A Name", SECRET), SignerKeyFile("root", "\x07", SECRET)):
        with pytest.raises(Malformed):
            locked(content)
    with pytest.raises(Malformed):
        locked(CONTENTS[0], "")


@settings(max_examples=60, deadline=None)
@given(at=st.integers(0), change=st.integers(1, 255))
def test_any_changed_byte_is_refused(at: int, change: int) -> None:
    data = bytearray(locked(CONTENTS[0]))
    data[at % len(data)] ^= change

    with contextlib.suppress(DropBoxError):
        # White space at the ends and line ends are free in armor: then it must be the same file still.
        assert keyfile.unlock(bytes(data), PASSPHRASE) == CONTENTS[0]


@given(data=st.binary(max_size=300))
def test_any_bytes_raise_only_our_errors(data: bytes) -> None:
    with pytest.raises(DropBoxError):
        keyfile.unlock(data, PASSPHRASE)


@settings(deadline=None)
@given(data=st.binary(max_size=100))
def test_any_record_raises_only_our_errors(data: bytes) -> None:
    with pytest.raises(DropBoxError):
        keyfile.unlock(locked_record(data), PASSPHRASE)
