"""Escape: text from files in Markdown, in code spans and in spreadsheets."""

from __future__ import annotations

import pytest
from markupsafe import Markup

from cifar.report import escape


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("p < 0.001; peak[what=copy], a_b * c", "p < 0.001; peak[what=copy], a_b * c"),
        ("<script>alert(1)</script>", "&lt;script>alert(1)&lt;/script>"),
        ("<!-- --> <?x?> <https://a>", "&lt;!-- --> &lt;?x?> &lt;https://a>"),
        ("[a](b) ![c](d) [e][f] [g]: h", r"[a\](b) ![c\](d) [e\][f] [g\]: h"),
        ("`code` and \\ and &lt;", r"\`code\` and \\ and &amp;lt;"),
        ("two\nlines\r\nand\u2028more", "two lines and more"),
        ("\x1b[31m", r"\\x1b[31m"),
    ],
)
def test_markdown(text, expected):
    """What is ordinary text stays as it is; what would be a tag, a link or code is shown."""
    assert escape.markdown({"a": [text, (text,)], "b": 1, "c": Markup("<svg>")}) == {
        "a": [expected, [expected]],
        "b": 1,
        "c": Markup("<svg>"),
    }


def test_cell():
    """A pipe does not end a cell."""
    assert escape.cell(escape.markdown("a|b\\|c")) == "a\\|b\\\\\\|c"


@pytest.mark.parametrize(
    ("text", "expected"), [("a b", "`a b`"), ("a `b`", "`` a `b` ``"), ("a ``b\nc", "``` a ``b c ```")]
)
def test_code(text, expected):
    """The fence is longer than any run of backticks in the text."""
    assert escape.code(text) == expected


@pytest.mark.parametrize("sign", ["=", "+", "-", "@"])
def test_spreadsheet(sign):
    """What a spreadsheet would compute begins with an apostrophe; names stay names."""
    assert escape.spreadsheet(f"{sign}1+1") == f"'{sign}1+1"
    assert escape.spreadsheet("cpu@a=b") == "cpu@a=b"
