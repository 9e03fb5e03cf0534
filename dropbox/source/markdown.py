"""Markdown as desks and newsrooms write it, turned into HTML that can do nothing but be read.

Two walls, each enough: markdown-it reads no HTML and no entities, and every address becomes text; then nh3 lets through
only what is listed here. So one bug in either leaves the page harmless, and the site's policy forbids the rest.

A link leads only to a page of this site. Any other address, an onion's too, is shown as text for people to read: a page
that is opened with one touch while Tor Browser has this one open tells its owner when, and the clear web tells who
listens; and what a desk signed once stays signed when a name changes hands. See docs/adr/0013-markdown.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token

from dropbox.source.words import undeceiving

MAX_BYTES = 64 << 10
"""As long as a bulletin's body may be; what is longer is cut there."""
MAX_DEPTH = 12
"""How deep lists and quotations may stand in each other."""
HEADINGS = ("h2", "h3", "h4", "h5", "h6")
ATTRIBUTES = {"a": {"href"}, "ol": {"start"}}
TAGS = frozenset(
    {"p", "br", "hr", "em", "strong", "code", "pre", "blockquote", "ul", "ol", "li", "a", *HEADINGS},
)
_OWN_PAGE = re.compile(r"/(?:th|en)(?:/[a-z0-9-]{1,64}){0,4}/?\Z")
_SPOKEN = "\n"  # No address.
_KEPT_RENDERINGS = 128  # Bulletins are public: nothing of a source is ever rendered here.


@lru_cache(_KEPT_RENDERINGS)
def render(text: str, under: int = 1) -> str:
    """Return Markdown as HTML for the inside of a page.

    Args:
        under: the level of the heading that the text stands under; its own headings follow on, leaving out no level.

    Never raises for any text; the result is at most some twenty times as long.
    """
    read = text.encode("utf-8", "replace")[:MAX_BYTES].decode("utf-8", "ignore").replace("\r\n", "\n")
    plain = undeceiving(read, lines=True)
    tokens = list(_prepared(_READER.parse(plain), under))
    made = _READER.renderer.render(tokens, _READER.options, {})
    return nh3.clean(
        made,
        tags=set(TAGS),
        attributes={tag: set(names) for tag, names in ATTRIBUTES.items()},
        url_schemes=set(),
        link_rel=None,
        strip_comments=True,
    )


class _Reader(MarkdownIt):
    """Leaves every address as it was written: what isn't a page of ours becomes text."""

    def normalizeLink(self, url: str) -> str:
        return url

    def validateLink(self, url: str) -> bool:
        return True


def _reader() -> MarkdownIt:
    made = _Reader("commonmark", {"html": False, "linkify": False, "typographer": False, "maxNesting": MAX_DEPTH})
    # Entities could spell characters that hide or reorder text; there are no pictures on these pages.
    return made.disable(["entity", "image", "html_block", "html_inline"])


_READER = _reader()


def _prepared(tokens: Iterable[Token], under: int) -> Iterator[Token]:
    """Yield the tokens with headings that fit the page, plain code, and addresses as text."""
    last = under
    for token in tokens:
        if token.type == "heading_open":
            last = min(under + int(token.tag[1]), last + 1, 6)
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{last}"
        if token.type == "fence":
            token.info = ""
        if token.children:
            token.children = list(_addresses_as_text(token.children))
        yield token


def _addresses_as_text(tokens: Iterable[Token]) -> Iterator[Token]:
    """Replace each link that leads elsewhere by its text and, in brackets, its address. Links don't stand in links."""
    address = ""
    for token in tokens:
        if token.type == "link_open":
            address = undeceiving(str(token.attrs.get("href", "")))
            if _OWN_PAGE.match(address):
                yield Token("link_open", "a", 1, attrs={"href": address})
                address = ""
            elif token.markup == "autolink":
                address = _SPOKEN  # Its text is the address.
        elif token.type != "link_close" or not address:
            yield token
        elif address != _SPOKEN:
            yield Token("text", "", 0, content=f" ({address})")
