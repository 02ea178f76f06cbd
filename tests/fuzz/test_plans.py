"""campaign.json, changed in any way: the plan as it was written, a plan that could have been written, or a sentence."""

from __future__ import annotations

import contextlib
import dataclasses
import json

from hypothesis import given

from cifar.backend.device import number_of
from cifar.measure import meter
from cifar.measure import plan as plans
from cifar.record.plan import MOST_RUNS

PLAN = plans.Plan(
    devices=("cpu", "gpu:1", "cpu"),
    runs=5,
    effort="quick",
    dataset="/data/cifar10.h5",
    digest="5f" * 32,
    only="training or forward",
    missing_gpu=None,
    deadline_seconds=600.0,
)


def test_changed_plan(mutations, tally, tmp_path_factory):
    """What is read has arms that exist, a number of runs that ends, and names of files that stay in the folder."""
    folder = tmp_path_factory.mktemp("fuzz")

    @given(mutations(json.loads(json.dumps(dataclasses.asdict(PLAN)))))
    def one(data):
        (folder / plans.PLAN).write_bytes(data)
        try:
            read = plans.read(folder)
        except ValueError as error:
            tally["campaign.json, refused"] += 1
            if "damaged" not in str(error):
                raise
            return
        tally["campaign.json, as it was" if read == PLAN else "campaign.json, another plan that is one"] += 1
        assert 1 <= len(read.schedule()) <= 100 * MOST_RUNS
        assert read.effort in meter.EFFORTS
        assert all(number_of(device) is None or device.startswith("gpu") for device in read.devices)
        assert not any("/" in arm or "\n" in arm for arm in read.arms)

    with contextlib.chdir(folder):
        one()
    assert [path.name for path in folder.iterdir()] == [plans.PLAN]
