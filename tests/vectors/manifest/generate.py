"""Writes the vectors of SPEC section 10 beside itself. Run from the top of the tree: PYTHONPATH=. python <this file>

Each is a candidate, what the machine trusts, the time, and what follows: "admitted", or the class of the error.
"""

import json
from dataclasses import replace
from pathlib import Path

from keys import manifest
from keys.minisign import SignedDocument
from tests.simulators.newsroom import Newsroom

HERE = Path(__file__).parent


def write(name: str, about: str, newsroom: Newsroom, trusted: manifest.Manifest | None, document: SignedDocument, expect: str) -> None:
    vector: dict[str, object] = {
        "about": about,
        "expect": expect,
        "network": newsroom.network.hex(),
        "now": newsroom.now,
        "trusted": trusted.raw.decode() if trusted else None,
        "statement": document.statement.decode(),
        "signatures": [each.decode() for each in document.signatures],
    }
    if expect == "admitted":
        vector["sha256"] = manifest.parse(document.statement).hash.hex()
    (HERE / f"{name}.json").write_text(json.dumps(vector, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


n = Newsroom("vectors", roots=3, threshold=2, desks=2)
raw = n.documents[0].statement
write("first", "The first manifest, signed by two of three roots.", n, None, n.documents[0], "admitted")
write("first-under-signed", "One root's signature, twice.", n, None, n.sign("manifest", raw, n.root_seeds[0], n.root_seeds[0]), "NotAuthentic")
lower = manifest.compose(replace(n.terms, threshold=1))
write("first-lower-threshold", "A first manifest with a threshold below the founding's.", n, None, n.sign("manifest", lower, n.root_seeds[0]), "NotAuthentic")
other = Newsroom("another network")
write("other-network", "A good manifest of another network.", n, None, other.documents[0], "NotForUs")
write("second", "A successor signed by two roots.", n, n.manifest, n.succession([0, 1]), "admitted")
write("gap", "Number 3 after number 1.", n, n.manifest, n.succession(sequence=3), "Stale")
write("other-previous", "It names another previous manifest.", n, n.manifest, n.succession(previous=bytes([7]) * 32), "NotAuthentic")
write("other-recipients", "R changes.", n, n.manifest, n.succession(recipients=7), "Refused")
write("desk-not-retired", "A desk leaves, and its number isn't retired.", n, n.manifest, n.succession(desks=n.terms.desks[:1]), "Refused")
write("not-yet-valid", "Its first second is still to come.", n, n.manifest, n.succession(valid_from=n.now + 1), "Stale")
new = tuple(n.add_root() for _ in range(2))
write("roots-replaced", "All roots replaced, signed by enough of both.", n, n.manifest, n.succession([0, 1, 3, 4], roots=new), "admitted")
write("roots-replaced-by-themselves", "All roots replaced, signed by the new ones alone.", n, n.manifest, n.succession([3, 4], roots=new), "NotAuthentic")
