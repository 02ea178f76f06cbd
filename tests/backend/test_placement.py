"""Placement: what was executed where is seen, and a violation is caught."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest
import tensorflow as tf

from cifar.backend import placement, tensorflow

TWO_CPUS = """
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from cifar.backend import placement, tensorflow
from cifar.workload import model, training

audit = placement.Audit(tensorflow.Device("cpu", "/device:CPU:0", "cpu", 2))
with tf.device("/device:CPU:0"):
    network = training.prepare(model.build())
    forward, step = training.forward(network), training.counting_step(network)
    images, labels = tf.zeros((4, 32, 32, 3)), tf.one_hot([0] * 4, 10)
    audit.watch("step", step)(images, labels)
    audit.watch("forward", forward)(images)
print(audit.operations)
for name, call in (("step", step), ("forward", forward)):
    try:
        with tf.device("/device:CPU:1"):
            audit.watch(f"outside: {name}", call)(*((images, labels) if name == "step" else (images,)))
    except placement.MisplacedError as error:
        print("caught:", error)
"""
"""A network on one of two devices; then its step and its forward pass are called outside that device's scope."""


@pytest.fixture
def cpu():
    """The CPU, as `claim` names it."""
    return tensorflow.Device("cpu", "/device:CPU:0", "cpu", 1)


def test_violation_is_caught():
    """With two devices: what ran on the one named passes; training and prediction outside its scope are refused."""
    done = subprocess.run([sys.executable, "-c", TWO_CPUS], capture_output=True, text=True, check=True)
    passed, *caught = done.stdout.splitlines()
    assert passed.count("/device:CPU:0") == 2
    assert "CPU:1" not in passed
    assert len(caught) == 2
    for line, name in zip(caught, ("step", "forward"), strict=True):
        assert line.startswith(f"caught: outside: {name} was to run on cpu (/device:CPU:0), but there was ")
        assert "on /device:CPU:1" in line


def test_counts_the_first_call_only(cpu):
    """The first call is counted, each operation once; later calls go through as they are."""
    audit = placement.Audit(cpu)
    square = audit.watch("square", tf.function(lambda number: number * number))
    assert [float(square(tf.constant(side))) for side in (2.0, 3.0)] == [4.0, 9.0]
    assert audit.operations == {"square": {"/device:CPU:0": 1}}


def test_tasks_are_counted_apart(cpu):
    """What one task executed, watched or not, is not counted under the next."""
    audit = placement.Audit(cpu)
    audit.watch("one", tf.function(lambda number: number * number))(tf.constant(2.0))
    tf.function(lambda number: number + 1)(tf.constant(2.0))
    audit.watch("other", tf.function(lambda number: number - 1))(tf.constant(2.0))
    assert audit.operations["other"] == {"/device:CPU:0": 1}


def test_nothing_seen_is_no_proof(cpu):
    """A call that runs no compiled function is refused, for nothing was shown."""
    with pytest.raises(placement.MisplacedError, match="no operation of a compiled function"):
        placement.Audit(cpu).watch("nothing", lambda: 1)()


class Array:
    """An array as JAX or PyTorch shows where it lies."""

    def __init__(self, library, kind):
        """Lie on a device of `kind`, by the name that `library` has for it."""
        if library == "jax":
            self.devices = lambda: [SimpleNamespace(platform=kind)]
        else:
            self.device = SimpleNamespace(type={"gpu": "cuda"}.get(kind, kind))


@pytest.mark.parametrize("library", ["jax", "torch"])
def test_results_of_other_backends(library):
    """A result of JAX or PyTorch that lies elsewhere is caught, however deep in what was returned."""
    cpu, gpu = Array(library, "cpu"), Array(library, "gpu")
    on_gpu = placement.watch_results("gpu")
    assert on_gpu("step", lambda array: (gpu, [array]))(gpu) == (gpu, [gpu])
    with pytest.raises(placement.MisplacedError, match="step was to run on the gpu, but its results lie on cpu, gpu"):
        on_gpu("step", lambda array: (gpu, [array]))(cpu)
