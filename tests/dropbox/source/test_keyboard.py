"""A source without a mouse: every flow by Tab, arrows, Space and Enter alone, in Firefox at the safest settings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from keys import codename
from keys.languages import LANGUAGES
from tests.dropbox.source.screenshots import newsroom, publish
from tests.dropbox.source.site import Site
from tests.dropbox.source.window import FIREFOX, PATIENCE_SECONDS, Window, served
from tests.journeys.marionette import Momentary
from tests.journeys.practice import until

pytestmark = pytest.mark.journey

TAB, ENTER, SPACE, DOWN = "\ue004", "\ue007", " ", "\ue015"
MOST_STOPS = 60
_HERE = """
    let found = document.activeElement, frame = null;
    while (found && found.localName === "iframe") {
        frame = found;
        found = frame.contentDocument.activeElement;
    }
    if (!found || found.localName === "body") return null;
    const style = getComputedStyle(found), box = found.getBoundingClientRect();
    const top = document.querySelector(".top");
    const under = !frame && top && !top.contains(found) && box.bottom <= top.getBoundingClientRect().bottom;
    return {
        matches: found.matches(arguments[0]),
        ring: found.matches(":focus-visible") && style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
        seen: box.height > 0 && !under && (frame || box.top < innerHeight),
        place: frame || top && top.contains(found) ? null : box.top + scrollY,
        what: found.outerHTML.slice(0, 120),
    };
"""


class Keyboard:
    """Somebody's keys. Wherever they come by, it can be seen, and the way leads down the page."""

    def __init__(self, window: Window) -> None:
        self._window = window

    def press(self, keys: str) -> None:
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self._window.firefox("WebDriver:PerformActions", actions=[{"type": "key", "id": "keys", "actions": actions}])

    def here(self, selector: str) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self._window.firefox.script(_HERE, selector)
        return found

    def go_to(self, selector: str) -> int:
        """Press Tab until it is reached; return how often."""
        way: list[str] = []
        lowest = 0.0
        for stops in range(1, MOST_STOPS):
            self.press(TAB)
            if (here := self.here(selector)) is None:
                continue
            way.append(here["what"])
            assert here["ring"] and here["seen"], f"{here} after {way}"
            if here["place"] is not None:
                assert here["place"] >= lowest - 1, way
                lowest = here["place"]
            if here["matches"]:
                return stops
        raise AssertionError(f"{selector} was never reached: {way}")

    def choose(self, selector: str, to: str = "") -> None:
        """Go to a link or button, press it, and wait for the page that it leads to, if it leads to one."""
        self.go_to(selector)
        self.press(ENTER)
        if to:
            until(lambda: self._is_at(to), PATIENCE_SECONDS, f"the page {to}")

    def _is_at(self, path: str) -> bool:
        with suppress(Momentary):
            found = self._window.firefox.script("return [location.pathname, document.readyState]")
            return found is not None and path in found[0] and found[1] == "complete"
        return False


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Window]:
    if not FIREFOX.exists():
        pytest.skip("Firefox isn't installed")
    made = Window(tmp_path_factory.mktemp("firefox"))
    yield made
    made.firefox.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, newsroom(), slots=192)
    yield made
    made.close()


@pytest.fixture
def keyboard(window: Window) -> Keyboard:
    return Keyboard(window)


STORED = {"th": "เก็บแล้ว 2 รายการ", "en": "2 items stored"}
ONE_STORED = {"th": "เก็บแล้ว 1 รายการ", "en": "1 item stored"}
ALLOWED = {"th": "เก็บคำตอบของคุณแล้ว", "en": "Your answer is stored"}
NONE_YET = {"th": "ยังไม่มีคำตอบ", "en": "There is no reply yet."}
REPLY = "a reply from the newsroom"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_flow_goes_by_keys_alone(
    window: Window, keyboard: Keyboard, site: Site, tmp_path: Path, language: str
) -> None:
    shown = publish(site)
    file = tmp_path / "contract.pdf"
    file.write_bytes(b"x" * 20_000)
    with served(site.app) as address:
        window.open(f"{address}/{language}/")
        assert keyboard.go_to("a.leave") <= 2
        keyboard.choose("footer a[href$='/calls']", to="/calls")
        keyboard.choose(f".titles a[href$='{shown.call}']", to=shown.call)
        keyboard.choose("a.button[href*='/send']", to="/send")
        words = window.texts(".codename li")

        keyboard.go_to("form textarea")
        keyboard.press("in March")
        keyboard.go_to("#text")
        keyboard.press("what I know")
        keyboard.go_to("input[name=desk][value='2']")
        keyboard.press(SPACE)
        keyboard.go_to("input[name=refer]")
        keyboard.press(DOWN)
        keyboard.go_to("input[name=answer]")
        keyboard.go_to("#files")
        window.type("#files", str(file))  # The window that Enter opens here is the system's own.
        keyboard.choose("form.sending button")
        window.wait_for(STORED[language], "result")
        (tip,) = site.tips(2)
        assert tip.message.text.endswith("what I know") and tip.message.refer == "yes"
        name = codename.read(" ".join(words))
        keyboard.choose("a.plain[href*='/leave']", to="/leave")

        site.answer(name, text=REPLY, asks=[3])
        window.open(f"{address}/{language}/return")
        keyboard.go_to("#codename")
        keyboard.press("".join(words))
        keyboard.choose("main form button", to="/inbox/")
        assert REPLY in window.shown()
        keyboard.choose(".asked button[value=yes]", to="/consent")
        assert ALLOWED[language] in window.shown()
        keyboard.choose("main .actions a", to="/inbox/")
        window.wait_for(REPLY)
        keyboard.choose(".reply summary")
        keyboard.choose(".reply button[name=reply]")
        window.wait_for(NONE_YET[language])

        keyboard.choose("footer a[href$='/volunteer']", to="/volunteer")
        keyboard.go_to("#can")
        keyboard.press("maps")
        keyboard.choose("form.sending button")
        window.wait_for(ONE_STORED[language], "result")
        window.open(f"{address}/{language}/guide/law")
        assert keyboard.go_to("a.leave") <= 2
        keyboard.press(ENTER)
        window.wait_for("New Identity")
