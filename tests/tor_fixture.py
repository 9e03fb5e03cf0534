"""One private Tor network for all tests of a run, as the fixture `tor_network`: starting one takes its time."""

from __future__ import annotations

from pathlib import Path

from keys.primitives import system_randomness
from onion_config import clients, onion_keys
from onion_config.control import Tor
from onion_config.network_plan import SERVICE
from onion_config.private_network import Client, PrivateNetwork
from onion_config.torrc import OnionService

COLLECT = "collect"
SOURCE = "source"


class TorNetwork:
    """A running private network with the two onion services of a drop box.

    What stands behind the two services is the test's: it listens on `source_socket` and `collect_socket`, where each
    test that wants one removes what the last one left. The collect service is closed until a courier gets a key.
    """

    def __init__(self, folder: Path) -> None:
        self.onions = folder / "onions"
        self.source_socket = folder / "source.sock"
        self.collect_socket = folder / "collect.sock"
        self.source = onion_keys.make(self.onions / SOURCE, system_randomness).address
        self.collect = onion_keys.make(self.onions / COLLECT, system_randomness).address
        clients.close_to_strangers(self.onions / COLLECT, system_randomness)
        self.network = PrivateNetwork(
            folder / "network",
            [
                OnionService(self.onions / SOURCE, self.source_socket),
                OnionService(self.onions / COLLECT, self.collect_socket),
            ],
        )

    @property
    def client(self) -> Client:
        """The visitors' tor: its SOCKS port, control socket and folder of client keys."""
        return self.network.client()

    def server_tor(self) -> Tor:
        """A connection to the tor that carries the services. Close it."""
        return self.network.tor_of(SERVICE)

    def client_tor(self) -> Tor:
        """A connection to the visitors' tor. Close it."""
        return self.network.tor_of(self.client.name)
