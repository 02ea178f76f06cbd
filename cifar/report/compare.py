"""Compare: the records of two arms go in; each workload's ratio, interval and verdict, and all left out, come out."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from textwrap import shorten
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cifar.record.names import in_order
from cifar.record.reading import told_apart
from cifar.report import limits
from cifar.statistics.families import Verdict, decide, holm
from cifar.statistics.intervals import Interval, interval, welch
from cifar.statistics.stopping import MOST_RUNS, runs_needed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cifar.record.model import Record, Result

MARGIN = 0.05
"""Of equivalence, if nobody names another."""
NONE = "\N{EN DASH}"
"""Stands in tables for a number that there is not."""
PREFIXED = ("B/s", "FLOP/s", "s")
PREFIXES = ((1e12, 1e12, "T"), (1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e-3, 1, ""), (0, 1e-6, "\N{MICRO SIGN}"))
"""Units that are shown with a prefix, and from which value on which power and prefix serves."""
ABSENT = "(absent)"
"""Stands for the value of a fingerprint field that a record lacks."""


class NotComparable(Exception):  # noqa: N818 - a state of the records, not a failure of the program
    """The fingerprints differ: `differences` has each field's values, baseline's and candidate's."""

    def __init__(self, differences: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]) -> None:
        """Keep the fields and say them in one sentence."""
        self.differences = dict(differences)
        fields = "; ".join(
            f"{field}: {' and '.join(one)} against {' and '.join(other)}"
            for field, (one, other) in self.differences.items()
        )
        super().__init__(f"not comparable, for these differ: {fields} (`--allow FIELD` compares all the same)")


@dataclass(frozen=True, slots=True)
class Estimate:
    """An arm's speed in one workload: geometric mean of its runs' `values`, its 95 % interval if it has one.

    Speeds are in `unit`, or 1/s where that is s.
    """

    value: float
    interval: Interval | None
    values: tuple[float, ...]
    unit: str

    @property
    def runs(self) -> int:
        """The number of runs behind it."""
        return len(self.values)


@dataclass(frozen=True, slots=True)
class Pair:
    """One workload in both arms; `ratio` > 1: the candidate is faster.

    `interval`, `p` and `p_adjusted` (Holm) are None where there is no interval; then `reason` says why.
    `runs_needed` an arm would settle an INCONCLUSIVE; None there: more than 1000, or cannot be said.
    """

    workload: str
    baseline: Estimate
    candidate: Estimate
    ratio: float
    interval: Interval | None
    p: float | None
    p_adjusted: float | None
    verdict: Verdict
    runs_needed: int | None
    reason: str


class LeftOut(NamedTuple):
    """Something not compared: `workload` (empty: the whole run), the arm, and why.

    `failed`: the workload failed its check or cannot be true; a skip, or an older record's gap, has not.
    """

    workload: str
    arm: str
    reason: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two arms compared; `allowed` are the fields that differ and were allowed to, as in NotComparable."""

    baseline: str
    candidate: str
    margin: float
    pairs: tuple[Pair, ...]
    left_out: tuple[LeftOut, ...]
    allowed: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]
    lost: tuple[LeftOut, ...] = ()
    """The candidate's failures in what the baseline can do; see `gate`."""
    evidence: str = "run"
    """What each speed of an estimate is that of: a run, or a node."""


# --- records


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
    `evidence` is what a record is called: a run, or a node where it stands for all of a node's (`nodes.means`).
    An arm without records gives a comparison without pairs (exit code 4).
    Raises NotComparable where a fingerprint field has more than one value over both arms and is not in `allow`,
    and ValueError for a margin not above 0 and for records of more than one arm on a side.
    """
    if not 0 < margin < math.inf:
        message = f"the margin must be a number above 0, such as 0.05 for 5 %, not {margin}"
        raise ValueError(message)
    labels = names or _names(baseline, candidate)
    allowed = comparable(baseline, candidate, frozenset(allow))
    kept = [limits.sound(side) for side in (baseline, candidate)]
    sides = [_measured(side) for side in kept]
    gapped = [gaps(side, label, evidence) for label, side in zip(labels, kept, strict=True)]
    both = in_order(workload for workload in sides[0] if workload in sides[1])
    unequal = {name: reason for name in both if (reason := _unequal(sides[0][name], sides[1][name]))}
    left_out = [
        *gapped[0],
        *gapped[1],
        *(LeftOut(name, " and ".join(labels), reason) for name, reason in unequal.items()),
    ]
    left_out += _unpaired(sides, labels)
    pairs = _pairs([(name, sides[0][name], sides[1][name]) for name in both if name not in unequal], margin, evidence)
    return Comparison(*labels, margin, pairs, tuple(left_out), allowed, _lost(sides, gapped), evidence)


def estimate(results: Sequence[Result]) -> Estimate:
    """Return the speed of one arm in one workload from its runs' results (at least one)."""
    values = tuple(result.value for result in results)
    return Estimate(float(np.exp(np.mean(np.log(values)))), interval(values), values, results[0].unit)


