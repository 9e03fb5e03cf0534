"""Writes the vectors of SPEC sections 6 and 9: replies, their cells' addresses. Run: python generate.py [FOLDER]"""

import hashlib
import hmac
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from independent import NETWORK, header, public, secret, sign, to_json, write  # noqa: E402

FOLDER = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
SEED, OTHER = secret("a desk"), secret("another desk")
ROOT, SOURCE = secret("a mailbox"), public(secret("a source"))
PLACE = {"desk": 2, "week": 2968, "index": 5, "source": SOURCE.hex()}
PAYLOAD_BYTES = 1_000
FILES = [("คำถาม.txt", "text/plain", b"a" * 900), ("empty", "", b""), ("map.png", "image/png", bytes(range(256)) * 4)]


def body(files, **changes):
    listed = [{"name": n, "type": t, "size": len(d), "sha256": hashlib.sha256(d).hexdigest()} for n, t, d in files]
    fields = {"version": 1, "language": "th", "text": "ขอเอกสารหน้าสอง", "state": "needs-more", "asks": [1, 3], "cells": 1, "attachments": listed}
    content = b"".join(data for _, _, data in files)
    for _ in range(3):
        fields["cells"] = -(-(68 + len(to_json(fields)) + len(content)) // PAYLOAD_BYTES)
    return to_json({**fields, **changes}), content


def whole(files, seed=SEED, place=PLACE, network=NETWORK, behind=b"", **changes):
    said, content = body(files, **changes)
    signature = sign(seed, header("reply", *place.items(), network=network) + said)
    data = (64 + len(said)).to_bytes(4, "big") + signature + said + content + behind
    return [data[at : at + PAYLOAD_BYTES] for at in range(0, len(data), PAYLOAD_BYTES)]


def tag(cell):
    numbers = PLACE["desk"].to_bytes(2, "big") + PLACE["week"].to_bytes(4, "big") + PLACE["index"].to_bytes(2, "big")
    return hmac.digest(ROOT, b"mustshare/v1/tag\x00" + numbers + cell.to_bytes(4, "big"), "sha256")


def address(cell):
    data = b"mustshare/v1/address\x00" + NETWORK + PLACE["desk"].to_bytes(2, "big") + tag(cell)
    return hashlib.blake2b(data, digest_size=32).digest()


def vector(name, about, expect, payloads, **fields):
    write(FOLDER, name, {
        "about": about, "expect": expect, "network": NETWORK.hex(), "place": PLACE, "key": public(SEED).hex(),
        "payload_bytes": PAYLOAD_BYTES, "payloads": [payload.hex() for payload in payloads], **fields,
    })


def good(name, about, files, **fields):
    vector(name, about, "ok", whole(files), seed=SEED.hex(), text="ขอเอกสารหน้าสอง", state="needs-more", language="th", asks=[1, 3],
           files=[{"name": n, "type": t, "content": d.hex()} for n, t, d in files], **fields)


cells = len(whole(FILES))
good("reply", "Three attachments, one of them empty, over several cells.", FILES, root=ROOT.hex(),
     tags=[tag(at).hex() for at in range(cells)], addresses=[address(at).hex() for at in range(cells)])
good("reply-alone", "Words alone: one cell.", [])
vector("reply-forged", "Signed by another desk.", "NotAuthentic", whole([], OTHER))
vector("reply-other-network", "Signed for another network.", "NotAuthentic", whole([], network=bytes(32)))
for field, value in [("desk", 1), ("week", 2967), ("index", 4), ("source", "00" * 32)]:
    vector(f"reply-other-{field}", f"Signed for another {field}.", "NotAuthentic", whole([], place={**PLACE, field: value}))
vector("reply-too-many-cells", "It says that it has two cells, and has one.", "Malformed", whole([], cells=2))
vector("reply-something-behind", "A byte that belongs to nothing.", "Malformed", whole([], behind=b"x"))
vector("reply-other-state", "A state that no source is shown.", "Malformed", whole([], state="ignored"))
vector("reply-asks-unsorted", "Desks 3 and 1.", "Malformed", whole([], asks=[3, 1]))
vector("reply-asks-nobody", "There is no desk 0.", "Malformed", whole([], asks=[0]))
vector("reply-cut", "Cut in its signature.", "Malformed", [whole([])[0][:50]])
