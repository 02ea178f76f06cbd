"""Costs: the arms go in; a table of what the lesson's way of calling costs comes out."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from cifar.report.comparison import within
from cifar.report.tables.table import percent, table
from cifar.report.text import NONE, times

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cifar.record.model import Result
    from cifar.report.arms import Arm
    from cifar.report.tables.table import Table

COSTS = (
    ("training[by=lesson]", "training[feed=memory]", "training the lesson's way against training fed from memory"),
    ("training[by=lesson]", "training[feed=generator]", "training the lesson's way against our generator"),
    ("training[feed=memory,by=keras]", "training[feed=memory]", "Keras's training step against ours, both from memory"),
    ("forward[batch=250,by=predict]", "forward[batch=250,input=host]", "predict against a direct call, batch 250"),
    (
        "generator[by=lesson,batch=250]",
        "generator[by=ours,batch=250]",
        "the lesson's generator against ours, batch 250",
    ),
    ("generator[by=lesson,batch=32]", "generator[by=ours,batch=32]", "the lesson's generator against ours, batch 32"),
)
"""The lesson's way, the way without its cost, and both in words."""
OUTSIDE = "part of the lesson's epoch outside its steps: the file read for its length, the dataset torn down"
"""What `fit` costs besides training."""


def tabulate(arms: Mapping[str, Arm]) -> Table:
    """Return the table of what the lesson's way of calling costs on each arm: how many times slower it is in a run."""
    rows = []
    for lesson, without, text in COSTS:
        costs = [within(arm, lesson, without) for arm in arms.values()]
        if any(costs):
            rows.append([text, *(times(cost) if cost else NONE for cost in costs)])
    outside = [_outside(arm.results.get("training[by=lesson]", ())) for arm in arms.values()]
    if any(part is not None for part in outside):
        rows.append([OUTSIDE, *(NONE if part is None else percent(part) for part in outside)])
    return table(
        "What the lesson's way of calling costs",
        "How many times slower the lesson's way is, with 95 % interval; each ratio is taken within a run.",
        "way",
        arms,
        rows,
    )


def _outside(results: Sequence[Result]) -> float | None:
    """Part of the lesson's epoch that is no training step, the median over the runs that say so."""
    parts = [result.outside_steps for result in results if result.outside_steps is not None]
    return median(parts) if parts else None
