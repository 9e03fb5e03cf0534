"""Chromium, told what to do through its chromedriver: as much of WebDriver as the tests of pages need."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError, URLError

PROGRAMS: Final = (Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver"))
START_SECONDS: Final = 120.0
ANSWER_SECONDS: Final = 120.0
_OPTIONS: Final = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-sync",
)


class Failure(Exception):
    """Chromium refused a command."""


class Chromium:
    """A Chromium without a window, under a profile in a folder of its own. Close it."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self._address = f"http://127.0.0.1:{port}"
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with (folder / "chromedriver.log").open("wb") as log:
            self._driver = subprocess.Popen(
                [PROGRAMS[1], f"--port={port}"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._session = ""
        options = {"binary": str(PROGRAMS[0]), "args": [*_OPTIONS, f"--user-data-dir={folder / 'chromium'}"]}
        try:
            self._wait_for_driver()
            wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}}
            self._session = f"/session/{self._ask('POST', '/session', wanted)['sessionId']}"
            self._ask("POST", f"{self._session}/timeouts", {"script": int(1_000 * ANSWER_SECONDS)})
        except BaseException:
            self.close()
            raise

    def _wait_for_driver(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            with suppress(URLError, OSError):
                if self._ask("GET", "/status")["ready"]:
                    return
            if self._driver.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("chromedriver didn't start")
            time.sleep(0.05)

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        data = None if method != "POST" else json.dumps(body or {}).encode()
        kind = {"Content-Type": "application/json"}
        request = urllib.request.Request(self._address + path, data, kind, method=method)
        try:
            with self._opener.open(request, timeout=2 * ANSWER_SECONDS) as answer:
                return json.load(answer)["value"]
        except HTTPError as error:
            raise Failure(f"{path}: {json.load(error)['value']['message']}") from error

    def devtools(self, command: str, /, **parameters: Any) -> Any:
        """Give a command of the DevTools protocol, and return its answer."""
        return self._ask("POST", f"{self._session}/goog/cdp/execute", {"cmd": command, "params": parameters})

    def open(self, address: str) -> None:
        self._ask("POST", f"{self._session}/url", {"url": address})

    def in_every_document(self, script: str) -> None:
        """Run a script first thing in every page and frame that is opened from now on."""
        self.devtools("Page.addScriptToEvaluateOnNewDocument", source=script)

    def script(self, script: str, *arguments: Any) -> Any:
        """Run a script in the page; a promise that it returns is waited for."""
        return self._ask("POST", f"{self._session}/execute/sync", {"script": script, "args": list(arguments)})

    def scripts(self, run: bool) -> None:
        """Say whether scripts of pages run, from the next page on."""
        self.devtools("Emulation.setScriptExecutionDisabled", value=not run)

    def show(self, width: int, height: int, *, dark: bool) -> None:
        """Be a screen of this size, with light colours or dark ones."""
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.devtools("Emulation.setEmulatedMedia", features=[scheme])

    def picture(self, target: Path, *, whole: bool = True) -> None:
        """Take a picture of the whole page, or of what the screen shows at first."""
        taken = self.devtools("Page.captureScreenshot", format="png", captureBeyondViewport=whole, **self._clip(whole))
        target.write_bytes(base64.b64decode(taken["data"]))

    def _clip(self, whole: bool) -> dict[str, object]:
        if not whole:
            return {}
        size = self.devtools("Page.getLayoutMetrics")["cssContentSize"]
        return {"clip": {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}}

    def close(self) -> None:
        """End it, and wait until it is gone."""
        if self._session:
            with suppress(Failure, URLError, OSError):
                self._ask("DELETE", self._session)
        if self._driver.poll() is None:
            os.killpg(self._driver.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._driver.wait(10)
        with suppress(ProcessLookupError):
            os.killpg(self._driver.pid, signal.SIGKILL)
        self._driver.wait()
