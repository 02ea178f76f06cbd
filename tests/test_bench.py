"""The whole way, from `cifar bench` to its report, in real processes on a small dataset."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cifar.measure import campaign
from cifar.record import reading

pytestmark = pytest.mark.slow


def cifar(*arguments, **options):
    """Run the command in a process of its own, to its end."""
    command = [sys.executable, "-P", "-m", "cifar", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def begun(*arguments):
    """Start the command in a process of its own."""
    command = [sys.executable, "-m", "cifar", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for(path, process):
    """Wait until the record `path` is complete."""
    deadline = time.monotonic() + 120
    while not campaign.is_complete(path):
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline, f"{path} is not complete after 120 s"
        time.sleep(0.05)


def wait_for_run(path, process):
    """Wait until the run that writes the record `path` is under way."""
    deadline = time.monotonic() + 120
    while f"--record={path}" not in "".join(commands()):
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline, f"the run of {path} has not begun after 120 s"
        time.sleep(0.05)


def commands():
    """The command lines of all processes, their words apart by NUL."""
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            yield file.read_bytes().decode(errors="replace")


def runs_of(folder):
    """The command lines of the processes that measure into `folder`."""
    return [command for command in commands() if f"--record={folder}/" in command]


def test_device_against_itself(small, tmp_path):
    """One command measures two arms in turn, writes the report and prints a verdict for each workload."""
    done = cifar(
        *("bench", "--quick", "--runs", 2, "--device", "cpu", "--device", "cpu"),
        *("--only", "ours or first", "--dataset", small, "--out", tmp_path / "new"),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Dataset: stand-in for CIFAR-10")
    records = reading.load(tmp_path / "new")
    assert {(found.arm, found.run) for found in records} == {(arm, run) for arm in ("cpu", "cpu#2") for run in (1, 2)}
    order = sorted(records, key=lambda found: (tmp_path / "new" / f"{found.arm}-{found.run}.log").stat().st_ctime_ns)
    assert [found.arm for found in order] == ["cpu", "cpu#2", "cpu#2", "cpu"]
    for found in records:
        assert found.complete
        assert {result.workload for result in found.results} == {
            "generator[by=ours,batch=250]",
            "generator[by=ours,batch=32]",
            "startup[stage=first-batch]",
            "startup[stage=first-step]",
        }
        assert all(result.checks for result in found.results)
    html = (tmp_path / "new" / "report.html").read_text()
    assert "cpu#2" in html
    assert "stand-in" in html
    compared = cifar("compare", tmp_path / "new")
    assert compared.returncode == 0, compared.stderr
    assert any(verdict in compared.stdout for verdict in ("EQUIVALENT", "INCONCLUSIVE"))
    assert "generator[by=ours,batch=250]" in compared.stdout


def test_campaign_that_was_ended_goes_on(small, tmp_path):
    """Ctrl-C, a batch system's SIGTERM, a closed terminal and a kill -9 end the run under way, and no finished one.

    The first three say how to go on; --resume then measures what is missing, and more runs if asked.
    """
    folder = tmp_path / "new"
    process = begun(
        *("bench", "--quick", "--runs", 2, "--device", "cpu", "--only", "first-batch"),
        *("--dataset", small, "--out", folder),
    )
    wait_for(folder / "cpu-1.json", process)
    first = (folder / "cpu-1.json").read_bytes()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL):
        wait_for_run(folder / "cpu-2.json", process)
        process.send_signal(number)
        printed, _ = process.communicate(timeout=60)
        assert process.returncode == (-number if number == signal.SIGKILL else 130), printed
        assert number == signal.SIGKILL or f"cifar bench --resume --out {folder}" in printed
        until = time.monotonic() + 10
        while runs_of(folder):
            assert time.monotonic() < until, f"the run under way has outlived its campaign, which {number!r} ended"
            time.sleep(0.05)
        assert (folder / "cpu-1.json").read_bytes() == first
        assert not campaign.is_complete(folder / "cpu-2.json")
        process = begun("bench", "--resume", "--runs", 3, "--out", folder)
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, printed
    assert (folder / "cpu-1.json").read_bytes() == first
    assert [found.run for found in reading.load(folder)] == [1, 2, 3]
    assert (folder / "report.html").exists()


def test_callers_environment_has_no_say(small, tmp_path):
    """What a user's environment and folder say to pytest, Python and Keras neither stops a run nor changes its work."""
    here, home = tmp_path / "here", tmp_path / "home"
    (here / "cifar").mkdir(parents=True)
    for name in (
        "random.py",
        "numpy.py",
        "json.py",
        "ctypes.py",
        "conftest.py",
        "cifar/__init__.py",
        "sitecustomize.py",
    ):
        (here / name).write_text(f"open({str(tmp_path / 'executed')!r}, 'w')\nraise SystemExit('executed')")
    (here / "pytest.ini").write_text("[pytest]\naddopts = --collect-only\n")
    (home / ".keras").mkdir(parents=True)
    (home / ".keras" / "keras.json").write_text('{"image_data_format": "channels_first", "backend": "theano"}')
    done = cifar(
        *("bench", "--quick", "--runs", 1, "--device", "cpu", "--only", "startup and not long"),
        *("--dataset", small, "--out", tmp_path / "new"),
        cwd=here,
        env={
            **os.environ,
            "HOME": str(home),
            "KERAS_HOME": "",
            "PYTEST_ADDOPTS": "-k interpreter --collect-only -n auto --cov -p no:benchmark",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTEST_PLUGINS": "no_such_plugin",
            "PYTHONOPTIMIZE": "1",
            "PYTHONWARNINGS": "error",
        },
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "executed").exists()
    measured = reading.load(tmp_path / "new")[0]
    assert [result.params["stage"] for result in measured.results] == [
        *("interpreter", "first-batch", "build", "first-step")
    ]
    assert measured.results[2].checks == ("787,530 parameters",)


