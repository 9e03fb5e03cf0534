"""Reads multipart/form-data (RFC 7578) as a stream of parts, bounded in every direction. Plaintext is never spooled.

What a browser sends is read to the byte: names are kept as they came, only CRLF ends a line, and where the stream is
cut by the network makes no difference. (Of the decoders that exist, werkzeug's 3.1.9 adds a byte to a file when a read
ends between the two dashes that close a form; others undo escapes in names.)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from werkzeug.http import parse_options_header

from dropbox.refusals import BadForm

READ_BYTES = 256 * 1024
MAX_PARTS = 400
MAX_HEAD_BYTES = 16 * 1024
_BOUNDARY = re.compile(r"[ -~]{1,70}\Z")
_DISPOSITION = re.compile(
    rb'content-disposition:[ \t]*form-data;[ \t]*name="([!#-~]{1,64})"[ \t]*(?:;[ \t]*filename\*?=(.*))?',
    re.IGNORECASE | re.DOTALL,
)
_TYPE = re.compile(rb"content-type:(.*)", re.IGNORECASE | re.DOTALL)


class Stream(Protocol):
    """A request's body. `readinto` blocks until something is there, and says how much: 0 at the end or at a break."""

    def readinto(self, buffer: memoryview, /) -> int: ...


class Broken(Exception):
    """The upload ended before the form did: the sender, Tor or the network broke off. Not the sender's fault."""


@dataclass(frozen=True, slots=True)
class Field:
    """A text field begins."""

    name: str


@dataclass(frozen=True, slots=True)
class File:
    """A file begins. `filename` and `declared_type` are bytes exactly as they were sent."""

    name: str
    filename: bytes
    declared_type: bytes

    def __repr__(self) -> str:
        return f"File({self.name!r}, …)"


@dataclass(frozen=True, slots=True)
class Data:
    """Some bytes of the part that began last. The view is good until the next event is asked for."""

    data: memoryview

    def __repr__(self) -> str:
        return "Data(…)"


@dataclass(frozen=True, slots=True)
class End:
    """The part that began last is complete."""


Event = Field | File | Data | End


def boundary_of(content_type: str | None) -> bytes:
    """Return the boundary that a request's Content-Type names. Raises: BadForm: it isn't such a form."""
    kind, options = parse_options_header(content_type)
    boundary = options.get("boundary", "")
    if kind.lower() != "multipart/form-data" or not _BOUNDARY.match(boundary):
        raise BadForm
    return boundary.encode("ascii")


def events(stream: Stream, boundary: bytes) -> Iterator[Event]:
    """Yield the parts of a form as they arrive: each `Field` or `File`, its `Data` if any, `End`. Holds about one read.

    What follows the closing boundary means nothing and isn't read.

    Raises:
        BadForm: it isn't such a form, it has more than 400 parts, or a part whose head is longer than 16 KiB.
        Broken: the stream ended before the form's closing boundary.
    """
    held = _Held(stream)
    opening = b"--" + boundary
    if held.take(len(opening)) != opening:
        raise BadForm
    parts = 0
    while (mark := held.take(2)) == b"\r\n":
        parts += 1
        if parts > MAX_PARTS:
            raise BadForm
        yield _begin(held.head())
        yield from held.until(b"\r\n" + opening)
    if mark != b"--":
        raise BadForm


def _begin(head: bytes) -> Event:
    """Read the head of a part: what it is called, and how a file's name and type were given."""
    lines = head.split(b"\r\n")
    found = next(filter(None, map(_DISPOSITION.fullmatch, lines)), None)
    if found is None:
        raise BadForm
    name, filename = found[1].decode("ascii"), found[2]
    if filename is None:
        return Field(name)
    declared = next(filter(None, map(_TYPE.fullmatch, lines)), None)
    return File(name, _unquoted(filename), declared[1].strip(b" \t") if declared else b"")


def _unquoted(filename: bytes) -> bytes:
    """Take a name out of its quotes and leave every escape in it: a name is evidence.

    Browsers send it last and quoted, with `"` written %22, so it runs to the last quote.
    """
    if filename.startswith(b'"') and len(filename) > 1 and b'"' in filename[1:]:
        return filename[1 : filename.rindex(b'"')]
    return filename.strip(b" \t")


class _Held:
    """What was read of a stream and isn't used yet, in one piece of memory for the whole form.

    Hands out views of it; only what is left over is ever moved. What is searched for is always shorter than the memory.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._memory = bytearray(READ_BYTES)
        self._view = memoryview(self._memory)
        self._at = 0
        self._end = 0

    def _more(self) -> None:
        left = self._end - self._at
        self._view[:left] = self._view[self._at : self._end]
        self._at, self._end = 0, left
        count = self._stream.readinto(self._view[left:])
        if not count:
            raise Broken
        self._end += count

    def take(self, length: int) -> bytes:
        while self._end - self._at < length:
            self._more()
        self._at += length
        return bytes(self._view[self._at - length : self._at])

    def head(self) -> bytes:
        """Take all up to an empty line. Raises: BadForm: there is none in 16 KiB."""
        while (found := self._memory.find(b"\r\n\r\n", self._at, self._end)) < 0:
            if self._end - self._at > MAX_HEAD_BYTES:
                raise BadForm
            self._more()
        if found - self._at > MAX_HEAD_BYTES:
            raise BadForm
        return self.take(found + 4 - self._at)[:-4]

    def until(self, delimiter: bytes) -> Iterator[Data | End]:
        """Yield all up to a delimiter, take it, and yield the end.

        It counts only when CRLF or `--` follows it, which stays to be taken: a longer boundary may begin like a shorter
        one. All but what could be the beginning of a delimiter is yielded at once.
        """
        searched = self._at
        while True:
            found = self._memory.find(delimiter, searched, self._end)
            behind = found + len(delimiter)
            if found < 0 or self._end < behind + 2:
                unsure = found if found >= 0 else self._end - len(delimiter) + 1
                yield from self._data(max(unsure, searched))
                self._more()
                searched = self._at
            elif self._memory.startswith((b"\r\n", b"--"), behind, self._end):
                yield from self._data(found)
                self._at = behind
                yield End()
                return
            else:
                searched = behind  # Content full of these must not cost a step of the whole chain each.

    def _data(self, end: int) -> Iterator[Data]:
        if end > self._at:
            start, self._at = self._at, end
            yield Data(self._view[start:end])
