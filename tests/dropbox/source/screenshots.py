"""Every page that a source can see, in both languages, by name; and pictures of them, for people to look at.

    python -m tests.dropbox.source.screenshots [FOLDER] [--only NAME]

Serves the site on loopback over a simulated newsroom and takes each page as Chromium without scripts shows it, on a
phone and on a desktop, in light and in dark colours. The folder is artifacts/pages, unless told otherwise.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from werkzeug.serving import WSGIRequestHandler, make_server

from keys.languages import LANGUAGES, Text
from keys.terms import Limits
from tests.dropbox.source.chromium import Chromium
from tests.dropbox.source.site import Site, Upload, Visitor, action, form_fields, hidden, multipart
from tests.simulators.newsroom import DAY, Newsroom, seeded

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

ALBUM = Path(__file__).resolve().parents[3] / "artifacts/pages"
SIZES = {"phone": (360, 740), "desktop": (1280, 900)}
DESKS = (
    ("สำนักข่าวตัวอย่าง", "Example News Agency", "ข่าวสืบสวนการใช้งบประมาณรัฐ", "Investigates how public money is spent."),
    ("มูลนิธิเพื่อคนตัวอย่าง", "Example Foundation", "ช่วยเหลือผู้ที่เปิดเผยเรื่องทุจริต", "Helps people who report corruption."),
    ("เครือข่ายเฝ้าระวังตัวอย่าง", "Example Watchdog", "ประชาชนร่วมกันจับตาโครงการในพื้นที่", "Citizens who watch local projects."),
    ("กิจการเพื่อสังคมตัวอย่าง", "Example Enterprise", "ทำข้อมูลจัดซื้อให้อ่านง่าย", "Makes procurement data readable."),
)
LONG_REPLY = (
    "ขอบคุณที่ส่งเรื่องนี้มา เราเปิดเอกสารสัญญาแล้วและกำลังตรวจกับทะเบียนผู้รับเหมา\n\n"
    "มีสองเรื่องที่อยากถามเพิ่ม: ผู้ตรวจรับงานลงชื่อวันไหน และมีใครอีกบ้างที่เห็นเอกสารฉบับก่อนแก้ไข\n"
    "ถ้าตอบข้อไหนแล้วเสี่ยงจะรู้ว่าเป็นคุณ ไม่ต้องตอบข้อนั้น"
)


def newsroom() -> Newsroom:
    made = Newsroom(desks=4, limits=Limits(file_bytes=2 << 30))
    desks = tuple(
        replace(desk, name=Text(th, en), description=Text(about_th, about_en))
        for desk, (th, en, about_th, about_en) in zip(made.terms.desks, DESKS, strict=True)
    )
    made.publish(
        name=Text("ต้องแฉ (ตัวอย่าง)", "Must Share (example)"),
        desks=desks,
        partners=(Text("สื่อท้องถิ่นตัวอย่าง", "Example Local Media"),),
        supporters=(Text("กองทุนตัวอย่าง", "Example Fund"),),
    )
    return made


CALL = (
    ("ใครเห็นเอกสารจ้างซ่อมสะพานฉบับแรกบ้าง", "Who saw the first contract for the bridge?"),
    (
        "เทศบาลตัวอย่างจ้างซ่อม**สะพานข้ามคลอง** สองครั้งในปีเดียว\n\n"
        "เราเห็นสัญญาฉบับแก้ไขแล้ว แต่ยังไม่เห็นฉบับแรก เราอยากรู้ว่า\n\n* ราคาเดิมเท่าไร\n* ใครเป็นคนขอแก้",
        "The municipality had the **canal bridge** repaired twice in one year.\n\n"
        "We have seen the changed contract, not the first one. We want to know\n\n"
        "* what it was to cost at first\n* who asked for the change",
    ),
)
QUESTIONS = (
    ("คุณเห็นสัญญาฉบับแรกเมื่อไร", "When did you see the first contract?"),
    ("ใครลงชื่อในนั้น", "Who had signed it?"),
    ("มีใครอีกที่น่าจะรู้", "Who else may know?"),
)
NEWS = (
    ("update", "เราพบผู้รับเหมาที่ยื่นซองแล้วสามราย", "We found three of the bidders", 6),
    ("outcome", "เทศบาลยกเลิกสัญญาซ่อมครั้งที่สอง", "The municipality cancelled the second repair", 2),
)


@dataclass(frozen=True)
class Shown:
    """The ids of what is published."""

    call: str
    post: str
    withdrawn: str
    over: str


def publish(site: Site) -> Shown:
    """Have desks publish a call, what came of it, an older call that is closed, and one that was withdrawn."""
    made, now = site.newsroom, site.newsroom.now
    ids = [seeded(f"bulletin {at}")(16) for at in range(6)]

    def post(at: int, desk: int, days: int, title: tuple[str, str], body: tuple[str, str], **words: Any) -> None:
        said = {"title": Text(*title), "body": Text(*body), "issued": now - days * DAY, "questions": ()}
        site.box.admit([made.bulletin(desk, id=ids[at], **{**said, **words})])

    post(0, 1, 9, *CALL, questions=tuple(Text(*each) for each in QUESTIONS))
    for at, (kind, th, en, days) in enumerate(NEWS, 1):
        body = (f"## เรื่องย่อ\n\n{th} รายละเอียดอยู่ในข่าวของเรา", f"## In short\n\n{en}. Our report has the details.")
        post(at, at, days, (th, en), body, kind=kind, about=ids[0])
    post(3, 2, 40, ("รถราชการหายไปไหน", "Where did the official cars go?"), ("", ""), state="published")
    post(4, 1, 20, ("ประกาศผิด", "A mistake"), ("", ""), withdrawn=True)
    post(5, 2, 4, ("ใครได้ที่ดินริมเขื่อน", "Who got the land by the dam?"), ("ช่วยเล่าให้ฟัง", "Tell us."))
    return Shown(ids[0].hex(), ids[2].hex(), ids[4].hex(), ids[3].hex())


class Album:
    """Pages by name, each as the site answered it; served below /page/, beside the site itself."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.pages: dict[str, bytes] = {}

    def add(self, name: str, page: bytes) -> None:
        self.pages[name] = page

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        kind, _, name = environ["PATH_INFO"].lstrip("/").partition("/")
        if kind == "page":
            body = self.pages[name]
        else:
            return self.site.app(environ, start_response)
        start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
        return [body]


