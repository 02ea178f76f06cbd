"""Components: how often an equal node is called off, and a slow one is, shown by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cifar.statistics.components import components, outlying
from cifar.statistics.families import holm
from cifar.statistics.intervals import LEVEL

CAMPAIGNS = 1500
WORKLOADS = 12


def named(sizes, between, within, *, slower=0.0, shared=False):
    """Part of simulated campaigns in which the first node is called off, and in which any other one is.

    `sizes` are the nodes' runs, `between` and `within` standard deviations of log speed; the first node is `slower`
    in every workload. A node is as fast in all workloads where its speed is `shared`.
    """
    random = np.random.default_rng(7)
    count = len(sizes)
    speeds = random.normal(0, between, (CAMPAIGNS, 1 if shared else WORKLOADS, count))
    runs = [random.normal(0, within, (CAMPAIGNS, WORKLOADS, size)) for size in sizes]
    means = np.stack([node.mean(axis=-1) for node in runs], axis=-1) + speeds
    means[..., 0] += math.log1p(-slower)
    squares = sum(((node - node.mean(axis=-1, keepdims=True)) ** 2).sum(axis=-1) for node in runs)
    freedom = sum(sizes) - count
    test = outlying(means, sizes, np.sqrt(squares / freedom) if freedom else np.full(means.shape[:-1], np.nan))
    off = holm(test.p.reshape(CAMPAIGNS, -1)).reshape(means.shape) < LEVEL
    return off[..., 0].any(axis=-1).mean(), off[..., 1:].any(axis=(1, 2)).mean()


@pytest.mark.parametrize("shared", [False, True], ids=["each workload alone", "all workloads alike"])
@pytest.mark.parametrize(
    ("sizes", "between", "within"),
    [
        ((5, 5, 5), 0.01, 0.02),
        ((5,) * 8, 0.01, 0.02),
        ((5,) * 8, 0.0, 0.02),
        ((1,) * 8, 0.02, 0.02),
        ((3,) * 16, 0.02, 0.02),
        ((1, 8, 8, 8, 8, 8), 0.0, 0.1),
        ((2, 8, 8, 8, 8, 8), 0.01, 0.05),
        ((1, 1, 20, 20, 20), 0.0, 0.1),
    ],
    ids=str,
)
def test_false_alarms(sizes, between, within, shared):
    """Of equal nodes any is called off in at most 5 % of campaigns, with whatever runs each has (5 % + 2.5 errors)."""
    first, others = named(sizes, between, within, shared=shared)
    assert max(first, others) <= LEVEL + 2.5 * math.sqrt(0.05 * 0.95 / CAMPAIGNS)


@pytest.mark.parametrize(("count", "power"), [(6, 0.8), (8, 0.95)])
def test_power(count, power):
    """A node that is 10 % slower is named among nodes that scatter by 1 % and runs that do by 2 %; no other one is."""
    first, others = named((5,) * count, 0.01, 0.02, slower=0.1, shared=True)
    assert first >= power
    assert others <= 0.01


def test_components():
    """Both standard deviations are found again, with unequal numbers of runs too."""
    random = np.random.default_rng(3)
    sizes = random.integers(2, 9, size=400)
    runs = [(random.normal(0, 0.04) + random.normal(0, 0.02, size)).tolist() for size in sizes]
    assert components(runs) == pytest.approx((0.04, 0.02), rel=0.1)


def test_components_by_hand():
    """Two nodes of two runs: MSB 0.5, MSW 0.02; nodes that are alike have no scatter of their own."""
    assert components([[0.0, 0.2], [0.5, 0.7]]) == pytest.approx((math.sqrt((0.25 - 0.02) / 2), math.sqrt(0.02)))
    assert components([[0.0, 0.2], [0.2, 0.0]]).between == 0


def test_one_run_a_node():
    """Without a second run on any node the two scatters cannot be told apart."""
    between, within = components([[1.0], [1.1], [1.2]])
    assert between == pytest.approx(0.1)
    assert math.isnan(within)


def test_no_yardstick():
    """Of two nodes none is off, nor beside nodes that show no scatter at all."""
    assert np.isnan(outlying([1.0, 2.0], [5, 5], 0.1).p).all()
    assert np.isnan(outlying([1.0, 1.0, 2.0], [5, 5, 5], 0.0).p[2])
