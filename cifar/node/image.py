"""The image that this process runs in has a digest, which names its contents."""

from __future__ import annotations

import functools
import hashlib
import os
import stat
import struct
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# The file format of Singularity and Apptainer, little-endian.  Source: apptainer/sif, pkg/sif/sif.go.
_HEADER = struct.Struct("<32s10s3s3s16s8q")
_MAGIC = b"SIF_MAGIC\0"
_DESCRIPTOR = struct.Struct("<i?IIIqqqqqqq128sii376s")
_PARTITION, _PRIMARY_SYSTEM = 0x4004, 2
_BLOCK = 1 << 20
_MOST_DESCRIPTORS = 1 << 16
"""Far more than an image has, which Apptainer makes with 48; a damaged header may name any number."""


def file(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the image's file as Apptainer names it, which is a path on the host; None outside of Apptainer."""
    path = environ.get("APPTAINER_CONTAINER") or environ.get("SINGULARITY_CONTAINER")
    return Path(path) if path else None


def digest(environ: Mapping[str, str] = os.environ) -> str | None:
    """Return `sha256:` and the digest of this process's image, or None where it cannot be known.

    An image cannot hold its own digest.  Whoever starts the container may pass it on as CIFAR_IMAGE_DIGEST.
    Else it is computed from Apptainer's file, where that can be read from inside (its folder is mounted).
    """
    if given := environ.get("CIFAR_IMAGE_DIGEST"):
        return given
    sif = file(environ)
    return sif_digest(sif) if sif and sif.is_file() else None


def passed_on(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variable that tells the digest to processes started from here, so that only one reads the image."""
    try:
        name = digest(environ)
    except (OSError, ValueError):  # each record says why
        return {}
    return {"CIFAR_IMAGE_DIGEST": name} if name else {}


@functools.cache
def sif_digest(sif: Path) -> str:
    """Return `sha256:` and the digest of the system partition of the file `sif`.

    That is what the container runs; signatures and times of the build lie outside of it.  The same as
    `apptainer sif dump N FILE | sha256sum`, N being the partition's number.
    Raises OSError where the file cannot be read, ValueError where it is no SIF or is cut short.
    """
    # A pipe is not waited for.
    with open(os.open(sif, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:  # noqa: PTH123 a descriptor
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            message = f"{sif} is no regular file"
            raise ValueError(message)
        start, size = _system_partition(sif, stream)
        stream.seek(start)
        content = hashlib.sha256()
        for block in _blocks(stream, size):
            content.update(block)
            size -= len(block)
    if size:
        message = f"{sif} became shorter while it was read; try again"
        raise ValueError(message)
    return f"sha256:{content.hexdigest()}"


def _system_partition(sif: Path, stream: BinaryIO) -> tuple[int, int]:
    """Where the system partition starts in the file, and its size in bytes."""
    head = stream.read(_HEADER.size)
    if len(head) < _HEADER.size or (fields := _HEADER.unpack(head))[1] != _MAGIC:
        message = f"{sif} is no image in Apptainer's format (SIF)"
        raise ValueError(message)
    count, table, whole = fields[8], fields[9], os.fstat(stream.fileno()).st_size
    stream.seek(min(max(table, 0), whole))
    for _ in range(min(count, _MOST_DESCRIPTORS)):
        raw = stream.read(_DESCRIPTOR.size)
        if len(raw) < _DESCRIPTOR.size:
            break
        kind, used, _, _, _, start, size, *_, partition_kind, _ = _DESCRIPTOR.unpack(raw)
        if used and (kind, partition_kind) == (_PARTITION, _PRIMARY_SYSTEM):
            if start < _HEADER.size or size < 1:
                message = f"{sif} is damaged: its system partition has {size} bytes from {start} on; copy it anew"
                raise ValueError(message)
            if start + size > whole:
                message = (
                    f"{sif} is cut short: {start + size - whole} bytes of its system partition are missing; "
                    "copy or build it anew"
                )
                raise ValueError(message)
            return start, size
    message = f"{sif} has no system partition; build it anew"
    raise ValueError(message)


def _blocks(stream: BinaryIO, size: int) -> Iterator[bytes]:
    """The next `size` bytes of `stream`, or what there is of them."""
    while size > 0 and (block := stream.read(min(_BLOCK, size))):
        size -= len(block)
        yield block
