"""Answer one request with a WSGI application, in a thread of a lane."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from dropbox.serving.body import Body
from dropbox.serving.head import Head
from dropbox.serving.journal import SilentErrors, describe
from dropbox.serving.pace import BodyBroken, Disconnected, Pace, Rate, TooSlow
from dropbox.serving.prepared import PreparedPages
from dropbox.serving.reply import Reply

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

CIRCUIT = "mustshare.circuit"
"""The key in WSGI's environ under which stands the Tor circuit: a number without meaning, or None."""

_SEPARATORS = {"cookie": "; "}


@dataclass(slots=True, repr=False, eq=False)
class Request:
    """A request whose head is complete, and its connection."""

    connection: socket.socket
    head: Head
    early: bytearray
    """What of the body came along with the head; all of it, where a lane gathers bodies."""

    def __repr__(self) -> str:
        return "<Request>"

    def forget(self) -> None:
        """Overwrite what came of the body."""
        self.early[:] = bytes(len(self.early))


def environ_of(head: Head, body: Body) -> dict[str, Any]:
    """Build WSGI's environ (PEP 3333). There is no REMOTE_ADDR: over Tor there is none to tell."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": head.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(head.path).decode("latin-1"),
        "QUERY_STRING": head.query,
        "SERVER_PROTOCOL": head.version,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": body,
        "wsgi.input_terminated": True,
        "wsgi.errors": SilentErrors(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        CIRCUIT: head.circuit,
    }
    for name, value in head.fields:
        key = name.upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        environ[key] = environ[key] + _SEPARATORS.get(name, ",") + value if key in environ else value
    _name_server(environ)
    return environ


def _name_server(environ: dict[str, Any]) -> None:
    """The socket has no name of its own: what the client called the server is the only one there is."""
    name, colon, port = environ.get("HTTP_HOST", "localhost").rpartition(":")
    if colon and port.isdigit():
        environ["SERVER_NAME"], environ["SERVER_PORT"] = name, port
    else:
        environ["SERVER_NAME"] = environ.get("HTTP_HOST", "localhost")


@dataclass(frozen=True, slots=True)
class Answerer:
    """Runs one site's application for its requests."""

    application: WSGIApplication
    pages: PreparedPages
    rate: Rate
    on_error: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic

    def answer(self, request: Request) -> int | None:
        """Answer, and return how many bytes of the body the client may still be sending.

        None: the connection broke or was given up, and can only be closed. Never raises: whatever the application
        does, the thread that serves the lane lives on.
        """
        pace = Pace(self.rate)
        head = request.head
        request.connection.settimeout(pace.step_seconds)
        body = Body(request.connection, request.early, head.length, pace, expects_continue=head.expects_continue)
        reply = Reply(request.connection, head.method, Pace(self.rate))
        try:
            self._run(environ_of(head, body), reply)
        except TooSlow:
            return 0 if self._give_up(reply, 408) else None
        except Disconnected:
            return None
        except BaseException as error:  # noqa: BLE001 - the boundary behind which any program may run
            self.on_error(f"A request failed: {describe(error)}")
            if not self._give_up(reply, 500):
                return None
        finally:
            body.wipe()
            request.forget()
        return None if body.broken is not None else body.unread

    def _run(self, environ: dict[str, Any], reply: Reply) -> None:
        parts: Iterable[bytes] = self.application(environ, reply.start_response)
        try:
            for part in parts:
                if part:
                    reply.write(part)
            reply.finish()
        finally:
            close = getattr(parts, "close", None)
            if close is not None:
                close()

    def _give_up(self, reply: Reply, status: int) -> bool:
        """Send a prepared page if no part of another answer has gone out yet."""
        if reply.head_sent:
            return False
        try:
            reply.prepared(self.pages.page(status), status)
        except BodyBroken:
            return False
        return True
