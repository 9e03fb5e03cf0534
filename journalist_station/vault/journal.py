"""The log of acts: who did what at this station, each entry chained to the one before by its hash.

Somebody who can write to the vault can write the log anew; what they can't do is change an entry and keep the hash that
somebody else wrote down. `status` prints the newest hash for that.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from journalist_station.vault.database import Database, facts
from journalist_station.vault.database.facts import ActRow
from keys import primitives
from keys.encoding import u32, u64
from keys.errors import NotAuthentic

_LABEL = b"mustshare/v1/act"
_BEGINNING = bytes(32)


def record(database: Database, now: int, what: str, **details: Any) -> None:
    """Add an act. To be called in the transaction of the act itself, so that neither stands without the other."""
    with database.transaction():
        last = facts.newest_act(database)
        number, previous = (last.number + 1, last.hash) if last else (1, _BEGINNING)
        written = json.dumps(details, ensure_ascii=False, sort_keys=True)
        facts.add_act(database, ActRow(number, now, what, written, _hash(previous, number, now, what, written)))


def verify(acts: Iterable[ActRow]) -> bytes:
    """Check that every act follows the one before; return the newest hash.

    Raises:
        NotAuthentic: an act was changed, taken out or put in.
    """
    previous, expected = _BEGINNING, 1
    for act in acts:
        if act.number != expected or act.hash != _hash(previous, act.number, act.time, act.what, act.facts):
            raise NotAuthentic(
                f"The log of acts doesn't hold together at entry {expected}.",
                "Keep a copy of the vault as it is, and compare the log with the newest backup's.",
            )
        previous, expected = act.hash, expected + 1
    return previous


def _hash(previous: bytes, number: int, time: int, what: str, details: str) -> bytes:
    parts = [what.encode(), details.encode()]
    return primitives.sha256(
        _LABEL + previous + u64(number) + u64(time) + b"".join(u32(len(part)) + part for part in parts)
    )
