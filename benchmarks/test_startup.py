"""Time to the first result, in seconds: what a user waits before any throughput counts."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest

from cifar.workload import model, training
from cifar.workload.generator import DataGenerator


def importing(_device, _dataset):
    """A fresh interpreter that imports TensorFlow and Keras, the page cache warm."""
    command = [sys.executable, "-c", "import tensorflow, keras; print(keras.__version__)"]

    def check(finished):
        assert finished.returncode == 0, finished.stderr[-500:]
        return [f"a fresh interpreter imported Keras {finished.stdout.split()[-1]}"]

    return {"call": lambda: subprocess.run(command, capture_output=True, text=True, check=False), "check": check}


def first_step(device, dataset):
    """Open the data, build the network, trace and compile a training step, and take the first one."""

    def call():
        network = training.prepare(model.build(), xla=device.kind == "gpu")
        return training.step(network)(*DataGenerator(dataset)[0])

    def check(loss):
        assert math.isfinite(loss), f"the loss is {float(loss)}"
        return [f"the first loss is {float(loss):.4f}"]

    return {"call": call, "check": check}


STAGES = [
    pytest.param(importing, id="stage=import", marks=pytest.mark.long),
    pytest.param(first_step, id="stage=first-step"),
]


@pytest.mark.parametrize("stage", STAGES)
def test_startup(measure, device, dataset, stage):
    """Each stage once, in a process that has not done it before."""
    measure.once(**stage(device, dataset))
