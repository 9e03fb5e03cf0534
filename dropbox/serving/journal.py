"""What this server writes down about itself: never anything of a request.

An exception is told by its type and by the place in our own code, because its message, its arguments and the lines
of its traceback may quote what a source wrote. There is no access log. Lines carry no time: whoever runs the server
under a journal gets one there, and may choose not to.
"""

from __future__ import annotations

import io
import logging
import sys
import threading
import traceback
from types import TracebackType

from gunicorn.config import Config
from gunicorn.glogging import Logger

OUR_PACKAGES = ("dropbox", "keys", "onion_config")


def describe(error: BaseException) -> str:
    """Name an exception by type and by where our code was, with its causes; never by its words."""
    told = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        told.append(f"{type(current).__qualname__} at {_place(current.__traceback__)}")
        current = current.__cause__ or current.__context__
    return ", from ".join(told)


def _place(trace: TracebackType | None) -> str:
    place = "an unknown place"
    for frame, line in traceback.walk_tb(trace):
        module = str(frame.f_globals.get("__name__", ""))
        if module.split(".")[0] in OUR_PACKAGES:
            place = f"{module}:{line}"
    return place


class ScrubbingFormatter(logging.Formatter):
    """Writes an exception as `describe` tells it, and nothing of its traceback."""

    def format(self, record: logging.LogRecord) -> str:
        told = describe(record.exc_info[1]) if record.exc_info and record.exc_info[1] else ""
        plain = logging.makeLogRecord({**record.__dict__, "exc_info": None, "exc_text": None, "stack_info": None})
        return super().format(plain) + (f": {told}" if told else "")


class Journal(Logger):
    """gunicorn's error log, scrubbed, with what our own packages say in it; its access log, gone."""

    error_fmt = "%(levelname)s %(process)d %(message)s"

    def setup(self, cfg: Config) -> None:
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(ScrubbingFormatter(self.error_fmt))
        # Else a page that failed is told to `wsgi.errors` alone, so to nobody.
        for package in OUR_PACKAGES:
            logging.getLogger(package).handlers[:] = self.error_log.handlers

    def access(self, *_: object) -> None:
        """Write nothing."""


class SilentErrors(io.TextIOBase):
    """WSGI's `wsgi.errors`: frameworks write tracebacks with the request's words there, so nothing is kept."""

    def writable(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        return len(text)


def silence_tracebacks() -> None:
    """Let exceptions that reach the interpreter, a thread's end or a finalizer be told by `describe` as well."""
    sys.excepthook = lambda kind, error, trace: _tell(error)
    threading.excepthook = lambda args: _tell(args.exc_value)
    sys.unraisablehook = lambda args: _tell(args.exc_value)


def _tell(error: BaseException | None) -> None:
    if error is not None and not isinstance(error, SystemExit):
        print(f"ERROR {describe(error)}", file=sys.stderr, flush=True)
