"""The command `onion-config`: onion keys, torrc, couriers' client keys, and a private Tor network."""

from __future__ import annotations

import shlex
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

from keys import files, manifest, terminal
from keys.errors import DropBoxError, NotForUs, Refused
from keys.manifest import Manifest
from keys.minisign import MAX_DOCUMENT_BYTES, SignedDocument
from keys.onion import OnionAddress
from keys.primitives import system_randomness
from onion_config import authority, browser, clients, consensus, onion_keys, torrc
from onion_config.deadline import Deadline, Progress
from onion_config.private_files import private_folder, write_private
from onion_config.torrc import Node, OnionService

# What drives a running tor needs stem, which only a server's install has: it is imported by the commands that do so.
if TYPE_CHECKING:
    from onion_config.control import Tor
    from onion_config.private_network import PrivateNetwork

SOURCE, COLLECT = "source", "collect"
CHANGE_SECONDS = 60
MAX_DOCUMENT_FILE_BYTES = MAX_DOCUMENT_BYTES + 65_536
FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)

with_onions = click.option("--onions", type=FOLDER, required=True, help="The folder of both onion services' keys.")
with_control = click.option("--control", type=FILE, help="The control socket of the tor that carries the services.")
with_source_socket = click.option("--source-socket", type=FILE, required=True, help="The source site's Unix socket.")
with_collect_socket = click.option(
    "--collect-socket", type=FILE, required=True, help="The collect interface's Unix socket."
)


@click.group()
def cli() -> None:
    """Set up Tor for a drop box: its two onion services, the couriers who may reach one of them, and a practice net."""


@cli.command()
@with_onions
@terminal.with_json
def keys(onions: Path, as_json: bool) -> None:
    """Make the keys of both onion services, or read those that are there, and print their addresses.

    The addresses go into the manifest, so this comes first of all. The folder must stay on the server, and secret.
    """
    private_folder(onions)
    source = onion_keys.make(onions / SOURCE, system_randomness)
    collect = onion_keys.make(onions / COLLECT, system_randomness)
    clients.close_to_strangers(onions / COLLECT, system_randomness)
    _show({SOURCE: source.address, COLLECT: collect.address}, as_json)
    terminal.note("Both addresses go into the manifest's plan.")


@cli.command("torrc")
@with_onions
@with_source_socket
@with_collect_socket
@click.option("--tor", "folder", type=FOLDER, required=True, help="Where that tor is to keep its data.")
@click.option("--public", "public", is_flag=True, help="For the public Tor network; needs --manifest.")
@click.option("--manifest", "document", type=FILE, help="The newsroom's signed manifest.")
@click.option("--network", type=FOLDER, help="For the private network in this folder.")
@click.option("--apparmor", is_flag=True, help="Print what AppArmor must allow tor, instead.")
def torrc_(
    onions: Path,
    source_socket: Path,
    collect_socket: Path,
    folder: Path,
    public: bool,
    document: Path | None,
    network: Path | None,
    apparmor: bool,
) -> None:
    """Print the configuration of the tor that carries both onion services.

    The text for a private network is the one for the public network with the network's lines added. Signatures of the
    manifest are not checked here, but by the server when it admits it.
    """
    services = _services(onions, source_socket, collect_socket)
    if public == (network is not None):
        raise click.UsageError("Give either --public or --network FOLDER.")
    if public:
        if document is None:
            raise click.UsageError("--public needs --manifest FILE.")
        signed = SignedDocument.decode(files.read_file(document, MAX_DOCUMENT_FILE_BYTES))
        check_public(manifest.parse(signed.statement), *_addresses(onions))
    testing = authority.known_to(network, time.time()) if network else None
    text = torrc.server(Node("server", folder.absolute()), services, testing)
    click.echo(torrc.apparmor_rules(services) if apparmor else text, nl=False)


def check_public(in_force: Manifest, source: OnionAddress, collect: OnionAddress) -> None:
    """Refuse to put a practice newsroom, or somebody else's, on the public Tor network.

    Raises:
        Refused: the manifest says that it is for practice.
        NotForUs: it doesn't name these addresses.
    """
    if in_force.practice:
        raise Refused(
            "This manifest is for practice, and a practice newsroom stays off the public Tor network.",
            "Found a real newsroom with newsroom-keys, or practise on a private network.",
        )
    if source not in in_force.onions.source or collect not in in_force.onions.collect:
        raise NotForUs(
            "The manifest doesn't name the addresses of these onion keys.",
            "Use the keys that were made for this newsroom, or a manifest that names them.",
        )


