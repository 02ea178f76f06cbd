"""Peers: the arms go in; a table of what one would pick instead, beside ours, comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cifar.record.names import words
from cifar.report.arms import by_workload
from cifar.report.comparison import estimate, within
from cifar.report.tables.table import table
from cifar.report.text import NONE, rate, times

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cifar.report.arms import Arm
    from cifar.report.tables.table import Table


def tabulate(arms: Mapping[str, Arm]) -> Table:
    """Return the table of what a user would pick instead, each beside ours, on each arm."""
    workloads = [workload for workload in by_workload(arms) if workload.startswith("peer_")]
    workloads.sort(key=_work)
    rows = [[words(workload), *(_peer(arm, workload) for arm in arms.values())] for workload in workloads]
    return table(
        "Beside what one would pick instead",
        "The same work, each in its best usual form; how many times as fast ours is, taken within the runs.",
        "way",
        arms,
        rows,
    )


def _peer(arm: Arm, workload: str) -> str:
    """`1,150,000 images/s; ours 1.32 times (1.20 to 1.45)`."""
    if workload not in arm.results:
        return NONE
    speed = rate(estimate(arm.results[workload]))
    ours = f"{_work(workload)}by=ours]"
    ratio = within(arm, workload, ours) if ours != workload else None
    return f"{speed}; ours {times(ratio)}" if ratio else speed


def _work(workload: str) -> str:
    """A peer's workload up to its name: `peer_forward[batch=1,`."""
    return workload[: workload.index("by=")]
