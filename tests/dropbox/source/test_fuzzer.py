"""A fuzzer of the whole site: whatever visitors send, in whatever order, while newsroom and clock go on.

Invariant: no page fails, every page is hardened, nothing that a receipt named is lost, and nothing that anybody typed
stands in any file, log line or header.
"""

from __future__ import annotations

import logging
import re
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from werkzeug.test import TestResponse

from dropbox.consensus import Comparison
from dropbox.source.headers import HEADERS
from keys import bulletin, codename
from keys.codename import Codename
from keys.errors import DropBoxError
from keys.languages import LANGUAGES
from keys.terms import KdfParameters, Limits
from tests.dropbox.source.site import BOUNDARY, ReceivedTip, Site, Upload, Visitor, hidden, multipart
from tests.simulators.newsroom import Newsroom

SLOTS = 28
RESERVE = 4
DESKS = 3
CANARY = "คานารี7c"
"""Stands in everything that visitors type or send, and in replies."""

UNSAID = {"server", "date", "etag", "via", "x-powered-by", "last-modified"}
STATUSES = {200, 303, 400, 403, 404, 405, 408, 410, 413, 503, 507}
TOKEN = re.compile(r'/(consent|delete)"[^>]*>\s*<input type="hidden" name="token" value="([0-9a-f]+)"')
DIGEST = re.compile(r"SHA-256 <code[^>]*>([0-9a-f]{64})</code>")

