"""Pages as a reader sees them."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cifar.report.page import Report


class Words(HTMLParser):
    """The text of a page, and the balance of its tags."""

    VOID = frozenset({"meta", "br", "link", "path", "use", "rect"})

    def __init__(self) -> None:
        """Begin without text."""
        super().__init__()
        self.open: list[str] = []
        self.said: list[str] = []

    def handle_starttag(self, tag: str, _attrs: object) -> None:
        """Remember what is open."""
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close what was opened last."""
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        """Nothing stays open."""

    def handle_data(self, data: str) -> None:
        """Keep the text outside of styles."""
        if self.open and self.open[-1] != "style":
            self.said.append(data)


def text(report: Report) -> str:
    """The words of the HTML page, which must be well formed."""
    parser = Words()
    parser.feed(report.html.read_text(encoding="utf-8"))
    assert parser.open == []
    return " ".join(" ".join(parser.said).split())
