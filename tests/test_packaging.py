"""The built wheel is what runs: the tests import it, every command stands on it, and it carries every file it needs."""

from __future__ import annotations

import gettext
import importlib
import importlib.util
import re
import subprocess
import sysconfig
from importlib.metadata import distribution
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
SITE = Path(sysconfig.get_path("purelib"))
PACKAGES = ["keys", "dropbox", "journalist_station", "onion_config"]
COMMANDS = ["dropbox-courier", "dropbox-server", "journalist-station", "newsroom-keys", "onion-config"]
ROLES = ["server", "courier", "station", "development"]
NOT_PACKED = {".pyc", ".po", ".pot", ".mo"}
FOR_SCRIPTS = {"words/english-excluded.txt", "words/thai-excluded.txt", "translations/babel.cfg", "words/README.md"}
"""What scripts make the lists and catalogues from, and what is said of them; the program never reads them."""


def packed(folder: Path) -> dict[str, bytes]:
    """Read every file that both the tree and the wheel must have, by its path below a package."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in NOT_PACKED and str(path.relative_to(folder)) not in FOR_SCRIPTS
    }


@pytest.mark.parametrize("package", PACKAGES)
def test_tests_import_the_installed_wheel(package: str) -> None:
    module = importlib.import_module(package)
    assert module.__file__ is not None
    assert Path(module.__file__).is_relative_to(SITE), "run scripts/test, which doesn't put this tree on the path"


@pytest.mark.parametrize("package", PACKAGES)
def test_wheel_holds_the_tree_and_nothing_else(package: str) -> None:
    tree, wheel = packed(ROOT / package), packed(SITE / package)
    assert sorted(wheel) == sorted(tree)
    assert [name for name in tree if tree[name] != wheel[name]] == []


def test_every_catalogue_is_compiled() -> None:
    sources = {path.relative_to(ROOT).with_suffix("") for path in ROOT.glob("*/translations/**/*.po")}
    compiled = {path.relative_to(SITE).with_suffix("") for name in PACKAGES for path in (SITE / name).rglob("*.mo")}
    assert compiled == sources


@pytest.fixture(scope="module")
def backend() -> ModuleType:
    spec = importlib.util.spec_from_file_location("backend", ROOT / "scripts/lib/wheel_with_catalogues.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_catalogue_compiles_without_its_doubtful_entries(backend: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "dropbox/translations/th/LC_MESSAGES"
    folder.mkdir(parents=True)
    (folder / "messages.po").write_text(
        'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n\n'
        'msgid "Send"\nmsgstr "ส่ง"\n\n'
        '#, fuzzy\nmsgid "Delete"\nmsgstr "ส่ง"\n',
        "utf-8",
    )
    (compiled,) = backend.compile_catalogues(tmp_path)
    with open(compiled, "rb") as file:
        catalogue = gettext.GNUTranslations(file)
    assert catalogue.gettext("Send") == "ส่ง"
    assert catalogue.gettext("Delete") == "Delete"


def test_wheel_installs_exactly_these_commands() -> None:
    scripts = distribution("mustshare-dropbox").entry_points.select(group="console_scripts")
    assert sorted(script.name for script in scripts) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_command_explains_itself(command: str, tmp_path: Path) -> None:
    path = Path(sysconfig.get_path("scripts"), command)
    run = subprocess.run([path, "--help"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    assert "Usage" in run.stdout


def pins(role: str) -> dict[str, str]:
    lock = (ROOT / "requirements" / f"{role}.txt").read_text("utf-8")
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", lock, re.MULTILINE))


@pytest.mark.parametrize("role", ROLES)
def test_lock_pins_what_its_role_requires(role: str) -> None:
    locked = pins(role)
    for line in distribution("mustshare-dropbox").requires or []:
        requirement = Requirement(line)
        wanted = requirement.marker is None or requirement.marker.evaluate({"extra": role})
        if wanted and requirement.name != "mustshare-dropbox":
            assert requirement.specifier.contains(locked[canonicalize_name(requirement.name)]), line


def test_no_role_carries_the_tools_of_another() -> None:
    web, vault = {"flask", "gunicorn", "stem"}, {"sqlcipher3", "shamir-mnemonic"}
    assert not pins("server").keys() & vault
    assert not pins("courier").keys() & (web | vault)
    assert not pins("station").keys() & (web | {"python-socks"})


def test_no_test_folder_is_a_package() -> None:
    assert list((ROOT / "tests").rglob("__init__.py")) == [], "a package tests/keys would hide the real keys"
