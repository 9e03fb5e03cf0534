"""How bytes, numbers, JSON and signed statements are written down. SPEC sections 2 and 3.

Everything here is pure. Whatever a parser here is given, it returns a value or raises `Malformed`.
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
from typing import Any

from keys.errors import Malformed

JSON_MAX_DEPTH = 16
INTEGER_MAX = 2**53 - 1
SECONDS_A_WEEK = 604_800
FIRST_MONDAY_BEFORE_1970 = 259_200  # Seconds: 1970-01-01 was a Thursday.


def week_of(unix_seconds: int) -> int:
    """Return the number of the week (Monday 00:00 UTC to Monday) that holds this time. SPEC section 2.4."""
    return (unix_seconds + FIRST_MONDAY_BEFORE_1970) // SECONDS_A_WEEK


def week_start(week: int) -> int:
    """Return the Unix time at which a week begins."""
    return week * SECONDS_A_WEEK - FIRST_MONDAY_BEFORE_1970


def from_hex(text: str, length: int) -> bytes:
    """Decode exactly `length` bytes of lowercase hexadecimal.

    Raises:
        Malformed: wrong length, upper case, or anything that isn't hexadecimal.
    """
    if len(text) != 2 * length or any(c not in "0123456789abcdef" for c in text):
        raise Malformed(f"Expected {length} bytes as lowercase hexadecimal.")
    return bytes.fromhex(text)


def to_base64(data: bytes) -> str:
    """Encode as standard base64 without padding, as age does."""
    return base64.b64encode(data).rstrip(b"=").decode()


def from_base64(text: str) -> bytes:
    """Decode canonical, unpadded standard base64.

    Only the one canonical spelling is accepted: a second spelling of the same bytes would let somebody change a
    file without changing its meaning, which is how files get told apart and tracked.

    Raises:
        Malformed: padding, a foreign character, or left-over bits that aren't zero.
    """
    try:
        data = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), validate=True)
    except (binascii.Error, UnicodeEncodeError, ValueError) as error:
        raise Malformed("This is not base64.") from error
    if to_base64(data) != text:
        raise Malformed("This base64 is not canonical: it has padding or stray bits.")
    return data


def _pairs_without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise Malformed("A JSON object names the same key twice.")
    return result


def _no_float(text: str) -> Any:
    raise Malformed("JSON numbers here are whole numbers.")


def _small_integer(text: str) -> int:
    if len(text) > 17 or abs(value := int(text)) > INTEGER_MAX:
        raise Malformed("A JSON number is too large.")
    return value


def parse_json(data: bytes) -> dict[str, Any]:
    """Parse a JSON object strictly: UTF-8, no duplicate keys, whole numbers within 2**53, bounded depth.

    Raises:
        Malformed: anything else.
    """
    try:
        text = data.decode("utf-8")
        if _depth(text) > JSON_MAX_DEPTH:
            raise Malformed("This JSON is nested too deeply.")
        value = json.loads(
            text,
            object_pairs_hook=_pairs_without_duplicates,
            parse_float=_no_float,
            parse_constant=_no_float,
            parse_int=_small_integer,
        )
        if not isinstance(value, dict):
            raise Malformed("Expected a JSON object.")
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # A lone surrogate would surface later, elsewhere.
    except (UnicodeError, json.JSONDecodeError, RecursionError) as error:
        raise Malformed("This is not JSON in UTF-8.") from error
    return value


def _depth(text: str) -> int:
    """Return how deep brackets are nested outside strings: never too low for what is JSON. What isn't fails later."""
    deepest = now = 0
    in_string = escaped = False
    for character in text:
        if in_string:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                in_string = False
        elif character == '"':
            in_string = True
        elif character in "[{":
            now += 1
            deepest = max(deepest, now)
        elif character in "]}":
            now -= 1
    return deepest


def to_json(value: dict[str, Any]) -> bytes:
    """Write JSON as this project writes it: UTF-8, sorted keys, two spaces, one newline at the end.

    Readers must not depend on the layout: signatures cover exact bytes, never a re-encoding.
    """
    return (json.dumps(value, ensure_ascii=False, sort_keys=True, indent=2) + "\n").encode("utf-8")


class Fields:
    """Reads the fields of one JSON object, each once and by type; `done` refuses what is left over.

    Args:
        value: the parsed object.
        what: what it is, in words for the error message ("manifest", "desk").
    """

    def __init__(self, value: Any, what: str) -> None:
        if not isinstance(value, dict):
            raise Malformed(f"The {what} is not a JSON object.")
        self._left = dict(value)
        self._what = what

    def _take(self, name: str, kind: type) -> Any:
        if name not in self._left:
            raise Malformed(f"The {self._what} has no field {name!r}.")
        value = self._left.pop(name)
        if type(value) is not kind:  # Exactly: a bool is not an int here.
            raise Malformed(f"The field {name!r} of the {self._what} has the wrong type.")
        return value

    def text(self, name: str, max_bytes: int = 4096) -> str:
        value: str = self._take(name, str)
        if len(value.encode("utf-8")) > max_bytes:
            raise Malformed(f"The field {name!r} of the {self._what} is longer than {max_bytes} bytes.")
        return value

    def integer(self, name: str, low: int, high: int) -> int:
        value: int = self._take(name, int)
        if not low <= value <= high:
            raise Malformed(f"The field {name!r} of the {self._what} is not between {low} and {high}.")
        return value

    def boolean(self, name: str) -> bool:
        value: bool = self._take(name, bool)
        return value

    def hex(self, name: str, length: int) -> bytes:
        return from_hex(self._take(name, str), length)

    def choice(self, name: str, allowed: tuple[str, ...]) -> str:
        value: str = self._take(name, str)
        if value not in allowed:
            raise Malformed(f"The field {name!r} of the {self._what} is none of: {', '.join(allowed)}.")
        return value

    def array(self, name: str, most: int) -> list[Any]:
        value: list[Any] = self._take(name, list)
        if len(value) > most:
            raise Malformed(f"The field {name!r} of the {self._what} has more than {most} entries.")
        return value

    def object(self, name: str) -> dict[str, Any]:
        value: dict[str, Any] = self._take(name, dict)
        return value

    def done(self) -> None:
        """Refuse fields that nobody asked for: an unknown field could mean something to somebody else.

        Raises:
            Malformed: when any field is left.
        """
        if self._left:
            raise Malformed(f"The {self._what} has an unknown field.")


class Reader:
    """Reads big-endian binary fields from bytes, in order.

    Raises:
        Malformed: from each method, when fewer bytes are left than asked for.
    """

    def __init__(self, data: bytes | memoryview) -> None:
        self._data = memoryview(data)
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, length: int) -> bytes:
        if length > self.left:
            raise Malformed("The data ends too early.")
        start, self._at = self._at, self._at + length
        return bytes(self._data[start : self._at])

    def u8(self) -> int:
        return self.take(1)[0]

    def u16(self) -> int:
        return int(struct.unpack(">H", self.take(2))[0])

    def u32(self) -> int:
        return int(struct.unpack(">I", self.take(4))[0])

    def u64(self) -> int:
        return int(struct.unpack(">Q", self.take(8))[0])

    def done(self) -> None:
        if self.left:
            raise Malformed("There is something after the end.")


def u8(value: int) -> bytes:
    return struct.pack(">B", value)


def u16(value: int) -> bytes:
    return struct.pack(">H", value)


def u32(value: int) -> bytes:
    return struct.pack(">I", value)


def u64(value: int) -> bytes:
    return struct.pack(">Q", value)
