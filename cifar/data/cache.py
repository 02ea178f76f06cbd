"""The folder for what can be made again, and the note in it that says which files were verified."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
from typing import TYPE_CHECKING, Any, Final

from cifar.record import files

if TYPE_CHECKING:
    from pathlib import Path

_KEPT: Final = 100  # files that the note remembers


folder = files.cache_folder


def stamp(path: Path) -> list[int]:
    """Return what changes when a file does: its size, times in nanoseconds, and number.

    The time of the last change of any kind can be set by nobody, so one who puts the other back is
    noticed.
    """
    found = path.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def knows(path: Path, digest: str, when: list[int]) -> bool:
    """Return whether the file was verified to have that digest when its stamp was `when`."""
    return _note().get(_key(path)) == [digest, *when]


def remember(path: Path, digest: str, when: list[int]) -> None:
    """Note that the file was verified; where that cannot be written, it will be once more."""
    with contextlib.suppress(OSError):
        folder().mkdir(parents=True, exist_ok=True)
        note = {key: known for key, known in _note().items() if key != _key(path)}
        note = dict(list(note.items())[1 - _KEPT :]) | {_key(path): [digest, *when]}
        files.replace(folder() / "verified.json", json.dumps(note, indent=1) + "\n")


def _key(path: Path) -> str:
    """What stands for the file in the note; names of files need not be text that JSON can hold."""
    return hashlib.sha256(os.fsencode(path.resolve())).hexdigest()


def _note() -> dict[str, Any]:
    """The note; empty where there is none, or one that is not this user's own."""
    try:
        path = folder() / "verified.json"
        found = path.lstat()
        if found.st_uid != os.getuid() or found.st_mode & stat.S_IWOTH:
            return {}
        note = files.read_json(path)
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}
