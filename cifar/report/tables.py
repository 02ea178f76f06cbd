"""Tables: the arms go in; the tables that explain the speeds come out, as text."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

from cifar.record.names import words
from cifar.report import growth, ladder, limits, nodes
from cifar.report.arms import by_workload
from cifar.report.comparison import estimate, within
from cifar.report.text import NONE, number, rate, times

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from cifar.record.model import Result
    from cifar.report.arms import Arm, Arms
    from cifar.report.growth import Curve
    from cifar.report.ladder import Rung
    from cifar.report.limits import Feed, Share
    from cifar.report.nodes import Spread

    Table = dict[str, Any]

COSTS = (
    ("training[by=lesson]", "training[feed=memory]", "training the lesson's way against training fed from memory"),
    ("training[by=lesson]", "training[feed=generator]", "training the lesson's way against our generator"),
    ("training[feed=memory,by=keras]", "training[feed=memory]", "Keras's training step against ours, both from memory"),
    ("forward[batch=250,by=predict]", "forward[batch=250,input=host]", "predict against a direct call, batch 250"),
    (
        "generator[by=lesson,batch=250]",
        "generator[by=ours,batch=250]",
        "the lesson's generator against ours, batch 250",
    ),
    ("generator[by=lesson,batch=32]", "generator[by=ours,batch=32]", "the lesson's generator against ours, batch 32"),
)
"""The lesson's way, the way without its cost, and both in words."""

OUTSIDE = "part of the lesson's epoch outside its steps: the file read for its length, the dataset torn down"
"""What `fit` costs besides training."""

BARELY = 0.05
"""A smaller part of the time is not worth speaking of."""


def explain(arms: Arms, spreads: Sequence[Spread] = ()) -> list[Table]:
    """Return the tables (title, text, first: heading of the first column, arms, rows) that have something to say.

    Arms that several nodes measured stand in them as one, but for limits, which are a node's. `spreads` say how the
    nodes scatter.
    """
    by_node = arms.by_node
    tables = [
        *_ladders(by_node),
        _peers(by_node),
        _feeds(by_node),
        _limits(arms.each),
        _costs(by_node),
        _growth(by_node),
        *_nodes(spreads),
    ]
    return [table for table in tables if table["rows"]]


def _table(title: str, text: str, first: str, arms: Iterable[str], rows: list[list[str]]) -> Table:
    """A table for the templates; `first` heads its first column, the arms the others."""
    return {"title": title, "text": text, "first": first, "arms": list(arms), "rows": rows}


# --- from the lesson's way to the fastest


def _ladders(arms: Mapping[str, Arm]) -> Iterator[Table]:
    """A table for each ladder: every rung's speed, what it buys, what is learnt, and why, on each arm."""
    for name, rungs in ladder.RUNGS.items():
        climbed = [{rung.title: rung for rung in ladder.climb(arm, name)} for arm in arms.values()]
        rows = []
        for title, why in rungs.values():
            if any(title in rung for rung in climbed):
                rows.append([f"{title}: {why}", *(_rung(rung.get(title)) for rung in climbed)])
        yield _table(
            f"From the lesson's way to the fastest: {name}",
            "Each rung changes one thing. Ratios, taken within the runs, are to the rung before, and in all.",
            "rung",
            arms,
            rows,
        )


def _rung(rung: Rung | None) -> str:
    """A rung in one cell: `52,000 images/s, 2.6 times (2.5 to 2.7), in all 18; accuracy 0.520 after 17.3 s`.

    With `of them 2.1 s outside its steps` where that is more than barely anything.
    """
    if rung is None:
        return NONE
    cell = rate(rung.speed)
    if rung.to_before and rung.to_first:
        cell += f", {times(rung.to_before)}, in all {number(rung.to_first.value, 3)}"
    if rung.accuracy is not None:
        cell += f"; accuracy {rung.accuracy:.3f}"
    if rung.epoch_seconds:
        cell += f" after {_seconds(rung.epoch_seconds)}"
        outside = rung.epoch_outside or 0
        if outside > BARELY * rung.epoch_seconds:
            cell += f", of them {_seconds(outside)} outside its steps"
    marks = []
    if rung.pays is False:
        marks.append("slower")
    if rung.learns_less:
        marks.append("learns less")
    return f"{cell} ({', '.join(marks)})" if marks else cell


# --- what one would pick instead


def _peers(arms: Mapping[str, Arm]) -> Table:
    """What a user would pick instead, each beside ours, on each arm."""
    workloads = [workload for workload in by_workload(arms) if workload.startswith("peer_")]
    workloads.sort(key=_work)
    rows = [[words(workload), *(_peer(arm, workload) for arm in arms.values())] for workload in workloads]
    return _table(
        "Beside what one would pick instead",
        "The same work, each in its best usual form; how many times as fast ours is, taken within the runs.",
        "way",
        arms,
        rows,
    )


def _peer(arm: Arm, workload: str) -> str:
    """`1,150,000 images/s; ours 1.32 times (1.20 to 1.45)`."""
    if workload not in arm.results:
        return NONE
    speed = rate(estimate(arm.results[workload]))
    ours = f"{_work(workload)}by=ours]"
    ratio = within(arm, workload, ours) if ours != workload else None
    return f"{speed}; ours {times(ratio)}" if ratio else speed


def _work(workload: str) -> str:
    """A peer's workload up to its name: `peer_forward[batch=1,`."""
    return workload[: workload.index("by=")]


# --- what holds it back


