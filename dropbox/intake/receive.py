"""From the parts of a form to a sealed tip: texts first, then the message is committed, then each file. Promise 7."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from dropbox.intake.multipart import Broken, Data, End, Event, Field, File
from dropbox.intake.sending import FileIntake, Receipt, Sending
from dropbox.refusals import BadForm, TooLong
from keys.errors import DropBoxError

MAX_FIELDS = 200


@dataclass(slots=True)
class Form:
    """The texts of a form, by field; each field's values in the order in which they came."""

    values: dict[str, list[str]] = field(default_factory=dict)
    size: int = 0
    """Bytes of all texts together."""

    def __repr__(self) -> str:
        return "Form(…)"

    def __len__(self) -> int:
        return sum(map(len, self.values.values()))

    def add(self, name: str, value: bytes | bytearray) -> None:
        """Raises: BadForm: it isn't UTF-8."""
        try:
            self.values.setdefault(name, []).append(value.decode("utf-8"))
        except UnicodeDecodeError:
            raise BadForm from None
        self.size += len(value)

    def one(self, name: str) -> str:
        """Return the first value of a field, or nothing."""
        return self.values.get(name, [""])[0]

    def all(self, name: str) -> list[str]:
        return self.values.get(name, [])


class Watch(Protocol):
    """Is told whenever an item of a sending has become safe."""

    def __call__(self, sending: Sending, /) -> None: ...


Begin = Callable[[Form], tuple[Sending, Callable[[bool], None]]]
"""Checks the texts and returns the sending with what commits its message, given whether no file follows."""


def receive(events: Iterator[Event], begin: Begin, limits: Mapping[str, int], file_field: str, watch: Watch) -> Receipt:
    """Receive one form: its texts, then its files, each committed as it ends.

    Texts must stand before files, as this project's page sends them, so that the message is safe before any file.
    Whatever is wrong before the message is committed stores nothing; whatever breaks later keeps what came.

    Args:
        limits: the most bytes of each text field; fields that aren't listed are refused. Each may come several times,
            as ticked desks do, but all together have no more bytes than if each came once: they are held in memory.
        file_field: the name of the one field that may hold files.

    Raises:
        BadForm: an unknown field, or a text that isn't UTF-8.
        TooLong: a text is longer than its field takes, or all together are.
        Broken: the upload broke off before the message was committed.
        DropBoxError: whatever `begin` refuses.
    """
    form = Form()
    sending: Sending | None = None
    try:
        for event in events:
            if isinstance(event, Field) and sending is None:
                _read_text(events, event.name, form, limits)
            elif isinstance(event, File) and event.name == file_field:
                first = None if event.filename else next(events)
                if isinstance(first, End):
                    continue  # What a browser sends when no file was chosen.
                sending = sending or _begin(begin, form, watch, closed=False)
                _read_file(events, first, sending.file(event.filename, event.declared_type))
                watch(sending)
            else:
                raise BadForm
    except (Broken, DropBoxError):
        if sending is None:
            raise
        return sending.close(broken=True)  # The message is safe: say what came, and that it isn't all.
    sending = sending or _begin(begin, form, watch, closed=True)
    return sending.close(broken=False)


def _begin(begin: Begin, form: Form, watch: Watch, *, closed: bool) -> Sending:
    sending, commit = begin(form)
    commit(closed)
    watch(sending)
    return sending


def _read_text(events: Iterator[Event], name: str, form: Form, limits: Mapping[str, int]) -> None:
    if name not in limits or len(form) >= MAX_FIELDS:
        raise BadForm
    text, most = bytearray(), min(limits[name], sum(limits.values()) - form.size)
    while isinstance(event := next(events), Data):
        text += event.data
        if len(text) > most:
            raise TooLong
    form.add(name, text)


def _read_file(events: Iterator[Event], first: Event | None, intake: FileIntake) -> None:
    """Take in one file, whose first event may have been read. When the stream breaks, what came is kept and marked."""
    try:
        event = next(events) if first is None else first
        while isinstance(event, Data):
            intake.write(event.data)
            event = next(events)
    except (Broken, DropBoxError):
        intake.end(broken=True)
        raise
    except BaseException:
        intake.drop()
        raise
    intake.end()
