"""From the command line to a campaign and its report: `cifar bench`."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cifar.cli.data import described, ready
from cifar.cli.report import add_judgement, write_report
from cifar.cli.terminal import (
    INTERRUPTED,
    NOTHING_MEASURED,
    MissingDeviceError,
    interruptible,
    new_folder,
    progress_bar,
    say,
    take_devices,
)
from cifar.record.text import plain

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from cifar.backend.survey import Survey
    from cifar.measure.campaign import Plan

_LONGEST = 1e7
"""Seconds of the longest deadline, some months."""


def add_bench(commands: Any) -> None:
    """`cifar bench`."""
    parser = commands.add_parser("bench", help="measure each device in fresh, interleaved processes, and report")
    parser.set_defaults(command=_bench)
    take_devices(parser)
    parser.add_argument(
        "--runs", type=int, help="processes a device (default: 5; 3 with --quick, 10 with --thorough); --resume adds"
    )
    effort = parser.add_mutually_exclusive_group()
    effort.add_argument("--quick", action="store_const", dest="effort", const="quick", help="about a minute a device")
    effort.add_argument("--thorough", action="store_const", dest="effort", const="thorough", help="up to an hour")
    parser.add_argument(
        "--deadline", type=float, metavar="SECONDS", help="end a run that takes longer, and go on (default: by effort)"
    )
    parser.add_argument("--only", metavar="EXPR", help="measure only these workloads, e.g. 'training or startup'")
    parser.add_argument("--dataset", type=Path, help="an HDF5 file of `cifar prepare`, or CIFAR-10's archive or folder")
    parser.add_argument("--out", type=Path, help="the campaign's folder (default: results/<time>)")
    parser.add_argument(
        "--resume", action="store_true", help="continue the campaign in --out, or the latest one, with its own options"
    )
    add_judgement(parser)


def _bench(options: argparse.Namespace) -> int:
    """Measure, report, and judge."""
    if options.deadline is not None and not 0 < options.deadline < _LONGEST:
        message = f"--deadline {options.deadline:g}: give the seconds that one run may take, above 0"
        raise ValueError(message)
    if not 0 < options.margin < math.inf:
        message = f"--margin {options.margin}: give a number above 0, such as 0.05 for 5 %"
        raise ValueError(message)
    with interruptible():
        return (_resumed if options.resume else _begun)(options)


def _begun(options: argparse.Namespace) -> int:
    """Begin a campaign in a new folder."""
    from cifar.backend.device import number_of
    from cifar.measure import campaign

    for device in options.devices or ():
        number_of(device)  # a slip is told now, not by every run
    if options.runs is not None and not 1 <= options.runs <= campaign.MOST_RUNS:
        message = f"--runs {options.runs}: give 1 to {campaign.MOST_RUNS:,}; at least two are needed for an interval"
        raise ValueError(message)
    plan = _plan(options)
    campaign.check_only(plan)
    folder = options.out or new_folder("")
    campaign.make_folder(folder)
    with campaign.held(folder) as lock:
        campaign.start(folder, plan)
        _examine(folder, plan)
        return _measured(options, folder, plan, lock)


def _resumed(options: argparse.Namespace) -> int:
    """Go on with a campaign; its plan is changed only by who holds its folder."""
    from cifar.measure import campaign

    folder = options.out or campaign.latest(Path("results"))
    campaign.resume(folder)  # where there is none, nothing is left there
    with campaign.held(folder) as lock:
        plan = campaign.resume(folder)
        _check_options(options, folder, plan)
        campaign.check_records(folder, plan)
        _check_dataset(plan)
        if options.runs is not None or campaign.left(folder, plan):
            campaign.check_only(plan)
        if options.runs is not None:
            plan = campaign.extend(folder, plan, options.runs)
        return _measured(options, folder, plan, lock)


def _measured(options: argparse.Namespace, folder: Path, plan: Plan, lock: int) -> int:
    """Measure what is left of the plan, then report it."""
    from cifar.measure import campaign

    if options.deadline is not None:
        plan = dataclasses.replace(plan, deadline_seconds=options.deadline)
    print(plain(f"Measuring {', '.join(plan.arms)}: {plan.runs} runs each, {plan.effort}, into {folder}"))
    if plan.missing_gpu:
        print(plain(f"No GPU is measured: {plan.missing_gpu}"))
    try:
        with progress_bar() as progress:
            failures = campaign.run(folder, plan, lock, progress=progress)
    except KeyboardInterrupt:
        say(f"interrupted; finished runs are kept: continue with `cifar bench --resume --out {folder}`")
        return INTERRUPTED
    for failure in failures:
        say(failure)
    return _report_campaign(options, folder, plan) or (NOTHING_MEASURED if failures else 0)


def _examine(folder: Path, plan: Plan) -> None:
    """Keep with the campaign what was wrong with the node when it began; say what may spoil the numbers."""
    from cifar.measure import doctor
    from cifar.record import files

    found = list(doctor.glance(doctor.Node({"results": folder, "data": Path(plan.dataset).parent})))
    files.replace(folder / "doctor.txt", "".join(f"{finding.line}\n" for finding in found))
    for finding in found:
        if finding.status in {"warn", "fail"}:
            say(f"{finding.check}: {finding.said}" + (f" -> {finding.remedy}" if finding.remedy else ""))


def _plan(options: argparse.Namespace) -> Plan:
    """What to measure; says what was decided where nothing was asked for."""
    from cifar.backend import survey
    from cifar.measure import campaign

    effort = options.effort or "default"
    runs = {"quick": 3, "default": 5, "thorough": 10}[effort] if options.runs is None else options.runs
    found = _dataset(options.dataset)
    there = survey.take()
    if there.further and not options.devices:
        say(f"not measured, for only the first GPU is: {', '.join(there.further)}; name them with --device")
    gpu_is_wanted = not options.devices or any(device.startswith("gpu") for device in options.devices)
    _check_there(options.devices or (), there)
    return campaign.Plan(
        devices=tuple(options.devices or there.devices),
        runs=runs,
        effort=effort,
        dataset=str(found.path.resolve()),
        digest=found.digest,
        only=options.only,
        missing_gpu=there.missing_gpu if gpu_is_wanted else None,
        deadline_seconds=options.deadline,
    )


def _check_there(asked: Sequence[str], survey: Survey) -> None:
    """Raise MissingDeviceError for a GPU that was asked for and that this node does not have."""
    from cifar.backend.device import number_of

    there = {number_of(device): device for device in (*survey.devices, *survey.further)}
    for device in asked:
        if number_of(device) not in there:
            why = survey.missing_gpu or f"there are {', '.join(there.values())}: name one of these"
            message = f"there is no {device} to measure: {why}"
            raise MissingDeviceError(message)


def _dataset(named: Path | None) -> Any:
    """Describe the dataset to measure on, made ready in both layouts."""
    from cifar.data import dataset

    found = ready(named)
    with progress_bar() as progress:
        dataset.lesson_layout(found.path, progress=progress)
    return found


def _check_options(options: argparse.Namespace, folder: Path, plan: Plan) -> None:
    """Raise ValueError, with all that differs, where options beside --resume are not those of the campaign."""
    differences = []
    if options.devices and sorted(options.devices) != sorted(plan.devices):
        differences.append(f"--device {', '.join(options.devices)} (it has {', '.join(plan.devices)})")
    if options.effort not in (None, plan.effort):
        differences.append(f"--{options.effort} (its effort is {plan.effort})")
    if options.only not in (None, plan.only):
        differences.append(f"--only {options.only!r} (it has {repr(plan.only) if plan.only else 'all workloads'})")
    if options.dataset and options.dataset.resolve() != Path(plan.dataset):
        found = ready(options.dataset)
        if found.digest != plan.digest:
            differences.append(f"--dataset {options.dataset} (it has {plan.dataset}, digest {plan.digest[:12]})")
    if differences:
        message = (
            f"the campaign in {folder} did not begin with {', '.join(differences)}: "
            "leave that out to go on with it, or start a new one with another --out"
        )
        raise ValueError(message)


def _check_dataset(plan: Plan) -> None:
    """Raise ValueError when the campaign's dataset is not what it was."""
    from cifar.data import dataset

    with progress_bar() as progress:
        found = dataset.verified(Path(plan.dataset), progress=progress)
    if found.digest != plan.digest:
        message = f"{plan.dataset} is not the dataset that the campaign began with; start a new one with another --out"
        raise ValueError(message)
    print(f"Dataset: {described(found)}")


def _report_campaign(options: argparse.Namespace, folder: Path, plan: Plan) -> int:
    """Write and print what a campaign's records say; the exit code of the judgement that was asked for."""
    from cifar.record import reading

    records = reading.load(folder)
    if not any(found.results for found in records):
        say(f"nothing was measured; the logs in {folder} say why")
        return NOTHING_MEASURED
    missing = [arm for arm in plan.arms if not any(found.arm == arm for found in records)]
    for arm in missing:
        say(f"{arm} has no record: it is missing from the report")
    return write_report(options, records, folder, [folder]) or (NOTHING_MEASURED if missing else 0)
