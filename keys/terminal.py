"""What every command of this project does alike: speak to a person, and ask for a passphrase.

Results go to standard output (a table for people, tab-separated lines in a pipe, JSON on request); everything else goes
to standard error, and only where somebody is looking. An error is two lines, `error:` and `hint:`, and an exit code.
No passphrase is ever taken from an argument or the environment, and none is kept here.
"""

from __future__ import annotations

import getpass
import json
import os
import sys
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text as Styled

from keys.entrance import EXIT_INTERRUPTED
from keys.errors import DropBoxError, Malformed, Misconfigured, Refused

EXIT_USAGE = 64
EXIT_IO = 74
MIN_PASSPHRASE_CHARACTERS = 12
MAX_PASSPHRASE_BYTES = 1_024

_F = TypeVar("_F", bound=Callable[..., Any])


def run(command: click.Command, name: str, arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command to its end, and exit with its code: a program's `main` is this one call."""
    sys.exit(_outcome(command, name, arguments))


def _outcome(command: click.Command, name: str, arguments: Sequence[str] | None) -> int:
    try:
        outcome = command.main(arguments, prog_name=name, standalone_mode=False)
        sys.stdout.flush()
        return outcome if isinstance(outcome, int) else 0
    except DropBoxError as error:
        fail(error.message, error.remedy)
        return error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message(), file=sys.stderr)  # Our own words, of many lines: the help.
        return EXIT_USAGE
    except click.UsageError as error:
        shown = error.ctx.command_path if error.ctx else name
        message = error.format_message()
        missing = isinstance(error, click.BadParameter) and message.endswith("does not exist.")
        advice = "Check its name; a folder has to be there first, a stick mounted. " if missing else ""
        fail(message, f"{advice}Run {shown} --help.")
        return EXIT_USAGE
    except click.ClickException as error:
        fail(error.format_message(), f"Run {name} --help.")
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        fail("Interrupted.", "Run the command again.")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader went away (`… | head`). Python would complain once more while it closes standard output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_IO
    except OSError as error:
        where = f": {Path(os.fsdecode(error.filename)).name}" if isinstance(error.filename, (str, bytes)) else ""
        fail(f"{error.strerror or 'Reading or writing failed'}{where}.", "Check the files and folders that were named.")
        return EXIT_IO


def fail(message: str, remedy: str) -> None:
    """Print an error and what to do about it to standard error."""
    print(f"error: {printable(message)}\nhint: {printable(remedy)}", file=sys.stderr)


def note(message: str) -> None:
    """Say on standard error what is being done, when a person is there to read it."""
    if sys.stderr.isatty():
        print(printable(message), file=sys.stderr)


def printable(text: str, *, lines: bool = False) -> str:
    """Return text that can't command a terminal or reorder what stands around it: such characters become `�`.

    Everything that a stranger named (files, desks, tips) passes through here before it is printed.
    """
    return "".join(
        character if (lines and character in "\n\t") or not _commands(character) else "\N{REPLACEMENT CHARACTER}"
        for character in text
    )


def _commands(character: str) -> bool:
    category = unicodedata.category(character)
    # Of the invisible format characters Thai needs zero-width space, non-joiner and joiner.
    return category in ("Cc", "Cs", "Zl", "Zp") or (category == "Cf" and character not in "\u200b\u200c\u200d")


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> None:
    """Print rows to standard output: a table on a terminal, tab-separated lines without heading in a pipe."""
    if not sys.stdout.isatty():
        for row in rows:
            print("\t".join(printable(str(cell).replace("\n", " ")) for cell in row))
        return
    cells = [[printable(str(cell), lines=True) for cell in row] for row in rows]
    table = Table(
        title=title, title_justify="left", box=None, pad_edge=False, header_style="bold", show_header=any(columns)
    )
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in cells:
        table.add_row(*(Styled(cell) for cell in row))
    Console(highlight=False).print(table)


def show_facts(facts: dict[str, object], *, title: str | None = None) -> None:
    """Print names and values to standard output, one a row; what is true or false as yes or no."""
    said = {True: "yes", False: "no"}
    rows = [[name, said[value] if isinstance(value, bool) else value] for name, value in facts.items()]
    show_table(["", ""], rows, title=title)


