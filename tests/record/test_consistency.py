"""Consistency: what a record says in two ways is refused by file and field."""

from __future__ import annotations

import json
import random

import pytest
from pytest_benchmark.stats import Stats

from cifar.record import consistency, reading

from .whole import GENERATOR, NETWORK, content, extra, ours, stats


def scaled(whole):
    """All rounds 0.9 of what they were."""
    stats(whole)["data"] = [seconds * 0.9 for seconds in stats(whole)["data"]]


@pytest.mark.parametrize(
    ("edit", "field"),
    [
        pytest.param(lambda c: c["benchmarks"].clear(), "it has neither a result nor a failure", id="nothing measured"),
        pytest.param(scaled, f"{NETWORK} / stats / median: it is 0.0413", id="rounds scaled"),
        pytest.param(lambda c: stats(c)["data"].pop(), "stats / rounds: it is 6, and the rounds give 5", id="deleted"),
        *(
            pytest.param(
                lambda c, name=name: stats(c).update({name: stats(c)[name] * 1.01}), f"stats / {name}", id=name
            )
            for name in ("min", "max", "mean", "median", "total", "stddev", "ops", "q1", "q3", "iqr")
        ),
        pytest.param(
            lambda c: extra(c).update(images=1500), f"{NETWORK} / extra_info / images", id="images of a batch"
        ),
        pytest.param(lambda c: extra(c, 3).update(images=150_000), f"{GENERATOR} / extra_info / images", id="an epoch"),
        pytest.param(lambda c: extra(c, 4).update(images=1500), "1500 are not those of 1 calls on rows 0", id="rows"),
        pytest.param(lambda c: extra(c, 2).update(images=1500), "prediction[feed=generator] / extra_info", id="needs"),
        pytest.param(
            lambda c: extra(c, 6).update(images=4500), "each, and in training[by=lesson]", id="FLOP of an image"
        ),
        pytest.param(lambda c: extra(c, 1).update(calls=4), "cannot be shared out among 4 calls", id="calls"),
        pytest.param(lambda c: extra(c, 7).update(calls=2), "calls: 2 calls have no warm-up", id="calls of one"),
        pytest.param(lambda c: extra(c, 5).update(images=None), "epoch_images: an epoch has 50000", id="no images"),
        pytest.param(lambda c: extra(c, 6).update(epoch_images=150_000), "it is 150000, and 50000 in", id="epochs"),
        pytest.param(lambda c: extra(c, 5).update(step_seconds=[9.0, 0.04]), "are not one for the warm-up", id="steps"),
        pytest.param(lambda c: extra(c, 5).update(step_seconds=[]), "of no use without step_seconds", id="no steps"),
        pytest.param(
            lambda c: extra(c, 5)["step_seconds"].__setitem__(2, 4.0), "longer than its round", id="long step"
        ),
        pytest.param(
            lambda c: extra(c, 5).update(epoch_seconds=0.01), "epoch_seconds: 0.01 is shorter", id="short epoch"
        ),
        pytest.param(
            lambda c: extra(c, 5).update(accuracy=0.9), "accuracy: it is 0.9, and the checks say", id="accuracy"
        ),
        pytest.param(lambda c: c["benchmarks"][0].update(fullname="a.py::test_b"), "fullname", id="full name"),
        pytest.param(
            lambda c: c["benchmarks"][0].update(param="batch=32"), "/ param: it is 'batch=32'", id="parameter"
        ),
        pytest.param(lambda c: c["benchmarks"][0]["params"].update(batch=32), "params / batch: it is 32", id="batch"),
        pytest.param(
            lambda c: ours(c)["environment"]["software"].update(tensorflow="2.20.0"),
            "fingerprint / tensorflow",
            id="environment",
        ),
        pytest.param(
            lambda c: ours(c)["fingerprint"].update(cpus=64), "fingerprint / cpus: it is 64", id="fingerprint"
        ),
        pytest.param(lambda c: ours(c).update(device="gpu"), "arm: 'cpu' is no arm of the device 'gpu'", id="device"),
        pytest.param(
            lambda c: ours(c).update(device="gpu", arm="gpu"), "environment / device / name", id="another arm"
        ),
        pytest.param(lambda c: ours(c)["environment"]["device"].update(gpu="NVIDIA H100"), "device / gpu", id="a GPU"),
        pytest.param(lambda c: ours(c)["environment"]["device"].update(kind="gpu"), "device / kind", id="kind"),
        pytest.param(
            lambda c: extra(c)["memory"].update(device_peak_bytes=9), "memory / device_peak_bytes", id="memory"
        ),
        pytest.param(lambda c: ours(c).update(finished="2020-01-01T00:00:00+00:00"), "finished", id="before it began"),
        pytest.param(lambda c: ours(c).update(finished=None), "finished: it has no time although", id="not finished"),
        pytest.param(
            lambda c: ours(c).update(started="today"), "started: 'today' is no time in ISO 8601", id="no time"
        ),
        pytest.param(lambda c: ours(c).update(started="2026-03-01T10:00:00"), "no offset from UTC", id="no offset"),
        pytest.param(lambda c: c.update(datetime="2020-01-01T00:00:00+00:00"), "is after the file was", id="written"),
    ],
)
def test_records_that_contradict_themselves_are_refused(tmp_path, edit, field):
    """What one place says and another does not is a ValueError with the file, the field and both values."""
    whole = content()
    path = tmp_path / "cpu-1.json"
    path.write_text(json.dumps(whole))
    reading.read(path)
    edit(whole)
    path.write_text(json.dumps(whole))
    with pytest.raises(ValueError, match=r"cpu-1\.json contradicts itself: ") as caught:
        reading.read(path)
    assert field in str(caught.value)


