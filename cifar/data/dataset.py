"""From CIFAR-10, published or made up, to one HDF5 file that is complete or absent, and from that file to its facts."""

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
    _Shapes = Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]]

CLASS_NAMES: Final = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SCHEMA: Final = 1
ARRAYS: Final = ("x_train", "y_train", "x_valid", "y_valid")
_REMEDY: Final = "delete it and make it anew with 'cifar prepare'"  # for a file that we made
_ELSE: Final = "name another file, or make one with 'cifar prepare'"
_ALIGNED: Final = 250  # images in a chunk: the lesson's batch
_ROWS: Final = 2_000  # read at a time: 6 MB of images
_KINDS: Final = {"schema": np.integer, "source": str, "synthetic": np.bool, "digest": str, "creator": str}


def silent(what: str, done: int, total: int) -> None:
    """Show no progress."""


@dataclass(frozen=True)
class Description:
    """What a data set's file says about itself: the numbers of images and SHA-256 in hexadecimal."""

    path: Path
    schema: int
    source: str
    synthetic: bool
    digest: str  # over the digests of the four arrays: names the data set
    arrays: Mapping[str, str]  # digest of each array's bytes
    train: int
    valid: int
    creator: str

    @property
    def is_cifar_10(self) -> bool:
        """Whether these are CIFAR-10's own arrays as published, by their digests and not by what the file says."""
        return self.digest == _of_cifar_10()


cache_folder = cache.folder


def default_path(synthetic: bool = False) -> Path:  # noqa: FBT001, FBT002 (the question is a plain yes or no)
    """Return where the data set lies if nobody says otherwise."""
    return cache_folder() / ("standin.h5" if synthetic else "cifar10.h5")


def prepare(
    target: str | os.PathLike[str],
    source: str | os.PathLike[str] | None = None,
    *,
    publication: published.Publication = published.CIFAR_10,
    progress: Progress = silent,
) -> Path:
    """Return the path of the HDF5 file with CIFAR-10 as published, which is made if it is not there.

    `source`: the official archive or unpacked folder, Python or binary form, or an HDF5 file that holds the same
    arrays in some form (as the lesson writes it; float images, flat or one-hot labels, channels first); None: found
    where Keras or torchvision keep it, else downloaded. What is named is checked, even where the file is there
    already: once, as `verified` does. The images become uint8 (n, 32, 32, 3), the labels uint8 (n, 1).
    Raises FileNotFoundError, ValueError or OSError (with the path at fault and the remedy) for a source that is
    not CIFAR-10, for a target that holds something else or cannot be written, and ConnectionError for a
    download that failed. Whatever happens, the target is complete or untouched.
    """
    chosen = None if source is None else Path(source)
    blocks = published.blocks(chosen, publication, cache.folder, progress)
    facts: _Facts = {"source": publication.title, "synthetic": False}
    when = cache.stamp(chosen) if chosen and chosen.is_file() else None
    _make(Path(target), blocks, _shapes(publication.train, publication.valid), facts, progress)
    if chosen is None:
        with contextlib.suppress(FileNotFoundError):  # no cache folder, no leftovers
            download.sweep(publication.url, cache.folder())
    else:
        _check_source(chosen, blocks, _overall(publication.arrays), when)
    return Path(target)


def _check_source(source: Path, blocks: Blocks, digest: str, when: list[int] | None) -> None:
    """Read the blocks to their end, where nobody has, for their digests are checked there; remember a good file."""
    if when and cache.knows(source, digest, when):
        return
    for _ in blocks:
        pass
    if when:
        cache.remember(source, digest, when)


def prepare_synthetic(
    target: str | os.PathLike[str],
    seed: int = 0,
    *,
    train: int = 50_000,
    valid: int = 10_000,
    progress: Progress = silent,
) -> Path:
    """Return the path of the HDF5 file with the made-up stand-in, which is made if it is not there.

    Shapes and types are those of `prepare`; the same seed and numbers of images give the same bytes everywhere.
    Raises ValueError for a bad seed and for a target that holds something else, OSError where it cannot be
    written. Whatever happens, the target is complete or untouched.
    """
    blocks = standin.blocks(seed, train, valid)
    facts: _Facts = {"source": f"made up, not CIFAR-10 (stand-in, seed {seed})", "synthetic": True}
    return _make(Path(target), blocks, _shapes(train, valid), facts, progress)


def describe(path: str | os.PathLike[str]) -> Description:
    """Return what the file says about itself. Reads attributes and shapes only: milliseconds.

    Raises FileNotFoundError for a missing file and ValueError (what is wrong, and the remedy) for one that is no
    HDF5, is cut short, has another schema, lacks a dataset or attribute, or has a wrong shape or dtype.
    """
    path = Path(path)
    with _opened(path) as file:
        return _described(path, file)