words = st.text(max_size=30)
languages = st.sampled_from(LANGUAGES)
field_names = st.sampled_from(
    ["codename", "text", "desk", "refer", "answer", "call", "revision", "answer-1", "question-1", "can", "reach", "x"]
) | st.text(max_size=8)
PATHS = """th en send return inbox leave keys calls posts desks guide volunteer progress file delete consent waiting 1
0000000000000000 00000000000000000000000000000000 1-2968-0 style.css manifest-1 .."""
steps_of_paths = st.sampled_from(PATHS.split()) | st.text(max_size=12)
content_types = st.sampled_from(
    [f"multipart/form-data; boundary={BOUNDARY}", "application/x-www-form-urlencoded", "text/plain", "", ";", "\xff"]
)
contents = st.builds(
    lambda size, letter: (CANARY.encode() + letter) * (size // 20),
    st.sampled_from([0, 0, 500, 200_000, 700_000]),
    st.binary(min_size=1, max_size=1),
)
uploads = st.builds(
    Upload, st.text(max_size=20).map(lambda name: name + CANARY).map(str.encode) | st.binary(max_size=9), contents
)
noise = st.binary(max_size=60) | st.sampled_from(
    [b"\r\n--" + BOUNDARY.encode(), b"--\r\n", b"\r\n\r\n", b'"; x="', b"\0"]
)


desk_choices = st.sampled_from([(1,), (2,), (1, 2), (1, 2, 3), (1,), (), (0,), (DESKS + 1,), (1, 1)])
referrals = st.sampled_from(["ask", "yes", "no", "ask", "", "x"])
answerables = st.sampled_from(["yes", "yes", "", "x"])


@dataclass(frozen=True)
class Harm:
    """What happens to a body on its way."""

    kind: str
    at: float
    noise: bytes

    def __call__(self, body: bytes) -> bytes:
        at = int(self.at * len(body))
        return {
            "none": body,
            "cut": body[:at],
            "changed": body[:at] + self.noise[:1] + body[at + 1 :],
            "inserted": body[:at] + self.noise + body[at:],
            "removed": body[:at] + body[at + 1 + len(self.noise) :],
            "replaced": self.noise,
        }[self.kind]


harms = st.just(Harm("none", 0.0, b"")) | st.builds(
    Harm, st.sampled_from(["cut", "changed", "inserted", "removed", "replaced"]), st.floats(0, 1), noise
)


@dataclass(frozen=True)
class Mailbox:
    """A mailbox that somebody opened, in whose browser its cookie lies."""

    visitor: Visitor
    path: str
    name: Codename


class Heard(logging.Handler):
    """Keeps all that the program would have logged."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self.failures: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))
        if record.levelno >= logging.WARNING or record.exc_info:
            self.failures.append(self.lines[-1])


class Surface(RuleBasedStateMachine):
    """Two visitors, who share nothing, and a newsroom."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="fuzzer-"))
        limits = Limits(file_bytes=600_000, files=3, message_bytes=4_000)
        self.site = Site(self.folder, Newsroom(desks=DESKS, limits=limits), slots=SLOTS, reserve=RESERVE)
        self.visitors = {language: self.site.visitor(language) for language in LANGUAGES}
        self.names: list[Codename] = [self.site.codename(language) for language in LANGUAGES]
        self.mailboxes: list[Mailbox] = []
        self.promised: dict[bytes, bytes] = {}
        """What a receipt named: each cell's id, and its digest as it was then."""
        self.calls: list[str] = []
        self.heard = Heard()
        self.checked: frozenset[bytes] | None = None
        logging.getLogger().addHandler(self.heard)

    def teardown(self) -> None:
        logging.getLogger().removeHandler(self.heard)
        self.site.close()
        shutil.rmtree(self.folder)

    # What everybody may expect of every answer.

    def seen(self, response: TestResponse) -> TestResponse:
        assert response.status_code in STATUSES, (response.status, response.request.path)
        headers = {name.lower(): value for name, value in response.headers}
        assert not UNSAID & set(headers)
        assert {name: headers.get(name.lower()) for name in HEADERS} == HEADERS
        told = " ".join(f"{name}: {value}" for name, value in response.headers)
        assert CANARY not in told and not [name for name in self.names if name.text in told]
        return response

    @invariant()
    def nothing_failed_and_no_log_tells_what_was_typed(self) -> None:
        assert self.heard.failures == []
        assert not [line for line in self.heard.lines if CANARY in line]

    @invariant()
    def nothing_promised_is_lost_and_no_file_holds_what_was_typed(self) -> None:
        now = self.site.cells
        if now == self.checked:
            return
        self.checked = now
        assert self.promised.items() <= dict(self.site.store.entries()).items()
        for file in self.site.folder.rglob("*"):
            held = file.read_bytes() if file.is_file() else b""
            assert CANARY.encode() not in held
            assert not [name for name in self.names if name.text.encode() in held]

    # Pages.

    @rule(
        language=languages,
        path=st.lists(steps_of_paths, max_size=6),
        query=words,
        method=st.sampled_from(["GET", "HEAD"]),
    )
    def open_anything(self, language: str, path: Sequence[str], query: str, method: str) -> None:
        environ = {
            "PATH_INFO": _raw("/" + "/".join(path)),
            "QUERY_STRING": _raw(query).replace("\r", "").replace("\n", ""),
        }
        self.seen(self.visitors[language].client.open("/", method=method, environ_overrides=environ))

    @rule(language=languages, data=st.data())
    def open_a_page(self, language: str, data: st.DataObject) -> None:
        endpoint = data.draw(st.sampled_from(sorted(rule.rule for rule in self.site.app.url_map.iter_rules())))
        values = {"<any(th,en):language>": language, "<int:number>": str(data.draw(st.integers(0, 9)))}
        for blank in re.findall("<[^>]+>", endpoint):
            value = values.get(blank) or data.draw(
                st.sampled_from(["0" * 16, "0" * 32, "law", "1-2968-0", *self.calls])
            )
            endpoint = endpoint.replace(blank, value)
        method = data.draw(st.sampled_from(["GET", "GET", "HEAD", "POST", "PUT", "BREW"]))
        self.seen(self.visitors[language].client.open(endpoint, method=method))

    @rule(
        language=languages,
        path=st.lists(steps_of_paths, max_size=5),
        body=noise | st.just(b"codename=x&token=y&reply=1-2968-0"),
        kind=content_types,
        cookie=st.text("abcdef0123456789-=;box", max_size=40),
    )
    def send_anything_anywhere(self, language: str, path: Sequence[str], body: bytes, kind: str, cookie: str) -> None:
        environ = {"PATH_INFO": _raw("/" + "/".join(path)), "HTTP_COOKIE": cookie}
        client = self.site.app.test_client(use_cookies=False)
        self.seen(client.post("/", data=body, content_type=kind, environ_overrides=environ))

    # Sending.

    @rule(
        language=languages,
        text=words,
        files=st.lists(uploads, max_size=4),
        desks=desk_choices,
        refer=referrals,
        answer=answerables,
        harm=harms,
    )
    def send_a_tip(
        self,
        language: str,
        text: str,
        files: Sequence[Upload],
        desks: Sequence[int],
        refer: str,
        answer: str,
        harm: Harm,
    ) -> None:
        visitor = self.visitors[language]
        page = self.seen(visitor.get("/send"))
        if page.status_code != 200:
            assert page.status_code == 503
            return
        name = codename.read(hidden(page.text, "codename"))
        self.names.append(name)
        fields = [("codename", name.text), ("text", text + CANARY), *(("desk", str(desk)) for desk in desks)]
        self.upload(visitor, "/send/", [*fields, ("refer", refer), ("answer", answer)], files, harm)

    @rule(
        language=languages,
        where=st.sampled_from(["/send/", "/volunteer/"]),
        fields=st.lists(st.tuples(field_names, words.map(lambda word: word + CANARY) | st.just("1")), max_size=8),
        files=st.lists(uploads, max_size=2),
        harm=harms,
    )
    def send_any_form(
        self, language: str, where: str, fields: list[tuple[str, str]], files: Sequence[Upload], harm: Harm
    ) -> None:
        self.upload(self.visitors[language], where, [("codename", self.names[0].text), *fields], files, harm)

    @rule(language=languages, reach=words, desk=st.integers(1, DESKS))
    def volunteer(self, language: str, reach: str, desk: int) -> None:
        fields = [("codename", self.names[-1].text), ("desk", str(desk)), ("can", "x"), ("reach", reach + CANARY)]
        self.upload(self.visitors[language], "/volunteer/", fields, (), Harm("none", 0.0, b""))

    @precondition(lambda self: self.calls)
    @rule(
        language=languages,
        answers=st.lists(words, max_size=3),
        revision=st.sampled_from(["1", "2", "0", "x"]),
        harm=harms,
    )
    def answer_a_call(self, language: str, answers: Sequence[str], revision: str, harm: Harm) -> None:
        asked = [(f"question-{at}", "?") for at in range(1, 9)]
        given = [(f"answer-{at}", answer + CANARY) for at, answer in enumerate(answers, 1)]
        fields = [("codename", self.names[-1].text), ("call", self.calls[-1]), ("revision", revision), *asked, *given]
        self.upload(self.visitors[language], "/send/", [*fields, ("desk", "1")], (), harm)

    def upload(
        self,
        visitor: Visitor,
        where: str,
        fields: Sequence[tuple[str, str]],
        files: Sequence[Upload],
        harm: Harm,
    ) -> None:
        """Send a form, and hold the receipt to what it says."""
        before, label = self.site.cells, sha256(repr((len(self.promised), fields)).encode()).hexdigest()[:32]
        body = harm(multipart(fields, files))
        address = f"{where}{label}" if where.startswith(("/th", "/en")) else f"/{visitor.language}{where}{label}"
        response = self.seen(visitor.post(address, body))
        self.seen(visitor.get(f"/progress/{label}"))
        new = self.site.cells - before
        if response.status_code != 200:
            assert not new, "a page that says nothing was stored"
            return
        assert new, "a receipt"
        tips = self.tips()
        named = set(DIGEST.findall(response.text))
        assert named <= {digest for tip in tips for digest in _digests(tip)}
        if harm.kind == "none":
            texts = [value for name, value in fields if name == "text"]
            assert any(tip.message.text == text.replace("\r\n", "\n") for tip in tips for text in texts or [""])
        self.promised |= {cell_id: digest for cell_id, digest in self.site.store.entries() if cell_id in new}

    def tips(self) -> list[ReceivedTip]:
        """What the desks' keys of this week open."""
        return [tip for desk in self.site.newsroom.manifest.desk_numbers for tip in self.site.tips(desk)]

    # Coming back.

    @rule(language=languages, data=st.data())
    def sign_in(self, language: str, data: st.DataObject) -> None:
        visitor = self.visitors[language]
        name = self.names[data.draw(st.integers(0, len(self.names) - 1))]
        if self.seen(visitor.sign_in(name.text)).status_code == 303:
            self.mailboxes.append(Mailbox(visitor, visitor.inbox_path, name))

    @rule(
        language=languages,
        typed=words | st.lists(st.sampled_from(["abacus", "กา", "-", "zoom"]), max_size=9).map(" ".join),
    )
    def sign_in_wrongly(self, language: str, typed: str) -> None:
        response = self.seen(self.visitors[language].sign_in(typed + " " + CANARY))
        assert response.status_code == 400 and not response.headers.get("Set-Cookie")

    @precondition(lambda self: self.mailboxes)
    @rule(data=st.data(), query=st.sampled_from(["", "?from=1", "?from=-1", "?from=x", "?from=99999999"]))
    def look(self, data: st.DataObject, query: str) -> None:
        mailbox = self.mailbox(data)
        page = self.seen(mailbox.visitor.client.get(mailbox.path + query))
        for link in re.findall(r'href="([^"]*/file/[^"]*)"', page.text):
            self.seen(mailbox.visitor.client.get(link))

    @precondition(lambda self: self.mailboxes)
    @rule(data=st.data(), files=st.lists(uploads, max_size=2), desks=desk_choices, harm=harms)
    def follow_up(self, data: st.DataObject, files: Sequence[Upload], desks: Sequence[int], harm: Harm) -> None:
        mailbox = self.mailbox(data)
        fields = [("text", CANARY), *(("desk", str(desk)) for desk in desks), ("refer", "ask"), ("answer", "yes")]
        self.upload(mailbox.visitor, f"{mailbox.path}/send/", fields, files, harm)

    @precondition(lambda self: self.mailboxes)
    @rule(
        data=st.data(),
        form=st.sampled_from(["delete", "consent", "consent"]),
        allowed=st.sampled_from(["yes", "no", "x", ""]),
        token=st.sampled_from(["own", "own", "own", "other", "none"]),
    )
    def press_a_button(self, data: st.DataObject, form: str, allowed: str, token: str) -> None:
        self.press(self.mailbox(data), form, allowed, token)

    @rule(
        language=languages,
        desk=st.integers(1, DESKS),
        form=st.sampled_from(["delete", "consent"]),
        allowed=st.sampled_from(["yes", "no", "x"]),
    )
    def answer_a_question(self, language: str, desk: int, form: str, allowed: str) -> None:
        """Come back to a question that a desk has just asked, and answer it, or delete it."""
        visitor, name = self.visitors[language], self.names[0]
        self.ask(name, desk, 3, asks=True, attached=False)
        if self.seen(visitor.sign_in(name.text)).status_code == 303:
            self.mailboxes.append(Mailbox(visitor, visitor.inbox_path, name))
            self.press(self.mailboxes[-1], form, allowed, "own")

    def press(self, mailbox: Mailbox, form: str, allowed: str, token: str) -> None:
        """Press a button of the first reply; with the token of this form, of the other, or none."""
        page = self.seen(mailbox.visitor.client.get(mailbox.path)).text
        tokens = dict(TOKEN.findall(page))
        other = {"delete": "consent", "consent": "delete"}[form]
        replies = [*re.findall(r'name="reply" value="([^"]+)"', page), "1-2968-0"]
        given = {"own": tokens.get(form, ""), "other": tokens.get(other, ""), "none": ""}[token]
        values = {"token": given, "reply": replies[0], "allowed": allowed}
        before = self.site.cells
        response = self.seen(mailbox.visitor.client.post(f"{mailbox.path}/{form}", data=values))
        if response.status_code not in (200, 303):
            assert self.site.cells == before
        self.promised |= {id_: digest for id_, digest in self.site.store.entries() if id_ not in before}

    @rule(language=languages, method=st.sampled_from(["GET", "POST"]))
    def leave(self, language: str, method: str) -> None:
        visitor = self.visitors[language]
        kept = [cookie for mailbox in self.of(visitor) if (cookie := visitor.client.get_cookie(_label(mailbox.path)))]
        assert self.seen(visitor.client.open(f"/{language}/leave", method=method)).status_code == 200
        for cookie in kept:
            visitor.client.set_cookie(cookie.key, cookie.value)
        for mailbox in self.of(visitor):
            assert self.seen(visitor.client.get(mailbox.path)).status_code == 403
        self.mailboxes = [mailbox for mailbox in self.mailboxes if mailbox.visitor is not visitor]

    def mailbox(self, data: st.DataObject) -> Mailbox:
        return self.mailboxes[data.draw(st.integers(0, len(self.mailboxes) - 1))]

    def of(self, visitor: Visitor) -> list[Mailbox]:
        return [mailbox for mailbox in self.mailboxes if mailbox.visitor is visitor]

    # What the newsroom does, and time.

    @rule(
        data=st.data(), desk=st.integers(1, DESKS), index=st.integers(0, 3), asks=st.booleans(), attached=st.booleans()
    )
    def reply(self, data: st.DataObject, desk: int, index: int, asks: bool, attached: bool) -> None:
        name = data.draw(st.sampled_from([mailbox.name for mailbox in self.mailboxes] or self.names))
        self.ask(name, desk, index, asks=asks, attached=attached)

    def ask(self, name: Codename, desk: int, index: int, *, asks: bool, attached: bool) -> None:
        others = [other for other in range(1, DESKS + 1) if other != desk] if asks else []
        attachments = [(f"{CANARY}.pdf", "", CANARY.encode() * 100)] if attached else []
        self.as_newsroom(
            lambda: self.site.answer(name, desk=desk, index=index, text=CANARY, asks=others, attachments=attachments)
        )

    @rule(desk=st.integers(1, DESKS), state=st.sampled_from(["open", "checking", "closed"]))
    def publish_a_call(self, desk: int, state: str) -> None:
        document = self.site.newsroom.bulletin(desk, state=state)
        if self.as_newsroom(lambda: self.site.box.admit([document])):
            self.calls.append(bulletin.parse(document.statement).id.hex())

    @rule(desks=st.integers(1, DESKS), parameters=st.integers(1, 2))
    def change_the_manifest(self, desks: int, parameters: int) -> None:
        newsroom = self.site.newsroom
        own = (*newsroom.manifest.codename, KdfParameters(newsroom.randomness(16), 8 << 10, 1))[:parameters]

        def publish() -> None:
            newsroom.publish(desks=tuple(newsroom.desk(number) for number in range(1, desks + 1)), codename=own)
            self.site.box.admit(newsroom.documents[-1:])

        self.as_newsroom(publish)

    @rule()
    def renew_the_lists(self) -> None:
        self.as_newsroom(self.site.publish_epochs)

    @rule(seconds=st.sampled_from([1, 60, 1_800, 43_201, 86_400, 7 * 86_400, -60]))
    def pass_time(self, seconds: int) -> None:
        self.site.newsroom.pass_time(seconds=seconds)

    @rule(clock=st.sampled_from([Comparison.AGREES, Comparison.NOT_COMPARED, Comparison.DISAGREES]))
    def compare_the_clock(self, clock: Comparison) -> None:
        self.site.clock = clock

    @rule()
    def fetch_everything(self) -> None:
        """Couriers have it all, and every desk has said so."""
        self.site.empty()
        self.promised.clear()

    @staticmethod
    def as_newsroom(act: Any) -> bool:
        """Do what a newsroom may do unless it is out of date or finds no room; return whether it was taken."""
        try:
            act()
        except DropBoxError:
            return False
        return True


def _digests(tip: ReceivedTip) -> Iterable[str]:
    return (tip.message_sha256, *(sha256(file.content).hexdigest() for file in tip.files.values()))


def _label(path: str) -> str:
    return "box-" + path.rsplit("/", 1)[1]


def _raw(text: str) -> str:
    """As WSGI has it: bytes, one a letter."""
    return text.encode("utf-8", "surrogatepass").decode("latin-1")


def _run(examples: int, steps: int) -> None:
    run_state_machine_as_test(
        Surface,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_whatever_is_done_no_page_fails_and_nothing_is_lost() -> None:
    _run(5, 30)


@pytest.mark.long
def test_whatever_is_done_at_length_no_page_fails_and_nothing_is_lost() -> None:
    _run(300, 60)
