"""Stopping: what was measured goes in; how many runs would settle what it leaves open comes out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from cifar.statistics.intervals import LEVEL, quantile, variance

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

POWER = 0.8
"""With the number of runs that is said to settle a workload, it is settled this often."""
MOST_RUNS = 1000
"""Beyond this number of runs an arm, no number is given."""


def runs_needed(baseline: ArrayLike, candidate: ArrayLike, margin: float, family: int) -> int | None:
    """Return the runs an arm that would settle two arms' log speeds (runs,), None for more than 1000.

    Were the difference and both spreads as observed, this many runs would in 80 % of campaigns give an interval
    within the margin, or one clear of 1 at the Bonferroni level of `family` workloads (Holm's first step).
    """
    first = np.asarray(baseline, dtype=np.float64)
    second = np.asarray(candidate, dtype=np.float64)
    runs = np.arange(min(first.size, second.size) + 1, MOST_RUNS + 1)
    spread = float(variance(first)), float(variance(second))
    away = abs(float(second.mean() - first.mean()))
    error = np.sqrt(sum(spread) / runs)
    freedom = (runs - 1) * sum(spread) ** 2 / (spread[0] ** 2 + spread[1] ** 2)
    power = quantile(POWER, freedom)
    differs = away >= (quantile(1 - LEVEL / (2 * family), freedom) + power) * error
    same = math.log1p(margin) - away >= (quantile(1 - LEVEL / 2, freedom) + power) * error
    settled = np.flatnonzero(differs | same)
    return int(runs[settled[0]]) if settled.size else None
