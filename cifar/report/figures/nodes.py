"""Nodes: how workloads scatter over nodes goes in; a figure of every node's speed comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from cifar.record.names import words
from cifar.report import drawing
from cifar.report.figures.style import COLOURS, VERDICT_COLOURS
from cifar.statistics.families import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from cifar.report.nodes import Spread


def draw(spreads: Sequence[Spread]) -> Figure:
    """Return every node's speed over the mean of all nodes, a panel for each arm; a node that is off is named."""
    panels = dict.fromkeys((spread.arm, spread.nodes) for spread in spreads)
    found = [[spread for spread in spreads if (spread.arm, spread.nodes) == panel] for panel in panels]
    heights = [len(here) + 1.6 for here in found]
    with drawing.settings():
        figure = Figure(figsize=(10, 0.34 * sum(heights) + 0.5), dpi=150, layout="constrained", facecolor="white")
        axes = figure.subplots(len(found), 1, squeeze=False, gridspec_kw={"height_ratios": heights}).flat
        for panel, (arm, measured), here in zip(axes, panels, found, strict=True):
            for place, spread in enumerate(here):
                _nodes_of(panel, place, spread)
            panel.axvline(1, color="#444444", linewidth=1)
            panel.set_yticks(range(len(here)), [words(spread.workload) for spread in here])
            panel.set_ylim(len(here) - 0.4, -0.6)
            panel.set_title(f"{arm}: {len(measured)} nodes")
            panel.set_xlabel("speed of a node / mean of all nodes   (right: faster)")
    return figure


def _nodes_of(axes: Axes, place: int, spread: Spread) -> None:
    """One workload's nodes in a row, those that are off in another colour and with their names."""
    for speed, deviation in zip(spread.speed.values, spread.deviations, strict=True):
        ratio = speed / spread.speed.value
        if deviation.off:
            colour = VERDICT_COLOURS[Verdict.SLOWER]
            beside: dict[str, Any] = {"xytext": (6, 3), "textcoords": "offset points", "fontsize": 8.5}
            axes.plot(ratio, place, "o", color=colour, markersize=6, alpha=1, markeredgewidth=0)
            axes.annotate(deviation.node, (ratio, place), color=colour, **beside)
        else:
            axes.plot(ratio, place, "o", color=COLOURS[0], markersize=6, alpha=0.55, markeredgewidth=0)
