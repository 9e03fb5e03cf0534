"""Promise 1: nothing that a source sends, types or is shown is on the server's disk, after an upload or within one.

Canaries stand in the message, in a file's bytes and name, in the codename and in every key made of it. Searched are all
files below the server's folders, what it printed, the folders that everybody may write to, and every descriptor and
mapped file of its processes. That the search finds what lies in each such place is tested below.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from keys import mailbox
from keys.age.recipients import HybridIdentity
from keys.codename import Codename
from tests.dropbox.serving.visitors import wait_until
from tests.dropbox.source.site import Upload
from tests.promises.browser import Form
from tests.promises.desk import source_keys
from tests.promises.places import Search
from tests.promises.server import Oddities, Premises

MESSAGE = "คานารีข้อความ canary-message-7f3a91"
FILE_NAME = "คานารีชื่อไฟล์-canary-name-52bd.pdf"
FILE_TYPE = "application/x-canary-type-90ac"
FILE_CANARY = b"canary-file-bytes-c41e8d "
CONTENT = FILE_CANARY * 40_000  # A million bytes: no page of memory is without it.
WORDS_TOGETHER = 3
SLOTS = 120
ROOT = os.geteuid() == 0


def needles(premises: Premises, name: Codename) -> dict[str, bytes]:
    """Return everything that would tell something of a source, in each form in which it could be written down."""
    texts = {"message": MESSAGE, "file name": FILE_NAME, "file type": FILE_TYPE}
    found = {what: text.encode() for what, text in texts.items()}
    found |= {f"{what}, escaped": ascii(text).strip("'").encode() for what, text in texts.items()}
    found["file bytes"] = FILE_CANARY * 2
    for separator, spelling in (
        (" ", "spaced"),
        ("", "joined"),
        ("-", "hyphened"),
        ("+", "as forms have it"),
        ("%20", "quoted"),
    ):
        found[f"codename, {spelling}"] = separator.join(name.words).encode()
        for at in (0, 4):
            found[f"words {at + 1} and on, {spelling}"] = separator.join(name.words[at : at + WORDS_TOGETHER]).encode()
    newsroom = premises.newsroom
    keys = source_keys(newsroom, name)
    secrets = {
        "stretched key": mailbox.stretch(name, newsroom.manifest.codename[0]),
        "mailbox root": keys.root,
        "reply seed": keys.reply_seed,
        "signing seed": keys.signing_seed,
        "public key": keys.public,
        "recipient": str(HybridIdentity.from_seed(keys.reply_seed).recipient()).encode()[:200],
        "tag": mailbox.tag(keys.root, 1, newsroom.week, 0),
        "address": mailbox.address(newsroom.network, 1, mailbox.tag(keys.root, 1, newsroom.week, 0)),
    }
    found |= secrets
    return found | {f"{what}, in hexadecimal": secret.hex().encode() for what, secret in secrets.items()}


@pytest.fixture(scope="module")
def premises(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Premises]:
    """Only root may look into a server that hides itself."""
    with Premises(tmp_path_factory.mktemp("box"), slots=SLOTS).running(
        None if ROOT else Oddities(in_the_open=True)
    ) as found:
        yield found


@pytest.fixture(scope="module")
def since() -> float:
    return time.time() - 1


def plaintext(premises: Premises, since: float, name: Codename) -> set[tuple[str, str]]:
    """Search everything; also make sure that there was something to be searched."""
    search = Search(needles(premises, name), since)
    found = search.everywhere([premises.home.folder, premises.run_folder, premises.log_path], premises.pids())
    assert search.looked_at["its own files"] >= 8
    assert len(premises.pids()) >= 6
    return found


def uploads() -> list[Upload]:
    return [Upload(FILE_NAME, CONTENT, FILE_TYPE), Upload("", CONTENT[:1_000], FILE_TYPE)]


@contextlib.contextmanager
def paused_upload(premises: Premises, *, as_files: bool = True) -> Iterator[Form]:
    """Have an upload stand still in the middle of its first file, for the length of a block."""
    browser = premises.browser()
    form = browser.open_form()
    body = browser.body(form, MESSAGE, uploads())
    part = len(body) * 7 // 10 if as_files else 2_000
    before = len(premises.records())
    with browser.half_sent(form, body, part, as_files=as_files):
        if as_files:
            wait_until(lambda: len(premises.records()) > before, "the message is stored")
            label = form.address.rsplit("/", 1)[1]
            wait_until(lambda: "kB" in browser.get(f"/progress/{label}").text, "progress is shown")
        yield form


def test_after_an_upload(premises: Premises, since: float) -> None:
    sent = premises.browser().send(MESSAGE, uploads())
    assert sent.answer.status == 200 and len(sent.digests) == 2
    assert plaintext(premises, since, sent.codename) == set()


def test_while_an_upload_stands_still(premises: Premises, since: float) -> None:
    with paused_upload(premises) as form:
        assert plaintext(premises, since, form.codename) == set()


def test_while_a_small_form_is_gathered(premises: Premises, since: float) -> None:
    with paused_upload(premises, as_files=False) as form:
        assert plaintext(premises, since, form.codename) == set()


def test_after_an_upload_that_broke_off(premises: Premises, since: float) -> None:
    before = len(premises.records())
    with paused_upload(premises) as form:
        pass
    wait_until(lambda: len(premises.records()) >= before + 3, "what came is kept")
    assert plaintext(premises, since, form.codename) == set()


def test_after_a_process_was_killed_within_an_upload(premises: Premises, since: float) -> None:
    with paused_upload(premises) as form:
        for pid in premises.crews():
            os.kill(pid, signal.SIGKILL)
        wait_until(premises.answers, "others serve")
        assert plaintext(premises, since, form.codename) == set()


def test_after_coming_back_and_being_refused(premises: Premises, since: float) -> None:
    """Also what was typed wrong, what a session holds, and what an error could have quoted."""
    sent = premises.browser().send(MESSAGE)
    browser = premises.browser("en")
    assert browser.sign_in(sent.codename.text).status == 303
    assert browser.inbox().status == 200
    assert browser.sign_in(sent.codename.text[:-1] + "๏").status == 400
    assert browser.get(f"/{'+'.join(sent.codename.words[:3]).encode().hex()}").status == 404
    broken = b"--" + MESSAGE.encode() + FILE_NAME.encode() * 100
    answer = browser.request(
        "POST", browser.open_form().address, broken, f"Content-Type: text/{sent.codename.words[0].encode().hex()}"
    )
    assert answer.status == 400
    assert plaintext(premises, since, sent.codename) == set()


def test_no_process_may_dump_core_or_lies_in_swap(premises: Premises) -> None:
    for pid in premises.pids():
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert limits.partition("Max core file size")[2].split()[:2][0] == "0"
        swapped = next(
            line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmSwap")
        )
        assert swapped.split()[1] == "0"


# The search itself.

CANARY = {"canary": b"a-canary-that-this-test-lays-itself"}
HOLDER = """
import mmap, os, sys, tempfile
kind, canary = sys.argv[1], sys.argv[2].encode()
file = tempfile.TemporaryFile()
file.write(canary * 200)
file.flush()
if kind == "mapped":
    held = mmap.mmap(file.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ)
    os.closerange(3, 64)
