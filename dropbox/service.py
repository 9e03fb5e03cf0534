"""Puts the server together: which sites, lanes and processes, and what they share. DESIGN section 5."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from flask import Flask

from dropbox import guides
from dropbox.box import Box
from dropbox.collect import app as collect
from dropbox.collect import prepared as prepared_answers
from dropbox.collect.logins import Logins
from dropbox.consensus import ConsensusFile
from dropbox.home import Home
from dropbox.intake.progress import Board
from dropbox.intake.workshop import SealStream, Workshop
from dropbox.replies import Mailboxes
from dropbox.serving import launch, memory
from dropbox.serving.gate import SENDING, Gate
from dropbox.serving.head import Circuits
from dropbox.serving.lanes import Lane, Route
from dropbox.serving.plan import Crew, Plan, Site
from dropbox.serving.prepared import PreparedPage
from dropbox.sessions import Sessions
from dropbox.source import app as source
from dropbox.source import prepared as prepared_site
from dropbox.source.context import Context
from dropbox.store import Store
from keys import __version__
from keys.cell import Sealer
from keys.errors import DropBoxError
from keys.manifest import Manifest
from keys.primitives import system_randomness

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

SOURCE_SOCKET = "source/http.sock"
COLLECT_SOCKET = "collect/http.sock"
STIR_SECONDS = 60.0
PAGES_PROCESSES = 2
FILES_THREADS = 640
"""In each process: together for a thousand uploads, though one process may hold an eighth more than the other."""
PAGES_LIFETIME_SECONDS = 600.0
"""So long what a page held may linger in a process's memory, beside what freeing already overwrites."""
SMALL_UPLOAD_BYTES = 512 * 1024
SMALL_FORM_BYTES = 64 * 1024
FORM_OVERHEAD_BYTES = 1 << 20
MAX_BUNDLE_BYTES = 4 << 30
UNLIMITED_BYTES = 1 << 50
_POST_PATHS = ("/th/send/*", "/en/send/*", "/th/inbox/*", "/en/inbox/*")
_OFFER_PATHS = ("/th/volunteer/*", "/en/volunteer/*")
_LOGIN_PATHS = ("/th/return", "/en/return")
_DOWNLOAD_PATHS = ("/th/inbox/*/file/*", "/en/inbox/*/file/*")
_MAILBOX_PATHS = ("/th/inbox/*", "/en/inbox/*")
_MAILBOX_FORM_PATHS = tuple(
    f"/{language}/inbox/*/{form}" for language in ("th", "en") for form in ("delete", "consent")
)
_SHOWN = frozenset({"GET", "HEAD"})

Pages = Mapping[int, PreparedPage]


def plan(
    run_folder: Path,
    largest_upload: int,
    *,
    group: str | None,
    circuits: bool,
    source_pages: Pages = MappingProxyType({}),
    collect_pages: Pages = MappingProxyType({}),
) -> Plan:
    """Return which sites stand on which sockets below the run folder, with their lanes.

    Downloads of attachments have a lane beside that of uploads: a slow reader holds a thread there, and no page waits
    for it. It is narrow, since each holds a whole reply's attachment in memory.
    Whatever looks through a mailbox has a narrow lane of its own: that takes half a second of a core each time, and
    whoever has logged in once, with any codename, may ask for it again and again.

    Args:
        largest_upload: bytes of the largest form that the manifest's limits allow.
        circuits: every connection must begin with tor's circuit line; without it, limits per circuit don't work.
    """
    required = Circuits.REQUIRED if circuits else Circuits.OPTIONAL
    source_site = Site(
        name="source",
        socket=run_folder / SOURCE_SOCKET,
        lanes=(
            Lane("pages", threads=8, max_body_bytes=SMALL_FORM_BYTES, gathers=True),
            Lane("login", threads=4, max_body_bytes=SMALL_FORM_BYTES, gathers=True),
            Lane("mailbox", threads=2, max_body_bytes=SMALL_FORM_BYTES, gathers=True, per_circuit=1, wait_seconds=20.0),
            Lane("text", threads=8, max_body_bytes=SMALL_UPLOAD_BYTES, gathers=True),
            Lane("files", threads=FILES_THREADS, max_body_bytes=largest_upload, per_circuit=4),
            Lane("downloads", threads=16, max_body_bytes=SMALL_FORM_BYTES, per_circuit=2, wait_seconds=20.0),
        ),
        crews=(
            Crew(
                "pages",
                ("pages", "login", "mailbox", "text"),
                processes=PAGES_PROCESSES,
                lifetime_seconds=PAGES_LIFETIME_SECONDS,
            ),
            Crew("files", ("files", "downloads"), processes=2, door=False),
        ),
        routes=(
            *(Route("downloads", path, _SHOWN) for path in _DOWNLOAD_PATHS),
            *(Route("mailbox", path, _SHOWN) for path in _MAILBOX_PATHS),
            *(Route("mailbox", path) for path in _MAILBOX_FORM_PATHS),
            *(Route("files", path, over_bytes=SMALL_UPLOAD_BYTES) for path in _POST_PATHS),
            *(Route("text", path) for path in (*_POST_PATHS, *_OFFER_PATHS)),
            *(Route("login", path) for path in _LOGIN_PATHS),
        ),
        circuits=required,
        pages=source_pages,
    )
    collect_site = Site(
        name="collect",
        socket=run_folder / COLLECT_SOCKET,
        lanes=(Lane("couriers", threads=16, max_body_bytes=MAX_BUNDLE_BYTES, per_circuit=3),),
        crews=(Crew("couriers", ("couriers",)),),
        circuits=required,
        pages=collect_pages,
    )
    return Plan(sites=(source_site, collect_site), run_folder=run_folder, group=group)


