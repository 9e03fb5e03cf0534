"""Writes the vectors of SPEC section 11 beside itself. Run from the top of the tree: PYTHONPATH=. python <this file>

list-*.json: an epoch list, the manifest in force, floor and time, and what follows. chain.json: three steps of a chain.
"""

import json
from pathlib import Path

from keys import primitives
from keys.chain import Chain
from keys.encoding import week_of
from keys.minisign import SignedDocument
from keys.statement import NetworkId
from tests.simulators.newsroom import DAY, NOW, Newsroom

HERE = Path(__file__).parent
WEEK = week_of(NOW)


def save(name: str, vector: dict[str, object]) -> None:
    (HERE / f"{name}.json").write_text(json.dumps(vector, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def write(name: str, about: str, newsroom: Newsroom, document: SignedDocument, expect: str, floor: int = 0, weeks: int = 0) -> None:
    vector: dict[str, object] = {
        "about": about,
        "expect": expect,
        "now": newsroom.now,
        "floor": floor,
        "manifest": newsroom.manifest.raw.decode(),
        "statement": document.statement.decode(),
        "signatures": [each.decode() for each in document.signatures],
    }
    if expect == "admitted":
        vector["weeks"] = list(range(WEEK, WEEK + weeks))
    save(f"list-{name}", vector)


n = Newsroom("vectors", desks=1)
write("two-weeks", "This week and the next.", n, n.epochs(1, weeks=2), "admitted", weeks=2)
write("below-floor", "A list of a lower number was admitted before this one was lost.", n, n.epochs(1, weeks=1), "Stale", floor=9)
write("past", "It ended last week.", n, n.epochs(1, weeks=1, issued=NOW - 7 * DAY), "Stale")
write("future", "Issued more than a day from now.", n, n.epochs(1, weeks=1, issued=NOW + DAY + 1), "Stale")
write("not-the-desk", "Signed by a root.", n, n.epochs(1, weeks=1, signed_by=n.root_seeds[0]), "NotAuthentic")
write("other-network", "Another network's list.", n, Newsroom("another").epochs(1, weeks=1), "NotForUs")
document = n.epochs(1, weeks=2)
gap = document.statement.replace(str(WEEK + 1).encode(), str(WEEK + 2).encode())
write("gap", "A week is left out.", n, n.sign("epochs", gap, n.desk_seed(1)), "Malformed")

network, key = NetworkId(bytes(range(32))), bytes(range(32, 64))
chain = Chain(network, 1, 1, WEEK, key)
steps = []
for week in range(WEEK, WEEK + 3):
    at = chain.advance_to(week)
    recipient = str(at.identity(week).recipient())
    steps.append(
        {
            "week": week,
            "chain_key": at.key.hex(),
            "seed": at.identity_seed(week).hex(),
            "sha256_of_recipient": primitives.sha256(recipient.encode()).hex(),
        }
    )
save(
    "chain",
    {"about": "Three steps of a chain.", "network": network.hex(), "week": WEEK, "chain_key": key.hex(), "weeks": steps},
)
