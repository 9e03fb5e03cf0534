"""Sizes, times, dates and names as people read them."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbox import refusals
from dropbox.serving.gate import Busy
from dropbox.serving.pace import Disconnected, TooSlow
from dropbox.source import words
from keys.codename import UnknownWord, WrongCheckWord, WrongLength
from keys.encoding import week_start
from keys.errors import DropBoxError, Malformed, Misconfigured, NoRoom, NotAuthentic, NotForUs, Refused, Stale
from tests.dropbox.source.site import Site
from tests.simulators.newsroom import FIRST_WEEK


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.0 kB"),
        (48_200_000, "48.2 MB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (2 << 30, "2.1 GB"),
        (5 * 10**15, "5000.0 TB"),
        (189_230.7, "189.2 kB"),
    ],
)
def test_sizes(count: float, shown: str) -> None:
    assert words.size(count) == shown


@pytest.mark.parametrize(
    ("seconds", "english", "thai"),
    [
        (0, "1 second", "1 วินาที"),
        (119.4, "119 seconds", "119 วินาที"),
        (120, "2 minutes", "2 นาที"),
        (7_199, "120 minutes", "120 นาที"),
        (7_200, "2 hours", "2 ชั่วโมง"),
        (10**7, "2778 hours", "2778 ชั่วโมง"),
    ],
)
def test_durations(site: Site, seconds: float, english: str, thai: str) -> None:
    for language, shown in (("en", english), ("th", thai)):
        with site.app.test_request_context(f"/{language}/"):
            assert words.duration(seconds) == shown


def test_dates_name_the_buddhist_year_in_thai(site: Site) -> None:
    for language, shown in (("en", "16 November 2026"), ("th", "16 พฤศจิกายน 2569")):
        with site.app.test_request_context(f"/{language}/"):
            assert words.week_day(FIRST_WEEK) == shown
            assert words.day(week_start(FIRST_WEEK) + 86_399) == shown


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"a.pdf", "a.pdf"),
        ("สัญญา\u200bจ้าง.pdf", "สัญญา\u200bจ้าง.pdf"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        ("invoice\u202efdp.exe", "invoice\ufffdfdp.exe"),
        ("two\r\nlines\0", "two\ufffd\ufffdlines\ufffd"),
        ("x" * 121 + ".pdf", "x" * 108 + "…" + "x" * 7 + ".pdf"),
        (b"", ""),
    ],
)
def test_names_are_shown_on_one_line(name: bytes | str, shown: str) -> None:
    assert words.shown_name(name) == shown


def test_of_all_letters_those_that_cannot_be_seen_or_reorder_are_replaced() -> None:
    every = "".join(map(chr, range(0x110000)))
    kept = set("\u200b\u200c\u200d")
    hidden = {each for each in every if unicodedata.category(each) in ("Cc", "Cf", "Zl", "Zp")} - kept
    for lines, also in ((False, set()), (True, set("\n\t"))):
        shown = words.undeceiving(every, lines=lines)
        assert {old for old, new in zip(every, shown, strict=True) if old != new} == hidden - also
        assert set(shown) == set(every) - (hidden - also)


@given(st.binary(max_size=400))
def test_any_name_can_be_shown(name: bytes) -> None:
    shown = words.shown_name(name)
    assert len(shown) <= 120 and "\n" not in shown and (bool(shown) or not name)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (UnknownWord((1,), ((),)), refusals.UnknownWord),
        (WrongCheckWord(), refusals.WrongWords),
        (WrongLength(3), refusals.WrongLength),
        (Busy("canary"), refusals.Busy),
        (NoRoom("canary"), refusals.Full),
        (TooSlow("canary"), refusals.TooSlow),
        (Disconnected("canary"), refusals.BrokenOff),
        (Stale("canary"), refusals.Closed),
        (NotForUs("canary"), refusals.NotHere),
        (NotAuthentic("canary"), refusals.ReplyDamaged),
        (Misconfigured("canary"), refusals.Failed),
        (Malformed("canary"), refusals.BadForm),
        (Refused("canary"), refusals.BadForm),
        (refusals.NoDesk(), refusals.NoDesk),
    ],
)
def test_whatever_goes_wrong_is_told_in_a_known_sentence(error: DropBoxError, told: type[refusals.Refusal]) -> None:
    refusal = words.refusal_of(error)
    assert type(refusal) is told
    assert "canary" not in f"{refusal} {refusal.message} {refusal.remedy}"


def test_every_refusal_has_its_number() -> None:
    defined = {
        each for each in vars(refusals).values() if isinstance(each, type) and issubclass(each, refusals.Refusal)
    }
    assert defined - {refusals.Refusal} == set(refusals.REFUSALS)
