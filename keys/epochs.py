"""A desk's public keys by the week, what a server must never go below, and whether the box is open. SPEC section 11.

All of it is pure. `Openness` is the only thing that a server may take recipients from: what isn't open has none.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from keys import manifest as manifests
from keys import minisign, statement
from keys.age.recipients import HybridRecipient
from keys.bulletin import CloseOrder
from keys.encoding import INTEGER_MAX, SECONDS_A_WEEK, Fields, parse_json, to_json, week_of
from keys.errors import Malformed, NotAuthentic, Stale
from keys.manifest import Desk, Manifest
from keys.minisign import SignedDocument, SigningKey
from keys.statement import NetworkId
from keys.terms import MAX_DESK_NUMBER

TYPE = "epochs"
VERSION = 1
MAX_WEEKS = 13
MAX_WEEKS_AHEAD = 12
DEFAULT_WEEKS = 8
CLOCK_TOLERANCE_SECONDS = 86_400
MAX_WEEK = INTEGER_MAX // SECONDS_A_WEEK


@dataclass(frozen=True, slots=True)
class EpochList:
    """A desk's recipients for consecutive weeks.

    `signer` is the key whose signature `admit` has verified, and None when nobody has: such a list opens nothing.
    """

    raw: bytes
    network: NetworkId
    desk: int
    sequence: int
    issued: int
    first_week: int
    recipients: tuple[HybridRecipient, ...]
    signer: SigningKey | None = None

    @property
    def weeks(self) -> range:
        return range(self.first_week, self.first_week + len(self.recipients))

    def recipient_for(self, week: int) -> HybridRecipient:
        """Return the age recipient of a week. Raises: Stale: the list doesn't name that week."""
        if week not in self.weeks:
            raise Stale(f"Desk {self.desk} has published no key for week {week}.", "Ask the desk for a new epoch list.")
        return self.recipients[week - self.first_week]


def compose(
    network: NetworkId, desk: int, sequence: int, issued: int, first_week: int, recipients: Sequence[HybridRecipient]
) -> bytes:
    """Return the statement of an epoch list, to be signed by its desk.

    Raises:
        Malformed: the values can't stand in an epoch list, with the words that `parse` has for it.
    """
    epochs = [{"week": first_week + at, "recipient": str(recipient)} for at, recipient in enumerate(recipients)]
    body = to_json({"version": VERSION, "issued": issued, "epochs": epochs})
    raw = statement.make(TYPE, network, [("desk", desk), ("sequence", sequence)], body)
    parse(raw)
    return raw


def parse(raw: bytes, network: NetworkId | None = None) -> EpochList:
    """Take an epoch list's statement apart. Form only: no signature and no place in a sequence is checked.

    Raises:
        Malformed: it doesn't follow SPEC 11.2.
        NotForUs: it names another network than the one given.
    """
    taken = statement.parse(raw, TYPE, ["desk", "sequence"], network)
    desk, sequence = taken.number("desk", MAX_DESK_NUMBER), taken.number("sequence")
    if desk < 1 or sequence < 1:
        raise Malformed("Desks and epoch lists are numbered from 1.")
    fields = Fields(parse_json(taken.body), "epoch list")
    if fields.integer("version", 0, INTEGER_MAX) != VERSION:
        raise Malformed("This epoch list is of a version that this program doesn't know.")
    issued = fields.integer("issued", 0, INTEGER_MAX)
    epochs = [_epoch(value) for value in fields.array("epochs", MAX_WEEKS)]
    fields.done()
    if not epochs:
        raise Malformed("An epoch list names at least one week.")
    first = epochs[0][0]
    if [week for week, _ in epochs] != list(range(first, first + len(epochs))):
        raise Malformed("The weeks of an epoch list follow one another.")
    if len({recipient for _, recipient in epochs}) != len(epochs):
        raise Malformed("Two weeks of an epoch list have one key.")
    # "The week of issued or the next is the first."
    if first - week_of(issued) not in (0, 1):
        raise Malformed("An epoch list begins with the week in which it was issued, or the next.")
    return EpochList(raw, taken.network, desk, sequence, issued, first, tuple(recipient for _, recipient in epochs))


def _epoch(value: Any) -> tuple[int, HybridRecipient]:
    fields = Fields(value, "epoch")
    week, recipient = fields.integer("week", 0, MAX_WEEK), HybridRecipient.from_text(fields.text("recipient"))
    fields.done()
    return week, recipient


