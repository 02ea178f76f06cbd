"""What every command shares: exit codes, words to the user, and progress bars."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import argparse
    from pathlib import Path
    from types import FrameType

Progress = Callable[[str, int, int], None]

WRONG_USAGE = 2
NOT_COMPARABLE = 3
NOTHING_MEASURED = 4
INTERRUPTED = 130


class MissingDeviceError(RuntimeError):
    """A device that was asked for and cannot be had, with the reason."""


_SECONDS_BETWEEN_LINES = 3.0


def take_devices(parser: argparse.ArgumentParser) -> None:
    """Let a command be given devices, as its option `devices`."""
    parser.add_argument(
        "--device",
        action="append",
        dest="devices",
        metavar="DEVICE",
        help="cpu, gpu or gpu:N; may be repeated (default: all that this node has)",
    )


def say(message: str) -> None:
    """Print to stderr."""
    print(message, file=sys.stderr)


def check_new(*paths: Path) -> None:
    """Raise FileExistsError for a file that is there already."""
    for path in paths:
        if path.exists():
            message = f"{path} exists; name another --out, or delete it"
            raise FileExistsError(message)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGTERM, a batch system's warning, end the command as Ctrl-C does."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before: Any = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


_READER = """import sys
for line in sys.stdin.buffer:
    if not any(notice.encode() in line for notice in sys.argv[1:]):
        sys.stderr.buffer.write(line)
        sys.stderr.flush()
"""


@contextlib.contextmanager
def without(*notices: str) -> Iterator[None]:
    """Leave the lines that hold one of `notices` out of what this process and its libraries write to stderr meanwhile.

    All others pass as they come, through a process of its own, so that the last words of a crash are not lost.
    """
    command = [sys.executable, "-I", "-S", "-c", _READER, *notices]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as reader:  # noqa: S603 our own
        stream = cast("IO[bytes]", reader.stdin)
        sys.stderr.flush()
        before = os.dup(2)
        os.dup2(stream.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(before, 2)
            os.close(before)


@contextlib.contextmanager
def progress_bar() -> Iterator[Progress]:
    """A bar with the time left for each stretch of work; without a terminal, a line every few seconds."""
    from rich.console import Console  # noqa: PLC0415
    from rich.markup import escape  # noqa: PLC0415
    from rich.progress import Progress as Bars  # noqa: PLC0415

    # Not what Rich takes for a terminal: FORCE_COLOR, which Jupyter sets, makes any file one for it.
    draws = sys.stderr.isatty()
    # Printed lines stand above the bar, but only in a terminal: what is to go into a file goes there.
    with Bars(console=Console(stderr=True), disable=not draws, redirect_stdout=sys.stdout.isatty()) as bars:
        reached = total_now = 0
        said = float("-inf")
        task = None

        def progress(what: str, done: int, total: int) -> None:
            nonlocal reached, total_now, said, task
            if task is None or total != total_now or done < reached:
                task, total_now, reached = bars.add_task(escape(what), total=total), total, 0
            if not draws and (now := time.monotonic()) - said > _SECONDS_BETWEEN_LINES:
                say(f"{100 * done // max(1, total):3d} % {what}")
                said = now
            reached = done
            bars.update(task, description=escape(what), completed=done)

        yield progress
