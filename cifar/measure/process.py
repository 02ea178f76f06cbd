"""How the processes are started that measure or try something: by this interpreter, in an environment of our making.

What a user's environment says to Python, pytest and Keras is for the user's own programs.  It must not decide which
workloads are measured, in which order, or on which network.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

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
        "HDF5_USE_FILE_LOCKING": "FALSE",  # some file systems have no locks; our files are replaced, never changed
        "KERAS_BACKEND": "tensorflow",
        "KERAS_HOME": os.devnull,  # a folder that can have no keras.json
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONUTF8": "1",
    }


def python(*arguments: str) -> list[str]:
    """Return this interpreter's command line with `arguments`; modules in the working folder are not looked for."""
    return [sys.executable, "-P", *arguments]
