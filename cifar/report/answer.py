"""Answer: the arms and their comparisons go in; the one sentence that a report begins with comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cifar.record.names import in_order, words
from cifar.report import ladder
from cifar.report.comparison import estimate
from cifar.report.facts import flat, machine
from cifar.report.text import in_unit, number, percent, speed, times
from cifar.statistics.families import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cifar.record.model import Record
    from cifar.report.arms import Arm, Arms
    from cifar.report.comparison import Comparison, Pair
    from cifar.report.pairing import Refused

HEADLINES = (
    "training[feed=generator]",
    "training[feed=memory]",
    "training[by=lesson]",
    "forward[batch=250,input=host]",
)
"""The first of these that was measured gives the answer: what the lesson asks about is training as it is done."""


def answer(
    arms: Arms,
    comparisons: Sequence[Comparison],
    refused: Sequence[Refused],
    missing_gpu: Sequence[tuple[str, str]],
) -> str:
    """Return the report in one sentence: over the nodes, where that says more of a device than one node does."""
    sides, evidence = arms.each, "run"
    if len(arms.over) > 1 or len(arms.over) == len(arms.by_node):
        sides, evidence = arms.over, "node"
        comparisons = [comparison for comparison in comparisons if comparison.baseline in sides]
        refused = [refusal for refusal in refused if refusal.baseline in sides]
    if len(sides) == 1 and not refused:
        return _of_one(next(iter(sides.values())), missing_gpu, evidence)
    if not comparisons:
        first = refused[0]
        return f"{first.candidate} and {first.baseline} are {first.error}."
    comparison = min(comparisons, key=lambda comparison: _rank(sides, comparison))
    baseline, candidate = comparison.baseline, comparison.candidate
    pair = _headline(comparison)
    if pair is None:
        return f"Nothing of {candidate} could be compared with {baseline}: see what was left out."
    return _claim(pair, machine(sides[candidate]), machine(sides[baseline]), comparison)


# --- one arm


def _of_one(arm: Arm, missing_gpu: Sequence[tuple[str, str]], evidence: str) -> str:
    """The sentence where there is one arm: its speed, and why there is nothing to compare it with."""
    workloads = (*HEADLINES, *in_order(arm.results))
    headline = next((workload for workload in workloads if workload in arm.results), None)
    if headline is None:
        return f"Nothing was measured on {machine(arm)}: see what was left out."
    if headline.startswith("ladder"):
        return _of_ladder(arm, evidence)
    own = estimate(arm.results[headline])
    value, ends = in_unit(own)
    if own.interval:
        span = f"95 % interval {ends}, {own.runs} {evidence}s"
    elif own.runs == 1:
        span = f"one {evidence}, so no interval"
    else:
        span = f"{own.runs} {evidence}s without any spread"
    sentence = f"{words(headline)}: {machine(arm)} does {value} ({span})"
    if arm.device == "cpu":
        sentence += f"; {_why_no_gpu(arm.records[0], missing_gpu)}"
    return f"{sentence}."


def _of_ladder(arm: Arm, evidence: str) -> str:
    """How far the highest rung that learns as well is above the lesson's way, in training if that was climbed."""
    climbed = ((name, ladder.climb(arm, name)) for name in ("training", "forward", "generator"))
    name, rungs = next((name, rungs) for name, rungs in climbed if rungs)
    top = max((rung for rung in rungs if not rung.learns_less), key=lambda rung: rung.speed.value)
    reached = f"{speed(top.speed)}, {_count(top.speed.runs, evidence)}"
    where, title = machine(arm), f"\u201c{top.title}\u201d"
    if top.to_first is None:
        return f"Ladder, {name}: no rung is faster than the first, {title}, on {where}: {reached}."
    faster = f"{times(top.to_first)} as fast as \u201c{rungs[0].title}\u201d"
    return f"Ladder, {name}: on {where} {title} is {faster}: {reached}."


def no_gpu(missing_gpu: Sequence[tuple[str, str]]) -> list[str]:
    """Return a sentence for each reason why there is no GPU, with its remedy."""
    sentences = []
    for reason in missing_gpu:
        why = ": ".join(part.removesuffix(".") for part in reason if part)
        sentences.append(f"No GPU was measured: {why}.")
    return sentences


def _why_no_gpu(record: Record, missing_gpu: Sequence[tuple[str, str]]) -> str:
    """Why no GPU stands beside the CPU, as the campaign or the environment has it; the remedy stands in a note."""
    if missing_gpu:
        reason, remedy = missing_gpu[0]
    else:
        known = flat(record.environment)
        reason, remedy = (str(known.get(f"gpus.{fact}", "")) for fact in ("unmeasurable", "remedy"))
    if not remedy:  # older files have one text, in which the remedy follows the first colon
        reason = reason.partition(": ")[0]
    return f"no GPU was measured: {reason.rstrip('.')}" if reason else "no GPU was measured"


# --- a comparison


def _rank(arms: Mapping[str, Arm], comparison: Comparison) -> int:
    """Which comparison the answer is about, lowest first: a GPU before and after, any arm before and after, devices."""
    baseline, candidate = (arms[name].records[0] for name in (comparison.baseline, comparison.candidate))
    if baseline.arm == candidate.arm:
        return 0 if baseline.device != "cpu" else 1
    return 2 if baseline.device != candidate.device else 3


def _headline(comparison: Comparison) -> Pair | None:
    """The pair that the answer is about."""
    pairs = {pair.workload: pair for pair in comparison.pairs}
    return next((pairs[workload] for workload in (*HEADLINES, *pairs) if workload in pairs), None)


def _claim(pair: Pair, here: str, there: str, comparison: Comparison) -> str:
    """What a pair's verdict claims, in one sentence."""
    what, ratio = words(pair.workload), number(pair.ratio, 3)
    runs = _runs(pair, comparison.evidence)
    if pair.interval is None:
        return f"{what}: {here} was {ratio} times as fast as {there}, from {runs}, but {pair.reason}."
    span = f"95 % interval {number(pair.interval.low, 3)} to {number(pair.interval.high, 3)}, from {runs}"
    match pair.verdict:
        case Verdict.FASTER | Verdict.SLOWER:
            return f"{what}: {here} is {ratio} times as fast as {there}; {span}."
        case Verdict.EQUIVALENT:
            within = percent(comparison.margin)
            return f"{what}: {here} is as fast as {there} within {within}: ratio {ratio}, {span}."
    open_question = f"whether {here} or {there} is faster cannot be said yet"
    return f"{what}: {open_question}: ratio {ratio}, {span}; {pair.reason}."


def _runs(pair: Pair, evidence: str) -> str:
    """The runs, or nodes, behind a pair: `5 runs each`, `3 and 8 runs`."""
    baseline, candidate = pair.baseline.runs, pair.candidate.runs
    if baseline == candidate:
        return f"{_count(baseline, evidence)} each"
    return f"{baseline} and {candidate} {evidence}s"


def _count(runs: int, evidence: str) -> str:
    """`1 run`, `5 runs`, `4 nodes`."""
    return f"{runs} {evidence}{'s' * (runs > 1)}"
