"""Images per second of a short training epoch: compute alone, fed by our generator, and the lesson's way."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

from cifar.data import dataset as datasets
from cifar.workload import cost, model, training
from cifar.workload.ahead import ahead
from cifar.workload.clock import StepClock
from cifar.workload.generator import DataGenerator, LessonGenerator

BATCH = 250
CHANCE = math.log(10)
# A few rounds of a few steps may end before the network has learned anything: the check goes on for so long.
MORE_STEPS = 50


def from_memory(measure, network, dataset, _lesson_dataset):
    """Batches that lie in the device's memory: compute alone."""
    step = training.step(network)
    batches = training.on_device(training.take(DataGenerator(dataset, batch_size=BATCH), measure.effort.steps))
    return lambda: training.epoch(step, batches)


def from_generator(measure, network, dataset, _lesson_dataset):
    """Batches as our generator makes them ahead, each moved to the device when its step begins."""
    step, generator = training.step(network), DataGenerator(dataset, batch_size=BATCH)
    return lambda: training.epoch(step, ahead(generator, measure.effort.steps, measure.device.threads))


def by_keras(measure, network, dataset, _lesson_dataset):
    """The same batches, each by a call of Keras's own step, which reads the loss and the accuracy."""
    batches = training.on_device(training.take(DataGenerator(dataset, batch_size=BATCH), measure.effort.steps))
    return lambda: [network.train_on_batch(*batch)[0] for batch in batches]


def by_lesson(measure, network, _dataset, lesson_dataset):
    """The lesson's call: `fit` on its own generator and file, which at an epoch's end reads the file for its length.

    That end is charged to the round by the part that its images are of a whole epoch's.
    """
    generator, clock = LessonGenerator(lesson_dataset, BATCH), StepClock()
    measure.note(step_seconds=clock.seconds, epoch_images=len(generator.indices))

    def fit():
        # Datasets have parts that only a CPU runs: without a scope TensorFlow places each part by itself,
        # and the network's on the GPU where the process sees one, as in the lesson.
        with tf.device(None):
            history = network.fit(generator, steps_per_epoch=measure.effort.steps, callbacks=[clock], verbose=0)
        return history.history["loss"]

    return fit


def by_aligned(measure, network, dataset, _lesson_dataset):
    """The lesson's call and generator on a file whose chunks are batches."""
    return by_lesson(measure, network, dataset, datasets.aligned_layout(dataset, gzip=True))


@pytest.mark.parametrize(
    ("workload", "repeat"),
    [
        pytest.param(from_memory, True, id="feed=memory"),
        pytest.param(from_generator, True, id="feed=generator"),
        pytest.param(by_keras, True, id="feed=memory,by=keras"),
        pytest.param(by_lesson, False, id="by=lesson", marks=pytest.mark.long),
        pytest.param(by_aligned, False, id="by=aligned", marks=pytest.mark.long),
    ],
)
def test_training(measure, device, dataset, lesson_dataset, workload, repeat):
    """Each way of feeding; what it trains must learn by it."""
    with device.scope():
        network = training.prepare(model.build(), xla=device.kind == "gpu")
        weights = model.digest(network)
        batches = DataGenerator(dataset, batch_size=BATCH).digest(measure.effort.steps)
        call = workload(measure, network, dataset, lesson_dataset)

    def check(losses):
        loss = float(np.mean(losses))
        assert math.isfinite(loss), f"the loss is {loss}"
        for _ in range(0, MORE_STEPS, measure.effort.steps):
            if loss < CHANCE:
                break
            loss = float(np.mean(call()))
        assert loss < CHANCE, f"the loss of {loss:.3f} is no better than guessing ({CHANCE:.3f})"
        assert model.digest(network) != weights, "the weights are as they were"
        place = network.trainable_weights[0].value.device
        assert place.endswith(device.tensorflow_name), f"the weights are on {place}, not on {device.name}"
        return [f"loss {loss:.3f}, below chance ({CHANCE:.3f})", f"weights on {device.name}"]

    measure(
        call,
        images=BATCH * measure.effort.steps,
        flop=cost.training_flop(network) * BATCH * measure.effort.steps,
        needs=needs(device, network, workload, measure.effort.steps),
        check=check,
        work={"weights": weights, "batches": batches},
        repeat=repeat,
    )


def needs(device, network, workload, steps):
    """What an epoch uses up of each limit: arithmetic, memory traffic, and the way to the device where it goes it."""
    found = {
        f"peak[what=matmul,type={device.multiplies}]": cost.training_flop(network) * BATCH * steps,
        "peak[what=copy]": cost.training_bytes(network, BATCH) * steps,
    }
    crosses = device.kind == "gpu" and workload not in {from_memory, by_keras}
    image_bytes = 4 * math.prod(model.IMAGE_SHAPE)
    return found | ({"peak[what=to-device]": image_bytes * BATCH * steps} if crosses else {})
