"""Arms: an arm with its runs and its results by workload, and all the arms of a report; see `grouping.group`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cifar.record.names import in_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cifar.record.model import Record, Result


@dataclass(frozen=True, slots=True)
class Arm:
    """One arm with all its runs, under the name that a report shows."""

    name: str
    records: Sequence[Record]
    runs: Sequence[Mapping[str, Result]] = field(init=False, repr=False)
    """Of each record its results by workload."""
    results: Mapping[str, Sequence[Result]] = field(init=False, repr=False)
    """Of each workload the results of the runs that have it; workloads and runs in the order of the records."""

    def __post_init__(self) -> None:
        """Group the results: everything asks for them."""
        runs = [{result.workload: result for result in record.results} for record in self.records]
        results: dict[str, list[Result]] = {}
        for run in runs:
            for workload, result in run.items():
                results.setdefault(workload, []).append(result)
        object.__setattr__(self, "runs", runs)
        object.__setattr__(self, "results", results)

    @property
    def device(self) -> str:
        """The device that it was measured on, which is that of its first run."""
        return self.records[0].device


@dataclass(frozen=True, slots=True)
class Arms:
    """The arms of a report: each by itself, and those that several nodes measured over their nodes."""

    each: Mapping[str, Arm]
    """Every arm of every campaign by its name, CPU first."""
    pooled: Mapping[str, Arm]
    """The arms that several nodes measured, as `gpu over 4 nodes`, with all their runs; {} where they are apart."""
    over: Mapping[str, Arm]
    """The same arms with one record a node, so that the node is the unit of evidence."""

    @property
    def records(self) -> list[Record]:
        """The records of all arms."""
        return [record for arm in self.each.values() for record in arm.records]

    @property
    def by_run(self) -> dict[str, Arm]:
        """The arms with all their runs, those of several nodes as one."""
        return self._beside(self.pooled)

    @property
    def by_node(self) -> dict[str, Arm]:
        """The arms, those of several nodes as one with a record a node."""
        return self._beside(self.over)

    def _beside(self, over: Mapping[str, Arm]) -> dict[str, Arm]:
        """The arms over their nodes and all others, CPU first."""
        names = {arm.records[0].arm for arm in over.values()}
        others = {name: arm for name, arm in self.each.items() if arm.records[0].arm not in names}
        return dict(sorted({**over, **others}.items(), key=lambda item: item[1].device != "cpu"))


def by_arm(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Return the records of each arm under its name, CPU first, then by start; runs in order.

    An arm that occurs in several campaigns becomes one arm a campaign: `gpu@before`, `gpu@after`.
    """
    records = sorted(records, key=lambda record: (record.device != "cpu", record.began, record.run))
    campaigns: dict[str, set[str]] = {}
    for record in records:
        campaigns.setdefault(record.arm, set()).add(record.campaign)
    arms: dict[str, list[Record]] = {}
    for record in records:
        several = len(campaigns[record.arm]) > 1
        name = f"{record.arm}@{record.campaign}" if several else record.arm
        arms.setdefault(name, []).append(record)
    return {name: sorted(runs, key=lambda record: record.run) for name, runs in arms.items()}


def by_workload(arms: Mapping[str, Arm]) -> dict[str, dict[str, Sequence[Result]]]:
    """Return the results of each workload by arm, workloads in the order in which they are shown."""
    results: dict[str, dict[str, Sequence[Result]]] = {}
    for name, arm in arms.items():
        for workload, measured in arm.results.items():
            results.setdefault(workload, {})[name] = measured
    return {workload: results[workload] for workload in in_order(results)}
