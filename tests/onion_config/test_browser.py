"""The practice browser: as strict as Tor Browser's “Safest”, and silent."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import pytest

from keys.errors import Misconfigured
from onion_config import browser


def read(profile: Path) -> dict[str, object]:
    lines = (profile / "user.js").read_text().splitlines()
    pairs = (re.fullmatch(r'user_pref\((".*?"), (.*)\);', line) for line in lines)
    return {json.loads(pair[1]): json.loads(pair[2]) for pair in pairs if pair}


def test_the_profile_says_what_the_dictionary_says(tmp_path: Path) -> None:
    browser.write_profile(tmp_path / "profile", 9150)

    assert read(tmp_path / "profile") == browser.preferences(9150)
    assert stat.S_IMODE((tmp_path / "profile").stat().st_mode) == 0o700


def test_what_safest_turns_off_is_off() -> None:
    prefs = browser.preferences(9150)

    off = {"javascript.enabled": False, "svg.disabled": True, "mathml.disabled": True}
    assert off.items() <= prefs.items()
    assert prefs["gfx.downloadable_fonts.enabled"] is False
    assert prefs["dom.securecontext.allowlist_onions"] is True


def test_nothing_goes_around_tor() -> None:
    prefs = browser.preferences(9151)

    assert (prefs["network.proxy.type"], prefs["network.proxy.socks"], prefs["network.proxy.socks_port"]) == (
        1,
        "127.0.0.1",
        9151,
    )
    assert prefs["network.proxy.socks_remote_dns"] is True
    assert prefs["network.proxy.no_proxies_on"] == ""
    assert prefs["network.proxy.failover_direct"] is False


def test_a_profile_follows_the_port(tmp_path: Path) -> None:
    browser.write_profile(tmp_path, 1111)
    browser.write_profile(tmp_path, 2222)

    assert read(tmp_path)["network.proxy.socks_port"] == 2222


def test_a_machine_without_firefox_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("onion_config.programs._SYSTEM_FOLDERS", ())

    with pytest.raises(Misconfigured) as caught:
        browser.command(tmp_path, "http://x.onion/")
    assert "apt install firefox-esr" in caught.value.remedy