def verify(path: str | os.PathLike[str], *, progress: Progress = silent) -> Description:
    """Read the whole file, compare it with its digests, and return its description.

    Raises what `describe` raises, and ValueError for an array that differs from its digest or has labels
    beyond 0 to 9.
    """
    path = Path(path)
    with _opened(path) as file:
        expected = _described(path, file)
        for name in ARRAYS:
            digest = hashlib.sha256()
            for rows in _blocks(path, file[name], progress, "check"):
                digest.update(rows.data)
                if name.startswith("y") and rows.max() >= len(CLASS_NAMES):
                    msg = f"{name} has the label {rows.max()}; labels are 0 to 9"
                    raise hdf5.DamagedError(msg)
            if digest.hexdigest() != expected.arrays[name]:
                msg = f"{name} differs from the digest that was written with it"
                raise hdf5.DamagedError(msg)
    return expected


def verified(path: str | os.PathLike[str], *, progress: Progress = silent) -> Description:
    """Return the file's description once all of its content was compared with its digests, as `verify` does.

    Which files were good is noted in the cache folder, by path, size, times and number; a file that has stayed as it
    was is not read again. What such a note cannot show is a disk that gives other bytes than it was given.
    CIFAR-10 in our layout takes 0.2 s of one core the first time (0.3 s where the file is not in memory) and 4 ms from
    then on, as `describe` does; in the lesson's layout, which is decompressed, 3.5 s and then 10 ms.
    Raises what `verify` raises.
    """
    path = Path(path)
    found = describe(path)
    when = cache.stamp(path)
    if not cache.knows(path, found.digest, when):
        found = verify(path, progress=progress)
        cache.remember(path, found.digest, when)
    return found


def taught(path: str | os.PathLike[str]) -> bool:
    """Return whether the file is one that the lesson's own text makes; `prepare` makes ours of it."""
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
    """Return `count` images uint8 (count, 32, 32, 3) of `split` from position `start` on, and labels uint8 (count,).

    Raises what `describe` raises, and ValueError for positions that the split does not have and for labels
    beyond 0 to 9.
    """
    path = Path(path)
    with _opened(path) as file:
        found = _described(path, file)
        images = {"train": found.train, "valid": found.valid}[split]
        if not 0 <= start <= start + count <= images:
            asked = f"image {start}" if count == 1 else f"images {start} to {start + count - 1}"
            msg = f"{path} has no {asked}: {split} has {images:,} images, 0 to {images - 1}"
            raise ValueError(msg)
        rows = slice(start, start + count)
        with hdf5.explaining(path, f"{split} cannot be read"):
            pixels, classes = file[f"x_{split}"][rows], file[f"y_{split}"][rows, 0]
        _check_labels(split, classes)
    return pixels, classes


def labels(path: str | os.PathLike[str], split: str = "train") -> NDArray[np.uint8]:
    """Return all labels of `split`, uint8 (images,).  Raises what `read` raises."""
    path = Path(path)
    with _opened(path) as file:
        _described(path, file)
        with hdf5.explaining(path, f"{split} cannot be read"):
            found: NDArray[np.uint8] = file[f"y_{split}"][:, 0]
        _check_labels(split, found)
    return found


def _check_labels(split: str, found: NDArray[np.uint8]) -> None:
    if found.max(initial=0) >= len(CLASS_NAMES):
        msg = f"y_{split} has the label {found.max()}; labels are 0 to 9"
        raise hdf5.DamagedError(msg)


def lesson_layout(path: str | os.PathLike[str], *, progress: Progress = silent) -> Path:
    """Return a file with the same arrays and attributes as `path`, laid out as the lesson does it.

    That is gzip and the chunks that h5py chooses. It lies beside `path` as `<stem>.lesson.h5`, or in the cache
    folder where that folder cannot be written; made only if it is not there with the right digest.
    Raises what `describe` raises for `path`, ValueError for a foreign file in the way, OSError as `prepare`.
    """
    return _laid_out(path, "lesson", {"compression": "gzip", "chunks": True}, progress)


def aligned_layout(path: str | os.PathLike[str], *, gzip: bool, progress: Progress = silent) -> Path:
    """Return a file as `lesson_layout` does, but in chunks of 250 whole images, compressed by gzip or not at all."""
    name, compression = ("aligned-gzip", "gzip") if gzip else ("aligned", None)
    return _laid_out(path, name, {"compression": compression, "chunks": _ALIGNED}, progress)


