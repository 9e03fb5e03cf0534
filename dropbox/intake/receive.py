"""From the parts of a form to a sealed tip: texts first, then the message is committed, then each file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from dropbox.intake.multipart import Broken, Data, Event, Field, File
from dropbox.intake.sending import FileIntake, Receipt, Sending
from keys.errors import DropBoxError, Malformed

MAX_FIELDS = 200
MAX_FIELD_BYTES = 1 << 20


@dataclass(slots=True)
class Form:
    """The texts of a form, by field; each field's values in the order in which they came."""

    values: dict[str, list[str]] = field(default_factory=dict)

    def __repr__(self) -> str:
        return "Form(…)"

    def one(self, name: str) -> str:
        """Return the first value of a field, or nothing."""
        return self.values.get(name, [""])[0]

    def all(self, name: str) -> list[str]:
        return self.values.get(name, [])


class Watch(Protocol):
    """Is told how far an upload has come."""

    def __call__(self, sending: Sending, /) -> None: ...


Begin = Callable[[Form], tuple[Sending, Callable[[bool], None]]]
"""Checks the texts and returns the sending with what commits its message, given whether no file follows."""


def receive(events: Iterator[Event], begin: Begin, limits: Mapping[str, int], file_field: str, watch: Watch) -> Receipt:
    """Receive one form: its texts, then its files, each committed as it ends.

    Texts must stand before files, as this project's page sends them, so that the message is safe before any file.
    A break in the texts stores nothing; a break later keeps what came.

    Args:
        limits: the most bytes of each text field; fields that aren't listed are refused.
        file_field: the name of the one field that may hold files.

    Raises:
        Malformed: an unknown field, a text that is too long or isn't UTF-8, or texts behind files.
        Broken: the upload broke off before the message was committed: nothing is stored.
        DropBoxError: whatever `begin` refuses.
    """
    form = Form()
    sending: Sending | None = None
    try:
        for event in events:
            if isinstance(event, Field):
                if sending is not None:
                    raise Malformed("A text arrived behind the files.", "Open the page again and send it from there.")
                _read_text(events, event.name, form, limits)
            elif isinstance(event, File):
                if event.name != file_field:
                    raise Malformed("A file arrived where none belongs.", "Open the page again and send it from there.")
                first = next(events, None)
                if not isinstance(first, Data):
                    raise Malformed("A file has no content.", "Open the page again and send it from there.")
                if not event.filename and not first.data and first.last:
                    continue  # What a browser sends when no file was chosen.
                if sending is None:
                    sending = _begin(begin, form, watch, closed=False)
                _read_file(events, first, sending.file(event.filename, event.declared_type), watch, sending)
    except (Broken, DropBoxError, OSError):
        if sending is None:
            raise
        return sending.close(broken=True)  # The message is safe: say what came, and that it isn't all.
    if sending is None:
        sending = _begin(begin, form, watch, closed=True)
    return sending.close(broken=False)


def _begin(begin: Begin, form: Form, watch: Watch, *, closed: bool) -> Sending:
    sending, commit = begin(form)
    commit(closed)
    watch(sending)
    return sending


def _read_text(events: Iterator[Event], name: str, form: Form, limits: Mapping[str, int]) -> None:
    if name not in limits or sum(map(len, form.values.values())) >= MAX_FIELDS:
        raise Malformed("The form has a field that this page doesn't send.", "Open the page again.")
    data = bytearray()
    for event in events:
        if not isinstance(event, Data):
            raise Malformed("The form is out of order.", "Open the page again.")
        data += event.data
        if len(data) > min(limits[name], MAX_FIELD_BYTES):
            raise Malformed(
                f"One text of the form is longer than {limits[name]:,} bytes.", "Shorten it, or send it as a file."
            )
        if event.last:
            break
    try:
        form.values.setdefault(name, []).append(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise Malformed("A text of the form isn't UTF-8.", "Open the page again.") from error


def _read_file(events: Iterator[Event], first: Data, intake: FileIntake, watch: Watch, sending: Sending) -> None:
    event: Event = first
    try:
        while isinstance(event, Data):
            intake.write(event.data)
            if event.last:
                break
            event = next(events)
    except (Broken, Malformed, StopIteration) as error:
        intake.end(broken=True)
        raise Broken from error
    intake.end()
    watch(sending)
