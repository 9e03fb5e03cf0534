"""The pages in a real Firefox, without JavaScript, SVG, MathML and web fonts, as at Tor Browser's safest level.

Promise 11.
"""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from keys import codename
from keys.languages import LANGUAGES
from tests.dropbox.source.screenshots import Album, fill, newsroom
from tests.dropbox.source.site import Site
from tests.dropbox.source.window import FIREFOX, Slow, Window, served

pytestmark = pytest.mark.journey


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Window]:
    if not FIREFOX.exists():
        pytest.skip("Firefox isn't installed")
    made = Window(tmp_path_factory.mktemp("firefox"))
    yield made
    made.firefox.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("browser"), newsroom(), slots=192)
    yield made
    made.close()


@pytest.fixture
def album(site: Site) -> Album:
    """The site, with every page of it by name below /page/."""
    made = Album(site)
    for language in LANGUAGES:
        fill(site, made, language)
    return made


def test_a_tip_goes_with_moving_progress_and_its_reply_comes_back(window: Window, site: Site, tmp_path: Path) -> None:
    file = tmp_path / "สัญญาจ้าง ฉบับแรก.pdf"
    file.write_bytes(b"x" * 4_000_000)
    with served(Slow(site.app)) as address:
        window.open(f"{address}/")
        window.press(".actions a[href='/th/send']")
        words = window.texts(".codename li")
        window.type("#text", "ข้อความถึงนักข่าว")
        window.type("#files", str(file))
        window.press("form.sending button")
        seen = window.wait_for("เก็บครบแล้ว", "progress")
        moving = {text for text in seen if "มาถึงแล้ว" in text}
        assert len(moving) >= 2 and any("เก็บข้อความแล้ว" in text for text in moving), seen
        window.wait_for("เก็บแล้ว 2 รายการ", "result")
        receipt = window.shown("result")
        assert file.name in receipt and all(word in receipt for word in words)
        (tip,) = site.tips(1)
        assert tip.message.text == "ข้อความถึงนักข่าว"
        assert [(each.name, each.content) for each in tip.files.values()] == [(file.name.encode(), file.read_bytes())]

        with window.frame("result"):
            window.press(".actions a[href*='/inbox/']")
        window.wait_for("ยังไม่มีคำตอบ")
        window.press("a.leave")
        window.wait_for("New Identity")

        site.answer(codename.read(" ".join(words)), text="คำตอบจากโต๊ะข่าว", state="opened")
        window.open(f"{address}/th/return")
        window.type("#codename", "".join(words))
        window.press("main form button")
        window.wait_for("คำตอบจากโต๊ะข่าว")
        window.press(".reply summary")
        window.press(".reply button")
        window.wait_for("ยังไม่มีคำตอบ")


def test_a_refusal_keeps_what_was_typed_and_the_next_try_is_followed(window: Window, site: Site) -> None:
    with served(Slow(site.app)) as address:
        window.open(f"{address}/th/send")
        window.press("form.sending button")
        window.wait_for("ยังไม่มีทั้งข้อความและไฟล์", "result")
        window.wait_for("ยังไม่มีทั้งข้อความและไฟล์", "progress")
        window.type("#text", "คราวนี้มีข้อความ")
        window.press("form.sending button")
        window.wait_for("เก็บแล้ว 1 รายการ", "result")
        window.wait_for("เก็บครบแล้ว", "progress")
        assert window.firefox.script("return document.getElementById('text').value") == "คราวนี้มีข้อความ"


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_back_button_shows_no_mailbox_after_leaving(window: Window, site: Site, language: str) -> None:
    name = site.codename(language)
    site.answer(name, text="คำตอบที่ไม่ควรมีใครเห็นอีก")
    said = {"th": "กล่องนี้ไม่ได้เปิดอยู่", "en": "This mailbox is no longer open here"}[language]
    with served(site.app) as address:
        window.open(f"{address}/{language}/return")
        window.type("#codename", name.text)
        window.press("main form button")
        window.wait_for("คำตอบที่ไม่ควรมีใครเห็นอีก")
        window.press("a.leave")
        window.wait_for("New Identity")
        window.firefox("WebDriver:Back")
        assert not any("คำตอบที่ไม่ควรมีใครเห็นอีก" in shown for shown in window.wait_for(said))


