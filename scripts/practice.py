"""A practice newsroom on one machine: founded, started, and explained step by step. `scripts/run` calls it.

Everything is done by the commands that a real newsroom uses; this program only calls them in the right order. The
passphrase of all practice keys lies beside them: nothing here is secret, and every page says that it is practice.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import click

from keys import terminal
from keys.ceremony import plan
from keys.errors import DropBoxError, Refused
from keys.languages import Text
from keys.primitives import system_randomness
from onion_config import browser, clients, onion_keys
from onion_config.control import Tor
from onion_config.deadline import Deadline
from onion_config.private_files import write_private
from onion_config.private_network import PrivateNetwork
from onion_config.torrc import OnionService

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
PASSPHRASE = "practice, not a secret"
ANSWER = "ได้รับแล้ว ขอบคุณครับ\n"
WORK_FACTOR = "10"  # Practice keys are unlocked often and protect nothing.
POSTS = ROOT / "scripts/lib/practice_posts.toml"
SERVER, COURIER = "alpha", "runner"
ROOTS = ("a", "b", "c")
SITES = ("source", "collect")
THRESHOLD = 2
READY_SECONDS = 180.0
SIGN = "practice-newsroom"
"""A file that says whose folder this is, and that somebody works with it while it is locked."""
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What ends it: Ctrl-C, a program that wants it to end, a terminal that was closed."""


@dataclass(frozen=True)
class Desk:
    """One of the founders that this practice borrows its names from. They have endorsed nothing."""

    number: int
    folder: str
    thai: str
    english: str


DESKS = (
    Desk(1, "isra", "สำนักข่าวอิศรา (ฝึกซ้อม)", "Isra News Agency (practice)"),
    Desk(2, "khonthai", "มูลนิธิคนไทย (ฝึกซ้อม)", "Khon Thai Foundation (practice)"),
    Desk(3, "watchdog", "ปฏิบัติการหมาเฝ้าบ้าน (ฝึกซ้อม)", "Watchdog Operation (practice)"),
    Desk(4, "hand", "แฮนด์ โซเชียล เอนเทอร์ไพรส์ (ฝึกซ้อม)", "HAND Social Enterprise (practice)"),
)


class Failed(DropBoxError):
    """A command failed: what happened in the first line, and below it what the command said."""

    default_remedy = "Start again with scripts/run --reset; that erases the practice data."

    def __init__(self, told: str) -> None:
        first, _, self.said = told.partition("\n")
        super().__init__(f"{first.rstrip(':.')}.")


