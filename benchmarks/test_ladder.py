"""From the lesson's way to the fastest, one step at a time: each rung changes one thing, so its ratio is that thing's.

Measured only where it is asked for: `cifar bench --only ladder`.
"""

from __future__ import annotations

import functools
import math
import time

import h5py
import numpy as np
import pytest
import tensorflow as tf

from cifar.data import dataset as datasets
from cifar.workload import cost, model, training
from cifar.workload.ahead import ahead
from cifar.workload.clock import StepClock
from cifar.workload.generator import DataGenerator, LessonGenerator
from cifar.workload.model import CLASSES

pytestmark = pytest.mark.ladder

BATCH = 250
EPOCH = 200
"""Batches in an epoch of CIFAR-10."""
TOGETHER = {"cpu": 2, "gpu": 50}
"""Steps in a call, where they are several; what they save, a call's overhead, matters where a step is short."""
CACHE_BYTES = 2**26


def rung(name, *facts):
    """A rung under its name."""
    return pytest.param(*facts, id=f"rung={name}")


# --- the generator: a rung returns the call that makes batch i, and the order in which images come


def lesson(path):
    """The lesson's generator and file, as taught."""
    return LessonGenerator(datasets.lesson_layout(path), BATCH).__getitem__, None


def kept_open(path):
    """The dataset looked up once, and a chunk cache that holds what a batch inflates."""
    return from_h5py(datasets.lesson_layout(path), rdcc_nbytes=CACHE_BYTES), None


def aligned(path):
    """Chunks that hold whole images, one batch each."""
    return from_h5py(datasets.aligned_layout(path, gzip=True)), None


def uncompressed(path):
    """No gzip, which hardly shrinks photographs."""
    return from_h5py(datasets.aligned_layout(path, gzip=False)), None


def contiguous(path):
    """No chunks either: one array, as it lies in memory."""
    return from_h5py(path), None


def mapped(path):
    """The file mapped into memory, so that nothing is copied before the arithmetic."""
    images, labels = mapped_arrays(path)
    return lambda index: scaled(images[rows(index)], labels[rows(index)]), None


def shuffled(path):
    """A true shuffle: images gathered in the order of a permutation."""
    images, labels = mapped_arrays(path)
    order = np.random.Generator(np.random.PCG64(0)).permutation(len(images))
    return lambda index: scaled(images[order[rows(index)]], labels[order[rows(index)]]), order


def reused(path):
    """Our generator: gathered and scaled into memory that was used before, so that no page is new."""
    generator = DataGenerator(path, batch_size=BATCH)
    return generator.__getitem__, generator.order


def from_h5py(path, **options):
    """Batches read by h5py from a dataset that stays open."""
    file = h5py.File(path, "r", **options)
    images, labels = file["x_train"], file["y_train"]
    return lambda index: scaled(images[rows(index)], labels[rows(index)].reshape(-1))


def mapped_arrays(path):
    """Images mapped, labels read."""
    with h5py.File(path, "r") as file:
        images = file["x_train"]
        return np.memmap(path, np.uint8, "r", images.id.get_offset(), images.shape), file["y_train"][:].reshape(-1)


def rows(index):
    """The places of a batch in the order."""
    return slice(BATCH * index, BATCH * (index + 1))


def scaled(images, labels):
    """A batch as the lesson's: float32 in [0, 1] and one-hot, in new memory."""
    return np.asarray(images).astype("float32") / np.float32(255), np.eye(10, dtype=np.float32)[labels]


def in_turn(make):
    """A rung whose batches one thread makes, one after the other."""

    def ready(_device, path):
        batch, order = make(path)

        def a_pass(count):
            for index in range(count):
                last = batch(index)
            return last

        return a_pass, order

    return ready


def made_ahead(dtype, take):
    """A rung whose batches several threads make ahead of the one who takes them."""

    def ready(device, path):
        generator = DataGenerator(path, batch_size=BATCH, dtype=dtype)

        def a_pass(count):
            for batch in ahead(generator, count, device.threads):
                last = take(batch)
            return last

        return a_pass, generator.order

    return ready


def as_arrays(batch):
    """A batch as it is."""
    return batch


def as_tensors(batch):
    """A batch as tensors in the host's memory, as a training step takes it."""
    with tf.device("CPU:0"):
        return [tf.convert_to_tensor(part) for part in batch]