def test_folder_whose_name_is_no_text(small, tmp_path):
    """A campaign in a folder with a Latin-1 name, on a dataset there, is measured, reported, renamed and resumed."""
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    folder.mkdir()
    shutil.copy(small, folder / "small.h5")
    options = ("--quick", "--runs", 1, "--device", "cpu", "--only", "first-batch")
    done = cifar("bench", *options, "--dataset", folder / "small.h5", "--out", "new", cwd=folder)
    assert done.returncode == 0, done.stderr
    (folder / "new").rename(folder / "renamed")
    done = cifar("bench", "--resume", "--runs", 2, "--out", "renamed", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert cifar("report", folder / "renamed").returncode == 0


BENCHMARKS = """
import numpy as np, os, pytest, signal

def test_right(measure):
    measure(lambda: 7, images=1, check=lambda result: ["is 7"])

def test_wrong(measure):
    def check(result):
        assert result == 8, "not 8"
    measure(lambda: 7, images=1, check=check)

def test_skipped(measure):
    pytest.skip("not here")

def test_broken(measure):
    measure(lambda: 1 / 0, images=1, check=lambda result: [])

def test_killed(measure):
    if "KILL" in os.environ:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def benchmarks(folder, text=BENCHMARKS):
    """A folder with our conftest.py and some benchmarks."""
    folder.mkdir()
    shutil.copy(campaign.benchmarks_folder() / "conftest.py", folder)
    (folder / "test_some.py").write_text(text)
    return folder


def pytest_on(folder):
    """Pytest on the benchmarks in a folder."""
    return [sys.executable, "-m", "pytest", str(folder), "-c", os.devnull, f"--rootdir={folder}"]


def run_benchmarks(small, folder, **environ):
    """One run of BENCHMARKS; returns the finished process."""
    command = [*pytest_on(benchmarks(folder)), f"--dataset={small}", f"--record={folder / 'cpu-1.json'}"]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environ})


@pytest.fixture(scope="module")
def measured(small, tmp_path_factory):
    """The record of one run of BENCHMARKS, in which some fail."""
    folder = tmp_path_factory.mktemp("measured") / "new"
    done = run_benchmarks(small, folder)
    assert done.returncode == 1, done.stdout
    return folder / "cpu-1.json"


def test_failed_check_leaves_no_number(measured):
    """A benchmark that fails, or measures nothing, has a reason in the record and no time; others keep theirs."""
    found = reading.read(measured)
    assert found.complete
    assert [result.workload for result in found.results] == ["right"]
    reasons = {failure["workload"]: failure["reason"] for failure in found.failures}
    assert reasons.keys() == {"wrong", "broken", "killed", "skipped"}
    assert [failure["workload"] for failure in found.failures if failure["skipped"]] == ["skipped"]
    assert "measured nothing" in reasons["killed"]
    assert "not 8" in reasons["wrong"]
    assert "ZeroDivisionError" in reasons["broken"]


def test_crash_keeps_what_was_finished(small, tmp_path):
    """A run that is killed in its last benchmark leaves the finished ones in a record that says it is cut short."""
    assert run_benchmarks(small, tmp_path / "new", KILL="1").returncode == -signal.SIGKILL
    found = reading.read(tmp_path / "new" / "cpu-1.json")
    assert not found.complete
    assert [result.workload for result in found.results] == ["right"]


def test_missing_device_ends_the_run(small, tmp_path):
    """A run on a device that this node lacks measures nothing and says why."""
    plan = campaign.Plan(("gpu:9",), 1, "quick", str(small), "")
    command = campaign.Run(tmp_path, plan, "gpu:9", 1).command()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "gpu:9 was asked for" in done.stdout + done.stderr
    assert not (tmp_path / "gpu:9-1.json").exists()


def test_record_says_what_must_be_known_to_repeat_it(measured):
    """A record names the versions, the processor, the threads, the commit or its absence, and the dataset."""
    ours = json.loads(measured.read_text())["machine_info"]["cifar"]
    environment = ours["environment"]
    assert {"node", "software", "container", "source", "batch", "dataset", "load", "load_at_end"} <= environment.keys()
    assert ours["fingerprint"]["dataset"] == environment["dataset"]["digest"]
    assert all(value is None or isinstance(value, (str, int, float)) for value in ours["fingerprint"].values())
    assert 0 < environment["harness_seconds_per_round"] < 0.01


def test_collection_is_no_run(small, tmp_path):
    """Where pytest only collects, no record is left that could pass for a run's; nor is one that measured nothing."""
    folder = benchmarks(tmp_path / "new")
    command = [*pytest_on(folder), f"--dataset={small}", f"--record={folder / 'cpu-1.json'}"]
    subprocess.run([*command, "--collect-only"], capture_output=True, check=True)
    assert not (folder / "cpu-1.json").exists()
    subprocess.run([*command, "--setup-plan"], capture_output=True, check=False)
    assert not campaign.is_complete(folder / "cpu-1.json")


HANGS = """
import pathlib, time

def test_right(measure):
    measure(lambda: 7, images=1, check=lambda result: ["is 7"])

def test_z_sleeps(measure):
    marker = pathlib.Path(__file__).with_name("marker")
    if not marker.exists():
        marker.touch()
        time.sleep(1000)
    measure(lambda: 8, images=1, check=lambda result: ["is 8"])
"""


def test_run_that_hangs(small, tmp_path, monkeypatch):
    """A run past its deadline is ended and named with its workload; what it had finished is kept, and the next runs."""
    folder, bench = tmp_path / "new", benchmarks(tmp_path / "benchmarks", HANGS)
    monkeypatch.setattr(campaign, "benchmarks_folder", lambda: bench)
    hangs = bench / "marker"
    deadlines = iter([0.0])
    monkeypatch.setattr(
        campaign, "deadline_seconds", lambda _plan, _count: next(deadlines, 1000.0) if hangs.exists() else 1000.0
    )
    plan = campaign.Plan(("cpu",), 2, "quick", str(small), "")
    campaign.start(folder, plan)
    with campaign.held(folder) as lock:
        failures = campaign.run(folder, plan, lock)
    assert len(failures) == 1
    assert "run 1 of cpu hung in z_sleeps" in failures[0]
    assert "test_z_sleeps" in (folder / "cpu-1.log").read_text().partition("Current thread")[2]  # where it was
    cut, whole = reading.load(folder)
    assert not cut.complete
    assert [result.workload for result in cut.results] == ["right"]
    assert [failure["workload"] for failure in cut.failures] == ["z_sleeps"]
    assert whole.complete
    assert len(whole.results) == 2


def test_words_of_a_library_that_ends_the_run(small, tmp_path, monkeypatch):
    """A flag that XLA does not know ends the process; what XLA says of it is told, and stands in the log."""
    monkeypatch.setenv("XLA_FLAGS", "--xla_no_such_flag=1")
    plan = campaign.Plan(("cpu",), 1, "quick", str(small), "", only="forward and device")
    campaign.start(tmp_path, plan)
    with campaign.held(tmp_path) as lock:
        (failure,) = campaign.run(tmp_path, plan, lock)
    assert "xla_no_such_flag" in failure
    assert "xla_no_such_flag" in (tmp_path / "cpu-1.log").read_text()
