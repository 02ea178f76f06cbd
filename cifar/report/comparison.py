"""Comparison: what a comparison of two arms is made of: estimates of speeds, pairs of them, and what was left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cifar.statistics.intervals import interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cifar.record.model import Result
    from cifar.report.arms import Arm
    from cifar.statistics.families import Verdict
    from cifar.statistics.intervals import Interval

    Differences = Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]
    """Fields of the fingerprint that differ, each with the baseline's values and the candidate's."""

MARGIN = 0.05
"""Of equivalence, if nobody names another."""
ABSENT = "(absent)"
"""Stands for the value of a fingerprint field that a record lacks."""


class NotComparable(Exception):  # noqa: N818 - a state of the records, not a failure of the program
    """The fingerprints differ: `differences` has each field's values, baseline's and candidate's."""

    def __init__(self, differences: Differences) -> None:
        """Keep the fields and say them in one sentence."""
        self.differences = dict(differences)
        fields = "; ".join(
            f"{field}: {' and '.join(baseline)} against {' and '.join(candidate)}"
            for field, (baseline, candidate) in self.differences.items()
        )
        super().__init__(f"not comparable, for these differ: {fields} (`--allow FIELD` compares all the same)")


@dataclass(frozen=True, slots=True)
class Estimate:
    """An arm's speed in one workload: geometric mean of its runs' `values`, its 95 % interval if it has one.

    Speeds are in `unit`, or 1/s where that is s.
    """

    value: float
    interval: Interval | None
    values: tuple[float, ...]
    unit: str

    @property
    def runs(self) -> int:
        """The number of runs behind it."""
        return len(self.values)


@dataclass(frozen=True, slots=True)
class Pair:
    """One workload in both arms; `ratio` > 1: the candidate is faster.

    `interval`, `p` and `p_adjusted` (Holm) are None where there is no interval; then `reason` says why.
    `runs_needed` an arm would settle an INCONCLUSIVE; None there: more than 1000, or cannot be said.
    """

    workload: str
    baseline: Estimate
    candidate: Estimate
    ratio: float
    interval: Interval | None
    p: float | None
    p_adjusted: float | None
    verdict: Verdict
    runs_needed: int | None
    reason: str


class LeftOut(NamedTuple):
    """Something not compared: `workload` (empty: the whole run), the arm, and why.

    `failed`: the workload failed its check or cannot be true; a skip, or an older record's gap, has not.
    """

    workload: str
    arm: str
    reason: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two arms compared; `allowed` are the fields that differ and were allowed to, as in NotComparable."""

    baseline: str
    candidate: str
    margin: float
    pairs: tuple[Pair, ...]
    left_out: tuple[LeftOut, ...]
    allowed: Differences
    lost: tuple[LeftOut, ...] = ()
    """The candidate's failures in what the baseline can do; see `gate`."""
    evidence: str = "run"
    """What each speed of an estimate is that of: a run, or a node."""


def estimate(results: Sequence[Result]) -> Estimate:
    """Return the speed of one arm in one workload from its runs' results (at least one)."""
    values = tuple(result.value for result in results)
    return estimate_of(values, results[0].unit)


def estimate_of(values: tuple[float, ...], unit: str) -> Estimate:
    """Return the estimate of positive values, one a run (at least one), in `unit`: geometric mean and interval."""
    mean = float(np.exp(np.mean(np.log(values))))
    return Estimate(mean, interval(values), values, unit)


def within(arm: Arm, slow: str, fast: str) -> Estimate | None:
    """Return how many times as fast as workload `slow` is `fast` in the runs of an arm that have both.

    Both come from the same process and share its shift, so each run gives one ratio, and the interval is that of
    the ratios. None where no run has both, or they were not done in the same unit.
    """
    both = [(run[slow], run[fast]) for run in arm.runs if slow in run and fast in run]
    ratios = tuple(faster.value / slower.value for slower, faster in both if slower.unit == faster.unit)
    return estimate_of(ratios, unit="") if ratios else None