def within(records: Sequence[Record], slow: str, fast: str) -> Estimate | None:
    """Return how many times as fast as workload `slow` is `fast` in the runs of one arm that have both.

    Both come from the same process and share its shift, so each run gives one ratio, and the interval is that of
    the ratios. None where no run has both, or they were not done in the same unit.
    """
    values = []
    for record in records:
        found = {result.workload: result for result in record.results}
        if slow in found and fast in found and found[slow].unit == found[fast].unit:
            values.append(found[fast].value / found[slow].value)
    if not values:
        return None
    return Estimate(float(np.exp(np.mean(np.log(values)))), interval(values), tuple(values), unit="")


def gaps(records: Sequence[Record], arm: str, evidence: str = "run") -> list[LeftOut]:
    """Return what an arm's records lack: failures, runs cut short, workloads that only some of its runs have."""
    workloads = dict.fromkeys(result.workload for record in records for result in record.results)
    found = _failed(records, arm, evidence)
    for record in records:
        failed = {failure["workload"] for failure in record.failures}
        missing = workloads.keys() - failed - {result.workload for result in record.results}
        if record.complete:
            reason = f"run {record.run} has no number for it and gives no reason"
            found += [LeftOut(workload, arm, reason) for workload in workloads if workload in missing]
        else:
            count = len(record.results)
            reason = f"run {record.run} was cut short; the {count} workloads it had finished are used"
            found.append(LeftOut("", arm, reason))
    return found


def _failed(records: Sequence[Record], arm: str, evidence: str) -> list[LeftOut]:
    """What has no number for a reason that the runs give, each reason once with its runs; a node's names the node."""
    runs: dict[tuple[str, str, bool], list[int]] = {}
    for record in records:
        for failure in record.failures:
            failed = failure.get("skipped") is False
            runs.setdefault((failure["workload"], failure["reason"], failed), []).append(record.run)
    return [
        LeftOut(workload, arm, f"{_which(numbers, len(records))}: {reason}" if evidence == "run" else reason, failed)
        for (workload, reason, failed), numbers in runs.items()
    ]


def _which(numbers: Sequence[int], runs: int) -> str:
    """Some of `runs` runs in words."""
    if len(numbers) == runs > 1:
        return "every run"
    return f"run{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}"


def _names(baseline: Sequence[Record], candidate: Sequence[Record]) -> tuple[str, str]:
    """The arms' names, with their campaigns where they are the same arm, and with folders where those are the same."""
    arms = [sorted({record.arm for record in side}) for side in (baseline, candidate)]
    for side, names in zip(("baseline", "candidate"), arms, strict=True):
        if len(names) > 1:
            message = f"the {side} holds records of {', '.join(names)}: compare one arm with one arm"
            raise ValueError(message)
    one, other = (names[0] if names else "(no record)" for names in arms)
    if one != other:
        return one, other
    named = told_apart([*baseline, *candidate])
    sides = named[: len(baseline)], named[len(baseline) :]
    places = [", ".join(sorted({record.campaign for record in side})) for side in sides]
    return f"{one}@{places[0]}", f"{other}@{places[1]}"


