"""Driving tor, against a control socket that answers as told: what a person hears, and what a directory's no costs."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from keys.errors import Misconfigured
from keys.onion import OnionAddress
from onion_config.clients import ClientKey
from onion_config.control import Tor
from onion_config.deadline import Deadline
from tests.simulators.tor import ControlSocket

COLLECT = OnionAddress("25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkenl5sid.onion")
SERVICE = COLLECT.removesuffix(".onion")
DIRECTORY = "$" + "A" * 40

CONNECTED = '250-status/bootstrap-phase=NOTICE BOOTSTRAP PROGRESS=100 TAG=done SUMMARY="Done"\r\n250 OK'
STUCK = (
    '250-status/bootstrap-phase=WARN BOOTSTRAP PROGRESS=10 TAG=conn SUMMARY="Connecting to a relay" '
    'WARNING="No route to host" REASON=NOROUTE COUNT=3\r\n250 OK'
)
BOOTSTRAP = "GETINFO status/bootstrap-phase"

TAKEN = (f"UPLOAD {SERVICE} UNKNOWN {DIRECTORY} d", f"UPLOADED {SERVICE} UNKNOWN {DIRECTORY}")
REFUSED = (TAKEN[0], f"FAILED {SERVICE} UNKNOWN {DIRECTORY} d REASON=UPLOAD_REJECTED")
OPTIONS = "\r\n".join(
    [
        "250-HiddenServiceDir=/srv/on ions/source",
        '250-HiddenServicePort=80 unix:"/run/a b/http.sock"',
        "250-HiddenServiceMaxStreams=32",
        "250-HiddenServiceDir=/srv/onions/collect",
        "250 HiddenServicePort=80 unix:/run/collect.sock",
    ]
)


@contextmanager
def driving(
    folder: Path, answers: dict[str, list[str]] | None = None, after_reload: Sequence[Sequence[str]] = ()
) -> Iterator[tuple[Tor, ControlSocket]]:
    """A connection to a tor that answers so."""
    path = folder / "control"
    with ControlSocket(path, answers, after_reload) as socket, Tor.connect(path, Deadline(5)) as tor:
        yield tor, socket


def test_nobody_home_is_told_in_time(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"No tor answers at the control socket"):
        Tor.connect(tmp_path / "control", Deadline(0.2))


def test_a_refused_cookie_is_told_without_a_path(tmp_path: Path) -> None:
    refuses = {"AUTHENTICATE": ["515 Authentication failed: wrong"]}
    with ControlSocket(tmp_path / "control", refuses), pytest.raises(Misconfigured) as caught:
        Tor.connect(tmp_path / "control", Deadline(0.2))

    assert str(tmp_path) not in caught.value.message


def test_a_tor_that_gets_no_further_says_why(tmp_path: Path) -> None:
    seen: list[tuple[str, float]] = []
    with (
        driving(tmp_path, {BOOTSTRAP: [STUCK]}) as (tor, _),
        pytest.raises(Misconfigured, match=r"10 %.*Connecting to a relay.*No route to host"),
    ):
        tor.wait_bootstrapped(Deadline(0.3), lambda what, done: seen.append((what, done)))

    assert ("Connecting to a relay", 0.1) in seen


def test_a_tor_that_gets_there_is_waited_for(tmp_path: Path) -> None:
    with driving(tmp_path, {BOOTSTRAP: [STUCK, STUCK, CONNECTED]}) as (tor, _):
        tor.wait_bootstrapped(Deadline(10))


def test_a_new_list_that_is_taken_is_published_once(tmp_path: Path) -> None:
    with driving(tmp_path, {BOOTSTRAP: [CONNECTED]}, [TAKEN]) as (tor, socket):
        tor.reload_clients(COLLECT, Deadline(10))

    assert socket.asked.count("SIGNAL RELOAD") == 1


def test_a_new_list_that_directories_refuse_is_published_again(tmp_path: Path) -> None:
    with driving(tmp_path, {BOOTSTRAP: [CONNECTED]}, [REFUSED, TAKEN]) as (tor, socket):
        tor.reload_clients(COLLECT, Deadline(10))

    assert socket.asked.count("SIGNAL RELOAD") == 2


def test_what_happens_to_another_service_doesnt_count(tmp_path: Path) -> None:
    other = tuple(event.replace(SERVICE, "b" * 56) for event in TAKEN)
    with (
        driving(tmp_path, {BOOTSTRAP: [CONNECTED]}, [other]) as (tor, _),
        pytest.raises(Misconfigured, match="haven't taken"),
    ):
        tor.reload_clients(COLLECT, Deadline(0.3))


def test_a_tor_that_isnt_connected_yet_isnt_waited_for(tmp_path: Path) -> None:
    with driving(tmp_path, {BOOTSTRAP: [STUCK]}) as (tor, _):
        tor.reload_clients(COLLECT, Deadline(10))


def test_a_service_is_renewed_and_the_other_keeps_its_options(tmp_path: Path) -> None:
    answers = {BOOTSTRAP: [CONNECTED], "GETCONF HiddenServiceOptions": [OPTIONS]}
    with driving(tmp_path, answers, [TAKEN]) as (tor, socket):
        tor.renew_service(Path("/srv/onions/collect"), COLLECT, Deadline(10))

    changes = [command for command in socket.asked if command.startswith(("SETCONF", "SIGNAL"))]
    assert changes == [
        r'SETCONF HiddenServiceDir="/srv/on ions/source" HiddenServicePort="80 unix:\"/run/a b/http.sock\"" '
        r'HiddenServiceMaxStreams="32"',
        "SIGNAL RELOAD",
    ]


def test_the_only_service_is_renewed_too(tmp_path: Path) -> None:
    answers = {BOOTSTRAP: [CONNECTED], "GETCONF HiddenServiceOptions": ["250 HiddenServiceDir=/srv/onions/collect"]}
    with driving(tmp_path, answers, [TAKEN]) as (tor, socket):
        tor.renew_service(Path("/srv/onions/collect"), COLLECT, Deadline(10))

    assert "SETCONF HiddenServiceDir" in socket.asked


def test_a_service_that_tor_doesnt_carry_isnt_renewed(tmp_path: Path) -> None:
    answers = {"GETCONF HiddenServiceOptions": [OPTIONS]}
    with driving(tmp_path, answers) as (tor, socket), pytest.raises(Misconfigured, match="doesn't carry"):
        tor.renew_service(Path("/elsewhere"), COLLECT, Deadline(1))

    assert not any(command.startswith("SETCONF") for command in socket.asked)


def test_services_come_back_even_when_tor_refuses_to_take_one_down(tmp_path: Path) -> None:
    answers = {"GETCONF HiddenServiceOptions": [OPTIONS], "SETCONF": ["553 Unacceptable option value: Sandbox is on"]}
    with driving(tmp_path, answers) as (tor, socket), pytest.raises(Misconfigured, match="refused SETCONF"):
        tor.renew_service(Path("/srv/onions/collect"), COLLECT, Deadline(1))

    assert socket.asked[-1] == "SIGNAL RELOAD"


def test_publication_is_heard_of_or_asked_for(tmp_path: Path) -> None:
    found = [f"250 OK\r\n650 HS_DESC RECEIVED {SERVICE} NO_AUTH {DIRECTORY} d"]
    with driving(tmp_path, {"HSFETCH": ["250 OK", *found]}) as (tor, socket):
        tor.wait_published([COLLECT], Deadline(10))
    assert socket.asked.count(f"HSFETCH {SERVICE}") == 2


def test_what_isnt_published_is_counted(tmp_path: Path) -> None:
    with driving(tmp_path) as (tor, _), pytest.raises(Misconfigured, match="1 of 1 onion services"):
        tor.wait_published([COLLECT], Deadline(0.2))


def test_no_key_is_repeated_in_an_error_or_a_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    key = ClientKey(bytes(range(32)))
    caplog.set_level(logging.NOTSET)
    parrot = {"ONION_CLIENT_AUTH_ADD": [f"512 Failed to decode x25519 key {key.control_blob()}"]}
    with driving(tmp_path, parrot) as (tor, _), pytest.raises(Misconfigured) as caught:
        tor.admit_with(COLLECT, key)

    secret = key.control_blob().removeprefix("x25519:")
    assert secret not in f"{caught.value.message} {caught.value.remedy}"
    assert secret not in caplog.text


def test_a_tor_that_has_gone_is_told(tmp_path: Path) -> None:
    with driving(tmp_path) as (tor, _):
        tor.close()
        with pytest.raises(Misconfigured, match="closed its control socket"):
            tor.reload()
