"""minisign's files: stock minisign reads ours, and opinions of k count distinct keys."""

from __future__ import annotations

import base64
import contextlib
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys import minisign, statement
from keys.errors import DropBoxError, Malformed, NotAuthentic
from keys.minisign import SignedDocument, SigningKey

SEEDS = [bytes([number]) * 32 for number in range(1, 6)]
KEYS = [SigningKey.of(seed) for seed in SEEDS]
STATEMENT = "mustshare/v1/note\n\nข้อความ".encode()


def stock_minisign(folder: Path, key: SigningKey, data: bytes, signature: bytes) -> subprocess.CompletedProcess[str]:
    program = shutil.which("minisign")
    if program is None:
        pytest.fail("minisign is missing. Run: apt-get install minisign")
    (folder / "statement").write_bytes(data)
    (folder / "statement.minisig").write_bytes(signature)
    (folder / "key.pub").write_bytes(key.file())
    command = [program, "-V", "-m", str(folder / "statement"), "-p", str(folder / "key.pub")]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_stock_minisign_takes_our_signature(tmp_path: Path) -> None:
    done = stock_minisign(tmp_path, KEYS[0], STATEMENT, minisign.sign(SEEDS[0], STATEMENT, "note"))

    assert done.returncode == 0, done.stderr
    assert "Trusted comment: mustshare/v1/note" in done.stdout + done.stderr


@pytest.mark.parametrize("change", ["statement", "comment", "key"])
def test_stock_minisign_refuses_a_changed_copy(tmp_path: Path, change: str) -> None:
    signature = minisign.sign(SEEDS[0], STATEMENT, "note")
    data = STATEMENT + b" " if change == "statement" else STATEMENT
    if change == "comment":
        signature = signature.replace(b"v1/note", b"v1/nota")

    done = stock_minisign(tmp_path, KEYS[1] if change == "key" else KEYS[0], data, signature)

    assert done.returncode != 0


def test_we_take_what_stock_minisign_signs(tmp_path: Path) -> None:
    program = shutil.which("minisign") or pytest.fail("minisign is missing. Run: apt-get install minisign")
    file, secret, public = tmp_path / "statement", tmp_path / "key", tmp_path / "key.pub"
    file.write_bytes(STATEMENT)
    subprocess.run([program, "-GW", "-p", public, "-s", secret], check=True, capture_output=True, timeout=30)
    subprocess.run(
        [program, "-S", "-s", secret, "-m", file, "-t", "mustshare/v1/note"],
        check=True,
        capture_output=True,
        timeout=30,
    )
    raw = base64.b64decode(public.read_text().split("\n")[1])

    # minisign draws its key ids; ours are derived from the key. So its key is read without its id, and its
    # signature verified by the bytes that both define alike.
    theirs = base64.b64decode((tmp_path / "statement.minisig").read_text().split("\n")[1])
    assert theirs[:2] == b"ED"
    statement.verify(raw[10:], STATEMENT, theirs[10:])


def test_a_key_is_written_as_minisign_writes_it() -> None:
    text = KEYS[0].text

    assert SigningKey.parse(text) == KEYS[0]
    assert text.startswith("RW")
    assert len(KEYS[0].fingerprint.split()) == 8


@pytest.mark.parametrize("change", ["id", "algorithm", "short", "space", "empty", "newline"])
def test_a_key_has_one_spelling(change: str) -> None:
    raw = base64.b64decode(KEYS[0].text)
    text = {
        "id": base64.b64encode(raw[:2] + bytes(8) + raw[10:]).decode(),
        "algorithm": base64.b64encode(b"ED" + raw[2:]).decode(),
        "short": base64.b64encode(raw[:-1]).decode(),
        "space": KEYS[0].text + " ",
        "empty": "",
        "newline": KEYS[0].text + "\n",
    }[change]

    with pytest.raises(Malformed):
        SigningKey.parse(text)


def test_another_kind_of_statement_needs_its_own_signature() -> None:
    signature = minisign.sign(SEEDS[0], STATEMENT, "note")

    with pytest.raises(NotAuthentic):
        minisign.verify(KEYS[0], STATEMENT, signature, "other")


@given(at=st.integers(0), change=st.integers(1, 255))
def test_any_changed_byte_of_a_signature_file_is_refused(at: int, change: int) -> None:
    signature = bytearray(minisign.sign(SEEDS[0], STATEMENT, "note"))
    at %= len(signature)
    signature[at] ^= change
    # The first line is minisign's "untrusted comment": whatever stands there is signed by nobody.
    untrusted = signature.index(b"\n")

    try:
        minisign.verify(KEYS[0], STATEMENT, bytes(signature), "note")
    except DropBoxError:
        return
    assert at < untrusted


@given(data=st.binary(max_size=400))
def test_any_bytes_raise_only_our_errors(data: bytes) -> None:
    for read in (
        lambda: minisign.verify(KEYS[0], STATEMENT, data, "note"),
        lambda: SignedDocument.decode(data),
        lambda: SigningKey.parse(data.decode("latin-1")),
    ):
        with contextlib.suppress(DropBoxError):
            read()


def test_an_opinion_counts_distinct_keys() -> None:
    one, other = (minisign.sign(seed, STATEMENT, "note") for seed in SEEDS[:2])
    stranger = minisign.sign(SEEDS[4], STATEMENT, "note")

    assert minisign.signers(KEYS[:3], STATEMENT, [one, one, one], "note") == {KEYS[0]}
    assert minisign.signers([KEYS[0], KEYS[0]], STATEMENT, [one, other], "note") == {KEYS[0]}
    assert minisign.signers(KEYS[:3], STATEMENT, [stranger, b"rubbish", other, one], "note") == set(KEYS[:2])
    assert minisign.signers(KEYS[:3], STATEMENT, [stranger], "note") == set()


def test_too_many_signatures_are_refused() -> None:
    with pytest.raises(Malformed):
        minisign.signers(KEYS, STATEMENT, [b""] * 17, "note")


@settings(max_examples=50)
@given(data=st.binary(max_size=500), signatures=st.lists(st.binary(max_size=300), max_size=16))
def test_documents_are_read_back(data: bytes, signatures: list[bytes]) -> None:
    document = SignedDocument(data, tuple(signatures))

    assert SignedDocument.decode(document.encode()) == document
    for cut in (document.encode()[:-1], document.encode() + b"\0"):
        with pytest.raises(Malformed):
            SignedDocument.decode(cut)


@pytest.mark.parametrize("data", [(2**20 + 1).to_bytes(4) + bytes(2**20 + 2), bytes(4) + b"\x11" + bytes(34)])
def test_a_document_has_bounds(data: bytes) -> None:
    with pytest.raises(Malformed):
        SignedDocument.decode(data)
