"""The kernel tells of the node in files; here they are read."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path("/")
"""The folder that /proc, /sys, /dev and /etc are read from; tests stage another."""

_MOST_READ = 16 << 20
"""Bytes of a file of the kernel that are read."""
_LONGEST_PATH = 4096
"""Characters of the longest path that Linux takes."""


def read_text(path: Path, errors: str = "replace") -> str | None:
    """Return the text of a file of the kernel without outer white space, or None if it cannot be read.

    `errors` says what becomes of bytes that are no UTF-8. A pipe that nobody writes to is not waited for.
    """
    try:
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(number, "rb") as file:  # noqa: PTH123 a descriptor
            return (file.read(_MOST_READ) or b"").decode("utf-8", errors).strip()
    except (OSError, ValueError):  # ValueError: a path that can be none, with a NUL
        return None


def whole_number(text: str) -> int | None:
    """Return the whole number from 0 on that `text` is; None for anything else, such as "max" or nothing."""
    return int(text) if re.fullmatch(r"[0-9]{1,20}", text.strip()) else None


def exists(path: Path) -> bool:
    """Whether a file can be seen; unlike `Path.exists` it raises for no folder that is closed to this user."""
    return os.path.exists(path)  # noqa: PTH110


def cgroup_texts(controller: str, name: str, root: Path = ROOT) -> list[str]:
    """Return the texts of file `name` in the process's cgroup and every one above it, innermost first.

    `controller` is one of cgroup v1 ("cpu", "memory"); the empty string stands for cgroup v2.
    """
    texts = (read_text(folder / name) for folder in _cgroup_folders(controller, root))
    return [text for text in texts if text is not None]


def _cgroup_folders(controller: str, root: Path) -> Iterator[Path]:
    """The folders of the process's cgroup and of every one above it, wherever the controller may be mounted."""
    mounts = root / "sys/fs/cgroup"
    for line in (read_text(root / "proc/self/cgroup") or "").splitlines():
        fields = line.split(":", 2)
        if len(fields) < 3 or len(line) > _LONGEST_PATH:  # noqa: PLR2004
            continue
        _, controllers, path = fields
        if controller not in controllers.split(","):
            continue
        # A hybrid system mounts version 2 in "unified"; version 1 joins controllers ("cpu,cpuacct") or not.
        names = (controllers, controller) if controller else ("unified", "")
        places = {mounts / name for name in names}
        parts = [part for part in path.split("/") if part]
        # Outside this process's cgroup namespace ("/../x") only the mount itself can be seen.
        depth = 0 if ".." in parts else len(parts)
        for place in places:
            for count in range(depth, -1, -1):
                yield place.joinpath(*parts[:count])
