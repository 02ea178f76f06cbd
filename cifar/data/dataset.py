"""CIFAR-10, published or made up, as one HDF5 file: how it is made, checked and read.

A file is complete or absent. It says what it holds, and has a digest of each of its arrays.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from cifar.data import cache, download, foreign, hdf5, newfile, published, standin
from cifar.record.text import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import h5py
    from numpy.typing import NDArray

    Progress = Callable[[str, int, int], None]
    Blocks = Iterable[tuple[str, NDArray[np.uint8]]]
    _Facts = Mapping[str, str | bool]
    _Shapes = Mapping[str, tuple[int, ...]]

CLASS_NAMES: Final = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
SCHEMA: Final = 1
ARRAYS: Final = ("x_train", "y_train", "x_valid", "y_valid")
_REMEDY: Final = "delete it and make it anew with 'cifar prepare'"
"""For a file that we made."""
_ELSE: Final = "name another file, or make one with 'cifar prepare'"
"""For a file of somebody else's."""
_ALIGNED: Final = 250
"""Images in a chunk: the lesson's batch."""
_ROWS: Final = 2_000
"""Images that are read at a time, 6 MB."""
_KINDS: Final = {
    "schema": np.integer,
    "source": str,
    "synthetic": np.bool,
    "digest": str,
    "creator": str,
}
"""The attributes of a file, and what they are."""


def silent(what: str, done: int, total: int) -> None:
    """Show no progress."""


@dataclass(frozen=True)
class Description:
    """What a data set's file says about itself: numbers of images, and SHA-256 in hexadecimal."""

    path: Path
    schema: int
    source: str
    synthetic: bool
    digest: str
    """Over the digests of the four arrays: it names the data set."""
    arrays: Mapping[str, str]
    """The digest of each array's bytes."""
    train: int
    valid: int
    creator: str

    @property
    def is_cifar_10(self) -> bool:
        """Whether these are CIFAR-10's arrays as published, whatever the file says they are."""
        return self.digest == _digest_of_cifar_10()


cache_folder = cache.folder


def default_path(synthetic: bool = False) -> Path:  # noqa: FBT001, FBT002 a plain yes or no
    """Return where the data set lies if nobody says otherwise."""
    return cache_folder() / ("standin.h5" if synthetic else "cifar10.h5")


def prepare(
    target: str | os.PathLike[str],
    source: str | os.PathLike[str] | None = None,
    *,
    publication: published.Publication = published.CIFAR_10,
    progress: Progress = silent,
) -> Path:
    """Return the path of the HDF5 file with CIFAR-10 as published, made if it is not there.

    `source` is the official archive or unpacked folder, Python or binary form, or an HDF5 file
    that holds the same arrays in some form (as the lesson writes it; float images, flat or one-hot
    labels, channels first); None: found where Keras or torchvision keep it, else downloaded. What
    is named is checked, even where the file is there already: once, as `verified` does. The images
    become uint8 (n, 32, 32, 3), the labels uint8 (n, 1).

    Raises FileNotFoundError, ValueError or OSError (with the path at fault and the remedy) for a
    source that is not CIFAR-10, for a target that holds something else or cannot be written, and
    ConnectionError for a download that failed. Whatever happens, the target is complete or
    untouched.
    """
    target = Path(target)
    chosen = None if source is None else Path(source)
    blocks = published.blocks(chosen, publication, cache.folder, progress)
    shapes = _shapes(publication.train, publication.valid)
    facts: _Facts = {"source": publication.title, "synthetic": False}
    stamp = cache.stamp(chosen) if chosen and chosen.is_file() else None
    _make(target, blocks, shapes, facts, progress)
    if chosen is None:
        with contextlib.suppress(FileNotFoundError):  # no cache folder, no leftovers
            download.sweep(publication.url, cache.folder())
    else:
        _check_source(chosen, blocks, _overall(publication.arrays), stamp)
    return target


def _check_source(source: Path, blocks: Blocks, digest: str, stamp: list[int] | None) -> None:
    """Read the blocks to their end, where that is not done, and remember that the source is good.

    Their digests are checked at the end.
    """
    if stamp and cache.knows(source, digest, stamp):
        return
    for _ in blocks:
        pass
    if stamp:
        cache.remember(source, digest, stamp)