def show_json(value: object) -> None:
    """Print one JSON value to standard output, for programs. What could command a terminal is escaped."""
    text = json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True)
    print(
        "".join(
            character if character == "\n" or not _commands(character) else _escaped(character) for character in text
        )
    )


def _escaped(character: str) -> str:
    return json.dumps(character)[1:-1]


class FolderToWrite(click.Path):
    """A folder that a command writes to: it is there, or can be made where it is named (`files.make_folder`).

    Only the last part of its path may be new: a stick that isn't mounted must not be invented.
    """

    def __init__(self) -> None:
        super().__init__(file_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path. Raises: click.BadParameter: it can't become a folder."""
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if not path.exists() and not path.absolute().parent.is_dir():
            self.fail(f"Directory {str(path.parent)!r} does not exist.", param, ctx)
        return path


def with_json(command: _F) -> _F:
    """Give a command the option `--json`, passed as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")(command)


def with_passphrase_fd(command: _F) -> _F:
    """Give a command the option `--passphrase-fd`, passed as `passphrases`, which asks the terminal without it."""

    def source(_context: click.Context, _parameter: click.Parameter, value: int | None) -> Passphrases:
        return Passphrases(value)

    return click.option(
        "--passphrase-fd",
        "passphrases",
        type=click.IntRange(min=0),
        callback=source,
        metavar="N",
        help="Read each passphrase as a line from file descriptor N, in the order in which they are asked for.",
    )(command)


class Passphrases:
    """Where a command's passphrases come from: the terminal, without echo, or the lines of a file descriptor.

    Args:
        descriptor: the number of an open file descriptor, or None for the terminal.
    """

    __slots__ = ("_descriptor",)

    def __init__(self, descriptor: int | None = None) -> None:
        self._descriptor = descriptor

    def ask(self, what: str, *, new: bool = False) -> str:
        """Ask for the passphrase of something ("the desk's key"). A new one is asked for twice on a terminal.

        Raises:
            Misconfigured: there is no terminal, or the descriptor can't be read or has no more lines.
            Malformed: it is empty, isn't text or is too long; or it wasn't typed alike twice.
            Refused: a new passphrase of fewer than 12 characters.
        """
        if self._descriptor is None:
            passphrase = _typed(f"Passphrase of {what}: " if not new else f"New passphrase for {what}: ")
            if new and _typed("The same again: ") != passphrase:
                raise Malformed("The two passphrases differ.", "Type the same passphrase twice.")
        else:
            passphrase = _line_of(self._descriptor, what)
        if not passphrase:
            raise Malformed("The passphrase is empty.", "Type a passphrase, six random words or more.")
        if new and len(passphrase) < MIN_PASSPHRASE_CHARACTERS:
            raise Refused(
                f"A new passphrase has at least {MIN_PASSPHRASE_CHARACTERS} characters.",
                "Take six random words or more, and write them down where only you look.",
            )
        return passphrase


def _typed(prompt: str) -> str:
    try:
        with warnings.catch_warnings():
            # getpass only warns when it can't switch the echo off. Then nothing must be typed.
            warnings.simplefilter("error", getpass.GetPassWarning)
            return getpass.getpass(prompt)
    except (getpass.GetPassWarning, EOFError, OSError) as error:
        raise Misconfigured(
            "There is no terminal to ask for a passphrase.", "Give it through --passphrase-fd N."
        ) from error
    except UnicodeDecodeError:
        raise Malformed("The passphrase is not text in UTF-8.", "Type it again.") from None


def _line_of(descriptor: int, what: str) -> str:
    """Read up to the next line feed and not one byte further: what follows is for the next question."""
    line = bytearray()
    try:
        while (byte := os.read(descriptor, 1)) not in (b"", b"\n"):
            line += byte
            if len(line) > MAX_PASSPHRASE_BYTES:
                raise Malformed(f"The passphrase of {what} is too long.", "End it with a line feed.")
    except OSError as error:
        raise Misconfigured("The file descriptor of --passphrase-fd can't be read.", "Open it for reading.") from error
    if not line and not byte:
        raise Misconfigured(f"--passphrase-fd has no line for the passphrase of {what}.", "Give one line for each.")
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        # Without its cause: the cause would carry the passphrase.
        raise Malformed(f"The passphrase of {what} is not text in UTF-8.", "Give it in UTF-8.") from None
