"""Nodes: records of several nodes go in; how they scatter, and which of them is off, come out."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from cifar.record.names import in_order, words
from cifar.report.comparison import estimate, estimate_of
from cifar.report.pooling import alike, node
from cifar.report.text import NONE, number, probability, speed
from cifar.statistics.components import components, outlying
from cifar.statistics.families import holm
from cifar.statistics.intervals import LEVEL, Interval

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cifar.record.model import Record, Result
    from cifar.report.comparison import Estimate
    from cifar.statistics.components import Components

HEADER = ("a node's speed", "between nodes", "between runs", "off")
"""The columns of `row`, beside the workload."""
MEANING = (
    "The speed is the mean over nodes; scatter is a standard deviation. Of equal nodes any is called off in at most "
    "5 % of reports: t against the other nodes, Holm over all workloads and nodes."
)


@dataclass(frozen=True, slots=True)
class Deviation:
    """A node's speed over that of the other nodes; NaN stands for an interval and a p that there are not."""

    node: str
    ratio: float
    interval: Interval
    p_adjusted: float

    @property
    def off(self) -> bool:
        """Whether the node is named: of equal nodes any is in at most 5 % of reports."""
        return self.p_adjusted < LEVEL


@dataclass(frozen=True, slots=True)
class Spread:
    """One workload of an arm over several nodes: `speed` is a node's, its interval that of the mean over nodes."""

    arm: str
    workload: str
    speed: Estimate
    components: Components
    deviations: tuple[Deviation, ...]

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes' names."""
        return tuple(deviation.node for deviation in self.deviations)

    @property
    def off(self) -> list[Deviation]:
        """The nodes that are off."""
        return [deviation for deviation in self.deviations if deviation.off]


def spreads(records: Iterable[Record]) -> list[Spread]:
    """Return how each workload scatters over the nodes that measured it, per arm and fingerprint; [] for one node.

    Only what is comparable is pooled: nodes with another processor, driver or image are a group of their own. All p
    are one family (Holm), whatever the number of arms, workloads and nodes.
    """
    unadjusted = []
    for arm, runs in alike(records):
        for workload, speeds in _speeds(runs).items():
            if len(speeds) > 1:
                unadjusted.append(_spread(arm, workload, speeds))
    return _adjusted(unadjusted)


def _speeds(records: Sequence[Record]) -> dict[str, dict[str, Estimate]]:
    """The speed of each workload, in order, by node."""
    results: dict[str, dict[str, list[Result]]] = {}
    for record in records:
        name = str(node(record))
        for result in record.results:
            results.setdefault(result.workload, {}).setdefault(name, []).append(result)
    speeds = {}
    for workload in in_order(results):
        speeds[workload] = {name: estimate(measured) for name, measured in results[workload].items()}
    return speeds


def _spread(arm: str, workload: str, speeds: dict[str, Estimate]) -> Spread:
    """One workload's scatter from each node's speed; its p are not adjusted yet."""
    runs = [np.log(estimate.values).tolist() for estimate in speeds.values()]
    means = tuple(estimate.value for estimate in speeds.values())
    scatter = components(runs)
    test = outlying(np.log(means), [len(values) for values in runs], scatter.within)
    columns = (column.tolist() for column in test)
    deviations = [
        Deviation(name, math.exp(difference), Interval(math.exp(low), math.exp(high)), p)
        for name, difference, low, high, p in zip(speeds, *columns, strict=True)
    ]
    unit = next(iter(speeds.values())).unit
    return Spread(arm, workload, estimate_of(means, unit), scatter, tuple(deviations))


def _adjusted(spreads: Sequence[Spread]) -> list[Spread]:
    """The same with p that are adjusted for being one family."""
    p = [deviation.p_adjusted for spread in spreads for deviation in spread.deviations]
    adjusted = iter(holm(p).tolist())
    family = []
    for spread in spreads:
        deviations = tuple(replace(deviation, p_adjusted=next(adjusted)) for deviation in spread.deviations)
        family.append(replace(spread, deviations=deviations))
    return family


def sentences(spreads: Sequence[Spread]) -> list[str]:
    """Return a sentence for each node that is off, with the strongest of what says so."""
    by_node: dict[str, list[tuple[Spread, Deviation]]] = {}
    for spread in spreads:
        for deviation in spread.off:
            by_node.setdefault(deviation.node, []).append((spread, deviation))
    found = []
    for pairs in by_node.values():
        spread, deviation = min(pairs, key=lambda pair: pair[1].p_adjusted)
        where = f"in \u201c{words(spread.workload)}\u201d on {spread.arm}"
        more = f"; so it is in {len(pairs) - 1} other workloads" if len(pairs) > 1 else ""
        found.append(f"A node is off: {_words(deviation)} {where}{more}.")
    return found


def apart(records: Iterable[Record]) -> list[str]:
    """Return a sentence for each arm whose nodes are not all pooled, with what differs between them."""
    arms: dict[str, list[list[Record]]] = {}
    for arm, runs in alike(records):
        arms.setdefault(arm, []).append(runs)
    found = []
    for arm, groups in arms.items():
        members = [", ".join(dict.fromkeys(str(node(run)) for run in runs)) for runs in groups]
        if len(set(members)) > 1:
            fields = ", ".join(_differing(groups))
            found.append(f"Not all nodes are pooled for {arm}: {' | '.join(members)} differ in {fields}.")
    return found


def _differing(groups: Sequence[Sequence[Record]]) -> list[str]:
    """The fields of the fingerprint in which groups of records differ."""
    fingerprints = [runs[0].fingerprint for runs in groups]
    fields = dict.fromkeys(field for fingerprint in fingerprints for field in fingerprint)
    return [field for field in fields if len({str(fingerprint.get(field)) for fingerprint in fingerprints}) > 1]


def slower(spreads: Sequence[Spread], least: float) -> list[str]:
    """Return a sentence for each node that is off and in a workload less than `least` times as fast as the others."""
    return [
        f"{words(spread.workload)} on {spread.arm}: {_words(deviation)}"
        for spread in spreads
        for deviation in spread.off
        if deviation.ratio < least
    ]


def row(spread: Spread) -> list[str]:
    """Return a workload's scatter in words: its name, then what HEADER names."""
    scatter = [NONE if math.isnan(part) else f"{100 * part:.2g}\N{NO-BREAK SPACE}%" for part in spread.components]
    off = "; ".join(_words(deviation) for deviation in spread.off)
    return [words(spread.workload), speed(spread.speed), *scatter, off or NONE]


def _words(deviation: Deviation) -> str:
    """`node3, 0.898 times as fast as the others (0.88 to 0.915; p < 0.001)`."""
    p = probability(deviation.p_adjusted)
    chance = f"p {p}" if p.startswith("<") else f"p = {p}"
    span = f"{number(deviation.interval.low, 3)} to {number(deviation.interval.high, 3)}"
    return f"{deviation.node}, {number(deviation.ratio, 3)} times as fast as the others ({span}; {chance})"
