"""One tip, all the way: sent, carried, opened, answered, and the answer read, by the lines that `scripts/run` prints.

Each fixture is a stage of the way and begins where the one before ended; the tests look at what it left.
"""

from __future__ import annotations

import json
import random
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import pytest

from keys import codename, mailbox
from keys.codename import Codename
from keys.inventory import CellId
from keys.mailbox import SourceKeys
from tests.journeys.onion import Answer, form
from tests.journeys.practice import Practice, sha256, until
from tests.journeys.visitor import Visitor

UPLOAD_SECONDS = 240.0
MESSAGE = (
    "เมื่อวันที่ ๑๔ พฤศจิกายน คณะกรรมการเปิดซองก่อนเวลา แล้วแก้ราคากลางในห้องประชุมเล็ก\nผมนั่งอยู่ตรงนั้น แนบเสียงกับเอกสารที่ถ่ายไว้มาด้วย"
)
SIXTH_MESSAGE = "ลืมแนบไฟล์นี้"
QUESTION = "ขอบคุณครับ ในรูปที่สอง ใครเป็นคนเซ็นชื่อ\nตอบเท่าที่ปลอดภัยสำหรับคุณก็พอ"
FOLLOW_UP = "ผู้เซ็นคือรองผู้อำนวยการ ชื่ออยู่ในหน้าสองของเอกสาร"
PATH_NAME = "../../etc/passwd"
LONG_NAME = ("รายชื่อผู้รับเงินจากโครงการขุดลอกคลอง" * 3)[:85]
CHOSEN, LEFT_OUT = (1, 2), (3, 4)


@dataclass(frozen=True)
class Kept:
    """A file as the source has it."""

    name: str
    content: bytes = field(repr=False)

    @property
    def digest(self) -> str:
        return sha256(self.content)


@dataclass(frozen=True)
class Sent:
    """What the source saw of the sending."""

    words: list[str]
    progress: list[int]
    states: list[str]
    headline: str
    receipt: list[str]
    words_again: list[str]
    path: str

    @property
    def codename(self) -> Codename:
        return codename.read(" ".join(self.words))


@dataclass(frozen=True)
class Inbox:
    """A mailbox page as the source saw it: the replies' places (desk, week, index) and what stands there."""

    address: str
    replies: dict[tuple[int, int, int], str]


@dataclass(frozen=True)
class Deletion:
    """Which reply was deleted, the mailbox page after that, and which cells the server listed next."""

    place: tuple[int, int, int]
    left: Inbox
    cells: frozenset[CellId]


def noise(size: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(size)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Path, Kept]]:
    """The source's five files, on disk."""
    assert len(LONG_NAME.encode()) == 255
    folder = tmp_path_factory.mktemp("files")
    made = {
        folder / "a" / (big := "บันทึกเสียงการประชุม ๑๔ พฤศจิกายน.wav"): Kept(big, noise(50 << 20, 1)),
        folder / "a" / (twin := "ภาพถ่าย.jpg"): Kept(twin, noise(300_000, 2)),
        folder / "b" / twin: Kept(twin, noise(200_001, 3)),
        folder / "a" / (empty := "ว่างเปล่า.txt"): Kept(empty, b""),
        folder / "a" / LONG_NAME: Kept(LONG_NAME, noise(4_321, 4)),
    }
    for path, kept in made.items():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(kept.content)
    yield made
    for path in made:
        path.unlink()


@pytest.fixture(scope="module")
def sixth() -> Kept:
    return Kept(PATH_NAME, noise(70_000, 5))


@pytest.fixture(scope="module")
def sent(visitor: Visitor, files: dict[Path, Kept]) -> Sent:
    """The source opens the first page in Thai, and sends a message with five files."""
    visitor.open(visitor.first_page)
    visitor.picture("front-th")
    visitor.picture_of_screen("front-th")
    visitor.follow('main a[href$="/send"]', to="/th/send")
    words = visitor.texts("ol.codename > li")
    visitor.picture("send-th")
    visitor.picture_of_screen("send-th")
    visitor.type("#text", MESSAGE)
    visitor.choose_files(list(files))
    for desk in LEFT_OUT:
        visitor.press(f'input[name=desk][value="{desk}"]')
    visitor.press("form.sending button[type=submit]")
    progress, states = watch(visitor)
    with visitor.frame("result"):
        headline, receipt = visitor.text("h1"), visitor.texts("ol.items > li")
        words_again = visitor.texts("ol.codename > li")
        visitor.picture("receipt-th")
    visitor.picture("sent-th")
    return Sent(words, progress, states, headline, receipt, words_again, visitor.path)


