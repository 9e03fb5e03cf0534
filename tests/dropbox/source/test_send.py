"""Sending: what a source writes and attaches is what the chosen desks open, byte for byte. Promises 7 and 13."""

from __future__ import annotations

import hashlib
import html
import io
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dropbox.serving.pace import TooSlow
from keys.languages import LANGUAGES
from keys.terms import Limits
from keys.tip import PIECE_FRAME_BYTES
from tests.dropbox.source.site import BOUNDARY, Sent, Site, Upload, form_fields, multipart
from tests.simulators.newsroom import Newsroom

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

TEXT = "เจ้าหน้าที่แก้สัญญาหลังเปิดซอง\r\nผมเห็นเอกสารฉบับแรก"
STORED = "เก็บแล้ว"
QUICK = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def emptied(site: Site) -> Iterator[None]:
    yield
    site.empty()


def contents(site: Site, sent: Sent, desk: int = 1) -> list[tuple[bytes, bytes, bool]]:
    files = site.tip(sent, desk).files
    return [(file.name, file.content, file.interrupted) for _, file in sorted(files.items())]


def listed(page: str) -> list[str]:
    """What a receipt lists, each entry without its markup."""
    found = re.findall(r"<li>(.*?)</li>", page[page.index('class="items"') :].split("</ol>")[0], re.DOTALL)
    return [" ".join(html.unescape(re.sub(r"<[^>]+>", " ", each)).split()) for each in found]


def test_a_text_alone_is_one_closed_cell(site: Site) -> None:
    before = site.cells
    sent = site.visitor().send(TEXT)
    assert sent.response.status_code == 200
    assert len(site.cells - before) == 1
    tip = site.tip(sent)
    assert tip.message.text == TEXT.replace("\r\n", "\n")
    assert (tip.closed, tip.closing, tip.files) == (True, None, {})
    assert (tip.message.kind, tip.message.language, tip.message.week) == ("tip", "th", site.newsroom.week)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_language_is_the_pages(site: Site, language: str) -> None:
    assert site.tip(site.visitor(language).send("x")).message.language == language


@QUICK
@given(text=st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=400))
def test_any_text_comes_through(site: Site, text: str) -> None:
    sent = site.visitor().send(text, [Upload("a", b"1")])
    assert site.tip(sent).message.text == text
    site.empty()


def test_thai_written_any_way_is_not_normalised(site: Site) -> None:
    text = "น้ำ นํ้า น\u0e4d\u0e49า เเปล แปล\u200bคำ"
    assert site.tip(site.visitor().send(text)).message.text == text


def test_files_arrive_byte_for_byte_in_their_order(site: Site) -> None:
    files = [
        Upload("สัญญา ฉบับแก้ไข.pdf", b"%PDF" + bytes(range(256)) * 2_000, "application/pdf"),
        Upload("a.bin", b"1"),
        Upload("a.bin", b"2"),
        Upload("empty.txt", b"", "text/plain"),
        Upload(("ยาว" * 29).encode()[:255], b"long name"),
        Upload("../../etc/passwd", b"path"),
        Upload("", b"no name"),
        Upload(b"\xff\xfe\x00", b"not UTF-8"),
        Upload("%22quoted%22 & <b>.html", b"<script>"),
    ]
    sent = site.visitor().send(TEXT, files)
    assert contents(site, sent) == [(file.raw_name, file.content, False) for file in files]
    tip = site.tip(sent)
    assert [file.type.decode() for _, file in sorted(tip.files.items())] == [file.type for file in files]
    assert tip.closing is not None and tip.closing.complete and not tip.closed
    assert [(entry.size, entry.sha256) for entry in tip.closing.items] == [
        (len(file.content), hashlib.sha256(file.content).digest()) for file in files
    ]


@pytest.mark.parametrize("payload", [-1, 0, 1])
def test_files_at_the_border_of_a_cell(site: Site, payload: int) -> None:
    head = 4 + len("a") + len("application/octet-stream")
    for cells in (1, 2):
        size = cells * (site.geometry.payload_bytes - PIECE_FRAME_BYTES) - head + payload
        sent = site.visitor().send("x", [Upload("a", bytes([cells]) * size)])
        assert contents(site, sent) == [(b"a", bytes([cells]) * size, False)]


