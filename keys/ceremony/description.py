"""What a manifest says, in words and numbers that people compare at a ceremony."""

from __future__ import annotations

import datetime
from dataclasses import fields, is_dataclass
from typing import Any

from keys.languages import Text
from keys.manifest import Manifest, Terms
from keys.minisign import SigningKey


def facts_of(manifest: Manifest) -> dict[str, Any]:
    """Return what matters of a manifest: plain values first, then the lists of those who have a key in it."""
    return {
        "network": manifest.network.hex(),
        "name": f"{manifest.name.th} / {manifest.name.en}",
        "practice": "yes" if manifest.practice else "no",
        "sequence": manifest.sequence,
        "sha256": manifest.hash.hex(),
        "valid_from": moment(manifest.valid_from),
        "valid_until": moment(manifest.valid_until),
        "threshold": manifest.threshold,
        "recipients": manifest.recipients,
        "source": " ".join(manifest.onions.source),
        "collect": " ".join(manifest.onions.collect),
        "roots": [
            {"name": str(number), "fingerprint": key.fingerprint, "key": key.text}
            for number, key in enumerate(manifest.roots, 1)
        ],
        "servers": [
            {"name": each.name, "fingerprint": each.key.fingerprint, "key": each.key.text} for each in manifest.servers
        ],
        "couriers": [
            {"name": each.name, "fingerprint": each.key.fingerprint, "key": each.key.text} for each in manifest.couriers
        ],
        "desks": [
            {
                "number": desk.number,
                "th": desk.name.th,
                "en": desk.name.en,
                "fingerprint": desk.key.fingerprint,
                "key": desk.key.text,
            }
            for desk in manifest.desks
        ],
    }


def changes_since(manifest: Manifest, before: Manifest) -> list[str]:
    """Return a line for whatever differs in the terms, so that no change is signed unseen."""
    lines = []
    for each in fields(Terms):
        new, old = getattr(manifest, each.name), getattr(before, each.name)
        if new == old:
            continue
        if isinstance(new, tuple) and set(new) != set(old):
            lines += [f"{each.name}: without {_words(gone)}" for gone in old if gone not in new]
            lines += [f"{each.name}: with {_words(come)}" for come in new if come not in old]
        else:
            lines.append(f"{each.name}: {_words(old)} becomes {_words(new)}")
    return lines


def moment(unix_seconds: int) -> str:
    """Write a time as people at a ceremony read it, in UTC."""
    try:
        return datetime.datetime.fromtimestamp(unix_seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, ValueError, OSError):
        return f"{unix_seconds} seconds after 1970"


def _words(value: Any) -> str:
    """Write any value of the terms on one line, keys as the fingerprints that people compare."""
    if isinstance(value, SigningKey):
        return value.fingerprint
    if isinstance(value, Text):
        return f"{value.th} / {value.en}"
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return "[" + ", ".join(_words(each) for each in value) + "]"
    if is_dataclass(value):
        return ", ".join(f"{each.name} {_words(getattr(value, each.name))}" for each in fields(value))
    return str(value)