SCRIPTS_ON = {"th": "JavaScript เปิดอยู่", "en": "JavaScript is on."}


@pytest.mark.parametrize("scripts", [False, True])
def test_scripts_are_warned_of_exactly_where_they_run(site: Site, tmp_path: Path, scripts: bool) -> None:
    made = Window(tmp_path, javascript__enabled=scripts)
    try:
        with served(site.app) as address:
            for language, said in SCRIPTS_ON.items():
                for path in ("/", "/send", "/guide/law", "/nowhere"):
                    made.open(f"{address}/{language}{path}")
                    assert (said in made.shown()) is scripts, path
    finally:
        made.firefox.close()


def letters(text: str) -> list[str]:
    """Without vowels above and below and tone marks, which no program gets out of a printed page whole."""
    return sorted(
        each for each in unicodedata.normalize("NFKC", text) if unicodedata.category(each) in ("Lo", "Ll", "Lu")
    )


A_QUARTER_OF_A4_POINTS = (105 / 25.4 * 72, 148 / 25.4 * 72)


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="pdftotext isn't installed")
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("path", ["/send", "/volunteer"])
def test_only_the_words_are_printed_on_a_quarter_of_a_sheet(
    window: Window, site: Site, tmp_path: Path, language: str, path: str
) -> None:
    with served(site.app) as address:
        window.open(f"{address}/{language}{path}")
        words = window.texts(".codename li")
        printed = base64.b64decode(window.firefox("WebDriver:Print", page={"width": 21.0, "height": 29.7}))
    (tmp_path / "card.pdf").write_bytes(printed)
    command = ["pdftotext", "-bbox", "card.pdf", "-"]
    boxes = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert boxes.count("<page ") == 1
    found = re.findall(r'xMax="([\d.]+)" yMax="([\d.]+)">([^<]+)</word>', boxes)
    read = " ".join(text for _, _, text in found)
    assert letters(read) == letters(" ".join(words)) and sorted(re.findall(r"\d+\.", read)) == [
        f"{n}." for n in range(1, 9)
    ]
    right, bottom = A_QUARTER_OF_A4_POINTS
    assert all(float(x) < right and float(y) < bottom for x, y, _ in found)


WIDTHS = [320, 360, 1280]
WIDE = """
    const frame = document.querySelector("iframe"), inner = frame.contentDocument;
    return arguments[0].flatMap(wanted => {
        frame.style.width = `${wanted}px`;
        const width = inner.documentElement.clientWidth;
        const wide = [...inner.querySelectorAll("body *")].filter(
            each => each.getBoundingClientRect().right > width + 0.5);
        if (inner.documentElement.scrollWidth > width) wide.push(inner.documentElement);
        return wide.map(each => `${wanted}: ${each.outerHTML.slice(0, 200)}`);
    });
"""


def test_no_page_is_wider_than_its_window(window: Window, album: Album) -> None:
    sheet = '<!doctype html><iframe style="height:900px;border:0" src="/page/%s"></iframe>'
    with served(album) as address:
        for name in list(album.pages):
            album.add("sheet", (sheet % name).encode())
            window.open(f"{address}/page/sheet")
            assert window.firefox.script(WIDE, WIDTHS) == [], name


BOTTOM = """
    const inner = document.querySelector("iframe").contentDocument;
    return Math.round(inner.querySelector(".unfolding").getBoundingClientRect().bottom);
"""


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_first_page_is_one_screen_of_a_phone(window: Window, album: Album, language: str) -> None:
    """Who reads, calls, news and what unfolds, in a practice newsroom, whose banner takes room as well."""
    onion = str(album.site.newsroom.manifest.onions.source[0])
    agent = "Mozilla/5.0 (Windows NT 10.0; rv:140.0) Gecko/20100101 Firefox/140.0"
    page = album.site.app.test_client().get(f"/{language}/", headers={"Host": onion, "User-Agent": agent})
    album.add("front", page.data)
    album.add("sheet", b'<!doctype html><iframe style="width:360px;height:740px;border:0" src="/page/front"></iframe>')
    with served(album) as address:
        window.open(f"{address}/page/sheet")
        assert 300 < window.firefox.script(BOTTOM) <= 740