class Practice:
    """The practice newsroom below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ceremony = folder / "ceremony"
        self.passphrase = folder / "passphrase"
        self.server = folder / "server"
        self.tor = folder / "tor"
        self.firefox = folder / "firefox"
        self.marker = folder / "founded"
        self.pictures = folder / "pictures"
        self.answer = folder / "answer.txt"

    def station(self, desk: Desk) -> Path:
        return self.folder / "stations" / desk.folder

    def stick(self, desk: Desk) -> Path:
        return self.folder / "sticks" / desk.folder

    def onion(self, site: str) -> Path:
        return self.tor / "onions" / site

    @property
    def manifest(self) -> Path:
        return self.ceremony / "manifest-1.document"

    def command(self, name: str, *arguments: object, secret: bool = False) -> list[str]:
        """Return a command of the installed distribution; with `secret`, its passphrases come from descriptor 3."""
        words = [str(BIN / name), *map(str, arguments)]
        return [*words, "--passphrase-fd", "3"] if secret else words

    def run(self, name: str, *arguments: object, secret: bool = False) -> str:
        """Run a command to its end and return what it printed. Raises: Failed: what it said."""
        with self.passphrase.open("rb") as lines:
            done = subprocess.run(
                ["bash", "-c", 'exec "$@" 3<&0 </dev/null', "-", *self.command(name, *arguments, secret=secret)],
                stdin=lines,
                capture_output=True,
                text=True,
                cwd=self.folder,
            )
        if done.returncode:
            raise Failed(f"{name} {arguments[0]} failed:\n{done.stderr.strip()}")
        return done.stdout

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keep everybody else out of the folder, which is made when it isn't there.

        Raises:
            Refused: the newsroom runs already, or the folder holds something else, which must not be erased.
        """
        sign = self.folder / SIGN
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not sign.exists() and any(self.folder.iterdir()):
            raise Refused(
                "This folder holds something else than a practice newsroom.", "Name an empty folder, or none."
            )
        with sign.open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Refused(
                    "This practice newsroom runs already. It was left as it is.",
                    "Use that one, or end it with Ctrl-C in its own terminal; or practise in another: --folder FOLDER",
                ) from error
            yield

    def erase(self) -> None:
        for path in self.folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name != SIGN:
                path.unlink()

    def found(self, say: Callable[[str], object]) -> None:
        """Make every key, the manifest, the server, the stations: in the order of a real founding."""
        if self.marker.exists():
            return
        self.erase()
        for folder in (self.ceremony, self.tor):
            folder.mkdir(mode=0o700)
        self.passphrase.write_text(f"{PASSPHRASE}\n" * 8)
        say("onion addresses")
        addresses = {name: str(onion_keys.make(self.onion(name), system_randomness).address) for name in SITES}
        say("the server's room (1 GiB of noise) and its key")
        self.run("dropbox-server", "init", "--home", self.server, "--name", SERVER, "--gib", 1)
        shutil.copy(self.server / f"server-{SERVER}.card", self.ceremony / f"{SERVER}.card")
        say("keys of three roots, four desks and a courier")
        self._make_keys()
        say("the manifest, signed by two of three roots")
        network = self._make_manifest(addresses)
        say("four stations, each with its keys for the coming weeks")
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # Each is a vault of its own; locking one takes seconds.
            lists = pool.map(lambda desk: self._make_station(desk, network), DESKS)
            documents = [self.manifest, *lists]
        say("a call, and what came of it")
        documents += self._publish(DESKS[0])
        self.run("dropbox-server", "admit", "--home", self.server, "--network", network, *documents)
        self.marker.write_text(network + "\n")

    def _make_keys(self) -> None:
        work = ("--work-factor", WORK_FACTOR)
        for root in ROOTS:
            key = self.ceremony / f"root-{root}.key"
            self.run("newsroom-keys", "root", "new", key, "--name", f"root {root}", *work, secret=True)
        for desk in DESKS:
            names = ("--name-th", desk.thai, "--name-en", desk.english)
            key = self.ceremony / f"desk-{desk.number}.key"
            self.run("newsroom-keys", "desk", "new", key, "--number", desk.number, *names, *work, secret=True)
        key = self.ceremony / f"{COURIER}.key"
        self.run("newsroom-keys", "courier", "new", key, "--name", COURIER, *work, secret=True)

    def _make_manifest(self, addresses: dict[str, str]) -> str:
        written, draft = self.ceremony / "plan.toml", self.ceremony / "manifest.draft"
        written.write_text(plan_text(addresses), "utf-8")
        given = (draft, "--plan", written, "--practice", "--json")
        told = json.loads(self.run("newsroom-keys", "manifest", "draft", *given))
        signatures = []
        for root in ROOTS[:THRESHOLD]:
            signature = self.ceremony / f"root-{root}.minisig"
            key = self.ceremony / f"root-{root}.key"
            self.run("newsroom-keys", "manifest", "sign", draft, "--key", key, "--out", signature, secret=True)
            signatures.append(signature)
        self.run("newsroom-keys", "manifest", "assemble", draft, *signatures, "--out", self.ceremony)
        return str(told["network"])

    def _make_station(self, desk: Desk, network: str) -> Path:
        """Make a desk's vault and its first epoch list; return the list's document."""
        vault = self.station(desk)
        vault.parent.mkdir(parents=True, exist_ok=True)
        self.stick(desk).mkdir(parents=True, exist_ok=True)
        key = self.ceremony / f"desk-{desk.number}.key"
        given = ("--desk-key", key, "--manifest", self.manifest, "--network", network, "--vault", vault)
        self.run("journalist-station", "init", *given, secret=True)
        self.run("journalist-station", "epochs", "--out", self.ceremony, "--vault", vault, secret=True)
        return self.ceremony / f"epochs-{desk.number}-1.document"

    def _publish(self, desk: Desk) -> list[Path]:
        """Have a desk sign the practice posts; return their documents, which wait in its outbox as well."""
        documents: list[Path] = []
        about: tuple[str, ...] = ()
        for post in tomllib.loads(POSTS.read_text("utf-8"))["post"]:
            words = ["--kind", post["kind"], "--title-th", post["title"]["th"], "--title-en", post["title"]["en"]]
            for language in ("th", "en"):
                body = self.folder / f"{post['kind']}-{language}.md"
                body.write_text(post["body"][language].strip() + "\n", "utf-8")
                words += [f"--body-{language}", str(body)]
            for question in post.get("questions", ()):
                words += ["--question", question["th"], question["en"]]
            given = (*words, *about, "--out", self.ceremony, "--vault", self.station(desk), "--json")
            told = json.loads(self.run("journalist-station", "bulletin", "sign", *given, secret=True))
            about = about or ("--about", told["bulletin"])
            documents.append(Path(told["document"]))
        return documents