def fill(site: Site, album: Album, language: str) -> None:
    """Walk through the site as a source does, and keep what it shows."""

    def keep(name: str, page: bytes) -> None:
        album.add(f"{language}-{name}", page)

    shown = publish(site)
    visitor = site.visitor(language)
    for name, path in {"front": "/", "send": "/send", "return": "/return", "keys": "/keys", "left": "/leave"}.items():
        keep(name, visitor.get(path).data)
    keep("volunteer", visitor.get("/volunteer").data)
    guide = visitor.get("/guide").data
    keep("guide", guide)
    for name in dict.fromkeys(re.findall(rb'href="/\w\w/guide/([a-z-]+)"', guide)):
        keep(f"guide-{name.decode()}", visitor.get(f"/guide/{name.decode()}").data)
    for name, path in {
        "calls": "/calls",
        "call": f"/calls/{shown.call}",
        "call-over": f"/calls/{shown.over}",
        "posts": "/posts",
        "post": f"/posts/{shown.post}",
        "withdrawn": f"/calls/{shown.withdrawn}",
        "desk": "/desks/1",
        "answering": f"/send?call={shown.call}",
        "answering-over": f"/send?call={shown.over}",
    }.items():
        keep(name, visitor.get(path).data)
    passed_on = {"X-Tor2Web": "encrypted", "User-Agent": "Mozilla/5.0 (iPhone)"}
    keep("warned", visitor.get("/return", headers=passed_on).data)
    keep("left-elsewhere", visitor.get("/leave", headers=passed_on).data)
    keep("missing", visitor.get("/nowhere").data)
    keep("mistyped", visitor.sign_in("contrite chlorde handheld net cackle module flyable leprechaun").data)
    keep("empty", _inbox(visitor, site.codename(language).text))
    _sending(site, visitor, keep)
    _replies(site, visitor, keep)


def _inbox(visitor: Visitor, typed: str) -> bytes:
    visitor.sign_in(typed)
    page: bytes = visitor.inbox().data
    return page


