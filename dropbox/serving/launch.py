"""Start the drop box's processes: an arbiter that holds the sockets, and crews of workers, under gunicorn."""

from __future__ import annotations

import contextlib
import fcntl
import grp
import json
import os
import resource
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter

from dropbox.serving import memory
from dropbox.serving.board import Board
from dropbox.serving.corridor import Corridor
from dropbox.serving.crews import Crews
from dropbox.serving.journal import Journal, describe, silence_tracebacks
from dropbox.serving.plan import Plan
from dropbox.serving.worker import QUICK_SECONDS, LaneWorker, Shared
from keys import files
from keys.errors import DropBoxError, Misconfigured

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

SOCKET_FOLDER_MODE = 0o710
SOCKET_UMASK = 0o117
HEARTBEAT_FOLDER = Path("/dev/shm")
LOCK_NAME = "serving.lock"
STANDING_NAME = "serving.json"

Applications = Callable[[], "Mapping[str, WSGIApplication]"]
"""Makes each site's application, by the site's name. Called once, in the arbiter, before any worker is forked: what
it makes (a session key, the map of claimed slots) is shared by all workers there will ever be."""


def serve(
    applications: Applications,
    plan: Plan,
    *,
    on_ready: Callable[[], None] = lambda: None,
    on_worker_start: Callable[[str], None] = lambda crew: None,
    on_worker_exit: Callable[[int], None] = lambda pid: None,
) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code of the command.

    Args:
        on_ready: called in the arbiter when the sockets are bound and no worker is forked yet.
        on_worker_start: called in each new worker with its crew's full name (`source/pages`).
        on_worker_exit: called in the arbiter with the number of each process that ended, however it did, so that
            what it had claimed is freed.

    SIGHUP replaces every worker; uploads that the old ones hold run to their end. Call `memory.poison_frees` and
    `memory.shield` before.

    Raises:
        Misconfigured: another server uses the run folder, or the sockets can't be made.
    """
    _allow_open_files(plan.limits.open_files)
    silence_tracebacks()
    _prepare_run_folder(plan.run_folder, plan.group)
    for site in plan.sites:
        _prepare_socket_folder(site.socket, plan.group)
    with _alone(plan.run_folder):
        board = Board()
        crews = Crews(plan, board, on_worker_start, on_worker_exit)
        corridors = {site.name: {crew.name: Corridor() for crew in site.crews} for site in plan.sites}
        return _run(_Service(applications, Shared(plan, board, corridors), crews, on_ready))


@dataclass(frozen=True, slots=True)
class Standing:
    """How a running server stands: its arbiter's process, and how well that one's memory is kept."""

    pid: int
    memory: Mapping[str, object]


def standing(run_folder: Path) -> Standing | None:
    """Return how the server of this run folder stands; None when none runs. For `dropbox-server status`."""
    try:
        descriptor = os.open(run_folder / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None
    except BlockingIOError:
        return _read_standing(run_folder / STANDING_NAME)
    finally:
        os.close(descriptor)


def _read_standing(file: Path) -> Standing | None:
    try:
        facts = json.loads(file.read_text())
    except FileNotFoundError:
        return None  # It is just starting.
    return Standing(facts["pid"], facts["memory"])


class _Service(BaseApplication):
    """The plan, told to gunicorn in its own words."""

    def __init__(self, applications: Applications, shared: Shared, crews: Crews, on_ready: Callable[[], None]) -> None:
        self._applications = applications
        self._crews = crews
        self._on_ready = on_ready
        self.shared = shared
        super().__init__(prog="dropbox-server")

    def load_config(self) -> None:
        plan = self.shared.plan
        settings: dict[str, Any] = {
            "bind": [f"unix:{site.socket}" for site in plan.sites],
            "umask": SOCKET_UMASK,
            "workers": self._crews.planned,
            "worker_class": LaneWorker,
            "preload_app": True,
            "timeout": plan.hung_seconds,
            "graceful_timeout": int(plan.stop_seconds + 2 * QUICK_SECONDS),
            "worker_tmp_dir": str(HEARTBEAT_FOLDER if HEARTBEAT_FOLDER.is_dir() else plan.run_folder),
            "control_socket_disable": True,
            "accesslog": None,
            "errorlog": "-",
            "loglevel": "warning",
            "logger_class": Journal,
            "proc_name": "dropbox-server",
            "when_ready": self._when_ready,
            "pre_fork": self._crews.pre_fork,
            "post_fork": self._crews.post_fork,
            "child_exit": self._crews.child_exit,
            "nworkers_changed": self._crews.nworkers_changed,
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """Return the sites' applications; `worker` picks its own."""
        made = self._applications()
        if set(made) != {site.name for site in self.shared.plan.sites}:
            raise RuntimeError("There must be one application for each site.")
        return made

    def _when_ready(self, server: Arbiter) -> None:
        for site in self.shared.plan.sites:
            _give_to_group(site.socket, self.shared.plan.group)
        self._crews.take_signals(server)
        facts = {"pid": os.getpid(), "memory": memory.report().as_dict()}
        # Whole or not at all: `standing` may look at any moment.
        files.write_file(self.shared.plan.run_folder / STANDING_NAME, json.dumps(facts).encode(), replace=True)
        self._on_ready()


def _run(service: _Service) -> int:
    """Run the arbiter. Workers are forked from inside it and must never come back to the caller's code."""
    arbiter = os.getpid()
    try:
        Arbiter(service).run()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except DropBoxError:
        if os.getpid() == arbiter:
            raise
        code = 1
    except BaseException as error:  # A worker must end here whatever happened, and quietly.
        if os.getpid() == arbiter:
            raise
        print(f"ERROR {describe(error)}", file=sys.stderr)
        code = 1
    if os.getpid() != arbiter:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code & 0xFF)
    return code


def _allow_open_files(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    goal = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft < goal:
        resource.setrlimit(resource.RLIMIT_NOFILE, (goal, hard))


def _prepare_run_folder(folder: Path, group: str | None) -> None:
    """Make it ours alone, but for the group that must pass through it to the sockets."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.geteuid():
        raise Misconfigured("The server's run folder belongs to another user.", "Give it to the user of the server.")
    _give_to_group(folder, group)
    folder.chmod(0o700 if group is None else SOCKET_FOLDER_MODE)  # Last: whose group it was before never passes.


def _prepare_socket_folder(socket_path: Path, group: str | None) -> None:
    folder = socket_path.parent
    folder.mkdir(mode=SOCKET_FOLDER_MODE, parents=True, exist_ok=True)
    if folder.stat().st_uid == os.geteuid():
        folder.chmod(SOCKET_FOLDER_MODE)
        _give_to_group(folder, group)


def _give_to_group(path: Path, group: str | None) -> None:
    if group is None:
        return
    try:
        os.chown(path, -1, grp.getgrnam(group).gr_gid)
    except (KeyError, PermissionError):
        raise Misconfigured(
            f"The group {group} can't be given access to the server's sockets.",
            "Name a group that exists, and of which the server's user is a member.",
        ) from None


@contextlib.contextmanager
def _alone(run_folder: Path) -> Iterator[None]:
    """Hold the run folder for one server. Workers inherit the lock: none can be left over when it is free."""
    descriptor = os.open(run_folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise Misconfigured(
            "A server already runs with this run folder, or its last processes are still ending.",
            "Stop it, or wait a moment; or give this one a run folder of its own.",
        ) from None
    try:
        (run_folder / STANDING_NAME).unlink(missing_ok=True)
        yield
    finally:
        os.close(descriptor)
