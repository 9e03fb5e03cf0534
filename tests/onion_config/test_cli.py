"""The command `onion-config`, as an administrator types it and as a program reads it."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from keys import manifest, primitives, terminal
from keys.errors import Misconfigured
from keys.onion import OnionAddress
from onion_config import clients, onion_keys
from onion_config.cli import check_public, cli
from tests.simulators.newsroom import Newsroom
from tests.simulators.tor import ControlSocket, consensus_head

ADDRESS = OnionAddress("25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkenl5sid.onion")
CONNECTED = '250-status/bootstrap-phase=NOTICE BOOTSTRAP PROGRESS=100 TAG=done SUMMARY="Done"\r\n250 OK'


class Terminal:
    """Runs the command in a folder, and keeps what it said."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capture = capture
        self.said = self.complained = ""

    def run(self, *arguments: object) -> int:
        with pytest.raises(SystemExit) as ended:
            terminal.run(cli, "onion-config", [str(each) for each in arguments])
        self.said, self.complained = self._capture.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Terminal:
    monkeypatch.chdir(tmp_path)
    return Terminal(tmp_path, capsys)


TORRC = ("torrc", "--onions", "o", "--source-socket", "s.sock", "--collect-socket", "c.sock", "--tor", "t")


def newsroom_in(folder: Path, *, practice: bool) -> Newsroom:
    """A newsroom whose onion keys lie in `o` and whose manifest in `manifest`."""
    newsroom = Newsroom(practice=practice)
    for name in ("source", "collect"):
        seed = primitives.sha256(name.encode())
        made = onion_keys.make(folder / "o" / name, lambda _, seed=seed: seed)  # type: ignore[misc]
        assert made.address == newsroom.onion(name)
    clients.close_to_strangers(folder / "o" / "collect", newsroom.randomness)
    (folder / "manifest").write_bytes(newsroom.documents[0].encode())
    return newsroom


def test_addresses_are_printed_and_stay(shell: Terminal) -> None:
    assert shell.run("keys", "--onions", "o", "--json") == 0
    addresses = json.loads(shell.said)
    assert shell.run("keys", "--onions", "o") == 0

    assert set(addresses) == {"source", "collect"}
    assert all(address in shell.said for address in addresses.values())
    assert stat.S_IMODE((shell.folder / "o").stat().st_mode) == 0o700


def test_a_new_collect_service_is_closed(shell: Terminal) -> None:
    shell.run("keys", "--onions", "o")

    clients.check_closed(shell.folder / "o" / "collect")


def test_public_tor_takes_a_real_newsroom(shell: Terminal) -> None:
    newsroom_in(shell.folder, practice=False)

    assert shell.run(*TORRC, "--public", "--manifest", "manifest") == 0
    assert f"HiddenServicePort 80 unix:{shell.folder}/s.sock\n" in shell.said
    assert "Testing" not in shell.said


def test_public_tor_refuses_a_practice_newsroom(shell: Terminal) -> None:
    newsroom_in(shell.folder, practice=True)

    assert shell.run(*TORRC, "--public", "--manifest", "manifest") == 69
    assert shell.said == ""
    assert shell.complained.startswith("error: This manifest is for practice")
    assert "\nhint: " in shell.complained


def test_public_tor_refuses_addresses_that_the_manifest_doesnt_name(shell: Terminal) -> None:
    newsroom_in(shell.folder, practice=False)
    for path in (shell.folder / "o" / "collect").glob("h*"):
        path.unlink()
    onion_keys.make(shell.folder / "o" / "collect", primitives.system_randomness)

    assert shell.run(*TORRC, "--public", "--manifest", "manifest") == 67
    assert "doesn't name the addresses" in shell.complained


def test_either_address_must_be_named() -> None:
    newsroom = Newsroom(practice=False)
    source, collect = newsroom.onion("source"), newsroom.onion("collect")
    check_public(newsroom.manifest, source, collect)

    for pair in ((ADDRESS, collect), (source, ADDRESS), (collect, source)):
        with pytest.raises(Exception, match="doesn't name"):
            check_public(newsroom.manifest, *pair)
    nameless = replace(newsroom.terms, onions=manifest.Onions())
    with pytest.raises(Exception, match="doesn't name"):
        check_public(manifest.parse(manifest.compose(nameless)), source, collect)


