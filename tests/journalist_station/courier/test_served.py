"""The courier against the server's own workers: bodies that come in pieces, refusals before the end, long answers."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dropbox.service import COLLECT_SOCKET
from journalist_station.courier.parts import RECORD_BYTES
from keys.errors import Refused
from tests.journalist_station.courier.served_office import CELLS, LABEL
from tests.journalist_station.courier.trip import Trip, environment, outbound, parts
from tests.simulators.newsroom import Newsroom
from tests.simulators.office import bundle_of, reply_cell
from tests.simulators.wires import cutting

PROGRAM = Path(__file__).with_name("served_office.py")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Path]:
    """A running office's socket."""
    with subprocess.Popen(
        [sys.executable, str(PROGRAM), str(tmp_path)], stdout=subprocess.PIPE, env=environment()
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield tmp_path / "run" / COLLECT_SOCKET
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def test_a_whole_errand(served: Path, tmp_path: Path) -> None:
    newsroom = Newsroom(LABEL)
    trip = Trip(tmp_path, newsroom)
    stick = trip.stick()
    replies = [reply_cell(str(number)) for number in range(8)]
    # The first is refused by its last bytes, the second by its first lines, with two megabytes still on the way.
    lying = {
        "forged": bundle_of(newsroom, 2, replies, signed_by=newsroom.desk_seed(1)),
        "too early": bundle_of(newsroom, 2, replies, first=99),
        "good": bundle_of(newsroom, 1, replies),
    }
    for name, raw in lying.items():
        (outbound(stick) / name).write_bytes(raw)

    with cutting(served, [None] * 7 + [300_000, 700_000]) as cut:
        ended = trip.run(cut.path, stick)

    assert ended.code == Refused.exit_code, ended.said
    assert "The bundle forged stays on its stick, like 1 more; all else was carried." in ended.said
    assert (ended.facts["delivered"], ended.facts["wiped"]) == (1, 1)
    assert {each["what"]: each["why"] for each in ended.facts["troubles"]} == {
        "forged": "The drop box says: The signature doesn't match.",
        "too early": "The drop box says: Entries before this bundle are missing.",
    }
    assert {path.name for path in outbound(stick).iterdir()} == {"forged", "too early"}
    assert ended.facts["fetched"] == {str(stick): CELLS + 8}
    assert sum(path.stat().st_size // RECORD_BYTES for path in parts(stick)) == CELLS + 8
