"""ASCII armor: an age file as lines of text, for places that bytes don't survive. SPEC section 4.7.

Strict, so that an armored file has one spelling too: only white space around it and the kind of line end are free.
"""

from __future__ import annotations

import binascii
import io

from keys.age.header import COLUMNS, Reader
from keys.age.stream import Writer, read_fully
from keys.errors import Malformed

BEGIN = b"-----BEGIN AGE ENCRYPTED FILE-----"
END = b"-----END AGE ENCRYPTED FILE-----"
MAX_SPACE_BYTES = 1024

_BYTES_A_LINE = COLUMNS // 4 * 3
_SPACE = b" \t\r\n"
_MAX_LINE_BYTES = COLUMNS + 2


class ArmorMalformed(Malformed):
    """The text isn't one strictly armored file."""


class ArmorWriter:
    """Armors what is written to it. `finish` writes the end."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._pending = bytearray()
        writer.write(BEGIN + b"\n")

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._pending += data
        whole = len(self._pending) // _BYTES_A_LINE * _BYTES_A_LINE
        self._lines(bytes(self._pending[:whole]))
        del self._pending[:whole]

    def finish(self) -> None:
        self._lines(bytes(self._pending))
        self._writer.write(END + b"\n")

    def _lines(self, data: bytes) -> None:
        starts = range(0, len(data), _BYTES_A_LINE)
        self._writer.write(b"".join(binascii.b2a_base64(data[start : start + _BYTES_A_LINE]) for start in starts))


class ArmorReader:
    """Reads the bytes inside an armored file: a reader for whatever reads age files.

    What it hands out is not authenticated in any way; that is age's work.

    Raises:
        ArmorMalformed: from `read` and `readline`.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._decoded = bytearray()
        self._line_end = b""
        self._ended = False

    def read(self, size: int, /) -> bytes:
        """Return `size` bytes, or fewer at the end."""
        while len(self._decoded) < size and not self._ended:
            self._decode_line()
        return self._take(size)

    def readline(self, limit: int, /) -> bytes:
        """Return the bytes up to and with the next line feed, at most `limit`, or fewer at the end."""
        while (found := self._decoded.find(b"\n", 0, limit)) < 0 and len(self._decoded) < limit and not self._ended:
            self._decode_line()
        return self._take(limit if found < 0 else found + 1)

    def _take(self, size: int) -> bytes:
        taken = bytes(self._decoded[:size])
        del self._decoded[:size]
        return taken

    def _decode_line(self) -> None:
        if not self._line_end:
            self._line_end = self._begin()
        line = self._line()
        if line == END:
            self._end()
            return
        decoded = _decode(line)
        self._decoded += decoded
        if len(decoded) < _BYTES_A_LINE:
            if self._line() != END:
                raise ArmorMalformed("Armor goes on behind a line that isn't full.")
            self._end()

    def _begin(self) -> bytes:
        """Skip white space and the first line; return the line end that it has, and all the others must have."""
        left = MAX_SPACE_BYTES
        while left >= 0:
            line = self._reader.readline(MAX_SPACE_BYTES) or b""
            if line in (BEGIN + b"\n", BEGIN + b"\r\n"):
                return line[len(BEGIN) :]
            if line.strip(_SPACE) or not line.endswith(b"\n"):
                break
            left -= len(line)
        raise ArmorMalformed("This is not an armored age file.")

    def _line(self) -> bytes:
        line = self._reader.readline(_MAX_LINE_BYTES) or b""
        if line == END:
            return line  # The file may end without a line end.
        if not line.endswith(self._line_end):
            raise ArmorMalformed("Armor ends too early, has a line that is too long, or mixes line ends.")
        return line[: -len(self._line_end)]

    def _end(self) -> None:
        rest = read_fully(self._reader, MAX_SPACE_BYTES + 1)
        if rest.strip(_SPACE) or len(rest) > MAX_SPACE_BYTES:
            raise ArmorMalformed("Something stands behind the end of an armored file.")
        self._ended = True


def armored(data: bytes) -> bytes:
    """Write an age file as ASCII armor, in memory."""
    text = io.BytesIO()
    writer = ArmorWriter(text)
    writer.write(data)
    writer.finish()
    return text.getvalue()


def dearmored(text: bytes) -> bytes:
    """Return the age file inside ASCII armor; nothing of it is authenticated yet. Raises: ArmorMalformed."""
    return ArmorReader(io.BytesIO(text)).read(len(text) + 1)


def _decode(line: bytes) -> bytes:
    """Decode one line of padded base64, in its one canonical spelling; its length was bounded when it was read."""
    try:
        decoded = binascii.a2b_base64(line, strict_mode=True)
    except binascii.Error as error:
        raise ArmorMalformed("A line of armor is not base64.") from error
    if not decoded or binascii.b2a_base64(decoded, newline=False) != line:
        raise ArmorMalformed("A line of armor is empty, or not canonical base64.")
    return decoded
