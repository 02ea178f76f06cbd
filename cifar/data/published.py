"""From CIFAR-10 (archive or folder as published, HDF5 file of others, here or downloaded) to checked arrays."""

from __future__ import annotations

import bz2
import hashlib
import io
import itertools
import lzma
import os
import pickle
import tarfile
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np

from cifar.data import download, foreign, hdf5
from cifar.record import files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    Progress = Callable[[str, int, int], None]
    Rows = tuple[NDArray[np.uint8], NDArray[np.uint8]]  # images (n, 32, 32, 3) and labels (n, 1)

MEMBER_LIMIT: Final = 32 << 20  # bytes; the largest official member has 31,035,999
_CONTENT: Final = 512 << 20  # bytes of an archive, packed or not; the official ones have less than 200 MB
_ENTRIES: Final = 1_000  # members of an archive and entries of a folder that are looked at; the official have 8
_PARTS: Final = 10_000  # of a packed archive; most are packed as one
_BLOCK: Final = 64 << 10  # bytes read at a time, and of the largest header in an archive
RECORD: Final = 1 + 3 * 32 * 32  # bytes of one image in the binary form: its label, then three planes


@dataclass(frozen=True)
class Form:
    """One of the forms in which the data set is published.

    The mappings give the SHA-256 of each member by its name, or None where none is published: such members
    must not need unpickling, and only the digests of the arrays vouch for them.
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
    """A published data set: where it is, how many images it has, and the SHA-256 of archive and arrays."""

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
        msg = f"it names {module}.{name}, which has no place in a batch of images"
        raise pickle.UnpicklingError(msg)


def _from_pickle(data: bytes) -> Rows:
    try:
        batch = _ArraysOnly(io.BytesIO(data), encoding="bytes").load()
        images, labels = batch[b"data"], np.array(batch[b"labels"], dtype=np.uint8).reshape(-1, 1)
    except (pickle.UnpicklingError, EOFError, KeyError, TypeError, OverflowError) as error:
        msg = f"it is no batch of images ({error})"
        raise ValueError(msg) from error
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.shape != (len(labels), 3072):
        msg = "its images are not uint8 rows of 3072, one for each label"
        raise ValueError(msg)
    return _to_pixels(images), labels


def _from_records(data: bytes) -> Rows:
    if not data or len(data) % RECORD:
        msg = f"its {len(data):,} bytes are no whole number of records of {RECORD} bytes"
        raise ValueError(msg)
    records = np.frombuffer(data, dtype=np.uint8).reshape(-1, RECORD)
    return _to_pixels(records[:, 1:]), records[:, :1]


def _to_pixels(planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (n, 32, 32, 3) from rows of three planes, one for each colour."""
    return np.ascontiguousarray(planes.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))


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
            valid={"test_batch": "f53d8d457504f7cff4ea9e021afcf0e0ad8e24a91f3fc42091b8adef61157831"},
            beside={"batches.meta": "f962466ef690d46b226450fb9aadc74ba4bc64a76aa526b5827fe4bc5c7125cb"},
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
    source: Path | None, publication: Publication, cache: Callable[[], Path], progress: Progress
) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Return the published data as (name, rows), the rows of each array in order.

    The names are x_train, y_train, x_valid and y_valid; images are (n, 32, 32, 3), labels (n, 1), all uint8.
    `source` is an archive, a folder, or an HDF5 file that holds these arrays in some form; None: one that is found on
    this machine, else a download to the folder `cache()`.
    Nothing is unpickled before the SHA-256 of all members is right, and the arrays are checked again at the end.
    Raises FileNotFoundError where there is no source, ValueError (with the source and the remedy) where it is
    not the published data, and what `download.archive` raises.
    """
    if source is None:
        source, form, members = _obtain(publication, cache, progress)
        content = _decoded(source, form, members)
    elif hdf5.is_hdf5(source):
        content = _of_others(source, publication, progress)
    else:
        content = _decoded(source, *_load(source, publication, progress))
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
            raise _refusal(source, publication, f"{array} differs from the published data by its SHA-256")


def _decoded(source: Path, form: Form, members: dict[str, bytes]) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Return the members' (name, rows), and let go of each member once it is decoded."""
    for part, names in (("train", form.train), ("valid", form.valid)):
        for name in names:
            images, labels = _decode(source, name, form, members.pop(name))
            yield f"x_{part}", images
            yield f"y_{part}", labels


