"""Campaigns made up: runs that are noisy as real ones are, of arms whose true speeds are known."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from cifar.statistics.families import decide, holm
from cifar.statistics.intervals import welch

if TYPE_CHECKING:
    from numpy.typing import NDArray

CORRELATIONS = (0.0, 0.5, 0.9)
SHIFTS = (0.0, 0.02, 0.1)
CELLS = [
    pytest.param(correlation, shift, id=f"AR(1) {correlation}, shift {shift:.0%}")
    for correlation in CORRELATIONS
    for shift in SHIFTS
]
TRIALS = 2000


def simulate(
    random: np.random.Generator,
    shape: tuple[int, ...],
    correlation: float,
    shift: float | NDArray[np.float64],
    noise: float = 0.03,
    rounds: int = 10,
) -> NDArray[np.float64]:
    """Log speeds of `shape`, each from the median of auto-correlated lognormal rounds of one shifted run."""
    state = random.normal(size=shape)
    logs = [state]
    for _ in range(rounds - 1):
        state = correlation * state + math.sqrt(1 - correlation**2) * random.normal(size=shape)
        logs.append(state)
    seconds = np.exp(noise * np.stack(logs, axis=-1) + (shift * random.normal(size=shape))[..., None])
    return np.asarray(-np.log(np.median(seconds, axis=-1)))


def cries(baseline: NDArray[np.float64], candidate: NDArray[np.float64], margin: float = 0.05) -> float:
    """Part of the campaigns (the first axis) of which any workload (the second) is called FASTER or SLOWER."""
    test = welch(baseline, candidate)
    verdicts = decide(np.exp(test.low), np.exp(test.high), holm(test.p), margin)
    return float(np.mean(np.isin(verdicts, ("FASTER", "SLOWER")).any(axis=-1)))
