"""How the processes are started that measure or try something: by this interpreter, in an environment of our making.

What a user's environment says to Python, pytest and Keras is for the user's own programs.  It must not decide which
workloads are measured, in which order, or on which network.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from typing import IO, TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_KEPT = {"PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED", "PYTHONHOME", "PYTHONNOUSERSITE", "PYTHONPYCACHEPREFIX"}
_KEPT |= {"PYTHONUSERBASE"}
"""What says to Python where it finds itself and its packages; all else is left out."""
_LEFT_OUT = ("COVERAGE_", "COV_CORE_", "KERAS_", "PYTEST_", "PYTHON", "PY_COLORS", "FORCE_COLOR", "_PYTEST")


def environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables for a process of ours, made from `environ` (default: this process's).

    Python's, pytest's, coverage's and Keras's own are left out, but for those that say where packages are.  Keras
    reads no `keras.json`, computes by TensorFlow, and pytest loads no plug-in that is not named to it.
    """
    environ = os.environ if environ is None else environ
    kept = {name: value for name, value in environ.items() if name in _KEPT or not name.startswith(_LEFT_OUT)}
    # An empty entry stands for the working folder, whose files are none of ours.
    folders = [os.path.abspath(entry) for entry in environ.get("PYTHONPATH", "").split(os.pathsep) if entry]  # noqa: PTH100
    if folders:
        kept["PYTHONPATH"] = os.pathsep.join(folders)
    return kept | {
        "KERAS_BACKEND": "tensorflow",
        "KERAS_HOME": os.devnull,  # a folder that can have no keras.json
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONUTF8": "1",
    }


def python(*arguments: str) -> list[str]:
    """Return this interpreter's command line with `arguments`; modules in the working folder are not looked for."""
    return [sys.executable, "-P", *arguments]


class Ended(NamedTuple):
    """How a process came to its end, and what it had printed by then."""

    code: int | None
    """The exit code; None where it was ended at its deadline."""
    out: str
    err: str


def run(command: Sequence[str], *, seconds: float, environ: Mapping[str, str] | None = None, given: str = "") -> Ended:
    """Run a command that reads `given`, and end it with all that it started when `seconds` have gone by.

    `environ` are its variables (default: `environment()`).  Bytes that are no UTF-8 come back as Python keeps them in
    the names of files.  Raises OSError where it cannot be started.
    """
    with _memory("in") as stdin, _memory("out") as stdout, _memory("err") as stderr:
        stdin.write(os.fsencode(given))
        stdin.seek(0)
        process = subprocess.Popen(  # noqa: S603 no shell
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
    return Ended(code, *texts)


_MOST_READ = 16 << 20
"""Bytes of what a process prints that are read."""


def _memory(name: str) -> IO[bytes]:
    """A file in memory: it needs no disk, and unlike a pipe it is not held open by what a process leaves behind."""
    return open(os.memfd_create(name), "w+b")  # noqa: PTH123 a descriptor
