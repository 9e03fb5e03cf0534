"""The commands in scripts/: what they refuse, and what they say to do about it."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LIB = ROOT / "scripts/lib"
PIN = f"click==8.0 \\\n    --hash=sha256:{'a' * 64}\n    # via mustshare-dropbox (setup.cfg)\n"
LOCKS = ["server", "courier", "station", "development"]


def bash(commands: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", commands],
        cwd=folder,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small repository with sound lock files, and nothing else in it."""
    root = tmp_path / "checkout"
    (root / "requirements").mkdir(parents=True)
    for role in LOCKS:
        (root / f"requirements/{role}.txt").write_text(PIN)
    bash("git init -q && git add .", root)
    return root


def look(check: str, checkout: Path) -> subprocess.CompletedProcess[str]:
    return bash(f"ROOT=$PWD; . {LIB}/committed.sh; git add . && {check}", checkout)


@pytest.mark.parametrize("check", ["locks_hold_pins_only", "locks_agree", "nothing_local", "no_key_material"])
def test_sound_checkout_passes(check: str, checkout: Path) -> None:
    run = look(check, checkout)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://registry.example/simple",
        "--find-links ../wheels",
        "click @ file:///somewhere/click.whl",
        "click @ https://registry.example/click.whl",
        "click>=8.0",
        "click==8.0",
        "./vendored",
        "# mirrored from https://registry.example",
    ],
)
def test_lock_with_anything_but_hashed_pins_is_refused(line: str, checkout: Path) -> None:
    with (checkout / "requirements/server.txt").open("a") as lock:
        lock.write(line + "\n")
    run = look("locks_hold_pins_only", checkout)
    assert run.returncode != 0
    assert line in run.stdout


def test_npm_lock_that_names_a_registry_is_refused(checkout: Path) -> None:
    (checkout / "package-lock.json").write_text('{"resolved": "https://registry.example/a.tgz"}')
    assert look("locks_hold_pins_only", checkout).returncode != 0


def test_role_with_a_version_that_was_not_tested_is_refused(checkout: Path) -> None:
    (checkout / "requirements/server.txt").write_text(PIN.replace("8.0", "8.1"))
    run = look("locks_agree", checkout)
    assert run.returncode != 0
    assert "click==8.1" in run.stdout


def test_path_of_one_machine_is_refused(checkout: Path) -> None:
    places = [f"{checkout}/dropbox", f"cd {checkout.parent}", "~ is /ho" + "me/somchai/", '"/ro' + 'ot/.config"']
    for place in places:
        (checkout / "notes.md").write_text(f"first line\nsee {place}\n")
        run = look("nothing_local", checkout)
        assert run.returncode != 0, place
        assert "notes.md:2:" in run.stdout


def test_home_folder_that_everybody_has_may_be_named(checkout: Path) -> None:
    (checkout / "notes.md").write_text("On Tails: /home/amnesia/Persistent\nProtectHome, home/office, lib/root/x\n")
    assert look("nothing_local", checkout).returncode == 0


def test_secret_key_outside_tests_and_docs_is_refused(checkout: Path) -> None:
    key = "AGE-SECRET-KEY-" + "PQ-1" + "Q" * 58
    (checkout / "tests").mkdir()
    (checkout / "tests/vector.txt").write_text(key)
    assert look("no_key_material", checkout).returncode == 0
    (checkout / "notes.txt").write_text(key)
    assert look("no_key_material", checkout).returncode != 0


def test_without_rights_the_missing_packages_and_one_command_are_named(tmp_path: Path) -> None:
    run = bash(
        f". {LIB}/install.sh; machine_has() {{ [[ $1 != tor && $1 != age ]]; }}; may_install() {{ return 1; }};"
        "install_packages run test",
        tmp_path,
    )
    assert run.returncode != 0
    assert "error: this machine lacks: tor age" in run.stderr
    assert "apt-get install --yes --no-install-recommends tor age" in run.stderr


def test_only_the_packages_of_the_named_purpose_are_asked_for(tmp_path: Path) -> None:
    run = bash(f". {LIB}/install.sh; machine_has() {{ return 1; }}; missing_packages run", tmp_path)
    assert "tor" in run.stdout.split()
    assert "npm" not in run.stdout.split()


