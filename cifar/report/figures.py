"""Figures: the records of each arm and their comparison go in; matplotlib Figures come out, and files of them."""

from __future__ import annotations

import io
import math
import textwrap
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from cifar.report import drawing

# isort: split
import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from cifar.record import files
from cifar.record.names import FAMILIES, in_order, parameters, series, words
from cifar.report import growth, ladder, limits
from cifar.report.arms import Arm, by_workload
from cifar.report.comparison import estimate
from cifar.report.text import number, ratio
from cifar.statistics.families import Verdict

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence

    from matplotlib.axes import Axes

    from cifar.record.model import Result
    from cifar.report.comparison import Comparison, Estimate, Pair
    from cifar.report.growth import Curve
    from cifar.report.ladder import Rung
    from cifar.report.nodes import Spread

Item = TypeVar("Item")
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F7F")
"""M. Okabe and K. Ito's palette for all kinds of colour vision, its yellow replaced by a grey that shows on white."""
NARROW, WIDE = 0.75, 2.2
"""Decades of a logarithmic axis below which 1, 2, 5 give too few ticks, and above which they give too many."""
ELSEWHERE = ("ladder_", "growth_")
"""Families that have figures of their own."""
MEMORY = "peak[what=copy]"
"""The limit that slopes in a roofline."""
MOST_DOTS = 100
"""Runs of one estimate that are drawn as dots: more are evenly chosen among the values, both ends included."""
MOST_RUNS = 40
"""Runs of an arm whose rounds are drawn: more are evenly chosen in their order, the first and the last included."""
MOST_JOINED = 4
"""Rounds of more arms than these are not joined by lines, which would hide them."""
MOST_BESIDE = 4
"""Things that grow beside each other; the others are below."""
MOST_WIDE = 4
"""Names beside each other below a panel that are set in the usual size."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")
VERDICT_COLOURS = {
    Verdict.FASTER: "#009E73",
    Verdict.SLOWER: "#D55E00",
    Verdict.EQUIVALENT: "#0072B2",
    Verdict.INCONCLUSIVE: "#7F7F7F",
}


def throughput(arms: Mapping[str, Arm]) -> Figure:
    """Return images/s by arm: against batch size where a series has several, else in rows; every run is a dot.

    Both axes are logarithmic, so that a ratio is the same distance everywhere; bars are 95 % intervals.
    """
    speeds = _estimates(arms, images=True)
    groups = _panels([workload for workload in speeds if not workload.startswith(ELSEWHERE)])
    with drawing.settings():
        columns = min(2, max(1, len(groups)))
        lines = math.ceil(len(groups) / columns) or 1
        figure, axes = _figure(columns, lines, width=10 if columns > 1 else 6.5, height=3.5 * lines)
        for panel, (title, workloads) in zip(axes, groups.items(), strict=False):
            panel.set_title(title)
            if any("batch" in parameters(workload) for workload in workloads) and not workloads[0].startswith("peer_"):
                _by_batch(panel, speeds, workloads)
            else:
                _by_name(panel, speeds, workloads)
        _legend(figure, list(arms))
    return figure


def ratios(comparison: Comparison) -> Figure:
    """Return every workload's ratio with its 95 % interval beside 1 and the margin, coloured by verdict."""
    pairs = comparison.pairs[::-1]
    with drawing.settings():
        figure, (axes,) = _figure(1, 1, width=10, height=1.6 + 0.34 * max(1, len(pairs)))
        axes.axvspan(1 / (1 + comparison.margin), 1 + comparison.margin, color="#0072B2", alpha=0.12, linewidth=0)
        axes.axvline(1, color="#444444", linewidth=1)
        axes.set_xscale("log")
        for place, pair in enumerate(pairs):
            _ratio(axes, place, pair)
        axes.set_yticks(range(len(pairs)), [words(pair.workload) for pair in pairs])
        axes.set_ylim(-0.7, len(pairs) - 0.3)
        axes.grid(visible=False, axis="y")
        _plain_log(axes, "x", suffix="\N{MULTIPLICATION SIGN}")
        axes.set_xlabel(f"speed of {comparison.candidate} / speed of {comparison.baseline}   (right: faster)")
        arms = f"{comparison.candidate} against {comparison.baseline}"
        axes.set_title(f"{arms}: 95 % intervals; shaded: within {100 * comparison.margin:.4g} %")
    return figure


