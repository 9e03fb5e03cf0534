"""Names that sources gave, made harmless for any file system. The originals are kept beside them, never lost."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container

MAX_NAME_BYTES = 255
_PART = ".part"
UNNAMED = "unnamed"
# Path separators, and what FAT and Windows forbid: an export may well go to a stick.
_FORBIDDEN = frozenset('/\\<>:"|?*')
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|\Z)", re.IGNORECASE)
_INVISIBLE = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
_KEPT = "\u200b\u200c\u200d"
"""Thai is written with these."""


def safe_name(name: bytes) -> str:
    """Return a name as near to the original as is harmless: no path, no control or hidden characters, not hidden.

    It fits 255 bytes, keeps its ending, and is never empty.
    """
    text = name.decode("utf-8", "replace")
    kept = "".join("_" if _is_dangerous(character) else character for character in text)
    kept = re.sub(r"^[. ~-]+|[. ]+\Z", lambda match: "_" * len(match[0]), kept)
    if _RESERVED.match(kept):
        kept = f"_{kept}"
    return shortened(kept, MAX_NAME_BYTES) or UNNAMED


def _is_dangerous(character: str) -> bool:
    return (
        character in _FORBIDDEN
        or (unicodedata.category(character) in _INVISIBLE and character not in _KEPT)
        or character == "\N{REPLACEMENT CHARACTER}"
    )


def part_name(name: str) -> str:
    """Return what a part of a file is called of which cells are missing."""
    return shortened(name, MAX_NAME_BYTES - len(_PART)) + _PART


def unused_name(name: str, used: Container[str]) -> str:
    """Return the name, or the name with a number before its ending, so that no file system confuses it with another.

    `used` holds names as `folded` gives them.
    """
    if folded(name) not in used:
        return name
    stem, dot, ending = name.rpartition(".")
    if not stem:
        stem, ending = name, ""
    number = 2
    while True:
        tail = f" ({number}){dot if ending else ''}{ending}"
        candidate = shortened(stem, MAX_NAME_BYTES - len(tail.encode())) + tail
        if folded(candidate) not in used:
            return candidate
        number += 1


def folded(name: str) -> str:
    """Return what two names have in common that some file system takes for the same."""
    return unicodedata.normalize("NFKC", name).casefold()


def shortened(name: str, most: int) -> str:
    """Cut a name to so many bytes of UTF-8, within its stem and not within a character."""
    if len(name.encode()) <= most:
        return name
    stem, dot, ending = name.rpartition(".")
    tail = dot + ending
    if not stem or len(tail.encode()) > min(16, most // 2):
        stem, tail = name, ""
    return stem.encode()[: most - len(tail.encode())].decode("utf-8", "ignore") + tail