def test_environment_that_somebody_else_made_is_left_alone(tmp_path: Path) -> None:
    theirs = tmp_path / "venv"
    theirs.mkdir()
    (theirs / "kept").touch()
    run = bash(f". {LIB}/install.sh; install_environment", tmp_path, MUSTSHARE_VENV=str(theirs))
    assert run.returncode != 0
    assert "hint: move it away" in run.stderr
    assert [path.name for path in theirs.iterdir()] == ["kept"]


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """A tree that has nothing but what `scripts/run` is made of: whatever it would install, it can't."""
    (tmp_path / "scripts").mkdir()
    shutil.copytree(LIB, tmp_path / "scripts/lib")
    shutil.copy(ROOT / "scripts/run", tmp_path / "scripts")
    return tmp_path


@pytest.mark.parametrize("options", ["", "--reset", "--json --folder {}", "--folder={}"])
def test_a_second_start_is_refused_before_anything_is_installed(scripts: Path, options: str) -> None:
    folder = scripts / ("elsewhere" if "{}" in options else "practice")
    folder.mkdir()
    with (folder / "practice-newsroom").open("a") as running:
        fcntl.flock(running, fcntl.LOCK_EX)
        run = bash(f"scripts/run {options.format(folder)}", scripts, MUSTSHARE_VENV=str(scripts / "venv"))
    assert (run.returncode, run.stdout) == (69, "")
    assert run.stderr.startswith("error: This practice newsroom runs already.") and "\nhint: " in run.stderr


@pytest.mark.parametrize("install", ["make_wheel", "make_environment"])
def test_the_programs_of_a_running_newsroom_are_not_exchanged(tmp_path: Path, install: str) -> None:
    venv = tmp_path / "venv"
    venv.mkdir()
    for stamp in ("lock.stamp", "wheel.stamp"):
        (venv / stamp).write_text("of another tree\n")
    with (venv / "in-use").open("a") as running:
        fcntl.flock(running, fcntl.LOCK_SH)
        run = bash(f". {LIB}/install.sh; {install}", tmp_path, MUSTSHARE_VENV=str(venv))
    assert run.returncode != 0
    assert "error: a newsroom runs with what is installed" in run.stderr and "\nhint: " in run.stderr
    assert (venv / "wheel.stamp").read_text() == (venv / "lock.stamp").read_text() == "of another tree\n"


def test_what_run_becomes_holds_the_lock(tmp_path: Path) -> None:
    """The lines of `scripts/run` that take it, and then another program in the shell's place."""
    taking = [line for line in (ROOT / "scripts/run").read_text().splitlines() if "in-use" in line]
    assert len(taking) == 1
    asking = "import fcntl, sys; fcntl.flock(open(sys.argv[1]), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    held = f'VENV={tmp_path}; {taking[0]}; exec "{sys.executable}" -c "$1" "$VENV/in-use"'
    run = bash(f"set -- '{asking}'; {held}", tmp_path)
    assert "BlockingIOError" in run.stderr


@pytest.mark.parametrize("words", ["--help", "--reset --help", "--public -h"])
def test_run_names_every_option(scripts: Path, words: str) -> None:
    run = bash(f"scripts/run {words}", scripts)
    assert run.returncode == 0
    for name in ("practice.py", "public.py"):
        program = (ROOT / "scripts" / name).read_text("utf-8")
        options = re.findall(r'@click\.option\(\s*"(--[a-z-]+)"', program)
        assert options and all(option in run.stdout for option in options)
    assert "set -uo" not in run.stdout


@pytest.mark.parametrize(("name", "shown"), [("practice.py", "scripts/run"), ("public.py", "scripts/run --public")])
def test_a_wrong_option_is_told_as_every_command_tells_it(name: str, shown: str, tmp_path: Path) -> None:
    run = bash(f'PYTHONPATH={ROOT} "{sys.executable}" {ROOT}/scripts/{name} --wrong', tmp_path)
    assert run.returncode == 64
    assert re.fullmatch(rf"error: .*--wrong.*\nhint: Run {shown} --help\.\n", run.stderr)