def warmup(arms: Mapping[str, Arm]) -> Figure:
    """Return the seconds of each workload's first call (hollow) beside those of a steady one (filled).

    A record that does not say how many calls a round has leaves the steady one out.
    """
    firsts = {name: _calls(arm) for name, arm in arms.items()}
    workloads = in_order(dict.fromkeys(workload for calls in firsts.values() for workload in calls))[::-1]
    with drawing.settings():
        height = 1.6 + len(workloads) * (0.2 + 0.14 * len(arms))
        figure, (axes,) = _figure(1, 1, width=8.5, height=height)
        for index, (name, calls) in enumerate(firsts.items()):
            colour, marker = _look(index)
            for place, workload in enumerate(workloads):
                if workload not in calls:
                    continue
                first, steady = calls[workload]
                y = place + _offset(index, len(arms), width=min(0.62, 0.3 * (len(arms) - 1)))
                axes.plot([steady, first], [y, y], color=colour, linewidth=1.2, alpha=0.55)
                axes.plot(first, y, marker, color=colour, markerfacecolor="white", markersize=5.5)
                axes.plot(steady, y, marker, color=colour, markersize=5.5, label=name)
        axes.set_xscale("log")
        axes.set_yticks(range(len(workloads)), [words(workload) for workload in workloads])
        axes.set_ylim(-0.6, len(workloads) - 0.4)
        _plain_log(axes, "x", suffix=" s")
        axes.set_xlabel("seconds of one call, median over runs   (hollow: first, filled: steady)")
        axes.set_title("Warm-up beside steady state")
        _legend(figure, list(arms))
    return figure


def ladders(arms: Mapping[str, Arm]) -> Figure | None:
    """Return a panel for each ladder, the lesson's way on top: every rung's images/s with its 95 % interval.

    None where no arm climbed any.
    """
    climbed = {}
    for name in ladder.RUNGS:
        sides = {label: ladder.climb(arm, name) for label, arm in arms.items()}
        if any(sides.values()):
            climbed[name] = sides
    if not climbed:
        return None
    titles = {name: _titles(name, sides) for name, sides in climbed.items()}
    heights = [len(titles[name]) + 1.6 for name in climbed]
    with drawing.settings():
        figure = Figure(figsize=(10, 0.34 * sum(heights) + 0.5), dpi=150, layout="constrained", facecolor="white")
        panels = figure.subplots(len(climbed), 1, squeeze=False, gridspec_kw={"height_ratios": heights})
        for panel, (name, sides) in zip(panels.flat, climbed.items(), strict=True):
            panel.set_title(name.capitalize())
            for index, rungs in enumerate(sides.values()):
                _rungs(panel, rungs, titles[name], index, len(sides))
            _log_speeds(panel, "x")
            panel.set_yticks(range(len(titles[name])), titles[name])
            panel.set_ylim(len(titles[name]) - 0.4, -0.6)
        _legend(figure, list(arms))
    return figure


def roofline(arms: Mapping[str, Arm]) -> Figure | None:
    """Return FLOP/s against FLOP a byte, a panel for each arm, under the roof that its limits make; None without any.

    S. Williams, A. Waterman and D. Patterson, Communications of the ACM 52 (2009) 65-76: left of the ridge memory
    binds, right of it arithmetic.  Bytes are counted as in the records; a cache may spare some of them.  Where a
    workload lies above the roof the panel says why it can.
    """
    peaks = {name: limits.peaks(arm) for name, arm in arms.items()}
    roofed = [name for name, found in peaks.items() if MEMORY in found and len(_arithmetic(found)) == 1]
    if not roofed:
        return None
    results = by_workload(arms)
    with drawing.settings():
        columns = min(2, len(roofed))
        lines = math.ceil(len(roofed) / columns)
        figure, axes = _figure(columns, lines, width=5.5 * columns + 1, height=4.2 * lines)
        for panel, name in zip(axes, roofed, strict=False):
            here = {workload: sides[name] for workload, sides in results.items() if name in sides}
            _roof(panel, here, peaks[name], list(arms).index(name), arms[name].device)
            panel.set_title(name)
        for panel in axes[len(roofed) :]:
            panel.remove()
    return figure


