"""View: what a report found goes in; everything that its templates show, as plain text in tables, comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cifar.record.names import words
from cifar.report.arms import by_workload
from cifar.report.comparison import estimate
from cifar.report.facts import dataset, flat, machine
from cifar.report.text import NONE, in_unit, number, percent, probability
from cifar.statistics.families import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cifar.record.model import Record
    from cifar.report.arms import Arm, Arms
    from cifar.report.comparison import Comparison, Differences, LeftOut, Pair
    from cifar.report.pairing import Refused

    Row = list[str]
    Facts = dict[str, list[Any]]
    """The facts of an arm by name, each with the values of its runs."""


def view(arms: Arms, comparisons: Sequence[Comparison], refused: Sequence[Refused]) -> dict[str, Any]:
    """Return what the report shows of its arms and comparisons; pooled arms are one where that hides nothing."""
    records, by_run = arms.records, arms.by_run
    first = shown_first(comparisons)
    return {
        "dataset": dataset(records),
        "comparisons": [_comparison(comparison) for comparison in first],
        "by_node": [_comparison(comparison) for comparison in comparisons if comparison not in first],
        "refused": [_refusal(refusal) for refusal in refused],
        "speeds": _speed_table(arms.each) if len(first) != 1 else None,
        "memory": _memory_table(by_run),
        "meanings": _meanings(records),
        "environment": _fact_table(arms.each, "environment"),
        "fingerprint": _fact_table(by_run, "fingerprint"),
        "files": _files(arms.each),
        "pooled": bool(arms.over),
        "campaigns": list(dict.fromkeys(record.campaign for record in records)),
        "runs": ", ".join(f"{name} {len(arm.records)}" for name, arm in by_run.items()),
    }


def shown_first(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Return the comparisons that are shown first: those over nodes, or all where there are none."""
    return [comparison for comparison in comparisons if comparison.evidence == "node"] or list(comparisons)


def missing(left_out: Sequence[LeftOut]) -> list[Row]:
    """Return what was left out as rows: the workload, the arm and the reason."""
    rows = []
    for entry in left_out:
        workload = words(entry.workload) if entry.workload else "(whole run)"
        rows.append([workload, entry.arm, " ".join(entry.reason.split())])
    return rows


def _comparison(comparison: Comparison) -> dict[str, Any]:
    """A comparison's table and what was allowed."""
    counts = {verdict: sum(pair.verdict is verdict for pair in comparison.pairs) for verdict in Verdict}
    return {
        "baseline": comparison.baseline,
        "candidate": comparison.candidate,
        "margin": percent(comparison.margin),
        "counts": ", ".join(f"{count} {verdict.value}" for verdict, count in counts.items() if count),
        "allowed": _differences(comparison.allowed),
        "evidence": f"{comparison.evidence}s",
        "rows": [_pair(pair) for pair in comparison.pairs],
    }


def _pair(pair: Pair) -> dict[str, str]:
    """One row of a comparison's table."""
    baseline, baseline_interval = in_unit(pair.baseline)
    candidate, candidate_interval = in_unit(pair.candidate)
    return {
        "workload": words(pair.workload),
        "name": pair.workload,
        "baseline": baseline,
        "baseline_interval": baseline_interval,
        "candidate": candidate,
        "candidate_interval": candidate_interval,
        "ratio": number(pair.ratio),
        "interval": f"{number(pair.interval.low)} to {number(pair.interval.high)}" if pair.interval else NONE,
        "verdict": pair.verdict.value,
        "reason": pair.reason,
        "p": probability(pair.p_adjusted),
        "runs": f"{pair.baseline.runs} and {pair.candidate.runs}",
    }


def _refusal(refusal: Refused) -> dict[str, Any]:
    """Why two arms have no ratio."""
    rows = _differences(refusal.error.differences)
    return {"baseline": refusal.baseline, "candidate": refusal.candidate, "rows": rows}


def _differences(fields: Differences) -> list[Row]:
    """Fingerprint fields with both sides' values."""
    return [[field, " and ".join(baseline), " and ".join(candidate)] for field, (baseline, candidate) in fields.items()]


def _speed_table(arms: Mapping[str, Arm]) -> dict[str, Any]:
    """Every workload's speed on every arm, with its interval."""
    rows = []
    for workload, sides in by_workload(arms).items():
        speeds = {name: in_unit(estimate(results)) for name, results in sides.items()}
        rows.append([words(workload), *(speeds.get(name, (NONE, "")) for name in arms)])
    return {"arms": [machine(arm) for arm in arms.values()], "rows": rows}


def _memory_table(arms: Mapping[str, Arm]) -> dict[str, Any]:
    """The largest peaks over an arm's runs, host and device."""
    rows = []
    for workload, sides in by_workload(arms).items():
        row = [words(workload)]
        for name in arms:
            memories = [result.memory for result in sides.get(name, ())]
            row.append(_largest(memory["host_peak_bytes"] for memory in memories))
            row.append(_largest(memory["device_peak_bytes"] for memory in memories))
        rows.append(row)
    return {"arms": list(arms), "rows": rows}


def _largest(peaks: Iterable[int | None]) -> str:
    """The largest of peaks in MiB; a dash where none is known."""
    known = [peak for peak in peaks if peak is not None]
    return f"{number(float(max(known)) / 2**20)}\N{NO-BREAK SPACE}MiB" if known else NONE


def _meanings(records: Sequence[Record]) -> list[str]:
    """What the peaks of memory mean, each sentence once."""
    return list(dict.fromkeys(result.memory["meaning"] for record in records for result in record.results))


def _files(arms: Mapping[str, Arm]) -> list[Row]:
    """Each run with its arm, its start, and its file."""
    return [
        [arm.name, str(record.run), record.started, record.path.name] for arm in arms.values() for record in arm.records
    ]


def _fact_table(arms: Mapping[str, Arm], part: str) -> dict[str, Any]:
    """The flattened facts of each arm's runs; where runs differ, all values that occurred."""
    facts = {name: _facts(arm, part) for name, arm in arms.items()}
    names = dict.fromkeys(fact for known in facts.values() for fact in known)
    rows = [[name, *(_values(facts[arm].get(name, [])) for arm in arms)] for name in names]
    return {"arms": list(arms), "rows": rows}


def _facts(arm: Arm, part: str) -> Facts:
    """The facts in a part of the arm's records, such as `environment`, flattened."""
    # Runs that were loaded together share what they say alike: it is flattened once.
    distinct = {(key, id(value)): value for record in arm.records for key, value in getattr(record, part).items()}
    facts: Facts = {}
    for (key, _), value in distinct.items():
        for name, fact in flat({key: value}).items():
            facts.setdefault(name, []).append(fact)
    return facts


def _values(values: Sequence[Any]) -> str:
    """The values of several runs in one cell: one, a range of numbers, or a list."""
    different = list(dict.fromkeys(map(_text, values)))
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(different) > 1 and len(numbers) == len(values):
        return f"{_text(min(numbers))} to {_text(max(numbers))}"
    return "; ".join(different)


def _text(value: object) -> str:
    """One fact as text."""
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    return number(value) if isinstance(value, float) else str(value)
