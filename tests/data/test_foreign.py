"""An HDF5 file that somebody made of CIFAR-10, as the lesson has it made or nearly so, becomes ours or is explained."""

from __future__ import annotations

import dataclasses
import hashlib

import h5py
import numpy as np
import pytest

from cifar.data import dataset, published

RANDOM = np.random.default_rng(0)
ARRAYS = {
    "x_train": RANDOM.integers(0, 256, (40, 32, 32, 3), np.uint8),
    "y_train": RANDOM.integers(0, 10, (40, 1), np.uint8),
    "x_valid": RANDOM.integers(0, 256, (20, 32, 32, 3), np.uint8),
    "y_valid": RANDOM.integers(0, 10, (20, 1), np.uint8),
}
SMALL = dataclasses.replace(
    published.CIFAR_10,
    train=40,
    valid=20,
    arrays={name: hashlib.sha256(rows).hexdigest() for name, rows in ARRAYS.items()},
)
LESSON = {"compression": "gzip", "chunks": True}


def written(path, images=lambda rows: rows, labels=lambda rows: rows, valid="valid", how=LESSON):
    """A file with the arrays after `images` and `labels`, made as the lesson's text makes it."""
    with h5py.File(path, "w") as file:
        for name, rows in ARRAYS.items():
            found = (images if name.startswith("x") else labels)(rows)
            file.create_dataset(name.replace("valid", valid), data=found, shape=found.shape, **how)
    return path


def first(rows):
    """Channels first."""
    return np.ascontiguousarray(rows.transpose(0, 3, 1, 2))


def one_hot(rows):
    """A row of ten for each label."""
    return np.eye(10, dtype=np.float32)[rows.reshape(-1)]


FORMS = {
    "lesson": ({}, "CIFAR-10's four arrays as the lesson writes them"),
    "not compressed": ({"how": {}}, "CIFAR-10's four arrays as the lesson writes them"),
    "x_test": ({"valid": "test"}, "x_test for x_valid"),
    "flat": ({"labels": lambda rows: rows.reshape(-1)}, "flat labels"),
    "int64": ({"labels": lambda rows: rows.astype(np.int64)}, "int64 labels"),
    "flat int64": ({"labels": lambda rows: rows.reshape(-1).astype(np.int64)}, "flat labels, int64 labels"),
    "float labels": ({"labels": lambda rows: rows.astype(np.float32)}, "float32 labels"),
    "one-hot": ({"labels": one_hot}, "one-hot labels"),
    "float16": ({"images": lambda rows: (rows / 255).astype(np.float16)}, r"float images in \[0, 1\]"),
    "float32": ({"images": lambda rows: rows.astype(np.float32) / 255}, r"float images in \[0, 1\]"),
    "float64": ({"images": lambda rows: rows / 255.0}, r"float images in \[0, 1\]"),
    "int32": ({"images": lambda rows: rows.astype(np.int32)}, "int32 images"),
    "channels first": ({"images": first}, "channels first"),
    "all at once": (
        {"images": lambda rows: first(rows) / np.float32(255), "labels": one_hot, "valid": "test"},
        r"x_test for x_valid, float images in \[0, 1\], channels first, one-hot labels",
    ),
}


@pytest.mark.parametrize("form", list(FORMS))
def test_each_form_becomes_ours(tmp_path, form):
    """Said is what was recognised and what to do; done, the bytes are those of the file that we make ourselves."""
    changes, words = FORMS[form]
    source = written(tmp_path / "dataset_cifar10.hdf5", **changes)
    with pytest.raises(ValueError, match=rf"recognised: {words}\. 'cifar prepare --source FILE' makes our file of it"):
        dataset.describe(source)
    made = dataset.prepare(tmp_path / "set.h5", source, publication=SMALL)
    with h5py.File(made) as file:
        assert all(np.array_equal(file[name], rows) for name, rows in ARRAYS.items())
    assert dataset.verified(made).arrays == SMALL.arrays
    plain = dataset.prepare(tmp_path / "plain.h5", written(tmp_path / "plain.hdf5"), publication=SMALL)
    assert made.read_bytes() == plain.read_bytes()


@pytest.mark.parametrize("form", list(FORMS))
def test_only_the_lessons_own_is_as_taught(tmp_path, form):
    """What needs no change but a new file is told apart from what needs one."""
    changes, words = FORMS[form]
    source = written(tmp_path / "dataset_cifar10.hdf5", **changes)
    assert dataset.taught(source) == words.startswith("CIFAR-10's four")


WRONG = {
    "other images": ({"images": lambda rows: rows[::-1]}, "x_train differs from the published data"),
    "other labels": ({"labels": lambda rows: rows[::-1]}, "y_train differs from the published data"),
    "more": (
        {"images": lambda rows: np.concatenate([rows] * 2), "labels": lambda rows: np.tile(rows, (2, 1))},
        "more im",
    ),
    "fewer": ({"images": lambda rows: rows[:-1], "labels": lambda rows: rows[:-1]}, "x_train differs"),
    "floats beyond 1": ({"images": lambda rows: rows.astype(np.float32)}, "x_train holds images that are neither"),
    "centred": ({"images": lambda rows: rows / 255.0 - 0.5}, "x_train holds images that are neither"),
    "not a number": ({"images": lambda rows: np.full(rows.shape, np.nan)}, "x_train holds images that are neither"),
    "negative": ({"images": lambda rows: rows.astype(np.int16) - 128}, "x_train holds images that are neither"),
    "label 10": ({"labels": lambda rows: rows + np.uint8(5)}, "y_train holds labels that are no classes"),
    "label -1": ({"labels": lambda rows: rows.astype(np.int8) - 1}, "y_train holds labels that are no classes"),
    "half labels": ({"labels": lambda rows: rows / 2 + 0.25}, "y_train holds labels that are no classes"),
    "two hot": ({"labels": lambda rows: np.ones((len(rows), 10))}, "y_train holds labels that are no classes"),
    "flat images": ({"images": lambda rows: rows.reshape(len(rows), -1)}, r"holds x_train \(40, 3072\) uint8"),
    "a label too few": ({"labels": lambda rows: rows[:-1]}, r"y_train \(39, 1\) uint8"),
    "other names": ({"valid": "held_out"}, r"holds x_train \(40, 32, 32, 3\) uint8, y_train \(40, 1\) uint8"),
}


@pytest.mark.parametrize("case", list(WRONG))
def test_what_is_not_cifar_10_is_refused(tmp_path, case):
    """What was seen is said, and nothing is made."""
    changes, words = WRONG[case]
    source = written(tmp_path / "other.hdf5", **changes)
    with pytest.raises(ValueError, match=rf"other\.hdf5: .*{words}"):
        dataset.prepare(tmp_path / "set.h5", source, publication=SMALL)
    with pytest.raises(ValueError, match=r"other\.hdf5: is no file of 'cifar prepare'") as caught:
        dataset.describe(source)
    assert "delete" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["other.hdf5"]


def test_a_file_that_leads_elsewhere_is_refused(tmp_path):
    """A link to another file is not followed here either."""
    written(tmp_path / "good.hdf5")
    with h5py.File(tmp_path / "other.hdf5", "w") as file:
        for name in ARRAYS:
            file[name] = h5py.ExternalLink("good.hdf5", name)
    with pytest.raises(ValueError, match="x_train is a link to another place, which is not followed"):
        dataset.prepare(tmp_path / "set.h5", tmp_path / "other.hdf5", publication=SMALL)