def growths(arms: Mapping[str, Arm]) -> Figure | None:
    """Return seconds and, below, the host's memory against size, for each thing that grows; None without any.

    Grey lines are linear: a steeper end grows faster.  Memory begins at zero, so that what is constant looks so.
    """
    found = {name: growth.curves(arm) for name, arm in arms.items()}
    titles = list(dict.fromkeys(title for curves in found.values() for title in curves))
    if not titles:
        return None
    with drawing.settings():
        columns = min(MOST_BESIDE, len(titles))
        bands = math.ceil(len(titles) / columns)
        figure, axes = _figure(columns, 2 * bands, width=3.6 * columns + 1, height=6.4 * bands)
        for place, title in enumerate(titles):
            band, column = divmod(place, columns)
            above, below = axes[2 * band * columns + column], axes[(2 * band + 1) * columns + column]
            above.set_title(textwrap.fill(title, 34), fontsize=9)
            for index, curves in enumerate(found.values()):
                if title in curves:
                    _grown(above, below, curves[title], index)
            sizes = sorted({size for curves in found.values() if title in curves for size in curves[title].sizes})
            for panel, label in ((above, "seconds"), (below, "memory of the host (MiB)")):
                panel.set(xscale="log", ylabel=label if column == 0 else "")
                panel.set_xticks(sizes, [f"{size:,}" for size in sizes])
                panel.xaxis.set_minor_locator(NullLocator())
            above.set_yscale("log")
            _plain_log(above, "y")
            if below.has_data():
                below.set_ylim(0, 1.1 * below.dataLim.y1)
            below.yaxis.set_major_formatter(FuncFormatter(lambda value, _place: f"{value:,.10g}"))
        _legend(figure, list(arms))
    return figure


def rounds(arms: Mapping[str, Arm]) -> Figure:
    """Return each workload's rounds in order, run after run, as multiples of the arm's median round.

    Two bands in a panel are two modes; a slope is a run that had not warmed up, or a node that throttles.
    Of more than `MOST_RUNS` runs of an arm some are drawn, and the axis says so.
    """
    drawn = {name: Arm(name, _some(arm.records, MOST_RUNS)) for name, arm in arms.items()}
    results = by_workload(drawn)
    with drawing.settings():
        columns = min(3, max(1, len(results)))
        lines = math.ceil(len(results) / columns) or 1
        width = 3.6 * columns if columns > 1 else 6.5
        figure, axes = _figure(columns, lines, width=width, height=2.1 * lines, layout=None)
        most = max((len(runs) for sides in results.values() for runs in sides.values()), default=0)
        line = "-" if len(arms) <= MOST_JOINED else ""
        for panel, (workload, sides) in zip(axes, results.items(), strict=False):
            panel.set_title(words(workload), fontsize=9)
            for index, arm in enumerate(arms):
                if arm in sides:
                    _rounds_of(panel, sides[arm], index, line)
            _around_one(panel, most)
        step = math.ceil(most / 10)
        for panel in axes[max(0, len(results) - columns) : len(results)]:
            some = range(0, most, step)
            panel.set_xticks([run + 1.5 for run in some], [str(run + 1) for run in some], minor=True)
        _legend(figure, list(arms), place="upper left")
        total = max(len(arm.records) for arm in arms.values())
        _set_out(figure, f"{MOST_RUNS} of {total:,} runs, evenly chosen" if total > MOST_RUNS else "run")
    return figure


def nodes(spreads: Sequence[Spread]) -> Figure:
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


# --- what is drawn


def _estimates(arms: Mapping[str, Arm], *, images: bool) -> dict[str, dict[str, Estimate]]:
    """The speed of each workload by arm, of those that process images or of those that do not."""
    return {
        workload: {arm: estimate(results) for arm, results in sides.items()}
        for workload, sides in by_workload(arms).items()
        if all((result.images is not None) is images for results in sides.values() for result in results)
    }


