"""Text: numbers, speeds and ratios as a report and a terminal show them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cifar.report.comparison import Comparison, Estimate, Pair

NONE = "\N{EN DASH}"
"""Stands in tables for a number that there is not."""
PREFIXED = ("B/s", "FLOP/s", "s")
PREFIXES = ((1e12, 1e12, "T"), (1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e-3, 1, ""), (0, 1e-6, "\N{MICRO SIGN}"))
"""Units that are shown with a prefix, and from which value on which power and prefix serves."""
HEADER = ("workload", "baseline", "candidate", "ratio (95 % interval)", "p (Holm)", "verdict")
"""The columns of `rows`."""


def number(value: float, digits: int = 4) -> str:
    """Return `value` with `digits` significant digits, thousands separated: 1,751, 23.41, 0.9876."""
    if value == 0:
        return "0"
    rounded = float(f"{value:.{digits - 1}e}")
    places = digits - 1 - math.floor(math.log10(abs(rounded)))
    return f"{rounded:,.{max(0, places)}f}"


def speed(estimate: Estimate) -> str:
    """Return an estimate with its unit and interval: `1,751 images/s (1,702 to 1,801)`, `213 GFLOP/s`."""
    value, ends = in_unit(estimate)
    return f"{value} ({ends})" if ends else value


def in_unit(estimate: Estimate) -> tuple[str, str]:
    """Return an estimate with its unit, and its interval in the same unit (empty where there is none)."""
    value, unit = estimate.value, estimate.unit
    ends: tuple[float, ...] = estimate.interval or ()
    if unit == "s":
        value = 1 / value
        ends = tuple(1 / end for end in reversed(ends))
    if unit in PREFIXED:
        power, prefix = next((power, prefix) for least, power, prefix in PREFIXES if value >= least)
        value, unit = value / power, prefix + unit
        ends = tuple(end / power for end in ends)
    return f"{number(value)}\N{NO-BREAK SPACE}{unit}", " to ".join(map(number, ends))


def rate(estimate: Estimate) -> str:
    """Return an estimate with its unit and without its interval: `1,751 images/s`."""
    return in_unit(estimate)[0]


def ratio(pair: Pair) -> str:
    """Return a pair's ratio with its interval: `23.41 (21.92 to 25.07)`."""
    if pair.interval is None:
        return number(pair.ratio)
    return f"{number(pair.ratio)} ({number(pair.interval.low)} to {number(pair.interval.high)})"


def times(ratio: Estimate) -> str:
    """Return a ratio within runs in words: `2.31 times (2.22 to 2.40)`."""
    span = " (one run)" if ratio.runs == 1 else ""
    if ratio.interval:
        span = f" ({number(ratio.interval.low, 3)} to {number(ratio.interval.high, 3)})"
    return f"{number(ratio.value, 3)}\N{NO-BREAK SPACE}times{span}"


def percent(part: float) -> str:
    """Return a part of 1 in per cent: `5 %`."""
    return f"{100 * part:.4g}\N{NO-BREAK SPACE}%"


def probability(p: float | None) -> str:
    """Return a p value as text: `< 0.001`, `0.042`, or a dash for none."""
    if p is None:
        return NONE
    return "< 0.001" if p < 0.001 else f"{p:.3f}"  # noqa: PLR2004 - three decimals


def rows(comparison: Comparison) -> list[tuple[str, ...]]:
    """Return one row of text for each pair, under HEADER."""
    return [_row(pair) for pair in comparison.pairs]


def _row(pair: Pair) -> tuple[str, ...]:
    """One pair's cells, in the order of HEADER."""
    reason = f": {pair.reason}" if pair.reason else ""
    return (
        pair.workload,
        speed(pair.baseline),
        speed(pair.candidate),
        ratio(pair),
        probability(pair.p_adjusted),
        pair.verdict.value + reason,
    )
