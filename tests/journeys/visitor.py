"""Somebody at a Firefox without scripts, set up as the practice newsroom's first line sets it up.

    visitor.open("/th/send")
    visitor.text("h1")
    visitor.press("form.sending button")
    with visitor.frame("result"):
        visitor.texts(".items > li")
    visitor.picture("sent")

The test reads pages and presses keys through Marionette; pages themselves run no script.
"""

from __future__ import annotations

import base64
import shlex
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from tests.journeys.marionette import Firefox, Momentary
from tests.journeys.onion import Answer
from tests.journeys.practice import Practice, until

PAGE_SECONDS: Final = 60.0
SIZES: Final = {"phone": (360, 740), "desktop": (1280, 900)}
ALBUM: Final = Path(__file__).resolve().parents[2] / "artifacts/journeys"

_SET_SIZE = """
    const [width, height] = [...arguments].map(each => each + "px");
    const style = gBrowser.selectedBrowser.style;
    style.width = style.minWidth = style.maxWidth = width;
    style.height = style.minHeight = style.maxHeight = height;
"""
# Marionette's own command knows nothing of cookies that are kept apart by first party.
_COOKIES = """
    const page = gBrowser.selectedBrowser.contentPrincipal;
    const cookies = Services.cookies.getCookiesFromHost(page.host, page.originAttributes);
    return cookies.map(each => `${each.name}=${each.value}`).join("; ");
"""
_SHOWN_SIZE = "return [top.innerWidth, top.innerHeight]"


class Visitor:
    """A browser window of its own, with an empty profile made after the newsroom's. Used as a context manager."""

    def __init__(self, newsroom: Practice) -> None:
        self._newsroom = newsroom
        self._in_frame = False
        words = shlex.split(newsroom.step(1))
        self.first_page = words[-1]
        at = words.index("--profile") + 1
        profile = newsroom.folder / "visitor"
        shutil.copytree(words[at], profile)
        with (profile / "user.js").open("a") as prefs:
            # As on phones, so that a picture's width is the page's. (A source's browser decides that for itself.)
            prefs.write('user_pref("ui.useOverlayScrollbars", 1);\n')
        command = [*words[:at], str(profile), *words[at + 1 : -1], "about:blank"]
        self._firefox = Firefox(command, profile, newsroom.folder / "firefox.log")
        self._firefox("WebDriver:SetTimeouts", pageLoad=int(1_000 * PAGE_SECONDS))
        self._firefox("WebDriver:SetWindowRect", width=1400, height=1100)

    def __enter__(self) -> Visitor:
        return self

    def __exit__(self, *_: object) -> None:
        self._firefox.close()

    def preference(self, name: str) -> object:
        """A boolean preference, as it is in force."""
        return self._firefox.in_chrome("return Services.prefs.getBoolPref(arguments[0])", name)

    def open(self, address: str) -> None:
        """Go to a page, by its whole address or by its path on the source's site."""
        whole = address if address.startswith("http") else f"http://{self._newsroom.source}{address}"
        self._firefox("WebDriver:Navigate", url=whole)

    @property
    def address(self) -> str:
        where: str = self._firefox("WebDriver:GetCurrentURL")
        return where

    @property
    def path(self) -> str:
        return urlsplit(self.address).path

    @property
    def source(self) -> str:
        page: str = self._firefox("WebDriver:GetPageSource")
        return page

    def text(self, selector: str) -> str:
        """The text of the first such element, once there is one."""
        return until(lambda: "".join(self.texts(selector)[:1]), PAGE_SECONDS, selector)

    def texts(self, selector: str) -> list[str]:
        """The texts of all such elements that are there now; none, when the page is being replaced."""
        with suppress(Momentary):
            return [self._firefox("WebDriver:GetElementText", id=each) for each in self._firefox.find(selector)]
        return []

    def attributes(self, selector: str, name: str) -> list[str]:
        """An attribute of all such elements that are there now; none, when the page is being replaced."""
        with suppress(Momentary):
            found = self._firefox.find(selector)
            return [self._firefox("WebDriver:GetElementAttribute", id=each, name=name) for each in found]
        return []

    def has(self, selector: str) -> bool:
        """Say whether there is such an element now."""
        with suppress(Momentary):
            return bool(self._firefox.find(selector))
        return False

    def shows(self, selector: str) -> bool:
        """Say whether such an element is there now and can be seen."""
        with suppress(Momentary):
            return any(self._firefox("WebDriver:IsElementDisplayed", id=each) for each in self._firefox.find(selector))
        return False

    def clear(self, selector: str) -> None:
        """Empty a field."""
        self._firefox("WebDriver:ElementClear", id=self._firefox.find_one(selector))

    def type(self, selector: str, words: str) -> None:
        self._firefox("WebDriver:ElementSendKeys", id=self._firefox.find_one(selector), text=words)

    def choose_files(self, paths: Sequence[Path]) -> None:
        """Pick several files in the page's one file field."""
        self.type("input[type=file]", "\n".join(map(str, paths)))

    def press(self, selector: str) -> None:
        """Press a button, tick a box."""
        self._firefox("WebDriver:ElementClick", id=self._firefox.find_one(selector))

    def follow(self, selector: str, to: str) -> None:
        """Press what leads to another page, and wait for it: its path begins with `to`."""
        self.press(selector)
        until(lambda: self.path.startswith(to) and self.has("body"), PAGE_SECONDS, f"the page {to}")

    @contextmanager
    def frame(self, name: str) -> Iterator[None]:
        """Look into one of the page's frames."""
        self._firefox("WebDriver:SwitchToFrame", element=self._firefox.find_one(f"iframe.{name}"))
        self._in_frame = True
        try:
            yield
        finally:
            self._firefox("WebDriver:SwitchToFrame")
            self._in_frame = False

    def frame_has(self, name: str, selector: str) -> bool:
        """Say whether a frame shows such an element now."""
        with suppress(Momentary), self.frame(name):
            return self.has(selector)
        return False

    def cookies(self) -> str:
        """The cookies of this page, as a request carries them."""
        found: str = self._firefox.in_chrome(_COOKIES)
        return found

    def fetch(self, path: str) -> Answer:
        """Fetch what a link leads to, as this visitor, without showing it."""
        return self._newsroom.ask("GET", path, headers={"Cookie": self.cookies()})

    def picture(self, name: str) -> None:
        """Take pictures of the whole page, or of what a frame shows, on a phone and on a desktop: for people to see."""
        for kind, (width, height) in SIZES.items():
            self._set_size(width, height)
            self._save(f"{name}-{kind}", full=True)

    def picture_of_screen(self, name: str) -> None:
        """Take a picture of what a phone shows of this page at first."""
        self._set_size(*SIZES["phone"])
        self._save(f"{name}-phone-screen", full=False)

    def _save(self, name: str, *, full: bool) -> None:
        ALBUM.mkdir(parents=True, exist_ok=True)
        # Marionette takes a frame for the page around it, unless it is asked for an element.
        within = self._firefox.find_one("html") if self._in_frame else None
        picture = self._firefox("WebDriver:TakeScreenshot", full=full, hash=False, id=within, scroll=False)
        path = ALBUM / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(picture))

    def _set_size(self, width: int, height: int) -> None:
        """Give the page this size. (Firefox's own window can't be as narrow as a phone.)"""
        self._firefox.in_chrome(_SET_SIZE, width, height)
        until(lambda: self._firefox.script(_SHOWN_SIZE) == [width, height], PAGE_SECONDS, "the page has its size")