def _calls(arm: Arm) -> dict[str, tuple[float, float]]:
    """Seconds of the first call and of a steady one by workload, medians over an arm's runs."""
    calls = {}
    for workload, results in arm.results.items():
        seconds = []
        for result in results:
            if result.warmup_seconds is not None:
                steady = result.median / result.calls if result.calls else math.nan
                seconds.append((result.warmup_seconds, steady))
        if seconds:
            first, steady = np.median(seconds, axis=0).tolist()
            calls[workload] = first, steady
    return calls


def _some(items: Sequence[Item], most: int) -> list[Item]:
    """At most `most` of `items`, evenly chosen in their order, the first and the last included."""
    if len(items) <= most:
        return list(items)
    return [items[round(place * (len(items) - 1) / (most - 1))] for place in range(most)]


def _panels(workloads: Iterable[str]) -> dict[str, list[str]]:
    """The workloads of each panel of `throughput`: a family, forward by where its input lies, peers of one work."""
    panels: dict[str, list[str]] = {}
    for workload in workloads:
        family, place = workload.partition("[")[0], parameters(workload).get("input")
        if family == "forward":
            title = f"Forward, input on the {place or 'host'}"
        elif family in FAMILIES:
            title = family.capitalize()
        elif family.startswith("peer_"):
            title = words(workload).partition(": ")[0]
        else:
            title = workload
        panels.setdefault(title, []).append(workload)
    return panels


# --- how it is drawn


def _figure(
    columns: int, lines: int, *, width: float, height: float, layout: Literal["constrained"] | None = "constrained"
) -> tuple[Figure, list[Axes]]:
    """A white figure of `lines` by `columns` axes; it belongs to no window and to no global state."""
    figure = Figure(figsize=(width, height), dpi=150, layout=layout, facecolor="white")
    axes = figure.subplots(lines, columns, squeeze=False)
    return figure, list(axes.flat)


def _look(index: int) -> tuple[str, str]:
    """Colour and marker of the arm at `index`."""
    return COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]


def _offset(index: int, count: int, *, width: float) -> float:
    """Where the arm at `index` of `count` stands beside a row's middle, the first on top."""
    return 0.0 if count == 1 else width * (0.5 - index / (count - 1))


def _legend(figure: Figure, arms: Sequence[str], place: str = "outside upper left") -> None:
    """The arms' names, colours and markers above the figure; the axes left without data go."""
    for axes in figure.axes:
        if not axes.has_data():
            axes.remove()
    handles = [
        Line2D([], [], color=_look(index)[0], marker=_look(index)[1], linestyle="", markersize=6, label=arm)
        for index, arm in enumerate(arms)
    ]
    figure.legend(handles=handles, loc=place, ncols=min(4, len(arms)), fontsize=9.5)  # type: ignore[call-overload]


def _by_batch(axes: Axes, speeds: Mapping[str, Mapping[str, Estimate]], workloads: Sequence[str]) -> None:
    """Images/s against batch size, a line a series and an arm; of several the first is filled, and all are named."""
    lines = list(dict.fromkeys(map(series, workloads)))
    arms = list(dict.fromkeys(arm for sides in speeds.values() for arm in sides))
    batches = sorted({int(parameters(workload)["batch"]) for workload in workloads})
    unit = 0.09 * (math.log2(batches[-1] / batches[0]) + 1.8)
    for order, line in enumerate(lines):
        ends: list[tuple[float, float]] = []
        for index, arm in enumerate(arms):
            here = [workload for workload in workloads if series(workload) == line and arm in speeds[workload]]
            at = [math.log2(int(parameters(workload)["batch"])) + 0.6 * unit * order for workload in here]
            estimates = [speeds[workload][arm] for workload in here]
            _points(axes, at, estimates, index, slot=unit / max(2, len(arms)), arms=len(arms), hollow=order > 0)
            if here:
                ends.append((at[-1], min((*estimates[-1].values, *(estimates[-1].interval or ())))))
        if len(lines) > 1:
            below = max(ends)[0], min(lowest for _, lowest in ends)
            name = ", ".join(parameters(line).values())
            axes.annotate(name, below, (0, -4), textcoords="offset points", ha="center", va="top", fontsize=8)
            axes.margins(y=0.1)  # room for a name below the lowest
    axes.set_xticks([math.log2(batch) for batch in batches], [f"{batch:,}" for batch in batches])
    axes.set_xlim(math.log2(batches[0]) - 0.9, math.log2(batches[-1]) + 0.9)
    axes.set_xlabel("batch size (images), logarithmic")
    _log_speeds(axes, "y")