def test_the_receipt_names_what_was_stored(site: Site) -> None:
    sent = site.visitor("en").send("four", [Upload("<b>.pdf", b"abc"), Upload("", b"x")])
    assert "3 items stored, 8 B" in sent.text
    digests = [hashlib.sha256(each).hexdigest() for each in (b"abc", b"x")]
    assert listed(sent.text) == [
        f"Your message 4 B Stored. SHA-256 {site.tip(sent).message_sha256}",
        f"<b>.pdf 3 B Stored. SHA-256 {digests[0]}",
        f"A file without a name 1 B Stored. SHA-256 {digests[1]}",
    ]
    assert all(f"<li>{word}</li>" in sent.text for word in sent.codename.words)
    assert 'target="_top"' in sent.text


def test_a_form_without_files_is_a_text(site: Site) -> None:
    for body_files in ([], [Upload("", b"")]):
        sent = site.visitor().send("x", body_files)
        assert site.tip(sent).closed


def test_files_alone_need_no_text(site: Site) -> None:
    sent = site.visitor().send("", [Upload("a", b"1")])
    assert (site.tip(sent).message.text, contents(site, sent)) == ("", [(b"a", b"1", False)])


def test_only_chosen_desks_can_open_it(site: Site) -> None:
    sent = site.visitor().send("x", [Upload("a", b"1")], desks=(1, 3))
    assert site.tip(sent, 1).message.desks == site.tip(sent, 3).message.desks == (1, 3)
    assert site.blocks(2) == []


@pytest.mark.parametrize("refer", ["yes", "ask", "no"])
def test_whether_it_may_be_passed_on_is_sealed_with_it(site: Site, refer: str) -> None:
    assert site.tip(site.visitor().send("x", refer=refer)).message.refer == refer


def test_asking_back_is_the_sources_to_allow(site: Site) -> None:
    sent = site.visitor().send("x", answer=True)
    keys = site.source_keys(sent.codename)
    mailbox = site.tip(sent).message.mailbox
    assert mailbox is not None and mailbox.root == keys.root
    assert site.tip(site.visitor().send("x", answer=False)).message.mailbox is None


def test_the_page_offers_what_is_asked_by_default(site: Site) -> None:
    page = site.visitor("en").get("/send").get_data(as_text=True)
    assert re.findall(r'name="desk" value="(\d)" checked', page) == ["1", "2", "3"]
    assert re.findall(r'name="refer" value="(\w+)" checked', page) == ["ask"]
    assert 'name="answer" value="yes" checked' in page
    assert page.index('name="codename"') < page.index('name="text"') < page.index('name="files"')


def test_each_opening_shows_another_codename(site: Site) -> None:
    assert site.visitor().open_form() != site.visitor().open_form()


def test_a_codename_of_either_language_sends_on_either_page(site: Site) -> None:
    name = site.codename("en")
    sent = site.visitor("th").send(fields=form_fields("x", [1], name=name.text))
    assert site.source_keys(name).public == site.tips(1)[0].source
    assert sent.response.status_code == 200


def test_stretching_waits_its_turn_as_sending(site: Site) -> None:
    site.waits.clear()
    site.visitor().send("x", environ_overrides={"mustshare.circuit": 77})
    assert site.waits == [(True, 77)]


# What breaks off.


def cut_body(site: Site, at: Callable[[bytes], int]) -> tuple[Sent, bytes]:
    """Send a text and two files, with a connection that ends somewhere."""
    visitor = site.visitor("en")
    name, address = visitor.open_form()
    files = [Upload("first", b"1" * 300_000), Upload("second", b"2" * 300_000)]
    body = multipart(form_fields(TEXT, [1], name=name.text), files)
    cut = body[: at(body)]
    response = visitor.stream(address, Breaking(cut), len(body))
    return Sent(name, address.rsplit("/", 1)[1], response), cut


class Breaking(io.BytesIO):
    """A body whose connection ends before it does."""

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        count = super().readinto(buffer)
        if not count:
            raise ConnectionResetError
        return count


@pytest.mark.parametrize("within", [b"form-data", b'name="text"', "เปิดซอง".encode(), b'name="answer"'])
def test_a_break_before_the_message_stores_nothing(site: Site, within: bytes) -> None:
    sent, _ = cut_body(site, lambda body: body.index(within) + 4)
    assert sent.response.status_code == 400
    assert "before your message was here" in sent.text
    assert site.cells == frozenset()


@pytest.mark.parametrize("size", [0, 1, 100_000, 299_999])
def test_a_break_within_a_file_keeps_what_came_and_says_so(site: Site, size: int) -> None:
    sent, _ = cut_body(site, lambda body: body.index(b"1" * 300_000) + size)
    # What could be the beginning of the boundary isn't known to be the file's.
    ((name, content, interrupted),) = contents(site, sent)
    assert (name, interrupted) == (b"first", True)
    assert content == b"1" * len(content) and size - len(BOUNDARY) - 4 <= len(content) <= size
    tip = site.tip(sent)
    assert tip.message.text == TEXT.replace("\r\n", "\n")
    assert tip.closing is not None and not tip.closing.complete
    assert [(entry.size, entry.interrupted) for entry in tip.closing.items] == [(len(content), True)]
    assert sent.response.status_code == 200
    assert "Broke off" in sent.text and "send the rest" in sent.text


