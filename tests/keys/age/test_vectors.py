"""The C2SP test vectors for age (npm `cctv-age`): each in its class of outcome and in the hash of what comes out."""

from __future__ import annotations

import hashlib
import io
import zlib
from dataclasses import dataclass
from pathlib import Path

import pytest

from keys.age import (
    ArmorMalformed,
    ArmorReader,
    HeaderMalformed,
    HeaderNotAuthentic,
    Identity,
    NoIdentityMatches,
    PassphraseIdentity,
    PayloadNotAuthentic,
    WorkRefused,
    armored,
    dearmored,
    open_,
    parse_identity,
)
from keys.age import header as headers
from keys.age.stream import StreamSealer, open_chunks, payload_key
from keys.errors import DropBoxError
from tests.keys.age.peers import typage

COUNT = 143
CLASSES: dict[str, tuple[type[DropBoxError], ...]] = {
    "HMAC failure": (HeaderNotAuthentic,),
    "header failure": (HeaderMalformed, WorkRefused),
    "armor failure": (ArmorMalformed,),
    "no match": (NoIdentityMatches,),
    "payload failure": (PayloadNotAuthentic,),
}


@dataclass(frozen=True, slots=True)
class Vector:
    """One scenario: a file, what is known of it, and what must come of opening it."""

    expect: str
    payload_sha256: str
    file_key: bytes
    identities: list[Identity]
    is_armored: bool
    file: bytes

    @classmethod
    def read(cls, path: Path) -> Vector:
        head, _, file = path.read_bytes().partition(b"\n\n")
        lines = [line.partition(": ")[::2] for line in head.decode().split("\n")]
        facts = dict(lines)
        identities: list[Identity] = [parse_identity(value) for key, value in lines if key == "identity"]
        identities += [PassphraseIdentity(value) for key, value in lines if key == "passphrase"]
        return cls(
            facts["expect"],
            facts.get("payload", hashlib.sha256(b"").hexdigest()),
            bytes.fromhex(facts["file key"]),
            identities,
            facts.get("armored") == "yes",
            zlib.decompress(file) if facts.get("compressed") == "zlib" else file,
        )


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Vector]:
    folder = tmp_path_factory.mktemp("cctv-age")
    typage("vectors", str(folder))
    found = {path.name: Vector.read(path) for path in sorted(folder.iterdir())}
    assert len(found) == COUNT
    return found


def test_every_vector_ends_in_its_class_with_its_payload(vectors: dict[str, Vector], subtests: pytest.Subtests) -> None:
    for name, vector in vectors.items():
        with subtests.test(name):
            reader, out = io.BytesIO(vector.file), io.BytesIO()
            expected = CLASSES.get(vector.expect)
            source = ArmorReader(reader) if vector.is_armored else reader
            if expected is None:
                assert vector.expect == "success"
                open_(source, out, vector.identities)
            else:
                with pytest.raises(expected):
                    open_(source, out, vector.identities)
            assert hashlib.sha256(out.getvalue()).hexdigest() == vector.payload_sha256


def test_every_good_header_and_payload_is_written_as_it_was_read(
    vectors: dict[str, Vector], subtests: pytest.Subtests
) -> None:
    for name, vector in vectors.items():
        if vector.is_armored or vector.expect == "header failure":
            continue
        with subtests.test(name):
            reader = io.BytesIO(vector.file)
            header = headers.parse(reader)
            assert header.encode() + reader.read() == vector.file
            again = headers.header_bytes(vector.file_key, header.stanzas)
            assert (again == header.encode()) is (vector.expect != "HMAC failure")
            if vector.expect == "success":
                nonce, sealed = vector.file[len(again) : len(again) + 16], vector.file[len(again) + 16 :]
                key, out = payload_key(vector.file_key, nonce), io.BytesIO()
                sealer = StreamSealer(key, out)
                sealer.write(open_chunks(key, sealed))
                sealer.finish()
                assert out.getvalue() == sealed


def test_all_good_armor_is_written_as_it_was_read(vectors: dict[str, Vector], subtests: pytest.Subtests) -> None:
    for name, vector in vectors.items():
        if vector.is_armored and vector.expect != "armor failure":
            with subtests.test(name):
                assert armored(dearmored(vector.file)) == vector.file.strip().replace(b"\r\n", b"\n") + b"\n"
