"""No page keeps anybody out: what axe-core finds in Chromium, and what can be measured, on phones and on desktops."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from keys.languages import LANGUAGES
from tests.dropbox.source.chromium import PROGRAMS, Chromium
from tests.dropbox.source.screenshots import SIZES, Album, close, fill, newsroom, served
from tests.dropbox.source.site import Site

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

pytestmark = pytest.mark.journey

AXE = Path(__file__).resolve().parents[2] / "peers/node_modules/axe-core/axe.min.js"
RENEWAL = re.compile(rb'<meta http-equiv="refresh"[^>]*>')
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa", "best-practice"]
# What depends on colours and sizes, and so is looked at in all of them; everything else stands in the markup.
SEEN = ["color-contrast", "target-size", "scrollable-region-focusable", "link-in-text-block"]
_RUN = """
    const [tags, rules] = arguments;
    const wanted = rules ? {type: "rule", values: rules} : {type: "tag", values: tags};
    return axe.run({runOnly: wanted, resultTypes: ["violations"]}).then(found => found.violations.flatMap(each =>
        each.nodes.map(node =>
            `${each.id}: ${each.help}: ${node.target.join(" ")} ${node.html}`)));
"""

WIDTHS = (320, 360, 1280)
_WIDE = """
    const width = document.documentElement.clientWidth;
    const found = [...document.querySelectorAll("body *")].filter(each =>
        each.getBoundingClientRect().right > width + 0.5 || each.getBoundingClientRect().left < -0.5);
    if (document.documentElement.scrollWidth > width) found.push(document.documentElement);
    return found.map(each => each.outerHTML.slice(0, 200));
"""

TARGET_PIXELS = 44
FIELD_PIXELS = 16
# A link in running text is as high as its line; a box that is ticked is one target with its label.
_SMALL = """
    const [least, type] = arguments;
    const shown = each => each.getClientRects().length > 0;
    const inText = each => getComputedStyle(each).display === "inline" &&
        each.parentElement.textContent.trim() !== each.textContent.trim() ||
        each.matches(".keys a, section[aria-labelledby=papers] a");
    const targets = [...document.querySelectorAll("a, button, summary, textarea, select, input[type=file], .choice")];
    const low = targets.filter(each => shown(each) && !inText(each) &&
        each.getBoundingClientRect().height < least - 0.5);
    const fields = [...document.querySelectorAll("textarea, input[type=file], button, select")];
    const tiny = fields.filter(each => shown(each) && parseFloat(getComputedStyle(each).fontSize) < type);
    return [...low, ...tiny].map(each => each.outerHTML.slice(0, 200));
"""

# Letters with a vowel and a tone mark above each other, and with vowels and feet below.
TALL = "ปี่ ฟ้ำ ที่สุ๊ ฎู ฐุ ญู้ ก็"
_CLIPPED = """
    const [tall] = arguments;
    const canvas = document.createElement("canvas").getContext("2d");
    const found = [], measured = {};
    const ink_of = font => {
        canvas.font = font;
        return measured[font] ??= canvas.measureText(tall);
    };
    for (const each of document.querySelectorAll("body, body *")) {
        const own = [...each.childNodes].some(node => node.nodeType === 3 && node.data.trim());
        const field = each.matches("textarea, input[type=file]");
        if (!own && !field || !each.getClientRects().length || each.closest("iframe")) continue;
        const style = getComputedStyle(each);
        const ink = ink_of(`${style.fontWeight} 1000px ${style.fontFamily}`);  // What is measured small is rounded.
        const line = 1000 * (parseFloat(style.lineHeight) / parseFloat(style.fontSize) || 1.2);
        const middle = (line - ink.fontBoundingBoxAscent - ink.fontBoundingBoxDescent) / 2;
        const above = middle + ink.fontBoundingBoxAscent - ink.actualBoundingBoxAscent;
        const below = middle + ink.fontBoundingBoxDescent - ink.actualBoundingBoxDescent;
        const thai = each.closest("[lang]").lang === "th";
        if (thai && ink.actualBoundingBoxAscent + ink.actualBoundingBoxDescent > line)
            found.push("lines touch: " + each.outerHTML.slice(0, 150));
        const cuts = style.overflowY !== "visible" || field;
        const [top, bottom] = [style.paddingTop, style.paddingBottom].map(
            each => 1000 * parseFloat(each) / parseFloat(style.fontSize));
        if (thai && cuts && (above + top < 0 || below + bottom < 0))
            found.push(`clipped by ${above + top} and ${below + bottom}: ` + each.outerHTML.slice(0, 150));
        const clamped = style.webkitLineClamp !== "none";
        if (cuts && !field && !clamped && each.scrollHeight > each.clientHeight + 1)
            found.push("overflows: " + each.outerHTML.slice(0, 150));
    }
    return found;
"""


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Album]:
    """Every page of the site, and last what it says when it is closed."""
    site = Site(tmp_path_factory.mktemp("accessibility"), newsroom(), slots=192)
    made = Album(site)
    for language in LANGUAGES:
        fill(site, made, language)
    close(site, made)
    yield made
    site.close()


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    missing = [str(path) for path in (*PROGRAMS, AXE) if not path.exists()]
    if missing:
        pytest.skip(f"{', '.join(missing)}: not there")
    made = Chromium(tmp_path_factory.mktemp("chromium"))
    yield made
    made.close()


class Still:
    """The album with frames that don't renew themselves.

    The frame of the progress does, every two seconds, and is gone before axe has looked at it. (axe would name that
    too. Without scripts nothing else shows what goes on in real time, which success criterion 2.2.1 excepts: nothing in
    that frame is typed or pressed, and the page around it stays.)
    """

    def __init__(self, album: Album) -> None:
        self._album = album

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if "/progress/" not in environ["PATH_INFO"]:
            return self._album(environ, start_response)
        page = self._album.site.app.test_client().get(environ["PATH_INFO"]).data
        start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
        return [RENEWAL.sub(b"", page)]


def troubles(chromium: Chromium) -> Iterator[tuple[str, Any]]:
    """Yield what is wrong with the page that is open, by where it is seen."""
    rules = None
    for dark in (False, True):
        for kind, size in SIZES.items():
            chromium.show(*size, dark=dark)
            yield f"axe, {kind}, {'dark' if dark else 'light'}", chromium.script(_RUN, TAGS, rules)
            rules = SEEN
    for width in WIDTHS:
        chromium.show(width, 740, dark=False)
        yield f"wider than {width}", chromium.script(_WIDE)
        yield f"small at {width}", chromium.script(_SMALL, TARGET_PIXELS, FIELD_PIXELS)
        yield f"clipped at {width}", chromium.script(_CLIPPED, TALL)


def test_nobody_is_kept_out(chromium: Chromium, album: Album) -> None:
    chromium.in_every_document(AXE.read_text("utf-8"))
    found: dict[str, dict[str, Any]] = {}
    with served(Still(album)) as address:
        # What frames show stands in the pages around them.
        for name in (name for name, page in album.pages.items() if b'class="frame"' not in page):
            chromium.open(f"{address}/page/{name}")
            if wrong := {where: what for where, what in troubles(chromium) if what}:
                found[name] = wrong
    assert not found, "\n".join(
        f"{page}: {where}: {what}" for page, all_ in found.items() for where, what in all_.items()
    )
