"""Writing a record: what stands in the file at each moment of a run."""

from __future__ import annotations

import functools
import json

import pytest

from cifar.record import files
from cifar.record.writing import MOST_LETTERS, RunRecord


@pytest.fixture
def path(tmp_path):
    """The file of the record."""
    return tmp_path / "cpu-1.json"


@pytest.fixture
def record(path):
    """A record that was begun: its results are lists of rounds."""
    return RunRecord(
        path,
        lambda results, ours: {"benchmarks": list(results), "machine_info": {"cifar": ours}},
        arm="cpu#2",
        device="cpu",
        run=1,
        campaign="today",
        environment={"schema": 1, "software": {"keras": "3.15.0"}},
    )


def ours(path):
    """Our part of the record in the file."""
    return json.loads(path.read_text(encoding="utf-8"))["machine_info"]["cifar"]


def test_begun_record_is_incomplete(record, path):
    """A run that dies at once leaves word of itself, with its fingerprint, and without an end."""
    record.write()
    begun = ours(path)
    assert (begun["arm"], begun["device"], begun["run"], begun["campaign"]) == ("cpu#2", "cpu", 1, "today")
    assert (begun["complete"], begun["finished"], begun["failures"]) == (False, None, [])
    assert begun["fingerprint"]["keras"] == "3.15.0"


def test_each_result_is_on_disk(record, path):
    """What was measured is in the file before the next workload begins; the run stays incomplete."""
    record.add_result([0.25])
    record.add_result([0.5])
    assert json.loads(path.read_text(encoding="utf-8"))["benchmarks"] == [[0.25], [0.5]]
    assert ours(path)["complete"] is False


def test_failure_is_kept_with_its_reason(record, path):
    """A workload without a number says why, in so many letters at most."""
    record.add_failure("forward[batch=1]", "x" * (2 * MOST_LETTERS), skipped=True)
    expected = {"workload": "forward[batch=1]", "reason": "x" * MOST_LETTERS, "skipped": True}
    assert ours(path)["failures"] == [expected]


def test_closed_record_is_complete(record, path):
    """The end of a run is known by its time, and by the node's load then."""
    record.add_result([0.25])
    record.close(complete=True, load_at_end={"minutes_1": 0.5})
    closed = ours(path)
    assert closed["complete"] is True
    assert closed["started"] <= closed["finished"]
    assert closed["environment"]["load_at_end"] == {"minutes_1": 0.5}


def test_interrupted_run_stays_incomplete(record, path):
    """Results of a run that was cut short are kept, and it is not taken for a whole one."""
    record.add_result([0.25])
    record.close(complete=False, load_at_end={})
    assert ours(path)["complete"] is False


def test_run_without_content_is_never_complete(record, path):
    """A run that measured nothing, and says of nothing why, is not complete, whatever its process says."""
    record.close(complete=True, load_at_end={})
    assert ours(path)["complete"] is False


def test_parameter_that_is_a_function_has_its_name(path):
    """What JSON has no form for is a function, or one with an argument filled in: its name stands there."""
    content = {"params": [test_each_result_is_on_disk, functools.partial(ours, None)]}
    RunRecord(path, lambda *_: content, arm="cpu", device="cpu", run=1, campaign="today", environment={}).write()
    written = json.loads(path.read_text(encoding="utf-8"))
    assert written["params"] == ["test_each_result_is_on_disk", "ours"]


def test_full_disk_leaves_the_last_record(record, path, monkeypatch):
    """Where the new record cannot be written, the last one still stands."""
    record.add_result([0.25])

    def full(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        record.add_result([0.5])
    assert json.loads(path.read_text(encoding="utf-8"))["benchmarks"] == [[0.25]]
