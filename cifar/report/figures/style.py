"""Style: what all figures have in common: colours, axes, legends, and the files that they become."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from cifar.record import files
from cifar.report import drawing
from cifar.statistics.families import Verdict

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from matplotlib.axes import Axes

Item = TypeVar("Item")
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F7F")
"""M. Okabe and K. Ito's palette for all kinds of colour vision, its yellow replaced by a grey that shows on white."""
NARROW, WIDE = 0.75, 2.2
"""Decades of a logarithmic axis below which 1, 2, 5 give too few ticks, and above which they give too many."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")
VERDICT_COLOURS = {
    Verdict.FASTER: "#009E73",
    Verdict.SLOWER: "#D55E00",
    Verdict.EQUIVALENT: "#0072B2",
    Verdict.INCONCLUSIVE: "#7F7F7F",
}


def save(figure: Figure, folder: str | os.PathLike[str], name: str) -> tuple[Path, Path]:
    """Write `folder/name.png` (150 dpi) and `folder/name.svg` and return their paths; equal figures, equal files.

    Files that are there are replaced.  Raises ValueError for a name that leads out of the folder.
    """
    paths = files.inside(Path(folder), f"{name}.png"), files.inside(Path(folder), f"{name}.svg")
    for path, content in zip(paths, (png(figure), svg(figure)), strict=True):
        files.replace(path, content)
    return paths


def png(figure: Figure) -> bytes:
    """Return the figure as a PNG without date or version."""
    file = io.BytesIO()
    with drawing.settings():
        # what savefig calls in the end, without the rehearsal that it draws first
        FigureCanvasAgg(figure).print_png(file, metadata={"Software": None})  # type: ignore[no-untyped-call]
    if figure.get_layout_engine() is not None:
        figure.set_layout_engine("none")  # the layout has been found
    return file.getvalue()


def svg(figure: Figure) -> bytes:
    """Return the figure as an SVG without date or version."""
    file = io.BytesIO()
    with drawing.settings():
        FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None, "Creator": None})  # type: ignore[no-untyped-call]
    return file.getvalue()


def blank(
    columns: int, lines: int, *, width: float, height: float, layout: Literal["constrained"] | None = "constrained"
) -> tuple[Figure, list[Axes]]:
    """A white figure of `lines` by `columns` axes; it belongs to no window and to no global state."""
    figure = Figure(figsize=(width, height), dpi=150, layout=layout, facecolor="white")
    axes = figure.subplots(lines, columns, squeeze=False)
    return figure, list(axes.flat)


def look(index: int) -> tuple[str, str]:
    """Colour and marker of the arm at `index`."""
    return COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]


def offset(index: int, count: int, *, width: float) -> float:
    """Where the arm at `index` of `count` stands beside a row's middle, the first on top."""
    return 0.0 if count == 1 else width * (0.5 - index / (count - 1))


def legend(figure: Figure, arms: Sequence[str], place: str = "outside upper left") -> None:
    """The arms' names, colours and markers above the figure; the axes left without data go."""
    for axes in figure.axes:
        if not axes.has_data():
            axes.remove()
    handles = [
        Line2D([], [], color=look(index)[0], marker=look(index)[1], linestyle="", markersize=6, label=arm)
        for index, arm in enumerate(arms)
    ]
    figure.legend(handles=handles, loc=place, ncols=min(4, len(arms)), fontsize=9.5)  # type: ignore[call-overload]


def log_speeds(axes: Axes, which: Literal["x", "y"]) -> None:
    """An axis for speeds: logarithmic, with room around a single one."""
    low, high = axes.dataLim.intervaly if which == "y" else axes.dataLim.intervalx
    if math.isclose(low, high):
        axes.set(**{f"{which}lim": (low / 2, high * 2)})
    axes.set(**{f"{which}scale": "log", f"{which}label": "images/s"})
    plain_log(axes, which)


def plain_log(axes: Axes, which: str, suffix: str = "") -> None:
    """Ticks of a logarithmic axis as plain numbers: at 1, 2, 5, in narrow ones wherever round, in wide ones at 1."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = axes.dataLim.intervalx if which == "x" else axes.dataLim.intervaly
    decades = math.log10(high / low) if high > low > 0 else 0.0
    if decades < NARROW:
        axis.set_major_locator(MaxNLocator(nbins=4))
    else:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < WIDE else (1,), numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda value, _place: f"{value:,.10g}{suffix}"))
    axis.set_minor_locator(NullLocator())


def evenly(items: Sequence[Item], most: int) -> list[Item]:
    """At most `most` of `items`, evenly chosen in their order, the first and the last included."""
    if len(items) <= most:
        return list(items)
    return [items[round(place * (len(items) - 1) / (most - 1))] for place in range(most)]