@pytest.mark.parametrize(
    ("make", "few"),
    [
        rung("lesson", in_turn(lesson), True),
        rung("kept-open", in_turn(kept_open), False),
        rung("aligned", in_turn(aligned), False),
        rung("uncompressed", in_turn(uncompressed), False),
        rung("contiguous", in_turn(contiguous), False),
        rung("mapped", in_turn(mapped), False),
        rung("shuffled", in_turn(shuffled), False),
        rung("reused", in_turn(reused), False),
        rung("ahead", made_ahead("float32", as_arrays), False),
        rung("bytes", made_ahead("uint8", as_arrays), False),
        rung("tensors", made_ahead("uint8", as_tensors), False),
    ],
)
def test_ladder_generator(measure, device, dataset, make, few):
    """A pass over the data with nobody to consume it; slow rungs make a few batches."""
    a_pass, order = make(device, dataset)
    count = 2 * measure.effort.steps if few else EPOCH
    # Each image is read as bytes and written as bytes at least, most rungs write float32.
    needs = {} if few else {"peak[what=host-copy]": 2 * BATCH * count * math.prod(model.IMAGE_SHAPE)}
    measure(lambda: a_pass(count), images=BATCH * count, needs=needs, check=equals_file(dataset, order, count))


def equals_file(path, order, count):
    """A check that the last of `count` batches is the file's, in this order (None: the file's own)."""

    def check(batch):
        images, labels = (np.asarray(part) for part in batch)
        wanted = np.arange(BATCH * count)[rows(count - 1)] if order is None else order[rows(count - 1)]
        with h5py.File(path, "r") as file:
            expected, classes = file["x_train"][:][wanted], file["y_train"][:][wanted, 0]
        if images.dtype != np.uint8:
            expected, labels = expected / np.float32(255), labels.argmax(axis=1)
        assert np.array_equal(images, expected), "the images differ from the file's"
        assert np.array_equal(labels, classes), "the labels differ from the file's"
        return [f"batch {count} equals the file's"]

    return check


# --- the forward pass: a rung returns the call


def predict(network, images):
    """The lesson's call, which builds a dataset around the images each time."""

    def call():
        with tf.device(None):
            return network.predict(images, batch_size=len(images), verbose=0)

    return call


def eager(network, images):
    """The network called as a function, layer by layer."""
    return lambda: network(images, training=False).numpy()


def compiled(network, images):
    """One compiled graph, the input from the host and the output back to it."""
    forward = training.forward(network)
    return lambda: forward(images).numpy()


def resident(network, images):
    """The input lies on the device, and the output stays there."""
    forward, there = training.forward(network), tf.identity(images)
    return lambda: forward(there)


PRECISIONS = [
    ("resident", "float32", False),
    ("bfloat16", "mixed_bfloat16", False),
    ("bfloat16-xla", "mixed_bfloat16", True),
    ("xla", "float32", True),
]
"""The last rungs, on data that lies on the device: precision and compiler, one changed at a time."""


@pytest.mark.parametrize(
    ("call", "precision", "xla"),
    [
        rung("lesson", predict, "float32", False),
        rung("eager", eager, "float32", False),
        rung("compiled", compiled, "float32", False),
        *(rung(name, resident, precision, xla) for name, precision, xla in PRECISIONS),
    ],
)
def test_ladder_forward(measure, device, dataset, call, precision, xla):
    """A batch of 250 through the network, checked against the plain layers in float32."""
    with device.scope():
        images, _ = DataGenerator(dataset, batch_size=BATCH)[0]
        forward = call(training.prepare(model.build(precision=precision), xla=xla), images)
        expected = model.build()(images, training=False)
    # TF32 keeps 10 bits and bfloat16 7 of each factor; eleven layers add their errors.
    allowed = 5e-3 if precision == "float32" else 5e-2

    def check(result):
        np.testing.assert_allclose(result, expected, rtol=allowed)
        return [f"probabilities agree with the plain layers' within {100 * allowed:g} %"]

    measure(forward, images=BATCH, flop=cost.forward_flop(model.build()) * BATCH, check=check)


# --- training: a rung returns the call that trains for a number of batches


def fit(make):
    """Keras's loop on a generator; what it does once an epoch is told from its steps, see `by_lesson`."""

    def train_on(_device, dataset, network, clock):
        generator = make(dataset)

        def train(count):
            with tf.device(None):
                return network.fit(generator, steps_per_epoch=count, callbacks=[clock], verbose=0).history["loss"]

        return train

    return train_on


@fit
def fit_lesson(dataset):
    """As taught."""
    return LessonGenerator(datasets.lesson_layout(dataset), BATCH)


