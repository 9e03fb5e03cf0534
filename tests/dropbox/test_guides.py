"""Guidance: what ships is whole and honest; what a newsroom writes stands before it, or is named with its reason."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbox import guides
from dropbox.cli import facts_of_guidance
from keys.errors import Malformed
from keys.languages import LANGUAGES

THAI = re.compile("[\u0e01-\u0e5b]")


def write(folder: Path, name: str, content: str | bytes) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


@pytest.mark.parametrize("name", guides.SHIPPED)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_ships_short_and_calm_in_every_language(name: str, language: str) -> None:
    guide = guides.shipped().pages[name][language]
    assert len(guide.text.split()) < 420 and len(guide.text) < 3_000
    assert not re.search(r"!|100 ?%|you are safe|completely safe|คุณปลอดภัย|ท่าน|ดำเนินการ", guide.text)
    assert bool(THAI.search(guide.title)) is (language == "th")
    levels = [len(marks) for marks in re.findall(r"^(#+) ", guide.text, re.MULTILINE)]
    assert set(levels) <= {2}


def test_both_languages_have_the_same_parts() -> None:
    for name, page in guides.shipped().pages.items():
        parts = {
            tuple(len(re.findall(mark, page[language].text, re.MULTILINE)) for mark in (r"^## ", r"^- ", r"^\d\. "))
            for language in LANGUAGES
        }
        assert len(parts) == 1, name


def test_what_is_said_of_the_law_waits_for_a_lawyer_and_promises_the_press_nothing() -> None:
    assert guides.shipped().to_confirm == ("th/law.md", "en/law.md")
    for language, words in {
        "th": ("มาตรา 132", "การบอกสื่อไม่ได้ระบุไว้"),
        "en": ("section 132", "Telling the press is not named"),
    }.items():
        text = guides.shipped().pages["law"][language].text
        assert all(each in text for each in words)
        for line in text.splitlines():
            if re.search(r"\d", line):
                assert line.endswith(guides.TO_CONFIRM[language]), line


def test_without_a_folder_what_ships_is_shown(tmp_path: Path) -> None:
    assert guides.read(tmp_path / "guidance") == guides.shipped()


def test_a_copy_is_the_newsrooms_own_and_never_written_over(tmp_path: Path) -> None:
    folder = tmp_path / "guidance"
    written, kept = guides.copy(folder)
    assert len(written) == 2 * len(guides.SHIPPED) and not kept
    write(folder, "th/law.md", "# ใหม่\nแก้แล้ว")
    again, kept = guides.copy(folder)
    assert not again and len(kept) == len(written)
    found = guides.read(folder)
    assert found.pages["law"]["th"] == guides.Guide("ใหม่", "แก้แล้ว\n")
    assert len(found.own) == len(written) and not found.not_shown
    assert found.to_confirm == ("en/law.md",)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff\xfe", "UTF-8"),
        ("no title\ntext", "title"),
        ("", "title"),
        ("#\ntext", "title"),
        ("# Title only\n\n", "below"),
        ("# Title\n" + "x" * guides.MAX_PAGE_BYTES, "longer"),
        ("# Title\nhidden \u202e text", "reorders"),
        ("# Title\n\x1b[2J", "control"),
    ],
)
def test_what_cannot_be_shown_is_named_and_the_shipped_page_stands_in(
    tmp_path: Path, content: str | bytes, reason: str
) -> None:
    write(tmp_path, "en/law.md", content)
    write(tmp_path, "en/limits.md", "# Limits\nours")
    found = guides.read(tmp_path)
    assert found.pages["law"] == guides.shipped().pages["law"]
    assert found.pages["limits"]["en"].text == "ours\n"
    (named,) = found.not_shown
    assert named.startswith("en/law.md: ") and reason in named
    assert facts_of_guidance(found)["guidance_not_shown"] == [named]


def test_links_folders_and_unreadable_files_are_not_followed(tmp_path: Path) -> None:
    write(tmp_path, "server.key", "# Secret\nkey")
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "law.md").symlink_to(tmp_path / "server.key")
    (tmp_path / "en" / "limits.md").mkdir()
    os.mkfifo(tmp_path / "en" / "bridges.md")
    found = guides.read(tmp_path)
    assert {**found.pages} == {**guides.shipped().pages}
    assert [each.partition(":")[0] for each in found.not_shown] == ["en/bridges.md", "en/law.md", "en/limits.md"]


def test_a_page_of_its_own_needs_every_language(tmp_path: Path) -> None:
    write(tmp_path, "th/office.md", "# ที่ทำการ\nเปิดวันจันทร์")
    found = guides.read(tmp_path)
    assert "office" not in found.pages and found.not_shown == ("th/office.md: It is not there in every language.",)
    write(tmp_path, "en/office.md", "\ufeff# The office\r\nopen on Mondays")
    found = guides.read(tmp_path)
    assert found.pages["office"]["en"] == guides.Guide("The office", "open on Mondays\n") and not found.not_shown
    assert list(found.pages) == [*guides.SHIPPED, "office"]


@pytest.mark.parametrize("name", ["Bad Name.md", "ก.md", "-x.md", "a_b.md", "x" * 60 + ".md", "\x1b[31m.md"])
def test_other_names_are_refused_and_told_without_harm(tmp_path: Path, name: str) -> None:
    write(tmp_path, f"th/{name}", "# ก\nข")
    (named,) = guides.read(tmp_path).not_shown
    assert named.isprintable() and named.isascii()


def test_what_an_editor_leaves_behind_is_no_page(tmp_path: Path) -> None:
    for name in ("law.md~", ".law.md.swp", ".law.md", "#law.md#", "law.txt"):
        write(tmp_path, f"en/{name}", "# x\ny")
    assert guides.read(tmp_path) == guides.shipped()


def test_there_are_not_endlessly_many(tmp_path: Path) -> None:
    for number in range(guides.MAX_PAGES + 3):
        for language in LANGUAGES:
            write(tmp_path, f"{language}/page-{number:03}.md", "# t\nx")
    found = guides.read(tmp_path)
    assert len(found.pages) == len(guides.SHIPPED) + guides.MAX_PAGES and len(found.not_shown) == 6


@given(st.binary(max_size=300))
def test_any_bytes_are_a_page_or_malformed(data: bytes) -> None:
    try:
        guide = guides.parse(data)
    except Malformed:
        return
    assert guide.title.strip() and guide.text.strip()