elif kind == "memory":
    shared = mmap.mmap(-1, 65_536)
    shared[100:100 + len(canary)] = canary
print("ready", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def holder(kind: str) -> Iterator[int]:
    """Run a process that holds the canary, and in no file that has a name."""
    words = [sys.executable, "-c", HOLDER, kind, CANARY["canary"].decode()]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.readline() == b"ready\n"
        yield process.pid
        process.stdin.close()


@pytest.mark.parametrize("folder", ["home", "home/data", "run", "run/gate"])
def test_the_search_finds_a_file_of_the_server(tmp_path: Path, since: float, folder: str) -> None:
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / "spool").write_bytes(os.urandom(5 << 20) + CANARY["canary"] + os.urandom(100))
    assert Search(CANARY, since).everywhere([tmp_path], [], []) == {("its own files", "canary")}


def test_the_search_finds_what_was_printed(tmp_path: Path, since: float) -> None:
    (tmp_path / "log").write_bytes(b"ERROR " + CANARY["canary"])
    assert Search(CANARY, since).everywhere([tmp_path / "log"], [], []) == {("its own files", "canary")}


@pytest.mark.parametrize("folder", ["/tmp", "/var/tmp", "/dev/shm"])
def test_the_search_finds_a_file_in_a_common_folder(since: float, folder: str) -> None:
    left = Path(folder) / f"wsgi-{os.getpid()}.tmp"
    try:
        left.write_bytes(CANARY["canary"])
        assert Search(CANARY, since).everywhere([], [], [Path(folder)]) == {(folder, "canary")}
    finally:
        left.unlink(missing_ok=True)


def test_the_search_finds_a_deleted_file_that_is_still_open(since: float) -> None:
    with holder("open") as pid:
        assert Search(CANARY, since).everywhere([], [pid], []) == {("an open descriptor", "canary")}


@pytest.mark.skipif(not ROOT, reason="only root may open what other processes have mapped")
@pytest.mark.parametrize("kind", ["mapped", "memory"])
def test_the_search_finds_a_file_that_is_only_mapped(since: float, kind: str) -> None:
    with holder(kind) as pid:
        assert ("a mapped file", "canary") in Search(CANARY, since).everywhere([], [pid], [])


def test_the_search_finds_a_canary_on_the_border_of_two_pieces(tmp_path: Path, since: float) -> None:
    for at in (4 << 20, (4 << 20) - 1, (4 << 20) - len(CANARY["canary"]) + 1):
        (tmp_path / "file").write_bytes(bytes(at) + CANARY["canary"] + bytes(100))
        assert Search(CANARY, since).everywhere([tmp_path], [], []), at
