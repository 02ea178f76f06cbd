"""A stand-in for CIFAR-10: images of ten made-up classes from a seed, the same on every machine.

An image mixes the smooth pattern of its class with a smooth pattern that belongs to no class, both
shifted at random, and adds a brightness and noise. Everything is integer arithmetic on the raw
stream of Philox, a bit generator whose stream NumPy promises not to change: no float, no BLAS and
no distribution of NumPy's, all of which may change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

CLASSES: Final = 10
SIDE: Final = 32
ROW: Final = SIDE * 3  # bytes of one line of an image
BLOCK: Final = 500  # images made at a time: their int16 sums fit in the cache of one core

# The recipe, tuned so that the set compresses like CIFAR-10 and the lesson's network learns it
# in part.
CELLS: Final = 4  # values of a pattern along each side; between them it is smooth
LIGHT: Final = 2  # quarters of a pattern's values that its three channels share
CLUTTER: Final = 64  # patterns that belong to no class
CLASS_SHARE: Final = (8, 14)  # least and most sixteenths of an image that come from its class
BRIGHTNESS: Final = 112  # levels by which whole images differ

# Places in the stream, 2**192 numbers apart, so that no two parts share a number.
_PATTERNS, _TRAIN, _VALID = 0, 1, 2


def blocks(seed: int, train: int, valid: int) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Return the stand-in as (name, rows), the rows of each array in order, at most 500 at a time.

    The names are x_train, y_train, x_valid and y_valid; images are (n, 32, 32, 3), labels (n, 1),
    all uint8. The classes are equally frequent (as far as the counts allow), as in CIFAR-10.
    Raises ValueError for a negative seed and for counts that are not positive.
    """
    if seed < 0:
        msg = f"seed {seed}: the stand-in's seed is a whole number from 0 on"
        raise ValueError(msg)
    for count in (train, valid):
        if count < 1:
            msg = f"{count} images: each part of the stand-in needs at least one"
            raise ValueError(msg)
    source = _stream(seed, _PATTERNS)
    classes, clutter = _windows(_patterns(source, CLASSES)), _windows(_patterns(source, CLUTTER))
    for suffix, part, count in (("train", _TRAIN, train), ("valid", _VALID, valid)):
        stream = _stream(seed, part)
        labels = _labels(stream, count)
        for start in range(0, count, BLOCK):
            some = labels[start : start + BLOCK]
            yield f"x_{suffix}", _images(stream, some, classes, clutter)
            yield f"y_{suffix}", some[:, None]


def _stream(seed: int, part: int) -> np.random.Philox:
    return np.random.Philox(key=seed, counter=[0, 0, 0, part])


def _bytes(stream: np.random.Philox, count: int) -> NDArray[np.uint8]:
    """Return `count` random bytes; the byte order is fixed, whatever the machine's."""
    words = stream.random_raw(-(-count // 8))
    return words.astype("<u8").view(np.uint8)[:count]


def _labels(stream: np.random.Philox, count: int) -> NDArray[np.uint8]:
    """Return (count,) labels: as many of each class as can be, in random order."""
    order = np.argsort(stream.random_raw(count), kind="stable")
    return (order % CLASSES).astype(np.uint8)


def _patterns(stream: np.random.Philox, count: int) -> NDArray[np.int16]:
    """Return (count, 32, 32, 3) smooth patterns, 0 to 255, that continue across their edges.

    A part of each value is light, which its channels share: as in photographs, they go together.
    """
    shape = (count, CELLS, CELLS)
    colour = _bytes(stream, 3 * count * CELLS**2).reshape(*shape, 3).astype(np.int16)
    light = _bytes(stream, count * CELLS**2).reshape(*shape, 1).astype(np.int16)
    return _smooth(_smooth((LIGHT * light + (4 - LIGHT) * colour) // 4, axis=1), axis=2)


def _smooth(grid: NDArray[np.int16], axis: int) -> NDArray[np.int16]:
    """Return the grid stretched to 32 along the axis, with straight lines between its values."""
    step = SIDE // grid.shape[axis]
    shape = list(grid.shape)
    shape[axis] = SIDE
    here, there = np.expand_dims(grid, axis + 1), np.expand_dims(np.roll(grid, -1, axis), axis + 1)
    weight = np.arange(step, dtype=np.int16).reshape(-1, *[1] * (grid.ndim - axis - 1))
    smooth: NDArray[np.int16] = (here * (step - weight) + there * weight) // step
    return smooth.reshape(shape)


def _windows(patterns: NDArray[np.int16]) -> NDArray[np.int16]:
    """Return a view whose element [pattern, line, 3 * column] is that pattern shifted: (32, 96)."""
    tiled = np.tile(patterns, (1, 2, 2, 1)).reshape(len(patterns), 2 * SIDE, 2 * ROW)
    return sliding_window_view(tiled, (SIDE, ROW), axis=(1, 2))


def _images(
    stream: np.random.Philox,
    labels: NDArray[np.uint8],
    classes: NDArray[np.int16],
    clutter: NDArray[np.int16],
) -> NDArray[np.uint8]:
    """Return (n, 32, 32, 3) images of the given classes."""
    count = len(labels)
    drawn = _bytes(stream, 7 * count).reshape(7, count).astype(np.int16)
    least, most = CLASS_SHARE
    share = (least + drawn[0] % (most - least + 1))[:, None, None]
    brightness = (drawn[1] % BRIGHTNESS - BRIGHTNESS // 2)[:, None, None]
    image: NDArray[np.int16] = classes[labels, drawn[2] % SIDE, 3 * (drawn[3] % SIDE)] * share
    image += clutter[drawn[4] % CLUTTER, drawn[5] % SIDE, 3 * (drawn[6] % SIDE)] * (16 - share)
    image >>= 4
    image += brightness
    noise = _bytes(stream, count * SIDE * ROW).reshape(count, SIDE, ROW)
    image += noise & 15  # two dice of 16 sides: -15 to 15, most often 0
    image += noise >> 4
    image -= 15
    return image.clip(0, 255).astype(np.uint8).reshape(count, SIDE, SIDE, 3)
