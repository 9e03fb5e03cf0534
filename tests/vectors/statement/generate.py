"""Writes the vectors of SPEC section 3 beside itself: statements, keys and raw signatures. Run: python generate.py"""

import json
from pathlib import Path

from keys import statement
from keys.minisign import SigningKey
from keys.statement import NetworkId

HERE = Path(__file__).parent
NETWORK = NetworkId(bytes(range(32)))
HEX = NETWORK.hex()


def write(name: str, vector: dict[str, object]) -> None:
    (HERE / f"{name}.json").write_text(json.dumps(vector, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def good(name: str, about: str, type_: str, context: list[tuple[str, str | int]], body: bytes, seed: bytes) -> None:
    raw = statement.make(type_, NETWORK, context, body)
    write(
        name,
        {
            "about": about,
            "expect": "ok",
            "statement": raw.hex(),
            "type": type_,
            "names": [each for each, _ in context],
            "network": HEX,
            "context": [[each, str(value)] for each, value in context],
            "body": body.hex(),
            "seed": seed.hex(),
            "key": SigningKey.of(seed).text,
            "fingerprint": SigningKey.of(seed).fingerprint,
            "signature": statement.sign(seed, raw).hex(),
        },
    )


def bad(name: str, about: str, raw: bytes) -> None:
    write(
        name,
        {"about": about, "expect": "malformed", "statement": raw.hex(), "type": "note", "names": ["week", "desk"]},
    )


good("no-context", "A type, a network, a body.", "note", [], b"body", bytes(32))
good("context", "Two lines of context.", "note", [("week", 2968), ("desk", 1)], b"{}\n", bytes([1]) * 32)
good("empty-body", "Nothing behind the empty line.", "note", [("week", 0)], b"", bytes([2]) * 32)
good("body-with-empty-lines", "The header ends at the first empty line.", "note", [], b"\n\nx\n\n", bytes([3]) * 32)
bad("order", "The lines of the context are swapped.", f"mustshare/v1/note\nnetwork {HEX}\ndesk 1\nweek 2\n\n".encode())
bad("missing", "A line of the context is missing.", f"mustshare/v1/note\nnetwork {HEX}\nweek 2\n\n".encode())
bad("upper-case", "The network is written in upper case.", f"mustshare/v1/note\nnetwork {HEX.upper()}\nweek 2\ndesk 1\n\n".encode())
bad("carriage-return", "Lines end with CR LF.", f"mustshare/v1/note\r\nnetwork {HEX}\r\nweek 2\r\ndesk 1\r\n\r\n".encode())
bad("too-long", "The header has more than 4,096 bytes.", f"mustshare/v1/note\nnetwork {HEX}\nweek {'1' * 4096}\ndesk 1\n\n".encode())
