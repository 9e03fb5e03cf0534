"""Writes the vectors of SPEC section 5 beside itself. Run: python generate.py

It shares no code with what it tests: the check word comes from hashlib and the list files themselves.
"""

import hashlib
import json
import unicodedata
from pathlib import Path

HERE = Path(__file__).parent
LISTS = HERE.parents[2] / "keys" / "words"
WORDS = {
    language: (LISTS / f"{name}.txt").read_text("utf-8").splitlines()
    for language, name in (("th", "thai"), ("en", "english"))
}


def write(name: str, vector: dict[str, object]) -> None:
    (HERE / f"{name}.json").write_text(json.dumps(vector, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def codename(language: str, indices: list[int]) -> tuple[bytes, list[str]]:
    words = [WORDS[language][index] for index in indices]
    canonical = f"{language}:{'-'.join(words)}".encode()
    digest = hashlib.sha256(b"mustshare/v1/check\0" + canonical).digest()
    return canonical, [*words, WORDS[language][int.from_bytes(digest[:8], "big") % 7776]]


def made(name: str, about: str, language: str, indices: list[int], drawn: str = "") -> None:
    canonical, words = codename(language, indices)
    write(
        f"made-{name}",
        {
            "about": about,
            "language": language,
            "random": drawn,
            "indices": indices,
            "canonical": canonical.hex(),
            "text": " ".join(words),
        },
    )


def read(name: str, about: str, typed: str, language: str, indices: list[int]) -> None:
    write(f"read-{name}", {"about": about, "typed": typed, "expect": "ok", "language": language, "indices": indices})


def refused(name: str, about: str, typed: str, expect: str, **details: object) -> None:
    write(f"read-{name}", {"about": about, "typed": typed, "expect": expect, **details})


def from_random(data: bytes) -> list[int]:
    numbers = (int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))
    return [number % 7776 for number in numbers if number < 62208][:7]


FIRST, LAST = [0] * 7, [7775] * 7
SOME = [1, 22, 333, 4444, 5555, 6666, 7777 % 7776]
for language in ("th", "en"):
    made(f"{language}-first", "The first word seven times.", language, FIRST)
    made(f"{language}-last", "The last word seven times.", language, LAST)
    made(f"{language}-some", "Seven words from all over the list.", language, SOME)
RANDOM = bytes.fromhex("0000 f300 f2ff 1e5f 1e60 ffff 3cbf 3cc0 8000".replace(" ", ""))
made("en-drawn", "Pairs of bytes from f300 on are drawn again.", "en", from_random(RANDOM), RANDOM.hex())
made("th-drawn", "Pairs of bytes from f300 on are drawn again.", "th", from_random(RANDOM), RANDOM.hex())

ENGLISH = codename("en", SOME)[1]
THAI_PLACES = [WORDS["th"].index(word) for word in ("น้ำผึ้ง", "แมงมุม", "กล้วย", "เกี๊ยว", "น้ำตก", "สะพานลอย", "ผีเสื้อ")]
THAI = codename("th", THAI_PLACES)[1]

read("en-plain", "As it is shown.", " ".join(ENGLISH), "en", SOME)
read("en-joined", "Without spaces.", "".join(ENGLISH), "en", SOME)
read("en-upper-hyphens", "In capitals, with hyphens.", "-".join(ENGLISH).upper(), "en", SOME)
read("en-numbered", "As a numbered list.", "\r\n".join(f"{at}. {word}" for at, word in enumerate(ENGLISH, 1)), "en", SOME)
WIDE = "".join(chr(ord(letter) + 0xFEE0) for letter in "".join(ENGLISH))
read("en-full-width", "In full-width letters.", WIDE, "en", SOME)
read("en-split", "With a space after each letter.", " ".join("".join(ENGLISH)), "en", SOME)
read("th-plain", "As it is shown.", " ".join(THAI), "th", THAI_PLACES)
read("th-joined", "Without spaces.", "".join(THAI), "th", THAI_PLACES)
read("th-nfkc", "With ำ as two characters.", unicodedata.normalize("NFKC", " ".join(THAI)), "th", THAI_PLACES)
read("th-nikhahit-first", "With ํ before the tone mark.", " ".join(THAI).replace("้ำ", "ํ้า"), "th", THAI_PLACES)
read("th-tone-last", "With the tone mark after ำ.", " ".join(THAI).replace("้ำ", "ำ้"), "th", THAI_PLACES)
read("th-tone-before-vowel", "With tone marks before vowels above.", " ".join(THAI).replace("ี๊", "๊ี").replace("ึ้", "้ึ"), "th", THAI_PLACES)
read("th-two-e", "With เเ for แ.", " ".join(THAI).replace("แ", "เเ"), "th", THAI_PLACES)
read("th-doubled-marks", "With marks typed twice.", " ".join(THAI).replace("้", "้้").replace("ี", "ีี"), "th", THAI_PLACES)
read("th-zero-width", "With zero-width spaces and joiners between letters.", "\u200b".join(" ".join(THAI)) + "\ufeff\u200d", "th", THAI_PLACES)

refused("en-swapped", "Two words swapped.", " ".join([ENGLISH[1], ENGLISH[0], *ENGLISH[2:]]), "wrong-check-word")
refused("th-other-check", "Another check word.", " ".join([*THAI[:7], THAI[0]]), "wrong-check-word")
refused("en-seven", "The check word is missing.", " ".join(ENGLISH[:7]), "wrong-length", count=7)
refused("th-nine", "A word too many, without spaces.", "".join([*THAI, THAI[0]]), "wrong-length", count=9)
refused("empty", "Nothing.", " \n", "wrong-length", count=0)
refused(
    "en-unknown",
    "Words three and eight mistyped.",
    " ".join([*ENGLISH[:2], ENGLISH[2] + "x", *ENGLISH[3:7], "q"]),
    "unknown-word",
    positions=[3, 8],
)
refused("th-unknown", "A tone mark forgotten.", " ".join([THAI[0].replace("้", ""), *THAI[1:]]), "unknown-word", positions=[1])
refused("th-in-english", "A Thai word among English ones.", " ".join([*ENGLISH[:4], THAI[0], *ENGLISH[5:]]), "unknown-word", positions=[5])
refused("too-long", "More than 1,000 characters.", "a " * 501, "malformed")
