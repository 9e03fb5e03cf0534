"""How the server's processes live, are replaced, and end, while visitors are there."""

from __future__ import annotations

import contextlib
import grp
import os
import signal
import stat
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dropbox.serving.lanes import Lane
from dropbox.serving.launch import standing
from dropbox.serving.plan import Crew, Plan, Site
from keys.errors import Misconfigured
from tests.dropbox.serving.visitors import Server, Visit, small_site, wait_until

SIZE = 300_000


@contextlib.contextmanager
def half_an_upload(server: Server, target: str = "/send") -> Iterator[Visit]:
    """Have an upload under way, half of it sent, for the length of a block."""
    running = server.status()["running"]
    with server.visit(circuit=4_242) as visit:
        visit.head("POST", target, length=SIZE)
        visit.send(b"x" * (SIZE // 2))
        wait_until(lambda: server.status()["running"] == running + 1, "the upload runs")
        yield visit


def finish(visit: Visit) -> None:
    visit.send(b"x" * (SIZE // 2))
    assert visit.response().facts["bytes"] == SIZE


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def sockets_of(pid: int) -> set[str]:
    """Return the numbers of the sockets that a process has open."""
    names = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # Closed by the server since it was listed.
            names.append(os.readlink(descriptor))
    return {name.removeprefix("socket:[").removesuffix("]") for name in names if name.startswith("socket:")}


class TestStart:
    def test_only_the_owner_and_the_group_reach_the_sockets(self, folder: Path) -> None:
        group = grp.getgrgid(os.getgid()).gr_name
        with small_site(folder, group=group) as server:
            found = server.socket_path.stat()
            assert stat.S_ISSOCK(found.st_mode)
            assert stat.S_IMODE(found.st_mode) == 0o660
            assert found.st_gid == os.getgid()
            assert stat.S_IMODE(server.socket_path.parent.stat().st_mode) == 0o710
            passed = (folder / "run").stat()
            assert stat.S_IMODE(passed.st_mode) == 0o710, "the group must pass through here to the sockets"
            assert passed.st_gid == os.getgid()
            inside = [path for path in (folder / "run").iterdir() if path != server.socket_path.parent]
            assert all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in inside), "and find nothing else"

    def test_without_a_group_nobody_else_passes_the_run_folder(self, folder: Path) -> None:
        (folder / "run").mkdir(mode=0o710, parents=True)
        with small_site(folder):
            assert stat.S_IMODE((folder / "run").stat().st_mode) == 0o700

    def test_it_listens_on_nothing_else(self, site: Server) -> None:
        for pid in [site.process.pid, *site.workers()]:
            internet = "".join(Path(f"/proc/{pid}/net/{kind}").read_text() for kind in ("tcp", "tcp6", "udp", "udp6"))
            assert not {line.split()[9] for line in internet.splitlines()} & sockets_of(pid)
            local = [line.split() for line in Path(f"/proc/{pid}/net/unix").read_text().splitlines()[1:]]
            named = {words[7] for words in local if words[6] in sockets_of(pid) and len(words) > 7}
            assert named == {str(site.socket_path)}

    def test_two_servers_never_share_a_run_folder(self, site: Server) -> None:
        second = subprocess.run(site.process.args, capture_output=True, text=True, timeout=30, env=site.environment)
        assert second.returncode == 78
        assert second.stderr.startswith("error: A server already runs with this run folder")
        assert "Traceback" not in second.stderr
        assert site.get("/").status == 200

    def test_a_group_that_is_not_there_is_an_error_that_says_so(self, folder: Path) -> None:
        settings = Server.arguments(folder, group="no-such-group")
        failed = subprocess.run(settings, capture_output=True, text=True, timeout=30, env=Server.environment)
        assert failed.returncode == 78
        assert "no-such-group" in failed.stderr and "hint: " in failed.stderr

    def test_its_standing_can_be_asked(self, folder: Path) -> None:
        assert standing(folder / "run") is None
        with small_site(folder, poison=True, shield=True) as server:
            found = standing(folder / "run")
            assert found is not None and found.pid == server.process.pid
            assert found.memory["frees_poisoned"] is True
            assert found.memory["core_dumps_off"] is True
        assert standing(folder / "run") is None

    def test_it_leaves_no_socket_of_a_killed_server_in_the_way(self, folder: Path) -> None:
        with small_site(folder) as server:
            workers = server.workers()
            os.kill(server.process.pid, signal.SIGKILL)
            server.process.wait()
            wait_until(lambda: all(gone(pid) for pid in workers), "the workers notice and end")
            assert server.socket_path.exists()
        with small_site(folder) as server:
            assert server.get("/").status == 200

    @pytest.mark.parametrize(
        "crews",
        [
            (Crew("a", ("pages",)),),
            (Crew("a", ("pages", "files")), Crew("b", ("files",))),
            (Crew("a", ("pages", "files"), door=False),),
            (Crew("a", ("pages", "files"), processes=0),),
        ],
    )
    def test_a_plan_that_cannot_work_is_refused(self, folder: Path, crews: tuple[Crew, ...]) -> None:
        lanes = (Lane("pages", 1, 10), Lane("files", 1, 10))
        with pytest.raises(Misconfigured):
            Plan((Site("source", folder / "s", lanes, crews),), folder)

    def test_a_socket_path_that_the_system_cannot_take_is_refused(self, folder: Path) -> None:
        with pytest.raises(Misconfigured) as error:
            Site("source", Path("/" + "x" * 108), (Lane("pages", 1, 10),), (Crew("a", ("pages",)),))
        assert "107" in error.value.remedy


class TestEnd:
    @pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
    def test_it_ends_cleanly(self, folder: Path, sig: signal.Signals) -> None:
        with small_site(folder) as server:
            workers = server.workers()
            assert server.stop(sig) == 0
            assert all(gone(pid) for pid in workers)
            assert not server.socket_path.exists()
            assert "Traceback" not in server.log()

    def test_an_upload_has_time_to_end(self, folder: Path) -> None:
        with small_site(folder) as server, half_an_upload(server) as visit:
            server.tell(signal.SIGTERM)
            wait_until(lambda: not server.socket_path.exists(), "nothing new is taken")
            finish(visit)
            assert server.process.wait(20) == 0

    @pytest.mark.parametrize(("sig", "stop_seconds"), [(signal.SIGTERM, 0.5), (signal.SIGINT, 20.0)])
    def test_an_upload_that_does_not_end_is_interrupted_and_kept(
        self, folder: Path, sig: signal.Signals, stop_seconds: float
    ) -> None:
        with small_site(folder, stop_seconds=stop_seconds) as server, half_an_upload(server):
            assert server.stop(sig) == 0
        assert (folder / f"interrupted-after-{SIZE // 2}").exists()

    def test_workers_whose_arbiter_was_killed_keep_what_came(self, folder: Path) -> None:
        with small_site(folder) as server, half_an_upload(server):
            os.kill(server.process.pid, signal.SIGKILL)
            server.process.wait()
            wait_until((folder / f"interrupted-after-{SIZE // 2}").exists, "the upload is interrupted")


class TestKilledWorkers:
    def test_what_a_killed_worker_held_is_free_and_another_serves(self, folder: Path) -> None:
        with small_site(folder) as server, half_an_upload(server, "/send?gate") as visit:
            assert server.get("/gate").facts["gate"] == "busy"
            (killed,) = server.workers("files")
            os.kill(killed, signal.SIGKILL)
            with contextlib.suppress(ConnectionResetError):
                assert visit.rest() == b""
            wait_until(lambda: server.status()["running"] == 0, "the claim is released")
            assert server.get("/gate").facts["gate"] == "free"
            assert server.post("/send", b"x" * 1_000).facts["pid"] != killed

    def test_pages_answer_while_every_upload_process_is_gone(self, folder: Path) -> None:
        with small_site(folder) as server:
            for _ in range(3):
                (pid,) = wait_until(lambda: server.workers("files"), "an upload process runs")
                os.kill(pid, signal.SIGKILL)
                assert server.get("/").status == 200
            assert server.post("/send", b"x" * 1_000).facts["bytes"] == 1_000


class TestReplacement:
    def test_an_upload_finishes_and_new_visitors_meet_new_workers(self, folder: Path) -> None:
        with small_site(folder) as server, half_an_upload(server) as visit:
            before, session = server.workers(), server.get("/").facts["session"]
            (uploader,) = server.workers("files")
            server.tell(signal.SIGHUP)
            wait_until(lambda: set(server.workers()) & set(before) == {uploader}, "all but the uploader have gone")
            assert {server.get("/").facts["pid"] for _ in range(20)}.isdisjoint(before)
            assert server.post("/send", b"abc").facts["pid"] not in before
            assert server.get("/").facts["session"] == session
            finish(visit)
            wait_until(lambda: uploader not in server.workers(), "the uploader has gone")
            assert len(server.workers()) == len(before)

    def test_nobody_is_turned_away_meanwhile(self, folder: Path) -> None:
        with small_site(folder) as server:
            before = server.workers()
            failures: list[str] = []
            over = threading.Event()

            def ask() -> None:
                while not over.is_set():
                    try:
                        if server.get("/").status != 200 or server.post("/send", b"x" * 50_000).status != 200:
                            failures.append("refused")
                    except (OSError, AssertionError) as error:
                        failures.append(repr(error))

            askers = [threading.Thread(target=ask) for _ in range(3)]
            for asker in askers:
                asker.start()
            server.tell(signal.SIGHUP)
            wait_until(lambda: not set(server.workers()) & set(before), "all have been replaced")
            over.set()
            for asker in askers:
                asker.join()
            assert failures == []

    def test_while_old_workers_finish_new_ones_are_still_replaced(self, folder: Path) -> None:
        """gunicorn's own counting starts no replacement here, and the site closes (measured)."""
        with small_site(folder, page_processes=2, one_crew=True) as server, contextlib.ExitStack() as stack:
            uploads: list[Visit] = []
            while len(set(server.status()["owners"])) < 2:
                uploads.append(stack.enter_context(half_an_upload(server)))
            before = server.workers()
            server.tell(signal.SIGHUP)
            young = wait_until(lambda: [p for p in server.workers() if p not in before][1:], "both successors run")
            young = [pid for pid in server.workers() if pid not in before]
            wait_until(lambda: server.get("/").facts["pid"] in young, "a successor answers")
            for pid in young:
                os.kill(pid, signal.SIGKILL)
            wait_until(lambda: len(set(server.workers()) - set(before) - set(young)) == 2, "they are replaced")
            assert server.get("/").facts["pid"] not in {*before, *young}
            for visit in uploads:
                finish(visit)
            wait_until(lambda: len(server.workers()) == 2, "the old ones have gone")
            assert server.get("/").status == 200

    def test_one_that_is_killed_while_it_leaves_is_not_replaced_again(self, folder: Path) -> None:
        with small_site(folder) as server, half_an_upload(server):
            (uploader,) = server.workers("files")
            before = server.workers()
            server.tell(signal.SIGHUP)
            wait_until(lambda: set(server.workers()) & set(before) == {uploader}, "only the uploader is left")
            os.kill(uploader, signal.SIGKILL)
            wait_until(lambda: uploader not in server.workers(), "it has gone")
            assert server.post("/send", b"abc").status == 200
            assert len(server.workers()) == len(before)
            assert len(server.workers("files")) == 1

    def test_a_server_that_stops_interrupts_those_that_leave(self, folder: Path) -> None:
        with small_site(folder, stop_seconds=0.5) as server, half_an_upload(server):
            (uploader,) = server.workers("files")
            server.tell(signal.SIGHUP)
            wait_until(lambda: len(server.workers("files")) == 2, "a successor runs")
            assert server.stop() == 0
            assert gone(uploader)
        assert (folder / f"interrupted-after-{SIZE // 2}").exists()

    def test_processes_for_pages_are_replaced_by_age(self, folder: Path) -> None:
        with small_site(folder, lifetime_seconds=0.3) as server:
            before = server.workers("pages")

            def visited_and_replaced() -> bool:
                server.get("/")
                return not set(server.workers("pages")) & set(before)

            with half_an_upload(server) as visit:
                wait_until(visited_and_replaced, "both are replaced")
                finish(visit)
            assert len(server.workers("files")) == 1

    @pytest.mark.parametrize("sig", [signal.SIGUSR2, signal.SIGTTOU, signal.SIGWINCH, signal.SIGTTIN, signal.SIGUSR1])
    def test_other_signals_change_nothing(self, site: Server, sig: signal.Signals) -> None:
        before = site.workers()
        site.tell(sig)
        for _ in range(5):
            assert site.get("/").status == 200
        assert site.workers() == before


class TestMemory:
    def test_a_message_is_gone_from_every_process_soon_after_the_answer(self, folder: Path) -> None:
        with small_site(folder, poison=True) as server:
            canary = os.urandom(16).hex()
            for target in ("/login", "/send", "/flask/form", "/fail"):
                body = f"m={canary}".encode() * 50
                server.post(target, body, f"Cookie: c={canary}", "Content-Type: application/x-www-form-urlencoded")
            processes = [server.process.pid, *server.workers()]
            wait_until(lambda: not any(holds(pid, canary) for pid in processes), "no process holds it", 5)

    def test_and_it_was_there(self, folder: Path) -> None:
        with small_site(folder, poison=True) as server, server.visit() as visit:
            canary = os.urandom(16).hex()
            visit.head("POST", "/login", f"Cookie: c={canary}", length=100)
            wait_until(lambda: any(holds(pid, canary) for pid in server.workers("pages")), "a process holds it", 5)

    def test_no_file_is_written_while_an_upload_runs(self, folder: Path) -> None:
        canary = os.urandom(16).hex().encode()
        with small_site(folder) as server, server.visit() as visit:
            visit.head("POST", "/send", length=10_000_000)
            visit.send(canary * 100_000)
            wait_until(lambda: server.status()["running"] == 1, "the upload runs")
            for pid in [server.process.pid, *server.workers()]:
                for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                    with contextlib.suppress(FileNotFoundError):  # Closed by the server since it was listed.
                        facts = os.stat(descriptor)
                        if stat.S_ISREG(facts.st_mode) and "log" not in os.readlink(descriptor):
                            assert facts.st_size == 0
            assert not any(canary in file.read_bytes() for file in folder.rglob("*") if file.is_file())


def holds(pid: int, text: str) -> bool:
    """Whether this text stands anywhere in the writable memory of a process."""
    # The text itself must not come from a copy that this search made in the process: it runs in the tester's.
    with open(f"/proc/{pid}/mem", "rb", 0) as contents:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, rights = line.split()[:2]
            if rights.startswith("rw"):
                start, end = (int(part, 16) for part in span.split("-"))
                with contextlib.suppress(OSError):
                    contents.seek(start)
                    if text.encode() in contents.read(end - start):
                        return True
    return False