def watch(visitor: Visitor) -> tuple[list[int], list[str]]:
    """Look at the progress frame until the receipt is there; return every number and every text that it showed."""
    numbers: list[int] = []
    texts: list[str] = []
    pictured = False

    def received() -> bool:
        nonlocal pictured
        with visitor.frame("progress"):
            values, shown = visitor.attributes("progress", "value"), visitor.texts("main")
        numbers.extend(int(value) for value in values if int(value) not in numbers)
        texts.extend(text for text in shown if text not in texts)
        if len(numbers) > 1 and not pictured:
            visitor.picture("sending-th")
            pictured = True
        return visitor.frame_has("result", "ol.items, .notice")

    until(received, UPLOAD_SECONDS, "the receipt")
    return numbers, texts


@pytest.fixture(scope="module")
def sent_raw(newsroom: Practice, sent: Sent, sixth: Kept) -> Answer:
    """The same source sends a sixth file, whose name no browser would send: by hand, through the same onion service."""
    fields = [
        ("codename", " ".join(sent.words)),
        ("text", SIXTH_MESSAGE),
        *(("desk", str(desk)) for desk in CHOSEN),
        ("refer", "ask"),
        ("answer", "yes"),
    ]
    body, kind = form(fields, [(sixth.name.encode(), sixth.content)])
    path = f"/th/send/{random.Random(6).randbytes(16).hex()}"
    return newsroom.ask("POST", path, body, {"Content-Type": kind})


@pytest.fixture(scope="module")
def imported(newsroom: Practice, sent: Sent, sent_raw: Answer) -> dict[str, Any]:
    """The courier carries it, the first desk imports it, and looks at the thread."""
    assert sent_raw.status == 200
    newsroom.succeed(newsroom.step(2))
    newsroom.succeed(newsroom.step(3))
    return newsroom.station("isra", "show", 1)


@pytest.fixture(scope="module")
def attached(newsroom: Practice) -> Kept:
    path = newsroom.folder / "ตารางลายเซ็น.csv"
    path.write_bytes(noise(300_000, 7))
    return Kept(path.name, path.read_bytes())


@pytest.fixture(scope="module")
def answered(newsroom: Practice, imported: dict[str, Any], attached: Kept) -> frozenset[CellId]:
    """The desk answers twice, and the courier takes it along; return which cells the server then has."""
    assert imported["answerable"]
    newsroom.station("isra", "reply", 1, "--text", QUESTION, "--state", "needs-more")
    begin, end = newsroom.step(4).split(" reply 1 ")
    newsroom.succeed(f"{begin} reply 1 --attach {shlex.quote(attached.name)} {end}")
    newsroom.succeed(newsroom.step(2))
    return frozenset(newsroom.inventory().digests)


@pytest.fixture(scope="module")
def inbox(visitor: Visitor, sent: Sent, answered: frozenset[CellId]) -> Inbox:
    """The source comes back with the codename, typed as people type, and reads."""
    assert answered
    visitor.open("/th/return")
    visitor.picture("return-th")
    visitor.type("#codename", sloppily(sent.words))
    visitor.follow("main button[type=submit]", to="/th/inbox/")
    seen = read_inbox(visitor)
    visitor.picture("replies-th")
    return seen


def sloppily(words: Sequence[str]) -> str:
    """Thai words as they come out of a hurried thumb: without some spaces, with too many, in another Unicode form."""
    one, two, three, four, *rest = (word.replace("ำ", "ํา") for word in words)
    return f"  {one}{two}   {three}-{four}\n{'  '.join(rest)} "


def read_inbox(visitor: Visitor) -> Inbox:
    visitor.text("main h1")
    names = [each.removeprefix("reply-").split("-") for each in visitor.attributes("article.reply h2", "id")]
    places = [(int(desk), int(week), int(index)) for desk, week, index in names]
    return Inbox(visitor.address, dict(zip(places, visitor.texts("article.reply"), strict=True)))


@pytest.fixture(scope="module")
def downloaded(visitor: Visitor, inbox: Inbox) -> Answer:
    """The source saves the attachment."""
    assert urlsplit(visitor.address).path == urlsplit(inbox.address).path
    return visitor.fetch(visitor.attributes("article.reply .items a", "href")[0])


@pytest.fixture(scope="module")
def followed_up(visitor: Visitor, downloaded: Answer) -> list[str]:
    """The source answers from the mailbox, on its English page; return what the receipt lists."""
    assert downloaded.status == 200
    visitor.follow("a.tongue", to="/en/inbox/")
    visitor.picture("replies-en")
    visitor.type("#text", FOLLOW_UP)
    visitor.press("form.sending button[type=submit]")
    until(lambda: visitor.frame_has("result", "ol.items, .notice"), UPLOAD_SECONDS, "the follow-up's receipt")
    with visitor.frame("result"):
        visitor.picture("receipt-en")
        return visitor.texts("ol.items > li")


