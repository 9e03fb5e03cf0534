"""Reads multipart/form-data as a stream of parts, bounded in every direction. Plaintext is never spooled.

The parsing itself is werkzeug's sans-I/O decoder; this module feeds it, bounds it, and turns whatever it says of
bad input into `Malformed`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio import multipart

from keys.errors import Malformed

READ_BYTES = 256 * 1024
MAX_PARTS = 400
MAX_PART_NAME = 64
_BUFFERED_BYTES = 4 * READ_BYTES
_BOUNDARY = re.compile(r"[ -~]{1,70}\Z")

_BAD_FORM = "The form arrived in a shape that this page doesn't send."
_BAD_FORM_REMEDY = "Open the page again and send it from there."


class Stream(Protocol):
    """A request's body. `read` blocks until something is there; it returns nothing only at the end or at a break."""

    def read(self, size: int, /) -> bytes: ...


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


@dataclass(frozen=True, slots=True)
class Data:
    """Some bytes of the part that began last; `last` with its final ones (which may be none)."""

    data: bytes
    last: bool

    def __repr__(self) -> str:
        return f"Data(…, last={self.last})"


Event = Field | File | Data


def boundary_of(content_type: str | None) -> bytes:
    """Return the boundary that a request's Content-Type names. Raises: Malformed: it isn't such a form."""
    kind, options = parse_options_header(content_type or "")
    boundary = options.get("boundary", "")
    if kind != "multipart/form-data" or not _BOUNDARY.match(boundary):
        raise Malformed(_BAD_FORM, _BAD_FORM_REMEDY)
    return boundary.encode("ascii")


def events(stream: Stream, boundary: bytes) -> Iterator[Event]:
    """Yield the parts of a form as they arrive. Memory holds about one read at a time.

    Raises:
        Malformed: it isn't such a form, it has too many parts, or a header without end.
        Broken: the stream ended before the form's closing boundary.
    """
    decoder = multipart.MultipartDecoder(boundary, _BUFFERED_BYTES, max_parts=MAX_PARTS)
    while True:
        try:
            event = decoder.next_event()
        except (ValueError, AssertionError, AttributeError) as error:
            # AttributeError: the decoder's, for a part without the line break that must stand before its data.
            raise Malformed(_BAD_FORM, _BAD_FORM_REMEDY) from error
        except RequestEntityTooLarge as error:
            raise Malformed("The form has too many parts.", _BAD_FORM_REMEDY) from error
        if isinstance(event, multipart.NeedData):
            _feed(decoder, stream)
        elif isinstance(event, multipart.Field):
            yield Field(_part_name(event.name))
        elif isinstance(event, multipart.File):
            disposition = event.headers.get("content-disposition", "")
            declared = event.headers.get("content-type", "")
            yield File(_part_name(event.name), _filename(disposition), declared.encode()[:255])
        elif isinstance(event, multipart.Data):
            yield Data(event.data, not event.more_data)
        if decoder.state is multipart.State.EPILOGUE:
            return  # What follows the closing boundary means nothing; the worker drains it.


def _feed(decoder: multipart.MultipartDecoder, stream: Stream) -> None:
    data = stream.read(READ_BYTES)
    if not data:
        raise Broken
    try:
        decoder.receive_data(data)
    except RequestEntityTooLarge as error:
        raise Malformed(_BAD_FORM, _BAD_FORM_REMEDY) from error


def _part_name(name: object) -> str:
    if not isinstance(name, str) or not 0 < len(name) <= MAX_PART_NAME:
        raise Malformed(_BAD_FORM, _BAD_FORM_REMEDY)
    return name


def _filename(disposition: str) -> bytes:
    """Take the file's name from its header as it stands, escapes and all.

    Browsers send it last and quoted, with `"` written %22, so it runs to the last quote. Library parsers strip what
    looks like a folder or an escape; a name is evidence, and is kept as it was given.
    """
    _, found, rest = disposition.partition('filename="')
    if found:
        return rest.rpartition('"')[0].encode()
    _, _, rest = disposition.partition("filename=")
    return rest.strip().encode()
