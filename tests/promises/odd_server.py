"""The server with one thing different, as a program: another clock, counted work, little patience, a planted fault.

Started as `odd_server.py HOME RUN_FOLDER ODDITIES`, the last as JSON (`tests.promises.server.Oddities`). The rest is
as in `dropbox-server serve`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dropbox import replies, service
from dropbox.consensus import ConsensusFile
from dropbox.home import Home
from dropbox.serving import launch, memory
from dropbox.serving.pace import Rate
from dropbox.serving.plan import Limits, Plan
from dropbox.store import Store, claims
from keys import mailbox, reply

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication

QUICK = Limits(rate=Rate(bytes_per_second=100_000, window_seconds=0.5, grace_seconds=0.5), head_seconds=1.0)


class Counting:
    """Writes down after each request how much looking up, reading, opening, verifying and stretching it took."""

    def __init__(self, application: WSGIApplication, store: Store, file: Path) -> None:
        self._application = application
        self._store = store
        self._file = file
        self._done = dict.fromkeys(("openings", "verifications", "stretchings"), 0)
        self._count("openings", replies, "open_cell")
        self._count("verifications", reply, "open_first")
        self._count("stretchings", mailbox, "stretch")

    def _count(self, name: str, where: object, called: str) -> None:
        function: Callable[..., Any] = getattr(where, called)

        def counted(*arguments: Any) -> Any:
            self._done[name] += 1
            return function(*arguments)

        change(where, called, counted)

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        before, done = self._store.work(), dict(self._done)
        answer = list(self._application(environ, start_response))
        after = self._store.work()
        facts = {name: count - done[name] for name, count in self._done.items()}
        facts |= {"lookups": after.lookups - before.lookups, "reads": after.reads - before.reads}
        with self._file.open("a") as file:
            file.write(json.dumps({"path": environ["PATH_INFO"], "method": environ["REQUEST_METHOD"], **facts}) + "\n")
        return answer


class OddServer(service.Server):
    counts = ""

    def applications(self) -> tuple[Any, Any]:
        source, collect = super().applications()
        if self.counts:
            change(source, "wsgi_app", Counting(source.wsgi_app, self.box.store, Path(self.counts)))
        return source, collect


def change(where: object, name: str, to: object) -> None:
    """Put something else in the place of a module's own."""
    setattr(where, name, to)


def be_quick() -> None:
    serve = launch.serve

    def quick(applications: launch.Applications, plan: Plan, **options: Any) -> int:
        return serve(applications, replace(plan, limits=QUICK), **options)

    change(launch, "serve", quick)


def place_in_order() -> None:
    change(claims, "below", lambda count, randomness: count - 1)


def main() -> int:
    home, run_folder, oddities = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    memory.poison_frees()
    if not oddities["in_the_open"]:
        memory.shield()
    if oddities["quick"]:
        be_quick()
    if oddities["in_order"]:
        place_in_order()

    def clock() -> int:
        ahead = Path(oddities["clock"]).read_text() if oddities["clock"] else "0"
        return int(time.time()) + int(ahead)

    OddServer.counts = oddities["counts"]
    consensus = ConsensusFile(Path(home).with_name("consensus"))
    server = OddServer(Home(Path(home)), Path(run_folder), clock, consensus)
    return server.serve(group=None, circuits=False, on_ready=lambda: print("ready", flush=True))


if __name__ == "__main__":
    sys.exit(main())
