"""Files of a tar archive that may have been made to do harm, read into memory within limits.

Nothing is unpacked onto the disk, and no path in the archive is ever used as one. `tarfile` and
Python's decompressors trust what an archive says of its own sizes; what stands here does not.
"""

from __future__ import annotations

import bz2
import lzma
import os
import tarfile
import zlib
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    Progress = Callable[[int, int], None]

MEMBER_LIMIT: Final = 32 << 20
"""Bytes of a member; the largest official one has 31,035,999."""
_CONTENT: Final = 512 << 20
"""Bytes of an archive, packed or not; the official ones have less than 200 MB."""
_ENTRIES: Final = 1_000
"""Members of an archive that are looked at; the official ones have 8."""
_PARTS: Final = 10_000
"""Parts of a packed archive; most are packed as one."""
_BLOCK: Final = 64 << 10
"""Bytes that are read at a time, and those of the largest header in an archive."""


def members(raw: BinaryIO, wanted: Collection[str], progress: Progress) -> dict[str, bytes]:
    """Return the regular files of the archive that have a wanted name, in whatever folder, by name.

    `raw` is the archive's file, open at its beginning: tar, as it is or packed by gzip, bzip2, xz
    or lzma. `progress` receives the bytes of it that were read, and how many it has.
    Raises ValueError, in words that follow the archive's name, for what cannot be read as an
    archive and for what no official one has; OSError where the disk cannot be read.
    """
    try:
        return _read(raw, wanted, progress)
    except RecursionError as error:
        message = "it cannot be read as a tar archive (headers without end)"
        raise ValueError(message) from error
    except (
        EOFError,
        MemoryError,
        ValueError,
        lzma.LZMAError,
        tarfile.TarError,
        zlib.error,
    ) as error:
        message = f"it cannot be read as a tar archive ({error})"
        raise ValueError(message) from error
    except OSError as error:
        if error.errno:
            raise
        message = f"it cannot be read as a tar archive ({error})"
        raise ValueError(message) from error


def _read(raw: BinaryIO, wanted: Collection[str], progress: Progress) -> dict[str, bytes]:
    """Read the wanted members one after the other."""
    found: dict[str, bytes] = {}
    folders = set()
    size = os.fstat(raw.fileno()).st_size
    if size > _CONTENT:
        message = f"it has {size:,} bytes, far more than the official archive"
        raise ValueError(message)
    stream = _Bounded(_unpacked(raw))
    with tarfile.TarFile(fileobj=stream) as archive:  # type: ignore[arg-type]
        for place, member in enumerate(archive):
            if place >= _ENTRIES:
                message = f"it has more than {_ENTRIES:,} members"
                raise ValueError(message)
            path = PurePosixPath(member.name)
            is_regular = member.type in {tarfile.REGTYPE, tarfile.AREGTYPE}
            if path.name in wanted and is_regular:
                folders.add(path.parent)
                _check_member(path.name, member, len(folders))
                found[path.name] = _content(archive, member)
            progress(min(raw.tell(), size), size)
    return found


def _check_member(name: str, member: tarfile.TarInfo, folders: int) -> None:
    """Raise ValueError for a member that no official archive has, before it is read."""
    if folders > 1:
        message = "the files expected lie in several folders"
        raise ValueError(message)
    if member.size > MEMBER_LIMIT:
        message = f"{name} has {member.size:,} bytes, far more than an official file"
        raise ValueError(message)
    if member.sparse is not None:
        message = f"{name} has holes, as no official file has"
        raise ValueError(message)


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    """What the member holds."""
    file = archive.extractfile(member)
    if file is None:
        return b""
    content = []
    while block := file.read(_BLOCK):
        content.append(block)
    return b"".join(content)


def _unpacked(raw: BinaryIO) -> Callable[[int], bytes]:
    """A function that gives the next bytes of the archive, unpacked as its first bytes say."""
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
    """The unpacked content of a file that was packed in one part or several.

    Python's own readers take any number of empty parts, and so can be kept busy for ever.
    """

    def __init__(self, raw: BinaryIO, decompressor: Callable[[], Any]) -> None:
        self._raw = raw
        self._new_decompressor = decompressor
        self._part = decompressor()
        self._parts = 1
        self._packed = b""

    def read(self, count: int) -> bytes:
        """Return at most `count` bytes; none at the end."""
        data = b""
        while not data:
            if self._part.eof:
                self._packed = (self._part.unused_data or self._raw.read(_BLOCK)).lstrip(b"\0")
                if not self._packed:
                    return b""
                self._part = self._new_decompressor()
                self._parts += 1
            elif not self._packed and getattr(self._part, "needs_input", True):
                self._packed = self._raw.read(_BLOCK)
                if not self._packed:
                    message = "it ends too early"
                    raise EOFError(message)
            if self._parts > _PARTS:
                message = f"it is packed in more than {_PARTS:,} parts"
                raise ValueError(message)
            data = self._part.decompress(self._packed, count)
            self._packed = getattr(self._part, "unconsumed_tail", b"")
        return data


class _Bounded:
    """A stream for `tarfile` that only goes forwards, and not for ever.

    `tarfile` itself reads a header of any size at once, skips over members of any size, and
    follows sizes below 0 back to where it was.
    """

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._place = 0
        self._last = b""
        """The byte before this place."""
        self._again = b""
        """The byte that is to be read once more."""

    def tell(self) -> int:
        """Return the place in the stream, in bytes."""
        return self._place

    def read(self, count: int) -> bytes:
        """Return `count` bytes, or those that are left."""
        if not 0 <= count <= _BLOCK:
            message = f"a header of {count:,} bytes"
            raise ValueError(message)
        data = self._again[:count]
        self._again = self._again[count:]
        while len(data) < count:
            more = self._read(count - len(data))
            if not more:
                break
            data += more
        self._place += len(data)
        self._last = data[-1:] or self._last
        return data

    def seek(self, place: int) -> None:
        """Go forwards, or one byte back.

        `tarfile` reads the last byte of a member to see whether it is there.
        """
        if place == self._place - 1 and not self._again:
            self._place = place
            self._again = self._last
        elif not self._place <= place <= _CONTENT:
            message = f"a member that ends at byte {place:,}"
            raise ValueError(message)
        while self._place < place:
            if not self.read(min(place - self._place, _BLOCK)):
                break
