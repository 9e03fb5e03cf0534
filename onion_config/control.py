"""Driving a running tor through its control socket. The only module that imports stem.

tor's control-spec. Everything here waits for what tor says, up to a deadline; nothing sleeps and hopes.
"""

from __future__ import annotations

import logging
import queue
import re
import socket
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from keys.errors import Misconfigured
from keys.onion import OnionAddress
from onion_config.clients import ClientKey
from onion_config.deadline import Deadline, Progress, silent

try:
    import stem
    import stem.connection
    import stem.control
    import stem.response
    import stem.socket
except ModuleNotFoundError as missing:
    # Who drives a tor imports this module only then: couriers' and stations' installs come without stem.
    raise Misconfigured(
        "stem, which talks to a running tor, is not installed here.",
        "Install mustshare-dropbox with its extra “server”: its versions stand in requirements/server.txt.",
    ) from missing

# stem would log every message, and messages hold clients' keys.
logging.getLogger("stem").disabled = True

_CHECK_TOR: Final = "Check that it is tor 0.4.8 or later, and read its log."
_NEXT_REVISION_SECONDS: Final = 1.1
_ASK_AGAIN_SECONDS: Final = 0.5
_ASK_AGAIN_SECONDS_MOST: Final = 30.0
"""How long a directory may take to answer before another is asked: longer each time, to be no burden to them."""


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """How far a tor has come: percent, tor's own words for it, and its warning if it has one."""

    percent: int
    summary: str
    warning: str = ""


@dataclass(frozen=True, slots=True)
class _News:
    """What happened to a service's descriptor: tor's event HS_DESC."""

    action: str
    service: str
    reason: str


class _Controller(stem.control.BaseController):  # type: ignore[misc]
    """stem's connection, without its `Controller` on top.

    `Controller` listens for reloads, and then waits for a lock that closing holds: a command that ends right after a
    reload would hang (measured with stem 1.8.2).
    """

    def __init__(self, path: Path) -> None:
        self.news: queue.SimpleQueue[_News] = queue.SimpleQueue()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # stem calls Thread.setDaemon.
            super().__init__(stem.socket.ControlSocketFile(str(path)))

    def _handle_event(self, event_message: Any) -> None:
        stem.response.convert("EVENT", event_message)
        self.news.put(_News(event_message.action, event_message.address or "", event_message.reason or ""))


