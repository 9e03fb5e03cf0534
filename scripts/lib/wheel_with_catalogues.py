"""The build backend: setuptools, after every translation catalogue (.po) has been compiled to the .mo that runs.

Compiled catalogues are never committed, so none can be older than its source. Only `pyproject.toml` calls this.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from setuptools import build_meta
from setuptools.build_meta import build_sdist, get_requires_for_build_sdist, get_requires_for_build_wheel

__all__ = ["build_sdist", "build_wheel", "get_requires_for_build_sdist", "get_requires_for_build_wheel"]

ROOT = Path(__file__).resolve().parents[2]
CATALOGUES = "*/translations/*/LC_MESSAGES/*.po"


def compile_catalogues(root: Path) -> list[Path]:
    """Compile each package's catalogues, each beside its source, and return the compiled files.

    Fuzzy entries are left out: a sentence nobody confirmed is shown in its original language instead.
    """
    compiled = []
    for source in sorted(root.glob(CATALOGUES)):
        with source.open("rb") as file:
            catalogue = read_po(file, abort_invalid=True)
        target = source.with_suffix(".mo")
        with target.open("wb") as file:
            write_mo(file, catalogue, use_fuzzy=False)
        compiled.append(target)
    return compiled


def build_wheel(wheel_directory: str, config_settings: Any = None, metadata_directory: str | None = None) -> str:
    """Compile the catalogues, then let setuptools build the wheel (PEP 517)."""
    compile_catalogues(ROOT)
    name: str = build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)
    return name


if __name__ == "__main__":
    for path in compile_catalogues(ROOT):
        print(path.relative_to(ROOT))