def _sending(site: Site, visitor: Visitor, keep: Callable[[str, bytes], None]) -> None:
    page = visitor.get("/send").data
    files = [Upload("สัญญาจ้างก่อสร้างสะพาน ฉบับแก้ไข.pdf", b"x" * 480_000), Upload("IMG_0001.jpg", b"y" * 90_000)]
    fields = form_fields("เรื่องสะพาน", [1, 2], name=hidden(page.decode(), "codename"))
    label = action(page.decode()).rsplit("/", 1)[1]
    reporter = site.context.board.begin(bytes.fromhex(label), 48_200_000, 0)
    reporter.update(65_000, received=12_300_000, stored=2)
    going = visitor.get(f"/progress/{label}").data
    keep("progress", going)
    keep("sending", _framed(page, going, visitor.get("/send/waiting").data))
    receipt = visitor.post(action(page.decode()), multipart(fields, files)).data
    done = visitor.get(f"/progress/{label}").data
    keep("receipt", receipt)
    keep("sent", _framed(page, done, receipt))
    body = multipart(fields, files)
    broken = visitor.post(action(page.decode()), body[:-60_000]).data
    keep("broken", broken)
    keep("interrupted", _framed(page, visitor.get(f"/progress/{label}").data, broken))
    refused = visitor.post(action(page.decode()), multipart(form_fields("x", [], name=fields[0][1]))).data
    keep("refused", _framed(page, visitor.get(f"/progress/{label}").data, refused))


def _framed(page: bytes, progress: bytes, result: bytes) -> bytes:
    """Put what the two frames show into the page itself."""
    pages = iter((progress, result))

    def inline(frame: re.Match[bytes]) -> bytes:
        content = re.sub(rb'<meta http-equiv="refresh"[^>]*>', b"", next(pages))
        return re.sub(rb'src="[^"]*"', b'srcdoc="%s"' % content.replace(b'"', b"&quot;"), frame[0])

    return re.sub(rb"<iframe [^>]*>", inline, page)


def _replies(site: Site, visitor: Visitor, keep: Callable[[str, bytes], None]) -> None:
    name = site.codename(visitor.language)
    site.answer(name, desk=1, index=0, text="", state="opened")
    files = [("ตารางเปรียบเทียบราคา.pdf", "application/pdf", b"1" * 300_000)]
    site.answer(name, desk=1, index=1, text=LONG_REPLY, state="needs-more", attachments=files, asks=[2, 3])
    page = _inbox(visitor, name.text)
    keep("replies", page)
    token, asking = (hidden(page.decode().split('class="asked"')[1], field) for field in ("token", "reply"))
    consent = {"token": token, "reply": asking, "allowed": "yes"}
    keep("consent", visitor.client.post(f"{visitor.inbox_path}/consent", data=consent).data)
    visitor.get("/leave")
    keep("expired", visitor.inbox().data)


def close(site: Site, album: Album) -> None:
    """Close the box, and keep what it then says."""
    site.box.admit([site.newsroom.close_order()])
    for language in ("th", "en"):
        visitor = site.visitor(language)
        album.add(f"{language}-closed-front", visitor.get("/").data)
        album.add(f"{language}-closed", visitor.get("/send").data)


@contextmanager
def served(album: WSGIApplication) -> Iterator[str]:
    class Quiet(WSGIRequestHandler):
        def log(self, type: str, message: str, *args: object) -> None:
            return

    server = make_server("127.0.0.1", 0, album, threaded=True, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


def shoot(chromium: Chromium, address: str, folder: Path, name: str) -> None:
    """Take the four pictures of a page."""
    chromium.open(f"{address}/page/{name}")
    for colours in ("light", "dark"):
        for kind, size in SIZES.items():
            chromium.show(*size, dark=colours == "dark")
            chromium.picture(folder / f"{name}-{kind}-{colours}.png")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path, nargs="?", default=ALBUM)
    parser.add_argument("--only", default="", metavar="NAME", help="pages with this in their names")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder), newsroom(), slots=192)
        album = Album(site)
        for language in LANGUAGES:
            fill(site, album, language)
        close(site, album)
        chromium = Chromium(Path(folder))
        try:
            chromium.scripts(run=False)
            with served(album) as address:
                for name in album.pages:
                    if options.only in name:
                        shoot(chromium, address, options.folder, name)
                        print(options.folder / name)
        finally:
            chromium.close()
            site.close()


if __name__ == "__main__":
    main()
