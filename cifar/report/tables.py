"""Tables: the arms go in; the tables that explain the speeds come out, as text."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

from cifar.record.names import words
from cifar.report import growth, ladder, limits, nodes
from cifar.report.arms import by_workload
from cifar.report.comparison import estimate, within
from cifar.report.text import NONE, number, rate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cifar.record.model import Result
    from cifar.report.arms import Arm, Arms
    from cifar.report.comparison import Estimate
    from cifar.report.nodes import Spread

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


def explain(arms: Arms, spreads: Sequence[Spread] = ()) -> list[dict[str, Any]]:
    """Return the tables (title, text, first: heading of the first column, arms, rows) that have something to say.

    Arms that several nodes measured stand in them as one, but for limits, which are a node's. `spreads` say how the
    nodes scatter.
    """
    return [table for table in _all(arms, spreads) if table["rows"]]


def times(ratio: Estimate) -> str:
    """Return a ratio in words: `2.31 times (2.22 to 2.40)`."""
    span = " (one run)" if ratio.runs == 1 else ""
    if ratio.interval:
        span = f" ({number(ratio.interval.low, 3)} to {number(ratio.interval.high, 3)})"
    return f"{number(ratio.value, 3)}\N{NO-BREAK SPACE}times{span}"


def _all(arms: Arms, spreads: Sequence[Spread]) -> Iterator[dict[str, Any]]:
    """Every table, some of them empty."""
    by_node = arms.by_node
    yield from _ladders(by_node)
    yield _peers(by_node)
    yield _feeds(by_node)
    yield _limits(arms.each)
    yield _costs(by_node)
    yield _growth(by_node)
    yield from _nodes(spreads)


def _ladders(arms: Mapping[str, Arm]) -> Iterator[dict[str, Any]]:
    """A table for each ladder: every rung's speed, what it buys, what is learnt, and why, on each arm."""
    for name, rungs_of in ladder.RUNGS.items():
        climbed = [{rung.title: rung for rung in ladder.climb(arm, name)} for arm in arms.values()]
        yield {
            "title": f"From the lesson's way to the fastest: {name}",
            "text": "Each rung changes one thing. Ratios, taken within the runs, are to the rung before, and in all.",
            "first": "rung",
            "arms": list(arms),
            "rows": [
                [f"{title}: {why}", *(_rung(rungs.get(title)) for rungs in climbed)]
                for title, why in rungs_of.values()
                if any(title in rungs for rungs in climbed)
            ],
        }


def _rung(rung: ladder.Rung | None) -> str:
    """A rung in one cell: `52,000 images/s, 2.6 times (2.5 to 2.7), in all 18; accuracy 0.520 after 17.3 s`.

    With `of them 2.1 s outside its steps` where that is more than barely anything.
    """
    if rung is None:
        return NONE
    said = [rate(rung.speed)]
    if rung.to_before and rung.to_first:
        said += [times(rung.to_before), f"in all {number(rung.to_first.value, 3)}"]
    learnt = "" if rung.accuracy is None else f"; accuracy {rung.accuracy:.3f}"
    learnt += f" after {number(rung.epoch_seconds, 3)}\N{NO-BREAK SPACE}s" if rung.epoch_seconds else ""
    if rung.epoch_seconds and (rung.epoch_outside or 0) > BARELY * rung.epoch_seconds:
        learnt += f", of them {number(rung.epoch_outside or 0, 3)}\N{NO-BREAK SPACE}s outside its steps"
    marks = [mark for mark, true in (("slower", rung.pays is False), ("learns less", rung.learns_less)) if true]
    return ", ".join(said) + learnt + (f" ({', '.join(marks)})" if marks else "")


def _peers(arms: Mapping[str, Arm]) -> dict[str, Any]:
    """What a user would pick instead, each beside ours, on each arm."""
    workloads = [workload for workload in by_workload(arms) if workload.startswith("peer_")]
    rows = [
        [words(workload), *(_peer(arm, workload) for arm in arms.values())] for workload in sorted(workloads, key=_work)
    ]
    return {
        "title": "Beside what one would pick instead",
        "text": "The same work, each in its best usual form; how many times as fast ours is, taken within the runs.",
        "first": "way",
        "arms": list(arms),
        "rows": rows,
    }


def _peer(arm: Arm, workload: str) -> str:
    """`1,150,000 images/s; ours 1.32 times (1.20 to 1.45)`."""
    if workload not in arm.results:
        return NONE
    ours = f"{_work(workload)}by=ours]"
    ratio = within(arm, workload, ours) if ours != workload else None
    return rate(estimate(arm.results[workload])) + (f"; ours {times(ratio)}" if ratio else "")


def _work(workload: str) -> str:
    """A peer's workload up to its name: `peer_forward[batch=1,`."""
    return workload[: workload.index("by=")]


def _feeds(arms: Mapping[str, Arm]) -> dict[str, Any]:
    """What each generator does to training and prediction, from its parts and as measured, on each arm."""
    rows = []
    for work, generators in limits.FEEDS.items():
        found = [limits.feeds(arm, work) for arm in arms.values()]
        if any(found):
            rows.append([f"{work}: what holds it back", *map(_verdict, found)])
        known = [name for name in generators if any(name in feeds for feeds in found)]
        rows += [[f"{work} fed by {name}", *(_feed(feeds.get(name)) for feeds in found)] for name in known]
    return {
        "title": "What holds it back",
        "text": "A GPU computes while the host makes the next batch, so the slower of both counts; a CPU does both in "
        "turn. What another generator would give is predicted from the generator alone and the network alone.",
        "first": "work",
        "arms": list(arms),
        "rows": rows,
    }


