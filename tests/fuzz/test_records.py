"""Records of any shape: refused in words, or every measured number is the good record's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from pytest_benchmark.stats import Stats

from cifar.record import reading
from cifar.report import compare, page

PAGES = 100
"""One page is written for so many records that are read: its figures take seconds."""


def entry(name, rounds, **extra):
    """A benchmark as pytest-benchmark and the meter write it."""
    stats = Stats()
    stats.data = rounds
    memory = {"host_peak_bytes": 615_911_424, "device_peak_bytes": None, "meaning": "host: peak of resident memory"}
    facts = {"images": None, "flop": None, "bytes": None, "calls": 1, "needs": {}, "warmup_seconds": 1.25}
    return {
        "group": None,
        "name": f"test_{name}",
        "fullname": f"test_all.py::test_{name}",
        "params": {"batch": 250} if "batch=250" in name else {"stage": "a"},
        "param": name.partition("[")[2].rstrip("]"),
        "extra_info": facts | {"checks": ["it is right"], "work": {}, "memory": memory} | extra,
        "options": {"disable_gc": False, "timer": "perf_counter", "min_rounds": 5, "warmup": False},
        "stats": stats.as_dict() | {"data": rounds, "iterations": 1},
    }


def entries(faster):
    """A few workloads that have all that workloads have, as one run of a CPU measured them."""
    forward, training, copied = 30_877_696, 90_863_616, {"peak[what=host-copy]": 15_360 * 50_000}
    matmul, work = "peak[what=matmul,type=float32]", {"weights": "ab" * 32, "batches": "cd" * 32}
    seconds = [rounds / faster for rounds in (0.0411, 0.0423, 0.0409, 0.0431, 0.0415)]
    steps = {"step_seconds": [9.0, 1.4 / faster, 1.5 / faster], "epoch_images": 50_000}
    fit = {"images": 1500, "flop": 1500 * training, "calls": 1}
    return [
        entry("startup[stage=import]", [2.1 / faster], warmup_seconds=None),
        entry("peak[what=copy]", [0.021 / faster, 0.022 / faster], bytes=2**29),
        entry(matmul, [0.08 / faster, 0.081 / faster, 0.079 / faster], flop=2 * 2048**3),
        entry("generator[by=ours,batch=250]", [0.03 / faster, 0.031 / faster], images=50_000, needs=copied),
        entry("generator[by=lesson,batch=250]", [0.17 / faster], images=500, work={"batches": "rows 0 to 499"}),
        entry(
            *("forward[batch=250,input=host]", seconds),
            images=500,
            flop=500 * forward,
            calls=2,
            work=work,
            needs={matmul: 500 * forward, "peak[what=copy]": 500 * 338_272},
        ),
        entry("training[feed=memory]", [rounds * 10 for rounds in seconds], work=work, **fit),
        entry("training[by=lesson]", [2.0 / faster, 2.1 / faster], work=work, **fit, **steps),
        entry(
            *("ladder_training[rung=fit]", [1.9 / faster, 1.95 / faster]),
            **fit,
            **steps | {"epoch_seconds": 44.5, "accuracy": 0.5123},
            checks=["the loss is finite", "after a whole epoch: validation loss 1.353, accuracy 0.512"],
        ),
    ]


def environment():
    """What a run knows of its node and its software."""
    nothing = {"unmeasurable": "NVIDIA's management library cannot be used"}
    versions = {"tensorflow": "2.21.0", "keras": "3.15.1", "backend": "tensorflow", "numpy": "2.4.6", "h5py": "3.14.0"}
    return {
        "schema": 1,
        "device": {"name": "cpu", "kind": "cpu", "threads": 2, "gpu": {"unmeasurable": "the device is cpu"}},
        "node": {"hostname": "vm", "cpu_model": "AMD EPYC", "cpus": 2, "hyperthreading": False, "memory_bytes": 2**34},
        "load": {"minutes_1": 0.62, "runnable": 1},
        "driver": {"version": nothing, "cuda": nothing},
        "gpus": nothing,
        "software": versions | {"hdf5": "1.14.6", "cuda_build": nothing, "onednn": True, "tf32": True},
        "variables": {"KERAS_BACKEND": "tensorflow"},
        "container": {"kind": "none", "image": {"unmeasurable": "not in a container"}},
        "source": {"version": "0.1.0", "commit": "07" * 20, "workload": "9c" * 32, "lock": {"differs": []}},
        "dataset": {"digest": "c2" * 32, "source": "made up", "synthetic": True},
        "effort": "default",
    }


def run(number, faster):
    """A whole record."""
    from cifar.record.fingerprint import fingerprint

    facts = {"schema": 1, "arm": "cpu", "device": "cpu", "run": number, "campaign": "good", "complete": True}
    times = {"started": f"2026-03-01T10:{number}0:00+00:00", "finished": f"2026-03-01T10:{number}5:00+00:00"}
    skipped = {"workload": "peak[what=to-device]", "reason": "nothing is sent", "skipped": True}
    facts |= times | {"failures": [skipped], "fingerprint": fingerprint(environment()), "environment": environment()}
    return {
        "machine_info": {"node": "vm", "cifar": facts},
        "commit_info": {"id": "07" * 20, "dirty": False},
        "benchmarks": entries(faster),
        "datetime": f"2026-03-01T10:{number}5:00.123456+00:00",
        "version": "5.3.1",
    }


def numbers(found):
    """What was measured, by workload; without what nothing else in a record depends on (see `test_changed_records`)."""
    return {
        result.workload: (result.median, result.seconds, result.images, result.value, result.unit)
        for result in found.results
        if not result.step_seconds  # of which the record holds nothing twice
    }


def loaded(folder):
    """The records in a folder, or the sentence that refuses them."""
    try:
        return reading.load(folder), ""
    except (OSError, ValueError) as error:
        return [], str(error)


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    """A folder with a plan of two runs, of which the second is written."""
    folder = tmp_path_factory.mktemp("records") / "good"
    folder.mkdir()
    (folder / "campaign.json").write_text(json.dumps({"devices": ["cpu"], "runs": 2, "effort": "default"}))
    (folder / "cpu-2.json").write_text(json.dumps(run(2, 1.02)))
    (folder / "cpu-1.json").write_text(json.dumps(run(1, 1.0)))
    return folder


@pytest.mark.filterwarnings("ignore:Generating overly large repr")
def test_changed_records(mutations, tally, campaign):
    """Whatever was changed in one place is refused in a sentence, or all that was measured reads as it was.

    Nothing in a record depends on its warm-ups, peaks of memory, seconds within steps, an epoch's seconds and the
    reasons of failures: a change of one of these alone cannot be noticed, unless it is no such number.
    """
    good = reading.load(campaign)
    beside, pages = campaign.parent / "page", 0

    @given(mutations(run(1, 1.0)))
    def one(data):
        nonlocal pages
        (campaign / "cpu-1.json").write_bytes(data)
        found, refusal = loaded(campaign)
        if refusal:
            tally["records, refused"] += 1
            assert "cpu-1.json" in refusal
            assert len(refusal) < 2000
            return
        tally["records, read as they were"] += 1
        assert [(each.arm, each.device, each.run, each.campaign) for each in found] == [
            ("cpu", "cpu", 1, "good"),
            ("cpu", "cpu", 2, "good"),
        ]
        for read, expected in zip(found, good, strict=True):
            assert numbers(read).items() <= numbers(expected).items()
            shared = read.fingerprint.keys() & expected.fingerprint.keys()
            assert all(read.fingerprint[field] == expected.fingerprint[field] for field in shared)
            assert all(result.memory["device_peak_bytes"] is None for result in read.results)
        allow = {field for each in found for field in each.fingerprint}
        compare.compare(found[:1], found[1:], allow=allow | set(good[0].fingerprint))
        pages += 1
        if pages % PAGES == 1:
            page.write(found, beside, notes=["a note"])
            tally["records, a page written"] += 1

    one()


def test_good_records_are_read(campaign):
    """The record that is changed is one that is read."""
    (campaign / "cpu-1.json").write_text(json.dumps(run(1, 1.0)))
    assert [len(each.results) for each in reading.load(campaign)] == [9, 9]
    assert reading.read(Path(campaign / "cpu-2.json")).complete
