"""One tor that this process runs: started, watched, stopped, and never left behind."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

from onion_config.deadline import Deadline
from onion_config.private_files import private_folder, write_private
from onion_config.programs import find_program
from onion_config.torrc import Node

_CONSOLE_FILE: Final = "console"
_GRACE_SECONDS: Final = 5.0


class TorProcess:
    """A tor under its own folder. It ends when this process does, however this process ends.

    tor is started with one end of a socket pair as its owning controller: the kernel closes the other end with this
    process, and tor leaves at once. (Naming this process's number instead, tor would look every 15 seconds only, and
    stem would take the ownership over for as long as it is connected.)
    """

    def __init__(self, node: Node) -> None:
        self.node = node
        self._process: subprocess.Popen[bytes] | None = None
        self._lifeline: socket.socket | None = None

    def start(self, torrc: str) -> None:
        """Start it with this configuration.

        Raises:
            Misconfigured: tor isn't installed.
            OSError: its folder can't be written.
        """
        program = find_program("tor")
        folder = private_folder(self.node.folder)
        write_private(folder / "torrc", torrc.encode())
        self.node.log.unlink(missing_ok=True)
        self._lifeline, theirs = socket.socketpair()
        with theirs, (folder / _CONSOLE_FILE).open("wb") as console:
            self._process = subprocess.Popen(
                [
                    str(program),
                    *("--hush", "-f", str(folder / "torrc"), "--defaults-torrc", str(empty_torrc(folder))),
                    *("--__OwningControllerFD", str(theirs.fileno())),
                ],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # Ctrl-C reaches this process alone, which then ends them in order.
            )

    @property
    def pid(self) -> int | None:
        """Its number while it is ours, for tests and for `ps`."""
        return self._process.pid if self._process else None

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def reload(self, torrc: str | None = None) -> None:
        """Make it read its configuration, a new one if given, and retry downloads at once."""
        if torrc is not None:
            write_private(self.node.folder / "torrc", torrc.encode())
        if self._process is not None and self.is_running:
            self._process.send_signal(signal.SIGHUP)

    def terminate(self) -> None:
        """Ask it to end."""
        if self._process is not None and self.is_running:
            self._process.terminate()

    def kill(self) -> None:
        """End it, and let go of everything it had."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._lifeline is not None:
            self._lifeline.close()
        self._process = self._lifeline = None

    def log_tail(self, lines: int) -> Sequence[str]:
        """The last lines it said, without the path of its folder."""
        said: list[str] = []
        for path in (self.node.folder / _CONSOLE_FILE, self.node.log):
            if path.exists():
                said += path.read_text("utf-8", errors="replace").splitlines()
        return [line.replace(str(self.node.folder), "…") for line in said[-lines:]]


def empty_torrc(folder: Path) -> Path:
    """An empty file that keeps this machine's own tor settings out (tor 0.4.9 doesn't take /dev/null)."""
    path = folder / "empty"
    path.touch()
    return path


def stop_all(processes: Collection[TorProcess], grace_seconds: float = _GRACE_SECONDS) -> None:
    """End them all: by asking, then by force (tor's relays now and then ignore the question: measured)."""
    running = [each for each in processes if each.is_running]
    for each in running:
        each.terminate()
    Deadline(grace_seconds).until(lambda: not any(each.is_running for each in running))
    for each in processes:
        each.kill()
