"""The programs of this machine that are run here: tor's, and a browser."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from keys.errors import Misconfigured

_SYSTEM_FOLDERS: Final = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def find_program(name: str, package: str = "tor") -> Path:
    """Find a program, also where only administrators look (Debian keeps tor in /usr/sbin).

    Args:
        package: the Debian package that brings it.

    Raises:
        Misconfigured: it isn't installed.
    """
    for path in (None, *_SYSTEM_FOLDERS):
        if found := shutil.which(name, path=path):
            return Path(found)
    raise Misconfigured(f"{name} is not installed on this machine.", f"Install it: apt install {package}")
