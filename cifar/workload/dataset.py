"""From CIFAR-10, published or made up, to one HDF5 file that is complete or absent, and from that file to its facts."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import h5py
import numpy as np

from cifar.record import files
from cifar.workload import newfile, published, standin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    Progress = Callable[[str, int, int], None]
    Blocks = Iterable[tuple[str, NDArray[np.uint8]]]
    _Facts = Mapping[str, str | bool]
    _Shapes = Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]]

CLASS_NAMES: Final = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SCHEMA: Final = 1
ARRAYS: Final = ("x_train", "y_train", "x_valid", "y_valid")
REMEDY: Final = "delete it and make it anew with 'cifar prepare'"
_ALIGNED: Final = 250  # images in a chunk: the lesson's batch
_ROWS: Final = 2_000  # read at a time: 6 MB of images


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


def cache_folder() -> Path:
    """Return the folder for what can be made again: `cifar-bench` in `$XDG_CACHE_HOME`, else in `~/.cache`."""
    return files.cache_folder()


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

    `source`: the official archive or unpacked folder, Python or binary form; None: found where Keras or
    torchvision keep it, else downloaded. The images become uint8 (n, 32, 32, 3), the labels uint8 (n, 1).
    Raises FileNotFoundError, ValueError or OSError (with the path at fault and the remedy) for a source that is
    not CIFAR-10, for a target that holds something else or cannot be written, and ConnectionError for a
    download that failed. Whatever happens, the target is complete or untouched.
    """
    chosen = None if source is None else Path(source)
    blocks = published.blocks(chosen, publication, cache_folder(), progress)
    shapes = _shapes(publication.train, publication.valid)
    facts: _Facts = {"source": publication.title, "synthetic": False}
    return _make(Path(target), blocks, shapes, facts, progress)


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


