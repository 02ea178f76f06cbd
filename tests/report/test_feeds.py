"""Feeds: what a fed network waits for, from its parts and as measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from cifar.record.model import Record, Result
from cifar.report.arms import Arm
from cifar.report.feeds import feeds

MEMORY = {"host_peak_bytes": None, "device_peak_bytes": None, "meaning": ""}


def result(workload, seconds, images=None, **facts):
    """One run's result of a workload."""
    facts = {"flop": None} | facts
    return Result(workload, images, tuple(seconds), None, memory=MEMORY, work={}, checks=("ok",), **facts)


def run(*results, device="cpu", number=1):
    """One run that has these results."""
    facts = {"campaign": "c", "complete": True, "started": "", "fingerprint": {}, "environment": {}, "failures": ()}
    return Record(Path(f"{number}.json"), device, device, number, results=results, **facts)


def fed(device, generator, network, both, steps=()):
    """A run whose generator, network and training with both take so many seconds an image."""
    return run(
        result("generator[by=lesson,batch=250]", [10 * generator], 10),
        result("training[feed=memory,by=keras]", [10 * network], 10),
        result("training[by=lesson]", [10 * both], 10, step_seconds=steps),
        device=device,
    )


def test_feeds_on_the_cpu_add_up():
    """One device that makes the data and computes needs the sum; it waits while it does not compute."""
    (feed,) = feeds(Arm("it", [fed("cpu", 1.0, 3.0, 5.0)]), "training").values()
    assert (feed.predicted, feed.error, feed.waits) == (4.0, pytest.approx(0.25), pytest.approx(0.4))


def test_feeds_on_a_gpu_overlap():
    """A device of its own computes while the host makes data: the slower of both counts."""
    (feed,) = feeds(Arm("it", [fed("gpu", 3.0, 1.0, 3.0)]), "training").values()
    assert (feed.predicted, feed.error, feed.waits) == (3.0, 0.0, pytest.approx(2 / 3))


def test_feeds_count_what_lies_within_the_steps():
    """Where a record tells the steps from the rest of an epoch, the rest is not the generator's fault."""
    (feed,) = feeds(Arm("it", [fed("cpu", 1.0, 3.0, 50.0, steps=(40.0,))]), "training").values()
    assert (feed.fed, feed.error) == (4.0, 0.0)


def test_feeds_need_all_three_parts():
    """Without the network alone nothing can be said."""
    assert feeds(Arm("it", [run(result("training[by=lesson]", [1.0], 1))]), "training") == {}
    assert feeds(Arm("it", [fed("cpu", 1.0, 3.0, 5.0)]), "prediction") == {}
