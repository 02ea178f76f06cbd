"""Hand-made records: a function that writes one run's JSON as the contract describes it, for any speed and noise."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pytest

from cifar.record.fingerprint import fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

SECONDS = {
    "generator[by=lesson,batch=250]": (10_000, 3.4),
    "generator[by=lesson,batch=32]": (10_000, 5.1),
    "generator[by=ours,batch=250]": (10_000, 0.011),
    "generator[by=ours,batch=32]": (10_000, 0.034),
    "forward[batch=1,input=device]": (1, 0.0011),
    "forward[batch=32,input=device]": (32, 0.0061),
    "forward[batch=250,input=device]": (250, 0.041),
    "forward[batch=1024,input=device]": (1024, 0.162),
    "forward[batch=1,input=host]": (1, 0.0012),
    "forward[batch=32,input=host]": (32, 0.0063),
    "forward[batch=250,input=host]": (250, 0.0415),
    "forward[batch=1024,input=host]": (1024, 0.165),
    "forward[batch=250,by=predict]": (250, 0.095),
    "training[feed=memory]": (5_000, 2.81),
    "training[feed=generator]": (5_000, 2.86),
    "training[by=lesson]": (5_000, 4.9),
    "startup[stage=import]": (None, 3.2),
    "startup[stage=first-step]": (None, 5.6),
}
"""Images and seconds of a round of each workload, as a small CPU would take them."""

FINGERPRINT: dict[str, str | int | float | bool | None] = {
    "tensorflow": "2.21.0",
    "keras": "3.15.0",
    "dataset": "5f" * 32,
    "tf32": False,
    "image": None,
}

ENVIRONMENT: dict[str, Any] = {
    "device": {"name": "cpu", "threads": 2, "gpu": {"unmeasurable": "the device is cpu"}},
    "node": {"cpu_model": "AMD EPYC", "cpus": 2},
    "gpus": [{"name": "NVIDIA H100", "ecc": True}],
    "dataset": {"digest": "5f" * 32, "source": "made up", "synthetic": True},
    "load": {"minutes_1": 0.25},
    "variables": {},
}
WITHOUT_GPU = ENVIRONMENT | {"gpus": {"unmeasurable": "no NVIDIA driver on this node"}}

GPU_ENVIRONMENT: dict[str, Any] = ENVIRONMENT | {
    "device": {"name": "gpu", "threads": 2, "gpu": "NVIDIA H100"},
}


class Write(Protocol):
    """Writes one run's record and returns its path."""

    def __call__(self, folder: Path, arm: str = "cpu", run: int = 1, **options: Any) -> Path:
        """Write `folder/<arm>-<run>.json`; `options` are those of `made`."""


def benchmark(workload: str, images: int | None, seconds: Iterable[float], **changes: object) -> dict[str, Any]:
    """One entry of `benchmarks`, with `changes` laid over its extra_info."""
    rounds = list(seconds)
    extra = {
        "images": images,
        "calls": 1,
        "flop": None if images is None else 48_000_000 * images,
        "warmup_seconds": None if images is None else 3 * rounds[0] + 0.4,
        "checks": ["the answer has the right shape"],
        "work": {"weights": "ab" * 32},
        "memory": {"host_peak_bytes": 900_000_000, "device_peak_bytes": None, "meaning": "largest resident set"},
    }
    return {
        "group": workload.partition("[")[0],
        "name": f"test_{workload}",
        "fullname": f"test_made.py::test_{workload}",
        "params": None,
        "extra_info": extra | changes,
        "options": {},
        "stats": {"data": rounds, "iterations": 1, "rounds": len(rounds)},
    }


def made(
    arm: str = "cpu",
    run: int = 1,
    *,
    campaign: str = "today",
    day: int = 1,
    faster: float = 1.0,
    noise: float = 0.02,
    shift: float = 0.02,
    rounds: int = 10,
    seed: int = 0,
    workloads: Mapping[str, tuple[int | None, float]] = SECONDS,
    extra: Mapping[str, object] | None = None,
    **cifar: Any,
) -> dict[str, Any]:
    """One run of `arm`, `faster` times as fast as the table, lognormal `noise` a round and `shift` a run."""
    random = np.random.default_rng([seed, run, *arm.encode()])
    moved = random.normal(0, shift) if shift else 0.0
    entries = [
        benchmark(
            workload,
            images,
            # no two days have the same rounds to the bit
            (seconds / faster * (1 + 1e-9 * (day - 1)) * np.exp(moved + noise * random.normal(size=rounds))).tolist(),
            **(extra or {}),
        )
        for workload, (images, seconds) in workloads.items()
    ]
    facts = {
        "schema": 1,
        "arm": arm,
        "device": arm.partition("#")[0],
        "run": run,
        "campaign": campaign,
        "complete": True,
        "started": f"2026-03-{day:02}T{10 + run // 60}:{run % 60:02}:00+00:00",
        "finished": f"2026-03-{day:02}T{10 + run // 60}:{run % 60:02}:50+00:00",
        "failures": [],
        "fingerprint": FINGERPRINT,
        "environment": ENVIRONMENT if arm.startswith("cpu") else GPU_ENVIRONMENT,
    } | cifar
    told = fingerprint(facts["environment"])
    facts["fingerprint"] = {name: value for name, value in told.items() if value is not None} | facts["fingerprint"]
    if "name" in facts["environment"].get("device", ()):
        facts["environment"] = facts["environment"] | {
            "device": facts["environment"]["device"] | {"name": facts["device"]}
        }
    return {
        "machine_info": {"node": "made", "cifar": facts},
        "commit_info": {},
        "benchmarks": entries,
        "datetime": facts["started"],
        "version": "5.3.1",
    }


@pytest.fixture
def write() -> Write:
    """Write one run's record into a folder."""

    def write(folder: Path, arm: str = "cpu", run: int = 1, **options: Any) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{arm.replace(':', '')}-{run}.json"
        path.write_text(json.dumps(made(arm, run, **options)), encoding="utf-8")
        return path

    return write