def _feeds(arms: Mapping[str, Arm]) -> Table:
    """What each generator does to training and prediction, from its parts and as measured, on each arm."""
    rows = []
    for work, generators in limits.FEEDS.items():
        feeds = [limits.feeds(arm, work) for arm in arms.values()]
        if any(feeds):
            rows.append([f"{work}: what holds it back", *map(_verdict, feeds)])
        known = [name for name in generators if any(name in measured for measured in feeds)]
        rows += [[f"{work} fed by {name}", *(_feed(measured.get(name)) for measured in feeds)] for name in known]
    return _table(
        "What holds it back",
        "A GPU computes while the host makes the next batch, so the slower of both counts; a CPU does both in "
        "turn. What another generator would give is predicted from the generator alone and the network alone.",
        "work",
        arms,
        rows,
    )


def _verdict(feeds: Mapping[str, Feed]) -> str:
    """How long the lesson's way waits, and what each other generator would give, predicted and measured."""
    if not feeds:
        return NONE
    (name, first), *others = feeds.items()
    if first.waits < BARELY:
        return f"fed by {name} it hardly waits for data: the network binds"
    parts = [f"fed by {name} it waits for data {_percent(first.waits)} of its time"]
    for other, feed in others:
        predicted = f"{number(first.predicted / feed.predicted, 3)}\N{NO-BREAK SPACE}times as fast"
        parts.append(f"{other} would make it {predicted}, measured {number(first.fed / feed.fed, 3)}")
    return "; ".join(parts)


def _feed(feed: Feed | None) -> str:
    """One generator: its parts, what they predict, and what was measured."""
    if feed is None:
        return NONE
    alone = f"generator alone {_images(feed.generator)}, network alone {_images(feed.network)}"
    both = f"together {_images(feed.predicted)} predicted, {_images(feed.fed)} measured"
    off = f"off by {100 * feed.error:+.0f}\N{NO-BREAK SPACE}%"
    return f"{alone}; {both} ({off}); waits {_percent(feed.waits)}"


# --- how close to the limit


def _limits(arms: Mapping[str, Arm]) -> Table:
    """Each workload's share of the limit that binds it, on each arm."""
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
    return _table("How close to the limit", text, "workload", arms, rows)


def _share(share: Share | None) -> str:
    """`78 % of matrix product in float32`."""
    if share is None:
        return NONE
    digits = 2 if share.share < 1 else 3
    limit = words(share.limit).removeprefix("Limit: ")
    return f"{number(100 * share.share, digits)}\N{NO-BREAK SPACE}% of {limit[0].lower()}{limit[1:]}"


# --- what the lesson's way costs


def _costs(arms: Mapping[str, Arm]) -> Table:
    """What the lesson's way of calling costs on each arm: how many times slower it is, run by run."""
    rows = []
    for lesson, without, text in COSTS:
        costs = [within(arm, lesson, without) for arm in arms.values()]
        if any(costs):
            rows.append([text, *(times(cost) if cost else NONE for cost in costs)])
    outside = [_outside(arm.results.get("training[by=lesson]", ())) for arm in arms.values()]
    if any(part is not None for part in outside):
        rows.append([OUTSIDE, *(NONE if part is None else _percent(part) for part in outside)])
    return _table(
        "What the lesson's way of calling costs",
        "How many times slower the lesson's way is, with 95 % interval; each ratio is taken within a run.",
        "way",
        arms,
        rows,
    )


def _outside(results: Sequence[Result]) -> float | None:
    """Part of the lesson's epoch that is no training step, the median over the runs that say so."""
    parts = [result.outside_steps for result in results if result.outside_steps is not None]
    return median(parts) if parts else None


# --- how the cost grows


def _growth(arms: Mapping[str, Arm]) -> Table:
    """How time and memory grow, a row for each curve."""
    curves = [growth.curves(arm) for arm in arms.values()]
    titles = dict.fromkeys(title for measured in curves for title in measured)
    rows = [[title, *(_curve(measured.get(title)) for measured in curves)] for title in titles]
    return _table(
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
    longer = f"{number(last / first, 3)}\N{NO-BREAK SPACE}times as long ({number(first, 3)} to {_seconds(last)})"
    cell = f"{more} takes {longer}, at the end as n^{curve.exponent:.2f}"
    if curve.peaks:
        low, high = (number(peak / 2**20, 3) for peak in (curve.peaks[0], curve.peaks[-1]))
        cell += f"; memory {low} to {high}\N{NO-BREAK SPACE}MiB"
    return f"{cell} (faster than linear)" if curve.exponent > growth.LINEAR else cell


# --- nodes beside each other


def _nodes(spreads: Sequence[Spread]) -> Iterator[Table]:
    """How each workload scatters over nodes and runs, a table for each arm that several nodes measured."""
    groups: dict[tuple[str, tuple[str, ...]], list[Spread]] = {}
    for spread in spreads:
        groups.setdefault((spread.arm, spread.nodes), []).append(spread)
    for (arm, names), group in groups.items():
        text = f"{', '.join(names)}. {nodes.MEANING}"
        yield _table(f"Nodes: {arm}", text, "workload", nodes.HEADER, [nodes.row(spread) for spread in group])


# --- numbers as text


def _images(seconds: float) -> str:
    """Images/s from seconds an image."""
    return f"{number(1 / seconds)}\N{NO-BREAK SPACE}images/s"


def _seconds(seconds: float) -> str:
    """Seconds with their unit: `17.3 s`."""
    return f"{number(seconds, 3)}\N{NO-BREAK SPACE}s"


def _percent(part: float) -> str:
    """A part of 1 in whole per cent."""
    return f"{100 * part:.0f}\N{NO-BREAK SPACE}%"
