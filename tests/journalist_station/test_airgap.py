"""Which of a machine's interfaces count as a network that is up."""

from __future__ import annotations

from pathlib import Path

import pytest

from journalist_station.airgap import interfaces_up


@pytest.mark.parametrize(
    ("interfaces", "up"),
    [
        ({}, []),
        ({"lo": "0x9"}, []),
        ({"lo": "0x9", "eth0": "0x1002"}, []),
        ({"lo": "0x9", "eth0": "0x1003"}, ["eth0"]),
        ({"wlan0": "0x1003\n", "eth0": "0x1002", "usb0": "0x41"}, ["usb0", "wlan0"]),
        ({"odd0": "not a number"}, ["odd0"]),
        ({"odd0": None}, ["odd0"]),
    ],
)
def test_which_interfaces_are_up(tmp_path: Path, interfaces: dict[str, str | None], up: list[str]) -> None:
    for name, flags in interfaces.items():
        (tmp_path / name).mkdir()
        if flags is not None:
            (tmp_path / name / "flags").write_text(flags)
    (tmp_path / "bonding_masters").write_text("")
    assert interfaces_up(tmp_path) == up


def test_a_machine_without_any(tmp_path: Path) -> None:
    assert interfaces_up(tmp_path / "net") == []
