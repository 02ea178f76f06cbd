"""Images per second that a generator delivers when nobody consumes them."""

from __future__ import annotations

import math

import h5py
import numpy as np
import pytest

from cifar.data import dataset as datasets
from cifar.workload import model
from cifar.workload.ahead import MOST_THREADS, ahead
from cifar.workload.generator import DataGenerator, LessonGenerator


def ours(device, path, _lesson_path, batch, _steps):
    """A whole epoch of our generator, made by the threads that are allotted, 8 at most, and the next order drawn."""
    generator = DataGenerator(path, batch_size=batch)
    first_order = generator.digest()

    def epoch():
        for _batch in ahead(generator, threads=device.threads):
            pass
        generator.on_epoch_end()

    def check(_result):
        assert np.array_equal(np.sort(generator.order), np.arange(generator.images)), "an image twice or missing"
        compare(generator, 4, path, generator.order)
        made = f"made by {min(device.threads, MOST_THREADS)} threads"
        return ["each image exactly once an epoch", "images and labels of 4 batches equal the file's", made]

    # Each image is read as bytes and written as float32 at least.
    needs = {"peak[what=host-copy]": 5 * math.prod(model.IMAGE_SHAPE) * generator.images}
    work = {"batches": first_order}
    return {"call": epoch, "images": generator.images, "needs": needs, "check": check, "work": work}


def lesson(_device, path, lesson_path, batch, steps):
    """A stretch of the lesson's generator from its first batch on; a whole epoch would take minutes."""
    generator = LessonGenerator(lesson_path, batch)
    count = min(steps, len(generator) - 1)

    def stretch():
        for index in range(count):
            generator[index]

    def check(_result):
        compare(generator, count, path, np.arange(count * batch))
        return [f"images and labels of {count} batches equal the file's, in its order: nothing is shuffled"]

    rows = f"rows 0 to {count * batch - 1}"
    return {"call": stretch, "images": count * batch, "check": check, "work": {"batches": rows}, "repeat": False}


def aligned(device, path, _lesson_path, batch, steps):
    """The lesson's generator on a file whose chunks hold whole images, one batch each."""
    return lesson(device, path, datasets.aligned_layout(path, gzip=True), batch, 10 * steps)


def compare(generator, count, path, order):
    """Assert that the first `count` batches are the images of our file, scaled, and its labels, in `order`."""
    batches = [generator[index] for index in range(count)]
    images, labels = (np.concatenate(part) for part in zip(*batches, strict=True))
    rows = order[: len(images)]
    with h5py.File(path, "r") as file:
        assert np.array_equal(images, file["x_train"][:][rows] / np.float32(255)), "images differ from the file's"
        assert np.array_equal(labels.argmax(axis=1), file["y_train"][:][rows, 0]), "labels differ from the file's"


WORKLOADS = [
    pytest.param(lesson, 250, id="by=lesson,batch=250"),
    pytest.param(lesson, 32, id="by=lesson,batch=32", marks=pytest.mark.long),
    pytest.param(aligned, 250, id="by=aligned,batch=250"),
    pytest.param(ours, 250, id="by=ours,batch=250"),
    pytest.param(ours, 32, id="by=ours,batch=32"),
]


@pytest.mark.parametrize(("workload", "batch"), WORKLOADS)
def test_generator(measure, device, dataset, lesson_dataset, workload, batch):
    """Both generators, in batches as large as the lesson's and in small ones."""
    measure(**workload(device, dataset, lesson_dataset, batch, measure.effort.steps))
