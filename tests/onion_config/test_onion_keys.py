"""Onion keys made offline: the address is the right one, is never replaced, and tor takes them as its own."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.errors import DropBoxError, Malformed, Misconfigured, NotAuthentic
from keys.primitives import system_randomness
from onion_config import onion_keys
from onion_config.deadline import Deadline
from onion_config.onion_keys import HOSTNAME_FILE, PUBLIC_FILE, SECRET_FILE, OnionKeys
from onion_config.tor_process import TorProcess
from onion_config.torrc import Node, OnionService, server

seeds = st.binary(min_size=32, max_size=32)

# RFC 8032, test 1, as tor would keep it.
SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
ADDRESS = "25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkenl5sid.onion"


def test_a_known_seed_gives_a_known_address() -> None:
    keys = OnionKeys.of_seed(SEED)

    assert (keys.public, keys.address) == (PUBLIC, ADDRESS)
    assert keys.files()[HOSTNAME_FILE] == f"{ADDRESS}\n".encode()
    assert keys.files()[PUBLIC_FILE] == b"== ed25519v1-public: type0 ==\0\0\0" + PUBLIC


@given(seed=seeds)
def test_files_are_read_back(seed: bytes) -> None:
    keys = OnionKeys.of_seed(seed)
    files = keys.files()

    assert onion_keys.from_files(files[SECRET_FILE], files[HOSTNAME_FILE]) == keys


def test_an_address_of_another_key_is_told() -> None:
    secret = OnionKeys.of_seed(SEED).files()[SECRET_FILE]
    other = OnionKeys.of_seed(bytes(32)).files()[HOSTNAME_FILE]

    with pytest.raises(NotAuthentic):
        onion_keys.from_files(secret, other)


@given(secret=st.binary(max_size=100), hostname=st.binary(max_size=70))
def test_anything_else_is_refused_as_ours(secret: bytes, hostname: bytes) -> None:
    good = OnionKeys.of_seed(SEED).files()
    for pair in ((secret, good[HOSTNAME_FILE]), (good[SECRET_FILE], hostname)):
        with pytest.raises(DropBoxError):
            onion_keys.from_files(*pair)


def test_a_secret_key_doesnt_show_itself() -> None:
    keys = OnionKeys.of_seed(SEED)

    assert keys.expanded.hex()[:8] not in repr(keys) and repr(keys.expanded) not in repr(keys)


def test_an_address_is_never_replaced(tmp_path: Path) -> None:
    first = onion_keys.make(tmp_path / "source", system_randomness)

    assert onion_keys.make(tmp_path / "source", system_randomness) == first


def test_a_half_made_key_is_made_anew(tmp_path: Path) -> None:
    onion_keys.make(tmp_path / "source", system_randomness)
    (tmp_path / "source" / SECRET_FILE).unlink()  # It is written last.

    made = onion_keys.make(tmp_path / "source", system_randomness)

    assert onion_keys.read(tmp_path / "source") == made


def test_nobody_else_may_look(tmp_path: Path) -> None:
    onion_keys.make(tmp_path / "source", lambda size: bytes(size))

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "source").iterdir()}
    assert modes == {SECRET_FILE: 0o600, PUBLIC_FILE: 0o600, HOSTNAME_FILE: 0o600}
    assert stat.S_IMODE((tmp_path / "source").stat().st_mode) == 0o700


def test_missing_and_damaged_keys_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="source"):
        onion_keys.read(tmp_path / "source")

    onion_keys.make(tmp_path / "source", system_randomness)
    (tmp_path / "source" / SECRET_FILE).write_bytes(b"cut")
    with pytest.raises(Malformed):
        onion_keys.make(tmp_path / "source", system_randomness)


@pytest.mark.tor
def test_tor_takes_our_keys_and_we_take_tors(tmp_path: Path) -> None:
    ours = onion_keys.make(tmp_path / "ours", system_randomness)
    services = [OnionService(tmp_path / name, tmp_path / "sock") for name in ("ours", "its own")]
    tor = TorProcess(Node("t", tmp_path / "t"))
    tor.start(server(tor.node, services) + "DisableNetwork 1\n")
    try:
        written = Deadline(30).until((tmp_path / "its own" / HOSTNAME_FILE).exists)
        assert written, tor.log_tail(20)
        # It has read our folder by then: it does so in order.
        assert (tmp_path / "ours" / HOSTNAME_FILE).read_text().strip() == ours.address
        assert tor.is_running, tor.log_tail(20)
    finally:
        tor.kill()

    assert onion_keys.read(tmp_path / "its own").address.endswith(".onion")
    assert onion_keys.read(tmp_path / "ours") == ours