def verify(path: str | os.PathLike[str], *, progress: Progress = silent) -> None:
    """Read the whole file and compare it with its digests.

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
                    raise _damaged(path, f"{name} has the label {rows.max()}; labels are 0 to 9")
            if digest.hexdigest() != expected.arrays[name]:
                raise _damaged(path, f"{name} differs from the digest that was written with it")


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
        try:
            pixels, labels = file[f"x_{split}"][rows], file[f"y_{split}"][rows, 0]
        except (OSError, RuntimeError) as error:
            raise _damaged(path, f"{split} cannot be read ({error})") from error
    if labels.max(initial=0) >= len(CLASS_NAMES):
        raise _damaged(path, f"y_{split} has the label {labels.max()}; labels are 0 to 9")
    return pixels, labels


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
    if target.exists():
        try:
            if describe(target).digest == digest:
                return target
        except ValueError:
            if not _ours(target):
                raise
    with _opened(path) as file, newfile.replacing(target, format_of="1.0") as new:
        new.attrs.update(file.attrs)
        for name in ARRAYS:
            _lay_out(path, file[name], target, new, how, progress)
    return target


def _lay_out(  # noqa: PLR0913, PLR0917 two files with their names, and how
    path: Path, dataset: h5py.Dataset, target: Path, new: h5py.File, how: Mapping[str, Any], progress: Progress
) -> None:
    """Write the dataset to the new file as `how` says, some whole chunks at a time."""
    name = dataset.name.lstrip("/")
    chunks = how["chunks"] if how["chunks"] is True else (min(how["chunks"], len(dataset)), *dataset.shape[1:])
    made = new.create_dataset(name, dataset.shape, "u1", compression=how["compression"], chunks=chunks)
    made.attrs.update(dataset.attrs)
    digest = hashlib.sha256()
    done = 0
    for rows in _blocks(path, dataset, progress, "lay out", made.chunks[0]):
        digest.update(rows.data)
        with newfile.explaining(target):
            made[done : done + len(rows)] = rows
        done += len(rows)
    if digest.hexdigest() != _text(dataset.attrs["sha256"]):
        raise _damaged(path, f"{name} differs from the digest that was written with it")


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
    if target.exists() and _holds(target, shapes, facts):
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


def _holds(target: Path, shapes: Mapping[str, tuple[int, ...]], facts: _Facts) -> bool:
    """Return whether the target is what is asked for; False: it may be replaced.

    Only a file of ours that is no longer good (an older schema) is replaced; anything else is not ours to lose.
    """
    try:
        there = describe(target)
    except ValueError:
        if _ours(target):
            return False
        raise
    if (there.source, there.train, there.valid) != (facts["source"], shapes["x_train"][0], shapes["x_valid"][0]):
        msg = (
            f"{target}: holds another data set ({there.source}, {there.train:,} + {there.valid:,} images) than the "
            f"one asked for ({facts['source']}); name another file, or delete this one"
        )
        raise ValueError(msg)
    return True


def _ours(path: Path) -> bool:
    """Return whether the file opens as HDF5 and says that we made it."""
    try:
        with h5py.File(path) as file:
            return _text(file.attrs.get("creator")).startswith("cifar-bench")
    except (OSError, RuntimeError, KeyError):
        return False


def _creator() -> str:
    try:
        return f"cifar-bench {importlib.metadata.version('cifar-bench')}"
    except importlib.metadata.PackageNotFoundError:
        return "cifar-bench (not installed)"


def _text(fact: object) -> str:
    """Return the text of an attribute, "" if it is none."""
    return fact.decode("ascii", "replace") if isinstance(fact, bytes) else ""


def _overall(digests: Mapping[str, str]) -> str:
    """Return the SHA-256 over the lines "name digest" of the four arrays."""
    return hashlib.sha256("".join(f"{name} {digests[name]}\n" for name in ARRAYS).encode()).hexdigest()


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


def _damaged(path: Path, what: str) -> ValueError:
    return ValueError(f"{path}: {what}; {REMEDY}")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    """Open the file for reading, and say in plain words what HDF5 says in its own."""
    if not path.exists():
        msg = f"{path}: there is no such file; make it with 'cifar prepare'"
        raise FileNotFoundError(msg)
    if not path.is_file():
        raise _damaged(path, "this is a folder or device, not an HDF5 file")
    try:
        file = h5py.File(path)
    except PermissionError as error:
        msg = f"{path} may not be read by this user; name another file, or change its permissions"
        raise PermissionError(error.errno, msg) from error
    except OSError as error:
        cut = "truncated" in str(error)
        raise _damaged(path, "is cut short" if cut else f"is no HDF5 file, or its head is damaged ({error})") from error
    with file:
        yield file


def _described(path: Path, file: h5py.File) -> Description:
    try:
        facts = {name: _text(fact) if isinstance(fact, bytes) else fact for name, fact in file.attrs.items()}
        arrays = {name: file[name] for name in ARRAYS if isinstance(file.get(name), h5py.Dataset)}
        digests = {name: _text(array.attrs.get("sha256")) for name, array in arrays.items()}
        shapes: _Shapes = {name: (array.shape or (), array.dtype) for name, array in arrays.items()}
    except (OSError, RuntimeError, KeyError) as error:
        raise _damaged(path, f"is damaged ({error})") from error
    _check_attributes(path, facts)
    _check_shapes(path, shapes)
    if _overall(digests) != facts["digest"]:
        raise _damaged(path, "the digest of the file and those of its arrays do not agree")
    return Description(
        path=path,
        schema=int(facts["schema"]),
        source=facts["source"],
        synthetic=bool(facts["synthetic"]),
        digest=facts["digest"],
        arrays=digests,
        train=shapes["x_train"][0][0],
        valid=shapes["x_valid"][0][0],
        creator=facts["creator"],
    )


def _check_attributes(path: Path, facts: Mapping[str, Any]) -> None:
    kinds = {"schema": np.integer, "source": str, "synthetic": np.bool, "digest": str, "creator": str}
    for name, kind in kinds.items():
        if not isinstance(facts.get(name), kind):
            raise _damaged(path, f"the attribute {name} is missing or of a wrong type: this is no complete data set")
        if name == "schema" and facts[name] != SCHEMA:
            raise _damaged(path, f"has schema {facts[name]}, and this version reads schema {SCHEMA}")


def _check_shapes(path: Path, shapes: _Shapes) -> None:
    """Raise ValueError unless images are (n, 32, 32, 3) and labels (n, 1), of the same n > 0, all uint8."""
    missing = [name for name in ARRAYS if name not in shapes]
    if missing:
        raise _damaged(path, f"the dataset {' and '.join(missing)} is missing")
    for name in ARRAYS:
        shape, dtype = shapes[name]
        count = shapes[f"x{name[1:]}"][0][:1]
        expected = (*count, 32, 32, 3) if name.startswith("x") else (*count, 1)
        if shape != expected or count in {(), (0,)}:
            wanted = "(n, 32, 32, 3)" if name.startswith("x") else f"{expected}, one label an image"
            raise _damaged(path, f"{name} has the shape {shape} instead of {wanted}")
        if dtype != np.uint8:
            raise _damaged(path, f"{name} is of type {dtype} instead of uint8")


def _blocks(
    path: Path, dataset: h5py.Dataset, progress: Progress, verb: str, rows: int | None = None
) -> Iterator[NDArray[np.uint8]]:
    """Return the dataset's rows in order, some thousand at a time; whole chunks where it has any."""
    name, total = dataset.name.lstrip("/"), len(dataset)
    step = rows or (dataset.chunks[0] if dataset.chunks else _ROWS)
    for start in range(0, total, step):
        progress(f"{verb} {name}", start, total)
        try:
            block = dataset[start : start + step]
        except (OSError, RuntimeError) as error:
            raise _damaged(path, f"{name} cannot be read ({error})") from error
        yield block
    progress(f"{verb} {name}", total, total)