def _laid_out(path: str | os.PathLike[str], layout: str, how: Mapping[str, Any], progress: Progress) -> Path:
    """The file `<stem>.<layout>.h5`, whose datasets are created with the options `how`."""
    path = Path(path)
    digest = describe(path).digest
    folder = path.parent if os.access(path.parent, os.W_OK) else cache_folder()
    target = folder / f"{path.stem}.{layout}.h5"
    newfile.sweep(path)
    newfile.sweep(target)
    if target.exists():
        try:
            if verified(target, progress=progress).digest == digest:
                return target
        except ValueError as error:
            if not _ours(target):
                msg = f"{error}. It stands where the layout {layout!r} of {path} belongs: move it away"
                raise ValueError(msg) from error
    with _opened(path) as file, newfile.replacing(target, format_of="1.0") as new:
        found = _described(path, file)
        new.attrs.update({name: file.attrs[name] for name in _KINDS})
        for name in ARRAYS:
            _lay_out(path, file[name], target, new, how, progress)
    cache.remember(target, found.digest, cache.stamp(target))
    return target


def _lay_out(  # noqa: PLR0913, PLR0917 two files with their names, and how
    path: Path, dataset: h5py.Dataset, target: Path, new: h5py.File, how: Mapping[str, Any], progress: Progress
) -> None:
    """Write the dataset to the new file as `how` says, some whole chunks at a time."""
    name = dataset.name.lstrip("/")
    chunks = how["chunks"] if how["chunks"] is True else (min(how["chunks"], len(dataset)), *dataset.shape[1:])
    made = new.create_dataset(name, dataset.shape, "u1", compression=how["compression"], chunks=chunks)
    made.attrs["sha256"] = dataset.attrs["sha256"]
    digest = hashlib.sha256()
    done = 0
    for rows in _blocks(path, dataset, progress, "lay out", made.chunks[0]):
        digest.update(rows.data)
        with newfile.explaining(target):
            made[done : done + len(rows)] = rows
        done += len(rows)
    if digest.hexdigest() != hdf5.attribute(dataset, "sha256"):
        msg = f"{name} differs from the digest that was written with it"
        raise hdf5.DamagedError(msg)


def _shapes(train: int, valid: int) -> dict[str, tuple[int, ...]]:
    return {
        f"{array}_{part}": (count, *shape)
        for part, count in (("train", train), ("valid", valid))
        for array, shape in (("x", (32, 32, 3)), ("y", (1,)))
    }


def _make(
    target: Path,
    blocks: Blocks,
    shapes: Mapping[str, tuple[int, ...]],
    facts: _Facts,
    progress: Progress,
) -> Path:
    """Write the blocks to a new file with all attributes, unless the target already is what is asked for."""
    if target.exists() and _holds(target, shapes, facts, progress):
        newfile.sweep(target)
        return target
    with newfile.replacing(target) as file:
        digests = _fill(target, file, blocks, shapes, progress)
        attributes = {**facts, "schema": SCHEMA, "digest": _overall(digests), "creator": _creator()}
        with newfile.explaining(target):
            for name, digest in digests.items():
                file[name].attrs["sha256"] = np.bytes_(digest)
            for name, fact in attributes.items():
                # Texts of fixed length lie within reach of HDF5's checksums, others do not.
                file.attrs[name] = np.bytes_(fact) if isinstance(fact, str) else fact
    return target


def _holds(target: Path, shapes: Mapping[str, tuple[int, ...]], facts: _Facts, progress: Progress) -> bool:
    """Return whether the target is what is asked for; False: it may be replaced.

    Only a file of ours that is no longer good (damaged, or of an older schema) is replaced; anything else is not ours
    to lose.
    """
    try:
        there = verified(target, progress=progress)
    except ValueError:
        if _ours(target):
            return False
        raise
    if (there.source, there.train, there.valid) != (facts["source"], shapes["x_train"][0], shapes["x_valid"][0]):
        msg = (
            f"{target}: holds another data set ({plain(there.source)}, {there.train:,} + {there.valid:,} images) than "
            f"the one asked for ({facts['source']}); name another file, or delete this one"
        )
        raise ValueError(msg)
    return True


def _ours(path: Path) -> bool:
    """Return whether we made the file: it lies in our cache folder, or opens as HDF5 and says so."""
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


def _creator() -> str:
    try:
        return f"cifar-bench {importlib.metadata.version('cifar-bench')}"
    except importlib.metadata.PackageNotFoundError:
        return "cifar-bench (not installed)"


def _overall(digests: Mapping[str, str]) -> str:
    """Return the SHA-256 over the lines "name digest" of the four arrays."""
    return hashlib.sha256("".join(f"{name} {digests[name]}\n" for name in ARRAYS).encode()).hexdigest()


@functools.cache
def _of_cifar_10() -> str:
    """Return the digest of CIFAR-10 as published."""
    return _overall(published.CIFAR_10.arrays)