@pytest.fixture(scope="module")
def deleted(newsroom: Practice, visitor: Visitor, inbox: Inbox, followed_up: list[str]) -> Deletion:
    """The source deletes the reply that has the attachment, and the courier comes once more."""
    assert followed_up
    place = next(place for place, text in inbox.replies.items() if printed_reply(newsroom) in text)
    visitor.press(f'article:has(button[value="{name_of(place)}"]) summary')
    visitor.picture("deleting-en")
    visitor.press(f'button[name=reply][value="{name_of(place)}"]')
    until(lambda: not visitor.has(f'button[value="{name_of(place)}"]'), 60, "the reply is gone from the page")
    left = read_inbox(visitor)
    newsroom.succeed(newsroom.step(2))
    return Deletion(place, left, frozenset(newsroom.inventory().digests))


def name_of(place: tuple[int, int, int]) -> str:
    return "-".join(map(str, place))


def printed_reply(newsroom: Practice) -> str:
    """What the printed line says to the source: it comes from a file, never as an argument."""
    answer = newsroom.home / "answer.txt"
    assert f"--text-file - --vault {newsroom.home / 'stations/isra'}" in newsroom.step(4)
    assert f"<{answer} &&" in newsroom.step(4)
    return answer.read_text("utf-8").strip()


@pytest.fixture(scope="module")
def thread(newsroom: Practice, deleted: Deletion) -> dict[str, Any]:
    """The first desk imports what the courier brought last, and looks at the thread."""
    assert deleted.cells
    newsroom.succeed(newsroom.step(3))
    return newsroom.station("isra", "show", 1)


@pytest.fixture(scope="module")
def told(newsroom: Practice, visitor: Visitor, deleted: Deletion, thread: dict[str, Any]) -> list[str]:
    """The desk writes its outbox without an answer, and the source comes once more; return the replies that are new."""
    assert thread["answerable"]
    newsroom.station("isra", "outbox", "--to", newsroom.stick("isra"))
    newsroom.succeed(newsroom.step(2))
    visitor.open(urlsplit(deleted.left.address).path)
    now = read_inbox(visitor)
    visitor.picture("opened-en")
    return [now.replies[place] for place in now.replies.keys() - deleted.left.replies.keys()]


def test_browser_runs_no_script_and_loads_no_font(visitor: Visitor) -> None:
    off = {"javascript.enabled": False, "svg.disabled": True, "mathml.disabled": True}
    off["gfx.downloadable_fonts.enabled"] = False
    assert {name: visitor.preference(name) for name in off} == off


def test_codename_is_shown_before_the_upload_and_again_after(sent: Sent) -> None:
    assert len(sent.words) == 8
    assert sent.words_again == sent.words
    assert sent.path == "/th/send"


def test_progress_moves_while_it_uploads(sent: Sent) -> None:
    assert len(sent.progress) >= 2
    assert sent.progress == sorted(sent.progress)
    assert len(sent.states) >= 2


def test_receipt_lists_everything_with_size_and_digest(sent: Sent, files: dict[Path, Kept]) -> None:
    assert sent.headline == "เก็บแล้ว 6 รายการ 52.9 MB"
    message, *listed = sent.receipt
    assert "ข้อความ" in message
    assert len(listed) == 5
    sizes = ["52.4 MB", "300.0 kB", "200.0 kB", "0 B", "4.3 kB"]
    for line, kept, size in zip(listed, files.values(), sizes, strict=True):
        assert kept.name in line
        assert size in line
        assert kept.digest in line


def test_receipt_of_the_raw_request_repeats_the_name(sent_raw: Answer, sixth: Kept) -> None:
    assert sixth.name in sent_raw.text
    assert sixth.digest in sent_raw.text


def test_station_has_both_messages_and_six_files_as_they_were(
    imported: dict[str, Any], files: dict[Path, Kept], sixth: Kept
) -> None:
    tips = {tip["text"]: tip for tip in imported["tips"]}  # Nothing tells in which order they came.
    assert len(imported["tips"]) == 2
    first, second = tips[MESSAGE], tips[SIXTH_MESSAGE]
    assert (first["state"], second["state"]) == ("complete", "complete")
    assert (first["language"], first["desks"], first["refer"]) == ("th", list(CHOSEN), "ask")
    assert facts_of(first) == [(kept.name, len(kept.content), kept.digest) for kept in files.values()]
    assert facts_of(second) == [(sixth.name, len(sixth.content), sixth.digest)]


