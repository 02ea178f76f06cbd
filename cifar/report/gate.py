"""Gate: a comparison and the loss of speed that is let go come in; what loses more, and the exit code, come out."""

from __future__ import annotations

import re
from textwrap import shorten
from typing import TYPE_CHECKING

from cifar.report import text
from cifar.statistics.families import Verdict

if TYPE_CHECKING:
    from cifar.report.comparison import Comparison, Pair


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
    baseline, candidate = comparison.baseline, comparison.candidate
    sentences = [
        f"{spec} is hit: {pair.workload}: {candidate} is {text.ratio(pair)} times as fast as {baseline}"
        for pair in gate(comparison, spec)
    ]
    for entry in comparison.lost:
        failure = f"{entry.workload}: failed on {candidate}, and {baseline} has a number for it"
        sentences.append(f"{spec} is hit: {failure}: {shorten(entry.reason, 200)}")
    return sentences


def exit_code(comparison: Comparison, fail_on: str | None = None, *, strict: bool = False) -> int:
    """Return 0: compared; 1: the gate `fail_on` is hit; 4: nothing compared; 5: `strict`, and a pair inconclusive.

    2 (wrong usage, bad input: ValueError, OSError) and 3 (NotComparable) are the caller's, by exception.
    Raises ValueError for a malformed `fail_on`.
    """
    if fail_on is not None and hits(comparison, fail_on):
        return 1
    if not comparison.pairs:
        return 4
    open_questions = any(pair.verdict is Verdict.INCONCLUSIVE for pair in comparison.pairs)
    return 5 if strict and open_questions else 0
