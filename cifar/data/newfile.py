"""New HDF5 files, which get their names only when they are complete and on the disk."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import glob
import os
import secrets
import socket
import time
from typing import TYPE_CHECKING, BinaryIO, Final

import h5py

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_DAY: Final = 86_400  # seconds
_FORMATS: Final = {
    "1.0": (h5py.h5f.LIBVER_EARLIEST, h5py.h5f.LIBVER_LATEST),
    "1.8": (h5py.h5f.LIBVER_V18, h5py.h5f.LIBVER_V18),
}


@contextlib.contextmanager
def explaining(target: Path) -> Iterator[None]:
    """Turn an error of writing into one that names the file and the remedy.

    RuntimeError is HDF5's own; where several writes of it fail, Python 3.13 wraps the second
    OSError in a SystemError.
    """
    try:
        yield
    except (OSError, RuntimeError, SystemError) as error:
        number = getattr(error, "errno", None) or getattr(error.__cause__, "errno", None)
        number = number or errno.EIO
        remedy = "name another file by --out, or make the folder writable"
        if number in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            remedy = "a data set needs 190 MB here: make room, or name a file elsewhere by --out"
        reason = os.strerror(number)
        msg = f"{target} could not be written ({reason}), and nothing was left behind; {remedy}"
        raise OSError(number, msg) from error


@contextlib.contextmanager
def replacing(target: Path, *, format_of: str = "1.8") -> Iterator[h5py.File]:
    """Give an HDF5 file to fill, which gets its final name when it is complete and on the disk.

    `format_of`: the HDF5 version whose format is written, "1.8" (checksums over all it says about
    the data; a damaged file is refused where "1.0" lets HDF5 read beyond its memory) or "1.0"
    (what h5py writes by default). HDF5 writes through a file that Python has opened: a full disk
    is then an OSError with its number, and the lock on that file tells other processes that
    somebody still writes it.
    """
    with explaining(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep(target)
        raw, part = _claim(target)
    try:
        with explaining(target):
            file = _created(raw, _FORMATS[format_of])
        try:
            yield file
        finally:
            with explaining(target):
                file.close()
        with explaining(target):
            raw.flush()
            os.fsync(raw.fileno())
            part.replace(target)
    finally:
        with contextlib.suppress(OSError):  # what it could not write has been reported above
            raw.close()
        part.unlink(missing_ok=True)  # has its final name by now, unless something went wrong
    _sync_folder(target.parent)


def _created(raw: BinaryIO, versions: tuple[int, int]) -> h5py.File:
    """Return a new HDF5 file in the opened one, without times, which would make files differ."""
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_fileobj_driver(h5py.h5fd.fileobj_driver, raw)
    access.set_libver_bounds(*versions)
    creation = h5py.h5p.create(h5py.h5p.FILE_CREATE)
    creation.set_obj_track_times(False)
    name = os.fsencode(raw.name)
    return h5py.File(h5py.h5f.create(name, h5py.h5f.ACC_TRUNC, fapl=access, fcpl=creation))


def _claim(target: Path) -> tuple[BinaryIO, Path]:
    """Return a new file beside the target and its path, locked as long as this process has it open.

    Its name holds the host: see `sweep`.
    """
    while True:
        name = f".{target.name}.{socket.gethostname()}.{os.getpid()}.{secrets.token_hex(4)}.part"
        part = target.with_name(name)
        raw = part.open("x+b")
        with contextlib.suppress(OSError):  # no locks here: nobody removes it for a day either
            fcntl.flock(raw, fcntl.LOCK_EX)
        if part.exists():  # else somebody took it for a leftover before it was locked
            return raw, part
        raw.close()


def sweep(target: Path) -> None:
    """Remove what processes that were killed have left beside the target, of it and of its layouts.

    The lock decides, which the system frees with the process: numbers of processes are used again,
    and mean nothing across containers.  Some network file systems keep locks within a host, and
    some keep none; there a file must also be a day old, which nobody needs to write one.
    """
    for part in target.parent.glob(f".{glob.escape(target.stem)}.*.part"):
        foreign = f".{socket.gethostname()}." not in part.name
        with contextlib.suppress(OSError), part.open("rb") as file:
            old = time.time() - part.stat().st_mtime > _DAY
            if foreign and not old:
                continue
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            except OSError:  # no locks on this file system
                if not old:
                    continue
            part.unlink()


def _sync_folder(folder: Path) -> None:
    """Put the new name on the disk.

    Some network file systems cannot, and the file is complete either way.
    """
    number = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(number)
    finally:
        os.close(number)
