"""A founding from end to end: people on their own machines, who exchange only cards, drafts and signatures."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import re
import select
import shutil
import stat
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import click
import pytest

from keys import bulletin, cards, epochs, keyfile, manifest, terminal
from keys.cards import ServerCard
from keys.ceremony import plan as plans
from keys.ceremony.cli import cli
from keys.errors import Malformed, Misconfigured, NotAuthentic, NotForUs, Refused, Stale
from keys.keyfile import ChainKeyFile, DeskKeyFile
from keys.manifest import Manifest
from keys.minisign import SignedDocument, SigningKey
from keys.onion import onion_address
from keys.terms import Party

PASSPHRASE = "correct horse battery staple"
PROGRAM = (sys.executable, "-m", "keys.ceremony.cli")
LIGHT = ("--work-factor", "10")
DEADLINE_SECONDS = 60.0


@dataclass(frozen=True)
class Finished:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


def command(*arguments: object, passphrases: tuple[str, ...] = (), folder: Path, apart: bool = False) -> Finished:
    """Run newsroom-keys in a folder, with its passphrases as lines of a descriptor; `apart` as a process of its own."""
    reading, writing = os.pipe()
    os.write(writing, "".join(f"{each}\n" for each in passphrases).encode())
    os.close(writing)
    line = [str(each) for each in arguments]
    if passphrases:
        line += ["--passphrase-fd", str(reading)]
    try:
        return _process(line, reading, folder) if apart else _call(line, folder)
    finally:
        os.close(reading)


def _process(line: list[str], descriptor: int, folder: Path) -> Finished:
    finished = subprocess.run(
        [*PROGRAM, *line],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        pass_fds=(descriptor,),
        check=False,
    )
    return Finished(finished.returncode, finished.stdout, finished.stderr)


def _call(line: list[str], folder: Path) -> Finished:
    out, error = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(error),
        pytest.raises(SystemExit) as exited,
    ):
        terminal.run(cli, "newsroom-keys", line)
    assert isinstance(exited.value.code, int)
    return Finished(exited.value.code, out.getvalue(), error.getvalue())


def done(*arguments: object, passphrases: tuple[str, ...] = (), folder: Path, apart: bool = False) -> str:
    """Run newsroom-keys, require that it succeeds quietly, and return what it printed."""
    finished = command(*arguments, passphrases=passphrases, folder=folder, apart=apart)
    assert (finished.returncode, finished.stderr) == (0, ""), finished.stderr
    return finished.stdout


def refused(
    error: type[Any], *arguments: object, passphrases: tuple[str, ...] = (), folder: Path, words: str = ""
) -> None:
    """Run newsroom-keys, and require that it ends with this error, in two lines, having written nothing."""
    before = sorted(folder.rglob("*"))
    finished = command(*arguments, passphrases=passphrases, folder=folder)
    assert finished.returncode == error.exit_code, finished.stderr
    assert re.fullmatch(r"error: .+\nhint: .+\n", finished.stderr), finished.stderr
    assert words in finished.stderr
    assert PASSPHRASE not in finished.stderr + finished.stdout
    assert sorted(folder.rglob("*")) == before


class Founding:
    """One folder a person: nothing but cards, drafts and signatures is ever copied from one to another."""

    def __init__(self, top: Path, *, apart: bool) -> None:
        self.top = top
        self.done = partial(done, apart=apart)
        self.roots = [self.person(f"root-{letter}") for letter in "abc"]
        self.desks = [self.person(f"desk-{number}") for number in (1, 2)]
        self.table = self.person("table")
        for folder in self.roots:
            name = folder.name
            self.done("root", "new", f"{name}.key", "--name", name, *LIGHT, passphrases=(PASSPHRASE,), folder=folder)
        for number, folder in enumerate(self.desks, 1):
            self.new_desk(folder, number)
        given = ("--name", "carrier", *LIGHT)
        self.done("courier", "new", "carrier.key", *given, passphrases=(PASSPHRASE,), folder=self.table)
        # A server makes its own key, which never leaves it, and hands out the card: dropbox-server init.
        server = cards.compose(ServerCard(Party("alpha", SigningKey.of(b"\1" * 32))))
        (self.table / "server-alpha.card").write_bytes(server)
        for card in [*top.glob("root-*/*.card"), *top.glob("desk-*/*.card")]:
            shutil.copy(card, self.table)
        self.done("manifest", "plan", "network.toml", folder=self.table)
        self.edit(r"^name = .*$", 'name = { th = "เครือข่าย", en = "The network" }')
        self.edit(r"^desks = .*$", 'desks = ["desk-1.card", "desk-2.card"]')

    def person(self, name: str) -> Path:
        (self.top / name).mkdir()
        return self.top / name

    def new_desk(self, folder: Path, number: int) -> None:
        names = ("--number", number, "--name-th", f"โต๊ะ {number}", "--name-en", f"Desk {number}")
        self.done("desk", "new", f"desk-{number}.key", *names, *LIGHT, passphrases=(PASSPHRASE,), folder=folder)

    def edit(self, pattern: str, line: str) -> None:
        plan = self.table / "network.toml"
        text, changed = re.subn(pattern, line, plan.read_text("utf-8"), flags=re.MULTILINE)
        assert changed == 1
        plan.write_text(text, "utf-8")

    def name_addresses(self) -> None:
        for number, site in enumerate(("source", "collect"), 1):
            self.edit(rf"^{site} = .*$", f'{site} = ["{onion_address(SigningKey.of(bytes([number]) * 32).public)}"]')

    def draft(self, *options: object) -> dict[str, Any]:
        shown = self.done("manifest", "draft", "draft", "--plan", "network.toml", "--json", *options, folder=self.table)
        facts: dict[str, Any] = json.loads(shown)
        return facts

    def sign(self, *roots: int, previous: Path | None = None) -> list[Path]:
        """Each of these roots signs the draft in a folder of their own; their signatures come back to the table."""
        collected: list[Path] = []
        for at in roots:
            folder = self.roots[at]
            shutil.copy(self.table / "draft", folder / "draft")
            options: list[object] = ["--out", f"{folder.name}.minisig"]
            if previous is not None:
                shutil.copy(previous, folder / "previous")
                options += ["--previous", "previous"]
            key = ("--key", f"{folder.name}.key")
            self.done("manifest", "sign", "draft", *key, *options, passphrases=(PASSPHRASE,), folder=folder)
            collected.append(Path(shutil.move(folder / f"{folder.name}.minisig", self.table)))
            (folder / "draft").unlink()
        return collected

    def assemble(self, signatures: list[Path], *options: object) -> Path:
        shown = self.done("manifest", "assemble", "draft", *signatures, "--json", *options, folder=self.table)
        return self.table / str(json.loads(shown)["document"])


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Founding:
    """A practice network whose first manifest roots a and c have signed, with an epoch list and shares of desk 1."""
    founding = Founding(tmp_path_factory.mktemp("founding"), apart=True)
    founding.draft("--practice")
    document = founding.assemble(founding.sign(0, 2))
    desk = founding.desks[0]
    shutil.copy(document, desk / "manifest")
    done(
        *("epochs", "--key", "desk-1.key", "--manifest", "manifest", *LIGHT),
        passphrases=(PASSPHRASE, "chain " + PASSPHRASE),
        folder=desk,
    )
    done(
        *("shares", "make", "--key", "desk-1.key", "-k", 2, "-n", 3, "--out", "shares"),
        passphrases=(PASSPHRASE,),
        folder=desk,
    )
    return founding


def document_of(path: Path) -> SignedDocument:
    return SignedDocument.decode(path.read_bytes())


def manifest_of(founded: Founding) -> Manifest:
    document = document_of(founded.table / "manifest-1.document")
    network = manifest.parse(document.statement).network
    return manifest.admit(document, None, network, int(time.time()))


def desk_key(founded: Founding, name: str = "desk-1.key") -> DeskKeyFile:
    content = keyfile.unlock((founded.desks[0] / name).read_bytes(), PASSPHRASE)
    assert isinstance(content, DeskKeyFile)
    return content


def test_what_is_founded_is_admitted(founded: Founding) -> None:
    found = manifest_of(founded)

    assert found.practice
    assert [desk.name.en for desk in found.desks] == ["Desk 1", "Desk 2"]
    assert (found.threshold, len(found.roots), found.servers[0].name) == (2, 3, "alpha")
    assert found.desk(1).key == desk_key(founded).key


def test_keys_are_private_and_cards_hold_none(founded: Founding) -> None:
    secrets = [desk_key(founded).desk.secret.hex(), desk_key(founded).desk.signing_seed.hex()]
    for path in founded.top.rglob("*.key"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.read_bytes().startswith(b"-----BEGIN AGE ENCRYPTED FILE-----")
    for path in founded.table.iterdir():
        assert not any(secret in path.read_bytes().decode("latin-1") for secret in secrets)


def test_stock_minisign_verifies_the_plain_files(founded: Founding, tmp_path: Path) -> None:
    program = shutil.which("minisign") or pytest.fail("minisign is missing. Run: apt-get install minisign")
    found = document_of(founded.table / "manifest-1.document")
    texts = [json.loads((founded.table / f"root-{letter}.card").read_bytes())["key"] for letter in "ac"]
    changed = tmp_path / "manifest-1"
    changed.write_bytes(found.statement.replace(b'"practice": true', b'"practice": false'))
    verified = {}
    for signature in ("manifest-1.minisig", "manifest-1.1.minisig"):
        for text in texts:
            for file in (founded.table / "manifest-1", changed):
                line = [program, "-V", "-m", file, "-x", founded.table / signature, "-P", text]
                code = subprocess.run(line, capture_output=True, timeout=30, check=False).returncode
                verified[signature, text, file == changed] = code == 0

    assert sum(verified.values()) == 2
    assert {text for (_, text, is_changed), good in verified.items() if good and not is_changed} == set(texts)


def test_the_epoch_list_opens_the_box_and_the_chain_its_tips(founded: Founding) -> None:
    desk, now = founded.desks[0], int(time.time())
    admitted = epochs.admit(document_of(desk / "epochs-1-1.document"), manifest_of(founded), None, 0, now)
    content = keyfile.unlock((desk / "chain-1-1.key").read_bytes(), "chain " + PASSPHRASE)

    assert epochs.openness(manifest_of(founded), {1: admitted}, epochs.Floors(), None, now).desks == (1,)
    assert isinstance(content, ChainKeyFile)
    assert content.chain.recipients(admitted.weeks) == admitted.recipients


def test_folders_that_are_written_to_are_made_for_their_owner_alone(founded: Founding, tmp_path: Path) -> None:
    desk = founded.desks[0]
    assert stat.S_IMODE((desk / "shares").stat().st_mode) == 0o700
    options = ("--key", desk / "desk-1.key", "--manifest", desk / "manifest", *LIGHT, "--out")
    passphrases = (PASSPHRASE, "chain " + PASSPHRASE)

    done("epochs", *options, tmp_path / "new", passphrases=passphrases, folder=tmp_path)
    assert (tmp_path / "new/epochs-1-1.document").exists()
    absent = command("epochs", *options, tmp_path / "unmounted/stick", passphrases=passphrases, folder=tmp_path)
    assert absent.returncode == terminal.EXIT_USAGE
    assert "does not exist" in absent.stderr and "a stick mounted" in absent.stderr
    assert not (tmp_path / "unmounted").exists()


def test_verify_says_who_signed(founded: Founding) -> None:
    network = manifest_of(founded).network.hex()
    files = (founded.table / "manifest-1.document", founded.desks[0] / "epochs-1-1.document")

    rows = json.loads(done("verify", *files, "--network", network, "--json", folder=founded.table))["documents"]

    fingerprints = [json.loads((founded.table / f"root-{letter}.card").read_bytes())["fingerprint"] for letter in "ac"]
    assert rows[0]["signed_by"] == sorted(fingerprints)
    assert rows[1]["signed_by"] == [desk_key(founded).key.fingerprint]
    assert "epoch list 1 of desk 1" in done("verify", *files, folder=founded.table)


def test_verify_refuses_what_was_changed_or_is_foreign(founded: Founding, tmp_path: Path) -> None:
    good = document_of(founded.table / "manifest-1.document")
    changed = SignedDocument(good.statement.replace(b'"threshold": 2', b'"threshold": 1', 1), good.signatures)
    (tmp_path / "changed").write_bytes(changed.encode())
    (tmp_path / "cut").write_bytes(good.encode()[:-3])
    (tmp_path / "good").write_bytes(good.encode())
    shutil.copy(founded.desks[0] / "epochs-1-1.document", tmp_path / "list")

    refused(NotAuthentic, "verify", "changed", folder=tmp_path)
    refused(Malformed, "verify", "cut", folder=tmp_path)
    refused(Malformed, "verify", "list", folder=tmp_path, words="no manifest")
    refused(NotForUs, "verify", "good", "--network", "00" * 32, folder=tmp_path)
    refused(Malformed, "verify", "good", "--network", "00", folder=tmp_path)


def test_fingerprints_are_the_same_wherever_they_are_shown(founded: Founding) -> None:
    expected = desk_key(founded).key.fingerprint
    desk = founded.desks[0]

    assert expected in done("fingerprint", "desk-1.card", folder=desk)
    assert expected in done("fingerprint", "desk-1.key", passphrases=(PASSPHRASE,), folder=desk)
    for file in ("manifest-1", "manifest-1.document", "draft"):
        rows = json.loads(done("fingerprint", file, "--json", folder=founded.table))
        assert {"of": "desk 1", "fingerprint": expected, "key": desk_key(founded).key.text} in rows


def test_root_public_shows_the_card_again(founded: Founding, tmp_path: Path) -> None:
    root = founded.roots[0]
    shown = done(
        *("root", "public", "root-a.key", "--card", tmp_path / "again.card", "--json"),
        passphrases=(PASSPHRASE,),
        folder=root,
    )

    assert json.loads(shown)["root"] == "root-a"
    assert (tmp_path / "again.card").read_bytes() == (root / "root-a.card").read_bytes()


def test_a_wrong_passphrase_changes_nothing(founded: Founding) -> None:
    for line in (
        ("root", "public", "root-a.key"),
        ("fingerprint", "root-a.key"),
        ("manifest", "sign", founded.table / "draft", "--key", "root-a.key", "--out", "x.minisig"),
    ):
        wrong = ("another " + PASSPHRASE[:8],)
        refused(NotAuthentic, *line, passphrases=wrong, folder=founded.roots[0], words="Caps Lock")


def test_nothing_is_overwritten(founded: Founding) -> None:
    names = ("--number", 1, "--name-th", "ก", "--name-en", "a")
    refused(Refused, "desk", "new", "desk-1.key", *names, passphrases=(PASSPHRASE,), folder=founded.desks[0])
    refused(Refused, "manifest", "draft", "draft", "--plan", "network.toml", folder=founded.table)
    refused(Refused, "manifest", "plan", "network.toml", folder=founded.table)
    both = (PASSPHRASE, PASSPHRASE)
    options = ("--key", "desk-1.key", "--manifest", "manifest")
    refused(Refused, "epochs", *options, passphrases=both, folder=founded.desks[0])


def test_a_weak_new_passphrase_is_refused(tmp_path: Path) -> None:
    refused(Refused, "root", "new", "r.key", "--name", "r", passphrases=("short",), folder=tmp_path, words="12")
    refused(Malformed, "root", "new", "r.key", "--name", "r", passphrases=("",), folder=tmp_path)


def test_without_a_terminal_and_without_a_descriptor_nothing_is_asked(tmp_path: Path) -> None:
    setsid = shutil.which("setsid") or pytest.fail("setsid is missing. Run: apt-get install util-linux")
    line = [setsid, "--wait", *PROGRAM, "root", "new", "r.key", "--name", "r"]
    finished = subprocess.run(
        line, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
    )

    assert finished.returncode == Misconfigured.exit_code
    assert "--passphrase-fd" in finished.stderr
    assert list(tmp_path.iterdir()) == []


def test_too_few_or_foreign_signatures_make_no_manifest(founded: Founding) -> None:
    table = founded.table
    one = table / "root-a.minisig"
    refused(NotAuthentic, "manifest", "assemble", "draft", one, folder=table, words="Only 1 of the founding roots")
    refused(NotAuthentic, "manifest", "assemble", "draft", one, one, folder=table, words="Only 1 of")
    foreign = founded.desks[0] / "epochs-1-1.minisig"
    refused(NotAuthentic, "manifest", "assemble", "draft", one, foreign, folder=table, words="epochs-1-1.minisig")


def test_only_roots_sign_manifests_and_only_the_desk_its_list(founded: Founding) -> None:
    draft = founded.table / "draft"
    refused(
        Refused, "manifest", "sign", draft, "--key", "desk-1.key", passphrases=(PASSPHRASE,), folder=founded.desks[0]
    )
    options = ("--key", founded.roots[0] / "root-a.key", "--manifest", founded.table / "manifest-1.document")
    refused(NotForUs, "epochs", *options, passphrases=(PASSPHRASE,) * 2, folder=founded.desks[1])


def test_a_close_order_is_admitted(founded: Founding, tmp_path: Path) -> None:
    reason = ("--reason-th", "พักก่อน", "--reason-en", "A pause")
    options = ("--key", founded.roots[1] / "root-b.key", "--manifest", founded.table / "manifest-1.document")
    done("close", *options, *reason, passphrases=(PASSPHRASE,), folder=tmp_path)

    order = bulletin.admit_close(document_of(tmp_path / "close-1.document"), manifest_of(founded))
    assert order.closes(manifest_of(founded))
    assert order.reason.of("th") == "พักก่อน"
    shown = done("verify", founded.table / "manifest-1.document", "close-1.document", folder=tmp_path)
    assert "closes the box" in shown


def test_shares_bring_the_desks_secret_back(founded: Founding, tmp_path: Path) -> None:
    fingerprint = desk_key(founded).key.fingerprint
    papers = sorted((founded.desks[0] / "shares").iterdir())
    options = ("--fingerprint", fingerprint, "--number", 1, "--name", "Desk 1", *LIGHT)

    shown = done("shares", "rehearse", *papers, "--fingerprint", fingerprint, "--json", folder=tmp_path)
    assert [row["serves"] for row in json.loads(shown)["shares"]] == [True] * 3
    done("shares", "combine", "back.key", *papers[1:], *options, passphrases=(PASSPHRASE,), folder=tmp_path)

    content = keyfile.unlock((tmp_path / "back.key").read_bytes(), PASSPHRASE)
    assert content == DeskKeyFile("Desk 1", 1, None, desk_key(founded).desk)


def test_bad_shares_bring_nothing_back(founded: Founding, tmp_path: Path) -> None:
    fingerprint = desk_key(founded).key.fingerprint
    papers = sorted((founded.desks[0] / "shares").iterdir())
    (tmp_path / "torn").write_bytes(papers[0].read_bytes()[:150])
    rest = ("--number", 1, "--name", "Desk 1")
    new = (PASSPHRASE,)

    combine = ("shares", "combine", "back.key")
    few = ("--fingerprint", fingerprint, *rest)
    refused(Malformed, *combine, papers[0], *few, passphrases=new, folder=tmp_path, words="too few")
    refused(Malformed, *combine, papers[0], papers[0], *few, passphrases=new, folder=tmp_path, words="twice")
    refused(Malformed, *combine, papers[0], "torn", *few, passphrases=new, folder=tmp_path, words="33 words")
    other = ("--fingerprint", SigningKey.of(bytes(32)).fingerprint, *rest)
    refused(NotAuthentic, *combine, *papers[:2], *other, passphrases=new, folder=tmp_path, words="another key")


def test_a_network_goes_on(tmp_path: Path) -> None:
    """A second manifest: a root is replaced, a desk leaves, another comes; no root signs it unseen."""
    founding = Founding(tmp_path, apart=False)
    founding.name_addresses()
    first_draft = founding.draft()
    first = founding.assemble(founding.sign(0, 1))
    (founding.table / "draft").unlink()
    for path in founding.table.glob("*.minisig"):
        if path.name.startswith("root-"):
            path.unlink()
    assert first_draft["practice"] == "no"

    founding.roots.append(founding.person("root-d"))
    done(
        *("root", "new", "root-d.key", "--name", "root-d", *LIGHT),
        passphrases=(PASSPHRASE,),
        folder=founding.roots[3],
    )
    founding.desks.append(founding.person("desk-3"))
    founding.new_desk(founding.desks[2], 3)
    shutil.copy(founding.roots[3] / "root-d.card", founding.table)
    shutil.copy(founding.desks[2] / "desk-3.card", founding.table)
    founding.edit(r"^roots = .*$", 'roots = ["root-a.card", "root-d.card", "root-b.card"]')
    founding.edit(r"^desks = .*$", 'desks = ["desk-3.card", "desk-1.card"]')
    draft = ("manifest", "draft", "draft", "--plan", "network.toml", "--previous", first)

    refused(Refused, *draft, folder=founding.table, words="retired")
    founding.edit(r"^retired_desks = .*$", "retired_desks = [2]")
    refused(Refused, *draft, "--practice", folder=founding.table)
    facts = founding.draft("--previous", first)
    assert facts["sequence"] == 2
    assert any(line.startswith("desks: without number 2, name โต๊ะ 2 / Desk 2,") for line in facts["changes"])
    assert any(line.startswith("roots: with ") for line in facts["changes"])

    unseen = ("manifest", "sign", founding.table / "draft", "--key", "root-a.key", "--out", "unseen.minisig")
    refused(Refused, *unseen, passphrases=(PASSPHRASE,), folder=founding.roots[0], words="--previous")
    signatures = founding.sign(0, 3, previous=first)
    few = ("manifest", "assemble", "draft", *signatures, "--previous", first)
    refused(NotAuthentic, *few, folder=founding.table, words="roots in force")
    second = founding.assemble([*signatures, *founding.sign(1, previous=first)], "--previous", first)

    network = manifest.parse(document_of(first).statement).network
    run = [document_of(first), document_of(second)]
    found = manifest.admit_run(run, None, network, int(time.time()))
    assert (found.sequence, found.desk_numbers, found.retired_desks) == (2, (1, 3), (2,))
    assert found.codename == manifest.parse(run[0].statement).codename
    shown = done("verify", second, first, "--network", network.hex(), folder=founding.table)
    assert "manifest 2" in shown
    refused(Stale, "verify", second, "--network", network.hex(), folder=founding.table)


def test_a_bad_plan_and_a_changed_card_are_told(founded: Founding, tmp_path: Path) -> None:
    for path in [*founded.table.glob("*.card"), founded.table / "network.toml"]:
        shutil.copy(path, tmp_path)
    draft = ("manifest", "draft", "draft", "--plan", "network.toml")
    card, plan = tmp_path / "desk-1.card", tmp_path / "network.toml"
    good, text = card.read_text("utf-8"), plan.read_text("utf-8")

    card.write_text(re.sub('"key": "[^"]*"', f'"key": "{SigningKey.of(bytes(32)).text}"', good), "utf-8")
    refused(NotAuthentic, *draft, folder=tmp_path)
    card.unlink()
    refused(Misconfigured, *draft, folder=tmp_path, words="hint: Copy desk-1.card into the plan's folder")
    card.write_text(good, "utf-8")
    plan.write_text(text.replace("threshold = 2", "threshold = two"), "utf-8")
    refused(Malformed, *draft, folder=tmp_path, words="line 11")


def test_what_is_unfinished_is_neither_drafted_nor_signed_nor_assembled(founded: Founding, tmp_path: Path) -> None:
    for path in [*founded.table.glob("*.card"), founded.table / "network.toml"]:
        shutil.copy(path, tmp_path)
    draft = ("manifest", "draft", "draft", "--plan", "network.toml")
    refused(Refused, *draft, folder=tmp_path, words="names no source and no collect address")
    text = (tmp_path / "network.toml").read_text("utf-8")
    name = re.search("(?m)^name = .*", plans.TEMPLATE)
    assert name is not None
    (tmp_path / "network.toml").write_text(re.sub("(?m)^name = .*", name[0], text), "utf-8")
    refused(Refused, *draft, "--practice", folder=tmp_path, words="the name that stands in the plan's template")

    # A draft that came from elsewhere.
    terms = replace(manifest_of(founded).terms, practice=False)
    (tmp_path / "other").write_bytes(manifest.compose(terms))
    key = ("--key", founded.roots[0] / "root-a.key", "--out", "signature")
    refused(Refused, "manifest", "sign", "other", *key, passphrases=(PASSPHRASE,), folder=tmp_path, words="address")
    refused(Refused, "manifest", "assemble", "other", "network.toml", folder=tmp_path, words="address")


def type_at_a_terminal(line: list[str], answers: list[str], folder: Path) -> tuple[int, str]:
    """Run a command at a terminal of its own, type an answer at each prompt, and return its code and what was shown."""
    ours, its = pty.openpty()
    setsid = shutil.which("setsid") or pytest.fail("setsid is missing. Run: apt-get install util-linux")
    shown, deadline = b"", time.monotonic() + DEADLINE_SECONDS
    with subprocess.Popen(
        [setsid, "--ctty", "--wait", *line], cwd=folder, stdin=its, stdout=its, stderr=its
    ) as process:
        os.close(its)
        left, prompts = list(answers), 0
        while time.monotonic() < deadline:
            readable, _, _ = select.select([ours], [], [], 0.2)
            if readable:
                try:
                    data = os.read(ours, 4096)
                except OSError:  # The other side is gone.
                    break
                shown += data
            if left and shown.count(b": ") > prompts and shown.endswith(b": "):
                prompts = shown.count(b": ")
                os.write(ours, left.pop(0).encode() + b"\n")
            if not readable and process.poll() is not None:
                break
        code = process.wait(timeout=DEADLINE_SECONDS)
        os.close(ours)
    return code, shown.decode("utf-8", "replace")


def test_at_a_terminal_a_new_passphrase_is_asked_for_twice_and_never_shown(tmp_path: Path) -> None:
    line = [*PROGRAM, "root", "new", "r.key", "--name", "ก", *LIGHT]

    code, shown = type_at_a_terminal(line, [PASSPHRASE, PASSPHRASE], tmp_path)
    assert code == 0, shown
    assert PASSPHRASE not in shown
    assert "fingerprint" in shown
    keyfile.unlock((tmp_path / "r.key").read_bytes(), PASSPHRASE)


def test_at_a_terminal_two_different_passphrases_are_refused(tmp_path: Path) -> None:
    line = [*PROGRAM, "root", "new", "r.key", "--name", "ก", *LIGHT]

    code, shown = type_at_a_terminal(line, [PASSPHRASE, PASSPHRASE + "r"], tmp_path)

    assert code == Malformed.exit_code
    assert "error: The two passphrases differ." in shown
    assert list(tmp_path.iterdir()) == []


def _commands(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], click.Command]]:
    found: list[tuple[tuple[str, ...], click.Command]] = []
    for name, each in group.commands.items():
        found += _commands(each, (*path, name)) if isinstance(each, click.Group) else [((*path, name), each)]
    return found


@pytest.mark.parametrize(
    ("path", "each"), _commands(cli), ids=lambda value: " ".join(value) if isinstance(value, tuple) else ""
)
def test_every_command_and_option_says_what_it_is_and_takes_no_secret(
    path: tuple[str, ...], each: click.Command
) -> None:
    assert each.help
    for parameter in each.params:
        if isinstance(parameter, click.Option):
            assert parameter.help or parameter.name == "weeks", f"{path} {parameter.name}"
        assert not {"passphrase", "secret", "seed", "words"} & {parameter.name}
