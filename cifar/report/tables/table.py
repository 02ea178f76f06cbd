"""Table: what all tables have in common: their form, and numbers as they stand in cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cifar.report.text import number

if TYPE_CHECKING:
    from collections.abc import Iterable

    Table = dict[str, Any]

BARELY = 0.05
"""A smaller part of the time is not worth speaking of."""


def table(title: str, text: str, first: str, arms: Iterable[str], rows: list[list[str]]) -> Table:
    """Return a table for the templates; `first` heads its first column, the arms the others."""
    return {"title": title, "text": text, "first": first, "arms": list(arms), "rows": rows}


def images(seconds: float) -> str:
    """Return images/s from seconds an image: `1,751 images/s`."""
    return f"{number(1 / seconds)}\N{NO-BREAK SPACE}images/s"


def in_seconds(seconds: float) -> str:
    """Return seconds with their unit: `17.3 s`."""
    return f"{number(seconds, 3)}\N{NO-BREAK SPACE}s"


def percent(part: float) -> str:
    """Return a part of 1 in whole per cent: `75 %`."""
    return f"{100 * part:.0f}\N{NO-BREAK SPACE}%"
