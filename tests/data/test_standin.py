"""The stand-in is the same everywhere, compresses like CIFAR-10, and can be learned."""

from __future__ import annotations

import hashlib
import zlib
from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np
import pytest

from cifar.data import standin

if TYPE_CHECKING:
    from numpy.typing import NDArray

GZIP_OF_CIFAR_10 = 0.920058  # size under zlib level 6 over size, x_train in C order; measured on the published data

# Computed by this code itself, not published anywhere: they guard against drift between versions and platforms.
SEED_0 = {
    "x_train": "b94d8d5b7d8626837e7b6aab5eade10bfab71a7bbb20bd0436009ed2b2b90ee6",
    "y_train": "df21c196675bf10b30d5807389a3479c1da634e5a32d2e508d105af36e4b7558",
    "x_valid": "0cce3779932e9f1b227a7c2e39bdbcbca6f04b5320260be83aaa8a3dffaa3c19",
    "y_valid": "55e242bb3105de337e33bfb207da3bcdfaadb4aab3a961f965aa2e9d15547a9b",
}


def arrays(seed: int = 0, train: int = 300, valid: int = 100) -> dict[str, NDArray[np.uint8]]:
    """Return a small stand-in whole."""
    parts = defaultdict(list)
    for name, rows in standin.blocks(seed, train, valid):
        parts[name].append(rows)
    return {name: np.concatenate(rows) for name, rows in parts.items()}


@pytest.fixture(scope="module")
def whole() -> dict[str, NDArray[np.uint8]]:
    """Return the stand-in in full size."""
    return arrays(0, 50_000, 10_000)


def test_the_digests_of_seed_0_are_those_of_the_first_version(whole: dict[str, NDArray[np.uint8]]) -> None:
    """Seed 0 gives the bytes it always gave; a change needs a new name for the set, as results refer to it."""
    assert {name: hashlib.sha256(rows.data).hexdigest() for name, rows in whole.items()} == SEED_0


def test_it_has_the_shapes_of_cifar_10(whole: dict[str, NDArray[np.uint8]]) -> None:
    """Shapes and types are those of CIFAR-10, and each class has as many images."""
    assert {name: rows.shape for name, rows in whole.items()} == {
        "x_train": (50_000, 32, 32, 3),
        "y_train": (50_000, 1),
        "x_valid": (10_000, 32, 32, 3),
        "y_valid": (10_000, 1),
    }
    assert {rows.dtype for rows in whole.values()} == {np.dtype("uint8")}
    assert np.bincount(whole["y_train"][:, 0]).tolist() == [5_000] * 10
    assert np.bincount(whole["y_valid"][:, 0]).tolist() == [1_000] * 10


def test_it_compresses_like_cifar_10(whole: dict[str, NDArray[np.uint8]]) -> None:
    """Under gzip its size is within 5 % of the published set's; every tenth of the images tells."""
    sample = whole["x_train"][:5_000]
    ratio = len(zlib.compress(sample.data, 6)) / sample.nbytes
    assert abs(ratio / GZIP_OF_CIFAR_10 - 1) < 0.05


def test_no_image_is_in_both_parts(whole: dict[str, NDArray[np.uint8]]) -> None:
    """All images differ, within the parts and between them."""
    images = [image.tobytes() for part in ("x_train", "x_valid") for image in whole[part]]
    assert len(set(images)) == 60_000


def test_another_seed_gives_other_images() -> None:
    """Images, labels and the patterns of the classes depend on the seed."""
    assert not np.array_equal(arrays(0)["x_train"], arrays(1)["x_train"])


def test_the_same_seed_gives_the_same_images() -> None:
    """Two sets of one seed are equal."""
    first, second = arrays(3), arrays(3)
    assert all(np.array_equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(("seed", "train"), [(-1, 10), (0, 0), (0, -3)], ids=["seed", "none", "negative"])
def test_bad_arguments_are_named(seed: int, train: int) -> None:
    """A negative seed and an empty part are refused with their value."""
    with pytest.raises(ValueError, match=str(min(seed, train))):
        next(standin.blocks(seed, train, 10))


@pytest.mark.slow
def test_one_epoch_of_the_lessons_network_learns_it(whole: dict[str, NDArray[np.uint8]]) -> None:
    """After one epoch of 200 steps of 250 the network beats 60 % on the held-out part."""
    keras = pytest.importorskip("keras", reason="the measuring half needs Keras and TensorFlow")
    from cifar.workload.model import build

    model = build(seed=0)
    model.compile(optimizer=keras.optimizers.Adam(0.001), loss="sparse_categorical_crossentropy")
    for start in range(0, 50_000, 250):
        images = whole["x_train"][start : start + 250].astype("float32") / 255
        model.train_on_batch(images, whole["y_train"][start : start + 250])
    hits = 0
    for start in range(0, 10_000, 1_000):
        images = whole["x_valid"][start : start + 1_000].astype("float32") / 255
        guesses = model.predict_on_batch(images).argmax(axis=1)
        hits += int((guesses == whole["y_valid"][start : start + 1_000, 0]).sum())
    assert hits > 6_000
