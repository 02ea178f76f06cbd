"""Pooling: which nodes are taken together, and what stands for each of them."""

from __future__ import annotations

import math

import pytest

from cifar.record import reading
from cifar.report import compare, page, pooling
from cifar.report.comparison import LeftOut

from .conftest import ENVIRONMENT, FINGERPRINT
from .handmade import FEW, both, equal


def test_pools(measured):
    """An arm that several nodes measured is pooled under a name that says over how many; one node's is not."""
    records = both(measured, equal(3))
    found = pooling.pools(reversed(records))
    assert {arm: len(runs) for arm, runs in found.items()} == {"cpu over 3 nodes": 15, "gpu over 3 nodes": 15}
    assert [pooling.node(run) for run in pooling.pools(records)["cpu over 3 nodes"]][::5] == ["node1", "node2", "node3"]
    assert list(pooling.pools([run for run in records if run.arm == "cpu" or pooling.node(run) == "node2"])) == [
        "cpu over 3 nodes"
    ]
    assert pooling.pools([run for run in records if pooling.node(run) == "node2"]) == {}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"fingerprint": FINGERPRINT | {"gpu_driver": "580"}}, id="another driver"),
        pytest.param({"environment": ENVIRONMENT}, id="no name"),
    ],
)
def test_what_is_not_comparable_is_not_pooled(measured, changes, tmp_path):
    """One node of another make, or without a name, and the report is as it was: arm by arm, campaign by campaign."""
    records = reading.load(*measured(equal(2), workloads=FEW), *measured({"other": 1.0}, workloads=FEW, **changes))
    assert pooling.pools(records) == {}
    found = page.write(records, tmp_path / "report")
    assert "over" not in found.answer
    assert "cpu@node2" in {comparison.candidate for comparison in found.comparisons}


def test_means(measured):
    """A node's runs become one result a workload: the geometric mean of their speeds; what it lacks it says."""
    folders = measured(equal(2), workloads=FEW) + measured({"new": 1.0}, workloads={"a[b=c]": (9, 1.0)}, day=9)
    records = reading.load(*folders)
    one, other, new = pooling.means(records)
    assert [(each.run, each.campaign) for each in (one, other, new)] == [(1, "node1"), (2, "node2"), (3, "new")]
    speeds = [run.results[0].value for run in records if pooling.node(run) == "node1"]
    assert one.results[0].value == pytest.approx(math.prod(speeds) ** (1 / 5))
    assert one.results[0].images == records[0].results[0].images
    (lacking,) = one.failures
    assert lacking == {"workload": "a[b=c]", "reason": "node1 has no number for it"}
    found = compare.compare([one, new], [other], evidence="node")
    assert LeftOut("a[b=c]", "cpu@new, node1", "node1 has no number for it") in found.left_out


def test_means_keep_what_differs(measured):
    """Runs that did not do the same work are not made to look as if they had; the part within steps stays the same."""
    steps = {"step_seconds": [9.0, *[1.0] * 10]}
    few = {"training[by=lesson]": (5000, 4.0)}
    folder = measured({"a": 1.0}, workloads=few, extra=steps | {"work": {"weights": "one"}}, noise=0, shift=0)
    measured({"a": 1.0}, runs=2, workloads=few, extra=steps | {"work": {"weights": "two"}}, noise=0, shift=0)
    (found,) = pooling.means(reading.load(*folder))
    assert found.results[0].work == {"weights": "one and two"}
    assert found.results[0].outside_steps == pytest.approx(0.75)
