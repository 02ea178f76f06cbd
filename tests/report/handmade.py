"""Records made by hand: as many runs of an arm as it takes, with the rounds that a test names."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cifar.record import reading
from cifar.record.model import Record, Result
from cifar.report.arms import Arm, by_arm

WORKLOADS = {
    "training[feed=memory]": (5000, 2.8),
    "training[by=lesson]": (5000, 4.9),
    "startup[stage=import]": (None, 3.0),
}
"""Workloads of a small report: images and seconds of a round."""
FEW = {"training[feed=memory]": (5_000, 2.81), "forward[batch=250,input=host]": (250, 0.0415)}


def made(
    arm: str, times: list[list[float]], *, images: int | None = 100, workload: str = "w", **changes: object
) -> list[Record]:
    """Records of an arm, one for each list of rounds."""
    memory = {"host_peak_bytes": None, "device_peak_bytes": None, "meaning": ""}
    template = {"device": arm, "campaign": "c", "complete": True, "started": "", "fingerprint": {}, "environment": {}}
    return [
        Record(
            path=Path(f"{arm}-{run}.json"),
            arm=arm,
            run=run,
            failures=(),
            results=(Result(workload, images, tuple(rounds), None, None, memory, {}, ("ok",)),),
            **(template | changes),  # type: ignore[arg-type]
        )
        for run, rounds in enumerate(times, start=1)
    ]


def grouped(records: list[Record]) -> dict[str, Arm]:
    """The arms of records as they are, whatever is too good to be true in them."""
    return {name: Arm(name, runs) for name, runs in by_arm(records).items()}


def equal(count, **others):
    """So many nodes of about the same speed, then others."""
    random = np.random.default_rng(5)
    return {f"node{place}": float(np.exp(random.normal(0, 0.005))) for place in range(1, count + 1)} | others


def both(measured, speeds, **changes):
    """CPU and GPU of the same nodes, the GPU twenty times as fast, as loaded."""
    measured(speeds, workloads=FEW, **changes)
    fast = {node: 20 * speed for node, speed in speeds.items()}
    return reading.load(*measured(fast, arm="gpu", workloads=FEW, **changes))
