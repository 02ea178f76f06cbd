"""Nodes: records of several nodes go in; how they scatter, which is off, and arms over all nodes come out."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from cifar.record.names import in_order, words
from cifar.report.comparison import ABSENT, estimate, estimate_of
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
        return tuple(one.node for one in self.deviations)


def spreads(records: Iterable[Record]) -> list[Spread]:
    """Return how each workload scatters over the nodes that measured it, per arm and fingerprint; [] for one node.

    Only what is comparable is pooled: nodes with another processor, driver or image are a group of their own. All p
    are one family (Holm), whatever the number of arms, workloads and nodes.
    """
    found = [
        _spread(arm, workload, by_node)
        for arm, runs in _groups(records)
        if len(set(map(name, runs))) > 1
        for workload, by_node in _by_node(runs).items()
        if len(by_node) > 1
    ]
    adjusted = iter(holm([one.p_adjusted for spread in found for one in spread.deviations]).tolist())
    return [
        replace(spread, deviations=tuple(replace(one, p_adjusted=next(adjusted)) for one in spread.deviations))
        for spread in found
    ]


def sentences(found: Sequence[Spread]) -> list[str]:
    """Return a sentence for each node that is off, with the strongest of what says so."""
    named: dict[str, list[tuple[Spread, Deviation]]] = {}
    for spread in found:
        for one in spread.deviations:
            if one.off:
                named.setdefault(one.node, []).append((spread, one))
    said = []
    for pairs in named.values():
        spread, one = min(pairs, key=lambda pair: pair[1].p_adjusted)
        more = f"; so it is in {len(pairs) - 1} other workloads" if len(pairs) > 1 else ""
        said.append(f"A node is off: {_said(one)} in \u201c{words(spread.workload)}\u201d on {spread.arm}{more}.")
    return said


def apart(records: Iterable[Record]) -> list[str]:
    """Return a sentence for each arm whose nodes are not all pooled, with what differs between them."""
    arms: dict[str, list[list[Record]]] = {}
    for arm, runs in _groups(records):
        arms.setdefault(arm, []).append(runs)
    said = []
    for arm, groups in arms.items():
        members = [", ".join(dict.fromkeys(str(name(run)) for run in runs)) for runs in groups]
        prints = [runs[0].fingerprint for runs in groups]
        every = dict.fromkeys(field for one in prints for field in one)
        fields = [field for field in every if len({str(one.get(field)) for one in prints}) > 1]
        if len(set(members)) > 1:
            said.append(f"Not all nodes are pooled for {arm}: {' | '.join(members)} differ in {', '.join(fields)}.")
    return said


def slower(found: Sequence[Spread], least: float) -> list[str]:
    """Return a sentence for each node that is off and in a workload less than `least` times as fast as the others."""
    return [
        f"{words(spread.workload)} on {spread.arm}: {_said(one)}"
        for spread in found
        for one in spread.deviations
        if one.off and one.ratio < least
    ]


def row(spread: Spread) -> list[str]:
    """Return a workload's scatter in words: its name, then what HEADER names."""
    scatter = (NONE if math.isnan(part) else f"{100 * part:.2g}\N{NO-BREAK SPACE}%" for part in spread.components)
    named = "; ".join(_said(one) for one in spread.deviations if one.off)
    return [words(spread.workload), speed(spread.speed), *scatter, named or NONE]


def name(record: Record) -> str | None:
    """Return the node that a record was made on; None where it does not say, as in a container with a made-up name."""
    node = record.environment.get("node")
    hostname = node.get("hostname") if isinstance(node, dict) else None
    return None if not isinstance(hostname, str) or re.fullmatch("[0-9a-f]{12}", hostname) else hostname


# --- arms over their nodes