@pytest.mark.parametrize(
    "options", [(), ("--public",), ("--public", "--network", "n"), ("--public", "--network", "n", "--manifest", "m")]
)
def test_which_network_must_be_said(shell: Terminal, options: tuple[str, ...]) -> None:
    newsroom_in(shell.folder, practice=False)

    assert shell.run(*TORRC, *options) == terminal.EXIT_USAGE
    assert shell.complained.startswith("error: ")


def test_a_network_that_never_was_has_no_torrc(shell: Terminal) -> None:
    newsroom_in(shell.folder, practice=True)

    assert shell.run(*TORRC, "--network", "n") == 78
    assert "No private network" in shell.complained


def test_a_collect_service_open_to_everybody_is_refused(shell: Terminal) -> None:
    newsroom_in(shell.folder, practice=False)
    (shell.folder / "o" / "collect" / clients.FOLDER / "nobody.auth").unlink()

    assert shell.run(*TORRC, "--public", "--manifest", "manifest") == 78
    assert "open it to everybody" in shell.complained


def test_apparmor_gets_its_lines(shell: Terminal) -> None:
    newsroom_in(shell.folder, practice=False)

    assert shell.run(*TORRC, "--public", "--manifest", "manifest", "--apparmor") == 0
    assert shell.said.splitlines() == [f'"{shell.folder}/{name}.sock" rw,' for name in ("s", "c")]


def test_services_without_keys_are_told(shell: Terminal) -> None:
    assert shell.run(*TORRC, "--public", "--manifest", "manifest") == 78
    assert "onion-config keys --onions FOLDER" in shell.complained


def test_a_courier_gets_a_file_and_the_server_the_other_half(shell: Terminal) -> None:
    shell.run("keys", "--onions", "o", "--json")
    collect = json.loads(shell.said)["collect"]

    assert shell.run("courier", "add", "may", "--onions", "o", "--to", "stick", "--json") == 0
    told = json.loads(shell.said)
    assert told == {"courier": "may", "file": "stick/may.auth_private", "admitted": "when tor starts"}
    service, key = clients.parse_client_line((shell.folder / "stick" / "may.auth_private").read_text())
    assert f"{service}.onion" == collect
    assert (shell.folder / "o/collect/authorized_clients/may.auth").read_text() == key.server_line()
    assert stat.S_IMODE((shell.folder / "stick" / "may.auth_private").stat().st_mode) == 0o600


def test_whoever_adds_a_courier_is_told_what_comes_next(shell: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    shell.run("keys", "--onions", "o")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)

    assert shell.run("courier", "add", "may", "--onions", "o", "--to", "stick") == 0
    assert "may.auth_private" in shell.complained
    assert "Next, on the courier's laptop: dropbox-courier sync --manifest" in shell.complained


def test_the_onion_keys_are_named_by_one_option(shell: Terminal) -> None:
    assert shell.run("courier", "add", "may", "--out", "o", "--to", "stick") == terminal.EXIT_USAGE
    assert "--out" in shell.complained


def test_couriers_are_listed_for_people_and_programs(shell: Terminal) -> None:
    shell.run("keys", "--onions", "o")
    for name in ("zoe", "may"):
        shell.run("courier", "add", name, "--onions", "o", "--to", "stick")

    shell.run("courier", "list", "--onions", "o")
    assert shell.said == "may\nzoe\n"
    shell.run("courier", "list", "--onions", "o", "--json")
    assert json.loads(shell.said) == {"couriers": ["may", "zoe"]}


def test_a_running_tor_is_told_of_a_courier(shell: Terminal) -> None:
    shell.run("keys", "--onions", "o", "--json")
    service = json.loads(shell.said)["collect"].removesuffix(".onion")
    taken = [f"UPLOAD {service} UNKNOWN ${'A' * 40} d", f"UPLOADED {service} UNKNOWN ${'A' * 40}"]
    answers = {
        "GETINFO status/bootstrap-phase": [CONNECTED],
        "GETCONF HiddenServiceOptions": [f"250 HiddenServiceDir={shell.folder}/o/collect"],
    }
    with ControlSocket(shell.folder / "server", answers, [taken]) as server:
        with ControlSocket(shell.folder / "laptop") as laptop:
            told = ("--control", "server", "--client-control", "laptop")
            assert shell.run("courier", "add", "may", "--onions", "o", "--to", "stick", *told, "--json") == 0
            assert json.loads(shell.said)["admitted"] == "now"
        assert "SIGNAL RELOAD" in server.asked
        assert any(command.startswith(f"ONION_CLIENT_AUTH_ADD {service} x25519:") for command in laptop.asked)

        assert shell.run("courier", "revoke", "may", "--onions", "o", "--control", "server", "--json") == 0
        assert json.loads(shell.said) == {"courier": "may", "revoked": "now"}
        assert "SETCONF HiddenServiceDir" in server.asked
    assert clients.names(shell.folder / "o" / "collect") == ()


