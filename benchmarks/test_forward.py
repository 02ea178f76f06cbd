"""Images per second through the network, no training: where the input lies, and how it is called."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from cifar.workload import model, training
from cifar.workload.generator import DataGenerator


def on_device(network, images):
    """The input lies in the device's memory, the output stays there: compute alone."""
    forward, resident = training.forward(network), tf.identity(images)
    return lambda: forward(resident)


def from_host(network, images):
    """The input comes from the host's memory and the output goes back to it, batch by batch."""
    forward = training.forward(network)
    return lambda: forward(images).numpy()


def by_predict(network, images):
    """The lesson's call: `predict` builds a dataset around the images, each time anew."""

    def predict():
        # Datasets have parts that only a CPU runs: see `by_lesson` in test_training.py.
        with tf.device(None):
            return network.predict(images, batch_size=len(images), verbose=0)

    return predict


WORKLOADS = [
    *(pytest.param(on_device, batch, id=f"batch={batch},input=device") for batch in (1, 32, 250, 1024)),
    *(pytest.param(from_host, batch, id=f"batch={batch},input=host") for batch in (1, 32, 250, 1024)),
    pytest.param(by_predict, 250, id="batch=250,by=predict"),
]


@pytest.mark.parametrize(("workload", "batch"), WORKLOADS)
def test_forward(measure, device, dataset, workload, batch):
    """Each way of calling, checked against the plain layers' answer for the same images."""
    generator = DataGenerator(dataset, batch_size=batch)
    with device.scope():
        images, _ = generator[0]
        network = training.prepare(model.build(), xla=device.kind == "gpu")
        call = workload(network, images)

    def check(result):
        expected = network(images, training=False)
        assert expected.device.endswith(device.tensorflow_name), f"computed on {expected.device}, not on {device.name}"
        assert np.shape(result) == (batch, 10)
        # TF32 keeps 10 bits of each factor: 2**-11 a product, less in a sum of many.
        np.testing.assert_allclose(result, expected, rtol=5e-3)
        assert np.allclose(np.sum(result, axis=1), 1, atol=1e-3), "probabilities do not add up to 1"
        return [f"probabilities of {batch} images agree with the plain layers' within 0.5 %", f"ran on {device.name}"]

    measure(
        call,
        images=batch,
        flop=model.forward_flop(network) * batch,
        needs=needs(device, network, images, workload),
        check=check,
        work={"weights": model.digest(network), "batches": generator.digest(1)},
    )


def needs(device, network, images, workload):
    """What a call uses up of each limit: arithmetic, memory traffic, and the way to the device where it goes it."""
    found = {
        f"peak[what=matmul,type={device.multiplies}]": model.forward_flop(network) * len(images),
        "peak[what=copy]": model.forward_bytes(network, len(images)),
    }
    crosses = device.kind == "gpu" and workload is not on_device
    return found | ({"peak[what=to-device]": images.nbytes} if crosses else {})