@fit
def fit_aligned(dataset):
    """The lesson's generator and loop, on a file whose chunks are batches."""
    return LessonGenerator(datasets.aligned_layout(dataset, gzip=True), BATCH)


@fit
def fit_ours(dataset):
    """Our generator in the lesson's loop."""
    return DataGenerator(dataset, batch_size=BATCH)


def own_steps(dtype, *, apart=True):
    """A compiled step without what Keras does around each batch; `apart`: gradients of biases by themselves."""

    def train_on(device, dataset, network, _clock):
        step, generator = training.step(network, apart=apart), DataGenerator(dataset, batch_size=BATCH, dtype=dtype)
        return lambda count: training.epoch(step, ahead(generator, count, device.threads))

    return train_on


def several_steps(device, dataset, network, _clock):
    """Several batches a call; the generator makes them as one large batch, no larger than what is asked for."""
    steps = training.steps(network)
    of_size = functools.cache(lambda size: DataGenerator(dataset, batch_size=size, dtype="uint8"))

    def train(count):
        losses, together = [], min(TOGETHER[device.kind], count)
        for images, labels in ahead(of_size(BATCH * together), math.ceil(count / together), device.threads):
            parts = images.reshape(-1, BATCH, *model.IMAGE_SHAPE), labels.reshape(-1, BATCH)
            losses.append(steps(*(part[: count - together * len(losses)] for part in parts)))
        return tf.concat(losses, 0)

    return train


def resident_steps(device, dataset, network, _clock):
    """The whole set on the device; the host sends positions only."""
    generator = DataGenerator(dataset, batch_size=BATCH, dtype="uint8")
    with h5py.File(dataset, "r") as file:
        images, labels = file["x_train"][:], file["y_train"][:, 0].astype(np.int32)
    steps, together = training.resident_steps(network, images, labels), TOGETHER[device.kind]

    def train(count):
        positions = generator.order[: count * BATCH].reshape(count, BATCH)
        return tf.concat([steps(positions[at : at + together]) for at in range(0, count, together)], 0)

    return train


@pytest.mark.parametrize(
    ("way", "precision", "xla", "repeat"),
    [
        rung("lesson", fit_lesson, "float32", False, False),
        rung("aligned", fit_aligned, "float32", False, False),
        rung("fit", fit_ours, "float32", False, False),
        rung("compiled", own_steps("float32", apart=False), "float32", False, True),
        rung("biases", own_steps("float32"), "float32", False, True),
        rung("bytes", own_steps("uint8"), "float32", False, True),
        rung("several", several_steps, "float32", False, True),
        *(rung(name, resident_steps, precision, xla, True) for name, precision, xla in PRECISIONS),
    ],
)
def test_ladder_training(measure, device, dataset, pytestconfig, way, precision, xla, repeat):
    """A short epoch; the first run also trains a whole one, and says how long it took and what accuracy it gave."""
    count, clock = measure.effort.steps, StepClock()
    with device.scope():
        network = training.prepare(model.build(precision=precision), xla=xla)
        state = [(variable, variable.numpy()) for variable in (*network.variables, *network.optimizer.variables)]
        train = way(device, dataset, network, clock)

    def check(losses):
        assert np.isfinite(np.mean(losses)), "the loss is not finite"
        place = network.trainable_weights[0].value.device
        assert place.endswith(device.tensorflow_name), f"the weights are on {place}, not on {device.name}"
        if pytestconfig.getoption("--run-number") > 1 or pytestconfig.getoption("--effort") == "quick":
            return ["the loss is finite"]
        train(TOGETHER[device.kind])  # so that all is compiled
        for variable, value in state:
            variable.assign(value)
        device.wait()
        start = time.perf_counter()
        train(EPOCH)
        device.wait()
        measure.note(epoch_seconds=time.perf_counter() - start)
        valid = DataGenerator(dataset, "valid", shuffle=False)
        loss, accuracy = training.evaluate(training.forward(network), ahead(valid))
        assert accuracy > 2 / CLASSES, f"an accuracy of {accuracy:.3f} after a whole epoch: nothing is learned"
        measure.note(accuracy=accuracy)
        return ["the loss is finite", f"after a whole epoch: validation loss {loss:.3f}, accuracy {accuracy:.3f}"]

    flop = cost.training_flop(network) * BATCH * count
    measure(lambda: train(count), images=BATCH * count, flop=flop, check=check, repeat=repeat)
    if clock.seconds:
        measure.note(step_seconds=clock.seconds, epoch_images=BATCH * EPOCH)
