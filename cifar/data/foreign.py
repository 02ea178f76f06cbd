"""HDF5 files that somebody else made of CIFAR-10, as the lesson has it done or nearly so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from cifar.data import hdf5

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import h5py
    from numpy.typing import NDArray

    Progress = Callable[[str, int, int], None]

_CLASSES: Final = 10
_CHANNELS: Final = 3
_LARGEST: Final = 255
_ROWS: Final = 2_000
"""Images that are read at a time: 49 MB as float64."""
_NAMES: Final = {"train": ("train",), "valid": ("valid", "test")}
"""What others call our splits."""
_ROUNDING: Final = 0.13
"""How far dividing by 255 and multiplying again may move a level in float16, the coarsest type."""


def oddities(file: h5py.File) -> list[str] | None:
    """Return in words what is other than in the lesson's own file; None for another kind of file.

    Names, shapes and types are looked at, and no image: only the digests tell whether it is
    CIFAR-10.
    """
    stored = _arrays(file)
    if stored is None:
        return None
    images = stored["x_train"]
    labels = stored["y_train"]
    words = []
    if stored["x_valid"].name.endswith("x_test"):
        words.append("x_test for x_valid")
    if images.dtype.kind == "f":
        words.append("float images in [0, 1]")
    elif images.dtype != np.uint8:
        words.append(f"{images.dtype} images")
    if images.shape[1:] == (_CHANNELS, 32, 32):
        words.append("channels first")
    if labels.shape[1:] == (_CLASSES,):
        words.append("one-hot labels")
        return words
    if labels.ndim == 1:
        words.append("flat labels")
    if labels.dtype != np.uint8:
        words.append(f"{labels.dtype} labels")
    return words


def seen(file: h5py.File) -> str:
    """Return in words what a file of others holds, and what can be done with it."""
    words = oddities(file)
    if words is not None:
        what = ", ".join(words) or "CIFAR-10's four arrays as the lesson writes them"
        return (
            f"is no file of 'cifar prepare'; recognised: {what}. "
            "'cifar prepare --source FILE' makes our file of it, where its images are CIFAR-10's"
        )
    shapes = [f"{name} {array.shape} {array.dtype}" for name, array in _named(file).items()]
    holds = ", ".join(shapes) or "none of x_train, y_train, x_valid, y_valid"
    return f"is no file of 'cifar prepare', and holds {holds}; name another file"


def arrays(path: Path, progress: Progress) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Return the file's content as (name, rows), as `published.blocks` does.

    Raises DamagedError, in words that follow the file's name, where that cannot be made of it.
    """
    with hdf5.opened(path) as file:
        with hdf5.explaining(path, "is damaged"):
            stored = _arrays(file)
        if stored is None:
            raise hdf5.DamagedError(seen(file))
        total = sum(len(array) for array in stored.values())
        done = 0
        for name, array in stored.items():
            converted = _pixels if name.startswith("x") else _labels
            for _, rows in hdf5.blocks(path, array, _ROWS):
                progress(f"read {path.name}", done, total)
                done += len(rows)
                yield name, converted(name, rows)
        progress(f"read {path.name}", total, total)


def _named(file: h5py.File) -> dict[str, h5py.Dataset]:
    """The datasets of the file by our names of them."""
    stored: dict[str, h5py.Dataset] = {}
    for split, names in _NAMES.items():
        for kind in "xy":
            for name in names:
                array = hdf5.array(file, f"{kind}_{name}")
                if array is not None:
                    stored.setdefault(f"{kind}_{split}", array)
    return stored


def _arrays(file: h5py.File) -> dict[str, h5py.Dataset] | None:
    """The four datasets; None where one is missing, or of a shape that CIFAR-10 cannot have."""
    stored = _named(file)
    if len(stored) < 2 * len(_NAMES):
        return None
    for split in _NAMES:
        images = stored[f"x_{split}"].shape or ()
        labels = stored[f"y_{split}"].shape or ()
        if images[1:] not in {(32, 32, _CHANNELS), (_CHANNELS, 32, 32)}:
            return None
        if labels[1:] not in {(), (1,), (_CLASSES,)} or labels[:1] != images[:1]:
            return None
    return stored


def _pixels(name: str, rows: NDArray[Any]) -> NDArray[np.uint8]:
    """Images as uint8 (n, 32, 32, 3).

    Floats in [0, 1] come back exactly, for they are bytes divided by 255.
    """
    pixels: NDArray[np.uint8] = rows
    if rows.dtype != np.uint8:
        scale = _LARGEST if rows.dtype.kind == "f" else 1
        levels = rows.astype(np.float64) * scale
        whole = np.rint(levels)
        are_whole = (np.abs(levels - whole) <= _ROUNDING).all()
        if not are_whole or whole.min() < 0 or whole.max() > _LARGEST:
            message = f"{name} holds images that are neither bytes nor such bytes divided by 255"
            raise hdf5.DamagedError(message)
        pixels = whole.astype(np.uint8)
    if pixels.shape[1] == _CHANNELS:
        return np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))
    return pixels


def _labels(name: str, rows: NDArray[Any]) -> NDArray[np.uint8]:
    """Labels as uint8 (n, 1)."""
    if rows.shape[1:] == (_CLASSES,):
        classes = rows.argmax(axis=1)
        right = (rows == np.eye(_CLASSES)[classes]).all()
    else:
        classes = rows.reshape(-1)
        whole = classes == np.rint(classes)
        right = ((classes >= 0) & (classes < _CLASSES) & whole).all()
    if not right:
        message = f"{name} holds labels that are no classes from 0 to 9"
        raise hdf5.DamagedError(message)
    labels: NDArray[np.uint8] = classes.astype(np.uint8).reshape(-1, 1)
    return labels
