"""Generators of batches for Keras: ours, and the lesson's own, which is the baseline."""

from __future__ import annotations

import hashlib
import math
import mmap
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import h5py
import keras
import numpy as np

from cifar.data import dataset, hdf5
from cifar.workload.buffers import Buffers
from cifar.workload.model import CLASSES

if TYPE_CHECKING:
    from numpy.typing import NDArray

Batch = tuple["NDArray[Any]", "NDArray[Any]"]

_SPLITS = ("train", "valid")
_DTYPES = ("float32", "uint8")
_ONE_HOT = np.eye(CLASSES, dtype=np.float32)
_PORTION = 3_100_000
"""Bytes of images that are made together at most: 252 images as float32, 1,009 as bytes.

More do not stay in the caches from one pass over them to the next."""
_BLOCK = 256
"""Images that are read together from a file larger than memory.

They are 768 KB, a stretch that a disk reads at full speed."""
_HUGE_PAGE = 2**21
"""Bytes that are forgotten together.

A page that is missing is mapped with some around it, so also those of blocks forgotten long ago."""


class DataGenerator(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of a prepared HDF5 file, shuffled over the whole split anew for every epoch.

    `generator[i]` is batch `i` of the current epoch: images float32 (n, 32, 32, 3) in [0, 1] and
    labels one-hot float32 (n, 10), where n is `batch_size` but for the last batch, which may be
    smaller. In an epoch each image comes exactly once. The order depends on `seed` and the epoch's
    number alone; `on_epoch_end()` draws the next one.

    With `dtype="uint8"` images stay as they are in the file, uint8 (n, 32, 32, 3), and labels are
    int32 (n,): a quarter of the bytes, to be scaled on the device.

    With `window` (images) a file larger than memory is read in long stretches. Blocks of 256
    images in random order fill a window, each window is shuffled, and the next one is read in
    advance. Still each image comes once, and no batch has the same company twice; but images of
    one block share a window in each epoch, so they meet in a batch images / window times as often
    as in a uniform permutation. A window needs 3 KB an image.

    The images stay in the file, which is mapped into memory. A batch's arrays are the caller's for
    as long as any reference to them lives; then their memory is used again (see `buffers`).

    Raises FileNotFoundError or ValueError, with the remedy, for a file that `cifar prepare` did
    not make, an unknown split or dtype, a batch size below 1, and a window below a block.
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
        **options: Any,
    ) -> None:
        """Open `split` ('train' or 'valid') of `path`; `options` are those of Keras's PyDataset."""
        super().__init__(**options)
        _check_choice("split", split, _SPLITS)
        _check_choice("dtype", dtype, _DTYPES)
        _check_sizes(batch_size, window)
        dataset.describe(path)
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.window = window
        self.epoch = 0
        self._file = _mapped(Path(path), split)
        if window is not None:
            # Else each page that is not there yet brings megabytes around it, which drive out what
            # was read in advance.
            self._file.memory.madvise(mmap.MADV_RANDOM)
        self._begin()
        shape = self._file.images.shape[1:]
        self._bytes = Buffers(shape, np.uint8)
        self._floats = Buffers(shape, np.float32) if dtype == "float32" else None

    @property
    def images(self) -> int:
        """Number of images in an epoch."""
        return len(self._file.images)

    @property
    def order(self) -> NDArray[np.int64]:
        """Positions in the file in the order of this epoch's images, int64 (images,)."""
        return self._order

    @property
    def portion(self) -> int:
        """How many successive batches are best made together, at least 1: 3 MB of images."""
        image_bytes = (self._floats or self._bytes).nbytes
        return max(1, _PORTION // (self.batch_size * image_bytes))

    def digest(self, batches: int | None = None) -> str:
        """SHA-256 (hex) of the order of this epoch's first `batches` batches (None: of all)."""
        stop = self.images if batches is None else batches * self.batch_size
        return hashlib.sha256(self._order[:stop].tobytes()).hexdigest()

    def __len__(self) -> int:
        """Number of batches in an epoch, with the last one, which may be smaller."""
        return math.ceil(self.images / self.batch_size)

    def __getitem__(self, index: int) -> Batch:
        """Batch `index` of the current epoch; IndexError beyond the last."""
        if not 0 <= index < len(self):
            message = f"batch {index} of {len(self)}"
            raise IndexError(message)
        return self.together(range(index, index + 1))[0]

    def together(self, indices: range) -> list[Batch]:
        """The batches of `indices`, which are successive ones of this epoch, made at once.

        Each is as `[]` gives it. They share memory, which is used again when none of them is left.
        """
        size = self.batch_size
        first = indices.start * size
        stop = indices.stop * size
        if self._windows is not None:
            self._windows.read(first, stop)
        positions = self._order[first:stop]
        images: NDArray[Any] = self._gathered(positions, stop - first)
        labels: NDArray[Any] = self._file.labels.take(positions)
        if self._floats is None:
            labels = labels.astype(np.int32)
        else:
            images = _scaled(images, self._floats, stop - first)
            labels = _ONE_HOT.take(labels, axis=0)
        batches = []
        for start in range(0, len(positions), size):
            rows = slice(start, start + size)
            batches.append((images[rows], labels[rows]))
        return batches

    def on_epoch_end(self) -> None:
        """Draw the order of the next epoch."""
        self.epoch += 1
        self._begin()

    def _begin(self) -> None:
        """Draw the order of the current epoch, and begin its windows."""
        if not self.shuffle:
            self._order = np.arange(self.images)
        else:
            random = np.random.Generator(np.random.PCG64([self.seed, self.epoch]))
            self._order = _permutation(random, self.images, self.window)
        self._windows = None
        if self.window is not None:
            self._windows = _Windows(self._file, self._order, self.window)

    def _gathered(self, positions: NDArray[np.int64], count: int) -> NDArray[np.uint8]:
        """The images at `positions` in the file, uint8, in memory for `count` images."""
        images = self._file.images
        pixels = self._bytes.lend(count)[: len(positions)]
        # Take the first byte of each image, and drop it: so the processor looks up many images in
        # memory at once, before each is copied in its turn.
        images.reshape(-1).take(positions * images[0].nbytes, mode="clip")
        np.take(images, positions, axis=0, out=pixels, mode="clip")
        return pixels


def _scaled(pixels: NDArray[np.uint8], buffers: Buffers, count: int) -> NDArray[np.float32]:
    """The pixels divided by 255, float32, in memory for `count` images."""
    images = buffers.lend(count)[: len(pixels)]
    # In two passes, for a division that converts as it goes takes longer.
    np.copyto(images, pixels)
    np.divide(images, np.float32(255), out=images)
    return images


def _check_choice(name: str, value: str, known: tuple[str, ...]) -> None:
    """Raise ValueError for a value that is none of those that are known."""
    if value not in known:
        message = f"{name} must be one of {known}, not {value!r}"
        raise ValueError(message)


def _check_sizes(batch_size: int, window: int | None) -> None:
    """Raise ValueError for a batch without an image, and for a window that holds no block."""
    if batch_size < 1:
        message = f"batch_size must be at least 1, not {batch_size}"
        raise ValueError(message)
    if window is not None and window < _BLOCK:
        message = f"window must be at least a block of {_BLOCK} images, not {window}"
        raise ValueError(message)


def _permutation(random: np.random.Generator, images: int, window: int | None) -> NDArray[np.int64]:
    """An order of all images: a uniform permutation, or that of windows (see `DataGenerator`)."""
    if window is None:
        return random.permutation(images)
    blocks = random.permutation(math.ceil(images / _BLOCK))
    order = (blocks[:, None] * _BLOCK + np.arange(_BLOCK)).reshape(-1)
    order = order[order < images]  # the last block may be shorter than the others
    for start in range(0, images, window):
        random.shuffle(order[start : start + window])
    return order


class _MappedFile(NamedTuple):
    """A split of a dataset's file, whose images are mapped into memory."""

    memory: mmap.mmap
    """The whole file."""
    offset: int
    """Bytes of the file before its first image."""
    images: NDArray[np.uint8]
    """(n, 32, 32, 3), read-only: a view of `memory`."""
    labels: NDArray[np.uint8]
    """(n,), read into memory of their own."""


def _mapped(path: Path, split: str) -> _MappedFile:
    """Map the file; ValueError where its images do not lie in it as they are."""
    with hdf5.opened(path) as file:
        stored = file[f"x_{split}"]
        offset = stored.id.get_offset()
        shape = stored.shape
        labels = file[f"y_{split}"][:].reshape(-1)
    if offset is None:
        reason = f"x_{split} is chunked or compressed and cannot be mapped"
        message = f"{path}: {reason}; run `cifar prepare` anew"
        raise ValueError(message)
    with path.open("rb") as raw:
        memory = mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ)
    images = np.frombuffer(memory, np.uint8, math.prod(shape), offset).reshape(shape)
    return _MappedFile(memory, offset, images, labels)


