"""What a visitor waits for: logging in with right and wrong codenames, a text under each flood, and the first page."""

from __future__ import annotations

import io
import itertools
import re
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from dropbox.home import Home
from dropbox.service import SMALL_UPLOAD_BYTES
from keys import codename
from keys.codename import Codename, Language
from keys.primitives import system_randomness
from scripts.benchmarks.dropbox_server import SERVER_NAME, Failed, Serving, box_of, founded, practice_network, serving
from scripts.benchmarks.load import slow_uploads
from scripts.benchmarks.report import Section, median, times
from tests.dropbox.serving.visitors import Visit
from tests.promises.browser import Browser
from tests.promises.crowd import Crowd, login
from tests.promises.desk import DeskPost
from tests.promises.server import fill
from tests.simulators.newsroom import Newsroom

REPLIES = 8
STRANGERS = 0x1_0000
FLOODING_UPLOADS = 200
FLOOD_BYTES_PER_SECOND = 2_000
LOGINS_A_MINUTE = 1_000
LOGINS_BEFORE = 100
MOST_BYTES, MOST_REQUESTS = 30_000, 3
MOST_SECONDS = 10.0
_LOADED = re.compile(r'<(?:link[^>]*rel="stylesheet"[^>]*href|iframe[^>]*src|img[^>]*src|script[^>]*src)="([^"]+)"')
Flood = Callable[[Serving], AbstractContextManager[None]]
_circuits = itertools.count(STRANGERS)


def measure(folder: Path, rounds: int, say: Callable[[str], None]) -> list[Section]:
    """Return the sections of logins, of texts under floods, and of the first page."""
    newsroom = practice_network()
    say("filling 1 GiB of room with noise")
    home = founded(folder, 1, newsroom)
    answered = codename.make(Language.THAI, system_randomness)
    _deliver(home, newsroom, answered)
    with serving(home) as box:
        say("logging in")
        logins = _logins(box, answered, 8 * rounds)
        say("the first page")
        first = _first_page(box)
        texts = {"nothing": _texts(box, rounds)}
        for title, flood in FLOODS.items():
            say(f"texts under {title}")
            with flood(box):
                texts[title] = _texts(box, rounds)
    say("texts when the disk is nearly full")
    with Home(home).open_store(system_randomness) as store:
        fill(store, newsroom.manifest.recipients, leaving=1)
    with serving(home) as box, _uploads(box):
        texts[f"{FLOODING_UPLOADS} slow uploads, and no room for files"] = _texts(box, rounds)
    return [_login_section(logins), _flood_section(texts), first]


def _deliver(home: Path, newsroom: Newsroom, to: Codename) -> None:
    """Put a desk's replies into a mailbox, as its bundle brings them."""
    place, post = Home(home), DeskPost(newsroom, 1, SERVER_NAME)
    entries = [entry for index in range(REPLIES) for entry in post.reply(to, "ตอบ " * 50, index=index)]
    with place.open_store(system_randomness) as store:
        box_of(place, store, newsroom).deliver(io.BytesIO(post.bundle(*entries)))


# Logging in.


def _logins(box: Serving, answered: Codename, rounds: int) -> dict[str, tuple[list[float], list[float]]]:
    """Log in with each kind of codename once a round, in turning order; return seconds to log in, and to be shown."""
    kinds: dict[str, Callable[[], str]] = {
        "right, nobody wrote": lambda: codename.make(Language.THAI, system_randomness).text,
        f"right, {REPLIES} replies": lambda: answered.text,
        "a wrong check word": _mistyped,
    }
    taken: dict[str, tuple[list[float], list[float]]] = {kind: ([], []) for kind in kinds}
    for number in range(rounds):
        order = list(kinds)
        for kind in order[number % 3 :] + order[: number % 3]:
            browser, typed = Browser(box.socket, "th", next(_circuits)), kinds[kind]()
            started = time.perf_counter()
            status = browser.sign_in(typed).status
            taken[kind][0].append(time.perf_counter() - started)
            if status == 303:
                started = time.perf_counter()
                browser.inbox()
                taken[kind][1].append(time.perf_counter() - started)
            if status != (400 if "wrong" in kind else 303):
                raise Failed(f"A login with a codename that is {kind} answered {status}.")
    return taken


def _mistyped() -> str:
    """Eight words of the list, the last of which doesn't fit."""
    words = codename.make(Language.THAI, system_randomness).words
    other = next(
        name.words[7]
        for name in iter(lambda: codename.make(Language.THAI, system_randomness), None)
        if name.words[7] != words[7]
    )
    return " ".join([*words[:7], other])