def test_a_break_keeps_the_files_before_it(site: Site) -> None:
    sent, _ = cut_body(site, lambda body: body.index(b"2" * 300_000) + 200_000)
    first, second = contents(site, sent)
    assert first == (b"first", b"1" * 300_000, False)
    assert second[0] == b"second" and second[2]


def test_a_break_between_files_is_told_too(site: Site) -> None:
    sent, _ = cut_body(site, lambda body: body.index(b'filename="second"'))
    assert contents(site, sent) == [(b"first", b"1" * 300_000, False)]
    closing = site.tip(sent).closing
    assert closing is not None and not closing.complete
    assert "Not everything" in sent.text


def test_an_end_without_the_last_boundary_is_a_break(site: Site) -> None:
    sent, _ = cut_body(site, lambda body: len(body) - 4)
    assert contents(site, sent)[1][2]


class TooLittle(io.BytesIO):
    """A body that gets so slow that the worker gives it up."""

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        count = super().readinto(buffer)
        if not count:
            raise TooSlow("Too little arrived for too long.")
        return count


@pytest.mark.parametrize(
    ("within", "status", "said"), [("เปิดซอง", 408, "Too little arrived"), ("1" * 99, 200, "Broke off")]
)
def test_a_body_that_is_too_slow_is_a_break_too(site: Site, within: str, status: int, said: str) -> None:
    visitor = site.visitor("en")
    name, address = visitor.open_form()
    body = multipart(form_fields(TEXT, [1], name=name.text), [Upload("a", b"1" * 50_000)])
    response = visitor.stream(address, TooLittle(body[: body.index(within.encode()) + 40]), len(body))
    assert response.status_code == status and said in response.text
    assert len(site.tips()) == (status == 200)


# What is refused.


def refused(site: Site, status: int, body: bytes, **options: str) -> str:
    """Send a body that must not be taken; return the page that says why."""
    visitor = site.visitor("en")
    before, room = site.cells, site.store.room()
    response = visitor.post(visitor.open_form()[1], body, **options)
    assert response.status_code == status
    assert (site.cells, site.store.room()) == (before, room)
    page = response.get_data(as_text=True)
    assert "still in the form above" in page
    return page


def fields(site: Site, **changes: str) -> list[tuple[str, str]]:
    name = site.codename("en").text
    return [(key, changes.get(key, value)) for key, value in form_fields("a text", [1], name=name)]


def test_nothing_to_send_is_said(site: Site) -> None:
    assert "neither a message nor a file" in refused(site, 400, multipart(fields(site, text=" \r\n\t ")))


def test_no_desk_is_said(site: Site) -> None:
    body = multipart([(key, value) for key, value in fields(site) if key != "desk"])
    assert "No newsroom is ticked" in refused(site, 400, body)


@pytest.mark.parametrize("desk", ["9", "999"])
def test_a_desk_that_is_not_open_is_said(site: Site, desk: str) -> None:
    assert "takes nothing at the moment" in refused(site, 503, multipart(fields(site, desk=desk)))


@pytest.mark.parametrize(
    "change", [{"desk": "x"}, {"desk": "٣"}, {"desk": "1" * 60}, {"refer": "maybe"}, {"answer": "1"}]
)
def test_choices_that_the_page_does_not_offer_are_refused(site: Site, change: dict[str, str]) -> None:
    assert "none that this page offers" in refused(site, 400, multipart(fields(site, **change)))


@pytest.mark.parametrize("typed", ["", "one two", "x" * 3_999, "ก" * 1_200])
def test_a_form_without_a_codename_is_refused(site: Site, typed: str) -> None:
    refused(site, 400, multipart(fields(site, codename=typed)))


def test_a_wrong_codename_is_refused_before_it_is_stretched(site: Site) -> None:
    site.waits.clear()
    words = list(site.codename("en").words)
    words[0], words[1] = ("zoom", words[0]) if words[0] != "zoom" else ("yoga", words[0])
    refused(site, 400, multipart(fields(site, codename=" ".join(words))))
    assert site.waits == []


