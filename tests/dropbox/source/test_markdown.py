"""Whatever Markdown says, the page gets text, a few elements, and no way out of this site."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dropbox.source.markdown import ATTRIBUTES, MAX_BYTES, TAGS, render

PIECES = st.sampled_from(
    [
        *("# ", "### ", "* ", "- ", "1. ", "> ", "```\n", "~~~", "    ", "\t", "\n", "\n\n", "---\n", "  \n", "\\"),
        *("[a]", "(/th/keys)", "(//x)", "(javascript:x)", "(data:text/html,x)", "[r]: http://x 't'\n", "![", "](", ")"),
        *("<http://x>", "<script>", "</p>", "<!--", "-->", "<img src=x onerror=y>", "<a href='//x'>", "]]>", "<?"),
        *("&#8238;", "&#x3c;", "\u202e", "\u2028", "\x00", "\x0b", "\r", "\ufffd", "ก็", "น้ำ", "\u200b", "\u0e49" * 30),
        *("**", "_", "`", "``", "|", "~", "x@y.z", '"', "'", "=", "http://evil.onion/", "/th/send", "/en/calls/0f"),
    ]
)  # fmt: skip


class Checked(HTMLParser):
    """Refuses everything but the listed elements, attributes and addresses, and whatever is left open."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(source)
        self.close()
        assert not self.stack

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS
        for name, value in attrs:
            assert name in ATTRIBUTES.get(tag, set())
            pattern = r"/(th|en)(/[a-z0-9-]+)*/?" if name == "href" else r"[0-9]+"
            assert re.fullmatch(pattern, value or ""), value
        self.tags.append(tag)
        if tag not in ("br", "hr"):
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(decl)

    def handle_pi(self, data: str) -> None:
        raise AssertionError(data)


@settings(max_examples=400, deadline=None)
@given(st.lists(PIECES, max_size=60).map("".join) | st.text(max_size=300), st.integers(1, 5))
def test_any_text_yields_only_what_is_listed(text: str, under: int) -> None:
    made = render(text, under)
    page = Checked(made)
    assert len(made.encode()) <= 20 * len(text.encode("utf-8", "replace")) + 100
    assert not re.search(
        "[\u0000-\u0008\u000b-\u001f\u007f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]", page.text
    )
    levels = [under, *(int(tag[1]) for tag in page.tags if tag[0] == "h" and tag != "hr")]
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(level > under for level in levels[1:]) or under == 5


@pytest.mark.parametrize(
    "text",
    ["\ud800", "[" * MAX_BYTES, ">" * MAX_BYTES, "* " * 30_000, "[a](" * 16_000, "x" * 300_000, "![](" * 16_000],
)
def test_the_most_hostile_text_neither_raises_nor_grows(text: str) -> None:
    made = render(text)
    Checked(made)
    assert len(made) <= 6 * MAX_BYTES


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("ย่อหน้า **หนา**", "<p>ย่อหน้า <strong>หนา</strong></p>"),
        ("# a\n### b\n## c", "<h2>a</h2>\n<h3>b</h3>\n<h3>c</h3>"),
        ("3. x", '<ol start="3">\n<li>x</li>\n</ol>'),
        ("[keys](/en/keys)", '<p><a href="/en/keys">keys</a></p>'),
        ("[us](/en/keys?x=1)", "<p>us (/en/keys?x=1)</p>"),
        ("[us](//en/keys)", "<p>us (//en/keys)</p>"),
        ("[us](/th/../x)", "<p>us (/th/../x)</p>"),
        ("[ข่าว](https://example.org/ข่าว)", "<p>ข่าว (https://example.org/ข่าว)</p>"),
        ("<https://example.org>", "<p>https://example.org</p>"),
        ("https://example.org", "<p>https://example.org</p>"),
        ("[x](javascript:alert(1))", "<p>x (javascript:alert(1))</p>"),
        ("![x](/en/y)", '<p>!<a href="/en/y">x</a></p>'),
        ("<b onclick=x>y</b>", "<p>&lt;b onclick=x&gt;y&lt;/b&gt;</p>"),
        ("a &#8238; b", "<p>a &amp;#8238; b</p>"),
        ("a\u202eb\x07", "<p>a\ufffdb\ufffd</p>"),
        ("[a](/en/\u202ekeys)", "<p>a (/en/\ufffdkeys)</p>"),
        ("```html onload\n<x>\n```", "<pre><code>&lt;x&gt;\n</code></pre>"),
        ("a\r\n\r\nb", "<p>a</p>\n<p>b</p>"),
        ("", ""),
    ],
)
def test_what_it_makes_of_it(markdown: str, html: str) -> None:
    assert render(markdown).strip() == html


def test_headings_stand_under_the_pages_own() -> None:
    assert render("# a\n## b\n# c", under=3).split() == ["<h4>a</h4>", "<h5>b</h5>", "<h4>c</h4>"]
