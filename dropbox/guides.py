"""The guidance for sources: short pages in every language, as this package ships them or as a newsroom has edited them.

Which pages there are is found out at start; an address only ever chooses one of them by its name, never a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files as resources
from pathlib import Path

from keys import files
from keys.errors import Malformed
from keys.languages import LANGUAGES, refuse_deceiving

SHIPPED = ("before-you-send", "devices", "platforms", "bridges", "law", "checking", "limits")
"""In the order in which they are listed; pages that a newsroom adds come after them."""

MAX_PAGE_BYTES = 32 * 1024
MAX_PAGES = 40
TO_CONFIRM = {"th": "[รอทนายยืนยัน]", "en": "[lawyer to confirm]"}
"""What stands behind each sentence about the law that the newsroom's lawyer hasn't confirmed yet."""

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?\Z")
_TITLE = re.compile(r"# +(\S.*)\Z")


@dataclass(frozen=True, slots=True)
class Guide:
    """One page in one language: its title, and what follows it, in Markdown."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Guides:
    """Every page by its name, then by language; and what of the newsroom's own is not shown, with the reason."""

    pages: Mapping[str, Mapping[str, Guide]]
    own: tuple[str, ...] = ()
    not_shown: tuple[str, ...] = ()

    @property
    def to_confirm(self) -> tuple[str, ...]:
        """The pages on which something still waits for the newsroom's lawyer."""
        return tuple(
            f"{language}/{name}.md"
            for name, each in self.pages.items()
            for language, guide in each.items()
            if TO_CONFIRM[language] in guide.text
        )


def parse(data: bytes) -> Guide:
    """Take a page's file apart: its first line is `# ` and the title, the rest is Markdown.

    Raises:
        Malformed: it is not UTF-8, has another first line, holds characters that deceive, or nothing below its title.
    """
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise Malformed("The page is not UTF-8.") from None
    first, _, rest = text.lstrip("\n").partition("\n")
    title = _TITLE.match(first)
    if title is None:
        raise Malformed("Its first line is no title, which begins with # and a space.")
    refuse_deceiving(text, "page", lines=True)
    if not rest.strip():
        raise Malformed("There is nothing below its title.")
    return Guide(title[1].strip(), rest.strip() + "\n")


def shipped() -> Guides:
    """Return the pages that come with this package."""
    return Guides({name: {each: parse(_shipped(each, name)) for each in LANGUAGES} for name in SHIPPED})


def read(folder: Path) -> Guides:
    """Return the pages of a folder, `th/NAME.md` and `en/NAME.md`, before the shipped ones.

    A page that can't be shown is named with its reason, and the shipped one of that name is shown in its place. One
    that ships in no language is shown only when the folder has it in all. Never raises for what the folder holds.
    """
    found, not_shown = _read_all(folder)
    pages = {name: dict(each) for name, each in shipped().pages.items()}
    own = []
    for name, each in sorted(found.items()):
        if name not in pages and set(each) != set(LANGUAGES):
            not_shown += [f"{language}/{name}.md: It is not there in every language." for language in each]
        else:
            pages.setdefault(name, {}).update(each)
            own += [f"{language}/{name}.md" for language in each]
    return Guides(pages, tuple(own), tuple(sorted(not_shown)))


def copy(folder: Path) -> tuple[list[Path], list[Path]]:
    """Copy the shipped pages into a folder, to be edited there; return what was written and what stood there already.

    Raises:
        OSError, NoRoom: the folder can't be written to.
    """
    files.make_folder(folder)
    written, kept = [], []
    for language in LANGUAGES:
        files.make_folder(folder / language)
        for name in SHIPPED:
            path = folder / language / f"{name}.md"
            if path.exists() or path.is_symlink():
                kept.append(path)
                continue
            files.write_file(path, _shipped(language, name), private=False)
            written.append(path)
    return written, kept


def _shipped(language: str, name: str) -> bytes:
    return resources("dropbox").joinpath(f"guidance/{language}/{name}.md").read_bytes()


def _read_all(folder: Path) -> tuple[dict[str, dict[str, Guide]], list[str]]:
    found: dict[str, dict[str, Guide]] = {}
    not_shown: list[str] = []
    for language in LANGUAGES:
        for number, path in enumerate(_listed(folder / language)):
            try:
                if number >= MAX_PAGES:
                    raise Malformed(f"There are more than {MAX_PAGES} pages.")
                found.setdefault(path.stem, {})[language] = _read_page(path)
            except Malformed as error:
                not_shown.append(f"{language}/{_plain(path.name)}: {error.message}")
    return found, not_shown


def _listed(folder: Path) -> Iterator[Path]:
    """Yield what may be a page; editors' copies and hidden files are none."""
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return
    yield from (path for path in entries if path.suffix == ".md" and not path.name.startswith("."))


def _read_page(path: Path) -> Guide:
    if not _NAME.match(path.stem):
        raise Malformed("A page is named with a-z, 0-9 and -.")
    try:
        if path.is_symlink() or not path.is_file():
            raise Malformed("It is no plain file.")  # A link could lead to the server's key.
        return parse(files.read_file(path, MAX_PAGE_BYTES))
    except OSError:
        raise Malformed("It can't be read.") from None


def _plain(name: str) -> str:
    """A file's name for a line of a terminal."""
    return name.encode("ascii", "backslashreplace").decode()[:80] if name.isprintable() else "?"
