"""Memory for batches of images, used again as soon as nobody can see the old batch any more.

A batch of 250 images in float32 has 3 MB. New memory of that size comes from the operating system
page by page, which takes 12 times as long as filling it. So a batch is made in memory that an
earlier batch has left. Nobody gives memory back: it is free when nobody can reach it, which Python
knows, for it counts the references to every object. An array that shows a part of another one's
memory holds a reference to that memory, and so does a part of a part:

    images = buffers.lend(250)  # one more reference to the memory: `images` holds it
    first = images[0]           # and another one: `first` shows a part of the same memory
    del images                  # still in use: whoever has `first` would see it change
    del first                   # free: the pool alone holds it, and may lend it again

What a framework makes of an array without copying it holds such a reference as well. Hence a
batch never changes as long as anybody has it, and nobody has to say when that ends.
"""

from __future__ import annotations

import math
import sys
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

ALIGNMENT = 64
"""Bytes. TensorFlow copies an array at a multiple of it 1.6 times as fast as one elsewhere."""
_MOST_KEPT = 64
"""Arrays of one size that the pool keeps; those beyond go when their users are done with them."""
_UNUSED = 4
"""References to a memory that only the pool holds, when `lend` counts them.

They are those of the pool's list, of the pool's own array on that memory, of the loop's variable,
and of the call that counts. A user's array is a fifth.
"""


class Buffers:
    """A pool of arrays for images of one shape and type, from which several threads may lend."""

    def __init__(self, shape: tuple[int, ...], dtype: type) -> None:
        """Make an empty pool for images of `shape` and `dtype`."""
        self._shape = shape
        self._dtype = np.dtype(dtype)
        self._kept: dict[int, list[tuple[NDArray[np.uint8], NDArray[Any]]]] = {}
        self._lock = threading.Lock()
        self.nbytes = math.prod(shape) * self._dtype.itemsize
        """Bytes of one image."""

    def lend(self, count: int) -> NDArray[Any]:
        """Return an array (count, *shape) that nobody else can see.

        Its numbers are arbitrary, and its address is aligned. It is the caller's until the last
        reference to it, or to a view of it, is gone.
        """
        with self._lock:
            kept = self._kept.setdefault(count, [])
            for memory, array in kept:
                if sys.getrefcount(memory) == _UNUSED:
                    # A view, so that the caller holds the memory and not the pool's array.
                    return array[:]
            memory, array = self._allocate(count)
            if len(kept) < _MOST_KEPT:
                kept.append((memory, array))
            return array[:]

    def _allocate(self, count: int) -> tuple[NDArray[np.uint8], NDArray[Any]]:
        """New memory, and the array for `count` images that begins at its first aligned address."""
        size = count * self.nbytes
        memory = np.empty(size + ALIGNMENT, np.uint8)
        start = -memory.ctypes.data % ALIGNMENT
        array = memory[start : start + size].view(self._dtype)
        return memory, array.reshape(count, *self._shape)
