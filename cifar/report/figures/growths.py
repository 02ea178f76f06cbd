"""Growths: the arms go in; a figure of time and memory against size comes out."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING

from matplotlib.ticker import FuncFormatter, NullLocator

from cifar.report import drawing, growth
from cifar.report.figures.style import blank, legend, look, plain_log

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cifar.report.arms import Arm
    from cifar.report.growth import Curve

MOST_BESIDE = 4
"""Things that grow beside each other; the others are below."""


def draw(arms: Mapping[str, Arm]) -> Figure | None:
    """Return seconds and, below, the host's memory against size, for each thing that grows; None without any.

    Grey lines are linear: a steeper end grows faster.  Memory begins at zero, so that what is constant looks so.
    """
    measured = [growth.curves(arm) for arm in arms.values()]
    titles = list(dict.fromkeys(title for curves in measured for title in curves))
    if not titles:
        return None
    with drawing.settings():
        columns = min(MOST_BESIDE, len(titles))
        bands = math.ceil(len(titles) / columns)
        figure, axes = blank(columns, 2 * bands, width=3.6 * columns + 1, height=6.4 * bands)
        for place, title in enumerate(titles):
            band, column = divmod(place, columns)
            above, below = axes[2 * band * columns + column], axes[(2 * band + 1) * columns + column]
            above.set_title(textwrap.fill(title, 34), fontsize=9)
            _panels(above, below, [curves.get(title) for curves in measured])
            if column == 0:
                above.set_ylabel("seconds")
                below.set_ylabel("memory of the host (MiB)")
        legend(figure, list(arms))
    return figure


def _panels(above: Axes, below: Axes, curves: Sequence[Curve | None]) -> None:
    """The curves of one thing, one an arm where it was measured: seconds above, memory below."""
    sizes: set[int] = set()
    for index, curve in enumerate(curves):
        if curve is not None:
            _curve(above, below, curve, index)
            sizes |= set(curve.sizes)
    for axes in (above, below):
        axes.set_xscale("log")
        axes.set_xticks(sorted(sizes), [f"{size:,}" for size in sorted(sizes)])
        axes.xaxis.set_minor_locator(NullLocator())
    above.set_yscale("log")
    plain_log(above, "y")
    if below.has_data():
        below.set_ylim(0, 1.1 * below.dataLim.y1)
    below.yaxis.set_major_formatter(FuncFormatter(lambda value, _place: f"{value:,.10g}"))


def _curve(above: Axes, below: Axes, curve: Curve, index: int) -> None:
    """One curve: its seconds above, with the line on which its last would lie if it were linear; memory below."""
    colour, marker = look(index)
    linear = [curve.seconds[-1] * size / curve.sizes[-1] for size in curve.sizes]
    above.plot(curve.sizes, linear, color="#BBBBBB", linewidth=1, zorder=0)
    above.plot(curve.sizes, curve.seconds, marker, linestyle="-", color=colour, linewidth=1.1, markersize=5.5)
    if curve.peaks:
        memory = [peak / 2**20 for peak in curve.peaks]
        below.plot(curve.sizes, memory, marker, linestyle="-", color=colour, linewidth=1.1, markersize=5.5)
