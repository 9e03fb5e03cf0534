"""Measures the drop box's speed beside its peers and this machine's limits, in one run. `scripts/bench` calls it."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from scripts.benchmarks import age_files, load, lookups, memory, pages, uploads
from scripts.benchmarks.dropbox_server import GIB, Failed
from scripts.benchmarks.report import Section, Watch, place

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs/BENCHMARKS.md"
ONIONSHARE = ROOT / ".cache/onionshare/bin/onionshare-cli"
SECTIONS = ("upload", "memory", "load", "pages", "age", "lookups")


def main() -> int:
    """Run the sections asked for, print them, and write them into the document."""
    parser = argparse.ArgumentParser(prog="scripts/bench")
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"one or more of: {', '.join(SECTIONS)}")
    parser.add_argument("--long", action="store_true", help="the long rows too: a 10 GiB upload")
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is measured (5)")
    parser.add_argument("--dry", action="store_true", help="print only; leave docs/BENCHMARKS.md as it is")
    asked = parser.parse_args()
    unknown = set(asked.sections) - set(SECTIONS)
    if unknown:
        parser.error(f"there is no section {', '.join(sorted(unknown))}")
    console = Console()

    def say(words: str) -> None:
        console.print(f"  … {words}", style="dim")

    for name in asked.sections or SECTIONS:
        try:
            for section in _watched(name, asked, say):
                section.show(console)
                if not asked.dry:
                    place(DOCUMENT, section)
        except Failed as failed:
            console.print(f"error: the section {name} could not be measured.\nhint: {failed}", style="bold")
            return 1
    return 0


def _measure(name: str, folder: Path, asked: argparse.Namespace, say: Callable[[str], None]) -> list[Section]:
    if name == "upload":
        return [uploads.measure(folder, asked.rounds, ONIONSHARE if ONIONSHARE.exists() else None, say)]
    if name == "memory":
        return [memory.measure(folder, (10 if asked.long else 1) * GIB, say)]
    if name == "load":
        return [load.measure(folder, say)]
    if name == "pages":
        return pages.measure(folder, asked.rounds, say)
    if name == "age":
        return [age_files.measure(folder, asked.rounds, say)]
    return lookups.measure(folder, asked.rounds, say)


def _watched(name: str, asked: argparse.Namespace, say: Callable[[str], None]) -> list[Section]:
    """Measure in a folder on this checkout's disk, and note what else the machine did."""
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=ROOT / ".cache"))
    try:
        watch = Watch()
        sections = _measure(name, folder, asked, say)
        busy = watch.stop()
    finally:
        shutil.rmtree(folder)
    for section in sections:
        section.busy = busy
    return sections


if __name__ == "__main__":
    sys.exit(main())
