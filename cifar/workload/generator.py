"""From an HDF5 file to batches of images and labels: our generator, and the lesson's own as the baseline."""

from __future__ import annotations

import hashlib
import math
import mmap
import sys
import threading
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

import h5py
import keras
import numpy as np

from cifar.data import dataset, hdf5
from cifar.workload.model import CLASSES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

Batch = tuple["NDArray[Any]", "NDArray[Any]"]

_SPLITS = ("train", "valid")
_DTYPES = ("float32", "uint8")
_BLOCK = 256  # images read together from a file larger than memory: 768 KB, a stretch that a disk reads at full speed
_AROUND = 2**21  # bytes, a huge page: a missing page is mapped with some around it, so also of blocks long forgotten
MOST_THREADS = 8  # they take turns in Python; 2 on 2 cores make 1.7 times as many batches as 1, more were not tried
_PORTION = 3_100_000  # bytes of images made together at most: 252 as float32, 1,009 as bytes; more leave the caches
_ONE_HOT = np.eye(CLASSES, dtype=np.float32)
ALIGNMENT = 64  # bytes: TensorFlow's, which copies such arrays 1.6 times as fast


class DataGenerator(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of a prepared HDF5 file, shuffled over the whole split anew for every epoch.

    `generator[i]` is batch `i` of the current epoch: images float32 (n, 32, 32, 3) in [0, 1] and labels
    one-hot float32 (n, 10), where n is `batch_size` but for the last batch, which may be smaller.  In an
    epoch each image comes exactly once.  The order depends on `seed` and the epoch's number alone;
    `on_epoch_end()` draws the next.  With `dtype="uint8"` images stay as they are in the file, uint8
    (n, 32, 32, 3), and labels are int32 (n,): a quarter of the bytes, to be scaled on the device.

    For a file larger than memory, `window` (images) reads the disk in long stretches: blocks of 256 images in
    random order fill a window, which is shuffled, and the next one is read in advance.  Still each image comes
    once and no batch has the same company twice, but images of a block share a window of each epoch: they meet
    in a batch images / window times as often as in a uniform permutation.  A window needs 3 KB an image.

    The images stay in the file, mapped into memory.  A batch's arrays are the caller's for as long as any
    reference to them lives, and are used again after that.

    Raises FileNotFoundError or ValueError, with the remedy, for a file that `cifar prepare` did not make,
    an unknown split or dtype, a batch size below 1, or a window below a block.
    """

    def __init__(  # noqa: PLR0913 as many as a generator has choices
        self,
        path: str | Path,
        split: str = "train",
        batch_size: int = 250,
        *,
        shuffle: bool = True,
        seed: int = 0,
        dtype: str = "float32",
        window: int | None = None,
        **options: Any,  # noqa: ANN401 Keras's
    ) -> None:
        """Open `split` ('train' or 'valid') of `path`; `options` are those of Keras's PyDataset."""
        super().__init__(**options)
        for name, value, known in (("split", split, _SPLITS), ("dtype", dtype, _DTYPES)):
            if value not in known:
                message = f"{name} must be one of {known}, not {value!r}"
                raise ValueError(message)
        if batch_size < 1:
            message = f"batch_size must be at least 1, not {batch_size}"
            raise ValueError(message)
        if window is not None and window < _BLOCK:
            message = f"window must be at least a block of {_BLOCK} images, not {window}"
            raise ValueError(message)
        dataset.describe(path)
        self.batch_size, self.shuffle, self.seed, self.epoch = batch_size, shuffle, seed, 0
        self.window = window
        self._memory, self._offset, self._images, self._labels = _mapped(Path(path), split)
        self._moving = threading.Lock()
        if window is not None:
            # Else each page that is not there yet brings megabytes around it, which drive out what was read ahead.
            self._memory.madvise(mmap.MADV_RANDOM)
        self._begin()
        self._pixels = _Buffers(self._images.shape[1:], np.uint8)
        self._scaled = _Buffers(self._images.shape[1:], np.float32) if dtype == "float32" else None

    @property
    def images(self) -> int:
        """Number of images in an epoch."""
        return len(self._images)

    @property
    def order(self) -> NDArray[np.int64]:
        """Positions in the file in the order in which this epoch delivers them, int64 (images,)."""
        return self._order

    def digest(self, batches: int | None = None) -> str:
        """SHA-256 (hex) of the order of this epoch's first `batches` batches (all when None)."""
        stop = self.images if batches is None else batches * self.batch_size
        return hashlib.sha256(self._order[:stop].tobytes()).hexdigest()

    def __len__(self) -> int:
        """Number of batches in an epoch, the last and possibly smaller one included."""
        return math.ceil(self.images / self.batch_size)

    def __getitem__(self, index: int) -> Batch:
        """Batch `index` of the current epoch; IndexError beyond the last."""
        if not 0 <= index < len(self):
            message = f"batch {index} of {len(self)}"
            raise IndexError(message)
        return self.together(range(index, index + 1))[0]

    @property
    def portion(self) -> int:
        """How many successive batches are best made together, at least 1: 3 MB of images."""
        made = self._scaled or self._pixels
        return max(1, _PORTION // (self.batch_size * made.nbytes))

    def together(self, indices: range) -> list[Batch]:
        """The batches of `indices` (successive ones of this epoch), each as `[]` gives it, gathered at once.

        They are views of the same memory, which is the callers' until nobody holds any of them.
        """
        size = self.batch_size
        chosen = self._order[indices.start * size : indices.stop * size]
        if self.window:
            for number in range(indices.start * size // self.window, (indices.stop * size - 1) // self.window + 1):
                self._move_on(number)
        images = pixels = self._pixels.lend(len(indices) * size)[: len(chosen)]
        # Their first bytes, only to have the processor look many images up at once before each is copied in its turn.
        self._images.reshape(-1).take(chosen * self._images[0].nbytes, mode="clip")
        np.take(self._images, chosen, axis=0, out=pixels, mode="clip")
        classes = self._labels.take(chosen)
        if self._scaled:
            images = self._scaled.lend(len(indices) * size)[: len(chosen)]
            np.copyto(images, pixels)  # in two passes: to cast while dividing takes longer
            np.divide(images, np.float32(255), out=images)
        labels = _ONE_HOT.take(classes, axis=0) if self._scaled else classes.astype(np.int32)
        return [(images[start : start + size], labels[start : start + size]) for start in range(0, len(chosen), size)]

    def on_epoch_end(self) -> None:
        """Draw the order of the next epoch."""
        self.epoch += 1
        self._begin()

    def _begin(self) -> None:
        """Begin epoch `self.epoch`."""
        self._order = self._permutation()
        self._reached, self._forgotten = -1, 0

    def _permutation(self) -> NDArray[np.int64]:
        """The order of epoch `self.epoch`: a uniform permutation, one of windows, or the file's own order."""
        if not self.shuffle:
            return np.arange(self.images)
        random = np.random.Generator(np.random.PCG64([self.seed, self.epoch]))
        if not self.window:
            return random.permutation(self.images)
        blocks = random.permutation(math.ceil(self.images / _BLOCK))
        order = (blocks[:, None] * _BLOCK + np.arange(_BLOCK)).reshape(-1)
        order = order[order < self.images]
        for start in range(0, self.images, self.window):
            random.shuffle(order[start : start + self.window])
        return order

    def _move_on(self, number: int) -> None:
        """Have the kernel read window `number` and the one after it, if it has not yet, and forget those before."""
        with self._moving:
            for coming in range(max(self._reached + 1, number), number + 2):
                self._advise(coming, mmap.MADV_WILLNEED)
            for gone in range(self._forgotten, number - 1):
                self._advise(gone, mmap.MADV_DONTNEED)
            self._reached, self._forgotten = max(self._reached, number + 1), max(self._forgotten, number - 1)

    def _advise(self, number: int, advice: int) -> None:
        """Tell the kernel what will happen to the blocks of a window."""
        window = self.window or self.images
        size, unit = _BLOCK * self._images[0].nbytes, _AROUND if advice == mmap.MADV_DONTNEED else mmap.PAGESIZE
        for block in np.unique(self._order[number * window : (number + 1) * window] // _BLOCK):
            start = self._offset + int(block) * size
            first, end = start // unit * unit, math.ceil((start + size) / unit) * unit
            self._memory.madvise(advice, first, min(end, len(self._memory)) - first)


def ahead(batches: DataGenerator, count: int | None = None, threads: int = 2) -> Iterator[Batch]:
    """The first `count` batches (all when None) in order, made by `threads` threads, ahead of the caller's use.

    They are at most 8, and no more than there is work for; the caller's is one of them, which makes batches whenever
    the next one is not ready, but leaves them to the other where `threads` is 1.  Together they make up to two
    portions a thread in advance, a portion being a batch, or several small ones.  NumPy's gathering and scaling let
    other threads run.  What making a portion raises is raised at its place; ValueError for no thread and for more
    batches than an epoch has.
    """
    if threads < 1:
        message = f"{threads} threads were asked for; give 1 or more"
        raise ValueError(message)
    total = len(batches) if count is None else count
    if total > len(batches):
        message = f"{total} batches were asked for; an epoch has {len(batches)}"
        raise ValueError(message)
    together = batches.portion
    makers = _Makers(
        batches, [range(first, min(first + together, total)) for first in range(0, total, together)], threads
    )
    try:
        for made in makers.portions():
            while made:
                yield made.pop()  # nothing here holds it any more, so that its buffers are free when the caller is done
    finally:
        makers.stop()


class _Makers:
    """Threads that make portions in advance, the caller's own among them.

    One that only waits for as many others as there are cores makes them a seventh slower on two cores.
    With queues and no futures, whose locks cost a quarter of the speed.
    """

    _AHEAD = 2  # portions a thread; 3 and 4 are as fast

    def __init__(self, batches: DataGenerator, portions: list[range], threads: int) -> None:
        threads = min(threads, MOST_THREADS, len(portions))
        self._batches, self._portions, self._helps = batches, portions, threads > 1
        self._made: list[SimpleQueue[list[Batch] | Exception]] = [SimpleQueue() for _ in portions]
        self._wanted: SimpleQueue[int | None] = SimpleQueue()
        self._places = iter(range(len(portions)))
        for _ in range(self._AHEAD * threads):
            self._want()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(max(1, threads - 1))]
        for thread in self._threads:
            thread.start()

    def portions(self) -> Iterator[list[Batch]]:
        """The batches of each portion in reverse; raises what making one raised."""
        for coming in self._made:
            while self._helps and coming.empty() and (place := self._next()) is not None:
                self._make(place)
            made = coming.get()
            if isinstance(made, Exception):
                raise made
            self._want()
            made.reverse()
            yield made

    def stop(self) -> None:
        """End the threads, wherever they are in their portions."""
        while self._next() is not None:
            pass
        for _ in self._threads:
            self._wanted.put(None)
        for thread in self._threads:
            thread.join()

    def _want(self) -> None:
        """Have one more portion made, if there is one."""
        if (place := next(self._places, None)) is not None:
            self._wanted.put(place)

    def _next(self) -> int | None:
        """The next portion that is wanted, None when each is being made."""
        try:
            return self._wanted.get_nowait()
        except Empty:
            return None

    def _work(self) -> None:
        while (place := self._wanted.get()) is not None:
            self._make(place)

    def _make(self, place: int) -> None:
        try:
            self._made[place].put(self._batches.together(self._portions[place]))
        except Exception as error:  # noqa: BLE001 none is hidden: `portions` raises it in the caller's thread
            self._made[place].put(error)


class LessonGenerator(keras.utils.PyDataset):  # type: ignore[misc]
    """The lesson's generator as taught, the baseline: the same reads and the same arithmetic.

    It differs from the lesson only where Keras 3 demands it (the base class and its initialiser), and takes no lock,
    which some file systems do not have.  So its
    `shuffle` permutes indices that nothing reads, each batch looks its dataset up anew, and every end of an
    epoch reads a whole split for its length.
    """

    def __init__(self, filename: str | Path, batch_size: int, test: bool = False, shuffle: bool = True) -> None:  # noqa: FBT001, FBT002 the lesson's signature
        """Open `filename`; `test` selects the validation split."""
        super().__init__()
        self.hf = h5py.File(filename, "r", locking=False)
        self.batch_size = batch_size
        self.test = test
        self.shuffle = shuffle
        self.on_epoch_end()

    def __del__(self) -> None:
        """Close the file."""
        if hasattr(self, "hf"):
            self.hf.close()

    def __len__(self) -> int:
        """Number of batches in an epoch."""
        return int(np.ceil(len(self.indices) / self.batch_size))

    def __getitem__(self, idx: int) -> Batch:
        """Batch `idx` in the file's order: images float32 in [0, 1], labels one-hot float64."""
        part = "valid" if self.test else "train"
        rows = slice(self.batch_size * idx, self.batch_size * (idx + 1))
        images = self.hf[f"x_{part}"][rows, ...]
        labels = self.hf[f"y_{part}"][rows]
        return (
            np.array(images).astype("float32") / 255.0,
            keras.utils.to_categorical(np.array(labels), CLASSES),
        )

    def on_epoch_end(self) -> None:
        """Read the whole split for its length, then shuffle indices that are never used, as the lesson does."""
        part = "valid" if self.test else "train"
        self.indices = np.arange(self.hf[f"x_{part}"][:].shape[0])
        if self.shuffle:
            np.random.shuffle(self.indices)  # noqa: NPY002 the lesson's call


class _Buffers:
    """Arrays of images of one shape and type, lent out and lent again once nobody holds them any more.

    A fresh array of 3 MB is a fresh mapping: its page faults cost 12 times the work done in it.  An array is
    free when its only references are the pool's own, which Python counts for us; views (also those that
    frameworks make without copying) keep their base alive and so keep it from being lent again.
    """

    _KEPT = 64
    # A memory in its pair and under the array made of it, under the loop variable, counted by a call: four references.
    _FREE = 4

    def __init__(self, shape: tuple[int, ...], dtype: type) -> None:
        self._shape, self._dtype = shape, np.dtype(dtype)
        self.nbytes = math.prod(shape) * self._dtype.itemsize
        self._kept: dict[int, list[tuple[NDArray[np.uint8], NDArray[Any]]]] = {}
        self._lock = threading.Lock()

    def lend(self, count: int) -> NDArray[Any]:
        """An array of `count` images at an aligned address that nobody else holds; its content is arbitrary."""
        with self._lock:
            kept = self._kept.setdefault(count, [])
            for memory, array in kept:
                if sys.getrefcount(memory) == self._FREE:
                    return array[:]  # a view, which holds the memory and not the array
            memory = np.empty(count * self.nbytes + ALIGNMENT, np.uint8)
            start = -memory.ctypes.data % ALIGNMENT
            array = memory[start : start + count * self.nbytes].view(self._dtype).reshape(count, *self._shape)
            if len(kept) < self._KEPT:
                kept.append((memory, array))
            return array[:]


def _mapped(path: Path, split: str) -> tuple[mmap.mmap, int, NDArray[np.uint8], NDArray[np.uint8]]:
    """The file's memory, where the images begin in it, they uint8 (n, 32, 32, 3) read-only, and labels uint8 (n,)."""
    with hdf5.opened(path) as file:
        images, labels = file[f"x_{split}"], file[f"y_{split}"][:].reshape(-1)
        offset, shape = images.id.get_offset(), images.shape
    if offset is None:
        message = f"{path}: x_{split} is chunked or compressed and cannot be mapped; run `cifar prepare` anew"
        raise ValueError(message)
    with path.open("rb") as raw:
        memory = mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ)
    pixels = np.frombuffer(memory, np.uint8, math.prod(shape), offset)
    return memory, offset, pixels.reshape(shape), labels
