"""From an HDF5 file that somebody else made of CIFAR-10, as the lesson has it made or nearly so, to arrays as ours."""

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
_ROWS: Final = 2_000  # read at a time: 49 MB as float64
_NAMES: Final = {"train": ("train",), "valid": ("valid", "test")}
_ROUNDING: Final = 0.13  # what float16, the coarsest, leaves of 1 by dividing by 255 and multiplying again


def oddities(file: h5py.File) -> list[str] | None:
    """Return in words what is other than in the lesson's own file, nothing for that; None for a file of another kind.

    Names, shapes and types are looked at, and no image: only the digests tell whether it is CIFAR-10.
    """
    found = _arrays(file)
    if found is None:
        return None
    said = ["x_test for x_valid"] * found["x_valid"].name.endswith("x_test")
    images, labels = found["x_train"], found["y_train"]
    if images.dtype.kind == "f":
        said.append("float images in [0, 1]")
    elif images.dtype != np.uint8:
        said.append(f"{images.dtype} images")
    if images.shape[1:] == (3, 32, 32):
        said.append("channels first")
    if labels.shape[1:] == (_CLASSES,):
        said.append("one-hot labels")
    else:
        said += ["flat labels"] * (labels.ndim == 1) + [f"{labels.dtype} labels"] * (labels.dtype != np.uint8)
    return said


def seen(file: h5py.File) -> str:
    """Return in words what a file of others holds, and what can be done with it."""
    said = oddities(file)
    if said is not None:
        what = ", ".join(said) or "CIFAR-10's four arrays as the lesson writes them"
        return (
            f"is no file of 'cifar prepare'; recognised: {what}. 'cifar prepare --source FILE' makes our file of it, "
            "where its images are CIFAR-10's"
        )
    shapes = [f"{name} {found.shape} {found.dtype}" for name, found in _named(file).items()]
    holds = ", ".join(shapes) or "none of x_train, y_train, x_valid, y_valid"
    return f"is no file of 'cifar prepare', and holds {holds}; name another file"


def arrays(path: Path, progress: Progress) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Return the file's content as (name, rows), as `published.blocks` does.

    Raises DamagedError, in words that follow the file's name, where that cannot be made of it.
    """
    with hdf5.opened(path) as file:
        with hdf5.explaining(path, "is damaged"):
            found = _arrays(file)
        if found is None:
            raise hdf5.DamagedError(seen(file))
        total = sum(len(rows) for rows in found.values())
        done = 0
        for name, dataset in found.items():
            for _, rows in hdf5.blocks(path, dataset, _ROWS):
                progress(f"read {path.name}", done, total)
                done += len(rows)
                yield name, _pixels(name, rows) if name.startswith("x") else _labels(name, rows)
        progress(f"read {path.name}", total, total)


def _named(file: h5py.File) -> dict[str, h5py.Dataset]:
    """The datasets of the file by our names of them."""
    found: dict[str, h5py.Dataset] = {}
    for part, others in _NAMES.items():
        for kind in "xy":
            for other in others:
                dataset = hdf5.array(file, f"{kind}_{other}")
                if dataset is not None:
                    found.setdefault(f"{kind}_{part}", dataset)
    return found


def _arrays(file: h5py.File) -> dict[str, h5py.Dataset] | None:
    """The four datasets; None where one is missing, or of a shape that CIFAR-10 cannot have."""
    found = _named(file)
    if len(found) < 2 * len(_NAMES):
        return None
    for part in _NAMES:
        images, labels = found[f"x_{part}"], found[f"y_{part}"]
        if (images.shape or ())[1:] not in {(32, 32, 3), (3, 32, 32)}:
            return None
        if (labels.shape or ())[1:] not in {(), (1,), (_CLASSES,)} or (labels.shape or ())[:1] != images.shape[:1]:
            return None
    return found


def _pixels(name: str, rows: NDArray[Any]) -> NDArray[np.uint8]:
    """Images as uint8 (n, 32, 32, 3); floats in [0, 1] come back exactly, for they are bytes divided by 255."""
    pixels: NDArray[np.uint8] = rows
    if rows.dtype != np.uint8:
        scaled = rows.astype(np.float64) * (255 if rows.dtype.kind == "f" else 1)
        whole = np.rint(scaled)
        if not (np.abs(scaled - whole) <= _ROUNDING).all() or whole.min() < 0 or whole.max() > 255:  # noqa: PLR2004 a byte
            message = f"{name} holds images that are neither bytes nor such bytes divided by 255"
            raise hdf5.DamagedError(message)
        pixels = whole.astype(np.uint8)
    return np.ascontiguousarray(pixels.transpose(0, 2, 3, 1)) if pixels.shape[1] == 3 else pixels  # noqa: PLR2004 colours


def _labels(name: str, rows: NDArray[Any]) -> NDArray[np.uint8]:
    """Labels as uint8 (n, 1)."""
    if rows.shape[1:] == (_CLASSES,):
        classes = rows.argmax(axis=1)
        right = (rows == np.eye(_CLASSES)[classes]).all()
    else:
        classes = rows.reshape(-1)
        right = ((classes >= 0) & (classes < _CLASSES) & (classes == np.rint(classes))).all()
    if not right:
        message = f"{name} holds labels that are no classes from 0 to 9"
        raise hdf5.DamagedError(message)
    found: NDArray[np.uint8] = classes.astype(np.uint8).reshape(-1, 1)
    return found
