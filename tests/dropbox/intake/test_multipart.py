"""Forms come apart the same way wherever the network cuts them, and nothing but a form is taken for one."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbox.intake.multipart import (
    MAX_HEAD_BYTES,
    MAX_PARTS,
    READ_BYTES,
    Broken,
    Data,
    End,
    Event,
    Field,
    File,
    boundary_of,
    events,
)
from dropbox.refusals import BadForm

BOUNDARY = b"----geckoformboundary0123456789abcdef"
LINE = b"\r\n--" + BOUNDARY


class Cut:
    """A stream that hands out exactly these pieces, cut once more where one is longer than what is asked for."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._left = b""

    def readinto(self, buffer: memoryview, /) -> int:
        piece = self._left or next((piece for piece in self._pieces if piece), b"")
        given, self._left = piece[: len(buffer)], piece[len(buffer) :]
        buffer[: len(given)] = given
        return len(given)

    def rest(self) -> bytes:
        return self._left + b"".join(self._pieces)


def part(head: bytes, content: bytes) -> bytes:
    return b"--" + BOUNDARY + b"\r\n" + head + b"\r\n\r\n" + content + b"\r\n"


def field(name: str, content: bytes) -> bytes:
    return part(f'Content-Disposition: form-data; name="{name}"'.encode(), content)


def file(filename: bytes, content: bytes, type_: bytes = b"application/pdf") -> bytes:
    head = b'Content-Disposition: form-data; name="files"; filename="' + filename + b'"\r\nContent-Type: ' + type_
    return part(head, content)


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--" + BOUNDARY + b"--\r\n"


def joined(stream: Iterator[Event]) -> list[tuple[Field | File, bytes]]:
    """Read a form to its end: each part and its content."""
    found: list[tuple[Field | File, bytes]] = []
    for event in stream:
        if isinstance(event, Field | File):
            content = bytearray()
            for piece in stream:
                if isinstance(piece, End):
                    break
                assert isinstance(piece, Data)
                content += piece.data
            found.append((event, bytes(content)))
    return found


def read(body: bytes) -> list[tuple[Field | File, bytes]]:
    return joined(events(io.BytesIO(body), BOUNDARY))


SAMPLE = form(
    field("text", "ข้อความ\r\nสองบรรทัด".encode()),
    file("สัญญา.pdf".encode(), b"one" + LINE + b"x" + LINE[:-1] + b"\r\n-\r\r\n"),
    file(b"", b""),
    file(b"a.pdf", b""),
    file(b"a.pdf", b"\r\n"),
)
PARTS = read(SAMPLE)


def test_parts_come_apart_byte_for_byte() -> None:
    assert [
        (Field("text"), "ข้อความ\r\nสองบรรทัด".encode()),
        (
            File("files", "สัญญา.pdf".encode(), b"application/pdf"),
            b"one" + LINE + b"x" + LINE[:-1] + b"\r\n-\r\r\n",
        ),
        (File("files", b"", b"application/pdf"), b""),
        (File("files", b"a.pdf", b"application/pdf"), b""),
        (File("files", b"a.pdf", b"application/pdf"), b"\r\n"),
    ] == PARTS


def test_one_cut_anywhere_changes_nothing() -> None:
    for at in range(1, len(SAMPLE)):
        assert joined(events(Cut([SAMPLE[:at], SAMPLE[at:]]), BOUNDARY)) == PARTS, at


@pytest.mark.parametrize("size", [1, 2, 3, 7, len(LINE) - 1, len(LINE), len(LINE) + 1])
def test_small_reads_change_nothing(size: int) -> None:
    pieces = (SAMPLE[at : at + size] for at in range(0, len(SAMPLE), size))
    assert joined(events(Cut(pieces), BOUNDARY)) == PARTS


@given(
    contents=st.lists(
        st.lists(
            st.sampled_from([b"\r\n", b"\r", b"\n", b"--", b"-", BOUNDARY, BOUNDARY[:5], LINE, LINE + b"-", b"x"])
            | st.binary(max_size=9)
        ).map(b"".join),
        max_size=4,
    ),
    cuts=st.lists(st.integers(1, 400)),
)
def test_any_content_survives_any_cuts(contents: list[bytes], cuts: list[int]) -> None:
    # What a browser never lets happen, as it draws its boundary at random: the boundary within the content.
    contents = [each for each in contents if not {LINE + b"--", LINE + b"\r\n"} & {*windows(b"\r\n" + each + LINE)}]
    body = form(*(file(b"name", content) for content in contents))
    borders = [0, *sorted({min(each, len(body)) for each in itertools.accumulate(cuts)}), len(body)]
    stream = Cut(body[low:high] for low, high in itertools.pairwise(borders))
    assert [content for _, content in joined(events(stream, BOUNDARY))] == contents


def windows(content: bytes) -> Iterator[bytes]:
    size = len(LINE) + 2
    return (content[at : at + size] for at in range(len(content) - size + 1))


def test_every_early_end_is_told() -> None:
    for at in range(len(SAMPLE) - 2):
        with pytest.raises(Broken):
            joined(events(Cut([SAMPLE[:at]]), BOUNDARY))