def comparable(
    baseline: Sequence[Record], candidate: Sequence[Record], allow: frozenset[str]
) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Return the fields of the fingerprint that differ and may; raises NotComparable for those that may not."""
    fields = dict.fromkeys(field for record in (*baseline, *candidate) for field in record.fingerprint)
    differences = {}
    for field in fields:
        one, other = (
            tuple(sorted({str(record.fingerprint.get(field, ABSENT)) for record in side}))
            for side in (baseline, candidate)
        )
        if len({*one, *other}) > 1:
            differences[field] = (one, other)
    refused = {field: values for field, values in differences.items() if field not in allow}
    if refused:
        raise NotComparable(refused)
    return differences


def _measured(records: Sequence[Record]) -> dict[str, list[Result]]:
    """The results of each workload over an arm's runs."""
    found: dict[str, list[Result]] = {}
    for record in records:
        for result in record.results:
            found.setdefault(result.workload, []).append(result)
    return found


def _unpaired(sides: Sequence[Mapping[str, object]], labels: tuple[str, str]) -> list[LeftOut]:
    """The workloads that only one side has, under the arm that lacks them."""
    return [
        LeftOut(workload, labels[1 - here], f"only {labels[here]} has a number for it")
        for here in (0, 1)
        for workload in sides[here]
        if workload not in sides[1 - here]
    ]


def _lost(sides: Sequence[Mapping[str, object]], gapped: Sequence[Sequence[LeftOut]]) -> tuple[LeftOut, ...]:
    """The candidate's failures in what the baseline can do: never fails itself, or has a number and nobody else has."""
    flawed = {entry.workload for entry in gapped[0] if entry.failed}
    can = [workload for workload in sides[0] if workload not in sides[1] or workload not in flawed]
    return tuple(entry for entry in gapped[1] if entry.failed and entry.workload in can)


def _unequal(baseline: Sequence[Result], candidate: Sequence[Result]) -> str:
    """Why two arms did not do the same work, empty if they did."""
    for part in sorted({key for result in (*baseline, *candidate) for key in result.work}):
        values = sorted({result.work.get(part, ABSENT)[:12] for result in (*baseline, *candidate)})
        if len({result.work.get(part) for result in (*baseline, *candidate)}) > 1:
            return f"not the same work: {part} {' against '.join(values)}"
    if len(units := {result.unit for result in (*baseline, *candidate)}) > 1:
        return f"not the same quantity: {' against '.join(sorted(units))}"
    return ""