def facts_of(tip: dict[str, Any]) -> list[tuple[str, int, str]]:
    return [(bytes.fromhex(each["name_hex"]).decode(), each["size"], each["sha256"]) for each in tip["files"]]


def test_export_gives_the_same_bytes_and_harmless_names(
    newsroom: Practice, imported: dict[str, Any], files: dict[Path, Kept], sixth: Kept
) -> None:
    target = newsroom.folder / "export"
    target.mkdir()
    folder = Path(newsroom.station("isra", "export", 1, "--to", target)["folder"])
    given = {(kept.name, kept.digest) for kept in (*files.values(), sixth)}
    found = [
        (each["name"], folder / tip / "files" / each["file"])
        for tip in ("1", "2")
        for each in json.loads((folder / tip / "names.json").read_text())["files"]
    ]
    assert len(found) == 6
    assert {(name, sha256(path.read_bytes())) for name, path in found} == given
    assert all(path.parent.parent.parent == folder and path.is_file() for _, path in found)
    assert len(imported["tips"]) == len(list(folder.glob("*/message.txt")))


def test_other_chosen_desk_opens_it_too(newsroom: Practice, imported: dict[str, Any]) -> None:
    report = newsroom.station("khonthai", "import", newsroom.stick("khonthai"))
    assert (report["messages"], report["files"], report["foreign"]) == (2, 6, 0)
    assert newsroom.station("khonthai", "show", 1)["source"] == imported["source"]


def test_desk_that_was_not_chosen_opens_nothing(newsroom: Practice, imported: dict[str, Any]) -> None:
    assert imported
    for desk in ("watchdog", "hand"):
        listed = len(newsroom.inventory(desk).digests)
        report = newsroom.station(desk, "import", newsroom.stick(desk))
        assert (report["messages"], report["files"], report["held"]) == (0, 0, 0)
        assert report["cells"] == report["foreign"] == listed > 200
        assert newsroom.station(desk, "list")["threads"] == []


def test_source_reads_both_answers(newsroom: Practice, inbox: Inbox) -> None:
    assert {desk for desk, _, _ in inbox.replies} == {1}
    assert len(inbox.replies) == 2
    texts = "\n".join(inbox.replies.values())
    assert QUESTION in texts
    assert printed_reply(newsroom) in texts
    assert "สำนักข่าวอิศรา (ฝึกซ้อม)" in texts


def test_codename_stays_out_of_addresses_and_cookies(visitor: Visitor, sent: Sent, inbox: Inbox) -> None:
    held = unquote(inbox.address + visitor.cookies())
    assert not [word for word in sent.words if word in held]


def test_attachment_is_the_same(downloaded: Answer, attached: Kept) -> None:
    assert sha256(downloaded.body) == attached.digest
    assert quote(attached.name) in downloaded.headers["Content-Disposition"]


def test_deleted_reply_is_gone_from_the_page_and_from_the_server(
    newsroom: Practice, sent: Sent, answered: frozenset[CellId], inbox: Inbox, deleted: Deletion
) -> None:
    gone = addresses(newsroom, sent.codename, deleted.place, cells=2)
    assert gone <= answered
    assert not gone & deleted.cells
    assert deleted.left.replies.keys() == inbox.replies.keys() - {deleted.place}
    stays = frozenset[CellId]().union(*(addresses(newsroom, sent.codename, each, 1) for each in deleted.left.replies))
    assert stays <= deleted.cells


def addresses(newsroom: Practice, name: Codename, place: tuple[int, int, int], cells: int) -> frozenset[CellId]:
    """Where the cells of a reply stand on the server. SPEC section 6."""
    in_force = newsroom.manifest()
    keys = SourceKeys.derive(mailbox.stretch(name, in_force.codename[0]), in_force.network)
    tags = [mailbox.tag(keys.root, *place, number) for number in range(cells)]
    return frozenset(mailbox.address(in_force.network, place[0], tag) for tag in tags)


def test_follow_up_arrives_in_the_same_thread(
    newsroom: Practice, imported: dict[str, Any], followed_up: list[str], thread: dict[str, Any]
) -> None:
    assert len(followed_up) == 1
    assert thread["source"] == imported["source"]
    assert {tip["text"] for tip in thread["tips"][:2]} == {MESSAGE, SIXTH_MESSAGE}
    [last] = thread["tips"][2:]
    assert (last["text"], last["language"], last["state"]) == (FOLLOW_UP, "en", "complete")
    assert [each["number"] for each in newsroom.station("isra", "list")["threads"]] == [1]


def test_source_is_told_by_itself_that_the_follow_up_was_opened(told: list[str]) -> None:
    [new] = told
    assert "Opened" in new
