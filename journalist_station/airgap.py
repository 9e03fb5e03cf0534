"""Whether this machine is cut off: asked in the host's own network namespace, before a vault is unlocked."""

from __future__ import annotations

from pathlib import Path

INTERFACES = Path("/sys/class/net")
LOOPBACK = "lo"
_IFF_UP = 0x1


def interfaces_up(folder: Path = INTERFACES) -> list[str]:
    """Return the network interfaces that are up, loopback aside. One whose state can't be read counts as up.

    A machine without the folder has no network to speak of; a radio that is merely switched off isn't seen here, so a
    review station should have none.
    """
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if path.name != LOOPBACK and _is_up(path))


def _is_up(interface: Path) -> bool:
    flags = interface / "flags"
    if not interface.is_dir():
        return False  # A file of the kernel's own, such as bonding_masters.
    try:
        return bool(int(flags.read_text(), 16) & _IFF_UP)
    except (OSError, ValueError):
        return True
