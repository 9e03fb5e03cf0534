"""Writes the vectors of SPEC section 8: messages, closing items, pieces and heads of files. Run: python generate.py [FOLDER]"""

import hashlib
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from independent import NETWORK, header, public, secret, sign, to_json, write  # noqa: E402

FOLDER = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
SEED, OTHER = secret("a source"), secret("another source")
TIP = bytes(range(16))
MESSAGE = {
    "version": 1, "kind": "tip", "week": 2968, "language": "th", "text": "ต้องแฉเรื่องสะพาน", "call": "0f" * 16,
    "answers": [{"question": "เมื่อไร", "answer": "ปีที่แล้ว"}], "desks": [1, 3], "refer": "ask",
    "mailbox": {"root": "07" * 32, "recipient": "age1pq1…"}, "consent": {},
}
CLOSING = {
    "version": 1, "complete": False,
    "items": [
        {"item": 1, "size": 5, "sha256": "00" * 32, "interrupted": False},
        {"item": 2, "size": 2**31, "sha256": "11" * 32, "interrupted": True},
    ],
}


def item(kind, body, seed=SEED, named=None, network=NETWORK, tip=TIP):
    source = public(named or seed)
    return source + sign(seed, header(kind, ("source", source.hex()), ("tip", tip.hex()), network=network) + body) + body


def vector(name, about, expect, what, data, **fields):
    write(FOLDER, name, {
        "about": about, "expect": expect, "what": what, "network": NETWORK.hex(), "tip": TIP.hex(),
        "source": public(SEED).hex(), "item": data.hex(), **fields,
    })


def message(name, about, expect, data, desk=1, **fields):
    vector(name, about, expect, "message", data, desk=desk, **fields)


message("message", "Everything that a message can say.", "ok", item("message", to_json(MESSAGE)), json=MESSAGE, seed=SEED.hex())
PLAIN = {**MESSAGE, "kind": "volunteer", "language": "en", "text": "", "call": "", "answers": [], "refer": "no", "mailbox": {}}
message("message-plain", "As little as a message can say, to its second desk.", "ok", item("message", to_json(PLAIN)), 3, json=PLAIN, seed=SEED.hex())
compact = '{"version":1,"kind":"tip","week":2968,"language":"en","text":"x","call":"","answers":[],"desks":[1],"refer":"yes","mailbox":{},"consent":{}}'
message("message-other-layout", "Layout carries no meaning.", "ok", item("message", compact.encode()),
        json={**PLAIN, "kind": "tip", "text": "x", "desks": [1], "refer": "yes"})
CONSENT = {**PLAIN, "kind": "tip", "desks": [3], "consent": {"week": 2968, "index": 31, "allowed": True}}
message("message-consent", "An answer to a desk's question.", "ok", item("message", to_json(CONSENT)), 3, json=CONSENT, seed=SEED.hex())
message("message-consent-to-two", "Only one desk asked.", "Malformed", item("message", to_json({**CONSENT, "desks": [1, 3]})), 3)
message("message-consent-cut", "Neither yes nor no.", "Malformed", item("message", to_json({**CONSENT, "consent": {"week": 2968, "index": 0}})), 3)
message("message-consent-nowhere", "No network has so many replies a week.", "Malformed",
        item("message", to_json({**CONSENT, "consent": {"week": 2968, "index": 32, "allowed": True}})), 3)
message("message-forged", "Another source's signature under this source's key.", "NotAuthentic",
        item("message", to_json(MESSAGE), OTHER, SEED))
message("message-other-network", "Signed for another network.", "NotAuthentic", item("message", to_json(MESSAGE), network=bytes(32)))
message("message-other-tip", "Signed for another tip.", "NotAuthentic", item("message", to_json(MESSAGE), tip=bytes(16)))
message("message-as-closing", "A closing item's signature.", "NotAuthentic", item("closing", to_json(MESSAGE)))
message("message-other-desk", "Passed on to a desk that it doesn't name.", "NotForUs", item("message", to_json(MESSAGE)), 2)
message("message-unsorted-desks", "Desks 3 and 1.", "Malformed", item("message", to_json({**MESSAGE, "desks": [3, 1]})))
message("message-desk-true", "A boolean is no number.", "Malformed", item("message", to_json({**MESSAGE, "desks": [True]})))
message("message-unknown-field", "A field that this version doesn't name.", "Malformed", item("message", to_json({**MESSAGE, "more": 1})))
message("message-call-no-id", "A call that is no id.", "Malformed", item("message", to_json({**MESSAGE, "call": "bridge"})))
message("message-key-twice", "A key named twice.", "Malformed", item("message", compact.replace('"week":2968', '"week":1,"week":2968').encode()))
message("message-fraction", "A number that isn't whole.", "Malformed", item("message", compact.replace("2968", "2968.0").encode()))
message("message-cut", "Cut in its signature.", "Malformed", item("message", to_json(MESSAGE))[:90])

