"""What docs/spec-parts/age.md prints is what the code writes and enforces."""

from __future__ import annotations

import re
from pathlib import Path

from keys import primitives
from keys.age import HybridIdentity, X25519Identity, bech32, header, open_bytes, passphrase, seal_bytes, stream
from tests.keys.age.doubles import counting
from tests.keys.age.peers import typage

SPEC = (Path(__file__).parents[3] / "docs" / "spec-parts" / "age.md").read_text(encoding="utf-8")
IDENTITY = X25519Identity(b"\x42" * 32)
CONTENT = "ต้องแฉ"


def worked_example() -> tuple[bytes, bytes]:
    """The header and the payload that section 4.8 prints, as text and as hexadecimal."""
    section = SPEC[SPEC.index("## 4.8") :]
    text, hexadecimal = re.findall(r"```(?:text|hex)\n(.*?)```", section, re.DOTALL)
    return text.encode(), bytes.fromhex(hexadecimal)


def test_the_worked_bytes_are_what_is_written() -> None:
    head, payload = worked_example()
    assert seal_bytes(CONTENT.encode(), [IDENTITY.recipient()], counting()) == head + payload
    assert IDENTITY.secret_text() in SPEC
    assert str(IDENTITY.recipient()) in SPEC


def test_the_worked_bytes_are_what_others_read() -> None:
    head, payload = worked_example()
    assert open_bytes(head + payload, [IDENTITY]).decode() == CONTENT
    assert typage("decrypt", IDENTITY.secret_text(), data=head + payload).decode() == CONTENT


def test_the_limits_are_those_of_the_code() -> None:
    limits = {
        "bytes of a line": header.MAX_LINE_BYTES,
        "bytes of a header": header.MAX_HEADER_BYTES,
        "stanzas": header.MAX_STANZAS,
        "scrypt work factor": passphrase.MAX_LOG_N,
        "characters of a key": bech32.MAX_TEXT_CHARACTERS,
        "plaintext bytes of a chunk": stream.CHUNK_BYTES,
    }
    for what, limit in limits.items():
        assert f"| {what} | {limit:,} |" in SPEC


def test_the_length_of_a_post_quantum_recipient_is_as_printed() -> None:
    recipient = HybridIdentity.from_seed(bytes(32)).recipient()
    assert len(recipient.public) == primitives.MLKEM768X25519_PUBLIC_BYTES
    assert f"{len(str(recipient)):,} characters" in SPEC
