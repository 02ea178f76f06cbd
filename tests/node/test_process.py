"""The environment of the processes that measure: what is the caller's, and what is ours."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import cifar
from cifar.node import process
from cifar.record import files

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
    assert made["PYTHONPATH"].endswith(f"/a{os.pathsep}{Path('b').absolute()}")
    ours = process.environment({"PYTHONPATH": ""}).get("PYTHONPATH", "")
    assert ours in {"", str(Path(cifar.__file__).parents[1])}


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


def watch(tmp_path, program, seconds=60.0):
    """Watch a Python program to its end; how it ended, and what it said."""
    said = []
    with files.held(tmp_path, "measuring") as lock:
        ended = process.watched(
            process.python("-c", program),
            process.environment(),
            tmp_path / "log",
            lock,
            read=said.append,
            deadline=lambda: seconds,
        )
    return ended, "".join(said)


def alive(number):
    """Whether a process runs: it is there and no zombie."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{number}/status").read_text()
    except FileNotFoundError:
        return False


def wait_until(condition, seconds=30.0):
    """Wait until the condition holds; fail if it does not."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it took too long"
        time.sleep(0.05)


def test_process_to_its_end(tmp_path):
    """All that a process prints is told and kept, stderr kept beside it; its code is returned."""
    ended, said = watch(tmp_path, "import os; os.write(1, b'out\\n'); os.write(2, b'err\\n'); os._exit(3)")
    assert ended == (3, False)
    assert said == "out\n"
    assert (tmp_path / "log").read_text() in {"out\nerr\n", "err\nout\n"}


@pytest.mark.parametrize(
    "program",
    [
        "import time; time.sleep(1000)",
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(1000)",
        "import re; re.match('(a+)+$', 'a' * 60 + 'b')",
        "import os, time; os.close(1); time.sleep(1000)",
        "while True: print('x' * 1000)",
    ],
    ids=["sleeps", "ignores SIGTERM", "spins in C", "closes its output", "prints for ever"],
)
def test_process_that_hangs(tmp_path, monkeypatch, program):
    """A process past its deadline is ended, whatever it does."""
    monkeypatch.setattr(process, "_GRACE_SECONDS", 1.0)
    ended, _ = watch(tmp_path, program, seconds=1.0)
    assert ended.late
    assert ended.code < 0


@pytest.mark.parametrize("loose", [False, True])
def test_process_whose_child_holds_the_pipe(tmp_path, loose):
    """The end of a process is its end, also where something that it started keeps its output open; that is ended."""
    program = f"""import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"], start_new_session={loose})
print(child.pid)"""
    ended, said = watch(tmp_path, program)
    assert ended == (0, False)
    try:
        if not loose:
            wait_until(lambda: not alive(int(said)))
    finally:
        if loose:
            os.kill(int(said), signal.SIGKILL)  # who leaves the group is nobody's to find


PARENT = """import sys
from pathlib import Path
from cifar.node import process
from cifar.record import files
folder = Path(sys.argv[1])
with files.held(folder, "measuring") as lock:
    process.watched(process.python("-c", sys.argv[2]), process.environment(), folder / "log", lock,
                    read=lambda said: None, deadline=lambda: 1000.0)
"""
CHILD = """import os, time
from cifar.node import process
process.die_with_parent()
print(os.getpid(), flush=True)
time.sleep(1000)
"""


@pytest.mark.parametrize("careless", [False, True])
def test_parent_that_is_killed(tmp_path, careless):
    """A run does not outlive a parent that was killed; one that should, holds the folder as long as it lives."""
    child = CHILD.replace("process.die_with_parent()\n", "") if careless else CHILD
    command = process.python("-c", PARENT, str(tmp_path), child)
    parent = subprocess.Popen(command, env=process.environment())
    wait_until(lambda: (tmp_path / "log").exists() and (tmp_path / "log").read_text().strip())
    number = int((tmp_path / "log").read_text())
    parent.kill()
    parent.wait()
    if careless:
        with pytest.raises(BlockingIOError, match="another process is measuring"), files.held(tmp_path, "measuring"):
            pass
        os.kill(number, signal.SIGKILL)
    wait_until(lambda: not alive(number))
    with files.held(tmp_path, "measuring"):
        pass


def test_process_that_comes_after_its_parent():
    """A run whose parent is gone before it has asked the kernel ends at once."""
    environ = process.environment() | {"CIFAR_PARENT": "1"}
    program = "from cifar.node import process; process.die_with_parent(); print('still here')"
    done = subprocess.run(process.python("-c", program), env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")


def test_package_of_the_parent_is_measured(tmp_path):
    """Another checkout's package in the working folder is not imported in place of the one that starts the process."""
    (tmp_path / "cifar").mkdir()
    (tmp_path / "cifar" / "__init__.py").write_text("raise SystemExit('the other one')")
    program = "import cifar; print(cifar.__file__)"
    for environ in ({}, {"PYTHONPATH": str(tmp_path)}):
        done = subprocess.run(
            process.python("-c", program),
            cwd=tmp_path,
            env=process.environment({**os.environ, **environ}),
            capture_output=True,
            text=True,
            check=False,
        )
        assert Path(done.stdout.strip()) == Path(cifar.__file__), done.stderr


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
