"""Time to the first result, in seconds: what a user waits before any throughput counts."""

from __future__ import annotations

import math
import subprocess

import pytest

from cifar.node import process
from cifar.workload import model, training
from cifar.workload.generator import DataGenerator


def interpreter(_device, _dataset):
    """A fresh interpreter that does nothing, the page cache warm."""
    return in_a_process("print('ready')", "a fresh interpreter started")


def importing(_device, _dataset):
    """A fresh interpreter that imports TensorFlow and Keras."""
    return in_a_process("import tensorflow, keras; print('ready')", "a fresh interpreter imported TensorFlow and Keras")


def claiming(device, _dataset):
    """The same, and the device found, bound and used for one product: on a GPU its driver and libraries start."""
    program = f"import keras; from cifar.backend import device; device.claim({device.name!r}); print('ready')"
    return in_a_process(program, f"a fresh interpreter computed a product on {device.name}")


def in_a_process(program, what):
    """A call that runs `program` in a process of its own, which says that it came to its end."""

    def call():
        command = process.python("-c", program)
        return subprocess.run(command, capture_output=True, text=True, check=False, pass_fds=process.locks())

    def check(finished):
        assert finished.stdout.split()[-1:] == ["ready"], finished.stderr[-500:]
        return [what]

    return {"call": call, "check": check}


def first_batch(_device, dataset):
    """The file opened, the first order drawn and the first batch made."""

    def check(batch):
        assert batch[0].shape == (250, *model.IMAGE_SHAPE), f"the batch is {batch[0].shape}"
        return ["the first batch has 250 images"]

    return {"call": lambda: DataGenerator(dataset)[0], "check": check}


def building(device, _dataset):
    """The network and the optimizer's state, built on the device."""

    def check(network):
        assert network.optimizer.built, "the optimizer is not built"
        return [f"{network.count_params():,} parameters"]

    return {"call": lambda: training.prepare(model.build(), xla=device.kind == "gpu"), "check": check}


def first_step(device, dataset):
    """The training step traced, compiled and taken for the first time, kernels chosen on the way."""
    network, batch = training.prepare(model.build(), xla=device.kind == "gpu"), DataGenerator(dataset)[0]

    def check(loss):
        assert math.isfinite(loss), f"the loss is {float(loss)}"
        return [f"the first loss is {float(loss):.4f}"]

    return {"call": lambda: training.step(network)(*batch), "check": check}


STAGES = [
    pytest.param(interpreter, id="stage=interpreter"),
    pytest.param(importing, id="stage=import", marks=pytest.mark.long),
    pytest.param(claiming, id="stage=device", marks=pytest.mark.long),
    pytest.param(first_batch, id="stage=first-batch"),
    pytest.param(building, id="stage=build"),
    pytest.param(first_step, id="stage=first-step"),
]


@pytest.mark.parametrize("stage", STAGES)
def test_startup(measure, device, dataset, stage):
    """Each stage once, in a process that has not done it before."""
    with device.scope():
        facts = stage(device, dataset)
    measure.once(**facts)
