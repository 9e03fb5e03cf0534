"""The command as people and programs use it: what it prints, what it refuses, and with which exit code."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import re
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from journalist_station import airgap, cli
from journalist_station.commands import session
from journalist_station.vault import lock
from keys import keyfile, terminal
from keys.encoding import SECONDS_A_WEEK
from keys.keyfile import ChainKeyFile, DeskKeyFile, DeskSecret
from keys.minisign import SignedDocument
from keys.primitives import system_randomness
from keys.statement import NetworkId
from keys.tip import Consent
from tests.simulators.dropbox import DropBox, File, Source
from tests.simulators.newsroom import Newsroom
from tests.simulators.station import PASSPHRASE, QUICK

KEY_PASSPHRASE = "the desk's own"


class Desk:
    """Somebody at the station's keyboard."""

    def __init__(self, newsroom: Newsroom, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.newsroom = newsroom
        self.folder = folder
        self.vault = folder / "vault"
        self.stick = folder / "stick"
        self.stick.mkdir()
        self._capfd = capfd
        self.out = self.err = ""

    def run(
        self,
        *arguments: object,
        passphrases: tuple[str, ...] = (PASSPHRASE,),
        vault: Path | None = None,
        pretend: bool = True,
    ) -> int:
        """Run the command with its passphrases in a pipe; return its exit code."""
        reading, writing = os.pipe()
        os.write(writing, "".join(f"{each}\n" for each in passphrases).encode())
        os.close(writing)
        words = [str(argument) for argument in arguments]
        options = ["--vault", str(vault or self.vault), "--passphrase-fd", str(reading)]
        if pretend and self.newsroom.terms.practice:
            options += ["--now", str(self.newsroom.now)]
        self._capfd.readouterr()
        try:
            with pytest.raises(SystemExit) as ended:
                terminal.run(cli.cli, "journalist-station", [*words, *options])
        finally:
            os.close(reading)
            self.out, self.err = self._capfd.readouterr()
        return int(ended.value.code or 0)

    def json(self, *arguments: object, passphrases: tuple[str, ...] = (PASSPHRASE,)) -> Any:
        assert self.run(*arguments, "--json", passphrases=passphrases) == 0, self.err
        return json.loads(self.out)

    def write_desk_key(self, desk: int = 1, network: NetworkId | None = None) -> Path:
        path = self.folder / f"desk-{desk}.key"
        content = DeskKeyFile("ต้นทาง", desk, network, DeskSecret(self.newsroom.desk_secrets[desk]))
        path.write_bytes(keyfile.lock(content, KEY_PASSPHRASE, system_randomness, log_n=10))
        return path

    def write_manifests(self) -> list[Path]:
        paths = []
        for number, document in enumerate(self.newsroom.documents, 1):
            path = self.folder / f"manifest-{number}.document"
            path.write_bytes(document.encode())
            paths.append(path)
        return paths

    def init(self, *extra: object, **options: Any) -> int:
        manifests = [word for path in self.write_manifests() for word in ("--manifest", path)]
        words = ["init", "--desk-key", self.write_desk_key(), *manifests, "--network", self.newsroom.network.hex()]
        return self.run(*words, *extra, passphrases=(KEY_PASSPHRASE, PASSPHRASE), **options)

    def begin_epochs(self) -> None:
        found = self.json("epochs", "--out", self.folder)
        document = SignedDocument.decode(Path(found["document"]).read_bytes())
        self.newsroom.admit_epochs(1, document)


@pytest.fixture(autouse=True)
def quick_lock(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The real work factor is half a second a command."""
    monkeypatch.setattr(lock.Stretching, "__init__", _quick)
    yield


def _quick(self: lock.Stretching, memory_kib: int = QUICK.memory_kib, passes: int = QUICK.passes) -> None:
    object.__setattr__(self, "memory_kib", memory_kib)
    object.__setattr__(self, "passes", passes)


@pytest.fixture
def newsroom() -> Newsroom:
    return Newsroom()


@pytest.fixture
def fresh(newsroom: Newsroom, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Desk:
    return Desk(newsroom, tmp_path, capfd)


@pytest.fixture
def desk(fresh: Desk) -> Desk:
    assert fresh.init() == 0, fresh.err
    fresh.begin_epochs()
    return fresh


@pytest.fixture
def box(desk: Desk) -> DropBox:
    return DropBox(desk.newsroom)


@pytest.fixture
def real(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk of a network that is no practice one, whose dates the machine's clock is within."""
    desk = Desk(Newsroom(practice=False, now=int(time.time())), tmp_path, capfd)
    monkeypatch.setattr(airgap, "interfaces_up", list)
    assert desk.init() == 0, desk.err
    return desk


def test_a_day_at_the_desk(desk: Desk, box: DropBox, tmp_path: Path) -> None:
    source = Source(desk.newsroom)
    sent = box.send(source, "ข้อความภาษาไทย", [File("หลักฐาน.pdf", b"x" * 400_000), File("../../etc/passwd", b"y")])
    box.fill(desk.stick)
    report = desk.json("import", desk.stick)
    assert (report["messages"], report["files"], report["cells"], report["threads"]) == (1, 2, len(sent.all), [1])

    [thread] = desk.json("list")["threads"]
    assert (thread["number"], thread["tips"], thread["files"], thread["state"]) == (1, 1, 2, "complete")
    for words in ("1", thread["name"]["th"], thread["name"]["en"], thread["source"][:12]):
        [tip] = desk.json("show", words)["tips"]
        assert tip["text"] == "ข้อความภาษาไทย"
        assert [file["name"] for file in tip["files"]] == ["หลักฐาน.pdf", "../../etc/passwd"]

    exported = desk.json("export", "1", "--to", tmp_path / "new")
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    files = Path(exported["folder"]) / "1/files"
    assert (files / "หลักฐาน.pdf").read_bytes() == b"x" * 400_000
    assert len(list(files.iterdir())) == 2

    (tmp_path / "คำตอบ.txt").write_text("ขอบคุณครับ\n")
    (tmp_path / "แบบ.pdf").write_bytes(b"%PDF")
    answered = desk.json(
        "reply", "1", "--text-file", tmp_path / "คำตอบ.txt", "--attach", tmp_path / "แบบ.pdf", "--state", "checking"
    )
    assert answered["thread"] == 1
    written = desk.json("outbox", "--to", desk.stick)
    assert (written["replies"], written["bundles"][0]["cells"]) == (1, 16)
    box.deliver(desk.stick)
    [received] = source.replies(box)
    assert (received.reply.text, received.reply.state, received.reply.language) == ("ขอบคุณครับ", "checking", "th")
    assert received.attachments == [b"%PDF"]
    assert received.reply.attachments[0].declared_type == "application/pdf"

    box.send(source, "ขอบคุณเช่นกัน")
    box.fill(desk.stick)
    assert desk.json("import", desk.stick)["delivered"] == 1
    assert [tip["text"] for tip in desk.json("show", "1")["tips"]] == ["ข้อความภาษาไทย", "ขอบคุณเช่นกัน"]
    state = desk.json("status")
    assert (state["replies_waiting"], state["replies_unconfirmed"], state["practice"]) == (0, 0, True)
    assert state["servers"][0]["unconfirmed"] == 0
    acts = [act["act"] for act in desk.json("log")["acts"]]
    assert acts == ["init", "epochs", "import", "export", "reply", "outbox", "import"]


def test_a_source_is_asked_about_another_desk_and_what_it_says_is_shown(desk: Desk, box: DropBox) -> None:
    source, newsroom = Source(desk.newsroom), desk.newsroom
    box.send(source, "ข้อความ")
    box.fill(desk.stick)
    desk.json("import", desk.stick)
    assert desk.run("reply", "1", "--ask", "1") == 67 and "hint:" in desk.err
    desk.json("reply", "1", "--ask", "2")
    desk.json("outbox", "--to", desk.stick)
    box.deliver(desk.stick)
    [received] = source.replies(box)
    assert received.reply.asks == (2,)
    said = Consent(received.week, received.index, allowed=False)
    box.send(source, change=lambda message: dataclasses.replace(message, consent=said))
    box.fill(desk.stick)
    desk.json("import", desk.stick)
    shown = desk.json("show", "1")
    [asking] = shown["replies"]
    consent = {"week": asking["week"], "index": asking["index"], "allowed": False}
    assert (asking["asks"], shown["tips"][1]["consent"]) == ([2], consent)
    assert desk.run("show", "1") == 0
    assert f"Asks whether it may be passed on to {newsroom.manifest.desk(2).name.en}" in desk.out
    assert "does not allow" in desk.out


def test_tables_for_people_in_a_pipe(desk: Desk, box: DropBox, tmp_path: Path) -> None:
    """Tab-separated lines without headings, nothing on standard error, Thai as it is, and nothing that a stranger
    wrote can pass for the station's own words."""
    box.send(Source(desk.newsroom), "บรรทัดแรก\nTip 2: complete\x1b[2J\u202e", [File("ชื่อ\x1b[31m", b"x")])
    box.fill(desk.stick)
    assert desk.run("import", desk.stick) == 0
    assert desk.out.splitlines()[0] == "messages\t1" and desk.err == ""
    assert desk.run("list") == 0
    assert re.match(r"1\t[\u0e00-\u0e7f ]+ / [a-z-]+\t1\t1\t2026-11-18\ttip\tcomplete\t", desk.out)
    assert desk.run("show", "1") == 0
    assert "    บรรทัดแรก\n    Tip 2: complete\ufffd[2J\ufffd\n" in desk.out
    assert "\x1b" not in desk.out and "\u202e" not in desk.out
    assert desk.run("reply", "1", "--text", "hello") == 0
    assert desk.run("show", "1") == 0 and "waits for the next outbox" in desk.out
    assert desk.run("outbox", "--to", desk.stick) == 0
    assert desk.run("show", "1") == 0 and "on its way" in desk.out
    assert desk.run("status") == 0 and "(practice)" in desk.out
    assert desk.run("log") == 0 and "\toutbox\t" in desk.out
    assert re.search(r"(?m)^3\t2026-11-18 \d\d:\d\d UTC\timport\t.*messages 1", desk.out)
    assert not set('{}[]"') & set(desk.out)
    assert desk.run("export", "1", "--to", tmp_path) == 0 and desk.err == ""


def test_a_list_of_nothing(desk: Desk) -> None:
    assert desk.run("list") == 0
    assert (desk.out, desk.err) == ("", "")
    nothing = {"threads": [], "without_message": [], "strangers": [], "damaged_at_source": 0}
    assert desk.json("list") == nothing


def test_what_comes_next_is_told_to_who_is_there(desk: Desk, box: DropBox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert desk.run("outbox", "--to", desk.stick) == 0
    assert "dropbox-courier sync --manifest MANIFEST --key KEY --out STICK\n" in desk.err


def test_a_stick_without_anything_from_a_courier_is_told(desk: Desk) -> None:
    assert desk.run("import", desk.stick) == 0
    assert re.search("warning: There is nothing from a courier on 'stick'. Is it .* dropbox-courier sync", desk.err)


def test_searching(desk: Desk, box: DropBox) -> None:
    box.send(Source(desk.newsroom, 1), "เรื่องสะพาน")
    box.send(Source(desk.newsroom, 2), "เรื่องถนน")
    box.fill(desk.stick)
    desk.json("import", desk.stick)
    [found] = desk.json("list", "--search", "สะพาน")["threads"]
    assert desk.json("show", found["number"])["tips"][0]["text"] == "เรื่องสะพาน"
    assert desk.json("list", "--search", "เรือบิน")["threads"] == []


def test_at_a_real_vault_words_are_typed_and_never_arguments(
    real: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real.begin_epochs()
    box = DropBox(real.newsroom)
    box.send(Source(real.newsroom, 1), "เรื่องสะพาน")
    box.send(Source(real.newsroom, 2), "เรื่องถนน")
    box.fill(real.stick)
    real.json("import", real.stick)
    for words, instead in (("list --search สะพาน", "--search -"), ("reply 1 --text x", "--text-file -")):
        assert real.run(*words.split()) == 69
        assert "stays in the shell's history" in real.err and f"hint: Give {instead}" in real.err

    def typing(text: str) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    typing("สะพาน\nนอกเรื่อง")
    [found] = real.json("list", "--search", "-")["threads"]
    assert real.json("show", found["number"])["tips"][0]["text"] == "เรื่องสะพาน"
    typing("ก" * 1_000)
    assert real.run("list", "--search", "-") == 65
    typing("ขอบคุณ\nมาก\n")
    real.json("reply", found["number"], "--text-file", "-")
    assert real.json("show", found["number"])["replies"][0]["text"] == "ขอบคุณ\nมาก"


def test_files_without_a_message(desk: Desk, box: DropBox, tmp_path: Path) -> None:
    sent = box.send(Source(desk.newsroom), "late", [File("f", b"f")])
    box.fill(desk.stick, only=sent.cells[1])
    desk.json("import", desk.stick)
    assert desk.json("list")["without_message"] == [sent.tip.hex()]
    exported = desk.json("export", sent.tip.hex(), "--to", tmp_path)
    assert (Path(exported["folder"]) / "1/files/f").read_bytes() == b"f"


def test_cells_that_are_damaged_at_their_source_are_released_by_a_word(desk: Desk, box: DropBox) -> None:
    [cell] = box.send(Source(desk.newsroom), "a tip").all
    box.cells[cell] = box.cells[cell][:-1] + bytes([box.cells[cell][-1] ^ 1])
    for _ in range(2):
        for part in box.folder(desk.stick).glob("cells-*"):
            part.unlink()
        box.fill(desk.stick)
        assert desk.run("import", desk.stick) == 0
        assert desk.out.count("cells listed, and not here yet") == 1
    assert "came damaged on two trips: 1" in desk.err
    assert desk.run("list") == 0
    assert "journalist-station release" in desk.err
    assert desk.json("list")["damaged_at_source"] == 1
    assert desk.run("release") == 69
    assert "perhaps a part of a tip" in desk.err
    assert "hint:" in desk.err
    assert desk.run("release", "--yes") == 0
    assert cell.hex()[:8] in desk.out
    assert desk.json("release", "--yes") == {"released": []}
    assert desk.run("list") == 0
    assert "release" not in desk.err
    assert "release" in [act["act"] for act in desk.json("log")["acts"]]


def test_epochs_are_erased_after_a_warning_and_the_backup_named(desk: Desk, box: DropBox, tmp_path: Path) -> None:
    week = desk.newsroom.week
    assert desk.json("erase")["weeks"] == []
    desk.json("backup", "--out", tmp_path / "backup")
    desk.newsroom.pass_time(weeks=10)
    assert desk.run("erase") == 69
    assert "No inventory of alpha" in desk.err and "Nothing was erased" in desk.err
    assert desk.json("status")["weeks"][0] == week
    gone = desk.json("erase", "--yes")
    assert gone == {"through": week + 1, "weeks": [week, week + 1]}
    assert f"still opens week {week}" in desk.err
    box.fill(desk.stick)
    assert desk.run("import", desk.stick) == 0
    assert desk.json("backup", "--out", tmp_path / "backup")["reaches_back_to_week"] == week + 2
    assert desk.run("erase", "--through", desk.newsroom.week, "--yes") == 69
    assert "isn't over" in desk.err


def test_a_backup_is_restored_with_the_desks_key(
    desk: Desk, box: DropBox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.send(Source(desk.newsroom), "tip")
    box.fill(desk.stick)
    desk.json("import", desk.stick)
    desk.json("backup", "--out", tmp_path / "backup")
    words = ["restore", "--from", tmp_path / "backup", "--desk-key", desk.write_desk_key()]
    monkeypatch.setattr(airgap, "interfaces_up", lambda: ["eth0"])  # Nobody asks, to practise.
    code = desk.run(*words, passphrases=(KEY_PASSPHRASE, "a new passphrase"), vault=tmp_path / "new")
    assert code == 0, desk.err
    assert desk.run("list", passphrases=("a new passphrase",), vault=tmp_path / "new") == 0
    assert "tip" in desk.out
    assert desk.run("outbox", "--to", desk.stick, passphrases=("a new passphrase",), vault=tmp_path / "new") == 68
    assert "restored from a backup" in desk.err


def test_bulletins(desk: Desk, box: DropBox, tmp_path: Path) -> None:
    (tmp_path / "th.md").write_text("เล่าให้เราฟัง")
    (tmp_path / "en.md").write_text("Tell us")
    words = ["--kind", "call", "--title-th", "ใครเห็นสะพานนี้", "--title-en", "Who saw this bridge"]
    words += ["--body-th", str(tmp_path / "th.md"), "--body-en", str(tmp_path / "en.md")]
    made = desk.json("bulletin", "sign", *words, "--question", "เมื่อไร", "When?", "--out", tmp_path)
    assert made["in_outbox"] and Path(made["document"]).exists()
    [listed] = desk.json("bulletin", "list")["bulletins"]
    assert (listed["bulletin"], listed["revision"], listed["title"]["th"]) == (made["bulletin"], 1, "ใครเห็นสะพานนี้")
    revised = desk.json("bulletin", "sign", "--revises", made["bulletin"][:6], "--state", "published")
    assert (revised["revision"], revised["kind"], revised["state"]) == (2, "call", "published")
    desk.json("outbox", "--to", desk.stick)
    [applied] = box.deliver(desk.stick)
    assert b"published" in applied.documents[-1][1].statement
    assert desk.json("bulletin", "sign", "--revises", made["bulletin"], "--withdraw")["state"] == "withdrawn"
    assert desk.run("bulletin", "list") == 0 and "withdrawn" in desk.out
    assert desk.run("bulletin", "sign", "--kind", "call") == 64


def test_a_bulletin_of_another_desk_is_countersigned(
    newsroom: Newsroom, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    desk = Desk(Newsroom(bulletin_signatures=2), tmp_path, capfd)
    assert desk.init() == 0
    document = desk.newsroom.bulletin(desk=2)
    (tmp_path / "call.document").write_bytes(document.encode())
    assert desk.run("bulletin", "countersign", tmp_path / "call.document") == 69
    found = desk.json("bulletin", "countersign", tmp_path / "call.document", "--yes", "--out", tmp_path)
    both = SignedDocument.decode(Path(found["document"]).read_bytes())
    assert desk.newsroom.admit_bulletin(both).desk == 2


def test_documents_of_others_are_sent(desk: Desk, box: DropBox, tmp_path: Path) -> None:
    (tmp_path / "next.document").write_bytes(desk.newsroom.succession().encode())
    assert desk.json("send", tmp_path / "next.document") == {"documents": ["manifest 2"]}
    assert desk.json("status")["manifest"] == 2
    (tmp_path / "odd.document").write_bytes(SignedDocument(b"odd", ()).encode())
    assert desk.run("send", tmp_path / "odd.document") == 65


def test_an_epoch_list_from_newsroom_keys_is_adopted(desk: Desk, tmp_path: Path) -> None:
    document = desk.newsroom.epochs(1, sequence=4)
    chain = keyfile.lock(ChainKeyFile(desk.newsroom.chains[1, 4]), KEY_PASSPHRASE, system_randomness, log_n=10)
    (tmp_path / "chain.key").write_bytes(chain)
    (tmp_path / "list.document").write_bytes(document.encode())
    words = ["epochs", "--adopt", tmp_path / "list.document", "--chain", tmp_path / "chain.key"]
    assert desk.json(*words, passphrases=(PASSPHRASE, KEY_PASSPHRASE))["sequence"] == 4
    assert desk.run("epochs", "--adopt", tmp_path / "list.document") == 64


def test_a_new_passphrase(desk: Desk) -> None:
    assert desk.run("passphrase", passphrases=(PASSPHRASE, "the next passphrase")) == 0
    assert desk.run("list") == 66
    assert desk.run("list", passphrases=("the next passphrase",)) == 0
    assert desk.run("passphrase", passphrases=("the next passphrase", "short")) == 69


class TestRefusals:
    """`error:` and `hint:`, an exit code by kind, and nothing changed."""

    def refused(self, desk: Desk, code: int, *words: object, **options: Any) -> None:
        before = _tree(desk.vault)
        assert desk.run(*words, **options) == code, (desk.out, desk.err)
        assert re.fullmatch(r"(warning: .*\n)*error: .+\nhint: .+\n", desk.err), desk.err
        assert _tree(desk.vault) == before

    def test_a_wrong_passphrase(self, desk: Desk) -> None:
        self.refused(desk, 66, "list", passphrases=("wrong",))
        assert "The passphrase doesn't open this vault." in desk.err

    def test_no_passphrase(self, desk: Desk) -> None:
        self.refused(desk, 78, "list", passphrases=())

    def test_no_vault(self, desk: Desk, tmp_path: Path) -> None:
        self.refused(desk, 78, "list", vault=tmp_path / "nowhere")

    def test_no_such_thread(self, desk: Desk) -> None:
        self.refused(desk, 67, "show", "99")
        self.refused(desk, 67, "reply", "nobody", "--text", "x")

    def test_no_stick(self, desk: Desk, tmp_path: Path) -> None:
        self.refused(desk, 64, "import", tmp_path / "nowhere")
        self.refused(desk, 64, "import")

    def test_text_twice(self, desk: Desk) -> None:
        self.refused(desk, 64, "reply", "1", "--text", "x", "--text-file", "-")

    def test_another_networks_stick(self, desk: Desk) -> None:
        other = DropBox(Newsroom("another"))
        other.send(Source(other.newsroom), "tip")
        other.fill(desk.stick)
        assert desk.run("import", desk.stick) == 67
        assert "another network" in desk.err

    def test_an_old_inventory(self, desk: Desk, box: DropBox, tmp_path: Path) -> None:
        box.fill(desk.stick)
        (tmp_path / "newer").mkdir()
        box.fill(tmp_path / "newer")
        assert desk.run("import", tmp_path / "newer") == 0
        assert desk.run("import", desk.stick) == 68
        assert "older than one" in desk.err

    def test_a_vault_where_one_is(self, desk: Desk) -> None:
        before = _tree(desk.vault)
        assert desk.init() == 69
        assert _tree(desk.vault) == before

    def test_a_manifest_of_another_network(self, fresh: Desk) -> None:
        manifests = [word for path in fresh.write_manifests() for word in ("--manifest", path)]
        words = ["init", "--desk-key", fresh.write_desk_key(), *manifests, "--network", "00" * 32]
        assert fresh.run(*words, passphrases=(KEY_PASSPHRASE, PASSPHRASE)) == 67
        assert not fresh.vault.exists()

    def test_an_unconfirmed_network(self, fresh: Desk) -> None:
        manifests = [word for path in fresh.write_manifests() for word in ("--manifest", path)]
        words = ["init", "--desk-key", fresh.write_desk_key(), *manifests]
        assert fresh.run(*words, passphrases=(KEY_PASSPHRASE, PASSPHRASE)) == 78
        assert "--network" in fresh.err
        named = ["init", "--desk-key", fresh.write_desk_key(network=fresh.newsroom.network), *manifests]
        assert fresh.run(*named, passphrases=(KEY_PASSPHRASE, PASSPHRASE)) == 0

    def test_a_key_that_is_no_desks(self, fresh: Desk, tmp_path: Path) -> None:
        chain = fresh.newsroom.chain(1)
        (tmp_path / "k").write_bytes(keyfile.lock(ChainKeyFile(chain), KEY_PASSPHRASE, system_randomness, log_n=10))
        manifests = [word for path in fresh.write_manifests() for word in ("--manifest", path)]
        words = ["init", "--desk-key", tmp_path / "k", *manifests, "--network", fresh.newsroom.network.hex()]
        assert fresh.run(*words, passphrases=(KEY_PASSPHRASE, PASSPHRASE)) == 67

    def test_a_weak_passphrase_for_the_vault(self, fresh: Desk) -> None:
        manifests = [word for path in fresh.write_manifests() for word in ("--manifest", path)]
        words = ["init", "--desk-key", fresh.write_desk_key(), *manifests, "--network", fresh.newsroom.network.hex()]
        assert fresh.run(*words, passphrases=(KEY_PASSPHRASE, "short")) == 69
        assert not fresh.vault.exists()


class TestAirGap:
    def connect(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(airgap, "interfaces_up", lambda: ["eth0", "wlan0"])

    def test_a_connected_machine_opens_no_vault(self, real: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        assert real.run("list") == 0
        self.connect(monkeypatch)
        before = _tree(real.vault)
        # The passphrase isn't even asked for.
        assert real.run("list", passphrases=()) == 69
        assert "eth0, wlan0 is up. Nothing was unlocked." in real.err
        assert _tree(real.vault) == before
        assert real.init(vault=real.folder / "second") == 69
        assert not (real.folder / "second").exists()

    def test_a_connected_machine_restores_no_vault(self, real: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        real.json("backup", "--out", real.folder / "backup")
        self.connect(monkeypatch)
        words = ["restore", "--from", real.folder / "backup", "--desk-key", real.write_desk_key()]
        assert real.run(*words, passphrases=(), vault=real.folder / "new") == 69
        assert "Nothing was unlocked." in real.err
        assert not (real.folder / "new").exists()

    def test_the_override_is_loud_and_logged(self, real: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        self.connect(monkeypatch)
        assert real.run("list", session.DESPITE) == 0
        assert real.err.startswith("warning: This machine is connected (eth0, wlan0 is up)")
        found = real.json("log", session.DESPITE)["acts"]
        assert [act["act"] for act in found] == ["init", "despite-network", "despite-network"]
        assert found[-1]["facts"] == {"interfaces": ["eth0", "wlan0"]}

    def test_a_practice_vault_asks_for_no_air_gap(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        self.connect(monkeypatch)
        assert desk.run("list") == 0 and desk.err == ""

    def test_a_real_vault_is_told_no_other_time(self, real: Desk) -> None:
        before = _tree(real.vault)
        assert real.run("list", "--now", real.newsroom.now + SECONDS_A_WEEK) == 69
        assert _tree(real.vault) == before


def _tree(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "busy"}


def _commands(group: click.Group, name: str) -> Iterator[tuple[str, click.Command]]:
    for word, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, f"{name} {word}")
        else:
            yield f"{name} {word}", command


def test_every_command_and_option_says_what_it_is_for() -> None:
    for name, command in _commands(cli.cli, "journalist-station"):
        assert command.help, name
        for option in command.params:
            if isinstance(option, click.Option):
                assert option.help, f"{name} {option.opts}"


def test_the_program_itself_starts(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "journalist_station.cli", "list", "--vault", tmp_path / "none"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr.startswith("error: There is no vault in this folder.\nhint: ")
