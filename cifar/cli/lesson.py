"""From the command line through the lesson: all of its steps, on each device, into one folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cifar.backend.loading import load
from cifar.cli.data import ready
from cifar.cli.terminal import INTERRUPTED, NOTHING_MEASURED, interruptible, new_folder, say, take_devices
from cifar.cli.train import seed
from cifar.lesson import parts as lessons
from cifar.record import files

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from cifar.lesson.parts import Part


def add_lesson(commands: Any) -> None:
    """`cifar lesson`."""
    parser = commands.add_parser("lesson", help="every step of the lesson on each device, told on one page")
    parser.set_defaults(command=_lesson)
    take_devices(parser)
    parser.add_argument("--epochs", default="10", metavar="N[,N]", help="one number, or one a device (default: 10)")
    parser.add_argument("--seed", default=0, type=seed, help="of weights, batches and dropout (default: 0)")
    parser.add_argument("--deterministic", action="store_true", help="the same bits every time; slower")
    parser.add_argument("--dataset", type=Path, help="an HDF5 file of `cifar prepare`, or CIFAR-10's archive or folder")
    parser.add_argument("--out", type=Path, help="the lesson's folder (default: results/lesson-<time>)")
    parser.add_argument("--resume", action="store_true", help="continue the lesson in --out")


def _lesson(options: argparse.Namespace) -> int:
    """Train, evaluate and predict on each device, each in a process of its own; then write the page."""
    from cifar.backend import survey
    from cifar.backend.device import number_of

    _check_folder(options.out, resume=options.resume)
    there = survey.take()
    chosen = options.devices or list(there.devices)
    for device in chosen:
        number_of(device)  # a slip is told now, not by the training
    parts = lessons.parts(options.out or Path(), chosen, options.epochs)
    if there.missing_gpu and any(device.startswith("gpu") for device in chosen):
        say(f"there is no GPU for the lesson: {there.missing_gpu}")
        return NOTHING_MEASURED
    data = _data(options, parts)
    folder = options.out or new_folder("lesson")
    folder.mkdir(parents=True, exist_ok=True)
    parts = lessons.parts(folder, chosen, options.epochs)
    only_cpu = all(part.device == "cpu" for part in parts)
    notes = [lessons.other_half(there.missing_gpu)] if only_cpu else []
    with interruptible(), files.held(folder, "doing the lesson") as lock:
        _check_folder(folder, resume=options.resume)  # again, now that nobody else writes there
        files.sweep(folder)
        if code := _run(options, folder, parts, data, lock):
            return code
        print(f"Lesson: {lessons.write_page(folder, parts, data, notes)}")
    return 0


def _check_folder(folder: Path | None, *, resume: bool) -> None:
    """Raise where the folder holds something and is not to be resumed, or is to be resumed and holds nothing."""
    if resume and (folder is None or not folder.is_dir()):
        message = f"{folder} holds no lesson; begin one without --resume" if folder else "--resume needs --out"
        raise FileNotFoundError(message)
    if not resume and folder is not None and not files.is_unused(folder):
        message = f"{folder} is not empty; name another --out, or continue that lesson with --resume"
        raise FileExistsError(message)


def _data(options: argparse.Namespace, parts: Sequence[Part]) -> Path:
    """The dataset's file; for a lesson that is resumed, the one that it began with."""
    begun = [part.folder for part in parts if part.has_begun]
    if options.resume and begun:
        load()
        from cifar.lesson import run as runs

        return runs.check_dataset(runs.load(begun[0]), options.dataset)
    path: Path = ready(options.dataset).path
    return path


def _run(options: argparse.Namespace, folder: Path, parts: Sequence[Part], data: Path, lock: int) -> int:
    """Print and run each command that is still to do; 0, or the exit code of the first that fails."""
    commands = []
    for part in parts:
        commands += part.unfinished(str(data), options.seed, deterministic=options.deterministic)
    for command in commands:
        print(f"$ {lessons.line(command)}", flush=True)
        code = lessons.run(command, lock)
        if code is None:
            code = INTERRUPTED
        if code:
            say(f"`cifar {command[0]}` ended with code {code}: continue with `cifar lesson --resume --out {folder}`")
            return code
    return 0
