"""Writes the vectors of SPEC section 13: signed inventories. Run: python generate.py [FOLDER]"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from independent import NETWORK, header, minisign, secret, signing_key, to_json, write  # noqa: E402

FOLDER = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
SEED, OTHER = secret("a server"), secret("another server")
CELLS = sorted((secret(f"cell {at}"), secret(f"digest {at}")) for at in range(3))
HEAD = {
    "version": 1, "manifest": 4, "marks": {"1": 12, "2": 0, "127": 2**53 - 1}, "refused": {"1": [9, 12]},
    "health": {"version": "0.1.0", "days_left_manifest": 300, "days_left_epochs": {"1": 56}, "slots": 1000, "free_slots": 997},
}


def inventory(head=HEAD, cells=CELLS, server="alpha", network=NETWORK, tail=b""):
    said = to_json(head)
    listed = b"".join(cell + digest for cell, digest in cells)
    context = (("server", server), ("sequence", 7), ("time", 1_794_960_000))
    return header("inventory", *context, network=network) + len(said).to_bytes(4, "big") + said + listed + tail


def vector(name, about, expect, raw, signature=None, last=0, **fields):
    write(FOLDER, name, {
        "about": about, "expect": expect, "network": NETWORK.hex(),
        "servers": {"alpha": signing_key(SEED), "beta": signing_key(OTHER)}, "last": {"alpha": last},
        "statement": raw.hex(), "signature": signature or minisign(SEED, raw, "inventory"), **fields,
    })


def good(name, about, cells, last=0):
    vector(name, about, "ok", inventory(cells=cells), last=last, server="alpha", sequence=7, time=1_794_960_000, json=HEAD,
           cells=[[cell.hex(), digest.hex()] for cell, digest in cells])


good("inventory", "Three cells.", CELLS)
good("inventory-empty", "No cell.", [])
good("inventory-again", "The one that was seen last.", CELLS, 7)
vector("inventory-older", "Older than one that was seen.", "Stale", inventory(), last=8)
vector("inventory-forged", "Another server's signature.", "NotAuthentic", inventory(), minisign(OTHER, inventory(), "inventory"))
vector("inventory-other-type", "Signed as a manifest.", "NotAuthentic", inventory(), minisign(SEED, inventory(), "manifest"))
vector("inventory-unknown-server", "A server that the manifest doesn't list.", "NotAuthentic", inventory(server="gamma"))
vector("inventory-other-server", "In another server's name.", "NotAuthentic", inventory(server="beta"))
vector("inventory-other-network", "Another network's.", "NotForUs", inventory(network=bytes(32)))
vector("inventory-unsorted", "Cells that aren't sorted.", "Malformed", inventory(cells=CELLS[::-1]))
vector("inventory-twice", "A cell twice.", "Malformed", inventory(cells=[CELLS[0], CELLS[0]]))
vector("inventory-cut", "Half a cell at its end.", "Malformed", inventory(tail=bytes(32)))
vector("inventory-desk-zero", "A mark of desk 0.", "Malformed", inventory({**HEAD, "marks": {"0": 1}}))
vector("inventory-tells-more", "Health that tells of tips.", "Malformed", inventory({**HEAD, "health": {**HEAD["health"], "tips": 3}}))
vector("inventory-path", "A server's name that leads elsewhere.", "NotAuthentic", inventory(server="../alpha"))