def prepare_synthetic(
    target: str | os.PathLike[str],
    seed: int = 0,
    *,
    train: int = 50_000,
    valid: int = 10_000,
    progress: Progress = silent,
) -> Path:
    """Return the path of the HDF5 file with the made-up stand-in, made if it is not there.

    Shapes and types are those of `prepare`; the same seed and numbers of images give the same
    bytes everywhere.

    Raises ValueError for a bad seed and for a target that holds something else, OSError where it
    cannot be written. Whatever happens, the target is complete or untouched.
    """
    blocks = standin.blocks(seed, train, valid)
    source = f"made up, not CIFAR-10 (stand-in, seed {seed})"
    facts: _Facts = {"source": source, "synthetic": True}
    return _make(Path(target), blocks, _shapes(train, valid), facts, progress)


def describe(path: str | os.PathLike[str]) -> Description:
    """Return what the file says about itself, in milliseconds: only attributes and shapes are read.

    Raises FileNotFoundError for a missing file and ValueError (what is wrong, and the remedy) for
    one that is no HDF5, is cut short, has another schema, lacks a dataset or attribute, or has a
    wrong shape or dtype.
    """
    path = Path(path)
    with _opened(path) as file:
        return _described(path, file)


def verify(path: str | os.PathLike[str], *, progress: Progress = silent) -> Description:
    """Read the whole file, compare it with its digests, and return its description.

    Raises what `describe` raises, and ValueError for an array that differs from its digest or has
    labels beyond 0 to 9.
    """
    path = Path(path)
    with _opened(path) as file:
        description = _described(path, file)
        for name in ARRAYS:
            digest = hashlib.sha256()
            for rows in _blocks(path, file[name], progress, "check"):
                digest.update(rows.data)
                if name.startswith("y"):
                    _check_labels(name, rows)
            if digest.hexdigest() != description.arrays[name]:
                raise _altered(name)
    return description


def verified(path: str | os.PathLike[str], *, progress: Progress = silent) -> Description:
    """Return the file's description once all of its content was compared with its digests.

    Which files were good is noted in the cache folder, by path, size, times and number; a file
    that has stayed as it was is not read again. What such a note cannot show is a disk that gives
    other bytes than it was given. CIFAR-10 in our layout takes 0.2 s of one core the first time
    (0.3 s where the file is not in memory) and 4 ms from then on, as `describe` does; in the
    lesson's layout, which is decompressed, 3.5 s and then 10 ms.

    Raises what `verify` raises.
    """
    path = Path(path)
    description = describe(path)
    stamp = cache.stamp(path)
    if not cache.knows(path, description.digest, stamp):
        description = verify(path, progress=progress)
        cache.remember(path, description.digest, stamp)
    return description


def taught(path: str | os.PathLike[str]) -> bool:
    """Return whether the file is as the lesson's own text makes it; `prepare` makes ours of it."""
    path = Path(path)
    if not hdf5.is_hdf5(path):
        return False
    try:
        with hdf5.opened(path) as file, hdf5.explaining(path, "is damaged"):
            return not _says_ours(file) and foreign.oddities(file) == []
    except ValueError:
        return False


