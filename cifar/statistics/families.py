"""Families: the tests of all workloads go in together; verdicts that are wrong in at most 5 % of families come out."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from cifar.statistics.intervals import LEVEL

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from cifar.statistics.intervals import Floats


class Verdict(StrEnum):
    """What a comparison may claim about a workload."""

    FASTER = "FASTER"
    SLOWER = "SLOWER"
    EQUIVALENT = "EQUIVALENT"
    INCONCLUSIVE = "INCONCLUSIVE"


def holm(p: ArrayLike) -> Floats:
    """Return the p values of the last axis, adjusted for being one family; NaN is no member and stays NaN.

    S. Holm, Scandinavian Journal of Statistics 6 (1979) 65-70.
    """
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values, axis=-1)  # NaN last
    members = np.sum(~np.isnan(values), axis=-1, keepdims=True)
    steps = np.take_along_axis(values, order, axis=-1) * (members - np.arange(values.shape[-1]))
    rising = np.minimum(np.maximum.accumulate(steps, axis=-1), 1)
    adjusted = np.empty_like(values)
    np.put_along_axis(adjusted, order, rising, axis=-1)
    return adjusted


def decide(low: ArrayLike, high: ArrayLike, p_adjusted: ArrayLike, margin: float) -> NDArray[np.str_]:
    """Return verdicts for intervals of ratios: EQUIVALENT within 1/(1+margin) and 1+margin, else FASTER or SLOWER.

    FASTER and SLOWER need an adjusted p below 0.05; p is never larger unadjusted, so the interval then lies on one
    side of 1, and reaches beyond the margin because it is not EQUIVALENT. All else, NaN too, is INCONCLUSIVE.
    """
    low = np.asarray(low, dtype=np.float64)
    high = np.asarray(high, dtype=np.float64)
    sure = np.asarray(p_adjusted, dtype=np.float64) < LEVEL
    equivalent = (low >= 1 / (1 + margin)) & (high <= 1 + margin)
    return np.select(
        [equivalent, sure & (low > 1), sure & (high < 1)],
        [Verdict.EQUIVALENT.value, Verdict.FASTER.value, Verdict.SLOWER.value],
        Verdict.INCONCLUSIVE.value,
    )
