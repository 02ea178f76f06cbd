"""Growths: the arms go in; a table of how time and memory grow comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cifar.report import growth
from cifar.report.tables.table import in_seconds, table
from cifar.report.text import NONE, number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cifar.report.arms import Arm
    from cifar.report.growth import Curve
    from cifar.report.tables.table import Table


def tabulate(arms: Mapping[str, Arm]) -> Table:
    """Return the table of how time and memory grow, a row for each curve."""
    curves = [growth.curves(arm) for arm in arms.values()]
    titles = dict.fromkeys(title for measured in curves for title in measured)
    rows = [[title, *(_curve(measured.get(title)) for measured in curves)] for title in titles]
    return table(
        "How the cost grows",
        "Time and the host's largest memory against size; linear is n to the power of 1. Memory counts the "
        "pages of a file that are mapped, which the kernel takes back where it needs them.",
        "size",
        arms,
        rows,
    )


def _curve(curve: Curve | None) -> str:
    """`1,000 times as much takes 1,100 times as long, at the end as n^1.02; memory 612 to 700 MiB`."""
    if curve is None:
        return NONE
    smallest, largest = curve.sizes[0], curve.sizes[-1]
    first, last = curve.seconds[0], curve.seconds[-1]
    more = f"{number(largest / smallest, 3)} times as much ({smallest:,} to {largest:,})"
    longer = f"{number(last / first, 3)}\N{NO-BREAK SPACE}times as long ({number(first, 3)} to {in_seconds(last)})"
    cell = f"{more} takes {longer}, at the end as n^{curve.exponent:.2f}"
    if curve.peaks:
        low, high = (number(peak / 2**20, 3) for peak in (curve.peaks[0], curve.peaks[-1]))
        cell += f"; memory {low} to {high}\N{NO-BREAK SPACE}MiB"
    return f"{cell} (faster than linear)" if curve.exponent > growth.LINEAR else cell
