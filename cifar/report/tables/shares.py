"""Shares: the arms go in; a table of how close each workload comes to its limit comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cifar.record.names import words
from cifar.report import limits
from cifar.report.arms import by_workload
from cifar.report.tables.table import table
from cifar.report.text import NONE, number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cifar.report.arms import Arm
    from cifar.report.limits import Share
    from cifar.report.tables.table import Table


def tabulate(arms: Mapping[str, Arm]) -> Table:
    """Return the table of each workload's share of the limit that binds it, on each arm."""
    peaks = {name: limits.peaks(arm) for name, arm in arms.items()}
    rows, excuses = [], set()
    for workload, sides in by_workload(arms).items():
        shares = {name: limits.binding(results, peaks[name]) for name, results in sides.items()}
        if any(shares.values()):
            rows.append([words(workload), *(_share(shares.get(name)) for name in arms)])
        for name, share in shares.items():
            if share and share.share > 1:
                excuses.add(limits.excuse(share.limit, arms[name].device).reason)
    text = "Share of the limit that binds a workload: what this device did at most, measured in the same runs."
    if excuses:
        text += f" Above 100\N{NO-BREAK SPACE}%: {'; '.join(sorted(excuses))}."
    return table("How close to the limit", text, "workload", arms, rows)


def _share(share: Share | None) -> str:
    """`78 % of matrix product in float32`."""
    if share is None:
        return NONE
    digits = 2 if share.share < 1 else 3
    limit = words(share.limit).removeprefix("Limit: ")
    return f"{number(100 * share.share, digits)}\N{NO-BREAK SPACE}% of {limit[0].lower()}{limit[1:]}"
