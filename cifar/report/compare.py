"""Compare: the records of two arms go in; each workload's ratio, interval and verdict, and all left out, come out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from cifar.record.names import in_order
from cifar.record.reading import told_apart
from cifar.report import limits
from cifar.report.arms import Arm
from cifar.report.comparison import ABSENT, MARGIN, Comparison, LeftOut, NotComparable, Pair, estimate
from cifar.report.gaps import gaps, lost, unpaired
from cifar.statistics.families import Verdict, decide, holm
from cifar.statistics.intervals import Interval, welch
from cifar.statistics.stopping import MOST_RUNS, runs_needed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cifar.record.model import Record, Result
    from cifar.report.comparison import Differences, Estimate


def compare(  # noqa: PLR0913 - what, by what measure, and two words for it
    baseline: Sequence[Record],
    candidate: Sequence[Record],
    margin: float = MARGIN,
    allow: Iterable[str] = (),
    names: tuple[str, str] | None = None,
    *,
    evidence: str = "run",
) -> Comparison:
    """Return what the records of one arm, the candidate, say against those of another, the baseline.

    The unit of evidence is the run: of each run the median round counts, as log speed, so that a ratio and its
    inverse are treated alike. Workloads are paired by name; `names` are shown in place of the arms' own, and
    `evidence` is what a record is called: a run, or a node where it stands for all of a node's (`pooling.means`).
    An arm without records gives a comparison without pairs (exit code 4).
    Raises NotComparable where a fingerprint field has more than one value over both arms and is not in `allow`,
    and ValueError for a margin not above 0 and for records of more than one arm on a side.
    """
    _check(margin)
    names = names or _names(baseline, candidate)
    return compare_arms(Arm(names[0], baseline), Arm(names[1], candidate), margin, allow, evidence=evidence)


def compare_arms(
    baseline: Arm, candidate: Arm, margin: float = MARGIN, allow: Iterable[str] = (), *, evidence: str = "run"
) -> Comparison:
    """Return what one arm, the candidate, says against another, the baseline; see `compare`."""
    _check(margin)
    allowed = comparable(baseline.records, candidate.records, frozenset(allow))
    baseline, candidate = limits.sound(baseline), limits.sound(candidate)
    both = f"{baseline.name} and {candidate.name}"
    gapped = gaps(baseline, evidence), gaps(candidate, evidence)
    paired, left_out = [], [*gapped[0], *gapped[1]]
    for workload in in_order(workload for workload in baseline.results if workload in candidate.results):
        results = baseline.results[workload], candidate.results[workload]
        if reason := _unequal(*results):
            left_out.append(LeftOut(workload, both, reason))
        else:
            paired.append((workload, *results))
    left_out += [*unpaired(baseline, candidate), *unpaired(candidate, baseline)]
    return Comparison(
        baseline.name,
        candidate.name,
        margin,
        pairs=_pairs(paired, margin, evidence),
        left_out=tuple(left_out),
        allowed=allowed,
        lost=lost(baseline, candidate, *gapped),
        evidence=evidence,
    )


def _check(margin: float) -> None:
    """Raise ValueError for a margin of nothing, of less, or of everything."""
    if not 0 < margin < math.inf:
        message = f"the margin must be a number above 0, such as 0.05 for 5 %, not {margin}"
        raise ValueError(message)


def comparable(baseline: Sequence[Record], candidate: Sequence[Record], allow: frozenset[str]) -> Differences:
    """Return the fields of the fingerprint that differ and may; raises NotComparable for those that may not."""
    fields = dict.fromkeys(field for record in (*baseline, *candidate) for field in record.fingerprint)
    differences = {}
    for field in fields:
        sides = _values(baseline, field), _values(candidate, field)
        if len({*sides[0], *sides[1]}) > 1:
            differences[field] = sides
    refused = {field: values for field, values in differences.items() if field not in allow}
    if refused:
        raise NotComparable(refused)
    return differences


def _values(records: Sequence[Record], field: str) -> tuple[str, ...]:
    """The values of a fingerprint field that occur, in order."""
    return tuple(sorted({str(record.fingerprint.get(field, ABSENT)) for record in records}))


def _names(baseline: Sequence[Record], candidate: Sequence[Record]) -> tuple[str, str]:
    """The arms' names, with their campaigns where they are the same arm, and with folders where those are the same."""
    first, second = _arm(baseline, "baseline"), _arm(candidate, "candidate")
    if first != second:
        return first, second
    records = told_apart([*baseline, *candidate])
    sides = records[: len(baseline)], records[len(baseline) :]
    places = [", ".join(sorted({record.campaign for record in side})) for side in sides]
    return f"{first}@{places[0]}", f"{second}@{places[1]}"