@pytest.mark.parametrize("arm", ["cpu", "cpu#2", "gpu", "gpu:1", "gpu:1#3"])
def test_arms_of_a_device(tmp_path, arm):
    """An arm is its device, one of several on it, or, later, a backend's."""
    (tmp_path / "a.json").write_text(json.dumps(content(arm)))
    assert reading.read(tmp_path / "a.json").arm == arm
    whole = content(arm)
    ours(whole)["arm"] = f"jax:{arm}"
    (tmp_path / "a.json").write_text(json.dumps(whole))
    assert reading.read(tmp_path / "a.json").arm == f"jax:{arm}"


@pytest.mark.parametrize("count", range(1, 14))
def test_statistics_are_pytest_benchmarks(count):
    """Every statistic of any number of rounds is what pytest-benchmark computes."""
    drawn = random.Random(count)  # noqa: S311 - no secret
    theirs = Stats()
    theirs.data = [drawn.lognormvariate(0, 0.3) for _ in range(count)]
    expected = theirs.as_dict()
    found = consistency.statistics_of(theirs.data)
    assert found == pytest.approx({name: expected[name] for name in found}, rel=1e-12, abs=1e-12)


def test_records_are_in_the_order_of_time(tmp_path):
    """The clock of a node is its own, and an hour is set back in autumn: offsets count."""
    for run, started in ((1, "2026-10-25T02:50:00+02:00"), (2, "2026-10-25T02:10:00+01:00")):
        whole = content(run=run)
        ours(whole).update(started=started, finished="2026-10-25T04:00:00+01:00")
        whole["datetime"] = "2026-10-25T04:00:00+01:00"
        (tmp_path / f"cpu-{run}.json").write_text(json.dumps(whole))
    assert [each.run for each in reading.load(tmp_path)] == [1, 2]


def test_evidence_is_consistent(pytestconfig):
    """Every record behind the figures of the docs is read."""
    archives = sorted((pytestconfig.rootpath / "benchmarks" / "evidence").rglob("*.zip"))
    assert sum(len(reading.load(archive)) for archive in archives) == 124
