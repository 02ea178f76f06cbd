"""CIFAR-10 as published, in an archive, a folder or an HDF5 file, read into checked arrays."""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import pickle
import warnings
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

import numpy as np

from cifar.data import archive, download, foreign, hdf5
from cifar.record import files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    Progress = Callable[[str, int, int], None]
    Members = dict[str, bytes]
    Blocks = Iterator[tuple[str, NDArray[np.uint8]]]
    Rows = tuple[NDArray[np.uint8], NDArray[np.uint8]]  # images (n, 32, 32, 3) and labels (n, 1)

RECORD: Final = 1 + 3 * 32 * 32
"""Bytes of one image in the binary form: its label, then three planes."""
_FOLDERS: Final = 1_000
"""Entries of a folder that are looked at; the official one has 8."""


@dataclass(frozen=True)
class Form:
    """One of the forms in which the data set is published.

    The mappings give the SHA-256 of each member by its name, or None where none is published: such
    members must not need unpickling, and only the digests of the arrays vouch for them.
    """

    title: str
    train: Mapping[str, str | None]
    valid: Mapping[str, str | None]
    beside: Mapping[str, str | None]
    decode: Callable[[bytes], Rows]

    @property
    def members(self) -> dict[str, str | None]:
        """All members that the form consists of."""
        return {**self.train, **self.valid, **self.beside}


@dataclass(frozen=True)
class Publication:
    """A published data set: its address, numbers of images, and SHA-256 of archive and arrays."""

    title: str
    url: str
    sha256: str
    train: int
    valid: int
    arrays: Mapping[str, str]
    forms: tuple[Form, ...]


class _ArraysOnly(pickle.Unpickler):
    """Unpickles nothing but NumPy arrays and Python's plain types: the second line of defence."""

    def find_class(self, module: str, name: str) -> object:
        if module in {"numpy.core.multiarray", "numpy._core.multiarray"} and name == "_reconstruct":
            return np.empty(0, np.uint8).__reduce__()[0]  # NumPy has moved it, and may again
        if module == "numpy" and name in {"ndarray", "dtype"}:
            return getattr(np, name)
        message = f"it names {module}.{name}, which has no place in a batch of images"
        raise pickle.UnpicklingError(message)


def _from_pickle(data: bytes) -> Rows:
    """Decode a member of the Python form; ValueError for anything else."""
    try:
        batch = _ArraysOnly(io.BytesIO(data), encoding="bytes").load()
        images = batch[b"data"]
        labels = np.array(batch[b"labels"], dtype=np.uint8).reshape(-1, 1)
    except (pickle.UnpicklingError, EOFError, KeyError, TypeError, OverflowError) as error:
        message = f"it is no batch of images ({error})"
        raise ValueError(message) from error
    is_bytes = isinstance(images, np.ndarray) and images.dtype == np.uint8
    if not is_bytes or images.shape != (len(labels), 3072):
        message = "its images are not uint8 rows of 3072, one for each label"
        raise ValueError(message)
    return _to_pixels(images), labels


def _from_records(data: bytes) -> Rows:
    """Decode a member of the binary form; ValueError for anything else."""
    if not data or len(data) % RECORD:
        message = f"its {len(data):,} bytes are no whole number of records of {RECORD} bytes"
        raise ValueError(message)
    records = np.frombuffer(data, dtype=np.uint8).reshape(-1, RECORD)
    return _to_pixels(records[:, 1:]), records[:, :1]