def admit(
    document: SignedDocument, manifest: Manifest, last: EpochList | None, floor_sequence: int, now: int
) -> EpochList:
    """Decide whether a document is a desk's newest epoch list. SPEC 11.3.

    Args:
        document: the candidate.
        manifest: the manifest in force; its dates are the caller's to check.
        last: the list of the same desk that is in use here, or None.
        floor_sequence: the highest sequence ever admitted of that desk (`Floors.sequence_of`), 0 for none. A list of
            exactly that sequence is admitted when there is no `last`: so a server reads its own list again at start.
        now: Unix seconds.

    Returns:
        The candidate, with its signer; `last` itself when the candidate equals it and the desk still has that key.

    Raises:
        Malformed: it isn't an epoch list.
        NotForUs: another network's, or of a desk that isn't in the manifest.
        NotAuthentic: its desk didn't sign it.
        Stale: rolled back, too far ahead, issued in the future, or past.
    """
    # "network and desk are those of the manifest in force;"
    if last is not None and document.statement == last.raw and last.network == manifest.network:
        candidate = last  # Its keys needn't be read again, which takes most of the time.
    else:
        candidate = parse(document.statement, manifest.network)
    desk = manifest.desk(candidate.desk)
    if last is not None and last.desk != candidate.desk:
        raise ValueError("the last list is another desk's")
    # "equal bytes: no-op". Only under the same key: a desk whose key was replaced signs its lists anew.
    if last is not None and document.statement == last.raw and last.signer == desk.key:
        return last

    # "the desk's key signed;"
    if not minisign.signers([desk.key], document.statement, document.signatures, TYPE):
        raise NotAuthentic(f"Desk {desk.number} didn't sign this epoch list.")

    # "the sequence is higher than the last admitted of that desk"
    renewed = last is not None and document.statement == last.raw
    if candidate.sequence < floor_sequence or (
        last is not None and not renewed and candidate.sequence <= last.sequence
    ):
        raise Stale(f"Desk {desk.number} has published a newer epoch list than number {candidate.sequence}.")

    check_dates(candidate, now)
    return replace(candidate, signer=desk.key)


def check_dates(epochs: EpochList, now: int) -> None:
    """Require that a list may serve now, for whoever reads one again that was admitted. SPEC 11.3.

    Raises:
        Stale: too far ahead, issued in the future, or past.
    """
    # "not more than 12 weeks ahead of now; issued is not more than a day in the future;"
    if epochs.weeks[-1] > week_of(now) + MAX_WEEKS_AHEAD:
        raise Stale(f"This epoch list reaches more than {MAX_WEEKS_AHEAD} weeks ahead.")
    if epochs.issued > now + CLOCK_TOLERANCE_SECONDS:
        raise Stale("This epoch list was issued in the future.")

    # "the list covers the present week or the next."
    if week_of(now) not in epochs.weeks and week_of(now) + 1 not in epochs.weeks:
        raise Stale(f"This epoch list of desk {epochs.desk} is past.", "Ask the desk for a new epoch list.")


@dataclass(frozen=True, slots=True)
class Floors:
    """What a server must never go below, whatever clock or snapshot it wakes up with. SPEC section 11.4.

    `manifest` is a sequence, `lists` the sequences by desk, `week` the highest week sealed to, `latest` Unix seconds.
    """

    manifest: int = 0
    lists: Mapping[int, int] = field(default_factory=dict)
    week: int = 0
    latest: int = 0

    def sequence_of(self, desk: int) -> int:
        """Return the highest sequence of a desk's epoch lists ever admitted here, 0 for none."""
        return self.lists.get(desk, 0)

    def advance(
        self,
        *,
        manifest: Manifest | None = None,
        lists: Iterable[EpochList] = (),
        week: int | None = None,
        now: int | None = None,
    ) -> Floors:
        """Return floors that have risen to what was admitted, sealed to and seen. They never fall.

        Never advance `now` and `week` by a clock that disagrees with tor's consensus: floors that once leapt ahead
        close the box until they are mended by hand.
        """
        sequences = dict(self.lists)
        for each in lists:
            sequences[each.desk] = max(each.sequence, sequences.get(each.desk, 0))
        return Floors(
            max(self.manifest, manifest.sequence if manifest else 0),
            sequences,
            max(self.week, week or 0),
            max(self.latest, now or 0),
        )

    def check(self, now: int, week: int | None = None) -> None:
        """Require that the clock isn't behind, nor a week below what was sealed to. Equal is fine.

        Args:
            now: Unix seconds.
            week: the week to be sealed to; the one that holds `now` when left out.

        Raises:
            Stale: the clock is more than a day behind the latest time seen, or the week is below the floor.
        """
        if now < self.latest - CLOCK_TOLERANCE_SECONDS:
            raise Stale("This machine's clock is behind the latest time that it has seen.", "Set the clock.")
        if (week_of(now) if week is None else week) < self.week:
            raise Stale("This week lies before one that was already sealed to.", "Set this machine's clock.")

    def encode(self) -> bytes:
        """Write the floors as JSON."""
        lists = {str(desk): sequence for desk, sequence in self.lists.items()}
        return to_json(
            {"version": VERSION, "manifest": self.manifest, "lists": lists, "week": self.week, "latest": self.latest}
        )

    @classmethod
    def parse(cls, data: bytes) -> Floors:
        """Raises: Malformed: it isn't what `encode` writes."""
        fields = Fields(parse_json(data), "floors")
        fields.integer("version", VERSION, VERSION)
        lists = fields.object("lists")
        sequences = Fields(lists, "floors' lists")
        floors = cls(
            fields.integer("manifest", 0, INTEGER_MAX),
            {statement.parse_number(desk, MAX_DESK_NUMBER): sequences.integer(desk, 0, INTEGER_MAX) for desk in lists},
            fields.integer("week", 0, MAX_WEEK),
            fields.integer("latest", 0, INTEGER_MAX),
        )
        fields.done()
        return floors


