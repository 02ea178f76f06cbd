"""Page: records of any number of arms go in; a report as HTML, Markdown, CSV and figures comes out, in one folder."""

from __future__ import annotations

import csv
import io
import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
from markupsafe import Markup

from cifar.record.files import replace
from cifar.record.names import words
from cifar.record.reading import nothing_collected
from cifar.record.text import plain
from cifar.report import answer, compare, escape, figures, nodes, tables
from cifar.report.arms import by_workload, group
from cifar.report.comparison import MARGIN, Comparison, NotComparable, estimate
from cifar.report.text import NONE, in_unit, number, probability
from cifar.statistics.families import Verdict

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from matplotlib.figure import Figure

    from cifar.record.model import Record
    from cifar.report.arms import Arm, Arms
    from cifar.report.comparison import LeftOut, Pair
    from cifar.report.nodes import Spread

    Row = list[str]

PICTURES = {
    "throughput": (
        "throughput",
        "Throughput by device and batch size",
        "Images per second of each arm, on logarithmic axes; bars are 95 % intervals, small dots runs (or nodes).",
    ),
    "ladders": (
        "ladders",
        "From the lesson's way to the fastest",
        "Each rung changes one thing; hollow ones are slower than the rung before, times are against the rung before.",
    ),
    "roofline": (
        "roofline",
        "How close to the roof",
        "What each workload computes a second: left of the bend its memory traffic binds it, right of it arithmetic.",
    ),
    "growths": (
        "growths",
        "How the cost grows",
        "Seconds and memory against size; the grey line is linear through the largest size, memory begins at zero.",
    ),
    "warmup": (
        "warmup",
        "Warm-up beside steady state",
        "Seconds of the first call beside those of a call in the median round.",
    ),
    "rounds": (
        "rounds",
        "Every round, in order",
        "Each round of each run as a multiple of the arm's median round: two bands are two modes, a slope is a drift.",
    ),
}
NODES = "Each node's speed over the mean of all, a dot a node, for each workload; a node that is off is named."
MOST_RATIOS = 4
"""Comparisons of single nodes that have a figure each; of more none has."""
RATIOS = "Ratio of the speeds with its 95 % interval for each workload; the band is the margin of equivalence."
"""Name of the files, title and text of the figures."""

COLUMNS = [
    *("workload", "family", "arm", "device", "campaign", "run", "complete"),
    *(
        "rounds",
        "calls_per_round",
        "images_per_round",
        "median_seconds_per_round",
        "images_per_second",
        "warmup_seconds",
    ),
    *("flop_per_round", "bytes_per_round", "host_peak_bytes", "device_peak_bytes"),
]
"""Of results.csv."""


