"""The environment of the processes that measure: what is the caller's, and what is ours."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cifar.measure import process

DECIDES = {
    "PYTEST_ADDOPTS": "-k interpreter",
    "PYTEST_PLUGINS": "nothing",
    "PYTHONOPTIMIZE": "2",
    "PYTHONWARNINGS": "error",
    "PYTHONPROFILEIMPORTTIME": "1",
    "COVERAGE_PROCESS_START": "x",
    "KERAS_HOME": "/elsewhere",
    "KERAS_BACKEND": "theano",
    "FORCE_COLOR": "1",
}
"""Variables by which a user's environment would decide what is measured, or how it is told."""


def test_what_decides_is_left_out():
    """What a user says to pytest, Python, coverage and Keras does not reach a process of ours; all else does."""
    given = {**DECIDES, "PATH": "/bin", "XLA_FLAGS": "--x", "OMP_NUM_THREADS": "2", "PYTHONUSERBASE": "/u"}
    made = process.environment(given)
    assert {name: made[name] for name in ("PATH", "XLA_FLAGS", "OMP_NUM_THREADS", "PYTHONUSERBASE")} == {
        name: given[name] for name in ("PATH", "XLA_FLAGS", "OMP_NUM_THREADS", "PYTHONUSERBASE")
    }
    assert not {name for name, value in DECIDES.items() if made.get(name) == value}
    assert made["KERAS_BACKEND"] == "tensorflow"


def test_environment_is_made_once():
    """A process of ours that starts another one hands on what it was given."""
    made = process.environment({"PATH": "/bin", "PYTHONPATH": "/a"})
    assert process.environment(made) == made


def test_pythonpath_without_the_working_folder():
    """Folders of PYTHONPATH stay, for a site may keep packages there; an empty entry, the working folder, does not."""
    made = process.environment({"PYTHONPATH": f":/a{os.pathsep}b:"})
    assert made["PYTHONPATH"] == f"/a{os.pathsep}{Path('b').absolute()}"
    assert "PYTHONPATH" not in process.environment({"PYTHONPATH": ""})


@pytest.mark.parametrize("name", ["random.py", "json.py", "cifar.py", "numpy.py"])
def test_files_of_the_working_folder_are_not_executed(tmp_path, name):
    """A file that is called like a module we import is not imported, wherever we were called from."""
    (tmp_path / name).write_text("raise SystemExit('executed')")
    program = "import random, json, numpy, cifar.report; print('ready')"
    done = subprocess.run(
        process.python("-c", program),
        cwd=tmp_path,
        env=process.environment({**os.environ, "PYTHONPATH": ""}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "ready\n", done.stderr
    assert process.python()[0] == sys.executable


class TestRun:
    """A process of ours comes to its end, or is ended."""

    def test_ended(self):
        """Code and words come back, also bytes that are no text."""
        code = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read() + b'\\xe9'); sys.exit(3)"
        done = process.run(process.python("-c", code), seconds=60, given="given")
        assert (done.code, done.out, done.err) == (3, "given\udce9", "")

    def test_deadline(self):
        """At its deadline it is ended, with what it started and what holds its output open."""
        code = "import subprocess; print('begun', flush=True); subprocess.run(['sleep', '600'])"
        done = process.run(process.python("-c", code), seconds=2)
        assert (done.code, done.out) == (None, "begun\n")

    def test_cannot_be_started(self, tmp_path):
        """A folder is no program."""
        with pytest.raises(OSError, match="denied"):
            process.run([str(tmp_path)], seconds=1)
