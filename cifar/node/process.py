"""Processes that measure or try something are started here: by this interpreter, in an environment of our making.

What a user's environment says to Python, pytest and Keras is for the user's own programs.  It must not decide which
workloads are measured, in which order, or on which network.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import selectors
import signal
import site
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, NamedTuple

import cifar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_KEPT = {"PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED", "PYTHONHOME", "PYTHONNOUSERSITE", "PYTHONPYCACHEPREFIX"}
_KEPT |= {"PYTHONUSERBASE"}
"""What says to Python where it finds itself and its packages; all else is left out."""
_LEFT_OUT = ("COVERAGE_", "COV_CORE_", "KERAS_", "PYTEST_", "PYTHON", "PY_COLORS", "FORCE_COLOR", "_PYTEST")

_PARENT, _LOCK = "CIFAR_PARENT", "CIFAR_LOCK"
"""Variables that tell a run which process started it, and the descriptor of the campaign's lock."""
_GRACE_SECONDS = 10.0
_LOOK_SECONDS = 0.5
_KILL_ON_DEATH = 1
"""PR_SET_PDEATHSIG of prctl(2)."""


def environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables for a process of ours, made from `environ` (default: this process's).

    Python's, pytest's, coverage's and Keras's own are left out, but for those that say where packages are.  Keras
    reads no `keras.json`, computes by TensorFlow, and pytest loads no plug-in that is not named to it.  The process
    imports this very package, wherever it is started.
    """
    environ = os.environ if environ is None else environ
    kept = {name: value for name, value in environ.items() if name in _KEPT or not name.startswith(_LEFT_OUT)}
    # An empty entry stands for the working folder, whose files are none of ours.
    folders = [str(Path(entry).absolute()) for entry in environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    ours = str(Path(cifar.__file__).resolve().parents[1])
    if ours not in {*map(os.path.realpath, site.getsitepackages()), os.path.realpath(site.getusersitepackages())}:
        folders = [ours, *(folder for folder in folders if folder != ours)]  # a checkout
    if folders:
        kept["PYTHONPATH"] = os.pathsep.join(folders)
    return kept | {
        "HDF5_USE_FILE_LOCKING": "FALSE",  # some file systems have no locks; our files are replaced, never changed
        "KERAS_BACKEND": "tensorflow",
        "KERAS_HOME": os.devnull,  # a folder that can have no keras.json
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONSAFEPATH": "1",  # as -P, for what a library starts: pytest-benchmark asks py-cpuinfo in a process
        "PYTHONUNBUFFERED": "1",
        "PYTHONUTF8": "1",
    }


def python(*arguments: str) -> list[str]:
    """Return this interpreter's command line with `arguments`; modules in the working folder are not looked for."""
    return [sys.executable, "-P", *arguments]


# --- a process that answers a question


class Finished(NamedTuple):
    """How a process came to its end, and what it had printed by then."""

    code: int | None
    """The exit code; None where it was ended at its deadline."""
    out: str
    err: str


def run(
    command: Sequence[str], *, seconds: float, environ: Mapping[str, str] | None = None, given: str = ""
) -> Finished:
    """Run a command that reads `given`, and end it with all that it started when `seconds` have gone by.

    `environ` are its variables (default: `environment()`).  Bytes that are no UTF-8 come back as Python keeps them in
    the names of files.  Raises OSError where it cannot be started.
    """
    with _memory("in") as stdin, _memory("out") as stdout, _memory("err") as stderr:
        stdin.write(os.fsencode(given))
        stdin.seek(0)
        process = subprocess.Popen(
            list(command),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=environment() if environ is None else dict(environ),
            start_new_session=True,
        )
        code: int | None = None
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = process.wait(seconds)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # its group is its own
                process.wait()
        texts = []
        for stream in (stdout, stderr):
            stream.seek(0)
            texts.append(stream.read(_MOST_READ).decode("utf-8", "surrogateescape"))
    return Finished(code, *texts)


_MOST_READ = 16 << 20
"""Bytes of what a process prints that are read."""


def _memory(name: str) -> IO[bytes]:
    """A file in memory: it needs no disk, and unlike a pipe it is not held open by what a process leaves behind."""
    return open(os.memfd_create(name), "w+b")  # noqa: PTH123 a descriptor


# --- a process that is watched


class Ended(NamedTuple):
    """How a watched process ended: its exit code, negative for a signal, and whether it was past its deadline."""

    code: int
    late: bool


def watched(  # noqa: PLR0913 what runs, where it writes, and how it is watched
    command: Sequence[str],
    environ: Mapping[str, str],
    log: Path,
    lock: int,
    *,
    read: Callable[[str], None],
    deadline: Callable[[], float],
) -> Ended:
    """Run `command` to its end, or until `deadline()` seconds have passed, and return how it ended.

    What it prints goes into the file `log`, and by pieces to `read`; `lock` is a descriptor that it inherits, so that
    the lock falls only when it has ended too.  Nothing that it started is left when this returns or raises: not when
    it is interrupted, and not where a process that it started keeps its output open.
    """
    began = time.monotonic()
    log.unlink(missing_ok=True)  # a link there is not followed
    with log.open("xb") as file:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=file,
            env={**environ, _PARENT: str(os.getpid()), _LOCK: str(lock)},
            pass_fds=[lock],
            start_new_session=True,
        )
        late = False
        try:
            for data in _output(process):
                _keep(data, file)
                read(data.decode(errors="replace"))
                late = time.monotonic() - began > deadline()
                if late:
                    _ask_where_it_is(process)
                    break
        finally:
            _end(process)
    return Ended(process.returncode, late)


