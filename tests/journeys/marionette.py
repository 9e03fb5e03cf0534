"""Firefox, told what to do through Marionette, the socket that it opens for tests: as much of it as journeys need.

(PyPI's marionette-driver does more, but imports a module that Python 3.13 no longer has.)
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

START_SECONDS: Final = 180.0
ANSWER_SECONDS: Final = 180.0
END_SECONDS: Final = 30.0
_ELEMENT: Final = "element-6066-11e4-a52e-4f735466cecf"


class Momentary(Exception):
    """What was asked for isn't there now. Where a page is being replaced, it may be a moment later."""


class Failure(Exception):
    """Firefox refused a command."""


_MOMENTARY: Final = (
    "detached shadow root",
    "element not interactable",
    "no such element",
    "no such frame",
    "no such window",
    "stale element reference",
)


class Firefox:
    """A Firefox without a window, under a profile of its own. Close it.

    Args:
        command: the command line that a person would paste; its profile is used and changed.
    """

    def __init__(self, command: Sequence[str], profile: Path, log: Path) -> None:
        with (profile / "user.js").open("a") as prefs:
            prefs.write('user_pref("marionette.port", 0);\n')  # Any that is free; it writes down which.
        port_file = profile / "MarionetteActivePort"
        port_file.unlink(missing_ok=True)
        with log.open("wb") as said:
            self._process = subprocess.Popen(
                [*command, "--headless", "--marionette", "-remote-allow-system-access"],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._sent = 0
        try:
            self._socket = self._connect(port_file)
            self._receive()  # What it greets with.
            self("WebDriver:NewSession", strictFileInteractability=False)
        except BaseException:
            self._kill()
            raise

    def _connect(self, port_file: Path) -> socket.socket:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                return socket.create_connection(("127.0.0.1", int(port_file.read_text())), ANSWER_SECONDS)
            except (OSError, ValueError) as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("Firefox didn't start") from error
                time.sleep(0.05)

    def __call__(self, command: str, /, **parameters: Any) -> Any:
        """Give one command and return its answer.

        Raises:
            Momentary: what it is about isn't there now.
            Failure: it can't be done.
        """
        self._sent += 1
        message = json.dumps([0, self._sent, command, parameters]).encode()
        self._socket.sendall(b"%d:%s" % (len(message), message))
        _, number, error, result = self._receive()
        if number != self._sent:
            raise Failure("Firefox answered something that wasn't asked")
        if error is not None:
            kind = Momentary if error["error"] in _MOMENTARY else Failure
            raise kind(f"{command}: {error['error']}: {error['message']}")
        return result["value"] if isinstance(result, dict) and result.keys() == {"value"} else result

    def _receive(self) -> Any:
        length = b""
        while not length.endswith(b":"):
            length += self._exactly(1)
        return json.loads(self._exactly(int(length[:-1])))

    def _exactly(self, size: int) -> bytes:
        parts = []
        while size:
            part = self._socket.recv(size)
            if not part:
                raise ConnectionError("Firefox has closed its connection")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def find(self, selector: str) -> list[str]:
        """Return all elements that a CSS selector finds."""
        found = self("WebDriver:FindElements", using="css selector", value=selector)
        return [each[_ELEMENT] for each in found]

    def find_one(self, selector: str) -> str:
        """Return the first such element. Raises: Momentary: there is none."""
        found: str = self("WebDriver:FindElement", using="css selector", value=selector)[_ELEMENT]
        return found

    def script(self, script: str, *arguments: Any) -> Any:
        """Run a script of the test's own, which a page without scripts doesn't hinder."""
        return self("WebDriver:ExecuteScript", script=script, args=list(arguments), newSandbox=True, sandbox="default")

    def in_chrome(self, script: str, *arguments: Any) -> Any:
        """Run a script in the browser's window instead of the page."""
        self("Marionette:SetContext", value="chrome")
        try:
            return self.script(script, *arguments)
        finally:
            self("Marionette:SetContext", value="content")

    def close(self) -> None:
        """End it, and wait until it is gone."""
        try:
            self("Marionette:Quit", flags=["eForceQuit"])
            self._process.wait(END_SECONDS)
        except (OSError, Failure, subprocess.TimeoutExpired):
            self._kill()
        finally:
            self._socket.close()

    def _kill(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