def test_a_text_beyond_its_limit_is_refused(site: Site) -> None:
    most = site.newsroom.manifest.limits.message_bytes
    assert "too long" in refused(site, 413, multipart(fields(site, text="x" * (most + 1))))
    assert site.visitor().send("x" * most).response.status_code == 200


def test_a_field_that_comes_again_and_again_is_refused(site: Site) -> None:
    """Texts are held in memory until the last has come: an upload of hours may not hold two hundred messages there."""
    most = site.newsroom.manifest.limits.message_bytes
    body = multipart([*fields(site), *[("text", "x" * most)] * 50])
    label, stream = "0" * 32, io.BytesIO(body)
    response = site.visitor("en").stream(f"/en/send/{label}", stream, len(body))
    assert response.status_code == 413 and site.cells == frozenset()
    assert stream.tell() < 8 * most


def test_a_text_that_fits_no_cell_once_escaped_is_refused(site: Site) -> None:
    assert "too long" in refused(site, 413, multipart(fields(site, text="\x01" * 60_000)))


FILE = b'Content-Disposition: form-data; name="files"; filename="a"\r\n\r\n1'


def raw(*parts: bytes) -> bytes:
    opening = f"--{BOUNDARY}\r\n".encode()
    return b"".join(opening + part + b"\r\n" for part in parts) + f"--{BOUNDARY}--\r\n".encode()


def text_part(name: str, value: bytes) -> bytes:
    return f'Content-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + value


@pytest.mark.parametrize(
    "parts",
    [
        [text_part("unknown", b"x")],
        [text_part("text", b"\xff\xfe")],
        [FILE.replace(b'"files"', b'"other"')],
        [text_part("desk", b"1")] * 300,
        [b"no head"],
        [],
    ],
)
def test_another_form_is_refused(site: Site, parts: list[bytes]) -> None:
    refused(site, 400, raw(*parts))


def test_files_before_the_texts_are_refused(site: Site) -> None:
    texts = [text_part(key, value.encode()) for key, value in fields(site)]
    refused(site, 400, raw(FILE, *texts))


def test_ten_thousand_parts_are_refused(site: Site) -> None:
    refused(site, 400, raw(*[text_part("text", b"x")] * 10_000))


def test_ten_thousand_files_store_those_that_may_come(site: Site) -> None:
    texts = [text_part(key, value.encode()) for key, value in fields(site)]
    visitor = site.visitor("en")
    response = visitor.post(visitor.open_form()[1], raw(*texts, *[FILE] * 10_000))
    assert response.status_code == 200
    (tip,) = site.tips()
    assert len(tip.files) == site.newsroom.manifest.limits.files
    assert tip.closing is not None and not tip.closing.complete


@pytest.mark.parametrize(
    "kind",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        f"multipart/mixed; boundary={BOUNDARY}",
    ],
)
def test_another_content_type_is_refused(site: Site, kind: str) -> None:
    refused(site, 400, multipart(fields(site)), content_type=kind)


def test_another_boundary_is_refused(site: Site) -> None:
    refused(site, 400, multipart(fields(site)), content_type="multipart/form-data; boundary=other")


def test_an_empty_body_is_refused(site: Site) -> None:
    refused(site, 400, b"")


def test_a_text_behind_the_files_loses_nothing_before_it(site: Site) -> None:
    texts = [text_part(key, value.encode()) for key, value in fields(site)]
    visitor = site.visitor("en")
    response = visitor.post(visitor.open_form()[1], raw(*texts, FILE, text_part("text", b"more"), FILE))
    assert response.status_code == 200
    assert "Not everything" in response.get_data(as_text=True)
    (tip,) = site.tips()
    assert (tip.message.text, [file.content for file in tip.files.values()]) == ("a text", [b"1"])


@pytest.mark.parametrize("label", ["0" * 31, "0" * 33, "g" * 32, "A" * 32, "x"])
def test_an_upload_needs_a_label(site: Site, label: str) -> None:
    assert site.visitor().post(f"/th/send/{label}", multipart(fields(site))).status_code == 404
    assert site.visitor().get(f"/progress/{label}").status_code == 404


# Limits of files, on a site of its own.


@pytest.fixture
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    newsroom = Newsroom(desks=2, limits=Limits(file_bytes=300_000, files=3))
    made = Site(tmp_path_factory.mktemp("small"), newsroom, slots=14, reserve=4)
    yield made
    made.close()


def test_a_file_that_is_too_large_is_kept_up_to_the_limit(small: Site) -> None:
    files = [Upload("fits", b"1" * 300_000), Upload("large", b"2" * 300_001), Upload("after", b"3")]
    sent = small.visitor("en").send("x", files)
    assert contents(small, sent) == [
        (b"fits", b"1" * 300_000, False),
        (b"large", b"2" * 300_000, True),
        (b"after", b"3", False),
    ]
    assert "Too large" in sent.text and "4 items stored" in sent.text


