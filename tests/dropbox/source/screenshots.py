"""Takes a picture of every page a source can see, in both languages, for people to look at. Not a test.

    python -m tests.dropbox.source.screenshots FOLDER [--dark] [--only NAME]

Serves the site on loopback over a simulated newsroom and opens each page in headless Chromium, at the widths of a
phone and of a desktop. A long page on a phone is cut into columns, so that a picture of it can be read.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from werkzeug.serving import WSGIRequestHandler, make_server

from keys.languages import Text
from keys.terms import Limits
from tests.dropbox.source.site import Site, Upload, Visitor, action, form_fields, hidden, multipart
from tests.simulators.newsroom import DAY, Newsroom, seeded

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

CHROMIUM = [
    "/usr/bin/chromium",
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--virtual-time-budget=4000",
]
COLUMN_HEIGHT = 1_000
WIDTHS = {"phone": 360, "small": 320, "desktop": 1280}
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
    return Shown(ids[0].hex(), ids[2].hex(), ids[4].hex())


class Album:
    """Pages by name, each as the site answered it, and a sheet that shows one of them at several widths."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.pages: dict[str, bytes] = {}

    def add(self, name: str, page: bytes) -> None:
        self.pages[name] = page

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        kind, _, name = environ["PATH_INFO"].lstrip("/").partition("/")
        if kind == "page":
            body = self.pages[name]
        elif kind == "sheet":
            body = self._sheet(name, int(environ["QUERY_STRING"]))
        else:
            return self.site.app(environ, start_response)
        start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
        return [body]

    @staticmethod
    def _sheet(name: str, width: int) -> bytes:
        # In the sandbox no script runs, as at Tor Browser's safest level.
        columns = "".join(
            f'<div><iframe sandbox="allow-same-origin" src="/page/{name}" '
            f'style="width:{width}px;margin-top:-{at * COLUMN_HEIGHT}px"></iframe></div>'
            for at in range(1 if width > 1_000 else 4)
        )
        return (
            "<!doctype html><style>body{margin:0;background:#888;display:flex;gap:16px}"
            f"div{{height:{COLUMN_HEIGHT}px;overflow:hidden}}iframe{{display:block;border:0;height:600px}}</style>"
            f"{columns}<script>onload=()=>document.querySelectorAll('iframe').forEach("
            "f=>f.style.height=f.contentDocument.documentElement.scrollHeight+'px')</script>"
        ).encode()


def fill(site: Site, album: Album, language: str) -> None:
    """Walk through the site as a source does, and keep what it shows."""

    def keep(name: str, page: bytes) -> None:
        album.add(f"{language}-{name}", page)

    shown = publish(site)
    visitor = site.visitor(language)
    for name, path in {"front": "/", "send": "/send", "return": "/return", "keys": "/keys", "left": "/leave"}.items():
        keep(name, visitor.get(path).data)
    for name, path in {"guide": "/guide", "guide-law": "/guide/law", "volunteer": "/volunteer"}.items():
        keep(name, visitor.get(path).data)
    for name, path in {
        "calls": "/calls",
        "call": f"/calls/{shown.call}",
        "posts": "/posts",
        "post": f"/posts/{shown.post}",
        "withdrawn": f"/calls/{shown.withdrawn}",
        "desk": "/desks/1",
        "answering": f"/send?call={shown.call}",
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
    site.answer(name, desk=1, index=1, text=LONG_REPLY, state="needs-more", attachments=files)
    keep("replies", _inbox(visitor, name.text))


def close(site: Site, album: Album) -> None:
    """Close the box, and keep what it then says."""
    site.box.admit([site.newsroom.close_order()])
    for language in ("th", "en"):
        visitor = site.visitor(language)
        album.add(f"{language}-closed-front", visitor.get("/").data)
        album.add(f"{language}-closed", visitor.get("/send").data)


@contextmanager
def served(album: Album) -> Iterator[str]:
    class Quiet(WSGIRequestHandler):
        def log(self, type: str, message: str, *args: object) -> None:
            return

    server = make_server("127.0.0.1", 0, album, threaded=True, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


def shoot(address: str, target: Path, size: str, *, dark: bool) -> None:
    with tempfile.TemporaryDirectory() as profile:
        colours = ["--blink-settings=preferredColorScheme=0"] if dark else []
        command = [*CHROMIUM, *colours, f"--user-data-dir={profile}", f"--window-size={size}", f"--screenshot={target}"]
        subprocess.run([*command, address], check=True, capture_output=True, timeout=120)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder), newsroom())
        album = Album(site)
        for language in ("th", "en"):
            fill(site, album, language)
        close(site, album)
        with served(album) as address:
            for name in album.pages:
                if options.only in name:
                    for kind, width in WIDTHS.items():
                        target = options.folder / f"{name}-{kind}{'-dark' if options.dark else ''}.png"
                        size = f"{width if width > 1_000 else 4 * width + 48},{COLUMN_HEIGHT}"
                        shoot(f"{address}/sheet/{name}?{width}", target, size, dark=options.dark)
                        print(target)
        site.close()


if __name__ == "__main__":
    main()
