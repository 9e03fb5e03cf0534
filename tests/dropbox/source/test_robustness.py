"""Whatever is sent: no page fails, nothing is stored half, and nothing of what was sent is left behind. Promise 1."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dropbox.source import forms
from keys import codename
from tests.dropbox.source.site import BOUNDARY, Site, Upload, Visitor, form_fields, multipart
from tests.simulators.newsroom import seeded

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

ANY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def emptied(site: Site) -> Iterator[None]:
    yield
    site.empty()


NAME = codename.make(codename.Language.THAI, seeded("a codename"))


def whole() -> bytes:
    fields = form_fields("ข้อความ", [1, 2], name=NAME.text)
    return multipart(fields, [Upload("ก.pdf", b"1" * 500), Upload("ข.pdf", b"")])


@ANY
@given(data=st.data())
def test_any_body_is_answered_and_stored_whole_or_not(site: Site, data: st.DataObject) -> None:
    body = whole()
    at = data.draw(st.integers(0, len(body)))
    kind = data.draw(st.sampled_from(["random", "cut", "changed", "inserted", "removed"]))
    noise = data.draw(
        st.binary(max_size=200) | st.sampled_from([b"\r\n--" + BOUNDARY.encode(), b"\r\n\r\n", b'"; x="'])
    )
    body = {
        "random": noise,
        "cut": body[:at],
        "changed": body[:at] + noise[:1] + body[at + 1 :],
        "inserted": body[:at] + noise + body[at:],
        "removed": body[:at] + body[at + 1 + len(noise) :],
    }[kind]
    visitor = site.visitor("en")
    response = visitor.post(f"/en/send/{'0' * 32}", body)
    assert response.status_code in (200, 400, 413, 503)
    if response.status_code == 200:
        assert [*site.tips(1), *site.tips(2)] and "stored" in response.text
    else:
        assert site.cells == frozenset()
    site.empty()
    assert site.store.room().free == site.store.room().slots


@ANY
@given(
    values=st.dictionaries(st.text(max_size=10), st.text(max_size=100), max_size=4),
    kind=st.sampled_from(["return", "delete"]),
)
def test_any_small_form_is_answered(site: Site, values: dict[str, str], kind: str) -> None:
    path = {"return": "/th/return", "delete": "/th/inbox/0123456789abcdef/delete"}[kind]
    response = site.app.test_client().post(path, data={"codename": "x", **values})
    assert response.status_code in (400, 403)


@ANY
@given(
    cookies=st.lists(st.tuples(st.text("abcdef0123456789-", max_size=30), st.text('"=;,. ABCdef_-%\\', max_size=60)))
)
def test_any_cookies_are_answered(site: Site, cookies: list[tuple[str, str]]) -> None:
    header = "; ".join(f"box-{name}={value}" for name, value in cookies)
    for path, expected in (("/th/leave", {200}), ("/th/inbox/abc", {403}), ("/th/send", {200})):
        response = site.app.test_client().get(path, headers={"Cookie": header})
        assert response.status_code in expected


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data; boundary*=UTF-8''x",
        'multipart/form-data; boundary="',
        "multipart/form-data;" * 500,
        "\xff",
        ";",
    ],
)
def test_any_content_type_is_answered(site: Site, content_type: str) -> None:
    visitor = site.visitor()
    for path in ("/th/send/" + "0" * 32, "/th/return"):
        assert visitor.post(path, whole(), content_type=content_type).status_code == 400


# A program that fails. Nobody knows where the next mistake will be.


class Failing(io.BytesIO):
    """A body in the middle of which this program itself fails, with what was sent in its exception."""

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        data = self.read(70_000)
        if self.tell() > 200_000:
            raise ZeroDivisionError(repr(data))
        memoryview(buffer)[: len(data)] = data
        return len(data)


CANARY = "คานารี-canary-7f3a"


def canaries(name: str) -> list[bytes]:
    """Every spelling in which a canary could be left behind."""
    return [
        spelling for word in (CANARY, *name.split()) for spelling in (word.encode(), repr(word.encode())[2:-1].encode())
    ]


def test_a_failing_program_keeps_what_is_committed_and_tells_nothing(
    site: Site, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    visitor = site.visitor("en")
    name, address = visitor.open_form()
    files = [Upload("first", b"1" * 100_000), Upload(CANARY, CANARY.encode() * 20_000)]
    body = multipart(form_fields(CANARY, [1], name=name.text), files)
    response = visitor.stream(address, Failing(body), len(body))
    assert response.status_code == 500
    (tip,) = site.tips()
    assert (tip.message.text, [file.content for file in tip.files.values()]) == (CANARY, [b"1" * 100_000])
    assert site.store.room().free == site.store.room().slots - len(site.cells), "the half item's slots are free again"
    said = [response.text, caplog.text, *capfd.readouterr(), visitor.get(f"/progress/{address[-32:]}").text]
    for text in said:
        assert not [canary for canary in canaries(name.text) if canary in text.encode()]
    assert "ZeroDivisionError" in caplog.text and "Something failed here" in response.text


@pytest.mark.parametrize("broken", ["look", "sign_in"])
def test_a_failing_view_tells_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    name = site.codename("en")
    visitor = site.visitor("en")
    visitor.sign_in(name.text)

    def fail(*_values: object, **_names: object) -> None:
        raise KeyError(name.text)

    monkeypatch.setattr(type(site.context), broken, fail)
    response = visitor.inbox() if broken == "look" else visitor.sign_in(name.text)
    assert response.status_code == 500
    assert not [word for word in name.words if re.search(rf"\b{word}\b", response.text + caplog.text)]
    assert response.headers["Content-Security-Policy"]


# Canaries on the disk.


def opened_files() -> list[Path]:
    """Everything this process holds open that isn't a device, a pipe or a socket."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            if link.stat().st_size and link.is_file():
                found.append(link)
        except OSError:
            continue
    return found