class Closed(enum.Enum):
    """Why the box is closed. The value is a word that a page or a program can look a sentence up by."""

    NO_MANIFEST = "no-manifest"
    MANIFEST_ROLLED_BACK = "manifest-rolled-back"
    MANIFEST_NOT_YET_VALID = "manifest-not-yet-valid"
    MANIFEST_EXPIRED = "manifest-expired"
    ORDERED = "ordered"
    CLOCK_DISAGREES = "clock-disagrees"
    CLOCK_BEHIND = "clock-behind"
    WEEK_BELOW_FLOOR = "week-below-floor"
    NO_EPOCHS = "no-epochs"


@dataclass(frozen=True, slots=True)
class Openness:
    """Which desks may be sealed to in a week, and with which recipient; or why the box is closed.

    Exactly one of `recipients` and `reason` says something: a closed box has no recipients.
    """

    week: int
    recipients: Mapping[int, HybridRecipient]
    reason: Closed | None

    @property
    def is_open(self) -> bool:
        return self.reason is None

    @property
    def desks(self) -> tuple[int, ...]:
        """The numbers of the open desks, sorted."""
        return tuple(sorted(self.recipients))


def openness(
    manifest: Manifest | None,
    lists: Mapping[int, EpochList],
    floors: Floors,
    order: CloseOrder | None,
    now: int,
    *,
    disagrees: bool = False,
) -> Openness:
    """Decide whether the box is open, and for which desks. Ask again for each tip: nothing here lasts. SPEC 11.5.

    There is no fallback: whatever is missing, out of date, rolled back or unsigned closes a desk or the box.

    Args:
        manifest: the manifest in force, as `keys.manifest.admit` returned it.
        lists: the desks' lists by number, as `admit` returned them.
        floors: what this server must not go below.
        order: the close order admitted under this manifest, if any.
        now: Unix seconds.
        disagrees: this clock was compared with tor's consensus, and can't be right.
    """
    week = week_of(now)
    if manifest is None:
        return Openness(week, {}, Closed.NO_MANIFEST)
    reason = _closed(manifest, floors, order, now, disagrees)
    if reason is not None:
        return Openness(week, {}, reason)
    recipients = {
        desk.number: lists[desk.number].recipient_for(week)
        for desk in manifest.desks
        if desk.number in lists and _serves(lists[desk.number], desk, manifest, floors, week)
    }
    return Openness(week, recipients, None if recipients else Closed.NO_EPOCHS)


def _closed(manifest: Manifest, floors: Floors, order: CloseOrder | None, now: int, disagrees: bool) -> Closed | None:
    if manifest.sequence < floors.manifest:
        return Closed.MANIFEST_ROLLED_BACK
    if order is not None and order.closes(manifest):
        return Closed.ORDERED
    if disagrees:
        return Closed.CLOCK_DISAGREES
    if now < floors.latest - CLOCK_TOLERANCE_SECONDS:
        return Closed.CLOCK_BEHIND
    if week_of(now) < floors.week:
        return Closed.WEEK_BELOW_FLOOR
    try:
        manifests.check_dates(manifest, now)
    except Stale:
        return Closed.MANIFEST_NOT_YET_VALID if now < manifest.valid_from else Closed.MANIFEST_EXPIRED
    return None


def _serves(epochs: EpochList, desk: Desk, manifest: Manifest, floors: Floors, week: int) -> bool:
    """Say whether a list is this desk's, signed by the key it has now, not rolled back, and names the week."""
    return (
        epochs.network == manifest.network
        and epochs.desk == desk.number
        and epochs.signer == desk.key
        and epochs.sequence >= floors.sequence_of(desk.number)
        and week in epochs.weeks
    )
