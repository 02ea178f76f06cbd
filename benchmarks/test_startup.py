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
    program = "import tensorflow, keras; print(keras.__version__)"
    command = [sys.executable, "-c", program]
    return lambda: subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1]


def first_step(device, dataset):
    """Open the data, build the network, trace and compile a training step, and take the first one."""

    def run():
        network = training.prepare(model.build(), xla=device.kind == "gpu")
        loss = training.step(network)(*DataGenerator(dataset)[0])
        return f"loss {float(loss):.4f}"

    return run


@pytest.mark.parametrize(
    "stage", [pytest.param(importing, id="stage=import"), pytest.param(first_step, id="stage=first-step")]
)
def test_startup(measure, device, dataset, stage):
    """Each stage once, in a process that has not done it before."""

    def check(words):
        assert math.isfinite(float(words.split()[-1].replace(".", "", 1))), words
        return [words]

    measure.once(stage(device, dataset), check=check)
