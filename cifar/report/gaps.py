"""Gaps: arms go in; what they lack, and what one of them lost, comes out, each with the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cifar.report.comparison import LeftOut

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cifar.report.arms import Arm


def gaps(arm: Arm, evidence: str = "run") -> list[LeftOut]:
    """Return what an arm lacks: failures, runs cut short, workloads that only some of its runs have."""
    left_out = _failed(arm, evidence)
    for record, results in zip(arm.records, arm.runs, strict=True):
        if not record.complete:
            finished = f"the {len(results)} workloads it had finished are used"
            left_out.append(LeftOut("", arm.name, f"run {record.run} was cut short; {finished}"))
            continue
        failed = {failure["workload"] for failure in record.failures}
        reason = f"run {record.run} has no number for it and gives no reason"
        missing = [workload for workload in arm.results if workload not in results and workload not in failed]
        left_out += [LeftOut(workload, arm.name, reason) for workload in missing]
    return left_out


def _failed(arm: Arm, evidence: str) -> list[LeftOut]:
    """What has no number for a reason that the runs give, each reason once with its runs; a node's names the node."""
    runs: dict[tuple[str, str, bool], list[int]] = {}
    for record in arm.records:
        for failure in record.failures:
            failed = failure.get("skipped") is False
            runs.setdefault((failure["workload"], failure["reason"], failed), []).append(record.run)
    left_out = []
    for (workload, reason, failed), numbers in runs.items():
        which = f"{_which(numbers, len(arm.records))}: " if evidence == "run" else ""
        left_out.append(LeftOut(workload, arm.name, which + reason, failed))
    return left_out


def _which(numbers: Sequence[int], runs: int) -> str:
    """Some of `runs` runs in words."""
    if len(numbers) == runs > 1:
        return "every run"
    return f"run{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}"


def unpaired(arm: Arm, other: Arm) -> list[LeftOut]:
    """Return the workloads that only one arm has, under the other, which lacks them."""
    reason = f"only {arm.name} has a number for it"
    return [LeftOut(workload, other.name, reason) for workload in arm.results if workload not in other.results]


def lost(
    baseline: Arm, candidate: Arm, baseline_gaps: Sequence[LeftOut], candidate_gaps: Sequence[LeftOut]
) -> tuple[LeftOut, ...]:
    """Return the candidate's failures in what the baseline can do.

    That is what the baseline never fails itself, or has a number of where the candidate has none.
    """
    flawed = {gap.workload for gap in baseline_gaps if gap.failed}
    failures = []
    for gap in candidate_gaps:
        able = gap.workload in baseline.results
        alone = gap.workload not in candidate.results
        if gap.failed and able and (alone or gap.workload not in flawed):
            failures.append(gap)
    return tuple(failures)
