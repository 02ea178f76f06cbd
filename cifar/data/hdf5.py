"""HDF5 files that do no harm when opened: they lead to no other file, and hold what they say."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import zlib
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import h5py

from cifar.record import files
from cifar.record.text import plain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SIGNATURE: Final = b"\x89HDF\r\n\x1a\n"
_FILTERS: Final = {
    h5py.h5z.FILTER_DEFLATE,
    h5py.h5z.FILTER_SHUFFLE,
    h5py.h5z.FILTER_FLETCHER32,
}
"""How data may be packed; all other ways are plug-ins."""
_LARGEST_CHUNK: Final = 256 << 20  # bytes, for HDF5 reads a chunk as a whole
_LARGEST_FACT: Final = 4_096  # bytes of an attribute
_UNSUSPECTED: Final = 1 << 20  # bytes of a compressed chunk; gzip makes up to 1,032 times as many
_SHOWN: Final = 200  # letters of a name or of what HDF5 says


class DamagedError(ValueError):
    """What is wrong with an HDF5 file, in words that follow its name."""


def is_hdf5(path: Path) -> bool:
    """Return whether the path is a regular file that begins as HDF5 files do."""
    try:
        with files.opened(path) as file:
            return file.read(len(_SIGNATURE)) == _SIGNATURE
    except (OSError, ValueError):
        return False


@contextlib.contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """Open the file for reading.

    HDF5 reads through a file that Python has opened.  So it takes no lock, which some file systems
    do not have and which `HDF5_USE_FILE_LOCKING` could demand: our files are replaced and never
    changed in place.  And whatever the file is called, HDF5 needs no name of it. Raises OSError
    with the system's own reason, and DamagedError where it is no HDF5 file, or a damaged one.
    """
    with _regular(path) as raw:
        if raw.read(len(_SIGNATURE)) != _SIGNATURE:
            message = "is no HDF5 file"
            raise DamagedError(message)
        with explaining(path, "its head is damaged"):
            file = h5py.File(raw, "r")
        with file:
            yield file


def _regular(path: Path) -> BinaryIO:
    """The regular file, open for reading."""
    shown = str(path)[:_SHOWN]
    try:
        return files.opened(path)
    except FileNotFoundError as error:
        message = f"{shown}: there is no such file; make it with 'cifar prepare'"
        raise FileNotFoundError(message) from error
    except PermissionError as error:
        remedy = "name another file, or change its permissions"
        message = f"{shown} may not be read by this user; {remedy}"
        raise PermissionError(error.errno, message) from error
    except OSError as error:
        reason = os.strerror(error.errno or errno.EIO)
        message = f"{shown} cannot be opened ({reason}); name another file"
        raise OSError(error.errno, message) from error
    except ValueError as error:
        message = "this is a folder, pipe or device, not an HDF5 file"
        raise DamagedError(message) from error


@contextlib.contextmanager
def explaining(path: Path, what: str) -> Iterator[None]:
    """Turn an error of reading into the system's reason, if it has one, else into DamagedError.

    `what` says in words what is wrong then. HDF5 and h5py raise all of these for a file that is
    damaged or was made to do damage.
    """
    try:
        yield
    except DamagedError:
        raise
    except (
        ArithmeticError,
        LookupError,
        MemoryError,
        OSError,
        RuntimeError,
        SystemError,
        TypeError,
        ValueError,
    ) as error:
        cause = error.__cause__ or error.__context__
        number = getattr(error, "errno", None) or getattr(cause, "errno", None)
        if number:
            message = f"{path} cannot be read ({os.strerror(number)})"
            raise OSError(number, message) from error
        cut = "truncated" in str(error)
        message = "is cut short" if cut else f"{what} ({plain(str(error))[:_SHOWN]})"
        raise DamagedError(message) from error


def attribute(holder: h5py.File | h5py.Dataset, name: str) -> Any:
    """Return the attribute, a text of fixed length or one number; None where there is none.

    Attributes of other kinds are not even read: they may be of any size.
    """
    if name not in holder.attrs:
        return None
    found = h5py.h5a.open(holder.id, name.encode())
    kind = found.get_type()
    texts = isinstance(kind, h5py.h5t.TypeStringID) and not kind.is_variable_str()
    numbers = isinstance(kind, h5py.h5t.TypeIntegerID | h5py.h5t.TypeFloatID | h5py.h5t.TypeEnumID)
    if not (texts or numbers) or found.shape != () or found.get_storage_size() > _LARGEST_FACT:
        return None
    fact = holder.attrs[name]
    return fact.decode("ascii", "replace") if isinstance(fact, bytes) else fact


def array(file: h5py.File, name: str) -> h5py.Dataset | None:
    """Return the dataset, None where there is none of that name.

    Raises DamagedError where it lies outside of the file, needs more than gzip to be read, holds
    no numbers, or is larger than what was written of it.
    """
    link, key = file.id.links, name.encode()
    if not link.exists(key):
        return None
    if link.get_info(key).type != h5py.h5l.TYPE_HARD:
        message = f"{name} is a link to another place, which is not followed"
        raise DamagedError(message)
    if h5py.h5o.get_info(file.id, key).type != h5py.h5o.TYPE_DATASET:
        return None
    dataset = h5py.Dataset(h5py.h5d.open(file.id, key))
    kept = dataset.id.get_create_plist()
    if kept.get_external_count() or kept.get_layout() == h5py.h5d.VIRTUAL:
        message = f"{name} lies in another file, which is not followed"
        raise DamagedError(message)
    filters = [kept.get_filter(place)[0] for place in range(kept.get_nfilters())]
    if set(filters) - _FILTERS or len(set(filters)) < len(filters):
        reason = "HDF5 would need a plug-in, and none is loaded"
        message = f"{name} is not compressed by gzip alone: {reason}"
        raise DamagedError(message)
    if dataset.dtype.kind not in "uifb":
        message = f"{name} is of type {dataset.dtype}: those are no numbers"
        raise DamagedError(message)
    _check_storage(file, name, dataset)
    return dataset


def _check_storage(file: h5py.File, name: str, dataset: h5py.Dataset) -> None:
    """Raise DamagedError where less is in the file than the shape says.

    HDF5 would make up the rest, however much.
    """
    size = file.id.get_filesize()
    claimed = math.prod(dataset.shape or ()) * dataset.dtype.itemsize
    if dataset.chunks:
        if math.prod(dataset.chunks) * dataset.dtype.itemsize > _LARGEST_CHUNK:
            chunks = f"chunks of {dataset.chunks}"
            message = f"{name} has {chunks}, which are too large to be read safely"
            raise DamagedError(message)
        whole = _has_every_chunk(name, dataset, size)
    else:
        whole = dataset.id.get_storage_size() == claimed <= size
    if not whole and claimed:
        claim = f"says that it has the shape {dataset.shape}"
        message = f"{name} {claim}, and not all of that was ever written"
        raise DamagedError(message)


def _has_every_chunk(name: str, dataset: h5py.Dataset, size: int) -> bool:
    """Whether all chunks are there.

    DamagedError for one that does not lie in the file, or inflates beyond measure.
    """
    counts = zip(dataset.shape, dataset.chunks, strict=True)
    expected: int = math.prod(-(-count // step) for count, step in counts)
    if expected > size:
        return False
    chunks: list[Any] = []
    dataset.id.chunk_iter(chunks.append)
    largest = math.prod(dataset.chunks) * dataset.dtype.itemsize
    for chunk in chunks:
        if chunk.size > 1.01 * largest + _LARGEST_FACT or chunk.byte_offset + chunk.size > size:
            message = f"{name} has a chunk that does not lie within the file"
            raise DamagedError(message)
        is_suspect = dataset.compression and chunk.size > _UNSUSPECTED
        if is_suspect and _inflates(dataset, chunk, largest + _LARGEST_FACT):
            fault = f"becomes larger than the {largest:,} bytes it should have"
            message = f"{name} has a compressed chunk that {fault}"
            raise DamagedError(message)
    return len(chunks) == expected


def _inflates(dataset: h5py.Dataset, chunk: Any, limit: int) -> bool:
    """Whether the compressed chunk becomes larger than the limit.

    HDF5 would let it take all memory.
    """
    packed: bytes = dataset.id.read_direct_chunk(chunk.chunk_offset)[1]
    try:
        unpacked = zlib.decompressobj().decompress(packed, limit + 1)
    except zlib.error:
        return False  # no gzip: so HDF5 will say when it is read
    return len(unpacked) > limit


def blocks(path: Path, dataset: h5py.Dataset, rows: int) -> Iterator[tuple[int, Any]]:
    """Return (place, rows) of the dataset in order, about `rows` at a time.

    They are whole chunks where it has any.
    """
    step = dataset.chunks[0] if dataset.chunks else rows
    step *= max(1, rows // step)
    for start in range(0, len(dataset), step):
        with explaining(path, f"{dataset.name.lstrip('/')} cannot be read"):
            block = dataset[start : start + step]
        yield start, block