def _by_name(axes: Axes, speeds: Mapping[str, Mapping[str, Estimate]], workloads: Sequence[str]) -> None:
    """Images/s of workloads without a batch size in their names, side by side."""
    arms = list(dict.fromkeys(arm for sides in speeds.values() for arm in sides))
    for index, arm in enumerate(arms):
        here = [(place, speeds[workload][arm]) for place, workload in enumerate(workloads) if arm in speeds[workload]]
        at, estimates = [place for place, _ in here], [estimate for _, estimate in here]
        _points(axes, at, estimates, index, slot=0.7 / max(2, len(arms)), arms=len(arms), joined=False)
    names = [words(workload) for workload in workloads]
    names = [name.partition(": ")[2] or name.partition(", ")[2] or name for name in names]
    width, size = (14, 9.5) if len(names) <= MOST_WIDE else (max(6, 60 // len(names)), 8)
    axes.set_xticks(range(len(names)), [textwrap.fill(name, width) for name in names], fontsize=size)
    axes.set_xlim(-0.6, len(workloads) - 0.4)
    _log_speeds(axes, "y")


def _log_speeds(axes: Axes, which: Literal["x", "y"]) -> None:
    """An axis for speeds: logarithmic, with room around a single one."""
    low, high = axes.dataLim.intervaly if which == "y" else axes.dataLim.intervalx
    if math.isclose(low, high):
        axes.set(**{f"{which}lim": (low / 2, high * 2)})
    axes.set(**{f"{which}scale": "log", f"{which}label": "images/s"})
    _plain_log(axes, which)


def _points(  # noqa: PLR0913 - what, where and how, nothing that could be one
    axes: Axes,
    at: Sequence[float],
    estimates: Sequence[Estimate],
    index: int,
    *,
    slot: float,
    arms: int,
    hollow: bool = False,
    joined: bool = True,
) -> None:
    """One arm's estimates with their intervals, and a dot a run, in its slot of those around each place."""
    colour, marker = _look(index)
    middle = [place + slot * (index - (arms - 1) / 2) for place in at]
    for place, speed in zip(middle, estimates, strict=True):
        dots = speed.values if speed.runs <= MOST_DOTS else _some(sorted(speed.values), MOST_DOTS)
        beside = place + slot * (0.25 + 0.5 * np.arange(len(dots)) / max(1, len(dots) - 1))
        axes.plot(beside, dots, ".", color=colour, markersize=5, markeredgewidth=0)
        if speed.interval:
            axes.plot([place, place], speed.interval, color=colour, linewidth=1.6)
    values, line = [speed.value for speed in estimates], "-" if joined else ""
    style: dict[str, Any] = {"markerfacecolor": "white"} if hollow else {}
    axes.plot(middle, values, marker, linestyle=line, color=colour, linewidth=1.1, markersize=5.5, **style)


def _ratio(axes: Axes, place: int, pair: Pair) -> None:
    """One row of `ratios`: the interval, and beside the axes verdict and numbers."""
    colour = VERDICT_COLOURS[pair.verdict]
    low, high = pair.interval or (pair.ratio, pair.ratio)
    axes.plot([low, high], [place, place], color=colour, linewidth=2.2, solid_capstyle="butt")
    axes.plot(pair.ratio, place, "o", color=colour, markersize=6)
    beside: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "va": "center"}
    axes.annotate(pair.verdict.value, (1, place), (8, 0), color=colour, fontsize=8.5, weight="bold", **beside)
    axes.annotate(ratio(pair), (1, place), (92, 0), color="#333333", fontsize=8.5, **beside)


def _nodes_of(axes: Axes, place: int, spread: Spread) -> None:
    """One workload's nodes in a row, those that are off in another colour and with their names."""
    for speed, one in zip(spread.speed.values, spread.deviations, strict=True):
        ratio, colour = speed / spread.speed.value, VERDICT_COLOURS[Verdict.SLOWER] if one.off else COLOURS[0]
        axes.plot(ratio, place, "o", color=colour, markersize=6, alpha=1 if one.off else 0.55, markeredgewidth=0)
        if one.off:
            beside: dict[str, Any] = {"xytext": (6, 3), "textcoords": "offset points", "fontsize": 8.5}
            axes.annotate(one.node, (ratio, place), color=colour, **beside)


def _titles(name: str, sides: Mapping[str, Sequence[Rung]]) -> list[str]:
    """The titles of the rungs that any arm measured, in the ladder's order."""
    measured = {rung.title for rungs in sides.values() for rung in rungs}
    return [title for title, _ in ladder.RUNGS[name].values() if title in measured]


def _rungs(axes: Axes, rungs: Sequence[Rung], titles: Sequence[str], index: int, arms: int) -> None:
    """One arm's way up a ladder; beside the axes how many times the rung before, where there is one arm."""
    colour, marker = _look(index)
    places = [titles.index(rung.title) - _offset(index, arms, width=0.3) for rung in rungs]
    axes.plot([rung.speed.value for rung in rungs], places, "-", color=colour, linewidth=1, alpha=0.4)
    for place, rung in zip(places, rungs, strict=True):
        low, high = rung.speed.interval or (rung.speed.value, rung.speed.value)
        hollow: dict[str, Any] = {"markerfacecolor": "white"} if rung.pays is False else {}
        axes.plot([low, high], [place, place], color=colour, linewidth=1.8)
        axes.plot(rung.speed.value, place, marker, color=colour, markersize=6, **hollow)
        if arms == 1 and rung.to_before:
            beside: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
            times = f"{number(rung.to_before.value, 3)} times"
            axes.annotate(times, (1, place), (6, 0), va="center", fontsize=8.5, color="#333333", **beside)


def _grown(above: Axes, below: Axes, curve: Curve, index: int) -> None:
    """One curve: its seconds above, with the line on which its last would lie if it were linear; memory below."""
    colour, marker = _look(index)
    linear = [curve.seconds[-1] * size / curve.sizes[-1] for size in curve.sizes]
    above.plot(curve.sizes, linear, color="#BBBBBB", linewidth=1, zorder=0)
    above.plot(curve.sizes, curve.seconds, marker, linestyle="-", color=colour, linewidth=1.1, markersize=5.5)
    if curve.peaks:
        memory = [peak / 2**20 for peak in curve.peaks]
        below.plot(curve.sizes, memory, marker, linestyle="-", color=colour, linewidth=1.1, markersize=5.5)


def _arithmetic(found: Mapping[str, float]) -> list[str]:
    """The limits of arithmetic among the limits of an arm."""
    return [limit for limit in found if limit.startswith("peak[what=matmul")]


def _computed(result: Result, arithmetic: str) -> float:
    """Floating-point operations a second of the median round."""
    return result.needs[arithmetic] / result.median


def _roof(
    axes: Axes, results: Mapping[str, Sequence[Result]], peaks: Mapping[str, float], index: int, device: str
) -> None:
    """One arm's roof and its workloads below it, forward passes hollow; large batches are named."""
    (arithmetic,) = _arithmetic(peaks)
    colour, marker = _look(index)
    ridge = peaks[arithmetic] / peaks[MEMORY]
    placed = {
        workload: (
            runs[0].needs[arithmetic] / runs[0].needs[MEMORY],
            median(_computed(run, arithmetic) for run in runs),
        )
        for workload, runs in results.items()
        if all({arithmetic, MEMORY} <= run.needs.keys() for run in runs)
    }
    at = [ridge / 10, *(intensity for intensity, _ in placed.values()), ridge * 10]
    span = np.geomspace(min(at) / 1.5, max(at) * 1.5, 200)
    roof = np.minimum(span * peaks[MEMORY], peaks[arithmetic]) / 1e9
    axes.plot(span, roof, color="#444444", linewidth=1.4)
    for workload, (intensity, speed) in placed.items():
        hollow: dict[str, Any] = {"markerfacecolor": "white"} if workload.startswith("forward") else {}
        axes.plot(intensity, speed / 1e9, marker, color=colour, markersize=6, **hollow)
    axes.set_xscale("log")
    axes.set_yscale("log")
    _plain_log(axes, "x")
    _plain_log(axes, "y")
    axes.set_xlabel("arithmetic intensity (FLOP / byte)")
    axes.set_ylabel("GFLOP/s")
    low, high = axes.dataLim.intervaly
    axes.set_ylim(low / 1.5, high * (high / low) ** 0.35)  # room for the note above the roof
    note = f"{words(arithmetic).removeprefix('Limit: ')}: {_round(peaks[arithmetic] / 1e9)} GFLOP/s\n"
    note += f"memory: {_round(peaks[MEMORY] / 1e9)} GB/s\nfilled: training; hollow: forward"
    if above := _above(placed.values(), peaks, arithmetic, device):
        note += "\n" + textwrap.fill(f"above the roof: {above}", 58)
    axes.annotate(note, (0.02, 0.97), xycoords="axes fraction", ha="left", va="top", fontsize=8.5)


def _round(value: float) -> str:
    """Four digits at most: 17,600; 875.3; 10."""
    return f"{float(f'{value:.4g}'):,.10g}"


def _above(placed: Iterable[tuple[float, float]], peaks: Mapping[str, float], arithmetic: str, device: str) -> str:
    """Why workloads of such intensities and speeds can lie above the roof; empty where none does."""
    beaten = {
        arithmetic if speed > peaks[arithmetic] else MEMORY: None
        for intensity, speed in placed
        if speed > min(intensity * peaks[MEMORY], peaks[arithmetic])
    }
    return "; ".join(limits.excuse(limit, device).reason for limit in beaten)


def _rounds_of(axes: Axes, results: Sequence[Result], index: int, line: str) -> None:
    """The rounds of one arm's runs, each run within its own unit of the x axis."""
    colour, marker = _look(index)
    runs = [np.asarray(result.seconds) / result.amount for result in results]
    middle = np.median([np.median(run) for run in runs])
    at = [place + (np.arange(run.size + 1) + 0.5) / run.size for place, run in enumerate(runs, start=1)]
    joined = [np.append(run / middle, np.nan) for run in runs]  # NaN parts the line between runs
    style: dict[str, Any] = {"linestyle": line, "linewidth": 0.7, "markersize": 2.6, "markeredgewidth": 0}
    axes.plot(np.concatenate(at), np.concatenate(joined), marker, color=colour, **style)


def _set_out(figure: Figure, runs: str) -> None:
    """Lay out the many panels of `rounds` by fixed margins in inches: to find them takes longer than to draw."""
    width, height = figure.get_size_inches()
    figure.subplots_adjust(0.75 / width, 0.65 / height, 1 - 0.1 / width, 1 - 0.85 / height, wspace=0.2, hspace=0.4)
    figure.supxlabel(f"{runs}; rounds in order from left to right", y=0.12 / height, fontsize=9.5)
    figure.supylabel("seconds of a round / the arm's median", x=0.08 / width, fontsize=9.5)


def _around_one(axes: Axes, runs: int) -> None:
    """Axes of one workload's rounds, a line at 1 and one between runs.

    The limits never magnify less than 5 % of noise, and are logarithmic beyond a factor of 3.
    """
    axes.set_xticks([])
    axes.tick_params(axis="x", which="minor", length=0)
    axes.set_xlim(0.9, runs + 1.1)
    axes.grid(visible=False)
    # one collection of lines: as many ticks take a hundred times as long to draw
    between = [[(place, 0), (place, 1)] for place in range(1, runs + 2)]
    style = {"colors": mpl.rcParams["grid.color"], "linewidths": mpl.rcParams["grid.linewidth"], "zorder": 0}
    axes.add_collection(LineCollection(between, transform=axes.get_xaxis_transform(), **style), autolim=False)
    low, high = axes.dataLim.intervaly
    axes.axhline(1, color="#BBBBBB", linewidth=0.8, zorder=0)
    if high > 3 * low:
        axes.set_yscale("log")
        _plain_log(axes, "y")
        return
    axes.set_ylim(min(low, 0.95) - 0.02, max(high, 1.05) + 0.02)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=3))


def _plain_log(axes: Axes, which: str, suffix: str = "") -> None:
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