def _of_others(source: Path, publication: Publication, progress: Progress) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Return the (name, rows) of an HDF5 file; the digests will tell what it is."""
    try:
        yield from foreign.arrays(source, progress)
    except hdf5.DamagedError as error:
        raise _refusal(source, publication, str(error)) from error


def _refusal(source: Path, publication: Publication, why: str) -> ValueError:
    return ValueError(
        f"{source}: {why}; this is not {publication.title} as published, or it is damaged. Name another archive, "
        f"folder or HDF5 file by --source; 'cifar prepare' without one downloads {publication.url}"
    )


def _obtain(
    publication: Publication, cache: Callable[[], Path], progress: Progress
) -> tuple[Path, Form, dict[str, bytes]]:
    """Return the first good source on this machine with its form and members, or download one."""
    folder = cache()
    for place in places(publication, folder):
        if place.exists():
            try:
                return place, *_load(place, publication, progress)
            except (ValueError, OSError) as error:
                warnings.warn(f"passed over: {error}", stacklevel=2)
    archive = download.archive(publication.url, publication.sha256, folder, progress=progress)
    return archive, *_load(archive, publication, progress)


def places(publication: Publication, cache: Path) -> list[Path]:
    """Return where the data may already be: our own cache, then where Keras and torchvision keep theirs.

    Keras: `$KERAS_HOME/datasets` or `~/.keras/datasets`, under the names of Keras 2 and 3.
    torchvision has no fixed place; its examples and tutorials say `./data`.
    """
    archive = PurePosixPath(publication.url).name
    folder = "cifar-10-batches-py"
    home = Path("~").expanduser() if os.path.expanduser("~") != "~" else None  # noqa: PTH111 some users have none
    keras = Path(os.environ["KERAS_HOME"]) if os.environ.get("KERAS_HOME") else home and home / ".keras"
    roots = [Path("data"), *([home / "data"] if home else [])]
    if os.environ.get("TORCH_HOME"):
        roots.append(Path(os.environ["TORCH_HOME"]) / "datasets")
    names = (f"{folder}-target", f"{folder}-target_archive", folder, f"{folder}.tar.gz")
    in_keras = [keras / "datasets" / name for name in names] if keras else []
    return [
        cache / archive,
        *in_keras,
        *(root / name for root in roots for name in (folder, "cifar-10-batches-bin", archive)),
    ]


def _load(source: Path, publication: Publication, progress: Progress) -> tuple[Form, dict[str, bytes]]:
    """Return the form that the source has and its members, all there and with the published digests."""
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


def _decode(source: Path, name: str, form: Form, data: bytes) -> Rows:
    try:
        return form.decode(data)
    except ValueError as error:
        msg = f"{source}: {name}: {error}; name another archive or folder by --source"
        raise ValueError(msg) from error


def _members(source: Path, publication: Publication, progress: Progress) -> dict[str, bytes]:
    """Return the members of all forms that the source holds, by name."""
    wanted = {name for form in publication.forms for name in form.members}
    if source.is_dir():
        return _folder_members(source, wanted, progress)
    try:
        raw = files.opened(source)
    except FileNotFoundError as error:
        msg = f"{source}: there is no such archive or folder; name one that exists by --source"
        raise FileNotFoundError(msg) from error
    except ValueError as error:
        msg = f"{source}: this is a pipe or device, neither an archive nor a folder; name another one by --source"
        raise ValueError(msg) from error
    try:
        with raw:
            return _archive_members(source, raw, wanted, progress)
    except RecursionError as error:
        raise _refusal(source, publication, "it cannot be read as a tar archive (headers without end)") from error
    except (tarfile.TarError, lzma.LZMAError, EOFError, zlib.error, ValueError, MemoryError) as error:
        raise _refusal(source, publication, f"it cannot be read as a tar archive ({error})") from error
    except OSError as error:
        if error.errno:
            raise
        raise _refusal(source, publication, f"it cannot be read as a tar archive ({error})") from error


def _folder_members(source: Path, wanted: set[str], progress: Progress) -> dict[str, bytes]:
    """Return the wanted files of the folder, or else of the first folder in it that has any."""
    with os.scandir(source) as entries:
        inner = sorted(entry.name for entry in itertools.islice(entries, _ENTRIES) if entry.is_dir())
    for folder in (source, *(source / name for name in inner)):
        names = sorted(name for name in wanted if (folder / name).is_file())
        members = {}
        for done, name in enumerate(names):
            progress(f"read {name}", done, len(names))
            with files.opened(folder / name) as file:
                members[name] = file.read(MEMBER_LIMIT)
        if members:
            progress(f"read {folder}", len(names), len(names))
            return members
    return {}


def _archive_members(source: Path, raw: BinaryIO, wanted: set[str], progress: Progress) -> dict[str, bytes]:
    """Return the wanted regular files of the archive, read into memory: no path in it is ever used as one."""
    members: dict[str, bytes] = {}
    parents = set()
    size = os.fstat(raw.fileno()).st_size
    if size > _CONTENT:
        msg = f"it has {size:,} bytes, far more than the official archive"
        raise ValueError(msg)
    with tarfile.TarFile(fileobj=_Bounded(_unpacked(raw))) as archive:  # type: ignore[arg-type]
        for place, member in enumerate(archive):
            if place >= _ENTRIES:
                msg = f"it has more than {_ENTRIES:,} members"
                raise ValueError(msg)
            path = PurePosixPath(member.name)
            if path.name in wanted and member.type in {tarfile.REGTYPE, tarfile.AREGTYPE}:
                parents.add(path.parent)
                _check_member(path.name, member, len(parents))
                members[path.name] = _content(archive, member)
            progress(f"read {source.name}", min(raw.tell(), size), size)
    return members


def _check_member(name: str, member: tarfile.TarInfo, folders: int) -> None:
    """Raise ValueError for a member that no official archive has, before it is read."""
    if folders > 1:
        msg = "the files expected lie in several folders"
        raise ValueError(msg)
    if member.size > MEMBER_LIMIT:
        msg = f"{name} has {member.size:,} bytes, far more than an official file"
        raise ValueError(msg)
    if member.sparse is not None:
        msg = f"{name} has holes, as no official file has"
        raise ValueError(msg)


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    """What the member holds."""
    file = archive.extractfile(member)
    blocks = iter(lambda: file.read(_BLOCK), b"") if file else ()
    return b"".join(blocks)


def _unpacked(raw: BinaryIO) -> Callable[[int], bytes]:
    """What gives the next bytes of the archive, decompressed as its first bytes say."""
    start = raw.read(6)
    raw.seek(0)
    if start.startswith(b"\x1f\x8b"):
        return _Unpacked(raw, lambda: zlib.decompressobj(wbits=31)).read
    if start.startswith(b"BZh"):
        return _Unpacked(raw, bz2.BZ2Decompressor).read
    if start.startswith((b"\xfd7zXZ\0", b"\x5d\0\0")):
        return _Unpacked(raw, lambda: lzma.LZMADecompressor(memlimit=_CONTENT)).read
    return raw.read


class _Unpacked:
    """The content of a file that is packed in one part or some; Python's own readers take any number of empty ones."""

    def __init__(self, raw: BinaryIO, part: Callable[[], Any]) -> None:
        self._raw, self._make = raw, part
        self._part, self._parts = part(), 1
        self._packed = b""

    def read(self, count: int) -> bytes:
        """At most as many bytes; none at the end."""
        data = b""
        while not data:
            if self._part.eof:
                self._packed = (self._part.unused_data or self._raw.read(_BLOCK)).lstrip(b"\0")
                if not self._packed:
                    return b""
                self._part, self._parts = self._make(), self._parts + 1
            elif not self._packed and getattr(self._part, "needs_input", True):
                self._packed = self._raw.read(_BLOCK)
                if not self._packed:
                    msg = "it ends too early"
                    raise EOFError(msg)
            if self._parts > _PARTS:
                msg = f"it is packed in more than {_PARTS:,} parts"
                raise ValueError(msg)
            data = self._part.decompress(self._packed, count)
            self._packed = getattr(self._part, "unconsumed_tail", b"")
        return data


class _Bounded:
    """A stream for `tarfile` that only goes forwards and not for ever.

    `tarfile` itself reads a header of any size at once, skips over members of any size, and follows sizes below 0
    back to where it was.
    """

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._more, self._place = read, 0
        self._last = self._again = b""  # the byte before this place, and the byte to be read once more

    def tell(self) -> int:
        """Where in the stream it is."""
        return self._place

    def read(self, count: int) -> bytes:
        """As many bytes, or those that are left."""
        if not 0 <= count <= _BLOCK:
            msg = f"a header of {count:,} bytes"
            raise ValueError(msg)
        data, self._again = self._again[:count], self._again[count:]
        while len(data) < count and (more := self._more(count - len(data))):
            data += more
        self._place += len(data)
        self._last = data[-1:] or self._last
        return data

    def seek(self, place: int) -> None:
        """Go forwards, or one byte back: `tarfile` reads the last one of a member to see whether it is there."""
        if place == self._place - 1 and not self._again:
            self._place, self._again = place, self._last
        elif not self._place <= place <= _CONTENT:
            msg = f"a member that ends at byte {place:,}"
            raise ValueError(msg)
        while self._place < place and self.read(min(place - self._place, _BLOCK)):
            pass
