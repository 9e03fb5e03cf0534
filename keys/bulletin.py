"""What desks tell the public, and the order that closes the box: both signed, both open to anybody. SPEC section 12."""

from __future__ import annotations

from dataclasses import dataclass

from keys import minisign, statement
from keys.encoding import INTEGER_MAX, Fields, from_hex, parse_json, to_json
from keys.errors import Malformed, NotAuthentic, Refused, Stale
from keys.languages import Text
from keys.manifest import Manifest
from keys.minisign import SignedDocument
from keys.statement import NetworkId
from keys.terms import MAX_DESK_NUMBER

TYPE = "bulletin"
CLOSE_TYPE = "close"
VERSION = 1
ID_BYTES = 16
KINDS = ("call", "update", "outcome", "guidance")
STATES = ("open", "checking", "published", "closed")
MAX_QUESTIONS = 8
MAX_TITLE_BYTES = 600
MAX_QUESTION_BYTES = 1_200
MAX_BODY_BYTES = 64 << 10
MAX_REASON_BYTES = 4_000
CLOCK_TOLERANCE_SECONDS = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """What a bulletin says. `about` is empty or the id of the call that it belongs to; `body` is Markdown."""

    kind: str
    about: bytes = b""
    state: str = "open"
    withdrawn: bool = False
    issued: int
    title: Text
    body: Text
    questions: tuple[Text, ...] = ()


@dataclass(frozen=True, slots=True)
class Bulletin:
    """A bulletin taken apart. Whether a desk said it only `admit` says. `raw` is the statement that was signed."""

    raw: bytes
    network: NetworkId
    desk: int
    id: bytes
    revision: int
    post: Post


def compose(network: NetworkId, desk: int, bulletin: bytes, revision: int, post: Post) -> bytes:
    """Return the statement of a bulletin, to be signed by its desk.

    Raises:
        Malformed: the post can't stand in a bulletin, with the words that `parse` has for it.
    """
    body = {
        "version": VERSION,
        "kind": post.kind,
        "about": post.about.hex(),
        "state": post.state,
        "withdrawn": post.withdrawn,
        "issued": post.issued,
        "title": post.title.to_fields(),
        "body": post.body.to_fields(),
        "questions": [question.to_fields() for question in post.questions],
    }
    context: list[tuple[str, str | int]] = [("desk", desk), ("bulletin", bulletin.hex()), ("revision", revision)]
    raw = statement.make(TYPE, network, context, to_json(body))
    parse(raw)
    return raw


def parse(raw: bytes, network: NetworkId | None = None) -> Bulletin:
    """Take a bulletin's statement apart. Form only: no signature is checked.

    Raises:
        Malformed: it doesn't follow SPEC 12.1.
        NotForUs: it names another network than the one given.
    """
    taken = statement.parse(raw, TYPE, ["desk", "bulletin", "revision"], network)
    desk, revision = taken.number("desk", MAX_DESK_NUMBER), taken.number("revision")
    if desk < 1 or revision < 1:
        raise Malformed("Desks and revisions are numbered from 1.")
    post = _post(Fields(parse_json(taken.body), "bulletin"))
    return Bulletin(raw, taken.network, desk, from_hex(taken.value("bulletin"), ID_BYTES), revision, post)


def _post(fields: Fields) -> Post:
    if fields.integer("version", 0, INTEGER_MAX) != VERSION:
        raise Malformed("This bulletin is of a version that this program doesn't know.")
    about = fields.text("about", 2 * ID_BYTES)
    post = Post(
        kind=fields.choice("kind", KINDS),
        about=from_hex(about, ID_BYTES) if about else b"",
        state=fields.choice("state", STATES),
        withdrawn=fields.boolean("withdrawn"),
        issued=fields.integer("issued", 0, INTEGER_MAX),
        title=Text.parse(fields.object("title"), "bulletin's title", MAX_TITLE_BYTES),
        body=Text.parse(fields.object("body"), "bulletin's body", MAX_BODY_BYTES, lines=True, empty=True),
        questions=tuple(
            Text.parse(question, "bulletin's question", MAX_QUESTION_BYTES, lines=True)
            for question in fields.array("questions", MAX_QUESTIONS)
        ),
    )
    fields.done()
    return post


