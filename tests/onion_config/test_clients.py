"""Couriers' keys: what lands where, and a door that stays closed when the last one leaves."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.errors import Malformed, Misconfigured, NotForUs, Refused
from keys.onion import OnionAddress
from keys.primitives import system_randomness
from onion_config import clients
from onion_config.clients import ClientKey, CourierName

ADDRESS = OnionAddress("25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkenl5sid.onion")

# RFC 7748, section 6.1: Alice's key pair.
SECRET = bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
PUBLIC = bytes.fromhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
MAY = CourierName("may")


def test_each_side_gets_its_half_as_tor_writes_it() -> None:
    key = ClientKey(SECRET)

    assert key.public == PUBLIC
    assert key.server_line() == "descriptor:x25519:QUQPACMJGCTVI5ELPXOLIPXXLIG36OQNEY4BV5HLUSUY5KU3JZVA\n"
    assert (
        key.client_line(ADDRESS)
        == f"{ADDRESS[:56]}:descriptor:x25519:O4DW2CTTDCSX2PAWYFZFDMTGIXPUYL4H5PAJSKVRO752KHNZFQVA\n"
    )
    assert key.control_blob() == "x25519:dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo="


@given(secret=st.binary(min_size=32, max_size=32))
def test_a_key_file_is_read_back(secret: bytes) -> None:
    key = ClientKey(secret)

    assert clients.parse_client_line(key.client_line(ADDRESS)) == (ADDRESS.removesuffix(".onion"), key)
    assert key.server_line() not in key.client_line(ADDRESS)


@given(text=st.text())
def test_any_other_file_is_refused_as_ours(text: str) -> None:
    with pytest.raises(Malformed):
        clients.parse_client_line(text)


def test_the_private_half_stays_out_of_logs_and_off_the_server(tmp_path: Path) -> None:
    key = clients.add(tmp_path, MAY, system_randomness)

    assert repr(key) == "ClientKey()"
    private = key.client_line(ADDRESS).split(":")[-1].strip()
    assert all(private not in path.read_text() for path in (tmp_path / clients.FOLDER).iterdir())


def test_couriers_are_listed_by_name_and_the_stand_in_is_not(tmp_path: Path) -> None:
    for name in ("zoe", "may", "a-1"):
        clients.add(tmp_path, clients.courier_name(name), system_randomness)

    assert clients.names(tmp_path) == ("a-1", "may", "zoe")


def test_a_service_without_couriers_is_closed_and_stays_so(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured):
        clients.check_closed(tmp_path)
    clients.close_to_strangers(tmp_path, system_randomness)
    clients.check_closed(tmp_path)

    clients.add(tmp_path, MAY, system_randomness)
    (tmp_path / clients.FOLDER / "nobody.auth").unlink()  # Whatever happened to it …
    clients.revoke(tmp_path, MAY, system_randomness)

    assert clients.names(tmp_path) == ()
    clients.check_closed(tmp_path)  # … the last revocation must not open the door.


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"garbage",
        b"\xff\xfe",
        b"descriptor:x25519:\n",
        b"descriptor:x25519:" + b"A" * 51,
        b"descriptor:x25519:" + b"A" * 53,
        b"descriptor:x25519:" + b"1" * 52,
        b"descriptor:ed25519:" + b"A" * 52,
        b"descriptor:x25519:" + b"A" * 52 + b"\ndescriptor:x25519:" + b"A" * 52 + b"\n",
    ],
)
def test_a_file_that_tor_skips_closes_nothing_and_is_mended(tmp_path: Path, content: bytes) -> None:
    clients.close_to_strangers(tmp_path, system_randomness)
    (tmp_path / clients.FOLDER / "nobody.auth").write_bytes(content)
    (tmp_path / clients.FOLDER / "may.auth").write_bytes(content)
    with pytest.raises(Misconfigured, match="everybody"):
        clients.check_closed(tmp_path)

    clients.close_to_strangers(tmp_path, system_randomness)
    clients.check_closed(tmp_path)


def test_a_folder_in_a_files_place_closes_nothing(tmp_path: Path) -> None:
    (tmp_path / clients.FOLDER / "may.auth").mkdir(parents=True)
    with pytest.raises(Misconfigured):
        clients.check_closed(tmp_path)


def test_the_stand_in_is_made_once_and_nobody_knows_its_secret(tmp_path: Path) -> None:
    clients.close_to_strangers(tmp_path, system_randomness)
    line = (tmp_path / clients.FOLDER / "nobody.auth").read_text()
    clients.close_to_strangers(tmp_path, system_randomness)

    assert (tmp_path / clients.FOLDER / "nobody.auth").read_text() == line
    assert [path.name for path in (tmp_path / clients.FOLDER).iterdir()] == ["nobody.auth"]


def test_tor_alone_may_look(tmp_path: Path) -> None:
    clients.add(tmp_path, MAY, system_randomness)

    assert stat.S_IMODE((tmp_path / clients.FOLDER).stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / clients.FOLDER / "may.auth").stat().st_mode) == 0o600


def test_a_name_is_taken_once(tmp_path: Path) -> None:
    clients.add(tmp_path, MAY, system_randomness)
    before = (tmp_path / clients.FOLDER / "may.auth").read_text()

    with pytest.raises(Refused):
        clients.add(tmp_path, MAY, system_randomness)
    assert (tmp_path / clients.FOLDER / "may.auth").read_text() == before


def test_whoever_has_no_key_cant_lose_one(tmp_path: Path) -> None:
    with pytest.raises(NotForUs):
        clients.revoke(tmp_path, MAY, system_randomness)


@pytest.mark.parametrize("name", ["", "nobody", "../x", "a/b", ".hidden", "May", "เมย์", "a" * 33, "may\n", "-x"])
def test_a_name_that_isnt_a_files_is_refused(name: str) -> None:
    with pytest.raises(Refused):
        clients.courier_name(name)
