"""The keys page: what it offers is what was signed, stock minisign agrees, and a file sealed to it can be opened."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from keys import age
from keys.age import HybridRecipient
from keys.languages import LANGUAGES
from keys.primitives import system_randomness
from tests.dropbox.source.markup import Page
from tests.dropbox.source.site import Site, Upload


def links(page: Page) -> dict[str, str]:
    return {link.text: link["href"] for link in page.all("a") if "/keys/" in link["href"]}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_fingerprint_is_shown(site: Site, language: str) -> None:
    text = Page(site.visitor(language).get("/keys").text).text
    manifest = site.newsroom.manifest
    keys = [*manifest.roots, *(desk.key for desk in manifest.desks), *(server.key for server in manifest.servers)]
    for key in keys:
        assert key.fingerprint in text
    assert manifest.network.hex() in text


def test_every_link_hands_out_what_it_names(site: Site) -> None:
    visitor = site.visitor()
    offered = {name: visitor.client.get(link) for name, link in links(Page(visitor.get("/keys").text)).items()}
    assert {response.status_code for response in offered.values()} == {200}
    for name, document in site.box.documents():
        assert offered[name].data == document.statement
        signatures = [
            response.data for file, response in offered.items() if re.match(rf"{name}(\.\d+)?\.minisig", file)
        ]
        assert tuple(signatures) == document.signatures
    assert offered["desk-2.pub"].data == site.newsroom.manifest.desk(2).key.file()


@pytest.mark.skipif(shutil.which("minisign") is None, reason="minisign isn't installed")
def test_stock_minisign_agrees_with_every_arrow(site: Site, tmp_path: Path) -> None:
    visitor = site.visitor()
    page = Page(visitor.get("/keys").text)
    for name, link in links(page).items():
        (tmp_path / name).write_bytes(visitor.client.get(link).data)
    arrows = re.findall(r">([^<]+)\.minisig</a> ← ([^<]+)</li>", page.source)
    assert len(arrows) == sum(len(document.signatures) for _, document in site.box.documents())
    for stem, key in arrows:
        document = next(name for name, _ in site.box.documents() if stem == name or stem.startswith(f"{name}."))
        command = ["minisign", "-V", "-p", key, "-m", document, "-x", f"{stem}.minisig"]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)


@pytest.fixture
def saved(site: Site, tmp_path: Path) -> Path:
    """A folder into which a visitor saved everything that the page offers."""
    visitor = site.visitor()
    for name, link in links(Page(visitor.get("/keys").text)).items():
        (tmp_path / name).write_bytes(visitor.client.get(link).data)
    return tmp_path


def shown(site: Site, begin: str) -> list[str]:
    """Return the commands that the page prints, by how they begin."""
    page = Page(site.visitor("en").get("/keys").text)
    return [line for code in page.all("code") for line in code.text.split("\n") if line.startswith(begin)]


@pytest.mark.skipif(shutil.which("minisign") is None, reason="minisign isn't installed")
def test_every_command_shown_for_minisign_runs_and_notices_a_change(site: Site, saved: Path) -> None:
    commands = shown(site, "minisign ")
    manifest = site.newsroom.manifest
    assert len(commands) == manifest.threshold + len(manifest.desks)
    for command in commands:
        subprocess.run(command.split(), cwd=saved, check=True, capture_output=True)
    for name, _ in site.box.documents():
        data = (saved / name).read_bytes()
        (saved / name).write_bytes(data.replace(b"1", b"2", 1))
    for command in commands:
        assert subprocess.run(command.split(), cwd=saved, check=False, capture_output=True).returncode == 1


def test_the_command_shown_works_out_the_fingerprint_shown(site: Site, saved: Path) -> None:
    (command,) = shown(site, "tail ")
    said = subprocess.run(["bash", "-c", command], cwd=saved, check=True, capture_output=True, text=True).stdout
    assert said.strip() == site.newsroom.manifest.roots[0].fingerprint.replace(" ", "")


def test_the_command_shown_says_whether_a_newsroom_signed_a_key(site: Site, saved: Path) -> None:
    commands = shown(site, "grep ")
    assert len(commands) == len(site.newsroom.manifest.desks)
    for command in commands:
        run = subprocess.run(command.split(), cwd=saved, check=True, capture_output=True, text=True)
        assert run.stdout == "1\n"
    one, other = (command.split()[4] for command in commands[:2])
    (saved / one).write_bytes((saved / other).read_bytes())
    assert subprocess.run(commands[0].split(), cwd=saved, check=False, capture_output=True).stdout == b"0\n"


def test_a_file_that_a_source_sealed_itself_opens_at_the_desks(site: Site) -> None:
    visitor = site.visitor("en")
    page = Page(visitor.get("/keys").text)
    lines = [visitor.client.get(link).text for name, link in links(page).items() if name.startswith("recipient-1-")]
    recipients = [HybridRecipient.from_text(line.strip()) for line in lines]
    sealed = age.seal_bytes(b"nobody on the way reads this", recipients, system_randomness)
    sent = visitor.send("", [Upload("file.age", sealed)])
    (file,) = site.tip(sent).files.values()
    identity = site.newsroom.chain(1).identity(site.newsroom.week)
    assert age.open_bytes(file.content, [identity]) == b"nobody on the way reads this"


def test_the_page_says_until_when_its_keys_serve(site: Site) -> None:
    assert "serve until 22 November 2026" in site.visitor("en").get("/keys").text
    assert "ถึงวันที่ 22 พฤศจิกายน 2569" in site.visitor("th").get("/keys").text


@pytest.mark.parametrize(
    "name", ["manifest-2", "root-9.pub", "manifest-1.9.minisig", "manifest-1.minisig.x", "..", "%00", "ก"]
)
def test_nothing_else_is_handed_out(site: Site, name: str) -> None:
    assert site.visitor().get(f"/keys/{name}").status_code == 404


def test_what_is_admitted_later_is_offered_too(site: Site) -> None:
    document = site.newsroom.epochs(1, weeks=2)
    assert "epochs-1-2" not in site.visitor().get("/keys").text
    site.box.admit([document])
    page = Page(site.visitor().get("/keys").text)
    assert "epochs-1-2" in links(page) and "epochs-1-1" not in links(page)
    line = site.visitor().client.get(links(page)[f"recipient-1-{site.newsroom.week}.txt"]).text
    assert line.strip() == str(site.newsroom.chains[1, 2].identity(site.newsroom.week).recipient())