def _to_pixels(planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (n, 32, 32, 3) from rows of three planes, one for each colour."""
    images = planes.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images)


# Digests: computed from the official files, MD5 as in the loaders of Keras and torchvision.
CIFAR_10: Final = Publication(
    title="CIFAR-10",
    url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    train=50_000,
    valid=10_000,
    arrays={
        "x_train": "47af8b02cfcfb6cdf3dbbd1969ad7f1b70f4413f6f80f437b020ee4e5bc8304a",
        "y_train": "2b7cd2f24487317614016b72ffd53071c3062f592f0eb300c18a770d41ae1253",
        "x_valid": "f9b1e2130bab680db56eb06d886f7f1ad0f1183907ceff4659d1735c890f5b04",
        "y_valid": "cec8a24a1e92aa2ecaa0bbd3dbfa86bf6cd8759fbd209a832824c8cf0afca9d5",
    },
    forms=(
        Form(
            title="Python form",
            train={
                "data_batch_1": "54636561a3ce25bd3e19253c6b0d8538147b0ae398331ac4a2d86c6d987368cd",
                "data_batch_2": "766b2cef9fbc745cf056b3152224f7cf77163b330ea9a15f9392beb8b89bc5a8",
                "data_batch_3": "0f00d98ebfb30b3ec0ad19f9756dc2630b89003e10525f5e148445e82aa6a1f9",
                "data_batch_4": "3f7bb240661948b8f4d53e36ec720d8306f5668bd0071dcb4e6c947f78e9682b",
                "data_batch_5": "d91802434d8376bbaeeadf58a737e3a1b12ac839077e931237e0dcd43adcb154",
            },
            valid={
                "test_batch": "f53d8d457504f7cff4ea9e021afcf0e0ad8e24a91f3fc42091b8adef61157831",
            },
            beside={
                "batches.meta": "f962466ef690d46b226450fb9aadc74ba4bc64a76aa526b5827fe4bc5c7125cb",
            },
            decode=_from_pickle,
        ),
        Form(
            title="binary form",
            train={f"data_batch_{number}.bin": None for number in range(1, 6)},
            valid={"test_batch.bin": None},
            beside={},
            decode=_from_records,
        ),
    ),
)


def blocks(
    source: Path | None,
    publication: Publication,
    cache: Callable[[], Path],
    progress: Progress,
) -> Blocks:
    """Return the published data as (name, rows), the rows of each array in order.

    The names are x_train, y_train, x_valid and y_valid; images are (n, 32, 32, 3), labels (n, 1),
    all uint8. `source` is an archive, a folder, or an HDF5 file that holds these arrays in some
    form; None: one that is found on this machine, else a download to the folder `cache()`.
    Nothing is unpickled before the SHA-256 of all members is right, and the arrays are checked
    again at the end.
    Raises FileNotFoundError where there is no source, ValueError (with the source and the remedy)
    where it is not the published data, and what `download.archive` raises.
    """
    if source is None:
        source, form, members = _obtained(publication, cache, progress)
        content = _decoded(source, form, members)
    elif hdf5.is_hdf5(source):
        content = _of_others(source, publication, progress)
    else:
        form, members = _loaded(source, publication, progress)
        content = _decoded(source, form, members)
    yield from _checked(source, publication, content)


def _checked(source: Path, publication: Publication, content: Blocks) -> Blocks:
    """Give the content; raise ValueError where it turns out not to be the published data."""
    counts = {"train": publication.train, "valid": publication.valid}
    left = {name: counts[name.partition("_")[2]] for name in publication.arrays}
    digests = {name: hashlib.sha256() for name in publication.arrays}
    for array, rows in content:
        left[array] -= len(rows)
        if left[array] < 0:
            raise _refusal(source, publication, f"{array} has more images than there should be")
        digests[array].update(np.ascontiguousarray(rows).data)
        yield array, rows
    for array, digest in digests.items():
        if digest.hexdigest() != publication.arrays[array]:
            reason = f"{array} differs from the published data by its SHA-256"
            raise _refusal(source, publication, reason)


def _decoded(source: Path, form: Form, members: Members) -> Blocks:
    """Return the members' (name, rows), and let go of each member once it is decoded."""
    for part, names in (("train", form.train), ("valid", form.valid)):
        for name in names:
            try:
                images, labels = form.decode(members.pop(name))
            except ValueError as error:
                message = f"{source}: {name}: {error}; name another archive or folder by --source"
                raise ValueError(message) from error
            yield f"x_{part}", images
            yield f"y_{part}", labels


def _of_others(source: Path, publication: Publication, progress: Progress) -> Blocks:
    """Return the (name, rows) of an HDF5 file; the digests will tell what it is."""
    try:
        yield from foreign.arrays(source, progress)
    except hdf5.DamagedError as error:
        raise _refusal(source, publication, str(error)) from error


def _refusal(source: Path, publication: Publication, reason: str) -> ValueError:
    """The error that says why the source is not the published data, and what to do."""
    return ValueError(
        f"{source}: {reason}; this is not {publication.title} as published, or it is damaged. "
        "Name another archive, folder or HDF5 file by --source; 'cifar prepare' without one "
        f"downloads {publication.url}"
    )


def _obtained(
    publication: Publication,
    cache: Callable[[], Path],
    progress: Progress,
) -> tuple[Path, Form, Members]:
    """Return the first good source on this machine with its form and members, or download one."""
    folder = cache()
    for place in places(publication, folder):
        if not place.exists():
            continue
        try:
            form, members = _loaded(place, publication, progress)
        except (ValueError, OSError) as error:
            warnings.warn(f"passed over: {error}", stacklevel=2)
        else:
            return place, form, members
    url, sha256 = publication.url, publication.sha256
    downloaded = download.archive(url, sha256, folder, progress=progress)
    form, members = _loaded(downloaded, publication, progress)
    return downloaded, form, members


def places(publication: Publication, cache: Path) -> list[Path]:
    """Return where the data may already be: our own cache, then where others keep theirs.

    Keras: `$KERAS_HOME/datasets` or `~/.keras/datasets`, under the names of Keras 2 and 3.
    torchvision has no fixed place; its examples and tutorials say `./data`.
    """
    name = PurePosixPath(publication.url).name
    found = [cache / name]
    home = None
    if os.path.expanduser("~") != "~":  # noqa: PTH111 some users have none
        home = Path("~").expanduser()

    keras = None
    if os.environ.get("KERAS_HOME"):
        keras = Path(os.environ["KERAS_HOME"])
    elif home:
        keras = home / ".keras"
    folder = "cifar-10-batches-py"
    if keras:
        names = (f"{folder}-target", f"{folder}-target_archive", folder, f"{folder}.tar.gz")
        found += [keras / "datasets" / each for each in names]

    roots = [Path("data")]
    if home:
        roots.append(home / "data")
    if os.environ.get("TORCH_HOME"):
        roots.append(Path(os.environ["TORCH_HOME"]) / "datasets")
    for root in roots:
        found += [root / folder, root / "cifar-10-batches-bin", root / name]
    return found


def _loaded(source: Path, publication: Publication, progress: Progress) -> tuple[Form, Members]:
    """Return the source's form and its members, all there and with the published digests."""
    members = _members(source, publication, progress)
    form = max(publication.forms, key=lambda form: len(form.members.keys() & members.keys()))
    if not form.members.keys() & members.keys():
        raise _refusal(source, publication, "it holds none of the files expected")
    missing = sorted(form.members.keys() - members.keys())
    if missing:
        raise _refusal(source, publication, f"{', '.join(missing)} missing ({form.title})")
    for name, digest in form.members.items():
        if digest is not None and hashlib.sha256(members[name]).hexdigest() != digest:
            raise _refusal(source, publication, f"{name} has the wrong SHA-256")
    return form, members


def _members(source: Path, publication: Publication, progress: Progress) -> Members:
    """Return the members of all forms that the source holds, by name."""
    wanted: set[str] = set()
    for form in publication.forms:
        wanted |= form.members.keys()
    if source.is_dir():
        return _folder_members(source, wanted, progress)
    try:
        raw = files.opened(source)
    except FileNotFoundError as error:
        reason = "there is no such archive or folder"
        message = f"{source}: {reason}; name one that exists by --source"
        raise FileNotFoundError(message) from error
    except ValueError as error:
        reason = "this is a pipe or device, neither an archive nor a folder"
        message = f"{source}: {reason}; name another one by --source"
        raise ValueError(message) from error
    what = f"read {source.name}"
    with raw:
        try:
            return archive.members(raw, wanted, lambda done, size: progress(what, done, size))
        except ValueError as error:
            raise _refusal(source, publication, str(error)) from error


def _folder_members(source: Path, wanted: set[str], progress: Progress) -> Members:
    """Return the wanted files of the folder, or else of the first folder in it that has any."""
    with os.scandir(source) as entries:
        first = itertools.islice(entries, _FOLDERS)
        inner = sorted(entry.name for entry in first if entry.is_dir())
    for folder in (source, *(source / name for name in inner)):
        names = sorted(name for name in wanted if (folder / name).is_file())
        members = {}
        for done, name in enumerate(names):
            progress(f"read {name}", done, len(names))
            with files.opened(folder / name) as file:
                members[name] = file.read(archive.MEMBER_LIMIT)
        if members:
            progress(f"read {folder}", len(names), len(names))
            return members
    return {}
