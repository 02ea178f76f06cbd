"""Ladders: the arms go in; a table for each ladder, from the lesson's way to the fastest, comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cifar.report import ladder
from cifar.report.tables.table import BARELY, in_seconds, table
from cifar.report.text import NONE, number, rate, times

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cifar.report.arms import Arm
    from cifar.report.ladder import Rung
    from cifar.report.tables.table import Table


def tabulate(arms: Mapping[str, Arm]) -> Iterator[Table]:
    """Yield a table for each ladder: every rung's speed, what it buys, what is learnt, and why, on each arm."""
    for name, rungs in ladder.RUNGS.items():
        climbed = [{rung.title: rung for rung in ladder.climb(arm, name)} for arm in arms.values()]
        rows = []
        for title, why in rungs.values():
            if any(title in rung for rung in climbed):
                rows.append([f"{title}: {why}", *(_rung(rung.get(title)) for rung in climbed)])
        yield table(
            f"From the lesson's way to the fastest: {name}",
            "Each rung changes one thing. Ratios, taken within the runs, are to the rung before, and in all.",
            "rung",
            arms,
            rows,
        )


def _rung(rung: Rung | None) -> str:
    """A rung in one cell: `52,000 images/s, 2.6 times (2.5 to 2.7), in all 18; accuracy 0.520 after 17.3 s`.

    With `of them 2.1 s outside its steps` where that is more than barely anything.
    """
    if rung is None:
        return NONE
    cell = rate(rung.speed)
    if rung.to_before and rung.to_first:
        cell += f", {times(rung.to_before)}, in all {number(rung.to_first.value, 3)}"
    if rung.accuracy is not None:
        cell += f"; accuracy {rung.accuracy:.3f}"
    if rung.epoch_seconds:
        cell += f" after {in_seconds(rung.epoch_seconds)}"
        outside = rung.epoch_outside or 0
        if outside > BARELY * rung.epoch_seconds:
            cell += f", of them {in_seconds(outside)} outside its steps"
    marks = []
    if rung.pays is False:
        marks.append("slower")
    if rung.learns_less:
        marks.append("learns less")
    return f"{cell} ({', '.join(marks)})" if marks else cell
