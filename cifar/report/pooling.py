"""Pooling: records of several nodes go in; the arms over their nodes, and each node's means, come out."""

from __future__ import annotations

import re
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING

from cifar.report.comparison import ABSENT, estimate

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cifar.record.model import Record, Result


def node(record: Record) -> str | None:
    """Return the node that a record was made on; None where it does not say, as in a container with a made-up name."""
    facts = record.environment.get("node")
    hostname = facts.get("hostname") if isinstance(facts, dict) else None
    if not isinstance(hostname, str) or re.fullmatch("[0-9a-f]{12}", hostname):
        return None
    return hostname


def alike(records: Iterable[Record]) -> list[tuple[str, list[Record]]]:
    """Return the arms of the records on named nodes, each with its records; those of another fingerprint are apart.

    Only what is comparable is pooled: nodes with another processor, driver or image are a group of their own.
    """
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        if node(record):
            fingerprint = repr(sorted(record.fingerprint.items()))
            groups.setdefault((record.arm, fingerprint), []).append(record)
    return [(arm, runs) for (arm, _), runs in groups.items()]


def pools(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Return the records of each arm that several nodes measured, as `gpu over 4 nodes`, node after node.

    {} where not all can be pooled: a record that names no node, or nodes of an arm that differ in a fingerprint.
    """
    measured = [record for record in records if record.results]
    groups = alike(measured)
    arms = dict(groups)
    if len(arms) < len(groups) or not all(map(node, measured)):
        return {}
    pooled = {}
    for arm, runs in arms.items():
        nodes = list(dict.fromkeys(map(node, runs)))
        if len(nodes) > 1:
            places = {name: place for place, name in enumerate(nodes)}
            pooled[f"{arm} over {len(nodes)} nodes"] = sorted(runs, key=lambda run: places[node(run)])
    return pooled


def means(runs: Sequence[Record]) -> list[Record]:
    """Return one record a node, whose results have the geometric mean of the speeds of its runs' median rounds.

    With them the unit of evidence is the node, for all that takes records. They name no limits: those are a node's.
    """
    by_node: dict[str, list[Record]] = {}
    for run in runs:
        by_node.setdefault(str(node(run)), []).append(run)
    workloads = list(dict.fromkeys(result.workload for run in runs for result in run.results))
    return [_mean(place, name, by_node[name], workloads) for place, name in enumerate(by_node, start=1)]


def _mean(place: int, name: str, runs: Sequence[Record], workloads: Sequence[str]) -> Record:
    """The runs of one node as one record; what it lacks of the workloads is a failure that names the node."""
    measured: dict[str, list[Result]] = {}
    for run in runs:
        for result in run.results:
            measured.setdefault(result.workload, []).append(result)
    reason = f"{name} has no number for it"
    lacking = [{"workload": workload, "reason": reason} for workload in workloads if workload not in measured]
    return replace(
        runs[0],
        run=place,
        campaign=name,
        complete=True,
        failures=tuple(lacking),
        results=tuple(_mean_result(results) for results in measured.values()),
    )


def _mean_result(results: Sequence[Result]) -> Result:
    """The results of one workload as one: the mean speed, the median warm-up and the median part within the steps."""
    seconds = results[0].amount / estimate(results).value
    warmups = [result.warmup_seconds for result in results if result.warmup_seconds is not None]
    within = [1 - result.outside_steps for result in results if result.outside_steps is not None]
    parts = dict.fromkeys(part for result in results for part in result.work)
    return replace(
        results[0],
        seconds=(seconds,),
        warmup_seconds=median(warmups) if warmups else None,
        step_seconds=(seconds * median(within),) if within else (),
        work={part: _values(part, results) for part in parts},
        needs={},
    )


def _values(part: str, results: Sequence[Result]) -> str:
    """What the results say of a part of their work, each value once."""
    return " and ".join(sorted({result.work.get(part, ABSENT) for result in results}))