vector("closing", "Two files, one of them interrupted.", "ok", "closing", item("closing", to_json(CLOSING)), json=CLOSING, seed=SEED.hex())
EMPTY = {**CLOSING, "items": []}
vector("closing-empty", "The upload ended before the first file.", "ok", "closing", item("closing", to_json(EMPTY)), json=EMPTY, seed=SEED.hex())
vector("closing-other-source", "Signed by somebody else in their own name.", "NotAuthentic", "closing", item("closing", to_json(CLOSING), OTHER))
vector("closing-as-message", "A message's signature.", "NotAuthentic", "closing", item("message", to_json(CLOSING)))
vector("closing-unsorted", "Items 2 and 1.", "Malformed", "closing", item("closing", to_json({**CLOSING, "items": CLOSING["items"][::-1]})))
vector("closing-item-zero", "The message isn't a file.", "Malformed", "closing",
       item("closing", to_json({**CLOSING, "items": [{**CLOSING["items"][0], "item": 0}]})))


def file(name, about, expect, data, **fields):
    vector(name, about, expect, "file", data, **fields)


def piece(name, about, expect, *, number=2, flags=3, content=b"\x25PDF", seed=SEED, named=None, network=NETWORK, tip=TIP, cut=0, changed=None):
    """A cell's payload, signed for its place; the reader looks for it at item 3, cell 2, flags 3."""
    source = public(named or seed)
    body = (3).to_bytes(4, "big") + number.to_bytes(4, "big") + bytes([flags]) + hashlib.sha256(content).digest()
    signature = sign(seed, header("piece", ("source", source.hex()), ("tip", tip.hex()), network=network) + body)
    payload = source + (content if changed is None else changed) + signature
    vector(name, about, expect, "piece", payload[: len(payload) - cut], number=3, cell=2, flags=3, content=content.hex(), seed=SEED.hex())


piece("piece", "The last cell of a file whose upload broke.", "ok")
piece("piece-empty", "The one piece of an empty item.", "ok", content=b"")
piece("piece-changed", "Another piece under the signature.", "NotAuthentic", changed=b"%PDG")
piece("piece-other-cell", "Signed for another place in the item.", "NotAuthentic", number=1)
piece("piece-not-last", "Signed as one that others follow.", "NotAuthentic", flags=0)
piece("piece-forged", "Another source's signature under this source's key.", "NotAuthentic", seed=OTHER, named=SEED)
piece("piece-other-tip", "Signed for another tip.", "NotAuthentic", tip=bytes(16))
piece("piece-other-network", "Signed for another network.", "NotAuthentic", network=bytes(32))
piece("piece-cut", "No room for a signature.", "Malformed", content=b"", cut=1)


def head(name, kind):
    return len(name).to_bytes(2, "big") + name + len(kind).to_bytes(2, "big") + kind


file("file", "A Thai name.", "ok", head("สัญญา.pdf".encode(), b"application/pdf") + b"%PDF", file_name="สัญญา.pdf".encode().hex(), type=b"application/pdf".hex(), rest=b"%PDF".hex())
file("file-path", "A name that looks like a path is bytes like any other.", "ok", head(b"../../etc/passwd", b""), file_name=b"../../etc/passwd".hex(), type="", rest="")
file("file-no-name", "No name at all.", "ok", head(b"", b"") + b"x", file_name="", type="", rest=b"x".hex())
file("file-not-utf-8", "A name that isn't text.", "ok", head(b"\xff\x00/", b"\xfe"), file_name="ff002f", type="fe", rest="")
file("file-cut", "Cut in its type.", "Malformed", head(b"name", b"text/plain")[:-1])
