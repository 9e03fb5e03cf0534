"""Writes the vectors of SPEC section 7: sizes, blocks, and two whole cells that typage sealed.

Run: python generate.py [FOLDER]. With `cells` behind it the two cells are sealed anew: they come out different each
time, since typage takes no randomness.
"""

import base64
import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from independent import CELL_BYTES, sparse, stream, write  # noqa: E402

FOLDER = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
TYPAGE = ["node", str(HERE.parents[1] / "peers" / "typage.mjs")]
R = 6
SIZE = CELL_BYTES - 22 - 1557 * R - 48 - 16 - 64
HEAD = b"MSC1" + bytes([1, 0, 0, 0]) + bytes(range(16))
PAYLOAD = "ต้องแฉ".encode()


def trailer(length, flags):
    return length.to_bytes(4, "big") + bytes([flags, 0, 0, 0])


def place(item, number):
    return item.to_bytes(4, "big") + number.to_bytes(4, "big")


def block(name, about, expect, pieces, size=SIZE, **fields):
    listed = [[at, piece.hex()] for at, piece in pieces]
    write(FOLDER, f"block-{name}", {"about": about, "expect": expect, "recipients": R, "size": size, "bytes": listed, **fields})


def good(name, about, kind, series, item, number, payload, flags):
    head = b"MSC1" + bytes([kind, 0, 0, 0]) + series + place(item, number)
    pieces = [(0, head), (32, payload), (SIZE - 8, trailer(len(payload), flags))]
    block(name, about, "ok", pieces, kind=kind, series=series.hex(), item=item, number=number, flags=flags, payload=payload.hex())


def bad(name, about, *changes, payload=PAYLOAD, flags=1, length=None, head=HEAD + place(3, 0), size=SIZE):
    pieces = [(0, head), (32, payload), (SIZE - 8, trailer(len(payload) if length is None else length, flags)), *changes]
    block(name, about, "Malformed", pieces, size)


write(FOLDER, "sizes", {
    "about": "What follows from R.",
    "sizes": [
        {"recipients": r, "sealed_head": 22 + 1557 * r + 48 + 16, "block": CELL_BYTES - 22 - 1557 * r - 48 - 16 - 64,
         "payload": CELL_BYTES - 22 - 1557 * r - 48 - 16 - 64 - 40}
        for r in range(2, 17)
    ],
})

SERIES = bytes(range(16))
good("message", "A tip without files: one cell, last and closed.", 1, SERIES, 0, 0, PAYLOAD, 5)
good("interrupted", "The last cell of a file whose upload broke.", 1, SERIES, 3, 2, PAYLOAD, 3)
good("closing", "The closing item.", 1, SERIES, 2**32 - 1, 0, PAYLOAD, 5)
good("empty", "A cell without payload.", 1, SERIES, 1, 0, b"", 1)
good("reply", "The first cell of a reply.", 2, SERIES, 0, 0, PAYLOAD, 1)
good("filler", "A filler.", 3, bytes(16), 0, 0, b"", 1)
good("referral", "A referral: counted, not read.", 4, SERIES, 0, 0, PAYLOAD, 1)

bad("other-magic", "Another version.", (3, b"2"))
bad("kind-zero", "Kind 0.", (4, b"\x00"))
bad("kind-unknown", "Kind 5.", (4, b"\x05"))
bad("head-not-zero", "A byte behind the kind.", (6, b"\x01"))
bad("padding-not-zero", "A byte behind the payload.", (32 + len(PAYLOAD), b"\x01"))
bad("padding-before-trailer", "A byte before the trailer.", (SIZE - 9, b"\x01"))
bad("length-short", "The length leaves a byte of the payload behind.", length=len(PAYLOAD) - 1)
bad("length-too-long", "A length of one more than fits.", length=SIZE - 39)
bad("flag-undefined", "Flag 8.", flags=9)
bad("trailer-not-zero", "The last byte.", (SIZE - 1, b"\x01"))
bad("not-last-not-full", "Not the last cell, and not full.", flags=0)
bad("interrupted-not-last", "Interrupted, and not the last.", flags=2)
bad("filler-with-series", "A filler with a series.", head=b"MSC1" + bytes([3, 0, 0, 0]) + SERIES + place(0, 0), payload=b"")
bad("filler-with-content", "A filler with a payload.", head=b"MSC1" + bytes([3, 0, 0, 0]) + bytes(16) + place(0, 0))
bad("too-long", "A byte more than a block.", size=SIZE + 1)


def typage(*arguments):
    return subprocess.run([*TYPAGE, *arguments], capture_output=True, check=True).stdout


def sealed(name, about, at, pieces):
    """Have typage seal a block to six recipients, ours at a place; keep the head, and what the rest follows from."""
    from keys.age import parse_identity  # Only to take the file key out, which typage doesn't tell.
    from keys.age.header import parse
    import io

    keys = [typage("keygen").decode().split() for _ in range(R)]
    plain = sparse(SIZE, pieces)
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(plain)
        cell = typage("encrypt", ",".join(recipient for _, recipient in keys), file.name)
    assert len(cell) == CELL_BYTES
    head_bytes = 22 + 1557 * R + 48 + 16
    file_key = parse_identity(keys[at][0]).unwrap(parse(io.BytesIO(cell)).stanzas)
    assert cell[head_bytes:] == stream(file_key, cell[head_bytes - 16 : head_bytes], plain)
    write(FOLDER, name, {
        "about": about, "expect": "ok", "recipients": R, "identity": keys[at][0], "place": at,
        "stranger": typage("keygen").decode().split()[0],
        "sealed_head": base64.b64encode(cell[:head_bytes]).decode(), "file_key": file_key.hex(),
        "size": SIZE, "bytes": [[where, piece.hex()] for where, piece in pieces],
        "sha256": hashlib.sha256(cell).hexdigest(), "digest": hashlib.sha256(cell[:head_bytes]).hexdigest(),
    })


if "cells" in sys.argv[2:]:
    sealed("sealed-tip", "A message that typage sealed; the desk's stanza is the third.", 2,
           [(0, HEAD + place(0, 0)), (32, PAYLOAD), (SIZE - 8, trailer(len(PAYLOAD), 5))])
    sealed("sealed-reply", "A reply that typage sealed; its tag begins with 47, so its stanza is the sixth.", 5,
           [(0, b"MSC1" + bytes([2, 0, 0, 0]) + SERIES + place(0, 0)), (32, PAYLOAD), (SIZE - 8, trailer(len(PAYLOAD), 1))])
