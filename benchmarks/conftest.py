"""From a device, a dataset and an effort to one run's record: what every benchmark shares."""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from cifar.backend.device import Device, claim
from cifar.data import dataset as datasets
from cifar.measure import environment, meter
from cifar.node import computer, process
from cifar.record.text import plain
from cifar.record.unmeasurable import as_json
from cifar.record.writing import RunRecord

RECORD = pytest.StashKey[RunRecord]()
ASKED_FOR = ("ladder", "peer", "growth")
"""Markers of what takes long and answers a question of its own."""
DEVICE = pytest.StashKey[Device]()


def pytest_addoption(parser):
    """What one run is: its device, dataset and effort, and where its record goes."""
    group = parser.getgroup("cifar", "one run of cifar-bench")
    group.addoption("--device", default="cpu", help="cpu, gpu or gpu:N (default: %(default)s)")
    group.addoption("--dataset", type=Path, help="HDF5 file made by `cifar prepare` (default: the prepared one)")
    group.addoption("--effort", choices=meter.EFFORTS, default="quick", help="default: %(default)s")
    group.addoption("--record", type=Path, help="write the run's record here, anew after each benchmark")
    group.addoption("--arm", help="the arm's name in the record (default: the device)")
    group.addoption("--campaign", help="the campaign's name in the record (default: the folder's)")
    group.addoption("--run-number", type=int, default=1, help="number of the run within its arm")


def pytest_sessionstart(session):
    """Claim the device before anything uses TensorFlow; a device that is missing ends the run with the reason."""
    config = session.config
    if config.getoption("--collect-only"):
        return
    try:
        config.stash[DEVICE] = claim(config.getoption("--device"))
    except (RuntimeError, ValueError) as error:
        pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)


def pytest_configure(config):
    """Name our markers; end with the campaign, however it ends, and say where this run is when it asks."""
    process.die_with_parent()
    faulthandler.register(signal.SIGUSR1, file=os.dup(sys.stderr.fileno()))
    config.addinivalue_line("markers", "long: the quick effort leaves it out, and says so")
    for name in ASKED_FOR:
        config.addinivalue_line("markers", f"{name}: measured only where --only (-k) asks for the {name}")


def pytest_collection_modifyitems(config, items):
    """Startup first: it must find the process as fresh as a user's.  The quick effort leaves out what is long."""
    items.sort(key=lambda item: item.path.name != "test_startup.py")
    unasked = [name for name in ASKED_FOR if name not in config.option.keyword]
    left_out = [item for item in items if any(map(item.get_closest_marker, unasked))]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
    if config.getoption("--effort") == "quick":
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(pytest.mark.skip(reason="the quick effort leaves it out, for it takes many seconds"))


def pytest_collection_finish(session):
    """Open the record, so that a run that dies at once leaves word of itself."""
    config = session.config
    path = config.getoption("--record")
    if path and not config.getoption("--benchmark-disable") and not config.getoption("--collect-only"):
        config.stash[RECORD] = _begin(config, path)
        config.stash[RECORD].write()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """Keep the number of a benchmark that passed its checks, or the reason why there is none."""
    report = yield
    record = item.config.stash.get(RECORD, None)
    if record and (report.when == "call" or not report.passed):
        stats = getattr(item.funcargs.get("benchmark"), "stats", None)
        if report.passed and stats is not None:
            record.add_result(stats)
        else:
            record.add_failure(item.name.removeprefix("test_"), _reason(report), skipped=report.skipped)
    return report


def pytest_sessionfinish(session, exitstatus):
    """Close the record; it stays incomplete where the session was cut short."""
    if record := session.config.stash.get(RECORD, None):
        ended = exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        record.close(complete=ended, load_at_end=as_json(computer.load_now()))


def _begin(config, path):
    """Begin the record of this run, with what is known at its start."""
    device = config.stash[DEVICE]
    machine_info = config.hook.pytest_benchmark_generate_machine_info(config=config)
    facts = environment.collect(device, datasets.describe(_dataset(config)))
    facts["effort"] = config.getoption("--effort")
    facts["only"] = config.option.keyword or "all workloads"
    facts["harness_seconds_per_round"] = meter.harness_seconds(device)

    def generate(results, ours):
        return config.hook.pytest_benchmark_generate_json(
            config=config,
            benchmarks=results,
            include_data=True,
            machine_info=machine_info | {"cifar": ours},
            commit_info=config.hook.pytest_benchmark_generate_commit_info(config=config),
        )

    return RunRecord(
        path,
        generate,
        arm=config.getoption("--arm") or device.name,
        device=device.name,
        run=config.getoption("--run-number"),
        campaign=config.getoption("--campaign") or plain(path.resolve().parent.name),
        environment=facts,
    )


def _reason(report):
    """Why a benchmark has no number, in words."""
    if report.skipped:
        return report.longrepr[2].removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    return crash.message if crash else str(report.longrepr or "it measured nothing")


def _dataset(config):
    """The HDF5 file to measure on: the one named, else CIFAR-10 as prepared, else the stand-in."""
    named = config.getoption("--dataset")
    candidates = [named] if named else [datasets.default_path(), datasets.default_path(synthetic=True)]
    return next((path for path in candidates if path.exists()), candidates[0])


@pytest.fixture(scope="session")
def dataset(pytestconfig):
    """The HDF5 file in our layout."""
    return datasets.describe(_dataset(pytestconfig)).path


@pytest.fixture(scope="session")
def lesson_dataset(dataset):
    """The same arrays in the lesson's layout: gzip, automatic chunks."""
    return datasets.lesson_layout(dataset)


@pytest.fixture(scope="session")
def device(pytestconfig):
    """The device that this run measures."""
    return pytestconfig.stash[DEVICE]


@pytest.fixture
def a_record(pytestconfig, tmp_path):
    """The content of this run's record before anything was measured."""
    path = tmp_path / "a" / "record.json"
    path.parent.mkdir()
    _begin(pytestconfig, path).write()
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture
def measure(benchmark, device, pytestconfig):
    """Times a call on the run's device; see `cifar.measure.meter`."""
    return meter.Meter(benchmark, device, meter.EFFORTS[pytestconfig.getoption("--effort")])