def plan_text(addresses: dict[str, str]) -> str:
    """The plan of the practice network's manifest."""
    return plan.filled(
        {
            "name": Text("ต้องแฉ (ฝึกซ้อม)", "Must Share (practice)"),
            "threshold": THRESHOLD,
            "roots": [f"root-{root}.card" for root in ROOTS],
            "desks": [f"desk-{desk.number}.card" for desk in DESKS],
            "servers": [f"{SERVER}.card"],
            "couriers": [f"{COURIER}.card"],
            "partners": [Text("สื่อพลเมืองและสื่อท้องถิ่น (ฝึกซ้อม)", "Citizen and local media (practice)")],
            "supporters": [Text("องค์กรต่อต้านคอร์รัปชัน (ฝึกซ้อม)", "Anti-Corruption Organization (practice)")],
            **{site: [addresses[site]] for site in SITES},
        }
    )


class Running:
    """The practice newsroom while it runs: the private Tor network and the server. Used as a context manager."""

    def __init__(self, practice: Practice, say: Callable[[str], object]) -> None:
        self._practice = practice
        self._say = say
        # Unix sockets' paths are short, and the practice folder's may not be: a short link leads there.
        self._short = Path(tempfile.mkdtemp(prefix="mustshare-"))
        (self._short / "tor").symlink_to(practice.tor)
        self.run_folder = self._short / "run"
        services = [
            OnionService(self._short / "tor/onions" / site, self.run_folder / site / "http.sock") for site in SITES
        ]
        self.network = PrivateNetwork(self._short / "tor/network", services)
        self._server: subprocess.Popen[bytes] | None = None
        self.addresses = {site: onion_keys.read(practice.onion(site)).address for site in SITES}

    def __enter__(self) -> Running:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start(self) -> None:
        self._say("the drop box")
        self._start_server()
        courier = self._admit_courier()
        self._say("a private Tor network: three authorities, three relays, a server's tor, a visitor's tor")
        self.network.start()
        client = self.network.client()
        with Tor.connect(client.control, Deadline(READY_SECONDS)) as tor:
            tor.admit_with(self.addresses["collect"], courier)
        self._say("both onion services")
        self.network.wait_published(list(self.addresses.values()))

    def _start_server(self) -> None:
        log = (self._practice.folder / "server.log").open("wb")
        places = ("--home", self._practice.server, "--run", self.run_folder)
        consensus = ("--consensus", self.network.service_consensus)
        command = self._practice.command("dropbox-server", "serve", *places, *consensus)
        self._server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        log.close()
        socket_path = self.run_folder / "source/http.sock"
        deadline = time.monotonic() + READY_SECONDS
        while not socket_path.exists():
            if self._server.poll() is not None or time.monotonic() > deadline:
                said = (self._practice.folder / "server.log").read_text("utf-8", "replace")
                raise Failed(f"dropbox-server serve did not start:\n{said.strip()}")
            time.sleep(0.05)

    def _admit_courier(self) -> clients.ClientKey:
        """Give the practice courier a client key for the collect service, once; return it."""
        name, service = clients.courier_name(COURIER), self._practice.onion("collect")
        kept = self._practice.tor / clients.client_file_name(name)
        if not kept.exists():
            if name in clients.names(service):
                clients.revoke(service, name, system_randomness)  # A start that was cut off lost the other half.
            key = clients.add(service, name, system_randomness)
            write_private(kept, key.client_line(self.addresses["collect"]).encode())
        return clients.parse_client_line(kept.read_text("ascii"))[1]

    def check(self) -> None:
        """Raises: Failed: something ended by itself."""
        self.network.check()
        if self._server is not None and self._server.poll() is not None:
            raise Failed(f"The drop box ended by itself: see {self._practice.folder / 'server.log'}")

    def stop(self) -> None:
        self.network.stop()
        if self._server is not None:
            self._server.terminate()
            try:
                self._server.wait(30)
            except subprocess.TimeoutExpired:
                self._server.kill()
                self._server.wait()
        shutil.rmtree(self._short, ignore_errors=True)


@dataclass(frozen=True)
class Step:
    """One line to paste: what it does, and the command."""

    title: str
    command: str


