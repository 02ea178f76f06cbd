"""Intervals: numbers of several runs go in; what is known of their mean, or of two means' difference, comes out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

LEVEL = 0.05
"""Error allowed: of each interval's coverage, and of any false FASTER or SLOWER in a comparison."""
FEWEST = 2
"""Numbers that have a spread."""


class Interval(NamedTuple):
    """A 95 % interval, low and high end."""

    low: float
    high: float


class Welch(NamedTuple):
    """Welch's test of differences of means: each an array, NaN where there is no answer."""

    difference: Floats
    low: Floats
    high: Floats
    p: Floats


def welch(baseline: ArrayLike, candidate: ArrayLike) -> Welch:
    """Return Welch's t test for candidate minus baseline along the last axis of arrays (..., runs) of float64.

    The 95 % interval and the two-sided p allow unequal variances and unequal numbers of runs: B. L. Welch,
    Biometrika 34 (1947) 28-35; degrees of freedom: F. E. Satterthwaite, Biometrics Bulletin 2 (1946) 110-114, but
    no more than if both arms had the smaller number of runs. With equal numbers that changes nothing; with 3
    runs against 8 the usual estimate trusts the 3 too much: 9 % of campaigns that compare
    12 workloads with themselves then cry wolf, and 1 % so.
    NaN where an arm has fewer than 2 runs, and where neither arm shows any spread: a spread of exactly 0 says
    that the clock is coarse or a record was copied, not that the next run will be the same.
    """
    first = np.asarray(baseline, dtype=np.float64)
    second = np.asarray(candidate, dtype=np.float64)
    difference = np.asarray(second.mean(axis=-1) - first.mean(axis=-1))
    fewest = min(first.shape[-1], second.shape[-1])
    if fewest < FEWEST:
        nothing = np.full_like(difference, np.nan)
        return Welch(difference, nothing, nothing, nothing)
    error, freedom = _error(first, second)
    reach = quantile(1 - LEVEL / 2, freedom) * error
    p = two_sided(difference / error, freedom)
    return Welch(difference, difference - reach, difference + reach, p)


def _error(first: Floats, second: Floats) -> tuple[Floats, Floats]:
    """The standard error of the difference of two means, NaN for 0, and its degrees of freedom."""
    sizes = first.shape[-1], second.shape[-1]
    squares = variance(first) / sizes[0], variance(second) / sizes[1]
    total = np.asarray(squares[0] + squares[1])
    total[total == 0] = np.nan
    freedom = total**2 / (squares[0] ** 2 / (sizes[0] - 1) + squares[1] ** 2 / (sizes[1] - 1))
    freedom = np.minimum(freedom, 2 * (min(sizes) - 1))
    return np.sqrt(total), freedom


def interval(values: Sequence[float]) -> Interval | None:
    """Return the 95 % interval of the geometric mean of positive `values`, one a run: t on their logarithms.

    None for fewer than 2 values and for values without any spread, for the reason given at `welch`.
    """
    logs = np.log(np.asarray(values, dtype=np.float64))
    if logs.size < FEWEST or np.ptp(logs) == 0:
        return None
    reach = float(quantile(1 - LEVEL / 2, logs.size - 1)) * logs.std(ddof=1) / math.sqrt(logs.size)
    return Interval(float(np.exp(logs.mean() - reach)), float(np.exp(logs.mean() + reach)))


def variance(values: Floats) -> Floats:
    """Return the variance along the last axis, exactly 0 for equal values, where rounding would leave some."""
    return np.where(np.ptp(values, axis=-1) == 0, 0.0, values.var(axis=-1, ddof=1))


def quantile(probability: float, freedom: ArrayLike) -> Floats:
    """Return the quantile of Student's t at `probability`."""
    from scipy import special

    return np.asarray(special.stdtrit(freedom, probability))


def two_sided(t: ArrayLike, freedom: ArrayLike) -> Floats:
    """Return the probability that Student's t is further from 0 than `t`."""
    from scipy import special

    return np.asarray(2 * special.stdtr(freedom, -np.abs(t)))
