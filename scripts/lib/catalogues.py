"""Bring the translation catalogues up to date with the sentences in code and templates. Run as a script.

New sentences are added without a translation and old ones are dropped; nothing is guessed from similar sentences. The
English catalogue needs no hand: a sentence is its own key.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parents[2]
TRANSLATIONS = ROOT / "dropbox/translations"
LANGUAGES = ("th", "en")
_KEYWORDS = {**DEFAULT_KEYWORDS, "lazy_gettext": None}


def catalogue_path(language: str) -> Path:
    return TRANSLATIONS / language / "LC_MESSAGES/messages.po"


def used() -> Iterator[str | tuple[str, ...]]:
    """Yield every sentence in use, sorted; one with a plural form as a pair."""
    with (TRANSLATIONS / "babel.cfg").open() as file:
        methods, options = parse_mapping_cfg(file)  # type: ignore[no-untyped-call]
    found = extract_from_dir(ROOT, methods, options, _KEYWORDS, directory_filter=lambda path: "/." not in path)
    yield from sorted({message for _, _, message, _, _ in found}, key=lambda each: (str(each), each))


def read(language: str) -> Catalog:
    path = catalogue_path(language)
    if not path.exists():
        return Catalog(language, domain="messages", fuzzy=False)
    with path.open("rb") as file:
        return read_po(file, language, abort_invalid=True)


def renewed(language: str) -> Catalog:
    """Return a catalogue with exactly the sentences in use, keeping what is translated."""
    before = read(language)
    catalogue = Catalog(language, domain="messages", fuzzy=False)
    for key in used():
        known: Message | None = before.get(key if isinstance(key, str) else key[0])
        if language == "en":
            catalogue.add(key, key)
        else:
            catalogue.add(key, known.string if known is not None and known.id == key else None)
    return catalogue


def _header(catalogue: Catalog) -> str:
    """What programs read of a header, and nothing that changes with the day."""
    fields = {
        "Language": str(catalogue.locale_identifier),
        "Plural-Forms": catalogue.plural_forms,
        "MIME-Version": "1.0",
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Transfer-Encoding": "8bit",
    }
    lines = "".join(f'"{name}: {value}\\n"\n' for name, value in fields.items())
    return f'msgid ""\nmsgstr ""\n{lines}\n'


def main() -> None:
    for language in LANGUAGES:
        path = catalogue_path(language)
        path.parent.mkdir(parents=True, exist_ok=True)
        catalogue = renewed(language)
        with path.open("wb") as file:
            file.write(_header(catalogue).encode())
            write_po(file, catalogue, width=120, omit_header=True, no_location=True)
        missing = sum(not message.string for message in catalogue if message.id)
        print(f"{path.relative_to(ROOT)}: {len(catalogue)} sentences, {missing} without a translation")


if __name__ == "__main__":
    main()