def test_one_file_too_many_is_told_and_not_kept(small: Site) -> None:
    sent = small.visitor("en").send("x", [Upload(str(number), b"1") for number in range(4)])
    assert [name for name, _, _ in contents(small, sent)] == [b"0", b"1", b"2"]
    assert "One file too many" in sent.text
    closing = small.tip(sent).closing
    assert closing is not None and not closing.complete


def test_files_that_find_no_room_are_told_and_the_text_still_comes(small: Site) -> None:
    files = [Upload(str(number), bytes([number]) * 300_000) for number in range(3)]
    for _ in range(2):
        sent = small.visitor("en").send("a text", files)
    assert small.tip(sent).message.text == "a text"
    assert "no room" in sent.text
    for name, content, interrupted in contents(small, sent):
        assert content == bytes([int(name)]) * len(content)
        assert interrupted == (len(content) < 300_000)
    closing = small.tip(sent).closing
    assert closing is None or not closing.complete


def test_without_any_room_it_says_so(small: Site) -> None:
    while small.store.room().free > 1:  # The last is kept for bundles, which free room.
        assert small.visitor().send("x").response.status_code == 200
    sent = small.visitor("en").send("x")
    assert sent.response.status_code == 507
    assert "no room left" in sent.text


# Progress, while it goes on.


class Watched(io.BytesIO):
    """A body that looks at the progress frame whenever it is read."""

    def __init__(self, body: bytes, look: Callable[[], str]) -> None:
        super().__init__(body)
        self._look = look
        self.seen: list[str] = []

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        self.seen.append(self._look())
        return super().readinto(memoryview(buffer)[:100_000])


def watch(site: Site, body: Callable[[str], bytes]) -> list[str]:
    """Send a body and return what the progress frame showed before, meanwhile, and afterwards."""
    visitor = site.visitor("en")
    name, address = visitor.open_form()
    sent = body(name.text)

    def look() -> str:
        return site.visitor("en").get(f"/progress/{address.rsplit('/', 1)[1]}").get_data(as_text=True)

    stream = Watched(sent, look)
    before = look()
    visitor.stream(address, stream, len(sent))
    return [before, *stream.seen, look()]


REFRESH = '<meta http-equiv="refresh" content="'


def test_progress_moves_and_says_what_is_safe(site: Site) -> None:
    files = [Upload("a", b"1" * 350_000), Upload("b", b"2" * 350_000)]
    pages = watch(site, lambda name: multipart(form_fields("x", [1], name=name), files))
    assert "Nothing has arrived yet" in pages[0] and REFRESH + "2" in pages[0]
    amounts = [int(each) for page in pages[1:-1] for each in re.findall(r'<progress value="(\d+)"', page)]
    assert amounts == sorted(amounts) and amounts[-1] > 600_000
    assert re.search(r"[\d.]+ kB of 700\.\d kB has arrived", pages[4])
    assert re.search(r"a second, about \d+ second", pages[4])
    assert "Your message is stored already" in pages[3]
    assert "Your message and 1 file are stored already" in pages[-2]
    assert all(REFRESH + "2" in page for page in pages[:-1])
    assert "Everything is stored" in pages[-1] and REFRESH not in pages[-1]


def test_progress_tells_a_refusal_at_once(site: Site) -> None:
    pages = watch(site, lambda name: multipart(form_fields("x", [], name=name), [Upload("a", bytes(900_000))]))
    assert len(pages) < 6, "most of the body is left to the worker to drain"
    assert "No newsroom is ticked" in pages[-1]
    assert REFRESH + "5" in pages[-1], "the form may be sent again from the same page"


def test_progress_tells_that_not_all_came(site: Site) -> None:
    pages = watch(site, lambda name: multipart(form_fields("x", [1], name=name), [Upload("a", bytes(900_000))])[:-9])
    assert "Not everything could be stored" in pages[-1]


def test_a_form_sent_again_from_the_same_page_is_taken(site: Site) -> None:
    visitor = site.visitor("en")
    name, address = visitor.open_form()
    assert visitor.post(address, multipart(form_fields("x", [], name=name.text))).status_code == 400
    assert visitor.post(address, multipart(form_fields("x", [1], name=name.text))).status_code == 200
    assert len(site.tips()) == 1
    assert STORED not in visitor.get(address.replace("/en/send", "/progress")).get_data(as_text=True)