def _arm(records: Sequence[Record], side: str) -> str:
    """The arm of the records on one side; raises ValueError where they are of several."""
    arms = sorted({record.arm for record in records})
    if len(arms) > 1:
        message = f"the {side} holds records of {', '.join(arms)}: compare one arm with one arm"
        raise ValueError(message)
    return arms[0] if arms else "(no record)"


def _unequal(baseline: Sequence[Result], candidate: Sequence[Result]) -> str:
    """Why two arms did not do the same work, empty if they did."""
    results = (*baseline, *candidate)
    for part in sorted({key for result in results for key in result.work}):
        if len({result.work.get(part) for result in results}) > 1:
            values = sorted({result.work.get(part, ABSENT)[:12] for result in results})
            return f"not the same work: {part} {' against '.join(values)}"
    units = sorted({result.unit for result in results})
    return f"not the same quantity: {' against '.join(units)}" if len(units) > 1 else ""


def _pairs(
    measured: Sequence[tuple[str, Sequence[Result], Sequence[Result]]], margin: float, evidence: str
) -> tuple[Pair, ...]:
    """Each workload's pair; the verdicts see all p values as one family."""
    estimates = [(estimate(baseline), estimate(candidate)) for _, baseline, candidate in measured]
    tests = [welch(np.log(baseline.values), np.log(candidate.values)) for baseline, candidate in estimates]
    low, high = np.exp([test.low for test in tests]), np.exp([test.high for test in tests])
    adjusted = holm([test.p for test in tests])
    verdicts = [Verdict(str(verdict)) for verdict in decide(low, high, adjusted, margin)]
    family = int(np.sum(~np.isnan(adjusted)))
    pairs = []
    for place, (workload, _, _) in enumerate(measured):
        (baseline, candidate), test = estimates[place], tests[place]
        known = not math.isnan(adjusted[place])
        needed, reason = None, ""
        if verdicts[place] is Verdict.INCONCLUSIVE:
            needed, reason = _outlook(baseline, candidate, margin, family, evidence)
        pair = Pair(
            workload,
            baseline,
            candidate,
            ratio=float(np.exp(test.difference)),
            interval=Interval(float(np.exp(test.low)), float(np.exp(test.high))) if known else None,
            p=float(test.p) if known else None,
            p_adjusted=float(adjusted[place]) if known else None,
            verdict=verdicts[place],
            runs_needed=needed,
            reason=reason,
        )
        pairs.append(pair)
    return tuple(pairs)


def _outlook(
    baseline: Estimate, candidate: Estimate, margin: float, family: int, evidence: str
) -> tuple[int | None, str]:
    """How many runs, or nodes, would settle an inconclusive pair, and that or why not in words."""
    if min(baseline.runs, candidate.runs) == 1:
        return None, f"one {evidence} has no interval: measure at least 2 {evidence}s an arm, better 5"
    if baseline.interval is None and candidate.interval is None:
        same = f"all {evidence}s of an arm took exactly the same time"
        return None, f"{same}: the clock is too coarse, or records are copies"
    needed = runs_needed(np.log(baseline.values), np.log(candidate.values), margin, family)
    count = f"more than {MOST_RUNS}" if needed is None else f"about {needed}"
    return needed, f"{count} {evidence}s an arm would settle it"
