"""Somebody with a browser at the source's site, over the real socket: cookies kept, forms sent as pages have them."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dropbox.service import SMALL_UPLOAD_BYTES
from keys import codename
from keys.codename import Codename
from tests.dropbox.serving.visitors import Visit
from tests.dropbox.source.site import BOUNDARY, Upload, action, form_fields, hidden, multipart

MULTIPART = f"Content-Type: multipart/form-data; boundary={BOUNDARY}"
URL_ENCODED = "Content-Type: application/x-www-form-urlencoded"
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Answer:
    """A whole response, as its bytes came."""

    raw: bytes

    @property
    def head(self) -> str:
        return self.raw.partition(b"\r\n\r\n")[0].decode("latin-1")

    @property
    def status(self) -> int:
        return int(self.head.split(" ", 2)[1])

    @property
    def text(self) -> str:
        return self.raw.partition(b"\r\n\r\n")[2].decode()

    @property
    def whole(self) -> bool:
        """Whether nothing is missing at its end."""
        announced = self.header("Content-Length")
        _, found, body = self.raw.partition(b"\r\n\r\n")
        return bool(found) and (announced is None or len(body) == int(announced))

    def headers(self, name: str) -> list[str]:
        found = [line.partition(": ") for line in self.head.split("\r\n")[1:]]
        return [value for key, _, value in found if key.lower() == name.lower()]

    def header(self, name: str) -> str | None:
        return next(iter(self.headers(name)), None)


@dataclass(frozen=True)
class Form:
    """The form of a send page: the codename that it shows, and where it goes."""

    codename: Codename
    address: str


@dataclass(frozen=True)
class Sent:
    codename: Codename
    answer: Answer

    @property
    def digests(self) -> list[str]:
        """The SHA-256 of each file that the receipt lists."""
        return re.findall(r"SHA-256 <code>([0-9a-f]{64})</code>", self.answer.text)


class Browser:
    """One browser, on the pages of one language; all that it asks for comes over one circuit, if one is given."""

    def __init__(self, socket_path: Path, language: str = "th", circuit: int | None = None) -> None:
        self.socket_path = socket_path
        self.language = language
        self.circuit = circuit
        self.patience_seconds = PATIENCE_SECONDS
        self.cookies: dict[str, str] = {}
        self.inbox_path = ""

    def request(self, method: str, path: str, body: bytes | None = None, *fields: str) -> Answer:
        with self.begin(method, path, body or b"", None if body is None else len(body), *fields) as visit:
            answer = Answer(visit.rest())
        for cookie in answer.headers("Set-Cookie"):
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        return answer

    def begin(self, method: str, path: str, part: bytes, length: int | None, *fields: str) -> Visit:
        """Send a head and the first part of a body; the caller sends the rest, or doesn't."""
        visit = Visit(self.socket_path, self.circuit, self.patience_seconds)
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        visit.head(method, path, *fields, *([f"Cookie: {cookies}"] if cookies else []), length=length)
        visit.send(part)
        return visit

    def get(self, path: str) -> Answer:
        return self.request("GET", f"/{self.language}{path}")

    # Sending.

    def open_form(self) -> Form:
        page = self.get("/send")
        assert page.status == 200, page.head
        return Form(codename.read(hidden(page.text, "codename")), action(page.text))

    def body(
        self, form: Form, text: str, files: Sequence[Upload] = (), *, desks: Sequence[int] = (1,), answer: bool = True
    ) -> bytes:
        """Return the filled-in form as a browser writes it."""
        return multipart(form_fields(text, desks, answer=answer, name=form.codename.text), files)

    def send(
        self, text: str, files: Sequence[Upload] = (), *, desks: Sequence[int] = (1,), answer: bool = True
    ) -> Sent:
        """Open the send page, fill its form in and send it."""
        form = self.open_form()
        body = self.body(form, text, files, desks=desks, answer=answer)
        return Sent(form.codename, self.request("POST", form.address, body, MULTIPART))

    def half_sent(self, form: Form, body: bytes, part: int, *, as_files: bool = True) -> Visit:
        """Send a part of a filled-in form. With `as_files` it is announced so long that it goes to the files' lane."""
        length = max(len(body), SMALL_UPLOAD_BYTES) if as_files else len(body)
        return self.begin("POST", form.address, body[:part], length, MULTIPART)

    # Coming back.

    def sign_in(self, typed: str) -> Answer:
        """Type a codename; on success, remember where the mailbox is."""
        answer = self.request(
            "POST", f"/{self.language}/return", f"codename={_quoted(typed)}".encode("ascii"), URL_ENCODED
        )
        if answer.status == 303:
            self.inbox_path = answer.header("Location") or ""
        return answer

    def inbox(self) -> Answer:
        return self.request("GET", self.inbox_path)

    def delete_newest(self) -> Answer:
        """Press the button that deletes the first reply of the mailbox."""
        page = self.inbox().text
        reply = re.search(r'<button name="reply" value="([^"]*)"', page)
        assert reply, "the mailbox shows no reply"
        body = f"token={hidden(page, 'token')}&reply={html.unescape(reply[1])}".encode()
        return self.request("POST", f"{self.inbox_path}/delete", body, URL_ENCODED)


def _quoted(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())
