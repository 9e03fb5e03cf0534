"""What people and pipes see of every command, and where passphrases come from."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys import errors, terminal
from keys.errors import DropBoxError, Malformed, Misconfigured, Refused
from keys.terminal import Passphrases


def outcome(action: Callable[[], object], *arguments: str) -> int:
    """Run an action as a command, and return its exit code."""

    @click.command()
    @click.option("--known")
    def command(known: str | None) -> None:
        action()

    with pytest.raises(SystemExit) as exited:
        terminal.run(command, "a-command", arguments)
    assert isinstance(exited.value.code, int)
    return exited.value.code


def raising(error: BaseException) -> Callable[[], None]:
    def action() -> None:
        raise error

    return action


FAMILY = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, DropBoxError)]


@pytest.mark.parametrize("kind", FAMILY, ids=lambda kind: kind.__name__)
def test_an_error_is_two_lines_and_an_exit_code(kind: type[DropBoxError], capsys: pytest.CaptureFixture[str]) -> None:
    code = outcome(raising(kind("It happened.", "Do this.")))

    assert code == kind.exit_code != 0
    assert capsys.readouterr() == ("", "error: It happened.\nhint: Do this.\n")


@pytest.mark.parametrize(
    ("action", "arguments", "code", "words"),
    [
        (lambda: None, ["--unknown"], 64, "--unknown"),
        (raising(click.Abort()), [], 130, "Interrupted"),
        (raising(KeyboardInterrupt()), [], 130, "Interrupted"),
        (raising(FileNotFoundError(2, "No such file", "/some/where/name")), [], 74, "No such file: name."),
        (raising(click.ClickException("Click says no.")), [], 1, "Click says no."),
    ],
)
def test_other_ends_are_told_alike(
    action: Callable[[], object],
    arguments: list[str],
    code: int,
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert outcome(action, *arguments) == code

    error, hint = capsys.readouterr().err.strip().split("\n")
    assert error.startswith("error: ")
    assert words in error
    assert hint.startswith("hint: ")


def test_a_group_alone_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    group = click.Group("g", help="All about it.", commands={"sub": click.Command("sub", help="A part.")})

    with pytest.raises(SystemExit) as exited:
        terminal.run(group, "a-group", [])

    shown = capsys.readouterr()
    assert (exited.value.code, shown.out) == (64, "")
    assert "Usage: a-group" in shown.err.splitlines()[0]
    assert "  sub  A part." in shown.err.splitlines()
    assert "�" not in shown.err


def test_a_folder_that_is_not_there_is_hinted_at(capsys: pytest.CaptureFixture[str]) -> None:
    command = click.Command("x", params=[click.Argument(["stick"], type=click.Path(exists=True))])

    with pytest.raises(SystemExit) as exited:
        terminal.run(command, "a-command", ["/media/no-stick"])

    error, hint = capsys.readouterr().err.strip().split("\n")
    assert exited.value.code == 64
    assert "/media/no-stick" in error
    assert "a stick mounted" in hint
    assert "a-command --help" in hint


def test_facts_say_yes_and_no(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.show_facts({"practice": True, "open": False, "count": 1})

    assert capsys.readouterr().out == "practice\tyes\nopen\tno\ncount\t1\n"


def test_a_mistake_of_ours_is_not_hidden() -> None:
    with pytest.raises(RuntimeError):
        terminal.run(click.Command("x", callback=raising(RuntimeError("bug"))), "x", [])


def test_success_is_zero() -> None:
    assert outcome(lambda: None) == 0
    assert outcome(lambda: None, "--help") == 0


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("น้ำใจ\u200b", "น้ำใจ\u200b"),
        ("\x1b[2Jgone", "�[2Jgone"),
        ("a\r\nb\tc", "a��b�c"),
        ("gpj\u202eexe", "gpj�exe"),
        ("\u2066\u2028\x9b\x7f\ud800", "�����"),
    ],
)
def test_a_strangers_words_cannot_command_the_terminal(text: str, shown: str) -> None:
    assert terminal.printable(text) == shown


@given(text=st.text())
def test_what_is_printable_stays_so_and_prints(text: str) -> None:
    shown = terminal.printable(text)

    assert terminal.printable(shown) == shown
    assert "\x1b" not in shown
    shown.encode("utf-8")


def test_lines_may_stay_where_asked_for() -> None:
    assert terminal.printable("a\n\tb\r", lines=True) == "a\n\tb�"


def test_a_pipe_gets_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.show_table(["name", "number"], [["โต๊ะ\nสอง", 1], ["[red]x\x1b", None]], title="Title")

    assert capsys.readouterr().out == "โต๊ะ สอง\t1\n[red]x�\tNone\n"


def test_a_terminal_gets_a_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "100")
    terminal.show_table(["name", "number"], [["[red]โต๊ะ\x1b[0m", 1]])

    shown = capsys.readouterr().out
    assert "name" in shown
    assert "[red]โต๊ะ�[0m" in shown


def test_json_is_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.show_json({"name": "โต๊ะ"})

    shown = capsys.readouterr().out
    assert json.loads(shown) == {"name": "โต๊ะ"}
    assert "โต๊ะ" in shown


def test_notes_are_quiet_when_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.note("Working")

    assert capsys.readouterr() == ("", "")


@contextmanager
def descriptor(data: bytes) -> Iterator[int]:
    reading, writing = os.pipe()
    os.write(writing, data)
    os.close(writing)
    try:
        yield reading
    finally:
        os.close(reading)


def test_each_question_takes_one_line_and_no_more() -> None:
    with descriptor("first passphrase\nรหัสผ่านที่สอง\nrest".encode()) as number:
        passphrases = Passphrases(number)

        assert passphrases.ask("one") == "first passphrase"
        assert passphrases.ask("two", new=True) == "รหัสผ่านที่สอง"
        assert os.read(number, 10) == b"rest"


@pytest.mark.parametrize(
    ("data", "new", "error"),
    [
        (b"", False, Misconfigured),
        (b"\n", False, Malformed),
        (b"\xff secret\n", False, Malformed),
        (b"x" * 2000, False, Malformed),
        (b"too short\n", True, Refused),
    ],
)
def test_a_passphrase_is_refused(data: bytes, new: bool, error: type[DropBoxError]) -> None:
    with descriptor(data) as number, pytest.raises(error) as raised:
        Passphrases(number).ask("the key", new=new)

    assert "secret" not in str(raised.value) + raised.value.remedy
    assert not isinstance(raised.value.__cause__, UnicodeDecodeError)


def test_a_closed_descriptor_is_told() -> None:
    with descriptor(b"") as number:
        pass
    with pytest.raises(Misconfigured):
        Passphrases(number).ask("the key")


def test_json_can_not_command_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.show_json({"text": "\x9b31m\u202e ก็ \U000e0001"})
    printed = capsys.readouterr().out
    assert not {"\x9b", "\u202e", "\U000e0001"} & set(printed) and "ก็" in printed
    assert json.loads(printed) == {"text": "\x9b31m\u202e ก็ \U000e0001"}
