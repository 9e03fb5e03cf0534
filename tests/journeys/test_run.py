"""What `scripts/run` promises of itself: one at a time, a second start that keeps everything, an end that is one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

from keys.errors import Refused
from tests.journeys.practice import Practice, practice, until

SECOND_START_SECONDS = 60.0
"""Seconds on a quiet machine; this is what a busy one may take. A founding takes longer than that."""


def test_second_start_while_one_runs_is_refused_and_disturbs_nothing(newsroom: Practice) -> None:
    for options in ((), ("--reset",)):
        done = subprocess.run(newsroom.command(*options), capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == Refused.exit_code
        assert "error: This practice newsroom runs already." in done.stderr
        assert "hint: Use that one, or end it with Ctrl-C" in done.stderr
        assert "--reset" not in done.stderr
    assert newsroom.ask("GET", "/th/").status == 200
    newsroom.succeed(newsroom.step(2))


def test_end_leaves_no_process_and_the_next_start_has_everything(newsroom: Practice) -> None:
    newsroom.succeed(newsroom.step(2))
    told, held = newsroom.told, newsroom.inventory()
    assert newsroom.interrupt() in (0, 130)
    assert newsroom.processes() == []
    assert not Path(told["control"]).parents[3].exists()

    begun = time.monotonic()
    newsroom.start()
    assert time.monotonic() - begun < SECOND_START_SECONDS
    for same in ("addresses", "steps", "socks"):
        assert newsroom.told[same] == told[same]
    newsroom.succeed(newsroom.step(2))
    assert newsroom.inventory().digests == held.digests
    assert newsroom.inventory().sequence > held.sequence


def test_the_servers_clock_is_compared_with_the_consensus_of_its_own_tor(newsroom: Practice) -> None:
    server, consensus = newsroom.home / "server", newsroom.home / "tor/network/service/cached-microdesc-consensus"
    told = json.loads(
        newsroom.tool("dropbox-server", "status", "--home", server, "--consensus", consensus, "--json").out
    )
    assert (told["clock"], told["open"]) == ("agrees", True)


def test_without_a_display_it_shows_four_lines_and_a_picture(newsroom: Practice) -> None:
    assert newsroom.interrupt() in (0, 130)
    process = newsroom.launch()
    until(lambda: "Ctrl-C ends everything" in newsroom.shown.read_text() or process.poll(), 240, "it is open")
    shown = newsroom.shown.read_text()
    for number in range(1, 5):
        assert f"{number}. " in shown
        assert newsroom.step(number) in shown
    picture = newsroom.home / "pictures/front.png"
    assert f"There is no display here. A picture of the first page: {picture}" in shown
    assert picture.read_bytes().startswith(b"\x89PNG")
    os.kill(process.pid, signal.SIGTERM)
    process.wait(60)
    assert newsroom.processes() == []
    newsroom.start()


def test_reset_erases_and_founds_anew_and_can_be_interrupted() -> None:
    with practice() as other:
        other.home.mkdir()
        for name in ("practice-newsroom", "founded"):
            (other.home / name).touch()
        old = other.home / "stations/isra"
        old.mkdir(parents=True)
        process = other.launch("--reset")
        until(lambda: "the server's room" in other.said.read_text() or process.poll(), 60, "it founds")
        assert not old.exists()
        assert not (other.home / "founded").exists()
        assert other.interrupt() == 130
        assert other.processes() == []


def test_folder_that_holds_something_else_is_left_alone() -> None:
    with practice() as other:
        other.home.mkdir()
        kept = other.home / "letter.txt"
        kept.touch()
        for options in ((), ("--reset",)):
            done = subprocess.run(other.command(*options), capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == Refused.exit_code
            assert "error: This folder holds something else than a practice newsroom." in done.stderr
        assert list(other.home.iterdir()) == [kept]