def planted(folder: Path, words: list[bytes]) -> list[tuple[str, bytes]]:
    """Return where a canary stands in a file of a folder, or in a file that is open, deleted ones included."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return [
        (str(path), word)
        for path in (*paths, *opened_files())
        if "catalog" not in str(path.resolve())
        for word in words
        if word in path.read_bytes()
    ]


class Looking(io.BytesIO):
    """A body during whose arrival somebody searches the disk."""

    def __init__(self, body: bytes, look: Callable[[], None]) -> None:
        super().__init__(body)
        self._look = look

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        self._look()
        return super().readinto(memoryview(buffer)[:150_000])


def test_no_plaintext_is_in_any_file_during_and_after(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    visitor: Visitor = site.visitor("en")
    name, address = visitor.open_form()
    words = [CANARY.encode(), b"file-canary-55d1", name.text.encode(), name.words[0].encode() + b" "]
    files = [Upload(f"{CANARY}.pdf", b"file-canary-55d1" * 40_000)]
    body = multipart(form_fields(CANARY * 40, [1], name=name.text), files)
    searched = []

    def search() -> None:
        searched.append(planted(site.folder, words) + planted(tmp_path, words))

    assert visitor.stream(address, Looking(body, search), len(body)).status_code == 200
    site.answer(name, text=CANARY, attachments=[(CANARY, "", CANARY.encode() * 30_000)])
    visitor.sign_in(name.text)
    assert CANARY in visitor.inbox().text
    search()
    assert len(searched) > 5 and not any(searched)


def test_the_codename_is_in_no_address_and_no_cookie(site: Site) -> None:
    visitor = site.visitor("en")
    name, address = visitor.open_form()
    response = visitor.sign_in(name.text)
    told = f"{address} {response.headers} {visitor.inbox().text}"
    assert not [word for word in name.words if len(word) > 6 and word in told]
    assert forms.CODENAME not in response.headers["Location"]
