"""Pairing: the arms go in; which of them are compared with which, and what came of it, come out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cifar.report import compare, pooling
from cifar.report.comparison import Comparison, NotComparable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from cifar.report.arms import Arm, Arms


@dataclass(frozen=True, slots=True)
class Refused:
    """Two arms of which no ratio is published, and why."""

    baseline: str
    candidate: str
    error: NotComparable


def compared(
    arms: Arms, baseline: str | None, margin: float, allow: frozenset[str]
) -> tuple[tuple[Comparison, ...], tuple[Refused, ...]]:
    """Return the comparisons of arms over their nodes, then of those by themselves, and those that had to be refused.

    `baseline`, `margin` and `allow` are as in `pairs` and `compare.compare`, and so is what is raised.
    """
    first, *others = list(arms.over) or [""]
    over_nodes = [(first, name) for name in others]
    pooled = {arm.records[0].arm for arm in arms.over.values()}
    comparisons, refused = [], []
    for one, other in [*over_nodes, *pairs(arms.each, baseline, pooled)]:
        sides, evidence = (arms.over, "node") if one in arms.over else (arms.each, "run")
        try:
            comparison = compare.compare_arms(sides[one], sides[other], margin, allow, evidence=evidence)
        except NotComparable as error:
            refused.append(Refused(one, other, error))
        else:
            comparisons.append(comparison)
    if len(arms.each) == 1 and not arms.over:
        refused += _unlike(next(iter(arms.each.values())), allow)
    return tuple(comparisons), tuple(refused)


def pairs(arms: Mapping[str, Arm], baseline: str | None = None, pooled: Collection[str] = ()) -> list[tuple[str, str]]:
    """Return the pairs (baseline, candidate) of arms to compare, each arm but the first being a candidate.

    A named `baseline` is everybody's. Otherwise an arm that an earlier campaign has too is compared with itself
    before, and with the first arm of its own campaign; any other with the first arm of all, which is the CPU's.
    Arms whose names in the records are `pooled`, measured by several nodes, are compared within a node only.
    Raises ValueError for a baseline that is no arm.
    """
    if baseline is not None and baseline not in arms:
        message = f"there is no arm {baseline} to be the baseline, only {', '.join(arms)}"
        raise ValueError(message)
    if baseline is not None:
        return [(baseline, arm) for arm in arms if arm != baseline]
    runs = {name: arm.records[0] for name, arm in arms.items()}
    names = {name: run.arm for name, run in runs.items()}
    homes = {name: pooling.node(run) if run.arm in pooled else None for name, run in runs.items()}
    first, *candidates = arms
    paired = []
    for arm in candidates:
        before = next(other for other in arms if (names[other], homes[other]) == (names[arm], homes[arm]))
        beside = next(other for other in arms if runs[other].campaign == runs[arm].campaign)
        baselines = [other for other in dict.fromkeys((before, beside)) if other != arm]
        apart = names[arm] in pooled and names[first] in pooled and homes[arm] != homes[first]
        if not baselines and not apart:
            baselines = [first]
        paired += [(other, arm) for other in baselines]
    return paired


def _unlike(arm: Arm, allow: frozenset[str]) -> list[Refused]:
    """Why the runs of the only arm are none of one thing, whose speed could be given; empty where they are."""
    first, others = arm.records[:1], arm.records[1:]
    try:
        compare.comparable(first, others, allow)
    except NotComparable as error:
        return [Refused(f"run {first[0].run} of {arm.name}", f"the other runs of {arm.name}", error)]
    return []