def test_a_courier_isnt_half_added_when_tor_doesnt_answer(shell: Terminal) -> None:
    shell.run("keys", "--onions", "o")

    assert shell.run("courier", "add", "may", "--onions", "o", "--to", "stick", "--control", "none") == 78
    assert clients.names(shell.folder / "o" / "collect") == ()
    assert not (shell.folder / "stick" / "may.auth_private").exists()


def test_a_revocation_that_tor_didnt_hear_of_says_so(shell: Terminal) -> None:
    shell.run("keys", "--onions", "o")
    shell.run("courier", "add", "may", "--onions", "o", "--to", "stick")

    assert shell.run("courier", "revoke", "may", "--onions", "o", "--control", "none") == 78
    assert "off the list, but the running tor still lets it in" in shell.complained
    assert "hint: Restart tor now." in shell.complained
    assert clients.names(shell.folder / "o" / "collect") == ()


def test_a_key_file_isnt_overwritten(shell: Terminal) -> None:
    shell.run("keys", "--onions", "o")
    (shell.folder / "stick").mkdir()
    (shell.folder / "stick" / "may.auth_private").write_text("another network's")

    assert shell.run("courier", "add", "may", "--onions", "o", "--to", "stick") == 69
    assert (shell.folder / "stick" / "may.auth_private").read_text() == "another network's"
    assert clients.names(shell.folder / "o" / "collect") == ()


def test_the_server_is_given_the_times_of_tors_consensus(shell: Terminal) -> None:
    given = ("consensus", "--tor", "t", "--to", "copy")
    assert shell.run(*given) == Misconfigured.exit_code
    assert "keeps no consensus" in shell.complained
    (shell.folder / "t").mkdir()
    (shell.folder / "t/cached-microdesc-consensus").write_bytes(consensus_head(0))

    assert shell.run(*given) == 0
    assert (shell.folder / "copy").read_bytes() in consensus_head(0)


WITHOUT_STEM = """
import sys
sys.modules["stem"] = None
from onion_config.cli import main
sys.argv[0] = "onion-config"
main()
"""


def without_stem(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command as in the install of a courier or a station, which has no stem."""
    path = os.pathsep.join(each for each in sys.path if each)
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_STEM, *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_what_drives_no_tor_works_without_stem(shell: Terminal) -> None:
    newsroom_in(shell.folder, practice=False)
    for words in (
        ("--help",),
        ("keys", "--onions", "others"),
        (*TORRC, "--public", "--manifest", "manifest"),
        ("courier", "add", "carrier", "--onions", "o", "--to", "stick"),
        ("courier", "list", "--onions", "o"),
        ("courier", "revoke", "carrier", "--onions", "o"),
        ("browser", "p", "http://x.onion", "--socks", 9050),
    ):
        done = without_stem(shell.folder, *words)
        assert (done.returncode, done.stderr) == (0, ""), words


@pytest.mark.parametrize(
    "words",
    [
        ("wait", "--control", "c"),
        ("courier", "add", "carrier", "--to", "stick", "--control", "c"),
        ("network", "start", "--folder", "n", "--source-socket", "s", "--collect-socket", "c"),
    ],
    ids=" ".join,
)
def test_what_drives_a_tor_says_what_to_install(shell: Terminal, words: tuple[str, ...]) -> None:
    newsroom_in(shell.folder, practice=True)
    done = without_stem(shell.folder, *words, "--onions", "o")
    assert done.returncode == Misconfigured.exit_code
    said = done.stderr.splitlines()
    assert said[0].startswith("error: stem") and said[1].startswith("hint: ") and "“server”" in said[1]
    assert len(said) == 2
    assert shell.run("courier", "list", "--onions", "o") == 0 and shell.said == ""


def test_a_profile_and_its_command_line(shell: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    (shell.folder / "firefox-esr").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(shell.folder))

    assert shell.run("browser", "my profile", "http://x.onion/", "--socks", 9150) == 0
    command = f"{shell.folder}/firefox-esr --no-remote --profile '{shell.folder}/my profile' http://x.onion/\n"
    assert shell.said == command
    assert (shell.folder / "my profile" / "user.js").exists()
    shell.run("browser", "p", "http://x.onion/", "--socks", 9150, "--json")
    assert json.loads(shell.said)["command"][-1] == "http://x.onion/"
