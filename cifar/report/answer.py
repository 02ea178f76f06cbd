"""Answer: the one sentence that a report begins with, and the facts of its environment that it names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cifar.record.names import in_order, words
from cifar.report import ladder, tables
from cifar.report.comparison import Comparison, estimate
from cifar.report.text import in_unit, number, speed
from cifar.statistics.families import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cifar.record.model import Record
    from cifar.report.arms import Arm, Arms
    from cifar.report.comparison import Pair
    from cifar.report.pairing import Refused

HEADLINES = (
    "training[feed=generator]",
    "training[feed=memory]",
    "training[by=lesson]",
    "forward[batch=250,input=host]",
)
"""The first of these that was measured gives the answer: what the lesson asks about is training as it is done."""

CPU_MODEL = ("node.cpu_model", "cpu_model")
CPU_CORES = ("node.cpus", "cpus")
CPU_THREADS = ("node.hyperthreading",)
GPU_MODEL = ("device.gpu", "gpus.0.name", "gpu")
DIGEST = ("dataset.digest", "dataset")
"""Where the facts that the answer names stand in the environment, or in the fingerprint; the first that is there."""

PUBLISHED = "c212c2c6de88cfe9e7c57647be836c3324113f65210e153438afeaa71f0635d8"
"""The digest over CIFAR-10's arrays as published: what has another is not called so, whatever a record says."""


def answer(
    arms: Arms,
    comparisons: Sequence[Comparison],
    refused: Sequence[Refused],
    missing_gpu: Sequence[tuple[str, str]],
) -> str:
    """The report in one sentence: over the nodes, where that says more of a device than one node does."""
    sides, evidence = arms.each, "run"
    if len(arms.over) > 1 or len(arms.over) == len(arms.by_node):
        sides, evidence = arms.over, "node"
        comparisons = [comparison for comparison in comparisons if comparison.baseline in sides]
        refused = [refusal for refusal in refused if refusal.baseline in sides]
    if len(sides) == 1 and not refused:
        return _answer_of_one(next(iter(sides.values())), missing_gpu, evidence)
    if not comparisons:
        first = refused[0]
        return f"{first.candidate} and {first.baseline} are {first.error}."
    comparison = min(comparisons, key=lambda comparison: _rank(sides, comparison))
    pair = _headline(comparison)
    if pair is None:
        return f"Nothing of {comparison.candidate} could be compared with {comparison.baseline}: see what was left out."
    return _claim(pair, machine(sides[comparison.candidate]), machine(sides[comparison.baseline]), comparison)


def _rank(arms: Mapping[str, Arm], comparison: Comparison) -> int:
    """Which comparison the answer is about, lowest first: a GPU before and after, any arm before and after, devices."""
    baseline, candidate = (arms[name].records[0] for name in (comparison.baseline, comparison.candidate))
    if baseline.arm == candidate.arm:
        return 0 if baseline.device != "cpu" else 1
    return 2 if baseline.device != candidate.device else 3


def _answer_of_one(arm: Arm, missing_gpu: Sequence[tuple[str, str]], evidence: str) -> str:
    """The sentence where there is one arm: its speed, and why there is nothing to compare it with."""
    headline = next((name for name in (*HEADLINES, *in_order(arm.results)) if name in arm.results), None)
    if headline is None:
        return f"Nothing was measured on {machine(arm)}: see what was left out."
    if headline.startswith("ladder"):
        return _answer_of_ladder(arm, evidence)
    own = estimate(arm.results[headline])
    rate, ends = in_unit(own)
    if own.interval:
        span = f"95 % interval {ends}, {own.runs} {evidence}s"
    elif own.runs == 1:
        span = f"one {evidence}, so no interval"
    else:
        span = f"{own.runs} {evidence}s without any spread"
    sentence = f"{words(headline)}: {machine(arm)} does {rate} ({span})"
    return f"{sentence}; {_no_gpu(arm.records, missing_gpu)}." if arm.device == "cpu" else f"{sentence}."


def _answer_of_ladder(arm: Arm, evidence: str) -> str:
    """How far the highest rung that learns as well is above the lesson's way, in training if that was climbed."""
    climbed = ((name, ladder.climb(arm, name)) for name in ("training", "forward", "generator"))
    name, rungs = next((name, rungs) for name, rungs in climbed if rungs)
    top = max((rung for rung in rungs if not rung.learns_less), key=lambda rung: rung.speed.value)
    reached = f"{speed(top.speed)}, {top.speed.runs} {evidence}{'s' * (top.speed.runs > 1)}"
    where, title = machine(arm), f"\u201c{top.title}\u201d"
    if top.to_first is None:
        return f"Ladder, {name}: no rung is faster than the first, {title}, on {where}: {reached}."
    times = f"{tables.times(top.to_first)} as fast as \u201c{rungs[0].title}\u201d"
    return f"Ladder, {name}: on {where} {title} is {times}: {reached}."


