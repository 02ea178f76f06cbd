"""Pictures are the same to the byte, whatever a user's matplotlib, its variables and the locale say."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import matplotlib as mpl
import pytest

from cifar.record.reading import load
from cifar.report.figures import speed, style

from .handmade import grouped

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Write

    from cifar.report.arms import Arm

HOSTILE = """
text.usetex: True
text.color: white
axes.labelcolor: white
xtick.color: white
axes.formatter.use_locale: True
figure.facecolor: black
font.family: nonsense
font.size: 30
lines.linewidth: 9
savefig.dpi: 20
savefig.format: pdf
savefig.transparent: True
"""
"""A user's settings, under which text is white on white, and set by a TeX that is not there."""
PROGRAM = """
import hashlib, sys
from pathlib import Path
from cifar.lesson import page
from cifar.report.figures import rounds, speed, style
from cifar.record.reading import load
from cifar.report.grouping import group
import numpy as np
folder = Path(sys.argv[2])
arms = group(load(Path(sys.argv[1]))).each
files = [*style.save(rounds.draw(arms), folder, "rounds"), *style.save(speed.draw(arms), folder, "all")]
images = np.arange(14 * 32 * 32 * 3, dtype=np.uint32).astype(np.uint8).reshape(14, 32, 32, 3)
files += [page.write_samples(folder / name, images, ["frog"] * 14) for name in ("samples.png", "samples.svg")]
print(*[hashlib.sha256(file.read_bytes()).hexdigest() for file in files])
"""


@pytest.fixture
def records(write: Write, tmp_path: Path) -> Path:
    """A folder with the record of one run of a few workloads."""
    folder = tmp_path / "records"
    write(folder, workloads={"training[feed=memory]": (10, 1.0), "forward[batch=32,input=host]": (32, 0.01)}, rounds=5)
    return folder


@pytest.fixture
def one(records: Path) -> dict[str, Arm]:
    """That run as the only one of its arm."""
    return grouped(load(records))


def drawn(records: Path, folder: Path, **variables: str) -> list[str]:
    """The digests of pictures that are drawn by a fresh process in `folder`."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-c", PROGRAM, str(records), str(folder)]
    environ = {**os.environ, **variables}
    done = subprocess.run(command, env=environ, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_pictures_depend_on_no_settings(records: Path, tmp_path: Path) -> None:
    """A hostile matplotlibrc, one that is no text or no file, other backends and another locale change no byte."""
    plain = drawn(records, tmp_path / "plain")
    for place in ("here", "latin"):
        (tmp_path / place).mkdir()
    (tmp_path / "here" / "matplotlibrc").write_text(HOSTILE)
    (tmp_path / "latin" / "matplotlibrc").write_bytes(b"# f\xfcr\n")
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / "matplotlibrc")
    home = tmp_path / "home" / ".config" / "matplotlib"
    home.mkdir(parents=True)
    (home / "matplotlibrc").write_text(HOSTILE)
    assert drawn(records, tmp_path / "here", MPLBACKEND="module://matplotlib_inline.backend_inline") == plain
    assert drawn(records, tmp_path / "latin", MPLBACKEND="nonsense", LC_ALL="de_DE.UTF-8") == plain
    assert drawn(records, tmp_path / "pipe", MATPLOTLIBRC=str(tmp_path / "here"), LC_ALL="C") == plain
    users = {"HOME": str(tmp_path / "home"), "XDG_CONFIG_HOME": "", "MPLBACKEND": "qtagg"}
    assert drawn(records, tmp_path / "other", **users) == plain


def test_a_notebooks_own_settings_are_neither_used_nor_changed(one: dict[str, Arm]) -> None:
    """What was set before a picture is drawn is not seen in it, and stands as it was afterwards."""
    plain = style.png(speed.draw(one))
    with mpl.rc_context({"text.color": "white", "lines.linewidth": 9, "axes.facecolor": "black"}):
        before = dict(mpl.rcParams)
        assert style.png(speed.draw(one)) == plain
        assert dict(mpl.rcParams) == before


def test_a_notebook_keeps_its_settings(tmp_path: Path) -> None:
    """Whoever imports matplotlib after us finds the user's own settings and backend."""
    (tmp_path / "matplotlibrc").write_text("lines.linewidth: 9\n")
    program = (
        "import os; from cifar.lesson import page; import matplotlib as mpl;"
        "print(mpl.rcParams['lines.linewidth'], mpl.rcParams['backend'], os.environ['MPLBACKEND'], os.getcwd())"
    )
    environ = {**os.environ, "MPLBACKEND": "svg"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["9.0", "svg", "svg", str(tmp_path)]


def test_planted_links_are_replaced(one: dict[str, Arm], tmp_path: Path) -> None:
    """A link where a picture is to be is not followed, and no name leads out of the folder."""
    victim = tmp_path / "victim"
    victim.write_text("mine")
    for name in ("a.png", "a.svg", "samples.png"):
        (tmp_path / name).symlink_to(victim)
    figure = speed.draw(one)
    paths = style.save(figure, tmp_path, "a")
    assert not any(path.is_symlink() for path in paths)
    with pytest.raises(ValueError, match="is no name of a file"):
        style.save(figure, tmp_path / "in", "../b")
    assert victim.read_text() == "mine"
