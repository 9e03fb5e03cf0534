"""How a thousand slow uploads at a time are held, and how soon pages open meanwhile, beside the same server at rest."""

from __future__ import annotations

import itertools
import math
import os
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dropbox.service import SMALL_UPLOAD_BYTES
from keys import codename, mailbox
from keys.bundle import CELL_BYTES
from keys.codename import Language
from keys.manifest import Manifest
from keys.primitives import system_randomness
from scripts.benchmarks.dropbox_server import GIB, Failed, Serving, founded, practice_network, serving
from scripts.benchmarks.report import Section, median
from tests.promises.browser import Browser
from tests.promises.crowd import Crowd, Member, SlowUpload

UPLOADS = 1_000
BYTES_PER_SECOND = 5_000
HELD_SECONDS = 30.0
"""So long, at least, all of them upload at the same time."""
GATE_SHARE = 1.0
"""They come at this share of the rate at which one core stretches codenames, so that nobody waits in vain."""
ROUNDS = 20
MOST_SECONDS = 1.0
OVERHEAD_CELLS = 3
STRANGERS = 0x1_0000
PAGES = ("/", "/send", "/return", "/keys", "/progress/" + "0" * 32)
_circuits = itertools.count(STRANGERS)

Times = dict[str, list[float]]


def measure(folder: Path, say: Callable[[str], None]) -> Section:
    """Measure pages at rest, then while a thousand upload, and see that each of these gets its receipt."""
    _allow_connections()
    newsroom = practice_network()
    a_second = stretchings_a_second(newsroom.manifest)
    arriving = UPLOADS / (GATE_SHARE * a_second)
    size = max(SMALL_UPLOAD_BYTES, int(BYTES_PER_SECOND * (arriving + HELD_SECONDS)))
    cells = UPLOADS * (OVERHEAD_CELLS + size // (CELL_BYTES - 16_384))
    gib = math.ceil(1.1 * cells * CELL_BYTES / GIB)
    say(f"filling {gib} GiB of room with noise")
    home = founded(folder, gib, newsroom)
    uploads = slow_uploads(UPLOADS, size)
    with serving(home) as box, Crowd(box.socket, bytes_per_second=BYTES_PER_SECOND) as crowd:
        at_rest = open_pages(box, ROUNDS)
        say(f"{UPLOADS:,} uploads of {size / 1e6:.1f} MB begin, within {arriving:.0f} s")
        members = _arrive(crowd, uploads, arriving)
        say("all of them upload; pages are opened")
        meanwhile = open_pages(box, ROUNDS)
        held = sum(not member.ended for member in members)
        say("waiting for their receipts")
        crowd.wait(members, seconds=10 * size / BYTES_PER_SECOND)
    kept = sum(upload.has_receipt(member) for upload, member in zip(uploads, members, strict=True))
    away = sum(member.answer is not None and member.answer.status == 503 for member in members)
    return _section(at_rest, meanwhile, Outcome(held, kept, away), size, arriving)


def _allow_connections() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * UPLOADS if hard == resource.RLIM_INFINITY else min(2 * UPLOADS, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def stretchings_a_second(in_force: Manifest) -> float:
    """How many codenames one core of this machine turns into keys in a second."""
    taken = []
    for _ in range(5):
        name = codename.make(Language.ENGLISH, system_randomness)
        started = time.perf_counter()
        mailbox.stretch(name, in_force.codename[0])
        taken.append(time.perf_counter() - started)
    return 1 / median(taken)


def slow_uploads(count: int, size: int) -> list[SlowUpload]:
    """Forms with the same file, each with a text and a codename of its own."""
    content = os.urandom(size)
    return [SlowUpload(f"upload {number}", content, system_randomness) for number in range(count)]


def _arrive(crowd: Crowd, uploads: Sequence[SlowUpload], within: float) -> list[Member]:
    began, members = time.monotonic(), []
    for number, upload in enumerate(uploads):
        time.sleep(max(0.0, began + within * number / len(uploads) - time.monotonic()))
        members.append(crowd.join(1 + number, *upload.pieces, at_once=upload.first))
    return members


def open_pages(box: Serving, rounds: int) -> Times:
    """Open each page once a round, each time by a circuit that nobody has used yet; return the seconds of each."""
    taken: Times = {page: [] for page in PAGES}
    for _, page in itertools.product(range(rounds), PAGES):
        browser = Browser(box.socket, "en", next(_circuits))
        started = time.perf_counter()
        answer = browser.get(page)
        taken[page].append(time.perf_counter() - started)
        if answer.status != 200 or not answer.whole:
            raise Failed(f"The page {page} answered {answer.status}.")
    return taken


@dataclass(frozen=True)
class Outcome:
    """How many still uploaded when all pages had been opened, were shown a receipt, or were turned away for now."""

    held: int
    kept: int
    away: int


def _section(at_rest: Times, meanwhile: Times, found: Outcome, size: int, arriving: float) -> Section:
    section = Section(
        "load",
        f"{UPLOADS:,} slow uploads at a time",
        ["a page, ms", "median at rest", "worst", f"median while {found.held:,} upload", "worst", "goal"],
    )
    for page in PAGES:
        both = [f"{each(times[page]) * 1e3:.1f}" for times in (at_rest, meanwhile) for each in (median, max)]
        reached = max(meanwhile[page]) < MOST_SECONDS
        section.rows.append([f"`/en{page}`", *both, f"{MOST_SECONDS:.0f} s: {'reached' if reached else '**missed**'}"])
    verdict = "reached" if found.held == found.kept == UPLOADS else "**missed**"
    section.notes.append(
        f"Goal: {UPLOADS:,} held, none lost: {verdict}. {found.held:,} were still uploading when the last page "
        f"had been opened, {found.kept:,} were shown a receipt with the SHA-256 of their file of {size / 1e6:.1f} MB, "
        f"and {found.away:,} were told to try again later. Each sent "
        f"{BYTES_PER_SECOND / 1e3:.0f} kB/s by a circuit of its own; they came within {arriving:.0f} s, at the rate "
        "at which one core stretches codenames. One process measures and sends for all, and shares the cores."
    )
    return section
