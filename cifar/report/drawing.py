"""Matplotlib with settings that are wholly ours, so that a picture is the same whoever draws it.

Import this module before anything of matplotlib's, which reads a user's settings when it is imported.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#8A8A8A",
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "figure.constrained_layout.h_pad": 0.08,
    "figure.constrained_layout.hspace": 0.03,
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "grid.color": "#E3E3E3",
    "legend.frameon": False,
    "svg.fonttype": "path",
    "svg.hashsalt": "cifar-bench",
    "text.parse_math": False,  # dollars in a name are dollars
}
"""Where ours are not matplotlib's defaults."""
_READ = ("MPLBACKEND", "MATPLOTLIBRC")


@contextlib.contextmanager
def settings() -> Iterator[None]:
    """Draw under matplotlib's defaults and `STYLE`, whatever a user's file or notebook has set.

    Afterwards all is as before.  The backend is no part of it: a file is drawn by the canvas that is named for it.
    """
    mpl = _matplotlib()
    defaults = {name: value for name, value in mpl.rcParamsDefault.items() if name != "backend"}
    with mpl.rc_context(defaults | STYLE):
        yield


def _matplotlib() -> ModuleType:
    """Matplotlib; a user's settings that cannot be read, or name a backend that is none, do not reach its import."""
    if "matplotlib" in sys.modules:
        return sys.modules["matplotlib"]
    users = {name: os.environ.pop(name) for name in _READ if name in os.environ}
    os.environ["MATPLOTLIBRC"] = os.devnull
    try:
        with _away():
            mpl = importlib.import_module("matplotlib")
    finally:
        del os.environ["MATPLOTLIBRC"]
        os.environ |= users
    _give_back(mpl, users.get("MPLBACKEND"))
    return mpl


@contextlib.contextmanager
def _away() -> Iterator[None]:
    """Leave the working folder, whose `matplotlibrc` comes before that of any variable."""
    if not os.path.lexists("matplotlibrc"):
        yield
        return
    here = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    os.chdir("/")
    try:
        yield
    finally:
        os.fchdir(here)
        os.close(here)


def _give_back(mpl: ModuleType, backend: str | None) -> None:
    """Let a notebook's own figures have the user's settings, as far as matplotlib can read them."""
    file = Path(mpl.matplotlib_fname())
    with contextlib.suppress(OSError, ValueError):
        if file.is_file():  # and no pipe that nobody writes to
            mpl.rcParams.update(mpl.rc_params_from_file(file, use_default_template=False))
    with contextlib.suppress(ValueError):
        if backend:
            mpl.rcParams["backend"] = backend


_matplotlib()