def _verdict(feeds: Mapping[str, limits.Feed]) -> str:
    """How long the lesson's way waits, and what each other generator would give, predicted and measured."""
    if not feeds:
        return NONE
    (name, first), *others = feeds.items()
    if first.waits < BARELY:
        return f"fed by {name} it hardly waits for data: the network binds"
    said = f"fed by {name} it waits for data {_percent(first.waits)} of its time"
    gains = [
        f"{other} would make it {number(first.predicted / feed.predicted, 3)}\N{NO-BREAK SPACE}times as fast, "
        f"measured {number(first.fed / feed.fed, 3)}"
        for other, feed in others
    ]
    return "; ".join([said, *gains])


def _feed(feed: limits.Feed | None) -> str:
    """One generator: its parts, what they predict, and what was measured."""
    if feed is None:
        return NONE
    alone = f"generator alone {_images(feed.generator)}, network alone {_images(feed.network)}"
    both = f"together {_images(feed.predicted)} predicted, {_images(feed.fed)} measured"
    return f"{alone}; {both} (off by {100 * feed.error:+.0f}\N{NO-BREAK SPACE}%); waits {_percent(feed.waits)}"


def _limits(arms: Mapping[str, Arm]) -> dict[str, Any]:
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
    return {
        "title": "How close to the limit",
        "text": f"{text} Above 100\N{NO-BREAK SPACE}%: {'; '.join(sorted(excuses))}." if excuses else text,
        "first": "workload",
        "arms": list(arms),
        "rows": rows,
    }


def _share(bound: limits.Share | None) -> str:
    """`78 % of matrix product in float32`."""
    if bound is None:
        return NONE
    limit = words(bound.limit).removeprefix("Limit: ")
    return (
        f"{number(100 * bound.share, 2 if bound.share < 1 else 3)}\N{NO-BREAK SPACE}% of {limit[0].lower() + limit[1:]}"
    )


def _costs(arms: Mapping[str, Arm]) -> dict[str, Any]:
    """What the lesson's way of calling costs on each arm: how many times slower it is, run by run."""
    rows = []
    for lesson, other, text in COSTS:
        costs = [within(arm, lesson, other) for arm in arms.values()]
        if any(costs):
            rows.append([text, *(times(cost) if cost else NONE for cost in costs)])
    outside = [_outside(arm.results.get("training[by=lesson]", ())) for arm in arms.values()]
    if any(part is not None for part in outside):
        rows.append([OUTSIDE, *(NONE if part is None else _percent(part) for part in outside)])
    return {
        "title": "What the lesson's way of calling costs",
        "text": "How many times slower the lesson's way is, with 95 % interval; each ratio is taken within a run.",
        "first": "way",
        "arms": list(arms),
        "rows": rows,
    }


def _outside(results: Sequence[Result]) -> float | None:
    """Part of the lesson's epoch that is no training step, the median over the runs that say so."""
    known = [part for part in (result.outside_steps for result in results) if part is not None]
    return median(known) if known else None


def _growth(arms: Mapping[str, Arm]) -> dict[str, Any]:
    """How time and memory grow, a row for each curve."""
    curves = [growth.curves(arm) for arm in arms.values()]
    titles = dict.fromkeys(title for measured in curves for title in measured)
    return {
        "title": "How the cost grows",
        "text": "Time and the host's largest memory against size; linear is n to the power of 1. Memory counts the "
        "pages of a file that are mapped, which the kernel takes back where it needs them.",
        "first": "size",
        "arms": list(arms),
        "rows": [
            [title, *(_curve(measured[title]) if title in measured else NONE for measured in curves)]
            for title in titles
        ],
    }


def _curve(curve: growth.Curve) -> str:
    """`1,000 times as much takes 1,100 times as long, at the end as n^1.02; memory 612 to 700 MiB`."""
    grown = curve.sizes[-1] / curve.sizes[0]
    said = f"{number(grown, 3)} times as much ({curve.sizes[0]:,} to {curve.sizes[-1]:,}) takes "
    said += f"{number(curve.seconds[-1] / curve.seconds[0], 3)}\N{NO-BREAK SPACE}times as long "
    said += f"({number(curve.seconds[0], 3)} to {number(curve.seconds[-1], 3)}\N{NO-BREAK SPACE}s), "
    said += f"at the end as n^{curve.exponent:.2f}"
    if curve.peaks:
        low, high = (number(peak / 2**20, 3) for peak in (curve.peaks[0], curve.peaks[-1]))
        said += f"; memory {low} to {high}\N{NO-BREAK SPACE}MiB"
    return said + (" (faster than linear)" if curve.exponent > growth.LINEAR else "")


def _nodes(spreads: Sequence[Spread]) -> Iterator[dict[str, Any]]:
    """How each workload scatters over nodes and runs, a table for each arm that several nodes measured."""
    for arm, measured in dict.fromkeys((spread.arm, spread.nodes) for spread in spreads):
        yield {
            "title": f"Nodes: {arm}",
            "text": f"{', '.join(measured)}. {nodes.MEANING}",
            "first": "workload",
            "arms": list(nodes.HEADER),
            "rows": [nodes.row(spread) for spread in spreads if (spread.arm, spread.nodes) == (arm, measured)],
        }


def _images(seconds: float) -> str:
    """Images/s from seconds an image."""
    return f"{number(1 / seconds)}\N{NO-BREAK SPACE}images/s"


def _percent(part: float) -> str:
    """A part of 1 in whole per cent."""
    return f"{100 * part:.0f}\N{NO-BREAK SPACE}%"
