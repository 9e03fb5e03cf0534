"""A name for each thread that can be said aloud: the same sounds in Thai and English, from the source's public key.

Five syllables of 14 consonants and 5 vowels: 1.7 thousand million names. It helps people to talk about a source without
a number; it is no secret, and it proves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from keys import primitives
from keys.statement import NetworkId

_CONSONANTS = (
    ("b", "บ"),
    ("ch", "ช"),
    ("d", "ด"),
    ("f", "ฟ"),
    ("j", "จ"),
    ("kh", "ค"),
    ("l", "ล"),
    ("m", "ม"),
    ("n", "น"),
    ("p", "ป"),
    ("r", "ร"),
    ("s", "ส"),
    ("t", "ต"),
    ("w", "ว"),
)
"""No h and no y: with some vowels they make words that nobody wants to say at a desk."""

_VOWELS = (("a", "{}า"), ("e", "เ{}"), ("i", "{}ี"), ("o", "โ{}"), ("u", "{}ู"))
_LABEL = b"mustshare/v1/thread-name"
_WORDS = (2, 3)


@dataclass(frozen=True, slots=True)
class ThreadName:
    """How a thread is called in each language."""

    th: str
    en: str


def thread_name(network: NetworkId, source: bytes) -> ThreadName:
    """Return the name of the thread of a source's public key: always the same, in this network."""
    number = int.from_bytes(primitives.sha256(_LABEL + network + source)[:8], "big")
    thai, english = [], []
    for syllables in _WORDS:
        word_th = word_en = ""
        for _ in range(syllables):
            number, consonant = divmod(number, len(_CONSONANTS))
            number, vowel = divmod(number, len(_VOWELS))
            latin, thai_letter = _CONSONANTS[consonant]
            word_en += latin + _VOWELS[vowel][0]
            word_th += _VOWELS[vowel][1].format(thai_letter)
        thai.append(word_th)
        english.append(word_en)
    return ThreadName(" ".join(thai), "-".join(english))


def same_name(typed: str, name: ThreadName) -> bool:
    """Say whether somebody typed this name, in either language, whatever the spaces, hyphens and case."""
    squeezed = "".join(typed.split()).replace("-", "").casefold()
    return squeezed in (name.en.replace("-", ""), name.th.replace(" ", ""))
