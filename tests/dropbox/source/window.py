"""A Firefox as at Tor Browser's safest level, on loopback, and what a person does in it."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from werkzeug.serving import WSGIRequestHandler, make_server

from tests.journeys.marionette import Firefox, Momentary

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

FIREFOX = Path("/usr/bin/firefox-esr")
SAFEST = {
    "javascript.enabled": False,
    "svg.disabled": True,
    "mathml.disabled": True,
    "gfx.downloadable_fonts.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "app.update.enabled": False,
    "intl.accept_languages": "th",
}
PATIENCE_SECONDS = 60
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class Slow:
    """A wire that carries little: bodies arrive in small pieces, with pauses."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ["wsgi.input"] = SlowBody(environ["wsgi.input"], int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input_terminated"] = True
        return self._application(environ, start_response)


class SlowBody(io.RawIOBase):
    def __init__(self, body: Any, length: int) -> None:
        super().__init__()
        self._body = body
        self._left = length

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        with memoryview(buffer).cast("B") as wanted:
            if self._left > 100_000:
                time.sleep(0.1)
            data = self._body.read(min(len(wanted), self._left, 65_536))
            wanted[: len(data)] = data
        self._left -= len(data)
        return len(data)


@contextmanager
def served(application: WSGIApplication) -> Iterator[str]:
    class Quiet(WSGIRequestHandler):
        def log(self, type: str, message: str, *args: object) -> None:
            return

    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Window:
    """One Firefox, and what a person does in it. Whatever isn't there yet is waited for."""

    def __init__(self, folder: Path, **other: bool) -> None:
        """Args: other: preferences that differ from the safest, with `__` for each dot of their names."""
        profile = folder / "profile"
        profile.mkdir()
        values = SAFEST | {name.replace("__", "."): value for name, value in other.items()}
        prefs = "".join(f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in values.items())
        (profile / "user.js").write_text(prefs)
        self.firefox = Firefox([str(FIREFOX), "--profile", str(profile), "about:blank"], profile, folder / "log")

    def open(self, address: str) -> None:
        self.firefox("WebDriver:Navigate", url=address)

    def press(self, selector: str) -> None:
        self.firefox("WebDriver:ElementClick", id=self.firefox.find_one(selector))

    def type(self, selector: str, text: str) -> None:
        self.firefox("WebDriver:ElementSendKeys", id=self.firefox.find_one(selector), text=text)

    def texts(self, selector: str) -> list[str]:
        return [str(self.firefox("WebDriver:GetElementText", id=each)) for each in self.firefox.find(selector)]

    @contextmanager
    def frame(self, name: str) -> Iterator[None]:
        element = {ELEMENT: self.firefox.find_one(f"iframe.{name}")}
        self.firefox("WebDriver:SwitchToFrame", element=element)
        try:
            yield
        finally:
            self.firefox("WebDriver:SwitchToFrame", id=None)

    def shown(self, frame: str | None = None) -> str:
        """All text of the page, or of one of its frames; nothing while it is being replaced."""
        with suppress(Momentary):
            if frame is None:
                return "".join(self.texts("body"))
            with self.frame(frame):
                return "".join(self.texts("body"))
        return ""

    def wait_for(self, text: str, frame: str | None = None) -> set[str]:
        """Wait until a text is shown; return everything that was shown until then."""
        seen: set[str] = set()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while text not in (shown := self.shown(frame)):
            assert time.monotonic() < deadline, f"{text} never came: {seen}"
            seen.add(shown)
            time.sleep(0.1)
        return seen | {shown}