def test_nothing_is_read_behind_the_end() -> None:
    stream = Cut([form(field("a", b"1")), b"--never asked for"])
    assert joined(events(stream, BOUNDARY)) == [(Field("a"), b"1")]
    assert stream.rest() == b"--never asked for"


@pytest.mark.parametrize(
    "name",
    [
        "รูปถ่ายสะพาน.jpg".encode(),
        ("ก" * 85).encode(),
        b"../../etc/passwd",
        b"C:\\Users\\somebody\\a.doc",
        b"a%22b.pdf",
        b'a"; filename="b.pdf',
        b"back\\slash\\",
        b"\xff\xfe not UTF-8",
        b"tab\tand nul\0",
        b"semi;colon=1",
        b" spaces ",
        b"",
    ],
)
def test_names_are_kept_as_they_came(name: bytes) -> None:
    ((part_, _),) = read(form(file(name, b"x")))
    assert part_ == File("files", name, b"application/pdf")


def test_255_bytes_of_name_are_kept() -> None:
    name = "ชื่อไฟล์ยาว".encode() * 9
    name = name[:255]
    ((part_, _),) = read(form(file(name, b"x")))
    assert isinstance(part_, File) and part_.filename == name


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b'content-disposition:form-data;name="files";filename="a"', File("files", b"a", b"")),
        (b'Content-Disposition: form-data; name="files"; filename=a.pdf ', File("files", b"a.pdf", b"")),
        (b'X: y\r\nContent-Disposition: form-data; name="files"; filename="a"', File("files", b"a", b"")),
        (b"Content-Disposition: form-data; name=\"files\"; filename*=UTF-8''a", File("files", b"UTF-8''a", b"")),
        (
            b'Content-Type: text/plain; charset=x \r\nContent-Disposition: form-data; name="files"; filename="a"',
            File("files", b"a", b"text/plain; charset=x"),
        ),
    ],
)
def test_other_programs_forms_are_read(head: bytes, expected: File) -> None:
    assert read(form(part(head, b"1"))) == [(expected, b"1")]


@pytest.mark.parametrize(
    "body",
    [
        b"\r\n" + SAMPLE,
        b"preamble\r\n" + SAMPLE,
        SAMPLE.replace(b"\r\n", b"\n"),
        b"--" + BOUNDARY + b" \r\n",
        b"--" + BOUNDARY + b"-x" + bytes(100),
        form(part(b"Content-Type: text/plain", b"x")),
        form(part(b"Content-Disposition: attachment; name=x", b"x")),
        form(part(b'Content-Disposition: form-data; filename="x"', b"x")),
        form(part(b'Content-Disposition: form-data; name=""', b"x")),
        form(part(b'Content-Disposition: form-data; name="' + b"x" * 65 + b'"', b"x")),
        form(part(b"\xff" * 100, b"x")),
        form(part(b"x" * (MAX_HEAD_BYTES + 1), b"x")),
        b"--" + BOUNDARY + b"\r\n" + b"x" * (MAX_HEAD_BYTES + READ_BYTES),
        form(*[field("a", b"1")] * (MAX_PARTS + 1)),
        form(*[field("a", b"1")] * 10_000),
    ],
)
def test_what_is_no_form_is_refused(body: bytes) -> None:
    with pytest.raises(BadForm):
        read(body)


def test_an_empty_form_is_one() -> None:
    assert read(form()) == []


@given(st.binary(max_size=300), st.binary(max_size=60), st.integers(0, len(SAMPLE)))
def test_any_bytes_are_a_form_or_no_form(anything: bytes, more: bytes, at: int) -> None:
    for body in (anything, SAMPLE[:at] + anything, SAMPLE[:at] + more + SAMPLE[at:]):
        try:
            read(body)
        except (BadForm, Broken):
            continue


def test_memory_holds_about_one_read() -> None:
    def pieces() -> Iterator[bytes]:
        yield form(file(b"a", b""))[: -len(LINE) - 6] + b"\r\n"
        for _ in range(200):
            yield b"\r\n" * (READ_BYTES // 2)
        yield LINE + b"--"

    total = 0
    held: set[int] = set()
    for event in events(Cut(pieces()), BOUNDARY):
        if isinstance(event, Data):
            assert isinstance(event.data.obj, bytearray)
            assert len(event.data.obj) == READ_BYTES
            held.add(id(event.data.obj))
            total += len(event.data)
    assert len(held) == 1, "one piece of memory, used again and again"
    assert total >= 200 * READ_BYTES


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=" + "x" * 71,
        "multipart/form-data; boundary=ก",
        "multipart/mixed; boundary=x",
    ],
)
def test_boundary_is_asked_for(content_type: str | None) -> None:
    with pytest.raises(BadForm):
        boundary_of(content_type)


@pytest.mark.parametrize(
    ("written", "boundary"),
    [('Multipart/Form-Data; boundary="a b"', b"a b"), ("multipart/form-data; charset=x; boundary=a%b", b"a%b")],
)
def test_boundary_is_read(written: str, boundary: bytes) -> None:
    assert boundary_of(written) == boundary


def test_events_tell_nothing_in_words() -> None:
    assert "secret" not in repr([File("files", b"secret", b""), Data(memoryview(b"secret"))])
