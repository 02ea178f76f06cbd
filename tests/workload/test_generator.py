"""The generators: ours delivers each image once an epoch, scaled and labelled; the lesson's is as taught."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from cifar.data import dataset
from cifar.workload.ahead import ahead
from cifar.workload.generator import DataGenerator, LessonGenerator


@pytest.fixture(scope="module")
def arrays(small):
    """The file's arrays by name."""
    with h5py.File(small, "r") as file:
        return {name: file[name][:] for name in file}


def delivered(generator):
    """Images and labels of one whole epoch."""
    images, labels = zip(*(generator[index] for index in range(len(generator))), strict=True)
    return np.concatenate(images), np.concatenate(labels)


@settings(deadline=None, max_examples=30)
@given(
    split=st.sampled_from(["train", "valid"]),
    batch=st.integers(1, 1_200),
    seed=st.integers(0, 2**32),
    epochs=st.integers(0, 3),
    shuffle=st.booleans(),
    window=st.none() | st.integers(256, 1_500),
)
def test_epoch_holds_each_image_once(small, arrays, split, batch, seed, epochs, shuffle, window):
    """Whatever batch size, seed, epoch and window: each image once, scaled as the lesson scales, with its own label."""
    generator = DataGenerator(small, split, batch, shuffle=shuffle, seed=seed, window=window)
    for _ in range(epochs):
        generator.on_epoch_end()
    images, labels = delivered(generator)
    assert images.dtype == labels.dtype == np.float32
    assert np.array_equal(np.sort(generator.order), np.arange(len(arrays[f"x_{split}"])))
    np.testing.assert_array_equal(images, arrays[f"x_{split}"][generator.order].astype("float32") / 255.0)
    np.testing.assert_array_equal(labels, np.eye(10)[arrays[f"y_{split}"][generator.order, 0]])


def test_last_batch_is_what_is_left(small):
    """1,003 images in batches of 250 are five batches, the last one of 3."""
    generator = DataGenerator(small)
    assert len(generator) == 5
    assert [len(generator[index][0]) for index in range(5)] == [250] * 4 + [3]
    with pytest.raises(IndexError, match="batch 5 of 5"):
        generator[5]


def test_every_epoch_has_an_order_of_its_own(small):
    """Orders differ between epochs and seeds, and are those of the seed again in another process or generator."""
    one, other = DataGenerator(small, seed=7), DataGenerator(small, seed=7)
    digests = set()
    for _ in range(5):
        assert one.digest() == other.digest()
        digests.add(one.digest())
        one.on_epoch_end()
        other.on_epoch_end()
    assert len(digests) == 5
    assert DataGenerator(small, seed=8).digest() not in digests


def test_shuffle_is_global(small):
    """Any image may come anywhere: over 400 epochs the first place holds images of the whole file, evenly."""
    generator = DataGenerator(small)
    first = []
    for _ in range(400):
        first.append(generator.order[0])
        generator.on_epoch_end()
    counts = np.histogram(first, bins=4, range=(0, generator.images))[0]
    # 100 are expected in each quarter; a uniform order exceeds 5 standard deviations once in a million.
    assert np.abs(counts - 100).max() < 5 * np.sqrt(400 * 0.25 * 0.75)