def pools(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Return the records of each arm that several nodes measured, as `gpu over 4 nodes`, node after node.

    {} where not all can be pooled: a record that names no node, or nodes of an arm that differ in a fingerprint.
    """
    measured = [record for record in records if record.results]
    groups = _groups(measured)
    arms = dict(groups)
    if len(arms) < len(groups) or not all(map(name, measured)):
        return {}
    nodes = {arm: list(dict.fromkeys(map(name, runs))) for arm, runs in arms.items()}
    return {
        f"{arm} over {len(nodes[arm])} nodes": sorted(runs, key=lambda run: nodes[run.arm].index(name(run)))
        for arm, runs in arms.items()
        if len(nodes[arm]) > 1
    }


def means(runs: Sequence[Record]) -> list[Record]:
    """Return one record a node, whose results have the geometric mean of the speeds of its runs' median rounds.

    With them the unit of evidence is the node, for all that takes records. They name no limits: those are a node's.
    """
    by_node: dict[str, list[Record]] = {}
    for run in runs:
        by_node.setdefault(str(name(run)), []).append(run)
    workloads = dict.fromkeys(result.workload for run in runs for result in run.results)
    return [_mean(place, node, here, list(workloads)) for place, (node, here) in enumerate(by_node.items(), start=1)]


def _mean(place: int, node: str, runs: Sequence[Record], workloads: Sequence[str]) -> Record:
    """The runs of one node as one record; what it lacks of the workloads is a failure that names the node."""
    found: dict[str, list[Result]] = {}
    for run in runs:
        for result in run.results:
            found.setdefault(result.workload, []).append(result)
    lacking = [{"workload": one, "reason": f"{node} has no number for it"} for one in workloads if one not in found]
    facts: dict[str, Any] = {"run": place, "campaign": node, "complete": True, "failures": tuple(lacking)}
    return replace(runs[0], **facts, results=tuple(_one(results) for results in found.values()))


def _one(results: Sequence[Result]) -> Result:
    """The results of one workload as one: the mean speed, the median warm-up and the median part within the steps."""
    seconds = results[0].amount / estimate(results).value
    first = [result.warmup_seconds for result in results if result.warmup_seconds is not None]
    within = [1 - result.outside_steps for result in results if result.outside_steps is not None]
    work = {
        part: " and ".join(sorted({result.work.get(part, ABSENT) for result in results}))
        for part in dict.fromkeys(part for result in results for part in result.work)
    }
    return replace(
        results[0],
        seconds=(seconds,),
        warmup_seconds=median(first) if first else None,
        step_seconds=(seconds * median(within),) if within else (),
        work=work,
        needs={},
    )


# --- records


def _groups(records: Iterable[Record]) -> list[tuple[str, list[Record]]]:
    """The records of each arm on named nodes, those of one fingerprint together."""
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        if name(record):
            groups.setdefault((record.arm, repr(sorted(record.fingerprint.items()))), []).append(record)
    return [(arm, runs) for (arm, _), runs in groups.items()]


def _by_node(records: Sequence[Record]) -> dict[str, dict[str, Estimate]]:
    """The speed of each workload, in order, by node."""
    results: dict[str, dict[str, list[Result]]] = {}
    for record in records:
        node = str(name(record))
        for result in record.results:
            results.setdefault(result.workload, {}).setdefault(node, []).append(result)
    speeds = {}
    for workload in in_order(results):
        speeds[workload] = {node: estimate(measured) for node, measured in results[workload].items()}
    return speeds


def _spread(arm: str, workload: str, by_node: dict[str, Estimate]) -> Spread:
    """One workload's scatter; its p are not adjusted yet."""
    runs = [np.log(estimate.values).tolist() for estimate in by_node.values()]
    speeds = tuple(estimate.value for estimate in by_node.values())
    parts = components(runs)
    test = outlying(np.log(speeds), [len(node) for node in runs], parts.within)
    deviations = [
        Deviation(node, math.exp(difference), Interval(math.exp(low), math.exp(high)), p)
        for node, difference, low, high, p in zip(by_node, *(part.tolist() for part in test), strict=True)
    ]
    unit = next(iter(by_node.values())).unit
    return Spread(arm, workload, estimate_of(speeds, unit), parts, tuple(deviations))


def _said(one: Deviation) -> str:
    """`node3, 0.898 times as fast as the others (0.88 to 0.915; p < 0.001)`."""
    p = probability(one.p_adjusted)
    chance = f"p {p}" if p.startswith("<") else f"p = {p}"
    span = f"{number(one.interval.low, 3)} to {number(one.interval.high, 3)}"
    return f"{one.node}, {number(one.ratio, 3)} times as fast as the others ({span}; {chance})"
