"""What `cifar.measure.environment` records of this very process."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from cifar.record.fingerprint import fingerprint

PROCESS = """
import json, sys
from types import SimpleNamespace
from cifar.backend import device
from cifar.measure import environment
from cifar.record.fingerprint import fingerprint
data = SimpleNamespace(digest="ab" * 32, source="made up", synthetic=True)
facts = environment.collect(device.claim("cpu", threads=1), data)
print(json.dumps([facts, fingerprint(facts)], allow_nan=False))
"""


def holes(facts, place=""):
    """Return the places of all facts that are null, empty text or a zero."""
    if isinstance(facts, dict):
        return [hole for name, fact in facts.items() for hole in holes(fact, f"{place}.{name}")]
    if isinstance(facts, list):
        return [hole for number, fact in enumerate(facts) for hole in holes(fact, f"{place}.{number}")]
    return [place] if facts is None or facts == "" or (facts == 0 and facts is not False) else []


@pytest.fixture(scope="module")
def processes():
    """Facts and fingerprint, collected by two processes that run side by side."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    running = [
        subprocess.Popen([sys.executable, "-c", PROCESS], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    answers = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0, 0], answers
    return [json.loads(out.splitlines()[-1]) for out, _ in answers]


@pytest.mark.slow
class TestCollect:
    """The facts of a measuring process, really collected."""

    def test_subjects(self, processes):
        """Every subject that a reader may ask about is there."""
        facts, _ = processes[0]
        assert facts.keys() == {
            *("schema", "device", "node", "load", "driver", "gpus", "software", "variables"),
            *("container", "source", "batch", "dataset"),
        }
        assert facts["device"]["threads"] == 1
        assert facts["dataset"] == {"digest": "ab" * 32, "source": "made up", "synthetic": True}
        assert facts["software"]["tensorflow"].startswith("2.")
        assert facts["software"]["tf32"] in (True, False)
        assert facts["node"]["memory_bytes"] > 2**28

    def test_nothing_is_zero_by_failure(self, processes):
        """What could not be had is called unmeasurable with its reason: no null, no empty text, no zero."""
        facts, _ = processes[0]
        assert [place for place in holes(facts) if not place.startswith((".load.", ".variables."))] == []
        assert all(set(load) == {"minutes_1", "minutes_5", "minutes_15", "runnable"} for load in [facts["load"]])

    def test_no_user(self, processes):
        """No home folder stands in the record."""
        facts, _ = processes[0]
        home = os.path.expanduser("~")  # noqa: PTH111 - the text is what is looked for
        assert home not in json.dumps(facts)

    def test_fingerprint(self, processes):
        """The fingerprint is flat, has all its fields, and two processes on one node agree about it."""
        (_, one), (_, other) = processes
        assert one == other
        assert one.keys() == {
            *("schema", "workload", "dataset", "tensorflow", "keras", "backend", "numpy", "h5py", "hdf5"),
            *("cuda_build", "cudnn_build", "onednn", "tf32", "precision", "python", "cpu_model", "cpus", "threads"),
            *("gpu", "gpu_driver", "image"),
        }
        assert all(value is None or isinstance(value, str | int | float | bool) for value in one.values())
        assert (one["schema"], one["backend"], one["precision"]) == (1, "tensorflow", "float32")
        assert one["python"] == f"{sys.version_info.major}.{sys.version_info.minor}"
        assert len(one["workload"]) == 64

    def test_the_gpu_is_the_nodes(self, processes):
        """CPU and GPU of one node have one fingerprint, with the models' names; unmeasurable GPUs give None."""
        facts, _ = processes[0]
        h100, unknown = {"name": "NVIDIA H100"}, {"unmeasurable": "fell off the bus"}
        node = {**facts, "driver": {"version": "550.54"}, "gpus": [h100, h100, unknown]}
        on_gpu = {**node, "device": {**facts["device"], "kind": "gpu", "name": "gpu", "gpu": "NVIDIA H100"}}
        assert fingerprint(node) == fingerprint(on_gpu)
        assert fingerprint(node)["gpu"] == "NVIDIA H100"
        assert fingerprint(node)["gpu_driver"] == "550.54"
        image = {"kind": "docker", "image": "cifar-bench", "digest": unknown}
        assert fingerprint({**node, "container": image})["image"] == "unknown"
        assert fingerprint({**node, "container": {**image, "digest": "sha256:1"}})["image"] == "sha256:1"
        assert fingerprint({**node, "container": {**image, "kind": "none"}})["image"] is None
        nothing = {**node, "gpus": unknown, "driver": {"version": unknown}}
        assert fingerprint(nothing)["gpu"] is None
        assert fingerprint(nothing)["gpu_driver"] is None
