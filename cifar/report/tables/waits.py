"""Waits: the arms go in; a table of what holds training and prediction back comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cifar.report import feeds
from cifar.report.tables.table import BARELY, images, percent, table
from cifar.report.text import NONE, number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cifar.report.arms import Arm
    from cifar.report.feeds import Feed
    from cifar.report.tables.table import Table


def tabulate(arms: Mapping[str, Arm]) -> Table:
    """Return the table of what each generator does to training and prediction, by its parts and as measured."""
    rows = []
    for work, generators in feeds.FEEDS.items():
        sides = [feeds.feeds(arm, work) for arm in arms.values()]
        if any(sides):
            rows.append([f"{work}: what holds it back", *map(_verdict, sides)])
        known = [name for name in generators if any(name in measured for measured in sides)]
        rows += [[f"{work} fed by {name}", *(_feed(measured.get(name)) for measured in sides)] for name in known]
    return table(
        "What holds it back",
        "A GPU computes while the host makes the next batch, so the slower of both counts; a CPU does both in "
        "turn. What another generator would give is predicted from the generator alone and the network alone.",
        "work",
        arms,
        rows,
    )


def _verdict(feeds: Mapping[str, Feed]) -> str:
    """How long the lesson's way waits, and what each other generator would give, predicted and measured."""
    if not feeds:
        return NONE
    (name, first), *others = feeds.items()
    if first.waits < BARELY:
        return f"fed by {name} it hardly waits for data: the network binds"
    parts = [f"fed by {name} it waits for data {percent(first.waits)} of its time"]
    for other, feed in others:
        predicted = f"{number(first.predicted / feed.predicted, 3)}\N{NO-BREAK SPACE}times as fast"
        parts.append(f"{other} would make it {predicted}, measured {number(first.fed / feed.fed, 3)}")
    return "; ".join(parts)


def _feed(feed: Feed | None) -> str:
    """One generator: its parts, what they predict, and what was measured."""
    if feed is None:
        return NONE
    alone = f"generator alone {images(feed.generator)}, network alone {images(feed.network)}"
    both = f"together {images(feed.predicted)} predicted, {images(feed.fed)} measured"
    off = f"off by {100 * feed.error:+.0f}\N{NO-BREAK SPACE}%"
    return f"{alone}; {both} ({off}); waits {percent(feed.waits)}"
