"""A process that TensorFlow is bound to one device in, and what it tells of that."""

from __future__ import annotations

import json

import pytest
import tensorflow as tf

from cifar.backend import tensorflow

from .conftest import fresh


@pytest.mark.slow
def test_cpu():
    """The CPU is claimed with the threads asked for; it computes, waits, tells its peaks, and is no GPU."""
    code = """
import json
from cifar.backend import device as devices, tensorflow
device = devices.claim("cpu", threads=1)
import numpy as np, tensorflow as tf
device.reset_peak_memory()
before = device.peak_memory()
ballast = np.ones(8_000_000)
with device.scope():
    place = tf.ones(3).device
device.wait()
after = device.peak_memory()
del ballast
device.reset_peak_memory()
gpu = tensorflow.Device("gpu", "/device:GPU:0", "gpu", 1)
errors = []
for soft in (True, False):
    tf.config.set_soft_device_placement(soft)
    try:
        tensorflow.check_placement(gpu)
    except RuntimeError as error:
        errors.append(str(error))
try:
    devices.claim("cpu")
except RuntimeError as error:
    errors.append(str(error))
print(json.dumps({
    "device": [device.name, device.kind, device.tensorflow_name, device.threads, device.number, device.model],
    "threads": [tf.config.threading.get_intra_op_parallelism_threads(),
                tf.config.threading.get_inter_op_parallelism_threads()],
    "gpus": len(tf.config.get_visible_devices("GPU")), "place": place, "resets": device.resets_host_peak,
    "peaks": [before, after, device.peak_memory()], "errors": errors,
}))
"""
    done = fresh(code)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["device"] == ["cpu", "cpu", "/device:CPU:0", 1, None, None]
    assert (found["threads"], found["gpus"]) == ([1, 1], 0)
    assert found["place"].endswith("/device:CPU:0")
    before, after, later = found["peaks"]
    assert after["host_peak_bytes"] > before["host_peak_bytes"] + 60_000_000
    assert after["device_peak_bytes"] is None
    assert "host's memory" in after["meaning"]
    if found["resets"]:
        assert later["host_peak_bytes"] < after["host_peak_bytes"] - 60_000_000
        assert "since the reset" in after["meaning"]
    else:
        assert "since it began" in after["meaning"]
    fell_back, failed, again = found["errors"]
    assert "gpu was asked for, but TensorFlow computed on" in fell_back
    assert "gpu cannot compute" in failed
    assert "start a fresh one" in again


def test_executed():
    """What a compiled function executed is told with its device; what calls before it left behind is not."""
    tf.function(lambda number: number + 1)(tf.constant(2.0))
    result, operations = tensorflow.executed(lambda: tf.function(lambda number: number - 1)(tf.constant(3.0)))
    assert float(result) == 2.0
    assert operations == [("/device:CPU:0", "Sub")]


def test_software():
    """Versions and settings are told, and what a build for CPUs has not is called so."""
    facts = tensorflow.software()
    assert facts["tensorflow"] == tf.__version__
    assert facts["cuda_targets"]
    assert all(fact not in (None, "") for fact in facts.values())