def _output(process: subprocess.Popen[bytes]) -> Iterator[bytes]:
    """What the process prints, as it comes, and nothing now and then; until it has ended, whoever still may print."""
    assert process.stdout is not None  # noqa: S101 it is a pipe
    number = process.stdout.fileno()
    open_ended = True
    with selectors.DefaultSelector() as selector:
        selector.register(number, selectors.EVENT_READ)
        while True:
            ended = _has_ended(process)
            if open_ended and selector.select(0 if ended else _LOOK_SECONDS):
                data = os.read(number, 1 << 16)
                open_ended = bool(data)
                yield data
                continue
            if ended:
                return
            if not open_ended:
                time.sleep(_LOOK_SECONDS)
            yield b""


def _keep(data: bytes, log: BinaryIO) -> None:
    """Add what a process printed to its log."""
    try:
        log.write(data)
        log.flush()
    except OSError as error:
        message = f"{log.name} could not be written ({error.strerror}): make room, and continue with --resume"
        raise OSError(error.errno, message) from error


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether the process has ended; its number stays taken, so that what it started can be ended by it."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _ask_where_it_is(process: subprocess.Popen[bytes]) -> None:
    """Let a process that hangs write into its log where it is; see `die_with_parent`."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGUSR1)
    time.sleep(_LOOK_SECONDS)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and all that it started: first kindly, then not."""
    try:
        _signal_group(process, signal.SIGTERM)
        until = time.monotonic() + _GRACE_SECONDS
        while not _has_ended(process) and time.monotonic() < until:
            time.sleep(_LOOK_SECONDS / 10)
    finally:
        _signal_group(process, signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal to the process and to all that it started and that stayed in its group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


# --- on the other side: a process that was started by `watched`


def die_with_parent() -> None:
    """Let the kernel end this process when the one that started it by `watched` ends, however that ends.

    If that has ended already, this process ends at once.  Where nobody watches it, nothing happens.
    Source: man 2 PR_SET_PDEATHSIG.
    """
    parent = os.environ.get(_PARENT)
    if parent is None:
        return
    if ctypes.CDLL(None, use_errno=True).prctl(_KILL_ON_DEATH, signal.SIGKILL, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        message = f"the kernel does not end a process with its parent ({os.strerror(number)})"
        raise OSError(number, message)
    if os.getppid() != int(parent):
        os._exit(1)


def locks() -> tuple[int, ...]:
    """Return the descriptor of the campaign's lock, for `pass_fds` of what a run starts; none where nobody watches."""
    number = os.environ.get(_LOCK)
    return () if number is None else (int(number),)
