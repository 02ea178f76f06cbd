"""What every command shares: exit codes, words to the user, and progress bars."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse
    from types import FrameType

    from rich.console import Console

from cifar.record.text import plain

Progress = Callable[[str, int, int], None]

WRONG_USAGE = 2
NOT_COMPARABLE = 3
NOTHING_MEASURED = 4
INTERRUPTED = 130


class MissingDeviceError(RuntimeError):
    """A device that was asked for and cannot be had, with the reason."""


_SECONDS_BETWEEN_LINES = 3.0
_WIDTH_OF_FILES = 200
"""Characters in a line of a table that goes to no terminal, whose own width would count."""


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
    """Print to stderr what may hold names from a file."""
    print(plain(message), file=sys.stderr)


def check_new(*paths: Path) -> None:
    """Raise FileExistsError for a file that is there already."""
    for path in paths:
        if path.exists():
            message = f"{path} exists; name another --out, or delete it"
            raise FileExistsError(message)


def new_folder(kind: str) -> Path:
    """Make and return a folder of this moment under `results`; of two commands in one second each has its own."""
    now = f"{datetime.now().astimezone():%Y%m%d-%H%M%S}"
    name = f"{kind}-{now}" if kind else now
    for folder in (Path("results") / f"{name}{suffix}" for suffix in ("", *(f"-{number}" for number in range(2, 100)))):
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    message = f"results/{name} and 98 others of this second exist; name the folder with --out"
    raise FileExistsError(message)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGTERM, a batch system's warning, and SIGHUP, a closed terminal, end the command as Ctrl-C does.

    What is ignored stays ignored: `nohup` lets a command outlive its terminal by that.
    """

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    numbers = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# --- streams


class _Patient(io.RawIOBase):
    """The bytes of a stream; from the time on that nobody reads it any more, they are dropped.

    A pipe into `head`, or a terminal that was closed, ends neither a campaign nor its judgement.
    """

    def __init__(self, number: int) -> None:
        """Write to the descriptor `number`."""
        self._number, self._is_read = number, True
        self.error: OSError | None = None

    def write(self, data: Any, /) -> int:
        """Write what the reader takes, or drop it; what is lost on a full disk leaves the `error`."""
        if self._is_read:
            try:
                return os.write(self._number, data)
            except OSError as error:
                self._is_read = False
                self.error = None if error.errno in {errno.EPIPE, errno.EIO} else error
        return len(data)

    def writable(self) -> bool:
        """Say yes."""
        return True

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._number

    def isatty(self) -> bool:
        """Say whether it is a terminal."""
        return os.isatty(self._number)


def check_printed() -> bool:
    """Whether all that was printed to stdout is where it was to go, as far as anybody reads it."""
    sys.stdout.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if not isinstance(raw, _Patient) or raw.error is None:
        return True
    say(f"what was printed is not whole ({raw.error.strerror}): make room where stdout goes")
    return False


def steady_streams() -> None:
    """Make what this process prints safe: whatever its text, its terminal's alphabet, and whether anybody reads it.

    Characters that the terminal does not have are written out in ASCII.  Closed streams are opened on nothing, or the
    next file that is opened would take their place.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        if stream is not None and stream is not getattr(sys, f"__{name}__"):
            continue  # somebody else's, such as a notebook's
        encoding = stream.encoding if stream is not None else "utf-8"
        patient = _Patient(number)
        text = io.TextIOWrapper(
            io.BufferedWriter(patient),
            encoding,
            "backslashreplace",
            line_buffering=number == 2 or patient.isatty(),  # noqa: PLR2004
        )
        setattr(sys, name, text)


def console() -> Console:
    """Return Rich's console of stdout; a terminal is what is one, not what FORCE_COLOR says, and a file is wide."""
    from rich.console import Console

    is_terminal = sys.stdout.isatty()
    return Console(force_terminal=is_terminal, width=None if is_terminal else _WIDTH_OF_FILES)


@contextlib.contextmanager
def progress_bar() -> Iterator[Progress]:
    """A bar with the time left for each stretch of work; without a terminal, a line every few seconds."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress as Bars

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