def _pairs(
    measured: Sequence[tuple[str, list[Result], list[Result]]], margin: float, evidence: str
) -> tuple[Pair, ...]:
    """Each workload's pair; the verdicts see all p values as one family."""
    estimates = [(estimate(one), estimate(other)) for _, one, other in measured]
    tests = [welch(np.log(one.values), np.log(other.values)) for one, other in estimates]
    adjusted = holm([test.p for test in tests])
    verdicts = decide(np.exp([test.low for test in tests]), np.exp([test.high for test in tests]), adjusted, margin)
    family = int(np.sum(~np.isnan(adjusted)))
    pairs = []
    for (workload, _, _), (one, other), test, p, said in zip(
        measured, estimates, tests, adjusted, verdicts, strict=True
    ):
        verdict, known = Verdict(str(said)), not math.isnan(p)
        needed, reason = (
            _outlook(one, other, margin, family, evidence) if verdict is Verdict.INCONCLUSIVE else (None, "")
        )
        pair = Pair(
            *(workload, one, other, float(np.exp(test.difference))),
            interval=Interval(float(np.exp(test.low)), float(np.exp(test.high))) if known else None,
            p=float(test.p) if known else None,
            p_adjusted=float(p) if known else None,
            verdict=verdict,
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
    return (
        needed,
        f"{f'more than {MOST_RUNS}' if needed is None else f'about {needed}'} {evidence}s an arm would settle it",
    )


# --- what follows from a comparison


def loss(spec: str) -> float:
    """Return the part of the speed that the gate `slower:5%` lets go, 0.05; ValueError for any other form."""
    match = re.fullmatch(r"slower:(\d{1,2}(?:\.\d+)?)%", spec)
    if match is None:
        message = f"{spec!r} is no gate: write slower:5% for any percentage from 0 to below 100"
        raise ValueError(message)
    return float(match[1]) / 100


def gate(comparison: Comparison, spec: str) -> list[Pair]:
    """Return the pairs that hit the gate `slower:5%`: verdict SLOWER and a ratio below 1 - 5 %.

    The verdict makes sure that noise does not hit it, the estimated ratio that the loss is as large as was named.
    Whatever the percentage, `comparison.lost` hits it too: no number at all is the worst loss, and a check that
    fails in one run is no noise either, unless the baseline fails it as well.
    Raises ValueError for any other form of `spec`.
    """
    least = 1 - loss(spec)
    return [pair for pair in comparison.pairs if pair.verdict is Verdict.SLOWER and pair.ratio < least]


def hits(comparison: Comparison, spec: str) -> list[str]:
    """Return a sentence for each pair and each failure that hits the gate `slower:5%`; ValueError as in `gate`."""
    one, other = comparison.baseline, comparison.candidate
    slow = [f"{pair.workload}: {other} is {ratio(pair)} times as fast as {one}" for pair in gate(comparison, spec)]
    failed = [
        f"{entry.workload}: failed on {other}, and {one} has a number for it: {shorten(entry.reason, 200)}"
        for entry in comparison.lost
    ]
    return [f"{spec} is hit: {said}" for said in slow + failed]


def exit_code(comparison: Comparison, fail_on: str | None = None, *, strict: bool = False) -> int:
    """Return 0: compared; 1: the gate `fail_on` is hit; 4: nothing compared; 5: `strict`, and a pair inconclusive.

    2 (wrong usage, bad input: ValueError, OSError) and 3 (NotComparable) are the caller's, by exception.
    Raises ValueError for a malformed `fail_on`.
    """
    if fail_on is not None and hits(comparison, fail_on):
        return 1
    if not comparison.pairs:
        return 4
    return 5 if strict and any(pair.verdict is Verdict.INCONCLUSIVE for pair in comparison.pairs) else 0


# --- numbers as text


def number(value: float, digits: int = 4) -> str:
    """Return `value` with `digits` significant digits, thousands separated: 1,751, 23.41, 0.9876."""
    if value == 0:
        return "0"
    rounded = float(f"{value:.{digits - 1}e}")
    places = digits - 1 - math.floor(math.log10(abs(rounded)))
    return f"{rounded:,.{max(0, places)}f}"


def speed(value: Estimate) -> str:
    """Return an estimate with its unit and interval: `1,751 images/s (1,702 to 1,801)`, `213 GFLOP/s`."""
    shown, ends = in_unit(value)
    return f"{shown} ({ends})" if ends else shown


def in_unit(value: Estimate) -> tuple[str, str]:
    """Return an estimate with its unit, and its interval in the same unit (empty where there is none)."""
    ends: tuple[float, ...] = value.interval or ()
    shown, unit = value.value, value.unit
    if unit == "s":
        shown, ends = 1 / shown, tuple(1 / end for end in reversed(ends))
    if unit in PREFIXED:
        power, prefix = next((power, prefix) for least, power, prefix in PREFIXES if shown >= least)
        shown, unit, ends = shown / power, prefix + unit, tuple(end / power for end in ends)
    return f"{number(shown)}\N{NO-BREAK SPACE}{unit}", " to ".join(map(number, ends))


def ratio(pair: Pair) -> str:
    """Return a pair's ratio with its interval: `23.41 (21.92 to 25.07)`."""
    span = f" ({number(pair.interval.low)} to {number(pair.interval.high)})" if pair.interval else ""
    return f"{number(pair.ratio)}{span}"


HEADER = ("workload", "baseline", "candidate", "ratio (95 % interval)", "p (Holm)", "verdict")
"""The columns of `rows`."""


def rows(comparison: Comparison) -> list[tuple[str, ...]]:
    """Return one row of text for each pair, under HEADER."""
    return [
        (
            pair.workload,
            speed(pair.baseline),
            speed(pair.candidate),
            ratio(pair),
            probability(pair.p_adjusted),
            pair.verdict.value + (f": {pair.reason}" if pair.reason else ""),
        )
        for pair in comparison.pairs
    ]


def probability(p: float | None) -> str:
    """Return a p value as text: `< 0.001`, `0.042`, or a dash for none."""
    if p is None:
        return NONE
    return "< 0.001" if p < 0.001 else f"{p:.3f}"  # noqa: PLR2004 - three decimals