class _Windows:
    """The windows of one epoch, of which the kernel is told what to read in advance and to forget.

    Several threads may read from them at the same time.
    """

    def __init__(self, file: _MappedFile, order: NDArray[np.int64], size: int) -> None:
        self._file = file
        self._order = order
        self._size = size
        self._announced = 0
        """Windows before this one were announced to the kernel."""
        self._forgotten = 0
        """Windows before this one were forgotten."""
        self._lock = threading.Lock()

    def read(self, first: int, stop: int) -> None:
        """Prepare for the images from `first` to `stop` in the epoch's order."""
        for number in range(first // self._size, (stop - 1) // self._size + 1):
            self._move_to(number)

    def _move_to(self, number: int) -> None:
        """Announce window `number` and the next one, and forget all before it but the last."""
        with self._lock:
            for coming in range(max(self._announced, number), number + 2):
                self._advise(coming, mmap.MADV_WILLNEED, mmap.PAGESIZE)
            for gone in range(self._forgotten, number - 1):
                self._advise(gone, mmap.MADV_DONTNEED, _HUGE_PAGE)
            self._announced = max(self._announced, number + 2)
            self._forgotten = max(self._forgotten, number - 1)

    def _advise(self, number: int, advice: int, unit: int) -> None:
        """Tell the kernel what becomes of a window's blocks, in whole units of `unit` bytes."""
        memory = self._file.memory
        block_bytes = _BLOCK * self._file.images[0].nbytes
        positions = self._order[number * self._size : (number + 1) * self._size]
        for block in np.unique(positions // _BLOCK):
            start = self._file.offset + int(block) * block_bytes
            first = start // unit * unit
            end = math.ceil((start + block_bytes) / unit) * unit
            memory.madvise(advice, first, min(end, len(memory)) - first)


class LessonGenerator(keras.utils.PyDataset):  # type: ignore[misc]
    """The lesson's generator as taught, the baseline: the same reads and the same arithmetic.

    It differs from the lesson only where Keras 3 demands it (the base class and its initialiser),
    and takes no lock, which some file systems do not have. So its `shuffle` permutes indices that
    nothing reads, each batch looks its dataset up anew, and every end of an epoch reads a whole
    split for its length.
    """

    def __init__(
        self,
        filename: str | Path,
        batch_size: int,
        test: bool = False,  # noqa: FBT001, FBT002 the lesson's signature
        shuffle: bool = True,  # noqa: FBT001, FBT002
    ) -> None:
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
        """Read the whole split for its length, and shuffle indices that nothing uses."""
        part = "valid" if self.test else "train"
        self.indices = np.arange(self.hf[f"x_{part}"][:].shape[0])
        if self.shuffle:
            np.random.shuffle(self.indices)  # noqa: NPY002 the lesson's call
