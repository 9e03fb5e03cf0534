"""Answering a call: its questions as fields of the send form, and the answers as they stand in the sealed message.

Nothing here knows of HTTP. The form carries which revision of the call it shows and each question as it shows it: where
that revision is still in force the signed questions are sealed with the answers, not what the form says they were.
Where the call was changed, withdrawn or closed meanwhile nothing that was typed is refused: the answers are sealed
beside the questions that the source saw, each marked with its revision. SPEC 8.3.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from dropbox.bulletins import Published, is_open
from dropbox.intake.receive import Form
from dropbox.refusals import BadForm, TooLong
from dropbox.source import forms
from keys import tip
from keys.bulletin import ID_BYTES, MAX_QUESTION_BYTES, MAX_QUESTIONS, Bulletin
from keys.encoding import INTEGER_MAX, from_hex
from keys.errors import Malformed
from keys.mailbox import SourceKeys
from keys.manifest import Manifest

CALL, REVISION = "call", "revision"
MAX_ANSWER_CHARACTERS = 2_000
MAX_ANSWER_BYTES = 3 * MAX_ANSWER_CHARACTERS
NUMBERS = range(1, MAX_QUESTIONS + 1)


def question_field(number: int) -> str:
    """The hidden field that carries question `number`, counted from 1, as the page shows it."""
    return f"question-{number}"


def answer_field(number: int) -> str:
    return f"answer-{number}"


def answer_bytes(in_force: Manifest) -> int:
    """The most bytes of one answer; all answers and the text together have the bytes of a message."""
    return min(MAX_ANSWER_BYTES, forms.text_bytes(in_force))


def limits(in_force: Manifest) -> dict[str, int]:
    """The most bytes of each text field of a send form, with or without a call."""
    asked = dict.fromkeys(map(question_field, NUMBERS), 2 * MAX_QUESTION_BYTES)  # A browser doubles each line break.
    answered = dict.fromkeys(map(answer_field, NUMBERS), answer_bytes(in_force))
    return {**forms.limits(in_force), CALL: 2 * ID_BYTES, REVISION: len(str(INTEGER_MAX)), **asked, **answered}


@dataclass(frozen=True, slots=True)
class Filled:
    """A form put together. `overtaken`: the call that it answers is no longer open, or no longer the one it showed."""

    message: tip.Message
    overtaken: bool

    def __repr__(self) -> str:
        return "Filled(…)"


def fill(
    form: Form, chosen: forms.Choice, keys: SourceKeys, week: int, language: str, published: Published, most_bytes: int
) -> Filled:
    """Put a form and its answers together into the message that is sealed.

    Args:
        most_bytes: of the text and all answers together.

    Raises:
        BadForm: the call or its revision is none.
        TooLong: the text and the answers together are.
    """
    message = forms.message(form, chosen, keys, week, language)
    name = form.one(CALL)
    if not name:
        if any(form.one(answer_field(number)).strip() for number in NUMBERS):
            raise BadForm
        return Filled(message, overtaken=False)
    call, revision = published.call(_id(name)), _revision(form.one(REVISION))
    same = call is not None and call.revision == revision and not call.post.withdrawn
    asked = _asked(form, call if same else None, revision, language)
    answers = ((asked[number], _lines(form.one(answer_field(number)))) for number in NUMBERS)
    message = replace(
        message, call=name, answers=tuple((question, answer) for question, answer in answers if answer.strip())
    )
    if _bytes(message) > most_bytes:
        raise TooLong
    return Filled(message, overtaken=not (same and call is not None and is_open(call)))


def _asked(form: Form, call: Bulletin | None, revision: int, language: str) -> dict[int, str]:
    """Return the questions by number: the signed ones of `call`, else what the form shows, with its revision."""
    signed = call.post.questions if call is not None else ()
    carried = {number: f"(revision {revision}) {_lines(form.one(question_field(number)))}" for number in NUMBERS}
    return carried | {number: question.of(language) for number, question in enumerate(signed, 1)}


def _id(name: str) -> bytes:
    try:
        return from_hex(name, ID_BYTES)
    except Malformed:
        raise BadForm from None


def _revision(typed: str) -> int:
    if not (typed.isascii() and typed.isdecimal() and 1 <= int(typed) <= INTEGER_MAX):
        raise BadForm
    return int(typed)


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n")  # How browsers send every line break.


def _bytes(message: tip.Message) -> int:
    return sum(len(text.encode()) for text in (message.text, *(answer for _, answer in message.answers)))
