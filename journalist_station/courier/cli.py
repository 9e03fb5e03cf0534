"""The command `dropbox-courier`: one errand between the drop box and the sticks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from journalist_station.courier.load import Errand
from journalist_station.courier.stick import Stick
from journalist_station.courier.sync import Courier
from journalist_station.courier.wire import Connect, Wire, through_socket, through_tor
from keys import files, keyfile, manifest, terminal
from keys.errors import Misconfigured, NotAuthentic, NotForUs
from keys.keyfile import SignerKeyFile
from keys.manifest import Manifest
from keys.minisign import MAX_DOCUMENT_BYTES, SignedDocument
from keys.terminal import Passphrases

COLLECT_PORT = 80
MAX_DOCUMENT_FILE_BYTES = MAX_DOCUMENT_BYTES + 65_536
INPUT = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def cli() -> None:
    """Carry sealed cells and signed bundles between the drop box and the stations' sticks."""


@cli.command()
@click.option(
    "--out",
    "sticks",
    multiple=True,
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="A mounted stick; give one for each desk that this trip serves.",
)
@click.option("--manifest", "manifest_file", required=True, type=INPUT, help="The newsroom's signed manifest.")
@click.option("--key", "key_file", required=True, type=INPUT, help="This courier's key file.")
@click.option("--server", help="Which server of the manifest.  [default: its only one]")
@click.option("--socks", default="127.0.0.1:9050", show_default=True, metavar="HOST:PORT", help="Tor's SOCKS port.")
@click.option("--socket", "unix_socket", hidden=True, type=click.Path(path_type=Path), help="For tests without tor.")
@terminal.with_passphrase_fd
@terminal.with_json
def sync(
    sticks: tuple[Path, ...],
    manifest_file: Path,
    key_file: Path,
    server: str | None,
    socks: str,
    unix_socket: Path | None,
    passphrases: Passphrases,
    as_json: bool,
) -> None:
    """Deliver what the sticks bring, fetch what they lack, wipe what is confirmed. Safe to run again at any time.

    What can be carried is carried. When a bundle or a stick had to be left behind, the table says which and why, and
    the command ends with that error's code.
    """
    in_force = _read_manifest(manifest_file)
    name = _server_name(in_force, server)
    key = keyfile.unlock(files.read_file(key_file, keyfile.MAX_BYTES), passphrases.ask(f"the key file {key_file.name}"))
    if not isinstance(key, SignerKeyFile) or key.role != "courier":
        raise NotForUs("This isn't a courier's key file.", "Make one with newsroom-keys courier new.")
    wires = [Wire(host, connect) for host, connect in _services(in_force, socks, name, unix_socket)]
    with ExitStack() as stack:
        places = [stack.enter_context(stick) for stick in _sticks(sticks, in_force, name)]
        courier = Courier(wires, in_force, name, key.seed, stack.enter_context(_Told()))
        try:
            courier.sync(places)
        finally:
            stack.close()
            if courier.errand != Errand():
                _show(courier.errand, as_json)
    terminal.note("Everything is written: eject the sticks before you pull them out.")
    terminal.note("Next: take each stick to its station and run: journalist-station import STICK")
    _raise_first(courier.errand)


def _raise_first(errand: Errand) -> None:
    """Raises: DropBoxError: why the first bundle stays on its stick; all the rest was carried."""
    for what, error in errand.troubles[:1]:
        others = f", like {len(errand.troubles) - 1} more" if len(errand.troubles) > 1 else ""
        raise type(error)(
            f"The bundle {what} stays on its stick{others}; all else was carried. {error.message}", error.remedy
        ) from error


def _read_manifest(path: Path) -> Manifest:
    """Read the manifest, and refuse a draft: one that its own roots haven't signed.

    Whether it is the newsroom's is the courier's to know: a courier holds nothing that could tell.
    """
    document = SignedDocument.decode(files.read_file(path, MAX_DOCUMENT_FILE_BYTES))
    found = manifest.parse(document.statement)
    if len(manifest.signers(document, found.roots)) < found.threshold:
        raise NotAuthentic("This manifest isn't signed by its roots.", "Ask the newsroom for the signed one.")
    return found


def _sticks(folders: Sequence[Path], in_force: Manifest, server: str) -> Iterator[Stick]:
    """Make the sticks, each once, however often and by whatever way it was named."""
    seen = set[Path]()
    for folder in folders:
        if (place := folder.resolve()) not in seen:
            seen.add(place)
            yield Stick(folder, in_force.network, server, in_force.desk_numbers)


def _server_name(in_force: Manifest, wanted: str | None) -> str:
    names = [server.name for server in in_force.servers]
    if wanted is None and len(names) == 1:
        return names[0]
    if wanted not in names:
        raise NotForUs("Say which server to go to.", f"Add --server with one of: {', '.join(names)}.")
    return wanted


def _services(
    in_force: Manifest, socks: str, isolation: str, unix_socket: Path | None
) -> Iterator[tuple[str, Connect]]:
    """Yield each address of the manifest's collect services, and how to connect to it."""
    if unix_socket is not None:
        yield "collect", through_socket(unix_socket)
        return
    host, _, port = socks.rpartition(":")
    if not host or not (port.isascii() and port.isdecimal()) or not 0 < int(port) < 65_536:
        raise Misconfigured("Tor's SOCKS port is written HOST:PORT.", "For Tails and Debian: 127.0.0.1:9050.")
    if not in_force.onions.collect:
        raise Misconfigured("The manifest names no collect service.", "Ask the newsroom for a manifest that does.")
    for address in in_force.onions.collect:
        yield str(address), through_tor(str(address), COLLECT_PORT, host, int(port), isolation)


class _Told:
    """Shows one bar for the fetching, and a line for everything else, where somebody is looking."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        console = Console(stderr=True)
        self._bar = Progress(
            *columns, TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal
        )
        self._task = self._bar.add_task("connecting through Tor", total=None)

    def __enter__(self) -> _Told:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, what: str, done: int, of: int) -> None:
        self._bar.update(self._task, description=what, completed=done, total=of or None)


def _show(errand: Errand, as_json: bool) -> None:
    if as_json:
        terminal.show_json(
            {
                "delivered": errand.delivered,
                "wiped": errand.wiped,
                "fetched": errand.fetched,
                "gone": errand.gone,
                "listed": errand.listed,
                "inventory": errand.inventory,
                "troubles": [
                    {"what": what, "why": error.message, "hint": error.remedy} for what, error in errand.troubles
                ],
            }
        )
        return
    rows: list[tuple[str, object]] = [(f"cells fetched to {name}", count) for name, count in errand.fetched.items()]
    rows += [("cells in the inventory", errand.listed), ("bundles delivered", errand.delivered)]
    rows += [("bundles confirmed and wiped", errand.wiped)]
    if errand.gone:
        rows.append(("cells that were gone or exchanged", errand.gone))
    rows += [(f"trouble with {what}", f"{error.message} {error.remedy}") for what, error in errand.troubles]
    terminal.show_table(("", ""), rows, title="What was carried")


def main() -> None:
    """Run the command, and exit with its code."""
    terminal.run(cli, "dropbox-courier")


if __name__ == "__main__":
    main()
