"""The command `cifar`: parse, call, print; nothing else.  Heavy modules are imported by the command that needs them."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cifar.measure.campaign import Plan
    from cifar.report.record import Record

Progress = Callable[[str, int, int], None]

WRONG_USAGE = 2
NOT_COMPARABLE = 3
NOTHING_MEASURED = 4
INTERRUPTED = 130

_SECONDS_BETWEEN_LINES = 3.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line `arguments` (default: the process's) and return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except KeyboardInterrupt:
        _say("interrupted")
        return INTERRUPTED
    except (OSError, ValueError) as error:
        _say(f"cifar {options.name}: {error}")
        return WRONG_USAGE


def _parser() -> argparse.ArgumentParser:
    """The command line; every command's function is its `command`."""
    parser = argparse.ArgumentParser(
        prog="cifar", description="How does this GPU compare with this CPU on deep learning, and why?"
    )
    parser.add_argument("--version", action="version", version=f"cifar-bench {version('cifar-bench')}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, dest="name")
    for add in (_add_prepare, _add_bench, _add_compare, _add_report):
        add(commands)
    return parser


# --- cifar prepare ------------------------------------------------------------------------------------------


def _add_prepare(commands: Any) -> None:  # noqa: ANN401 argparse keeps this class to itself
    """`cifar prepare`."""
    parser = commands.add_parser("prepare", help="make the HDF5 file of CIFAR-10, or of a made-up stand-in")
    parser.set_defaults(command=_prepare)
    origin = parser.add_mutually_exclusive_group()
    origin.add_argument("--source", type=Path, help="CIFAR-10's archive or folder (default: found here, or downloaded)")
    origin.add_argument("--synthetic", action="store_true", help="make up a stand-in that needs no network")
    parser.add_argument("--seed", type=int, default=0, help="of the stand-in (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="the HDF5 file (default: in the user's cache)")


def _prepare(options: argparse.Namespace) -> int:
    """Make the file and print where it is and what is in it."""
    from cifar.workload import dataset  # noqa: PLC0415

    target = options.out or dataset.default_path(synthetic=options.synthetic)
    with _progress() as progress:
        if options.synthetic:
            dataset.prepare_synthetic(target, options.seed, progress=progress)
        else:
            dataset.prepare(target, options.source, progress=progress)
    print(_described(dataset.describe(target)))
    return 0


def _described(found: Any) -> str:  # noqa: ANN401 importing its class here would import h5py
    """A dataset in one line."""
    what = "stand-in for CIFAR-10 (made up)" if found.synthetic else "CIFAR-10"
    return f"{what}: {found.train:,} + {found.valid:,} images, digest {found.digest[:12]}, in {found.path}"


# --- cifar bench --------------------------------------------------------------------------------------------


def _add_bench(commands: Any) -> None:  # noqa: ANN401
    """`cifar bench`."""
    parser = commands.add_parser("bench", help="measure each device in fresh, interleaved processes, and report")
    parser.set_defaults(command=_bench)
    parser.add_argument(
        "--device",
        action="append",
        dest="devices",
        metavar="DEVICE",
        help="cpu, gpu or gpu:N; may be repeated (default: all that this node has)",
    )
    parser.add_argument("--runs", type=int, help="processes a device (default: 5; 3 with --quick, 10 with --thorough)")
    effort = parser.add_mutually_exclusive_group()
    effort.add_argument("--quick", action="store_const", dest="effort", const="quick", help="about a minute a device")
    effort.add_argument("--thorough", action="store_const", dest="effort", const="thorough", help="up to an hour")
    parser.add_argument("--only", metavar="EXPR", help="measure only these workloads, e.g. 'training or startup'")
    parser.add_argument("--dataset", type=Path, help="an HDF5 file of `cifar prepare`, or CIFAR-10's archive or folder")
    parser.add_argument("--out", type=Path, help="the campaign's folder (default: results/<time>)")
    parser.add_argument("--resume", action="store_true", help="continue the campaign in --out, or the latest one")
    _add_judgement(parser)


def _bench(options: argparse.Namespace) -> int:
    """Measure, report, and judge."""
    from cifar.measure import campaign  # noqa: PLC0415
    from cifar.report import compare  # noqa: PLC0415

    if options.fail_on:
        compare.loss(options.fail_on)  # a slip is told now, not after the measurement
    if options.resume:
        folder = options.out or campaign.latest(Path("results"))
        plan = campaign.resume(folder)
        _check_dataset(plan)
    else:
        plan = _plan(options)
        if plan.missing_gpu and any(device.startswith("gpu") for device in plan.devices):
            _say(f"there is no GPU to measure: {plan.missing_gpu}")
            return NOTHING_MEASURED
        folder = options.out or Path("results") / f"{datetime.now().astimezone():%Y%m%d-%H%M%S}"
        campaign.start(folder, plan)
    print(f"Measuring {', '.join(plan.arms)}: {plan.runs} runs each, {plan.effort}, into {folder}")
    if plan.missing_gpu:
        print(f"No GPU is measured: {plan.missing_gpu}")
    try:
        with _progress() as progress:
            failures = campaign.run(folder, plan, progress=progress)
    except KeyboardInterrupt:
        _say(f"interrupted; finished runs are kept: continue with `cifar bench --resume --out {folder}`")
        return INTERRUPTED
    for failure in failures:
        _say(failure)
    return _report_campaign(options, folder, plan) or (NOTHING_MEASURED if failures else 0)


def _plan(options: argparse.Namespace) -> Plan:
    """What to measure; says what was decided where nothing was asked for."""
    from cifar.measure import campaign, devices  # noqa: PLC0415

    effort = options.effort or "default"
    runs = {"quick": 3, "default": 5, "thorough": 10}[effort] if options.runs is None else options.runs
    if runs < 1:
        message = f"--runs {runs}: at least one run is needed, and at least two for an interval"
        raise ValueError(message)
    found = _dataset(options.dataset)
    survey = devices.survey()
    gpu_is_wanted = not options.devices or any(device.startswith("gpu") for device in options.devices)
    return campaign.Plan(
        devices=tuple(options.devices or survey.devices),
        runs=runs,
        effort=effort,
        dataset=str(found.path.resolve()),
        digest=found.digest,
        only=options.only,
        missing_gpu=survey.missing_gpu if gpu_is_wanted else None,
    )


def _dataset(named: Path | None) -> Any:  # noqa: ANN401 importing its class here would import h5py
    """Describe the dataset to measure on, made ready, and print which one it is, and why."""
    import h5py  # noqa: PLC0415

    from cifar.workload import dataset  # noqa: PLC0415

    with _progress() as progress:
        if named is None:
            path = dataset.default_path()
            if not path.exists():
                path = dataset.prepare_synthetic(dataset.default_path(synthetic=True), progress=progress)
        elif named.is_file() and h5py.is_hdf5(named):
            path = named
        else:
            path = dataset.prepare(dataset.default_path(), named, progress=progress)
        found = dataset.describe(path)
        dataset.lesson_layout(path, progress=progress)
    print(f"Dataset: {_described(found)}")
    if named is None and found.synthetic:
        print("CIFAR-10 itself was not prepared; `cifar prepare` does that, and --dataset names another file.")
    return found


def _check_dataset(plan: Plan) -> None:
    """Raise ValueError when the campaign's dataset is not what it was."""
    from cifar.workload import dataset  # noqa: PLC0415

    found = dataset.describe(Path(plan.dataset))
    if found.digest != plan.digest:
        message = f"{plan.dataset} is not the dataset that the campaign began with; start a new one with another --out"
        raise ValueError(message)
    print(f"Dataset: {_described(found)}")


def _report_campaign(options: argparse.Namespace, folder: Path, plan: Plan) -> int:
    """Write and print what a campaign's records say; the exit code of the judgement that was asked for."""
    from cifar.report import record  # noqa: PLC0415

    records = record.load(folder)
    if not any(found.results for found in records):
        _say(f"nothing was measured; the logs in {folder} say why")
        return NOTHING_MEASURED
    missing = [arm for arm in plan.arms if not any(found.arm == arm for found in records)]
    for arm in missing:
        _say(f"{arm} has no record: it is missing from the report")
    return _write(options, records, folder, _notes([folder])) or (NOTHING_MEASURED if missing else 0)


def _notes(paths: Sequence[Path]) -> list[str]:
    """Why a GPU is missing from the campaigns among `paths`, each reason once."""
    from cifar.measure import campaign  # noqa: PLC0415

    plans = [campaign.resume(path) for path in paths if (path / campaign.PLAN).exists()]
    return [f"No GPU was measured: {reason}" for reason in dict.fromkeys(plan.missing_gpu for plan in plans) if reason]


# --- cifar compare and cifar report -------------------------------------------------------------------------


def _add_judgement(parser: argparse.ArgumentParser) -> None:
    """The options of every command that compares."""
    parser.add_argument("--margin", type=float, default=0.05, help="ratios within it are EQUIVALENT (default: 0.05)")
    parser.add_argument("--fail-on", metavar="slower:5%", help="exit with 1 when a workload is that much slower")
    parser.add_argument("--strict", action="store_true", help="exit with 5 when a workload is INCONCLUSIVE")
    parser.add_argument(
        "--allow", action="append", default=[], metavar="FIELD", help="compare although FIELD differs; may be repeated"
    )


def _add_compare(commands: Any) -> None:  # noqa: ANN401
    """`cifar compare`."""
    parser = commands.add_parser("compare", help="say for each workload which of two arms is faster")
    parser.set_defaults(command=_compare)
    parser.add_argument("baseline", help="a campaign's folder or a record; FOLDER@ARM where it holds several arms")
    parser.add_argument("candidate", nargs="?", help="the same (default: the other arm in the first folder)")
    _add_judgement(parser)


def _compare(options: argparse.Namespace) -> int:
    """Compare two arms and print a table."""
    from cifar.report import compare  # noqa: PLC0415

    baseline, candidate = _sides(options.baseline, options.candidate)
    try:
        comparison = compare.compare(baseline, candidate, options.margin, options.allow)
    except compare.NotComparable as error:
        _say(str(error))
        return NOT_COMPARABLE
    _print_comparison(comparison)
    return compare.exit_code(comparison, options.fail_on, strict=options.strict)


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
    from cifar.report import record  # noqa: PLC0415

    path, _, arm = argument.partition("@") if not Path(argument).exists() else (argument, "", "")
    arms: dict[str, list[Record]] = {}
    for found in record.load(Path(path)):
        arms.setdefault(found.arm, []).append(found)
    if arm and arm not in arms:
        message = f"{path} holds no arm {arm}, only {', '.join(arms)}"
        raise ValueError(message)
    return {arm: arms[arm]} if arm else arms


def _add_report(commands: Any) -> None:  # noqa: ANN401
    """`cifar report`."""
    parser = commands.add_parser("report", help="write the report of any number of campaigns")
    parser.set_defaults(command=_report)
    parser.add_argument("paths", nargs="*", type=Path, help="campaigns' folders or records (default: the latest)")
    parser.add_argument("--out", type=Path, help="the report's folder (default: the first of PATHS)")
    _add_judgement(parser)


def _report(options: argparse.Namespace) -> int:
    """Write the report and print its comparisons."""
    from cifar.measure import campaign  # noqa: PLC0415
    from cifar.report import record  # noqa: PLC0415

    paths = options.paths or [campaign.latest(Path("results"))]
    folder = options.out or (paths[0] if paths[0].is_dir() else paths[0].parent)
    return _write(options, record.load(*paths), folder, _notes(paths))


def _write(options: argparse.Namespace, records: list[Record], folder: Path, notes: Sequence[str]) -> int:
    """Write the report into `folder`, print its answer and its tables, and return the exit code."""
    from cifar.report import compare, page  # noqa: PLC0415

    report = page.write(records, folder, margin=options.margin, allow=options.allow, notes=notes)
    for comparison in report.comparisons:
        _print_comparison(comparison)
    for refused in report.refused:
        _say(f"{refused.candidate} and {refused.baseline} are {refused.error}")
    print(report.answer)
    print(f"Report: {report.html}")
    codes = [compare.exit_code(found, options.fail_on, strict=options.strict) for found in report.comparisons]
    codes += [NOT_COMPARABLE for _ in report.refused]
    return next((code for code in (1, NOT_COMPARABLE, NOTHING_MEASURED, 5) if code in codes), 0)


def _print_comparison(comparison: Any) -> None:  # noqa: ANN401 importing its class here would import numpy
    """Print a table of verdicts, then what was left out."""
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    from cifar.report import compare  # noqa: PLC0415

    table = Table(title=f"{comparison.candidate} against {comparison.baseline}")
    for column in compare.HEADER:
        table.add_column(column)
    for row in compare.rows(comparison):
        table.add_row(*row)
    Console().print(table)
    for left_out in comparison.left_out:
        print(f"left out: {left_out.workload or 'a whole run'} on {left_out.arm}: {left_out.reason}")
    for field, sides in comparison.allowed.items():
        print(f"allowed to differ: {field}: {' and '.join(sides[0])} against {' and '.join(sides[1])}")


# --- words and bars -----------------------------------------------------------------------------------------


def _say(message: str) -> None:
    """Print to stderr."""
    print(message, file=sys.stderr)


@contextlib.contextmanager
def _progress() -> Iterator[Progress]:
    """A bar with the time left for each stretch of work; without a terminal, a line every few seconds."""
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import Progress as Bars  # noqa: PLC0415

    console = Console(stderr=True)
    with Bars(console=console, disable=not console.is_terminal) as bars:
        reached = total_now = 0
        said = float("-inf")
        task = None

        def progress(what: str, done: int, total: int) -> None:
            nonlocal reached, total_now, said, task
            if task is None or total != total_now or done < reached:
                task, total_now, reached = bars.add_task(what, total=total), total, 0
            if not console.is_terminal and (now := time.monotonic()) - said > _SECONDS_BETWEEN_LINES:
                _say(f"{100 * done // max(1, total):3d} % {what}")
                said = now
            reached = done
            bars.update(task, description=what, completed=done)

        yield progress
