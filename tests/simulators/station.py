"""A desk's station over a newsroom in memory: a vault, its sticks, and the way between it and drop boxes."""

from __future__ import annotations

from pathlib import Path

from journalist_station.vault import epochs, importing, outbox
from journalist_station.vault.importing import Report
from journalist_station.vault.lock import Stretching
from journalist_station.vault.outbox import Outbox
from journalist_station.vault.stick import Stick
from journalist_station.vault.vault import Vault
from keys.keyfile import DeskKeyFile, DeskSecret
from tests.simulators.dropbox import Applied, DropBox
from tests.simulators.newsroom import Newsroom, seeded

PASSPHRASE = "ฝนตกที่ปลายนา"
QUICK = Stretching(memory_kib=64, passes=1)


class Station:
    """A vault of one desk, whose epoch list the newsroom has admitted."""

    def __init__(self, newsroom: Newsroom, folder: Path, desk: int = 1) -> None:
        self.newsroom = newsroom
        self.folder = folder
        self.desk = desk
        self.randomness = seeded(f"station {desk}")
        key = DeskKeyFile(f"Desk {desk}", desk, None, self.secret)
        self.vault = Vault.create(
            folder / "vault",
            PASSPHRASE,
            key,
            newsroom.documents,
            newsroom.network,
            newsroom.now,
            self.randomness,
            QUICK,
        )
        self.publish()

    @property
    def secret(self) -> DeskSecret:
        return DeskSecret(self.newsroom.desk_secrets[self.desk])

    def publish(self, weeks: int = 8) -> None:
        """Begin an epoch list, and hand it to the newsroom by another way than the outbox."""
        _, document = epochs.begin(self.vault, self.newsroom.now, weeks)
        self.newsroom.admit_epochs(self.desk, document)

    def stick(self, name: str = "stick") -> Path:
        path = self.folder / name
        path.mkdir(exist_ok=True)
        return path

    def take(self, *sticks: Path, workers: int | None = None) -> Report:
        """Import sticks."""
        return importing.import_sticks(
            self.vault, [Stick(stick) for stick in sticks], self.newsroom.now, workers=workers
        )

    def fetch(self, *boxes: DropBox, name: str = "stick") -> Report:
        """Carry everything that boxes hold to the station, and import it."""
        stick = self.stick(name)
        for box in boxes:
            box.fill(stick)
        return self.take(stick)

    def send(self, *boxes: DropBox, name: str = "stick") -> tuple[Outbox, list[Applied]]:
        """Write an outbox, and deliver it to boxes."""
        stick = self.stick(name)
        written = outbox.write(self.vault, [Stick(stick)], self.newsroom.now)
        return written, [applied for box in boxes for applied in box.deliver(stick)]

    def reopen(self) -> None:
        """Close the vault and unlock it again, as another command does."""
        self.vault.close()
        self.vault = Vault.open(self.folder / "vault", PASSPHRASE, self.randomness)
