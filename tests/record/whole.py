"""A whole record of a few workloads, which says everything that records say twice."""

from __future__ import annotations

from pytest_benchmark.stats import Stats

from cifar.record.fingerprint import fingerprint

from .conftest import benchmark, made

FORWARD, TRAINING = 30_877_696, 90_863_616
"""FLOP of an image."""
MATMUL, COPY = "peak[what=matmul,type=float32]", "peak[what=host-copy]"
GENERATOR, NETWORK = "generator[by=ours,batch=250]", "forward[batch=250,input=host]"
ROUNDS = [0.0411, 0.0423, 0.0409, 0.0431, 0.0415, 0.0412]


def complete(workload, rounds, images=None, **changes):
    """A benchmark with all that pytest-benchmark writes of it."""
    nothing = {"flop": None, "bytes": None, "needs": {}, "work": {}}
    entry = benchmark(workload, images, rounds, **nothing | changes)
    stats = Stats()
    stats.data = entry["stats"]["data"]
    entry["stats"] |= stats.as_dict()
    return entry | {"param": workload.partition("[")[2].rstrip("]") or None, "params": {"batch": 250, "way": "a"}}


def content(arm="cpu", run=1, **options):
    """A whole record of a CPU, or of a GPU."""
    steps = {"step_seconds": [9.0, 0.04, 0.04], "epoch_images": 50_000, "accuracy": 0.5123}
    warm = {"warmup_seconds": 1.5}
    whole = made(arm, run, workloads={}, **options)
    ours = whole["machine_info"]["cifar"]
    ours["environment"] |= {"software": {"tensorflow": "2.21.0", "tf32": True}, "node": {"cpus": 2}}
    ours["fingerprint"] = fingerprint(ours["environment"])
    scale = 1 + run / 1000
    rounds = [seconds * scale for seconds in ROUNDS]
    whole["benchmarks"] = [
        complete(NETWORK, rounds, images=500, flop=500 * FORWARD, needs={MATMUL: 500 * FORWARD}, calls=2, **warm),
        complete("forward[batch=250,by=predict]", rounds[:2], images=750, flop=750 * FORWARD, calls=3, **warm),
        complete("prediction[feed=generator]", rounds[:1], images=500, needs={MATMUL: 500 * FORWARD}, **warm),
        complete(GENERATOR, rounds[:4], images=50_000, needs={COPY: 50_000 * 15_360}, **warm),
        complete("generator[by=lesson,batch=250]", rounds[:1], images=500, work={"batches": "rows 0 to 499"}, **warm),
        complete("training[by=lesson]", rounds[:2], images=1500, flop=1500 * TRAINING, **warm, **steps),
        complete("training[by=aligned]", rounds[1:3], images=1500, flop=1500 * TRAINING, **warm, **steps),
        complete("startup[stage=import]", rounds[:1], warmup_seconds=None),
    ]
    whole["benchmarks"][5]["extra_info"]["checks"] = ["after an epoch: accuracy 0.512"]
    whole["benchmarks"][5]["extra_info"]["epoch_seconds"] = 40.0
    return whole


def ours(whole):
    """Our own part of a record."""
    return whole["machine_info"]["cifar"]


def extra(whole, place=0):
    """The extra_info of a benchmark."""
    return whole["benchmarks"][place]["extra_info"]


def stats(whole, place=0):
    """The statistics of a benchmark."""
    return whole["benchmarks"][place]["stats"]
