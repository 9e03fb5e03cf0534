"""The one family of errors that bad input may raise, branched by whose fault it is.

Every error carries what a person should read (`message`), what they should do next (`remedy`), the exit
code of a command that ends with it, and the HTTP status of a page that shows it. None carries plaintext,
a codename, a key or a path. A programmer's mistake is a `TypeError`, `ValueError` or `RuntimeError` instead.
"""

from __future__ import annotations

from typing import ClassVar


class DropBoxError(Exception):
    """Root of the family: catching this catches everything that bad input can cause, and nothing else.

    Args:
        message: one sentence that says what happened, fit to be shown to whoever gave the input.
        remedy: one sentence that says what to do next; the class's own when left out.
    """

    exit_code: ClassVar[int] = 1
    http_status: ClassVar[int] = 500
    default_remedy: ClassVar[str] = "Run the command with --help, or read docs/SPEC.md."

    def __init__(self, message: str, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = self.default_remedy if remedy is None else remedy


class Malformed(DropBoxError):
    """The bytes don't follow their format."""

    exit_code = 65
    http_status = 400
    default_remedy = "Fetch or copy it again: it is damaged, or it is something else."


class NotAuthentic(DropBoxError):
    """The bytes are well-formed, but a signature, tag or checksum says they are not what was sealed or signed."""

    exit_code = 66
    http_status = 403
    default_remedy = "Don't use it. Get it again from its origin, and compare the fingerprints."


class NotForUs(DropBoxError):
    """The bytes may be good, but no key held here opens them, or they name another network, desk or server."""

    exit_code = 67
    http_status = 404
    default_remedy = "Check that it belongs to this network and this desk."


class Stale(DropBoxError):
    """Expired, not yet valid, rolled back, or out of order."""

    exit_code = 68
    http_status = 503
    default_remedy = "Check this machine's clock, then ask for the newest copy."


class Refused(DropBoxError):
    """Policy forbids it, whoever asks."""

    exit_code = 69
    http_status = 403
    default_remedy = "Read what the message says is allowed."


class NoRoom(DropBoxError):
    """There is no room left, or a limit is reached."""

    exit_code = 73
    http_status = 507
    default_remedy = "Make room, or send less at a time."


class Misconfigured(DropBoxError):
    """This machine isn't set up for what was asked."""

    exit_code = 78
    http_status = 503
    default_remedy = "Mend the configuration that the message names."
