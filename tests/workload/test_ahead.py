"""Batches made ahead: the generator's own, in order, on a few buffers, and no thread is left behind."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from cifar.workload.ahead import ahead
from cifar.workload.generator import DataGenerator


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [None, 0, 1, 4])
@pytest.mark.parametrize(("dtype", "size"), [("float32", 100), ("uint8", 100), ("uint8", 300), ("float32", 7)])
def test_ahead_delivers_the_same_batches_in_order(small, threads, count, dtype, size):
    """However many threads make them, together or each by itself, batches come in order, and are the generator's."""
    generator = DataGenerator(small, batch_size=size, dtype=dtype)
    expected = [generator[index] for index in range(len(generator) if count is None else count)]
    found = list(ahead(generator, count, threads))
    assert len(found) == len(expected)
    for (images, labels), (same_images, same_labels) in zip(found, expected, strict=True):
        np.testing.assert_array_equal(images, same_images)
        np.testing.assert_array_equal(labels, same_labels)
        assert images.ctypes.data % 64 == 0, "TensorFlow copies other arrays more slowly"


def test_ahead_lives_on_a_few_buffers(small):
    """A loop over batches made ahead uses the same few buffers epoch after epoch."""
    generator = DataGenerator(small, batch_size=50)
    places = set()
    for _ in range(5):
        for images, _ in ahead(generator):
            places.add(images.__array_interface__["data"][0])
    assert len(places) <= 6 * 5, "portions of five batches: four in advance, the caller's, and the one it still holds"


@pytest.mark.parametrize("threads", [1, 2])
def test_ahead_lets_the_caller_help(small, threads):
    """Of two threads one is the caller's: both make a portion at the same time.  A single thread is another's."""
    makers, both = [], threading.Barrier(threads)

    class Meeting(DataGenerator):
        def together(self, indices):
            makers.append(threading.get_ident())
            if len(makers) <= threads:
                both.wait(timeout=30)
            return super().together(indices)

    assert len(list(ahead(Meeting(small), threads=threads))) == 5
    assert len(makers) == 5
    assert len(set(makers)) == threads
    assert (threading.get_ident() in makers) == (threads > 1)


def test_ahead_ends_its_threads(small):
    """A loop that is left early, or where making fails, leaves no thread behind, and the failure is the caller's."""

    class Failing(DataGenerator):
        def together(self, indices):
            if indices.stop > 3:
                message = "the disk is gone"
                raise OSError(message)
            return super().together(indices)

    before = threading.active_count()
    for _ in ahead(DataGenerator(small, batch_size=10), threads=3):
        break
    assert threading.active_count() == before
    batches = ahead(Failing(small))
    assert [len(next(batches)[0]) for _ in range(3)] == [250] * 3
    with pytest.raises(OSError, match="the disk is gone"):
        next(batches)
    assert threading.active_count() == before
    with pytest.raises(ValueError, match="7 batches were asked for; an epoch has 5"):
        list(ahead(DataGenerator(small), count=7))
    with pytest.raises(ValueError, match="0 threads were asked for"):
        list(ahead(DataGenerator(small), threads=0))
    assert threading.active_count() == before
