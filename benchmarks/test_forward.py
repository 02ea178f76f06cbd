"""Images per second through the network, no training: where the input lies, and how it is called."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from cifar.workload import cost, model, training
from cifar.workload.ahead import ahead
from cifar.workload.generator import DataGenerator, LessonGenerator

BATCH = 250


def on_device(network, images):
    """The input lies in the device's memory, the output stays there: compute alone."""
    forward, resident = forward_pass(network, images), tf.identity(images)
    return lambda: forward(resident)


def from_host(network, images):
    """The input comes from the host's memory and the output goes back to it, batch by batch."""
    forward = forward_pass(network, images)

    def call():
        found = forward(images)
        found.numpy()
        return found

    return call


def forward_pass(network, images):
    """The network as one graph, by XLA on a GPU and for small batches."""
    return training.forward(network, xla=network.jit_compile or len(images) <= training.SMALL_BATCH)


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
        assert np.shape(result) == (batch, 10)
        # TF32 keeps 10 bits of each factor: 2**-11 a product, less in a sum of many.
        np.testing.assert_allclose(result, expected, rtol=5e-3)
        assert np.allclose(np.sum(result, axis=1), 1, atol=1e-3), "probabilities do not add up to 1"
        said = f"probabilities of {batch} images agree with the plain layers' within 0.5 %"
        if workload is by_predict:  # which gives them on the host
            return [said]
        assert result.device.endswith(device.tensorflow_name), f"computed on {result.device}, not on {device.name}"
        return [said, f"computed on {device.name}"]

    measure(
        call,
        images=batch,
        flop=cost.forward_flop(network) * batch,
        needs=needs(device, network, images, workload),
        check=check,
        work={"weights": model.digest(network), "batches": generator.digest(1)},
    )


def ours(measure, dataset, _lesson_dataset):
    """Our generator, and the call that goes through a stretch of it."""
    generator = DataGenerator(dataset, batch_size=BATCH)
    return generator, lambda: ahead(generator, measure.effort.steps, measure.device.threads)


def lesson(measure, _dataset, lesson_dataset):
    """The lesson's generator, from its first batch on."""
    generator = LessonGenerator(lesson_dataset, BATCH)
    return generator, lambda: training.take(generator, measure.effort.steps)


@pytest.mark.parametrize(
    ("feed", "repeat"),
    [
        pytest.param(ours, True, id="feed=generator"),
        pytest.param(lesson, False, id="feed=lesson", marks=pytest.mark.long),
    ],
)
def test_prediction(measure, device, dataset, lesson_dataset, feed, repeat):
    """The network fed by a generator, its answers read batch by batch, as one predicts a whole set."""
    generator, batches = feed(measure, dataset, lesson_dataset)
    with device.scope():
        network = training.prepare(model.build(), xla=device.kind == "gpu")
        forward = training.forward(network)

    def check(result):
        images, _ = generator[measure.effort.steps - 1]
        with device.scope():
            np.testing.assert_allclose(result, network(images, training=False), rtol=5e-3)
        return ["probabilities of the last batch agree with the plain layers' within 0.5 %"]

    def predict():
        for images, _labels in batches():
            last = forward(images).numpy()
        return last

    images = BATCH * measure.effort.steps
    needs = {f"peak[what=matmul,type={device.multiplies}]": cost.forward_flop(network) * images}
    work = {"weights": model.digest(network)}
    measure(predict, images=images, needs=needs, check=check, work=work, repeat=repeat)


def needs(device, network, images, workload):
    """What a call uses up of each limit: arithmetic, memory traffic, and the way to the device where it goes it."""
    found = {
        f"peak[what=matmul,type={device.multiplies}]": cost.forward_flop(network) * len(images),
        "peak[what=copy]": cost.forward_bytes(network, len(images)),
    }
    crosses = device.kind == "gpu" and workload is not on_device
    return found | ({"peak[what=to-device]": images.nbytes} if crosses else {})