def _fill(
    target: Path, file: h5py.File, blocks: Blocks, shapes: Mapping[str, tuple[int, ...]], progress: Progress
) -> dict[str, str]:
    """Write the blocks to contiguous datasets, which can be mapped into memory, and return their digests."""
    with newfile.explaining(target):
        datasets = {name: file.create_dataset(name, shape, "u1") for name, shape in shapes.items()}
    digests = {name: hashlib.sha256() for name in shapes}
    done = dict.fromkeys(shapes, 0)
    images = sum(shape[0] for name, shape in shapes.items() if name.startswith("x"))
    for name, rows in blocks:
        start, done[name] = done[name], done[name] + len(rows)
        with newfile.explaining(target):
            datasets[name][start : done[name]] = rows
        digests[name].update(np.ascontiguousarray(rows).data)
        progress(f"write {target.name}", done["x_train"] + done["x_valid"], images)
    return {name: digest.hexdigest() for name, digest in digests.items()}


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
        msg = f"{path}: {error}; {_REMEDY if ours else _ELSE}"
        raise ValueError(msg) from error


def _described(path: Path, file: h5py.File) -> Description:
    with hdf5.explaining(path, "is damaged"):
        others = None if _says_ours(file) else foreign.seen(file)
    if others:
        msg = f"{path}: {others}"
        raise ValueError(msg)
    with hdf5.explaining(path, "is damaged"):
        facts: dict[str, Any] = {name: hdf5.attribute(file, name) for name in _KINDS}
        _check_attributes(facts)
        arrays = {name: array for name in ARRAYS if (array := hdf5.array(file, name)) is not None}
        _check_shapes({name: (array.shape or (), array.dtype) for name, array in arrays.items()})
        digests = {name: str(hdf5.attribute(array, "sha256")) for name, array in arrays.items()}
    if _overall(digests) != facts["digest"]:
        msg = "the digest of the file and those of its arrays do not agree"
        raise hdf5.DamagedError(msg)
    of_cifar_10 = facts["digest"] == _of_cifar_10()
    if of_cifar_10 and facts["synthetic"]:
        msg = "it says that it is made up, and has the digest of CIFAR-10"
        raise hdf5.DamagedError(msg)
    claims = facts["source"] == published.CIFAR_10.title
    return Description(
        path=path,
        schema=int(facts["schema"]),
        source="unknown (it says CIFAR-10)" if claims and not of_cifar_10 else facts["source"],
        synthetic=bool(facts["synthetic"]),
        digest=facts["digest"],
        arrays=digests,
        train=arrays["x_train"].shape[0],
        valid=arrays["x_valid"].shape[0],
        creator=facts["creator"],
    )


def _check_attributes(facts: Mapping[str, Any]) -> None:
    for name, kind in _KINDS.items():
        if not isinstance(facts[name], kind):
            msg = f"the attribute {name} is missing or of a wrong type: this is no complete data set"
            raise hdf5.DamagedError(msg)
        if name == "schema" and facts[name] != SCHEMA:
            msg = f"has schema {facts[name]}, and this version reads schema {SCHEMA}"
            raise hdf5.DamagedError(msg)


def _check_shapes(shapes: _Shapes) -> None:
    """Raise ValueError unless images are (n, 32, 32, 3) and labels (n, 1), of the same n > 0, all uint8."""
    missing = [name for name in ARRAYS if name not in shapes]
    if missing:
        msg = f"the dataset {' and '.join(missing)} is missing"
        raise hdf5.DamagedError(msg)
    for name in ARRAYS:
        shape, dtype = shapes[name]
        count = shapes[f"x{name[1:]}"][0][:1]
        expected = (*count, 32, 32, 3) if name.startswith("x") else (*count, 1)
        if shape != expected or count in {(), (0,)}:
            wanted = "(n, 32, 32, 3)" if name.startswith("x") else f"{expected}, one label an image"
            msg = f"{name} has the shape {shape} instead of {wanted}"
            raise hdf5.DamagedError(msg)
        if dtype != np.uint8:
            msg = f"{name} is of type {dtype} instead of uint8"
            raise hdf5.DamagedError(msg)


def _blocks(
    path: Path, dataset: h5py.Dataset, progress: Progress, verb: str, rows: int | None = None
) -> Iterator[NDArray[np.uint8]]:
    """Return the dataset's rows in order, some thousand at a time; whole chunks where it has any."""
    name, total = dataset.name.lstrip("/"), len(dataset)
    for place, block in hdf5.blocks(path, dataset, rows or _ROWS):
        progress(f"{verb} {name}", place, total)
        yield block
    progress(f"{verb} {name}", total, total)
