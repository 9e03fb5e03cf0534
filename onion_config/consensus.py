"""What a network's authorities have agreed on, as tor keeps it on disk. tor's dir-spec, section 3.4.

In a private network, reading it tells when all are there, and copying it spares a client the download: then it connects
in a second or two, where retries after a first vain attempt would cost ten. On any network its head tells the time.
"""

from __future__ import annotations

import calendar
import re
import shutil
import time
from pathlib import Path

from keys.errors import Misconfigured
from keys.files import write_file
from onion_config.torrc import CONSENSUS_FILE

_HEAD = re.compile(rb"network-status-version .*?^valid-until [^\n]*\n", re.DOTALL | re.MULTILINE)
_MOST_HEAD_BYTES = 1_024
_DESCRIPTOR_FILES = ("cached-microdescs", "cached-microdescs.new")
_DIRECTORY_FILES = ("cached-certs", CONSENSUS_FILE, *_DESCRIPTOR_FILES)

USABLE_SECONDS = 23 * 3600
"""tor takes a consensus as reasonably live for 24 hours after it expired."""


def announced(folder: Path) -> int:
    """How many relays have told the authority in this folder who they are, itself included."""
    texts = (_read(folder / name) for name in ("cached-descriptors", "cached-descriptors.new"))
    return len({name for text in texts for name in re.findall(r"^router (\w+) ", text, re.MULTILINE)})


def members(folder: Path) -> int:
    """How many relays the tor in this folder knows as running and fit for everything an onion service needs."""
    text = _read(folder / CONSENSUS_FILE)
    flags = (set(line.split()) for line in text.splitlines() if line.startswith("s "))
    return sum({"Running", "HSDir", "Guard"} <= each for each in flags)


def descriptors(folder: Path) -> int:
    """How many relays' descriptors it holds."""
    return sum(len(re.findall(r"^onion-key$", _read(folder / name), re.MULTILINE)) for name in _DESCRIPTOR_FILES)


def is_usable(folder: Path, relays: int, now: float) -> bool:
    """Whether a tor can connect with what this folder holds, if the same relays run again."""
    match = re.search(r"^valid-after (\S+ \S+)$", _read(folder / CONSENSUS_FILE), re.MULTILINE)
    if not match or members(folder) < relays or descriptors(folder) < relays:
        return False
    age = now - calendar.timegm(time.strptime(match[1], "%Y-%m-%d %H:%M:%S"))
    return 0 <= age < USABLE_SECONDS


def copy_head(folder: Path, target: Path) -> None:
    """Write the first lines of the consensus in a tor's folder, up to its expiry, to a file that everybody may read.

    tor keeps the whole file for its own account, whatever its options say (docs/adr/0012). Its content is public.

    Raises:
        Misconfigured: tor has none yet, or it isn't one.
        NoRoom, OSError: it can't be read, or the copy not be written.
    """
    try:
        with (folder / CONSENSUS_FILE).open("rb") as file:
            match = _HEAD.match(file.read(_MOST_HEAD_BYTES))
    except FileNotFoundError:
        match = None
    if match is None:
        raise Misconfigured(
            "tor keeps no consensus in this folder.", "Name its DataDirectory; wait until tor has connected once."
        )
    write_file(target, match[0], private=False, replace=True)


def copy(source: Path, target: Path) -> None:
    """Give a tor that isn't running what another has learnt."""
    for name in _DIRECTORY_FILES:
        if (source / name).exists():
            shutil.copyfile(source / name, target / name)
            (target / name).chmod(0o600)


def forget(folder: Path) -> None:
    """Remove what a tor that isn't running has learnt and voted; its keys stay."""
    for path in folder.glob("*"):
        if path.name.startswith(("cached-", "unverified-")) or path.name in ("state", "sr-state", "v3-status-votes"):
            path.unlink()
        elif path.name == "diff-cache":
            shutil.rmtree(path)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""  # Not there yet, or just being replaced.