@cli.group()
def network() -> None:
    """A private Tor network on this machine, for practice and tests."""


@network.command()
@click.option("--folder", type=FOLDER, required=True, help="Where the network keeps everything.")
@with_onions
@with_source_socket
@with_collect_socket
@terminal.with_json
def start(folder: Path, onions: Path, source_socket: Path, collect_socket: Path, as_json: bool) -> None:
    """Start a private Tor network with both onion services, and keep it running until Ctrl-C.

    Prints its SOCKS port and the addresses once everything can be reached. Started again on the same folder, it has the
    same ports and takes seconds.
    """
    from onion_config.private_network import PrivateNetwork

    for number in (signal.SIGTERM, signal.SIGINT):  # A shell starts what it puts in the background deaf to Ctrl-C.
        signal.signal(number, _interrupt)
    addresses = _addresses(onions)
    net = PrivateNetwork(folder, _services(onions, source_socket, collect_socket))
    try:
        with _bar() as progress:
            net.start(progress=progress)
            net.wait_published(addresses, progress=progress)
        client = net.client()
        _show(
            {
                "socks": f"127.0.0.1:{client.socks_port}",
                SOURCE: addresses[0],
                COLLECT: addresses[1],
                "control": str(net.service_control),
                "client_control": str(client.control),
                "client_keys": str(client.auth_folder),
            },
            as_json,
        )
        sys.stdout.flush()
        terminal.note("The private Tor network is up. Ctrl-C ends it.")
        _watch(net)
    except DropBoxError as error:
        for line in getattr(error, "__notes__", ()):
            click.echo(terminal.printable(line), err=True)
        raise
    finally:
        net.stop()


def _watch(net: PrivateNetwork) -> None:
    """Return at Ctrl-C or SIGTERM. Raises: Misconfigured: a tor ended by itself."""
    never = threading.Event()
    try:
        while not never.wait(1):
            net.check()
    except KeyboardInterrupt:
        return


@cli.command("consensus")
@click.option("--tor", "folder", type=FOLDER, required=True, help="Where that tor keeps its data.")
@click.option(
    "--to",
    type=FILE,
    default=Path("/run/mustshare-tor/consensus"),
    show_default=True,
    help="Where the server looks: its --consensus.",
)
def consensus_(folder: Path, to: Path) -> None:
    """Copy the times of tor's newest consensus to where the server may read them, to compare its clock with.

    Only tor's own account may read that file of tor's: have this run as that account, each minute. Where server and tor
    share an account, give the server the file cached-microdesc-consensus itself.
    """
    consensus.copy_head(folder, to)


@cli.group()
def courier() -> None:
    """Who may reach the collect interface: one client key a courier."""


@courier.command()
@click.argument("name")
@with_onions
@click.option("--to", type=FOLDER, required=True, help="Where the key file goes: a stick, or ClientOnionAuthDir.")
@with_control
@click.option("--client-control", type=FILE, help="The control socket of the courier's tor, to tell it at once.")
@terminal.with_json
def add(name: str, onions: Path, to: Path, control: Path | None, client_control: Path | None, as_json: bool) -> None:
    """Make a client key for the courier NAME, and write the file that goes onto the courier's laptop.

    The file belongs into tor's ClientOnionAuthDir there (on Tails too) and nowhere else: the server keeps only its
    public half. With --control, the running tor admits it at once; without, at its next start.
    """
    service = onions / COLLECT
    address = onion_keys.read(service).address
    courier_name = clients.courier_name(name)
    file = to / clients.client_file_name(courier_name)
    if file.exists():
        raise Refused("The courier's key file is there already.", "Revoke that key first, or choose another folder.")
    if not to.exists():
        private_folder(to)
    with ExitStack() as tors:
        # Before anything changes, so that nothing is half done when one of them doesn't answer.
        server = tors.enter_context(_tor(control)) if control else None
        client = tors.enter_context(_tor(client_control)) if client_control else None
        key = clients.add(service, courier_name, system_randomness)
        write_private(file, key.client_line(address).encode())
        if server:
            server.reload_clients(address, Deadline(CHANGE_SECONDS))
        if client:
            client.admit_with(address, key)
    _show({"courier": courier_name, "file": str(file), "admitted": "now" if control else "when tor starts"}, as_json)
    terminal.note(f"Carry {file.name} to the courier by hand: it goes into ClientOnionAuthDir of their tor.")
    terminal.note("Next, on the courier's laptop: dropbox-courier sync --manifest MANIFEST --key KEY --out STICK")