def test_window_shuffles_blocks_and_what_is_in_a_window(small):
    """A window holds whole blocks of the file, others in each epoch, in an order that forgets the blocks."""
    generator = DataGenerator(small, window=512)
    companies, neighbours = set(), 0
    for _ in range(40):
        window = generator.order[:512]
        companies.add(frozenset(np.unique(window // 256).tolist()))
        neighbours += np.count_nonzero(np.diff(window) == 1)
        generator.on_epoch_end()
    # Any 2 of the 3 whole blocks, or one of them with parts of another beside the short last block.
    assert len(companies) >= 3
    # In a uniform order of 512 one of 511 steps is +1 on average, in 40 epochs 40; blocks in order would give 20,400.
    assert neighbours < 120


@pytest.mark.parametrize("window", [None, 1024, 4096])
def test_window_is_as_far_from_uniform_as_is_said(tmp_path_factory, window):
    """How often images of one block meet in a batch, against a uniform permutation, and how far images move.

    In a uniform permutation of n images each of the 250 · 249 ordered pairs in a batch is of one block with
    probability 255 / (n - 1); in windows of w images it is n / w times as much, less what batches across two windows
    miss.  An image moves by a third of the set.
    """
    images = 16_384
    path = dataset.prepare_synthetic(tmp_path_factory.getbasetemp() / "window.h5", train=images, valid=10)
    generator = DataGenerator(path, batch_size=250, window=window, dtype="uint8")
    met, moved, company = [], [], set()
    for _ in range(10):
        batches = generator.order[: images // 250 * 250].reshape(-1, 250)
        met += [
            sum(count * (count - 1) for count in np.unique(batch // 256, return_counts=True)[1]) for batch in batches
        ]
        moved.append(np.abs(generator.order - np.arange(images)).mean())
        company |= {frozenset(batch.tolist()) for batch in batches}
        generator.on_epoch_end()
    uniform = 250 * 249 * 255 / (images - 1)
    assert np.mean(met) / uniform == pytest.approx(images / (window or images), rel=0.1)
    assert np.mean(moved) == pytest.approx(images / 3, rel=0.1)
    assert len(company) == 10 * (images // 250)


def test_windows_serve_batches_in_any_order(small):
    """What the kernel was told to forget is read again: jumps back and several threads get the same batches."""
    generator = DataGenerator(small, batch_size=100, window=300, dtype="uint8")
    expected = [generator[index][0].copy() for index in (7, 0, 3, 9, 10)]
    found = [images for images, _ in ahead(generator, threads=3)]
    for index, images in zip((7, 0, 3, 9, 10), expected, strict=True):
        np.testing.assert_array_equal(found[index], images)


def test_unshuffled_is_the_files_order(small):
    """`shuffle=False` delivers the file as it is, every epoch."""
    generator = DataGenerator(small, "valid", shuffle=False)
    generator.on_epoch_end()
    assert np.array_equal(generator.order, np.arange(250))


def test_held_batches_keep_their_content(small, arrays):
    """A batch that somebody holds, as an array, a view or a tensor, is never overwritten by later ones."""
    generator = DataGenerator(small, batch_size=50)
    held = []
    for index in range(len(generator)):
        images, _ = generator[index]
        held.append((images, images[1:].reshape(-1), tf.constant(images), tf.convert_to_tensor(images[:2])))
    expected = arrays["x_train"][generator.order].astype("float32") / 255.0
    for index, (images, view, tensor, start) in enumerate(held):
        batch = expected[index * 50 : (index + 1) * 50]
        np.testing.assert_array_equal(images, batch)
        np.testing.assert_array_equal(view, batch[1:].reshape(-1))
        np.testing.assert_array_equal(tensor.numpy(), batch)
        np.testing.assert_array_equal(start.numpy(), batch[:2])


def test_dropped_batches_are_used_again(small):
    """A loop that drops each batch before the next but one lives on a few buffers, however long it runs."""
    generator = DataGenerator(small, batch_size=50)
    places = set()
    for _ in range(5):
        for index in range(len(generator)):
            images, _ = generator[index]
            places.add(images.__array_interface__["data"][0])
    assert len(places) <= 2


def test_uint8_is_the_file_as_it_is(small, arrays):
    """With dtype uint8 images and labels are the file's own, in the same order as scaled ones."""
    generator = DataGenerator(small, batch_size=300, dtype="uint8")
    images, labels = delivered(generator)
    assert (images.dtype, labels.dtype) == (np.uint8, np.int32)
    assert generator.digest() == DataGenerator(small).digest()
    np.testing.assert_array_equal(images, arrays["x_train"][generator.order])
    np.testing.assert_array_equal(labels, arrays["y_train"][generator.order, 0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dtype": "float64"}, "dtype must be"),
        ({"split": "test"}, "split must be"),
        ({"window": 255}, "window must be at least a block of 256"),
        ({"batch_size": 0}, "batch_size must be"),
        ({"batch_size": -5}, "at least 1"),
    ],
)
def test_bad_arguments(small, arguments, message):
    """Arguments that mean nothing are refused in words."""
    with pytest.raises(ValueError, match=message):
        DataGenerator(small, **arguments)


def test_missing_file(tmp_path):
    """A file that is not there is named, with the remedy."""
    with pytest.raises(FileNotFoundError, match="cifar prepare"):
        DataGenerator(tmp_path / "none.h5")


def test_compressed_file_cannot_be_mapped(small, tmp_path):
    """The lesson's layout is refused by our generator, with the remedy."""
    copy = tmp_path / "copy.h5"
    copy.write_bytes(small.read_bytes())
    with pytest.raises(ValueError, match="cannot be mapped"):
        DataGenerator(dataset.lesson_layout(copy))


@pytest.fixture(scope="module")
def lesson_file(small):
    """The small dataset in the lesson's layout."""
    return dataset.lesson_layout(small)


@pytest.mark.parametrize(("test", "part"), [(False, "train"), (True, "valid")])
def test_lesson_delivers_the_files_order(lesson_file, arrays, test, part):
    """The lesson's generator shuffles nothing that it reads: its epoch is the file as it is."""
    images, labels = delivered(LessonGenerator(lesson_file, 250, test=test))
    np.testing.assert_array_equal(images, arrays[f"x_{part}"].astype("float32") / 255.0)
    np.testing.assert_array_equal(labels.argmax(axis=1), arrays[f"y_{part}"][:, 0])


def test_lesson_reads_the_lessons_layout(lesson_file):
    """The baseline's file is gzipped in the chunks that h5py chooses."""
    with h5py.File(lesson_file, "r") as file:
        assert file["x_train"].compression == "gzip"
        assert file["x_train"].chunks != file["x_train"].shape
    assert len(LessonGenerator(lesson_file, 250)) == 5
