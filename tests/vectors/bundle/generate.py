"""Writes the vectors of SPEC sections 14 and 15: bundles, parts, lists of known cells. Run: python generate.py [FOLDER]

Long runs of one byte are written as [byte, count].
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from independent import CELL_BYTES, NETWORK, header, public, secret, sign, to_json, write  # noqa: E402

FOLDER = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
SEED, OTHER = secret("a desk"), secret("another desk")
HEAD = {"desk": 2, "server": "alpha", "first": 5, "entries": 3, "cells": 1, "issued": 1_794_960_000, "expires": 1_797_379_200}
IDS = sorted(secret(f"id {at}") for at in range(3))
TAG = secret("a tag")


def entry(kind, *pieces, length=None):
    size = sum(len(unpacked(piece)) for piece in pieces) if length is None else length
    return [bytes([kind]) + size.to_bytes(4, "big"), *pieces]


def unpacked(piece):
    return piece if isinstance(piece, bytes) else bytes.fromhex(piece[0]) * piece[1]


ACKNOWLEDGEMENT, DOCUMENT = entry(1, b"".join(IDS)), entry(4, b"a signed document")
CELL = entry(2, TAG, ["a5", CELL_BYTES])
ENTRIES = [*ACKNOWLEDGEMENT, *CELL, *DOCUMENT]


def outbound(pieces=ENTRIES, seed=SEED, network=NETWORK, behind=(), **changes):
    first = header("outbound", *{**HEAD, **changes}.items(), network=network)
    whole = [first, *pieces]
    return [*whole, sign(seed, b"".join(unpacked(piece) for piece in whole)), *behind]


def vector(name, about, expect, what, pieces, **fields):
    write(FOLDER, name, {
        "about": about, "expect": expect, "what": what, "network": NETWORK.hex(), "key": public(SEED).hex(),
        "pieces": [piece.hex() if isinstance(piece, bytes) else piece for piece in pieces], **fields,
    })


def bad(name, about, pieces, expect="Malformed"):
    vector(name, about, expect, "outbound", pieces)


vector("outbound", "An acknowledgement, a cell and a document.", "ok", "outbound", outbound(), head=HEAD, seed=SEED.hex(), entries=[
    {"number": 5, "type": 1, "pieces": [b"".join(IDS).hex()]},
    {"number": 6, "type": 2, "pieces": [TAG.hex(), ["a5", CELL_BYTES]]},
    {"number": 7, "type": 4, "pieces": [b"a signed document".hex()]},
])
bad("outbound-forged", "Signed by another desk.", outbound(seed=OTHER), "NotAuthentic")
bad("outbound-no-cell", "No cell, so no cover for replies.", outbound([*ACKNOWLEDGEMENT, *DOCUMENT], entries=2, cells=0))
bad("outbound-miscounted", "A cell more than it holds.", outbound(cells=2))
bad("outbound-entry-missing", "An entry more than it holds.", outbound(entries=4))
bad("outbound-entry-behind", "An entry that isn't announced.", outbound(entries=2))
bad("outbound-type-zero", "An entry of type 0.", outbound([*ENTRIES, *entry(0, b"x")], entries=4))
bad("outbound-type-unknown", "An entry of type 7.", outbound([*ENTRIES, *entry(7, b"x")], entries=4))
bad("outbound-half-an-id", "Half an id.", outbound([*entry(1, IDS[0][:16]), *CELL], entries=2))
bad("outbound-empty-entry", "An empty document.", outbound([*ENTRIES, *entry(3)], entries=4))
bad("outbound-short-cell", "A cell of another size.", outbound(entry(2, TAG, ["a5", CELL_BYTES - 1]), entries=1))
bad("outbound-lying-length", "A document as long as all memory.", outbound([*CELL, *entry(5, length=2**32 - 1)], entries=2))
bad("outbound-from-zero", "Numbered from 0.", outbound(first=0))
bad("outbound-desk-zero", "Desk 0.", outbound(desk=0))
bad("outbound-path", "A server's name that leads elsewhere.", outbound(server="../alpha"))
bad("outbound-something-behind", "A byte behind the signature.", outbound(behind=[b"\x00"]))
bad("outbound-no-signature", "It ends before its signature.", outbound()[:-1])

PART = header("cells", ("server", "alpha"), ("inventory", 12))
RECORDS = [IDS[0], ["a5", CELL_BYTES], IDS[1], ["5a", CELL_BYTES]]
FOUND = [[IDS[0].hex(), "a5"], [IDS[1].hex(), "5a"]]
vector("cells", "Two cells.", "ok", "cells", [PART, *RECORDS], server="alpha", inventory=12, cells=FOUND)
vector("cells-none", "No cell.", "ok", "cells", [PART], server="alpha", inventory=12, cells=[])
vector("cells-cut", "The second cell is cut short; the first counts.", "Malformed", "cells",
       [PART, *RECORDS[:3], ["5a", CELL_BYTES - 1]], server="alpha", cells=FOUND[:1])
vector("cells-other-server", "Another server's.", "NotForUs", "cells",
       [header("cells", ("server", "beta"), ("inventory", 12)), *RECORDS], server="alpha", cells=[])
vector("cells-other-network", "Another network's.", "NotForUs", "cells",
       [header("cells", ("server", "alpha"), ("inventory", 12), network=bytes(32)), *RECORDS], server="alpha", cells=[])


def known(head={"version": 1, "inventories": {"alpha": 12}}, ids=IDS, desk=2):
    said = to_json(head)
    return [header("known", ("desk", desk)) + len(said).to_bytes(4, "big") + said + b"".join(ids)]


vector("known", "Three cells, read up to inventory 12 of one server.", "ok", "known", known(), desk=2,
       inventories={"alpha": 12}, ids=[each.hex() for each in IDS])
vector("known-nothing", "Nothing yet.", "ok", "known", known({"version": 1, "inventories": {}}, []), desk=2, inventories={}, ids=[])
vector("known-unsorted", "Ids that aren't sorted.", "Malformed", "known", known(ids=IDS[::-1]))
vector("known-twice", "An id twice.", "Malformed", "known", known(ids=[IDS[0], IDS[0]]))
vector("known-cut", "Half an id.", "Malformed", "known", known(ids=[IDS[0][:16]]))
vector("known-path", "A server's name that leads elsewhere.", "Malformed", "known", known({"version": 1, "inventories": {"../x": 1}}))
vector("known-desk-zero", "Desk 0.", "Malformed", "known", known(desk=0))