def admit(document: SignedDocument, manifest: Manifest, last: Bulletin | None, now: int) -> Bulletin:
    """Decide whether a document is a bulletin that may be shown. SPEC 12.1.

    Args:
        document: the candidate.
        manifest: the manifest in force; its dates are the caller's to check.
        last: the highest revision of the bulletin with that id that was admitted here, by whichever desk.
        now: Unix seconds.

    Raises:
        Malformed: it isn't a bulletin.
        NotForUs: another network's, or by a desk that isn't in the manifest.
        NotAuthentic: its desk didn't sign it, or a second desk must and didn't.
        Refused: the id is another desk's bulletin.
        Stale: no higher revision, or issued in the future.
    """
    candidate = parse(document.statement, manifest.network)
    if last is not None and document.statement == last.raw:
        return last
    desk = manifest.desk(candidate.desk)
    signed = minisign.signers([each.key for each in manifest.desks], document.statement, document.signatures, TYPE)
    if desk.key not in signed:
        raise NotAuthentic(f"Desk {candidate.desk} didn't sign this bulletin.")
    if len(signed) < manifest.bulletin_signatures:
        raise NotAuthentic("This network wants bulletins signed by two desks.", "Ask another desk to sign it as well.")
    if last is not None and (last.id != candidate.id or last.desk != candidate.desk):
        raise Refused("This bulletin has the id of another.", "Make it anew, with an id of its own.")
    if last is not None and candidate.revision <= last.revision:
        raise Stale(f"Revision {candidate.revision} of this bulletin isn't newer than what is shown.")
    check_date(candidate, now)
    return candidate


def check_date(bulletin: Bulletin, now: int) -> None:
    """Raises: Stale: it was issued more than a day after now."""
    if bulletin.post.issued > now + CLOCK_TOLERANCE_SECONDS:
        raise Stale("This bulletin is issued in the future.")


@dataclass(frozen=True, slots=True)
class CloseOrder:
    """An order that closes the box until a manifest with a higher sequence is admitted."""

    raw: bytes
    network: NetworkId
    manifest: int
    issued: int
    reason: Text

    def closes(self, manifest: Manifest) -> bool:
        """Say whether the box is closed by this order while that manifest is in force."""
        return self.network == manifest.network and self.manifest >= manifest.sequence


def compose_close(manifest: Manifest, issued: int, reason: Text) -> bytes:
    """Return the statement of a close order, to be signed by any root or desk. Raises: Malformed: a bad reason."""
    body = to_json({"version": VERSION, "issued": issued, "reason": reason.to_fields()})
    raw = statement.make(CLOSE_TYPE, manifest.network, [("manifest", manifest.sequence)], body)
    parse_close(raw)
    return raw


def parse_close(raw: bytes, network: NetworkId | None = None) -> CloseOrder:
    """Take a close order apart, form only. Raises: Malformed, NotForUs: as `parse` does."""
    taken = statement.parse(raw, CLOSE_TYPE, ["manifest"], network)
    fields = Fields(parse_json(taken.body), "close order")
    if fields.integer("version", 0, INTEGER_MAX) != VERSION:
        raise Malformed("This close order is of a version that this program doesn't know.")
    issued = fields.integer("issued", 0, INTEGER_MAX)
    reason = Text.parse(fields.object("reason"), "close order's reason", MAX_REASON_BYTES, lines=True, empty=True)
    fields.done()
    return CloseOrder(raw, taken.network, taken.number("manifest"), issued, reason)


def admit_close(document: SignedDocument, manifest: Manifest) -> CloseOrder:
    """Decide whether a document closes the box. SPEC 12.2.

    Neither the time of the order nor the manifest's dates are asked: closing is the safe side, and an order serves for
    one manifest only, so an old one can't be used again later.

    Raises:
        Malformed: it isn't a close order.
        NotForUs: another network's.
        Stale: it is about another manifest than the one in force.
        NotAuthentic: no root and no desk of the manifest signed it.
    """
    order = parse_close(document.statement, manifest.network)
    if order.manifest != manifest.sequence:
        raise Stale(f"This close order is for manifest {order.manifest}; {manifest.sequence} is in force.")
    allowed = [*manifest.roots, *(desk.key for desk in manifest.desks)]
    if not minisign.signers(allowed, document.statement, document.signatures, CLOSE_TYPE):
        raise NotAuthentic("No root and no desk of the manifest signed this close order.")
    return order