@dataclass(frozen=True, slots=True)
class Report:
    """The files that were written, and what they say; `refused` are pairs of arms that are not comparable.

    `notes` are those that were given, and a sentence for each node that is off; `spreads` say how nodes scatter.
    """

    html: Path
    markdown: Path
    csv: Path
    figures: tuple[Path, ...]
    comparisons: tuple[Comparison, ...]
    refused: tuple[Refused, ...]
    answer: str
    notes: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    spreads: tuple[Spread, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """Two arms of which no ratio is published, and why."""

    baseline: str
    candidate: str
    error: NotComparable


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure with its name (of its files), title, and what it shows, in words."""

    name: str
    title: str
    text: str
    figure: Figure


@nothing_collected()
def write(  # noqa: PLR0913 - the options of `cifar report`
    records: Sequence[Record],
    folder: str | os.PathLike[str],
    *,
    margin: float = MARGIN,
    baseline: str | None = None,
    allow: Iterable[str] = (),
    notes: Sequence[str] = (),
    missing_gpu: Sequence[tuple[str, str]] = (),
    missing: Sequence[LeftOut] = (),
) -> Report:
    """Write report.html, report.md, results.csv and figures/ into `folder` and return where they are.

    Each arm is compared with `baseline` (default: see `plan`); `allow` are fingerprint fields that may differ,
    `notes` sentences to show, `missing_gpu` the reasons why there is no GPU, each with its remedy, `missing` what was
    planned and has no record. Unless a baseline is named, arms that several nodes measured are compared over all nodes
    first, where these are comparable (see `nodes.pools`), then within each node.
    Raises ValueError without records, for a baseline that is no arm and where `figures` is a link, which leads out
    of the folder, and OSError where `folder` is not writable. Links in the place of files are replaced.
    """
    if not records:
        message = "there are no records to report on: measure some with `cifar bench`"
        raise ValueError(message)
    folder, allow = Path(folder), tuple(allow)
    arms = group(records, pool=baseline is None)
    comparisons, refused = _compared(arms, baseline, margin, frozenset(allow))
    spreads = nodes.spreads(arms.records)
    notes = [*answer.no_gpu(missing_gpu), *notes, *nodes.sentences(spreads), *nodes.apart(arms.records)]
    said = answer.answer(arms, comparisons, refused, missing_gpu)
    left_out = (*missing, *_left_out(arms, comparisons))
    view = _view(arms, comparisons, refused) | {"answer": said, "left_out": _missing(left_out)}
    view |= {"notes": notes, "tables": tables.explain(arms, spreads)}
    view["command"] = _command(records, folder, margin, allow)
    drawn = pictures(arms, spreads, comparisons)
    files = _save(folder, arms, view, drawn)
    return Report(*files, comparisons, refused, said, tuple(notes), left_out, tuple(spreads))


def _save(
    folder: Path, arms: Arms, view: dict[str, Any], drawn: Sequence[Picture]
) -> tuple[Path, Path, Path, tuple[Path, ...]]:
    """Write the figures, both pages and the table; return their paths, in the order of `Report`."""
    if (folder / "figures").is_symlink():
        message = f"{folder / 'figures'} is a link, and the figures would go where it leads: name another --out"
        raise ValueError(message)
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    files = [figures.save(picture.figure, folder / "figures", picture.name) for picture in drawn]
    view |= {"figures": [shown(picture, *paths) for picture, paths in zip(drawn, files, strict=True)]}
    html, markdown, results = folder / "report.html", folder / "report.md", folder / "results.csv"
    replace(html, template(html.name).render(view))
    in_markdown = escape.markdown(view) | {"command": escape.code(view["command"])}
    replace(markdown, template(markdown.name).render(in_markdown))
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")  # in less than half of the time that pandas takes
    writer.writerow(COLUMNS)
    writer.writerows(rows(arms))
    replace(results, table.getvalue())
    return html, markdown, results, tuple(path for pair in files for path in pair)


def default_folder(sources: Iterable[str | os.PathLike[str]]) -> Path:
    """Return where the report of `sources`, campaigns' folders or records, goes if nobody says: into their folder.

    That of several goes into the folder that holds them all, so that each keeps its own; into the first where that is
    the current or the root folder, which are nobody's.
    """
    paths = map(Path, sources)
    folders = list(dict.fromkeys(path if path.is_dir() else path.parent for path in paths))
    common, here = Path(os.path.commonpath([folder.resolve() for folder in folders])), Path.cwd()
    if len(folders) == 1 or common in (here, Path(common.anchor)):
        return folders[0]
    return common.relative_to(here) if common.is_relative_to(here) else common


def plan(arms: Mapping[str, Arm], baseline: str | None = None, pooled: Collection[str] = ()) -> list[tuple[str, str]]:
    """Return the pairs (baseline, candidate) of arms to compare, each arm but the first being a candidate.

    A named `baseline` is everybody's. Otherwise an arm that an earlier campaign has too is compared with itself
    before, and with the first arm of its own campaign; any other with the first arm of all, which is the CPU's.
    Arms whose names in the records are `pooled`, measured by several nodes, are compared within a node only.
    Raises ValueError for a baseline that is no arm.
    """
    if baseline is not None and baseline not in arms:
        message = f"there is no arm {baseline} to be the baseline, only {', '.join(arms)}"
        raise ValueError(message)
    if baseline is not None:
        return [(baseline, arm) for arm in arms if arm != baseline]
    first = next(iter(arms))
    firsts = {name: arm.records[0] for name, arm in arms.items()}
    names = {name: record.arm for name, record in firsts.items()}
    homes = {name: nodes.name(record) if record.arm in pooled else None for name, record in firsts.items()}
    places = {name: record.campaign for name, record in firsts.items()}
    pairs = []
    for arm in list(arms)[1:]:
        before = next(other for other in arms if (names[other], homes[other]) == (names[arm], homes[arm]))
        beside = next(other for other in arms if places[other] == places[arm])
        partners = [other for other in dict.fromkeys((before, beside)) if other != arm]
        apart = names[arm] in pooled and names[first] in pooled and homes[arm] != homes[first]
        pairs += [(other, arm) for other in partners or ([] if apart else [first])]
    return pairs


def pictures(arms: Arms, spreads: Sequence[Spread], comparisons: Sequence[Comparison]) -> list[Picture]:
    """Return the report's figures: those of all arms, and one of ratios for each comparison; none that is empty.

    Arms that are pooled over their nodes are drawn as one; comparisons of many single nodes have tables only.
    """
    by_node, by_run = arms.by_node, arms.by_run
    found = [Picture(*PICTURES["throughput"], figures.throughput(by_node))]
    told = _told(comparisons)
    for place, comparison in enumerate(told if len(told) <= MOST_RATIOS or not arms.over else (), start=1):
        name = "ratios" if len(told) == 1 else f"ratios-{place}"
        title = f"{comparison.candidate} against {comparison.baseline}"
        found.append(Picture(name, title, RATIOS, figures.ratios(comparison)))
    some = {
        "ladders": figures.ladders(by_node),
        "growths": figures.growths(by_node),
        "roofline": figures.roofline(by_run),
    }
    found += [Picture(*PICTURES[name], drawn) for name, drawn in some.items() if drawn is not None]
    if spreads:
        found.append(Picture("nodes", "Nodes beside each other", NODES, figures.nodes(spreads)))
    found.append(Picture(*PICTURES["warmup"], figures.warmup(by_node)))
    found.append(Picture(*PICTURES["rounds"], figures.rounds(by_run)))
    return [picture for picture in found if picture.figure.axes]


def rows(arms: Arms) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of results.csv: one for each workload, arm and run, in SI units, as `COLUMNS` names them."""
    for name, arm in arms.each.items():
        for record in arm.records:
            for result in record.results:
                yield (
                    *map(escape.spreadsheet, (result.workload, result.family, name, record.device, record.campaign)),
                    *(record.run, record.complete),
                    *(len(result.seconds), result.calls, result.images, result.median),
                    *(result.value if result.images else None, result.warmup_seconds, result.flop, result.bytes),
                    *(result.memory["host_peak_bytes"], result.memory["device_peak_bytes"]),
                )


def _compared(
    arms: Arms, baseline: str | None, margin: float, allow: frozenset[str]
) -> tuple[tuple[Comparison, ...], tuple[Refused, ...]]:
    """The comparisons of arms over their nodes, then of those by themselves, and those that had to be refused."""
    comparisons, refused = [], []
    first, *others = list(arms.over) or [""]
    pooled = {arm.records[0].arm for arm in arms.over.values()}
    for one, other in [*((first, name) for name in others), *plan(arms.each, baseline, pooled)]:
        sides, evidence = (arms.over, "node") if one in arms.over else (arms.each, "run")
        try:
            comparisons.append(compare.compare_arms(sides[one], sides[other], margin, allow, evidence=evidence))
        except NotComparable as error:
            refused.append(Refused(one, other, error))
    if len(arms.each) == 1 and not arms.over:
        refused += _unlike(next(iter(arms.each.values())), allow)
    return tuple(comparisons), tuple(refused)


def _unlike(arm: Arm, allow: frozenset[str]) -> list[Refused]:
    """Why the runs of the only arm are none of one thing, whose speed could be given; empty where they are."""
    first, others = arm.records[:1], arm.records[1:]
    try:
        compare.comparable(first, others, allow)
    except NotComparable as error:
        return [Refused(f"run {first[0].run} of {arm.name}", f"the other runs of {arm.name}", error)]
    return []


# --- the view: everything that the templates show, as plain text in tables


def _view(arms: Arms, comparisons: Sequence[Comparison], refused: Sequence[Refused]) -> dict[str, Any]:
    """What the report shows of its arms and comparisons; arms that are pooled are one where that hides nothing."""
    records, by_run, told = arms.records, arms.by_run, _told(comparisons)
    return {
        "dataset": answer.dataset(records),
        "comparisons": [_comparison(comparison) for comparison in told],
        "by_node": [_comparison(comparison) for comparison in comparisons if comparison not in told],
        "refused": [_refusal(refusal) for refusal in refused],
        "speeds": _speed_table(arms.each) if len(told) != 1 else None,
        "memory": _memory_table(by_run),
        "meanings": _meanings(records),
        "environment": _fact_table(arms.each, "environment"),
        "fingerprint": _fact_table(by_run, "fingerprint"),
        "files": _files(arms.each),
        "pooled": bool(arms.over),
        "campaigns": list(dict.fromkeys(record.campaign for record in records)),
        "runs": ", ".join(f"{name} {len(arm.records)}" for name, arm in by_run.items()),
    }


def _files(arms: Mapping[str, Arm]) -> list[Row]:
    """Each run with its arm, its start, and its file."""
    return [
        [name, str(record.run), record.started, record.path.name]
        for name, arm in arms.items()
        for record in arm.records
    ]


def _told(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The comparisons that are shown first: those over nodes, or all where there are none."""
    return [comparison for comparison in comparisons if comparison.evidence == "node"] or list(comparisons)


def _comparison(comparison: Comparison) -> dict[str, Any]:
    """A comparison's table and what was allowed."""
    counts = {verdict: sum(pair.verdict is verdict for pair in comparison.pairs) for verdict in Verdict}
    return {
        "baseline": comparison.baseline,
        "candidate": comparison.candidate,
        "margin": answer.percent(comparison.margin),
        "counts": ", ".join(f"{count} {verdict.value}" for verdict, count in counts.items() if count),
        "allowed": _differences(comparison.allowed),
        "evidence": f"{comparison.evidence}s",
        "rows": [_pair(pair) for pair in comparison.pairs],
    }


def _pair(pair: Pair) -> dict[str, str]:
    """One row of a comparison's table."""
    baseline, baseline_interval = in_unit(pair.baseline)
    candidate, candidate_interval = in_unit(pair.candidate)
    return {
        "workload": words(pair.workload),
        "name": pair.workload,
        "baseline": baseline,
        "baseline_interval": baseline_interval,
        "candidate": candidate,
        "candidate_interval": candidate_interval,
        "ratio": number(pair.ratio),
        "interval": f"{number(pair.interval.low)} to {number(pair.interval.high)}" if pair.interval else NONE,
        "verdict": pair.verdict.value,
        "reason": pair.reason,
        "p": probability(pair.p_adjusted),
        "runs": f"{pair.baseline.runs} and {pair.candidate.runs}",
    }


def _refusal(refusal: Refused) -> dict[str, Any]:
    """Why two arms have no ratio."""
    rows = _differences(refusal.error.differences)
    return {"baseline": refusal.baseline, "candidate": refusal.candidate, "rows": rows}


def _differences(fields: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]) -> list[Row]:
    """Fingerprint fields with both sides' values."""
    return [[field, " and ".join(one), " and ".join(other)] for field, (one, other) in fields.items()]


def _speed_table(arms: Mapping[str, Arm]) -> dict[str, Any]:
    """Every workload's speed on every arm, with its interval."""
    rows = []
    for workload, sides in by_workload(arms).items():
        speeds = {name: in_unit(estimate(results)) for name, results in sides.items()}
        rows.append([words(workload), *(speeds.get(name, (NONE, "")) for name in arms)])
    return {"arms": [answer.machine(arm) for arm in arms.values()], "rows": rows}


def _memory_table(arms: Mapping[str, Arm]) -> dict[str, Any]:
    """The largest peaks over an arm's runs, host and device."""
    rows = []
    for workload, sides in by_workload(arms).items():
        row = [words(workload)]
        for arm in arms:
            found = [result.memory for result in sides.get(arm, ())]
            for peak in ("host_peak_bytes", "device_peak_bytes"):
                known = [memory[peak] for memory in found if memory[peak] is not None]
                row.append(_bytes(max(known, default=None)))
        rows.append(row)
    return {"arms": list(arms), "rows": rows}


def _meanings(records: Sequence[Record]) -> list[str]:
    """What the peaks of memory mean, each sentence once."""
    return list(dict.fromkeys(result.memory["meaning"] for record in records for result in record.results))


def _fact_table(arms: Mapping[str, Arm], part: str) -> dict[str, Any]:
    """The flattened facts of each arm's runs; where runs differ, all values that occurred."""
    found: dict[str, dict[str, list[Any]]] = {}
    for arm in arms.values():
        said = (item for record in arm.records for item in getattr(record, part).items())
        # Runs that were loaded together share what they say alike.
        for key, value in {(key, id(value)): (key, value) for key, value in said}.values():
            for name, fact in answer.facts({key: value}).items():
                found.setdefault(name, {}).setdefault(arm.name, []).append(fact)
    rows = [[name, *(_values(values.get(arm, [])) for arm in arms)] for name, values in found.items()]
    return {"arms": list(arms), "rows": rows}


def _left_out(arms: Arms, comparisons: Sequence[Comparison]) -> tuple[LeftOut, ...]:
    """All that the tables do not hold, each once."""
    found = [entry for arm in arms.each.values() for entry in compare.gaps(arm)]
    found += [entry for comparison in comparisons for entry in comparison.left_out]
    return tuple(dict.fromkeys(found))


def _missing(left_out: Sequence[LeftOut]) -> list[Row]:
    """What was left out as rows: the workload, the arm and the reason."""
    return [
        [words(entry.workload) if entry.workload else "(whole run)", entry.arm, " ".join(entry.reason.split())]
        for entry in left_out
    ]


def _command(records: Sequence[Record], folder: Path, margin: float, allow: Sequence[str]) -> str:
    """The command that writes this report again, with the options that are not the default."""
    folders = list(dict.fromkeys(str(record.path.parent) for record in records))
    options = [f"--allow={field}" for field in allow]
    options += [f"--margin={margin}"] if margin != MARGIN else []
    options += [f"--out={folder}"] if folder.resolve() != default_folder(folders).resolve() else []
    return shlex.join(["cifar", "report", *folders, *options])


def shown(picture: Picture, png: Path, svg: Path) -> dict[str, Any]:
    """A picture for the templates; identifiers in its SVG get its name, for all share one page."""
    drawing = svg.read_text(encoding="utf-8")
    drawing = drawing[drawing.index("<svg") :]
    drawing = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{picture.name}-", drawing)
    label = Markup('<svg role="img" aria-label="{}"').format(plain(f"{picture.title}: {picture.text}"))
    drawing = drawing.replace("<svg", label, 1)
    return {
        "name": picture.name,
        "title": picture.title,
        "text": picture.text,
        "svg": Markup(drawing),  # noqa: S704 - drawn by matplotlib, which escapes what it is given
        "png": f"figures/{png.name}",
        "svg_file": f"figures/{svg.name}",
    }


# --- facts and numbers as text


def _values(values: Sequence[Any]) -> str:
    """The values of several runs in one cell: one, a range of numbers, or a list."""
    different = list(dict.fromkeys(map(_text, values)))
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(different) > 1 and len(numbers) == len(values):
        return f"{_text(min(numbers))} to {_text(max(numbers))}"
    return "; ".join(different)


def _text(value: object) -> str:
    """One fact as text."""
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    return number(value) if isinstance(value, float) else str(value)


def _bytes(value: int | None) -> str:
    """Bytes in MiB, a dash for unknown."""
    return NONE if value is None else f"{number(float(value) / 2**20)}\N{NO-BREAK SPACE}MiB"


def template(name: str) -> jinja2.Template:
    """The template of a page by its name, such as `report.html` or `report.md`; only HTML is escaped here."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=name.endswith(".html"),
        finalize=lambda value: plain(value) if type(value) is str else value,  # Markup stays Markup
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cell"] = escape.cell
    return environment.get_template(f"{name}.j2")