def largest_upload(in_force: Manifest | None) -> int:
    """The bytes of the largest form that a manifest allows.

    Without one any length may come: the pages say then that the box is closed, not that it is too much.
    """
    if in_force is None:
        return UNLIMITED_BYTES
    return in_force.limits.files * in_force.limits.file_bytes + FORM_OVERHEAD_BYTES


class Server:
    """One running server: made in the arbiter; the applications it makes are shared by all workers."""

    def __init__(self, home: Home, run_folder: Path, clock: Callable[[], int], consensus: ConsensusFile) -> None:
        """Args: consensus: what the clock is compared with, for each tip anew."""
        self._home = home
        self._run_folder = run_folder
        self._clock = clock
        home.tighten()
        self._store: Store = home.open_store(system_randomness)
        self._workshop: Workshop | None = None
        self.box = Box(self._store, home.key(), clock, system_randomness, __version__, home.floors, consensus.compare)
        self.box.keep_floors()

    def applications(self) -> tuple[Flask, Flask]:
        """Make the source's site and the collect interface. Called once, before any worker is forked."""
        gate = Gate(self._run_folder / "gate")

        def place(sending: bool, circuit: int | None) -> AbstractContextManager[None]:
            return gate.place(SENDING if sending else "login", circuit)

        context = Context(
            box=self.box,
            cells=self._store,
            mailboxes=Mailboxes(self._store, system_randomness),
            sessions=Sessions(system_randomness, self._clock),
            board=Board(2_048),
            gate=place,
            randomness=system_randomness,
            milliseconds=lambda: time.monotonic_ns() // 1_000_000,
            seals=self._seals,
            guides=guides.read(self._home.guidance),
        )
        logins = Logins(system_randomness, self._clock)
        return source.create_app(context), collect.create_app(self.box, logins, self._home.settings().name)

    def worker_started(self, crew: str) -> None:
        """Start what a new worker has beside it, before it has threads: a timer where pages are, else a workshop.

        The timer rewrites a free place now and then, so that file times mean nothing. Who seals whole files has a
        process beside it that makes seals ahead.
        """
        if crew == "source/pages":
            threading.Thread(target=self._stir, daemon=True).start()
        elif crew == "source/files":
            self._workshop = Workshop(system_randomness, _shield_workshop)

    def _seals(self, sealer: Sealer) -> SealStream:
        return SealStream(sealer) if self._workshop is None else self._workshop.seals(sealer)

    def _stir(self) -> None:
        while True:
            time.sleep(STIR_SECONDS)
            try:
                self._store.stir()
            except DropBoxError:
                continue  # The disk refuses: uploads say so; the next round tries again.

    def worker_ended(self, process: int) -> None:
        """Free what a worker that ended was still writing."""
        self._store.release_worker(process)

    def serve(self, *, group: str | None, circuits: bool, on_ready: Callable[[], None]) -> int:
        """Serve until told to stop; return the exit code."""
        source_site, collect_site = self.applications()
        sites: Mapping[str, WSGIApplication] = {"source": source_site, "collect": collect_site}
        return launch.serve(
            lambda: sites,
            plan(
                self._run_folder,
                largest_upload(self.box.admitted().manifest),
                group=group,
                circuits=circuits,
                source_pages=prepared_site.prepared_pages(source_site),
                collect_pages=prepared_answers.prepared_pages(),
            ),
            on_ready=on_ready,
            on_worker_start=self.worker_started,
            on_worker_exit=self.worker_ended,
        )


def _shield_workshop() -> None:
    memory.lock_again()
    memory.die_with_parent(signal.SIGKILL)