def no_gpu(missing_gpu: Sequence[tuple[str, str]]) -> list[str]:
    """A sentence for each reason why there is no GPU, with its remedy."""
    whys = (": ".join(part.removesuffix(".") for part in pair if part) for pair in missing_gpu)
    return [f"No GPU was measured: {why}." for why in whys]


def _no_gpu(records: Sequence[Record], missing_gpu: Sequence[tuple[str, str]]) -> str:
    """Why no GPU stands beside the CPU, as the campaign or the environment has it; the remedy stands in a note."""
    said = "no GPU was measured"
    known = facts(records[0].environment)
    noted = (str(known.get("gpus.unmeasurable", "")), str(known.get("gpus.remedy", "")))
    reason, remedy = missing_gpu[0] if missing_gpu else noted
    # Older files have one text, in which the remedy follows the first colon.
    reason = reason if remedy else reason.partition(": ")[0]
    return f"{said}: {reason.rstrip('.')}" if reason else said


def _headline(comparison: Comparison) -> Pair | None:
    """The pair that the answer is about."""
    pairs = {pair.workload: pair for pair in comparison.pairs}
    return next((pairs[name] for name in (*HEADLINES, *pairs) if name in pairs), None)


def _claim(pair: Pair, here: str, there: str, comparison: Comparison) -> str:
    """What a pair's verdict claims, in one sentence."""
    what, ratio = words(pair.workload), number(pair.ratio, 3)
    one, other = pair.baseline.runs, pair.candidate.runs
    unit = comparison.evidence
    runs = f"{one} {unit}{'s' * (one > 1)} each" if one == other else f"{one} and {other} {unit}s"
    if pair.interval is None:
        return f"{what}: {here} was {ratio} times as fast as {there}, from {runs}, but {pair.reason}."
    span = f"95 % interval {number(pair.interval.low, 3)} to {number(pair.interval.high, 3)}, from {runs}"
    match pair.verdict:
        case Verdict.FASTER | Verdict.SLOWER:
            return f"{what}: {here} is {ratio} times as fast as {there}; {span}."
        case Verdict.EQUIVALENT:
            return f"{what}: {here} is as fast as {there} within {percent(comparison.margin)}: ratio {ratio}, {span}."
    return f"{what}: whether {here} or {there} is faster cannot be said yet: ratio {ratio}, {span}; {pair.reason}."


def machine(arm: Arm) -> str:
    """An arm with the device behind it: `cpu (AMD EPYC, 2 cores)`."""
    records = arm.records
    if arm.device != "cpu":
        model = fact(records, GPU_MODEL)
        return f"{arm.name} ({model})" if model else arm.name
    unit = "hardware thread" if fact(records, CPU_THREADS) == "True" else "core"
    parts = [part for part in (fact(records, CPU_MODEL), _cores(fact(records, CPU_CORES), unit)) if part]
    return f"{arm.name} ({', '.join(parts)})" if parts else arm.name


def _cores(cores: str | None, unit: str) -> str:
    """The number of logical processors in words, which are hardware threads where a core has several.

    A cgroup may grant parts of one. Empty where it is not known.
    """
    try:
        count = float(cores or "")
    except ValueError:
        return ""
    return f"{count:g} {unit}{'s' * (count != 1)}"


def dataset(records: Sequence[Record]) -> str:
    """Which data the numbers stand for, by name and digest; several, where arms of several are not comparable."""
    found = []
    # Runs that were loaded together share what they say alike: thousands of them are looked at once.
    alike = {(id(record.environment.get("dataset")), id(record.fingerprint)): record for record in records}
    for record in alike.values():
        made_up, digest = fact([record], ("dataset.synthetic",)), fact([record], DIGEST)
        name = _data(made_up or "", digest or "")
        found.append(f"{name}, digest {digest[:12]}" if digest else name)
    return f"Dataset: {' and '.join(dict.fromkeys(found))}."


def _data(made_up: str, digest: str) -> str:
    """What the data are, by whether the record calls them made up and by their digest."""
    if digest == PUBLISHED:
        return "CIFAR-10"
    known = {"True": "a made-up stand-in for CIFAR-10", "False": "data that are not CIFAR-10 as published"}
    return known.get(made_up, "not named")


def facts(nested: Any, prefix: str = "") -> dict[str, Any]:  # noqa: ANN401 - any JSON
    """Nested dictionaries and lists, flattened: `{"cpu.model": …}`."""

    def flat() -> Iterator[tuple[str, Any]]:
        items = nested.items() if isinstance(nested, dict) else enumerate(nested)
        for key, value in items:
            if isinstance(value, dict | list) and value:
                yield from facts(value, f"{prefix}{key}.").items()
            else:
                yield f"{prefix}{key}", value

    return dict(flat())


def fact(records: Sequence[Record], names: Sequence[str]) -> str | None:
    """The first of `names` that a record's environment or fingerprint has."""
    known = facts(records[0].environment) | facts(records[0].fingerprint)
    return next((str(known[name]) for name in names if known.get(name) is not None), None)


def percent(part: float) -> str:
    """A part of 1 in per cent: `5 %`."""
    return f"{100 * part:.4g}\N{NO-BREAK SPACE}%"