def read(
    path: str | os.PathLike[str], split: str = "train", start: int = 0, count: int = 1
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return `count` images of `split` from position `start` on, and their labels.

    They are uint8 (count, 32, 32, 3) and uint8 (count,).
    Raises what `describe` raises, and ValueError for positions that the split does not have and
    for labels beyond 0 to 9.
    """
    path = Path(path)
    with _opened(path) as file:
        description = _described(path, file)
        images = {"train": description.train, "valid": description.valid}[split]
        if not 0 <= start <= start + count <= images:
            asked = f"image {start}" if count == 1 else f"images {start} to {start + count - 1}"
            there = f"{split} has {images:,} images, 0 to {images - 1}"
            message = f"{path} has no {asked}: {there}"
            raise ValueError(message)
        rows = slice(start, start + count)
        with hdf5.explaining(path, f"{split} cannot be read"):
            pixels = file[f"x_{split}"][rows]
            classes = file[f"y_{split}"][rows, 0]
        _check_labels(f"y_{split}", classes)
    return pixels, classes


def labels(path: str | os.PathLike[str], split: str = "train") -> NDArray[np.uint8]:
    """Return all labels of `split`, uint8 (images,). Raises what `read` raises."""
    path = Path(path)
    with _opened(path) as file:
        _described(path, file)
        with hdf5.explaining(path, f"{split} cannot be read"):
            classes: NDArray[np.uint8] = file[f"y_{split}"][:, 0]
        _check_labels(f"y_{split}", classes)
    return classes


def _check_labels(name: str, classes: NDArray[np.uint8]) -> None:
    """Raise DamagedError for a label that names no class."""
    largest = classes.max(initial=0)
    if largest >= len(CLASS_NAMES):
        message = f"{name} has the label {largest}; labels are 0 to 9"
        raise hdf5.DamagedError(message)


def _altered(name: str) -> hdf5.DamagedError:
    """The error that says that an array is not what was written."""
    return hdf5.DamagedError(f"{name} differs from the digest that was written with it")


def lesson_layout(path: str | os.PathLike[str], *, progress: Progress = silent) -> Path:
    """Return a file with the same arrays and attributes as `path`, laid out as the lesson does it.

    That is gzip and the chunks that h5py chooses. It lies beside `path` as `<stem>.lesson.h5`, or
    in the cache folder where that folder cannot be written; made only if it is not there with the
    right digest.
    Raises what `describe` raises for `path`, ValueError for a foreign file in the way, OSError as
    `prepare`.
    """
    return _laid_out(Path(path), "lesson", compression="gzip", images=None, progress=progress)


def aligned_layout(
    path: str | os.PathLike[str],
    *,
    gzip: bool,
    progress: Progress = silent,
) -> Path:
    """Return a file as `lesson_layout` does, but in chunks of 250 whole images.

    They are compressed by gzip or not at all.
    """
    name = "aligned-gzip" if gzip else "aligned"
    compression = "gzip" if gzip else None
    return _laid_out(Path(path), name, compression=compression, images=_ALIGNED, progress=progress)


def _laid_out(
    path: Path,
    layout: str,
    *,
    compression: str | None,
    images: int | None,
    progress: Progress,
) -> Path:
    """Return the file `<stem>.<layout>.h5`, whose chunks hold so many images.

    None: the chunks are as h5py chooses them.
    """
    options = {"dtype": "u1", "compression": compression}
    digest = describe(path).digest
    folder = path.parent if os.access(path.parent, os.W_OK) else cache_folder()
    target = folder / f"{path.stem}.{layout}.h5"
    newfile.sweep(path)
    newfile.sweep(target)
    what = f"the layout {layout!r} of {path}"
    if target.exists() and _is_laid_out(target, digest, what, progress):
        return target
    with _opened(path) as file, newfile.replacing(target, format_of="1.0") as new:
        description = _described(path, file)
        new.attrs.update({name: file.attrs[name] for name in _KINDS})
        for name in ARRAYS:
            stored = file[name]
            chunks = True if images is None else (min(images, len(stored)), *stored.shape[1:])
            made = new.create_dataset(name, stored.shape, chunks=chunks, **options)
            made.attrs["sha256"] = stored.attrs["sha256"]
            blocks = _blocks(path, stored, progress, "lay out", made.chunks[0])
            written = _written(made, blocks, target)
            if written != hdf5.attribute(stored, "sha256"):
                raise _altered(name)
    cache.remember(target, description.digest, cache.stamp(target))
    return target


def _is_laid_out(target: Path, digest: str, what: str, progress: Progress) -> bool:
    """Return whether the target has the digest; False: it is ours, and may be replaced.

    Raises ValueError where it is not ours and stands where `what` belongs.
    """
    try:
        return verified(target, progress=progress).digest == digest
    except ValueError as error:
        if _ours(target):
            return False
        message = f"{error}. It stands where {what} belongs: move it away"
        raise ValueError(message) from error


def _written(made: h5py.Dataset, blocks: Iterable[NDArray[np.uint8]], target: Path) -> str:
    """Write the blocks into the new dataset, one after the other, and return their SHA-256."""
    digest = hashlib.sha256()
    done = 0
    for rows in blocks:
        digest.update(rows.data)
        with newfile.explaining(target):
            made[done : done + len(rows)] = rows
        done += len(rows)
    return digest.hexdigest()


def _shapes(train: int, valid: int) -> dict[str, tuple[int, ...]]:
    """The shapes of the four arrays."""
    return {
        "x_train": (train, 32, 32, 3),
        "y_train": (train, 1),
        "x_valid": (valid, 32, 32, 3),
        "y_valid": (valid, 1),
    }


def _make(target: Path, blocks: Blocks, shapes: _Shapes, facts: _Facts, progress: Progress) -> Path:
    """Write the blocks to a new file with all attributes, unless the target is it already."""
    if target.exists() and _holds(target, shapes, facts, progress):
        newfile.sweep(target)
        return target
    with newfile.replacing(target) as file:
        digests = _fill(target, file, blocks, shapes, progress)
        overall = _overall(digests)
        attributes = {**facts, "schema": SCHEMA, "digest": overall, "creator": _creator()}
        with newfile.explaining(target):
            for name, digest in digests.items():
                file[name].attrs["sha256"] = np.bytes_(digest)
            for name, fact in attributes.items():
                # Texts of fixed length lie within reach of HDF5's checksums, others do not.
                file.attrs[name] = np.bytes_(fact) if isinstance(fact, str) else fact
    return target


def _holds(target: Path, shapes: _Shapes, facts: _Facts, progress: Progress) -> bool:
    """Return whether the target is what is asked for; False: it may be replaced.

    Only a file of ours that is no longer good (damaged, or of an older schema) is replaced;
    anything else is not ours to lose, and raises ValueError.
    """
    try:
        there = verified(target, progress=progress)
    except ValueError:
        if _ours(target):
            return False
        raise
    train, valid = shapes["x_train"][0], shapes["x_valid"][0]
    if (there.source, there.train, there.valid) != (facts["source"], train, valid):
        holds = f"{plain(there.source)}, {there.train:,} + {there.valid:,} images"
        message = (
            f"{target}: holds another data set ({holds}) than the one asked for "
            f"({facts['source']}); name another file, or delete this one"
        )
        raise ValueError(message)
    return True


def _fill(
    target: Path,
    file: h5py.File,
    blocks: Blocks,
    shapes: _Shapes,
    progress: Progress,
) -> dict[str, str]:
    """Write the blocks to contiguous datasets, which can be mapped, and return their digests."""
    with newfile.explaining(target):
        datasets = {name: file.create_dataset(name, shape, "u1") for name, shape in shapes.items()}
    digests = {name: hashlib.sha256() for name in shapes}
    done = dict.fromkeys(shapes, 0)
    images = shapes["x_train"][0] + shapes["x_valid"][0]
    for name, rows in blocks:
        start = done[name]
        done[name] += len(rows)
        with newfile.explaining(target):
            datasets[name][start : done[name]] = rows
        digests[name].update(np.ascontiguousarray(rows).data)
        progress(f"write {target.name}", done["x_train"] + done["x_valid"], images)
    return {name: digest.hexdigest() for name, digest in digests.items()}


def _creator() -> str:
    """What stands in a file as the program that made it."""
    try:
        return f"cifar-bench {importlib.metadata.version('cifar-bench')}"
    except importlib.metadata.PackageNotFoundError:
        return "cifar-bench (not installed)"


def _overall(digests: Mapping[str, str]) -> str:
    """Return the SHA-256 over the lines "name digest" of the four arrays."""
    lines = "".join(f"{name} {digests[name]}\n" for name in ARRAYS)
    return hashlib.sha256(lines.encode()).hexdigest()


@functools.cache
def _digest_of_cifar_10() -> str:
    """Return the digest of CIFAR-10 as published."""
    return _overall(published.CIFAR_10.arrays)


def _ours(path: Path) -> bool:
    """Return whether we made the file: it lies in our cache folder, or is HDF5 and says so."""
    if not path.is_file():
        return False
    if _in_cache(path):
        return True
    try:
        with hdf5.opened(path) as file, hdf5.explaining(path, "is damaged"):
            return _says_ours(file)
    except (OSError, ValueError):
        return False


def _in_cache(path: Path) -> bool:
    """Return whether the file lies in the folder where all that lies can be made again."""
    try:
        return path.absolute().parent == cache.folder().absolute()
    except FileNotFoundError:
        return False


def _says_ours(file: h5py.File) -> bool:
    """Return whether the open file says that we made it."""
    return str(hdf5.attribute(file, "creator")).startswith("cifar-bench")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    """Open the file for reading; what is wrong with it is said with its name and what to do."""
    ours = _in_cache(path) and path.is_file()
    try:
        with hdf5.opened(path) as file:
            with hdf5.explaining(path, "is damaged"):
                ours = ours or _says_ours(file)
            yield file
    except hdf5.DamagedError as error:
        message = f"{path}: {error}; {_REMEDY if ours else _ELSE}"
        raise ValueError(message) from error


def _described(path: Path, file: h5py.File) -> Description:
    """Return what the open file says, checked as far as that goes without reading its arrays."""
    with hdf5.explaining(path, "is damaged"):
        theirs = None if _says_ours(file) else foreign.seen(file)
    if theirs:
        message = f"{path}: {theirs}"
        raise ValueError(message)
    with hdf5.explaining(path, "is damaged"):
        facts: dict[str, Any] = {name: hdf5.attribute(file, name) for name in _KINDS}
        _check_attributes(facts)
        arrays: dict[str, Any] = {name: hdf5.array(file, name) for name in ARRAYS}
        _check_shapes(arrays)
        digests = {name: str(hdf5.attribute(array, "sha256")) for name, array in arrays.items()}
    if _overall(digests) != facts["digest"]:
        message = "the digest of the file and those of its arrays do not agree"
        raise hdf5.DamagedError(message)
    return Description(
        path=path,
        schema=int(facts["schema"]),
        source=_source(facts),
        synthetic=bool(facts["synthetic"]),
        digest=facts["digest"],
        arrays=digests,
        train=arrays["x_train"].shape[0],
        valid=arrays["x_valid"].shape[0],
        creator=facts["creator"],
    )


def _source(facts: Mapping[str, Any]) -> str:
    """Return where the data come from; a file is not believed that it is CIFAR-10.

    Raises DamagedError where it says that CIFAR-10 itself is made up.
    """
    is_cifar_10 = facts["digest"] == _digest_of_cifar_10()
    if is_cifar_10 and facts["synthetic"]:
        message = "it says that it is made up, and has the digest of CIFAR-10"
        raise hdf5.DamagedError(message)
    source: str = facts["source"]
    if source == published.CIFAR_10.title and not is_cifar_10:
        return "unknown (it says CIFAR-10)"
    return source


def _check_attributes(facts: Mapping[str, Any]) -> None:
    """Raise DamagedError for an attribute that is missing, and for another schema than ours."""
    for name, kind in _KINDS.items():
        if not isinstance(facts[name], kind):
            reason = f"the attribute {name} is missing or of a wrong type"
            message = f"{reason}: this is no complete data set"
            raise hdf5.DamagedError(message)
        if name == "schema" and facts[name] != SCHEMA:
            message = f"has schema {facts[name]}, and this version reads schema {SCHEMA}"
            raise hdf5.DamagedError(message)


def _check_shapes(arrays: Mapping[str, Any]) -> None:
    """Raise DamagedError unless images are (n, 32, 32, 3) and labels (n, 1), all uint8.

    n is more than 0 and the same for both.
    """
    missing = [name for name in ARRAYS if arrays[name] is None]
    if missing:
        message = f"the dataset {' and '.join(missing)} is missing"
        raise hdf5.DamagedError(message)
    for name in ARRAYS:
        shape = arrays[name].shape or ()
        count = (arrays[f"x{name[1:]}"].shape or ())[:1]
        if name.startswith("x"):
            expected = (*count, 32, 32, 3)
            wanted = "(n, 32, 32, 3)"
        else:
            expected = (*count, 1)
            wanted = f"{expected}, one label an image"
        if shape != expected or count in {(), (0,)}:
            message = f"{name} has the shape {shape} instead of {wanted}"
            raise hdf5.DamagedError(message)
        dtype = arrays[name].dtype
        if dtype != np.uint8:
            message = f"{name} is of type {dtype} instead of uint8"
            raise hdf5.DamagedError(message)


def _blocks(
    path: Path, stored: h5py.Dataset, progress: Progress, verb: str, rows: int | None = None
) -> Iterator[NDArray[np.uint8]]:
    """Give the dataset's rows in order, some thousand at a time; whole chunks where it has any."""
    name = stored.name.lstrip("/")
    total = len(stored)
    for place, block in hdf5.blocks(path, stored, rows or _ROWS):
        progress(f"{verb} {name}", place, total)
        yield block
    progress(f"{verb} {name}", total, total)
