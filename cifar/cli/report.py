"""From the command line to what records say: `cifar compare` and `cifar report`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cifar.cli.terminal import NOT_COMPARABLE, NOTHING_MEASURED, console, say
from cifar.record.text import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cifar.measure.plan import Plan
    from cifar.record.model import Record
    from cifar.report.comparison import LeftOut
    from cifar.report.nodes import Spread

_WIDE = 140
_NARROW = ("workload", "ratio (95 % interval)", "verdict")
"""Where a terminal has fewer characters, these columns alone are printed; the report has them all."""


def _print(text: str) -> None:
    """Print what stands in files, without what a terminal would obey."""
    print(plain(text))


def add_judgement(parser: argparse.ArgumentParser) -> None:
    """The options of every command that compares."""
    parser.add_argument("--margin", type=_margin, default=0.05, help="ratios within it are EQUIVALENT (default: 0.05)")
    slower = "exit with 1 when a workload is that much slower or fails"
    parser.add_argument("--fail-on", type=_gate, metavar="slower:5%", help=slower)
    parser.add_argument("--strict", action="store_true", help="exit with 5 when a workload is INCONCLUSIVE")
    differs = "compare although FIELD differs; may be repeated"
    parser.add_argument("--allow", type=_field, action="append", default=[], metavar="FIELD", help=differs)


def _margin(text: str) -> float:
    """A margin of equivalence, above 0 and below 1."""
    try:
        margin = float(text)
    except ValueError:
        margin = 0.0
    if not 0 < margin < 1:
        message = f"{text[:20]} is no margin above 0 and below 1, such as 0.05 for 5 %"
        raise argparse.ArgumentTypeError(message)
    return margin


def _gate(text: str) -> str:
    """A gate, as it was written; a slip is told before anything is measured or written."""
    from cifar.report import gate

    try:
        gate.loss(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def _field(text: str) -> str:
    """A field of the fingerprint, which may differ."""
    from cifar.record.fingerprint import fingerprint

    fields = sorted(fingerprint({}))
    if text not in fields:
        message = f"{text[:40]!r} is no field of a fingerprint; there are {', '.join(fields)}"
        raise argparse.ArgumentTypeError(message)
    return text


def add_compare(commands: Any) -> None:
    """`cifar compare`."""
    parser = commands.add_parser("compare", help="say for each workload which of two arms is faster")
    parser.set_defaults(command=_compare)
    parser.add_argument("baseline", help="a campaign's folder or a record; FOLDER@ARM where it holds several arms")
    parser.add_argument("candidate", nargs="?", help="the same (default: the other arm in the first folder)")
    add_judgement(parser)


def _compare(options: argparse.Namespace) -> int:
    """Compare two arms and print a table."""
    from cifar.report.compare import compare
    from cifar.report.comparison import NotComparable

    baseline, candidate = _sides(options.baseline, options.candidate)
    try:
        comparison = compare(baseline, candidate, options.margin, options.allow)
    except NotComparable as error:
        say(plain(str(error)))
        return NOT_COMPARABLE
    _print_comparison(comparison)
    _print_failed(comparison.left_out)
    return _judged(comparison, options)


def _sides(baseline: str, candidate: str | None) -> tuple[list[Record], list[Record]]:
    """The records of both sides; ValueError where it is not clear which arms are meant."""
    first = _arms(baseline)
    if candidate is None:
        if len(first) != 2:  # noqa: PLR2004 a comparison has two sides
            message = f"{baseline} holds the arms {', '.join(first)}; name two: FOLDER@ARM FOLDER@ARM"
            raise ValueError(message)
        one, other = first.values()
        return one, other
    second = _arms(candidate)
    common = [arm for arm in first if arm in second]
    if len(first) == len(second) == 1:
        return next(iter(first.values())), next(iter(second.values()))
    if len(common) != 1:
        message = (
            f"which arms? {baseline} holds {', '.join(first)}; {candidate} holds {', '.join(second)}: name FOLDER@ARM"
        )
        raise ValueError(message)
    return first[common[0]], second[common[0]]


def _arms(argument: str) -> dict[str, list[Record]]:
    """Arm to records of PATH or PATH@ARM."""
    from cifar.record import archive, reading, sources

    path, _, arm = argument.partition("@") if not archive.exists(Path(argument)) else (argument, "", "")
    _plans(sources.find([path]).used)  # what contradicts its plan, or has a damaged one, is not compared
    arms: dict[str, list[Record]] = {}
    for found in reading.load(Path(path)):
        arms.setdefault(found.arm, []).append(found)
    if arm and arm not in arms:
        message = f"{path} holds no arm {arm}, only {', '.join(arms)}"
        raise ValueError(message)
    return {arm: arms[arm]} if arm else arms


def add_report(commands: Any) -> None:
    """`cifar report`."""
    parser = commands.add_parser("report", help="write the report of any number of campaigns")
    parser.set_defaults(command=_report)
    parser.add_argument(
        "paths",
        nargs="*",
        type=Path,
        help="campaigns' folders, also packed as ZIP files, or records (default: the latest)",
    )
    parser.add_argument(
        "--out", type=Path, help="the report's folder (default: the campaign's, of several the one that holds them all)"
    )
    add_judgement(parser)


def _report(options: argparse.Namespace) -> int:
    """Write the report and print its comparisons."""
    from cifar.measure import campaign
    from cifar.record import reading, sources
    from cifar.report import page

    found = sources.find(options.paths or [campaign.latest(Path("results"))])
    for reason in found.passed_over:
        say(plain(f"passed over: {reason}"))
    paths = found.used
    return write_report(options, reading.load(*paths), options.out or page.default_folder(paths), paths)


def write_report(options: argparse.Namespace, records: list[Record], folder: Path, sources: Sequence[Path]) -> int:
    """Write the report of `records`, which stand in `sources`, into `folder`; print its answer and its tables.

    Returns the exit code of the judgement that was asked for.
    """
    from cifar.report import page, planned

    gpus, missing = _missing_gpus(sources), planned.missing(records, sources)
    try:
        report = page.write(
            records, folder, margin=options.margin, allow=options.allow, missing_gpu=gpus, missing=missing
        )
    except OSError as error:
        remedy = "make room, or let `cifar report` write it elsewhere by --out"
        reason = os.strerror(error.errno) if error.errno else error
        message = f"the report could not be written into {folder} ({reason}): {remedy}"
        raise OSError(error.errno, message) from error
    for comparison in report.comparisons:
        _print_comparison(comparison)
    _print_left_out(missing)
    _print_failed(report.left_out)
    for refused in report.refused:
        say(f"{refused.candidate} and {refused.baseline} are {refused.error}")
    _print(report.answer)
    for note in report.notes[len(gpus) :]:
        _print(note)
    print(f"Report: {report.html}")
    codes = [_judged(found, options) for found in report.comparisons]
    codes += [_judged_nodes(report.spreads, options.fail_on)]
    codes += [NOT_COMPARABLE for _ in report.refused]
    return next((code for code in (1, NOT_COMPARABLE, NOTHING_MEASURED, 5) if code in codes), 0)


def _judged(comparison: Any, options: argparse.Namespace) -> int:
    """The exit code of a comparison; what hits the gate is printed."""
    from cifar.report import gate

    for hit in gate.hits(comparison, options.fail_on) if options.fail_on is not None else ():
        _print(hit)
    return gate.exit_code(comparison, options.fail_on, strict=options.strict)


def _judged_nodes(spreads: Sequence[Spread], fail_on: str | None) -> int:
    """1 where a node is off by more than the gate lets go, which is printed, else 0."""
    from cifar.report import gate, nodes

    hits = nodes.slower(spreads, 1 - gate.loss(fail_on)) if fail_on is not None else []
    for hit in hits:
        _print(f"{fail_on} is hit: {hit}")
    return int(bool(hits))


def _missing_gpus(paths: Sequence[Path]) -> list[tuple[str, str]]:
    """Why a GPU is missing from the campaigns among `paths`, each reason once, with its remedy."""
    whys = dict.fromkeys(plan.missing_gpu for plan in _plans(paths) if plan.missing_gpu)
    return [(why.reason, why.remedy) for why in whys]


def _plans(paths: Sequence[Path]) -> list[Plan]:
    """The plans of the campaigns among `paths`; ValueError for one that is damaged."""
    from cifar.measure import campaign
    from cifar.record import plan

    return [campaign.resume(path) for path in paths if plan.exists(path)]


def _print_comparison(comparison: Any) -> None:
    """Print a table of verdicts, without the speeds where the terminal is narrow, then what was left out."""
    from rich.markup import escape
    from rich.table import Table

    from cifar.report import text

    stdout = console()
    shown = [column for column in text.HEADER if stdout.width >= _WIDE or column in _NARROW]
    table = Table(title=escape(plain(f"{comparison.candidate} against {comparison.baseline}")))
    for column in shown:
        table.add_column(column, overflow="fold")
    for row in text.rows(comparison):
        cells = dict(zip(text.HEADER, row, strict=True))
        table.add_row(*(escape(plain(cells[column])) for column in shown))
    stdout.print(table)
    _print_left_out(comparison.left_out)
    for field, sides in comparison.allowed.items():
        _print(f"allowed to differ: {field}: {' and '.join(sides[0])} against {' and '.join(sides[1])}")


def _print_left_out(left_out: Sequence[LeftOut]) -> None:
    """Print a line for each thing that was left out."""
    for entry in left_out:
        _print(f"left out: {entry.workload or 'a whole run'} on {entry.arm}: {entry.reason}")


def _print_failed(left_out: Sequence[LeftOut]) -> None:
    """Print for each arm which workloads failed, among all that was left out."""
    failed: dict[str, dict[str, None]] = {}
    for entry in left_out:
        if entry.failed:
            failed.setdefault(entry.arm, {})[entry.workload] = None
    for arm, workloads in failed.items():
        _print(f"{len(workloads)} workload{'s' * (len(workloads) > 1)} failed on {arm}: {', '.join(workloads)}")
