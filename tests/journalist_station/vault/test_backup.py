"""A backup brings everything back under the desk's key alone; a damaged, forged or foreign one makes no vault."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from journalist_station.vault import backup
from journalist_station.vault.vault import Vault
from keys import age
from keys.age import HybridIdentity
from keys.errors import DropBoxError, Malformed, NotAuthentic, NotForUs, Refused
from keys.keyfile import DeskSecret
from keys.primitives import system_randomness
from tests.simulators import seen
from tests.simulators.dropbox import DropBox, File, Source
from tests.simulators.newsroom import Newsroom
from tests.simulators.station import PASSPHRASE, QUICK, Station

NEW_PASSPHRASE = "another passphrase"


def write(station: Station) -> Path:
    path = station.folder / "backup"
    backup.write(station.vault, PASSPHRASE, path, station.newsroom.now)
    return path


def restore(station: Station, path: Path, name: str = "restored", secret: DeskSecret | None = None) -> Vault:
    return backup.restore(
        path,
        secret or station.secret,
        station.folder / name,
        NEW_PASSPHRASE,
        station.newsroom.now,
        system_randomness,
        QUICK,
    )


def test_everything_comes_back(newsroom: Newsroom, station: Station, box: DropBox, source: Source) -> None:
    box.send(source, "ข้อความ", [File("ไฟล์", b"f" * 300_000), File("empty")])
    sent = box.send(Source(newsroom, 1), "half", [File("half", b"h" * 600_000)])
    box.fill(station.stick(), only=set(box.cells) - {sent.cells[1][1]})
    station.take(station.stick())
    path = write(station)
    with restore(station, path) as vault:
        assert seen.everything(vault) == seen.everything(station.vault)
        assert vault.database.check() == []
        assert vault.signing_seed == station.vault.signing_seed
    with Vault.open(station.folder / "restored", NEW_PASSPHRASE, system_randomness) as vault:
        station.vault.close()
        station.vault, station.folder = vault, station.folder
        box.fill(station.stick("rest"))
        station.take(station.stick("rest"))
        assert all(tip.state == "complete" for found in seen.everything(vault).values() for tip in found)


def test_a_newer_backup_replaces_the_one_before(newsroom: Newsroom, station: Station) -> None:
    path = write(station)
    before = path.read_bytes()
    newsroom.pass_time(weeks=1)
    again = backup.write(station.vault, PASSPHRASE, path, newsroom.now)
    assert path.read_bytes() != before
    assert (again.reaches_back, again.size) == (newsroom.week - 1, path.stat().st_size)
    assert [each.name for each in station.folder.iterdir() if "backup" in each.name] == ["backup"]


def test_only_the_desks_key_opens_it(newsroom: Newsroom, station: Station) -> None:
    path = write(station)
    with pytest.raises(NotForUs, match="another desk"):
        restore(station, path, secret=DeskSecret(newsroom.desk_secrets[2]))
    assert not (station.folder / "restored").exists()
    # The vault itself can't: a stolen vault opens no backup.
    values = {value for row in station.vault.database.rows("SELECT value FROM settings") for value in row}
    assert station.secret.backup_key not in values and station.secret.secret not in values


def test_the_passphrase_is_asked_for(station: Station) -> None:
    with pytest.raises(NotAuthentic):
        backup.write(station.vault, "wrong", station.folder / "backup", station.newsroom.now)
    assert not (station.folder / "backup").exists()


@pytest.mark.parametrize("at", [0, 100, 1_700, 40_000, -1])
def test_a_damaged_backup_makes_no_vault(station: Station, at: int) -> None:
    path = write(station)
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    with pytest.raises(DropBoxError):
        restore(station, path)
    assert sorted(each.name for each in station.folder.iterdir()) == ["backup", "vault"]


def test_a_backup_that_was_cut_short_makes_no_vault(station: Station) -> None:
    path = write(station)
    path.write_bytes(path.read_bytes()[:-70_000])
    with pytest.raises(NotAuthentic):
        restore(station, path)


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/evil", "items/../../evil", "items/ab/cd" + "0" * 30, "lock", "items", "vault.db/x"]
)
def test_a_forged_backup_writes_nothing_elsewhere(station: Station, tmp_path: Path, name: str) -> None:
    """Anybody may seal to the desk's backup key, which is no secret."""
    inside = io.BytesIO()
    with tarfile.open(fileobj=inside, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = 4
        archive.addfile(member, io.BytesIO(b"evil"))
    _forge(station, inside.getvalue())
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(Malformed):
        restore(station, station.folder / "forged")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_forged_backup_with_links(station: Station, tmp_path: Path) -> None:
    inside = io.BytesIO()
    with tarfile.open(fileobj=inside, mode="w") as archive:
        member = tarfile.TarInfo("vault.db")
        member.type = tarfile.SYMTYPE
        member.linkname = "/etc/passwd"
        archive.addfile(member)
    _forge(station, inside.getvalue())
    with pytest.raises(Malformed):
        restore(station, station.folder / "forged")


@pytest.mark.parametrize("inside", [b"", b"not an archive" * 100, bytes(10_240)])
def test_what_is_no_archive_is_no_backup(station: Station, inside: bytes) -> None:
    _forge(station, inside)
    with pytest.raises(Malformed):
        restore(station, station.folder / "forged")


def _forge(station: Station, inside: bytes) -> None:
    recipient = HybridIdentity.from_seed(station.secret.backup_key).recipient()
    (station.folder / "forged").write_bytes(age.seal_bytes(inside, [recipient], system_randomness))


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Station]:
    """The station of a network that isn't there to practise."""
    made = Station(Newsroom(practice=False), tmp_path / "real")
    yield made
    made.vault.close()


def test_a_practice_backup_says_so_and_no_real_one_can_be_made_to(station: Station, real: Station) -> None:
    """What is asked before anything is unlocked: a stranger who says it of a real vault gets nothing restored."""
    assert backup.is_practice(write(station))
    path = write(real)
    assert not backup.is_practice(path)
    whole = path.read_bytes()

    header, rest = whole.split(b"\n--- ", 1)
    mark = b"-> " + backup.PRACTICE_STANZA.encode() + b"\n"
    path.write_bytes(header + b"\n" + mark + b"\n--- " + rest)
    assert backup.is_practice(path)
    with pytest.raises(NotAuthentic):
        restore(real, path)

    key = HybridIdentity.from_seed(real.secret.backup_key)
    opened = age.open_bytes(whole, [key])
    path.write_bytes(age.seal_bytes(opened, (key.recipient(), backup.PracticeMark()), system_randomness))
    with pytest.raises(NotAuthentic, match="holds a real vault"):
        restore(real, path)
    assert not (real.folder / "restored").exists()


def test_a_restore_never_overwrites(station: Station) -> None:
    with pytest.raises(Refused):
        restore(station, write(station), name="vault")