def _login_section(taken: dict[str, tuple[list[float], list[float]]]) -> Section:
    spread = ("10th", "90th percentile", "beside nobody wrote")
    columns = ("a codename that is", "login, ms, median", *spread, "mailbox, ms, median", *spread)
    section = Section("logins", "Logging in", columns)
    empty = next(iter(taken.values()))
    for kind, (entering, looking) in taken.items():
        section.rows.append(
            [kind, *_spread(entering, empty[0]), *(_spread(looking, empty[1]) if looking else [""] * 4)]
        )
    section.notes.append(
        f"{len(empty[0])} rounds, each once a round, in turning order. A wrong check word is told before anything is "
        "stretched: it says nothing about any mailbox. Whether somebody wrote must not show: there the ratio is near 1."
    )
    return section


def _spread(values: Sequence[float], beside: Sequence[float]) -> list[str]:
    tenths = statistics.quantiles(values, n=10)
    ratio = median([own / other for own, other in zip(values, beside, strict=True)])
    return [*(f"{each * 1e3:.1f}" for each in (median(values), tenths[0], tenths[-1])), f"{ratio:.3f} ×"]


# Floods.


@contextmanager
def _uploads(box: Serving) -> Iterator[None]:
    """Large uploads, one of each circuit, that send what they must and then a little at a time."""
    with Crowd(box.socket, bytes_per_second=FLOOD_BYTES_PER_SECOND) as crowd:
        for number, upload in enumerate(slow_uploads(FLOODING_UPLOADS, SMALL_UPLOAD_BYTES)):
            crowd.join(1 + number, *upload.pieces, at_once=upload.first)
        yield


def _half_heads(count: int) -> Flood:
    @contextmanager
    def flood(box: Serving) -> Iterator[None]:
        with ExitStack() as stack:
            for number in range(count):
                stack.enter_context(Visit(box.socket, 1 + number)).send(b"POST /en/send/x HTTP/1.1\r\nHost: x.on")
            yield

    return flood


@contextmanager
def _many_logins(box: Serving) -> Iterator[None]:
    """Logins with codenames that somebody could have, begun long enough ago that they wait for each other."""
    enough, begun = threading.Event(), threading.Event()
    with Crowd(box.socket) as crowd:

        def run() -> None:
            for number in itertools.count(1):
                if enough.wait(60 / LOGINS_A_MINUTE):
                    return
                crowd.join(number, login(codename.make(Language.ENGLISH, system_randomness).text))
                if number == LOGINS_BEFORE:
                    begun.set()

        thread = threading.Thread(target=run)
        thread.start()
        begun.wait()
        yield
        enough.set()
        thread.join()


FLOODS: dict[str, Flood] = {
    f"{FLOODING_UPLOADS} slow uploads": _uploads,
    "60 half-sent heads": _half_heads(60),
    "200 half-sent heads": _half_heads(200),
    f"{LOGINS_A_MINUTE:,} logins a minute": _many_logins,
}


def _texts(box: Serving, rounds: int) -> list[float]:
    """Send a text by a fresh circuit once a round; return the seconds from opening the form to the receipt."""
    taken = []
    for number in range(rounds):
        browser = Browser(box.socket, "en", next(_circuits))
        started = time.perf_counter()
        answer = browser.send(f"text {number}").answer
        taken.append(time.perf_counter() - started)
        if answer.status != 200:
            raise Failed(f"A text was answered {answer.status}.")
    return taken


def _flood_section(taken: dict[str, list[float]]) -> Section:
    section = Section(
        "floods", "A text under floods", ["while there is", "s, median", "worst", "beside nothing", "goal"]
    )
    rest = median(taken["nothing"])
    for title, values in taken.items():
        reached = "reached" if max(values) < MOST_SECONDS else "**missed**"
        goal = "" if title == "nothing" else f"below {MOST_SECONDS:.0f} s: {reached}"
        section.rows.append([title, f"{median(values):.2f}", f"{max(values):.2f}", times(median(values) / rest), goal])
    section.notes.append(
        "From opening the form to the receipt, which is shown after fsync; each text by a circuit of its own, as is "
        "each part of a flood. One stretching of a codename is in each."
    )
    return section


# The first page.


def _first_page(box: Serving) -> Section:
    section = Section("front", "The first page", ["with all that it loads", "bytes", "requests", "goal"])
    for language in ("th", "en"):
        browser = Browser(box.socket, language, next(_circuits))
        page = browser.get("/")
        loaded = [page, *(browser.request("GET", path) for path in dict.fromkeys(_LOADED.findall(page.text)))]
        if any(answer.status != 200 for answer in loaded):
            raise Failed("Something that the first page loads isn't there.")
        size = sum(len(answer.raw) for answer in loaded)
        reached = "reached" if size < MOST_BYTES and len(loaded) <= MOST_REQUESTS else "**missed**"
        goal = f"below {MOST_BYTES // 1_000} kB in at most {MOST_REQUESTS}: {reached}"
        section.rows.append([f"`/{language}/`", f"{size:,}", str(len(loaded)), goal])
    section.notes.append("Bytes as they go over the wire, headers included, nothing compressed; no call published.")
    return section