def steps(practice: Practice, running: Running) -> list[Step]:
    """The four commands that walk one tip all the way."""
    desk = DESKS[0]
    stick, vault = practice.stick(desk), practice.station(desk)
    sticks = [word for each in DESKS for word in ("--out", str(practice.stick(each)))]
    socks = f"127.0.0.1:{running.network.client().socks_port}"
    key = practice.ceremony / f"{COURIER}.key"
    station = ("--vault", str(vault))
    page = browser.command(practice.firefox, f"http://{running.addresses['source']}/th/")

    def line(*words: object, secret: bool = True) -> str:
        text = shlex.join(map(str, words))
        return f"{text} --passphrase-fd 3 3<{shlex.quote(str(practice.passphrase))}" if secret else text

    def tool(name: str) -> Path:
        return BIN / name

    # What is said to a source is never an argument: those stay in the shell's history.
    reply = line(tool("journalist-station"), "reply", 1, "--state", "checking", "--text-file", "-", *station)
    reply += f" <{shlex.quote(str(practice.answer))}"
    outbox = line(tool("journalist-station"), "outbox", "--to", stick, *station)
    return [
        Step("open the page as a source, and send a tip", line(*page, secret=False)),
        Step(
            "carry it: the courier's errand over Tor",
            line(
                tool("dropbox-courier"),
                "sync",
                "--manifest",
                practice.manifest,
                "--key",
                key,
                "--socks",
                socks,
                *sticks,
            ),
        ),
        Step("import it at the first desk's station", line(tool("journalist-station"), "import", stick, *station)),
        Step(
            "reply with the words in answer.txt (without <… you type them), and write the outbox; "
            "then carry again (2), and look at your replies (1)",
            f"{reply} && {outbox}",
        ),
    ]


def picture(practice: Practice, running: Running) -> Path | None:
    """Take a picture of the first page with the same Firefox, where no display shows it."""
    if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        return None
    practice.pictures.mkdir(exist_ok=True)
    target = practice.pictures / "front.png"
    target.unlink(missing_ok=True)
    url = f"http://{running.addresses['source']}/th/"
    command = [
        "firefox-esr",
        "--headless",
        "--no-remote",
        "--profile",
        str(practice.firefox),
        "--window-size",
        "400,900",
        "--screenshot",
        str(target),
        url,
    ]
    with contextlib.suppress(subprocess.TimeoutExpired, OSError):
        subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120
        )
    return target if target.exists() else None


@click.command()
@click.option("--reset", is_flag=True, help="Erase the practice newsroom first.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=ROOT / "practice",
    help="Where it lies.  [default: practice/]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the steps as one line of JSON, for programs.")
def main(reset: bool, folder: Path, as_json: bool) -> int:
    """Start a practice newsroom on this machine and stay until Ctrl-C."""
    practice = Practice(folder.absolute())

    def say(what: str) -> None:
        print(f"   {what} …", file=sys.stderr, flush=True)

    for each in ENDINGS:
        signal.signal(each, _interrupt)
    try:
        with practice.alone():
            if reset:
                practice.erase()
            practice.found(say)
            if not practice.answer.exists():
                practice.answer.write_text(ANSWER, "utf-8")
            with Running(practice, say) as running:
                browser.write_profile(practice.firefox, running.network.client().socks_port)
                tell(practice, running, as_json=as_json)
                wait_for_the_end(running)
        return 0
    except KeyboardInterrupt:
        return 130
    except Failed as error:
        print(error.said, file=sys.stderr)
        raise


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def wait_for_the_end(running: Running) -> None:
    """Return at one of `ENDINGS`. Raises: Failed, DropBoxError: something ended by itself."""
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDINGS)
    while signal.sigtimedwait(ENDINGS, 2) is None:
        running.check()
    print("ending …", file=sys.stderr)


def tell(practice: Practice, running: Running, *, as_json: bool) -> None:
    """Print the four lines, and how to look without a display."""
    lines = steps(practice, running)
    if as_json:
        told = {
            "steps": [step.command for step in lines],
            "addresses": {site: str(each) for site, each in running.addresses.items()},
            "socks": running.network.client().socks_port,
            "onions": str(practice.tor / "onions"),
            "control": str(running.network.service_control),
            "client_control": str(running.network.client().control),
        }
        print(json.dumps(told), flush=True)
        return
    print("\nThe practice newsroom is open. Paste these into another terminal, one after the other:\n")
    for number, step in enumerate(lines, 1):
        print(f"{number}. {step.title}\n\n   {step.command}\n")
    print(
        "What a step prints after “Next:” is for a machine where everything is installed, with a person at the keys.\n"
        "To paste that too, say this first in the other terminal:\n\n"
        f"   export PATH={shlex.quote(str(BIN))}:$PATH\n\n"
        f"The passphrase that it then asks for: {PASSPHRASE}\n",
        flush=True,
    )
    shown = picture(practice, running)
    if shown is not None:
        print(
            f"There is no display here. A picture of the first page: {shown}\n"
            "To look around, run step 1 where there is one: at the machine itself, or over ssh -X.\n"
        )
    print("Ctrl-C ends everything. The data stays in", practice.folder, flush=True)


if __name__ == "__main__":
    terminal.run(main, "scripts/run")
