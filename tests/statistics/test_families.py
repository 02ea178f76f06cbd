"""Families: how often a thing is called faster than itself, shown by simulation, and what decides a verdict."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cifar.statistics.families import decide, holm

from .simulation import CELLS, TRIALS, cries, simulate


@pytest.mark.parametrize(("correlation", "shift"), CELLS)
def test_a_thing_is_not_faster_than_itself(correlation: float, shift: float) -> None:
    """Of 2,000 campaigns that compare 12 workloads with themselves, at most 5 % have any FASTER or SLOWER.

    No slack is taken: over 20 seeds the rate is 0 to 3.7 % a cell, and the standard error of one seed 0.4 %.
    """
    random = np.random.default_rng([2, int(10 * correlation), int(100 * shift)])
    assert cries(*(simulate(random, (TRIALS, 12, 5), correlation, shift) for _ in range(2))) <= 0.05


@pytest.mark.parametrize("shift", [0.02, 0.1])
def test_a_shift_common_to_a_run_cries_no_more_often(shift: float) -> None:
    """A run whose 12 workloads are all slow together leaves the rate of false verdicts at most 5 % of campaigns."""
    random = np.random.default_rng([3, int(100 * shift)])
    sides = []
    for _ in range(2):
        common = shift * random.normal(size=(TRIALS, 1, 5))
        sides.append(simulate(random, (TRIALS, 12, 5), 0.5, shift=0.0) + common)
    assert cries(*sides) <= 0.05


def test_a_margin_of_nothing_leaves_holm_alone() -> None:
    """Where the margin forgives nothing, Holm's correction by itself keeps false verdicts at 5 % of campaigns."""
    random = np.random.default_rng(4)
    assert cries(*(simulate(random, (TRIALS, 12, 5), 0.0, 0.0) for _ in range(2)), margin=1e-9) <= 0.05


@pytest.mark.parametrize("runs", [(3, 8), (2, 5), (5, 10), (2, 2), (3, 3)], ids=str)
def test_unequal_and_small_numbers_of_runs_cry_no_more_often(runs: tuple[int, int]) -> None:
    """A thing compared with itself by few runs, or by fewer on one side, differs in at most 5 % of campaigns.

    Satterthwaite's degrees of freedom alone give 8 to 9 % for 2 against 5 and for 3 against 8 runs.
    """
    random = np.random.default_rng([8, *runs])
    assert cries(*(simulate(random, (TRIALS, 12, count), 0.5, 0.1) for count in runs)) <= 0.05


def test_holm_agrees_with_a_worked_example() -> None:
    """Steps of 3, 2, 1 times p, never falling, at most 1; what has no p is no member of the family."""
    assert holm([0.04, np.nan, 0.01, 0.03]).tolist() == pytest.approx([0.06, math.nan, 0.03, 0.06], nan_ok=True)
    assert holm([0.9, 0.8]).tolist() == [1, 1]


@pytest.mark.parametrize(
    ("low", "high", "p", "expected"),
    [
        (0.98, 1.03, 0.5, "EQUIVALENT"),
        (1.01, 1.04, 0.001, "EQUIVALENT"),
        (1.01, 1.06, 0.001, "FASTER"),
        (1.01, 1.06, 0.06, "INCONCLUSIVE"),
        (0.9, 0.99, 0.001, "SLOWER"),
        (0.9, 1.2, 0.6, "INCONCLUSIVE"),
        (np.nan, np.nan, np.nan, "INCONCLUSIVE"),
    ],
)
def test_verdicts(low: float, high: float, p: float, expected: str) -> None:
    """The margin decides first, then the adjusted p: a certain difference within the margin does not matter."""
    assert decide(low, high, p, 0.05) == expected
