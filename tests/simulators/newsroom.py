"""A whole network in memory: roots, desks, servers, couriers, and everything that they sign.

Deterministic: the same arguments give the same bytes. It holds what a real network keeps apart (every secret there is),
so that a test can say in one line who signs what. `Newsroom()` is ready to use: its first manifest is admitted, and
`lists()` gives every desk's admitted epoch list.

    newsroom = Newsroom(desks=3)
    newsroom.openness().desks                       # (1, 2, 3)
    newsroom.publish(threshold=1)                   # the next manifest, signed by enough roots, admitted
    newsroom.succession(signed_by=[0], threshold=1) # the same as a document, signed by root 0 alone, not admitted
    newsroom.epochs(2, weeks=4)                     # desk 2's next epoch list, as a document
    newsroom.pass_time(weeks=3)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from keys import bulletin as bulletins
from keys import epochs, manifest, minisign, primitives
from keys.bulletin import Bulletin, CloseOrder, Post
from keys.chain import Chain
from keys.encoding import SECONDS_A_WEEK, week_of, week_start
from keys.epochs import EpochList, Floors, Openness
from keys.languages import Text
from keys.manifest import Desk, Founding, KdfParameters, Limits, Manifest, Onions, Party, Terms
from keys.minisign import SignedDocument, SigningKey
from keys.onion import OnionAddress, onion_address
from keys.primitives import Randomness

FIRST_WEEK = 2968
NOW = week_start(FIRST_WEEK) + 2 * 86_400
"""Wednesday, 2026-11-18, 00:00 UTC."""

DAY = 86_400
YEAR = 365 * DAY


def seeded(label: str) -> Randomness:
    """Return a source of bytes that look random and depend on the label alone."""
    key = primitives.sha256(label.encode())
    made = 0

    def randomness(length: int) -> bytes:
        nonlocal made
        blocks: list[bytes] = []
        while 32 * len(blocks) < length:
            blocks.append(primitives.hmac_sha256(key, made.to_bytes(8)))
            made += 1
        return b"".join(blocks)[:length]

    return randomness


class Newsroom:
    """A network with numbered roots (from 0) and desks (from 1), and named servers and couriers.

    `root_seeds`, `server_seeds` and `courier_seeds` are Ed25519 seeds; `desk_secrets` are desk secrets (SPEC 16),
    whose signing seed `desk_seed` gives. Changing `now` is the passing of time. `kdf`: KiB and passes of a codename's
    stretching, by default less than any real network's.
    """

    def __init__(
        self,
        label: str = "newsroom",
        *,
        roots: int = 3,
        threshold: int = 2,
        desks: int = 2,
        servers: Sequence[str] = ("alpha",),
        couriers: Sequence[str] = ("carrier",),
        recipients: int = 6,
        practice: bool = True,
        limits: Limits | None = None,
        kdf: tuple[int, int] = (8 << 10, 1),
        bulletin_signatures: int = 1,
        now: int = NOW,
    ) -> None:
        self.now = now
        self.randomness = seeded(label)
        self.root_seeds = [self.randomness(32) for _ in range(roots)]
        self.desk_secrets = {number: self.randomness(32) for number in range(1, desks + 1)}
        self.server_seeds = {name: self.randomness(32) for name in servers}
        self.courier_seeds = {name: self.randomness(32) for name in couriers}
        self.chains: dict[tuple[int, int], Chain] = {}
        self.list_sequences = dict.fromkeys(self.desk_secrets, 0)
        keys = tuple(SigningKey.of(seed) for seed in self.root_seeds)
        self.founding = Founding(self.randomness(32), keys, threshold)
        self.network = self.founding.network
        self.terms = Terms(
            name=Text("เครือข่ายทดลอง", "Test network"),
            practice=practice,
            valid_from=now - DAY,
            valid_until=now + YEAR,
            roots=keys,
            threshold=threshold,
            founding=self.founding,
            recipients=recipients,
            onions=Onions((self.onion("source"),), (self.onion("collect"),)),
            codename=(KdfParameters(self.randomness(16), *kdf),),
            limits=limits or Limits(),
            servers=tuple(Party(name, SigningKey.of(seed)) for name, seed in self.server_seeds.items()),
            desks=tuple(self.desk(number) for number in self.desk_secrets),
            couriers=tuple(Party(name, SigningKey.of(seed)) for name, seed in self.courier_seeds.items()),
            bulletin_signatures=bulletin_signatures,
        )
        first = manifest.compose(self.terms)
        self.documents = [self.sign("manifest", first, *self.root_seeds[:threshold])]
        self.manifest = manifest.admit(self.documents[0], None, self.network, now)
        self._lists: dict[int, EpochList] = {}

    @staticmethod
    def onion(label: str) -> OnionAddress:
        """Return an onion address that nobody serves."""
        return onion_address(primitives.ed25519_public(primitives.sha256(label.encode())))

    def pass_time(self, *, seconds: int = 0, days: int = 0, weeks: int = 0) -> int:
        """Move `now`, and return it."""
        self.now += seconds + days * DAY + weeks * SECONDS_A_WEEK
        return self.now

    @property
    def week(self) -> int:
        return week_of(self.now)

    def desk_seed(self, number: int) -> bytes:
        """Return the signing seed of a desk. SPEC section 16."""
        return primitives.hkdf(self.desk_secrets[number], b"", b"mustshare/v1/desk/sign")

    def desk(self, number: int) -> Desk:
        """Return a desk as a manifest lists it."""
        name = Text(f"โต๊ะข่าว {number}", f"Desk {number}")
        return Desk(number, name, Text("", ""), SigningKey.of(self.desk_seed(number)))

    def add_root(self) -> SigningKey:
        """Make one more root, not yet in any manifest; its number is the last."""
        self.root_seeds.append(self.randomness(32))
        return SigningKey.of(self.root_seeds[-1])

    def add_desk(self, number: int) -> Desk:
        """Make the secret of one more desk, not yet in any manifest; or a new secret for one that has one."""
        self.desk_secrets[number] = self.randomness(32)
        self.list_sequences.setdefault(number, 0)
        return self.desk(number)

    @staticmethod
    def sign(type_: str, raw: bytes, *seeds: bytes) -> SignedDocument:
        """Return a statement with a detached signature by each seed."""
        return SignedDocument(raw, tuple(minisign.sign(seed, raw, type_) for seed in seeds))

    def succession(self, signed_by: Iterable[int] | None = None, **changes: Any) -> SignedDocument:
        """Return the manifest that follows the one in force, with these terms changed, as a signed document.

        Args:
            signed_by: numbers of roots; every root of either manifest whose seed is known, when left out.
            changes: fields of `Terms`; also `sequence` and `previous`, for a manifest that doesn't follow.
        """
        place = {
            "sequence": changes.pop("sequence", self.manifest.sequence + 1),
            "previous": changes.pop("previous", self.manifest.hash),
        }
        terms = replace(self.manifest.terms, **changes)
        raw = manifest.compose(terms, **place)
        if signed_by is None:
            asked = {*self.manifest.roots, *terms.roots}
            signed_by = [at for at, seed in enumerate(self.root_seeds) if SigningKey.of(seed) in asked]
        return self.sign("manifest", raw, *(self.root_seeds[at] for at in signed_by))

    def publish(self, signed_by: Iterable[int] | None = None, **changes: Any) -> Manifest:
        """Admit the next manifest and keep it as the one in force."""
        document = self.succession(signed_by, **changes)
        self.manifest = manifest.admit(document, self.manifest, self.network, self.now)
        self.documents.append(document)
        return self.manifest

    def epochs(
        self,
        desk: int,
        *,
        weeks: int = epochs.DEFAULT_WEEKS,
        first_week: int | None = None,
        sequence: int | None = None,
        issued: int | None = None,
        signed_by: bytes | None = None,
    ) -> SignedDocument:
        """Return a desk's next epoch list as a signed document; its chain is kept in `chains[desk, sequence]`."""
        issued = self.now if issued is None else issued
        first_week = week_of(issued) if first_week is None else first_week
        sequence = self.list_sequences[desk] + 1 if sequence is None else sequence
        self.list_sequences[desk] = max(sequence, self.list_sequences[desk])
        chain = Chain.begin(self.network, desk, sequence, first_week, self.randomness)
        self.chains[desk, sequence] = chain
        recipients = chain.recipients(range(first_week, first_week + weeks))
        raw = epochs.compose(self.network, desk, sequence, issued, first_week, recipients)
        return self.sign("epochs", raw, signed_by or self.desk_seed(desk))

    def admit_epochs(self, desk: int, document: SignedDocument | None = None) -> EpochList:
        """Admit a desk's epoch list (the next, when left out) and keep it as the one in use."""
        document = self.epochs(desk) if document is None else document
        last = self._lists.get(desk)
        self._lists[desk] = epochs.admit(document, self.manifest, last, last.sequence if last else 0, self.now)
        return self._lists[desk]

    def lists(self) -> dict[int, EpochList]:
        """Return every desk's list in use by number, making those that aren't there yet."""
        for number in self.manifest.desk_numbers:
            if number not in self._lists:
                self.admit_epochs(number)
        return dict(self._lists)

    def chain(self, desk: int) -> Chain:
        """Return the chain of a desk's list in use."""
        return self.chains[desk, self.lists()[desk].sequence]

    def openness(self, floors: Floors | None = None, order: CloseOrder | None = None) -> Openness:
        """Say whether a server with these floors would be open now."""
        return epochs.openness(self.manifest, self.lists(), floors or Floors(), order, self.now)

    def post(self, **changes: Any) -> Post:
        """Return a small call for tips."""
        words = Post(
            kind="call",
            issued=self.now,
            title=Text("ใครเห็นสะพานนี้", "Who saw this bridge"),
            body=Text("เล่าให้เราฟัง", "Tell us"),
            questions=(Text("เมื่อไร", "When?"),),
        )
        return replace(words, **changes)

    def bulletin(
        self, desk: int = 1, *, id: bytes | None = None, revision: int = 1, also: Sequence[int] = (), **changes: Any
    ) -> SignedDocument:
        """Return a bulletin as a document signed by its desk, and by the desks of `also`."""
        post = self.post(**changes)
        raw = bulletins.compose(self.network, desk, id or self.randomness(16), revision, post)
        return self.sign("bulletin", raw, *(self.desk_seed(number) for number in (desk, *also)))

    def admit_bulletin(self, document: SignedDocument, last: Bulletin | None = None) -> Bulletin:
        """Admit a bulletin under the manifest in force."""
        return bulletins.admit(document, self.manifest, last, self.now)

    def close_order(self, signed_by: bytes | None = None) -> SignedDocument:
        """Return an order that closes the box, signed by root 0 or by the seed given."""
        raw = bulletins.compose_close(self.manifest, self.now, Text("พักก่อน", "A pause"))
        return self.sign("close", raw, signed_by or self.root_seeds[0])