class Tor:
    """A connection to one tor's control socket. Close it, or use it as a context manager."""

    def __init__(self, controller: _Controller) -> None:
        self._controller = controller

    @classmethod
    def connect(cls, path: Path, deadline: Deadline) -> Self:
        """Connect and prove by tor's cookie that this account may.

        Raises:
            Misconfigured: no tor answers there in time, or its cookie can't be read.
        """
        reasons: list[str] = []
        controller = deadline.until(lambda: _connected(path, reasons))
        if controller is None:
            raise Misconfigured(
                f"No tor answers at the control socket ({reasons[-1]}).",
                "Check that tor runs with that ControlPort, and run this as the account that it runs as.",
            )
        return cls(controller)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._controller.close()

    def bootstrap(self) -> Bootstrap:
        """Raises: Misconfigured: tor has gone."""
        reply = "\n".join(self._ask("GETINFO status/bootstrap-phase"))
        percent = re.search(r"PROGRESS=(\d+)", reply)
        summary = re.search(r'SUMMARY="([^"]*)"', reply)
        warning = re.search(r'WARNING="([^"]*)"', reply)
        return Bootstrap(
            int(percent[1]) if percent else 0, summary[1] if summary else "", warning[1] if warning else ""
        )

    def wait_bootstrapped(self, deadline: Deadline, progress: Progress = silent) -> None:
        """Wait until tor can build circuits.

        Raises:
            Misconfigured: it can't in time; the message says how far it came and what tor says is in the way.
        """

        def looked() -> Bootstrap:
            now = self.bootstrap()
            progress(now.summary, now.percent / 100)
            return now

        deadline.until(lambda: looked().percent == 100)
        now = self.bootstrap()
        if now.percent < 100:
            reason = f" ({now.warning})" if now.warning else ""
            raise Misconfigured(
                f"tor came to {now.percent} % of connecting, “{now.summary}”, and no further{reason}.",
                "Check that this machine reaches the network and that its clock is right, then read tor's log.",
            )

    def wait_published(
        self, addresses: Sequence[OnionAddress], deadline: Deadline, progress: Progress = silent
    ) -> None:
        """Wait until each service's descriptor can be fetched from the network, or tor reports that it was uploaded.

        A descriptor that only clients with a key can read counts: it needn't be read for that. Any tor of the same
        network will do, the service's own or a client's.

        Raises:
            Misconfigured: one can't be in time.
        """
        missing = {address.removesuffix(".onion") for address in addresses}
        pause = _ASK_AGAIN_SECONDS
        self._ask("SETEVENTS HS_DESC")
        while missing:
            progress("waiting for the onion services to be published", 1 - len(missing) / len(addresses))
            for service in missing:
                self._ask(f"HSFETCH {service}")
            missing -= self._found(missing, Deadline(min(pause, deadline.left)))
            pause = min(1.5 * pause, _ASK_AGAIN_SECONDS_MOST)
            if missing and not deadline.left:
                raise Misconfigured(
                    f"{len(missing)} of {len(addresses)} onion services were not published in time.",
                    "Read the log of the tor that carries them.",
                )
        progress("the onion services are published", 1.0)

    def admit_with(self, address: OnionAddress, key: ClientKey) -> None:
        """Let this client tor read a service that wants client keys, until it ends or forgets.

        It forgets at Tor Browser's “New Identity” too. Tails refuses this command. A key file in `ClientOnionAuthDir`
        serves in both cases.

        Raises:
            Misconfigured: tor refuses.
        """
        self._ask(f"ONION_CLIENT_AUTH_ADD {address.removesuffix('.onion')} {key.control_blob()}")

    def forget_key(self, address: OnionAddress) -> None:
        """Take the client key for this service from a client tor. Raises: Misconfigured: tor refuses."""
        self._ask(f"ONION_CLIENT_AUTH_REMOVE {address.removesuffix('.onion')}")

    def end(self) -> None:
        """Make tor end at once. Raises: Misconfigured: it has gone already."""
        self._ask("SIGNAL HALT")

    def reload(self) -> None:
        """Make tor read its configuration and client keys again. Raises: Misconfigured: tor has gone."""
        self._ask("SIGNAL RELOAD")

    def reload_clients(self, address: OnionAddress, deadline: Deadline) -> None:
        """Let a service's tor read who may reach it, and wait until the directories have taken the new list.

        Returns at once if tor isn't connected yet: it will publish the new list when it is.

        Raises:
            Misconfigured: tor has gone, or the directories haven't taken it in time.
        """
        self._ask("SETEVENTS HS_DESC")
        self.reload()
        self._see_taken(address, deadline)

    def renew_service(self, folder: Path, address: OnionAddress, deadline: Deadline) -> None:
        """Take one onion service down and raise it again, with what its folder says now.

        This is what makes a revocation count. A mere reload publishes a descriptor that a revoked client can't read,
        but tor keeps the old introduction points, which that client still knows, and its open connections (measured
        with tor 0.4.9). Taken down, the service drops both; other services of this tor keep theirs.

        Raises:
            Misconfigured: this tor doesn't carry the service, doesn't let its services change (`Sandbox 1`), or can't
                publish it anew in time. In the last case nobody gets in.
        """
        self._ask("SETEVENTS HS_DESC")
        services = self._service_options()
        named = folder.resolve()  # Its path may lead through a link, for tor or for whoever calls.
        others = [option for service in services if Path(service[0][1]).resolve() != named for option in service]
        if len(others) == sum(map(len, services)):
            raise Misconfigured(
                "This tor doesn't carry that onion service.", "Name the control socket of the tor that does."
            )
        try:
            self._ask(
                "SETCONF " + (" ".join(f"{name}={_quoted(value)}" for name, value in others) or "HiddenServiceDir")
            )
        finally:
            self.reload()
        self._see_taken(address, deadline)

    def _see_taken(self, address: OnionAddress, deadline: Deadline) -> None:
        """Wait until a descriptor that is about to be uploaded was taken; make tor upload it again if it wasn't.

        A directory refuses a descriptor with the same revision number, and tor numbers them by the second. tor itself
        would try again only after an hour or two.
        """
        while self.bootstrap().percent == 100 and not self._taken(address.removesuffix(".onion"), deadline):
            if not deadline.left:
                raise Misconfigured(
                    "The network's directories haven't taken the service's new entry in time.",
                    "Check with: onion-config wait. If that fails too, restart tor.",
                )
            for _ in self._heard(Deadline(min(_NEXT_REVISION_SECONDS, deadline.left))):
                pass  # What still comes is of the upload that was refused.
            self.reload()

    def _taken(self, service: str, deadline: Deadline) -> bool:
        """Whether every directory that answers in time takes the upload that comes next, and at least one does."""
        pending = taken = 0
        for news in self._heard(deadline):
            if news.service != service:
                continue
            if news.action == stem.HSDescAction.UPLOAD:
                pending += 1
            elif news.action in (stem.HSDescAction.UPLOADED, stem.HSDescAction.FAILED):
                pending -= 1
                taken += news.action == stem.HSDescAction.UPLOADED
                if news.reason == stem.HSDescReason.UPLOAD_REJECTED:
                    return False
                if pending <= 0 and taken:
                    return True
        return taken > 0

    def _found(self, services: set[str], deadline: Deadline) -> set[str]:
        """Which of these were uploaded or fetched by then; returns early when all were."""
        found: set[str] = set()
        for news in self._heard(deadline):
            if news.action in (stem.HSDescAction.UPLOADED, stem.HSDescAction.RECEIVED):
                found |= {news.service} & services
            if found == services:
                break
        return found

    def _heard(self, deadline: Deadline) -> Iterator[_News]:
        """The news of descriptors as it comes, until then."""
        while True:
            try:
                yield self._controller.news.get(timeout=deadline.left)
            except queue.Empty:
                return

    def _service_options(self) -> list[list[tuple[str, str]]]:
        """The options of each persistent service, `HiddenServiceDir` first, in tor's order."""
        services: list[list[tuple[str, str]]] = []
        for line in self._ask("GETCONF HiddenServiceOptions"):
            name, separator, value = line.partition("=")
            if not separator:
                continue
            if name.lower() == "hiddenservicedir":
                services.append([])
            services[-1].append((name, value))
        return services

    def _ask(self, command: str) -> list[str]:
        with _translated():
            reply = self._controller.msg(command)
            lines = reply.content()
        code = lines[-1][0]
        if not code.startswith("2"):
            # tor repeats what it was told in some refusals, and what it was told may be a key.
            raise Misconfigured(
                f"tor refused {command.split()[0]} (code {code}).",
                _CHECK_TOR,
            )
        return [content for _, _, content in lines if content != "OK"]


def _connected(path: Path, reasons: list[str]) -> _Controller | None:
    controller: _Controller | None = None
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(path))  # stem leaves a socket open when nobody answers.
        controller = _Controller(path)
        stem.connection.authenticate(controller)
    except (OSError, stem.ControllerError, stem.connection.AuthenticationFailure) as error:
        reasons.append(str(error).replace(str(path.parent), "…"))
        if controller is not None:
            controller.close()
        return None
    return controller


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except stem.SocketError as error:
        raise Misconfigured("tor has closed its control socket.", "Read its log: it has probably ended.") from error
    except stem.ControllerError as error:
        raise Misconfigured(
            "tor refused a command.", "Check that it is tor 0.4.8 or later, and read its log."
        ) from error