@courier.command("list")
@with_onions
@terminal.with_json
def list_(onions: Path, as_json: bool) -> None:
    """List the couriers that have a client key."""
    names = clients.names(onions / COLLECT)
    if as_json:
        terminal.show_json({"couriers": list(names)})
    else:
        terminal.show_table(("courier",), [(name,) for name in names])


@courier.command()
@click.argument("name")
@with_onions
@with_control
@terminal.with_json
def revoke(name: str, onions: Path, control: Path | None, as_json: bool) -> None:
    """Take the client key of the courier NAME away: also a connection that is open now ends.

    With --control, the running tor raises the collect interface anew, which takes a few seconds; the source site isn't
    touched. Without, restart tor: until then the courier gets in.
    """
    service = onions / COLLECT
    clients.revoke(service, clients.courier_name(name), system_randomness)
    if control is not None:
        try:
            with _tor(control) as tor:
                tor.renew_service(service.absolute(), onion_keys.read(service).address, Deadline(CHANGE_SECONDS))
        except DropBoxError as error:
            raise type(error)(
                f"The key is off the list, but the running tor still lets it in: {error.message}",
                "Restart tor now.",
            ) from error
    _show({"courier": name, "revoked": "now" if control else "when tor is restarted"}, as_json)


@cli.command()
@with_onions
@click.option("--control", type=FILE, required=True, help="The control socket of a running tor.")
@click.option("--seconds", type=click.IntRange(1), default=180, show_default=True, help="How long to wait at most.")
@terminal.with_json
def wait(onions: Path, control: Path, seconds: int, as_json: bool) -> None:
    """Wait until tor is connected and both onion services can be found."""
    from onion_config.control import Tor

    deadline = Deadline(seconds)
    addresses = _addresses(onions)
    with _bar() as progress, Tor.connect(control, deadline) as tor:
        tor.wait_bootstrapped(deadline, progress)
        tor.wait_published(addresses, deadline, progress)
    _show({SOURCE: addresses[0], COLLECT: addresses[1]}, as_json)


@cli.command("browser")
@click.argument("profile", type=FOLDER)
@click.argument("url")
@click.option("--socks", type=click.IntRange(1, 65535), required=True, help="The SOCKS port of a tor on this machine.")
@terminal.with_json
def browser_(profile: Path, url: str, socks: int, as_json: bool) -> None:
    """Write a Firefox profile as strict as Tor Browser's “Safest”, and print the command that opens URL with it.

    For practice: a source uses Tor Browser itself.
    """
    browser.write_profile(profile, socks)
    command = browser.command(profile.absolute(), url)
    if as_json:
        terminal.show_json({"command": command})
    else:
        click.echo(shlex.join(command))


def _services(onions: Path, source_socket: Path, collect_socket: Path) -> tuple[OnionService, OnionService]:
    """Both services, the collect interface only if it is closed to strangers."""
    clients.check_closed(onions / COLLECT)
    return (
        OnionService((onions / SOURCE).absolute(), source_socket.absolute()),
        OnionService((onions / COLLECT).absolute(), collect_socket.absolute()),
    )


def _addresses(onions: Path) -> tuple[OnionAddress, OnionAddress]:
    return onion_keys.read(onions / SOURCE).address, onion_keys.read(onions / COLLECT).address


def _tor(control: Path) -> Tor:
    from onion_config.control import Tor

    return Tor.connect(control, Deadline(1))


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _show(facts: dict[str, object], as_json: bool) -> None:
    if as_json:
        terminal.show_json(facts)
    else:
        terminal.show_facts(facts)


@contextmanager
def _bar() -> Iterator[Progress]:
    """A bar on standard error, where somebody is looking."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn())
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("starting", total=1.0)
        yield lambda what, done: bar.update(task, description=what, completed=done)


def main() -> None:
    """Run the command, and exit with its code."""
    terminal.run(cli, "onion-config")


if __name__ == "__main__":
    main()
