"""Components: log speeds of several nodes go in; how they scatter, and how far each is from the others, come out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cifar.statistics.intervals import LEVEL, Welch, quantile, two_sided

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

FEWEST = 3
"""Of two nodes that differ, nobody can say which is off."""


class Components(NamedTuple):
    """Standard deviations of log speed, such as 0.02 for 2 %; NaN where they cannot be told."""

    between: float
    within: float


def components(runs: Sequence[Sequence[float]]) -> Components:
    """Return the scatter between nodes and within them from the log speeds of each node's runs (two nodes or more).

    The one-way random-effects model by the method of moments for unequal numbers of runs: S. R. Searle, G. Casella
    and C. E. McCulloch, Variance Components (1992), section 3.6. `within` is NaN where no node has a second run, and
    `between` then holds both; a negative estimate is 0.
    """
    sizes = np.array([len(node) for node in runs], dtype=np.float64)
    means = np.array([np.mean(node) for node in runs])
    total, nodes = sizes.sum(), sizes.size
    if total == nodes:
        return Components(float(means.std(ddof=1)), math.nan)
    squares = sum(float(np.sum((np.asarray(node) - mean) ** 2)) for node, mean in zip(runs, means, strict=True))
    within = squares / (total - nodes)
    mean = float(np.sum(sizes * means) / total)
    mean_square_between = float(np.sum(sizes * (means - mean) ** 2)) / (nodes - 1)
    mean_size = (total - np.sum(sizes**2) / total) / (nodes - 1)
    between = (mean_square_between - within) / mean_size
    return Components(math.sqrt(max(0.0, between)), math.sqrt(within))


def outlying(means: ArrayLike, runs: ArrayLike, within: ArrayLike) -> Welch:
    """Return each node's log speed less the mean of the others, with its 95 % interval and two-sided p.

    `means` are (..., nodes) means over that many `runs` (nodes,), which scatter `within` a node (...). The others'
    scatter, which holds both that between nodes and what is left of that between runs, is the yardstick: the
    deleted studentised residual, t with nodes - 2 degrees of freedom if nodes scatter normally (R. D. Cook and
    S. Weisberg, Residuals and Influence in Regression (1982), section 2.2.2). A node with fewer runs than the
    others may be further off for that alone, which is added. NaN for fewer than 3 nodes and others without spread.
    """
    values = np.asarray(means, dtype=np.float64)
    sizes = np.asarray(runs, dtype=np.float64)
    nodes = values.shape[-1]
    if nodes < FEWEST:
        nothing = np.full_like(values, np.nan)
        return Welch(values - values[..., ::-1], nothing, nothing, nothing)
    others = (values.sum(axis=-1, keepdims=True) - values) / (nodes - 1)
    squares = np.stack([np.delete(values, node, axis=-1).var(axis=-1, ddof=1) for node in range(nodes)], axis=-1)
    squares = np.where(squares < np.finfo(np.float64).eps ** 2, np.nan, squares)
    inverse = 1 / sizes
    fewer = np.maximum(0, inverse - (inverse.sum() - inverse) / (nodes - 1))
    extra = np.nan_to_num(np.asarray(within, dtype=np.float64))[..., np.newaxis] ** 2 * fewer
    error = np.sqrt(squares * (1 + 1 / (nodes - 1)) + extra)
    difference, freedom = values - others, nodes - 2
    reach = quantile(1 - LEVEL / 2, freedom) * error
    p = two_sided(difference / error, freedom)
    return Welch(difference, difference - reach, difference + reach, p)
