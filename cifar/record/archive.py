"""Archives: a campaign's folder packed into one ZIP file, whose members are read like the files of a folder.

A member has a path like a file's: `kept.zip/cpu-1.json` is `cpu-1.json` in `kept.zip`. Nothing is unpacked to disk.
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path, PurePosixPath

SUFFIX = ".zip"
MOST_MEMBERS = 2_000
"""Of an archive, far more than a campaign has files."""
LONGEST = 1_000
"""Letters in a member's name at most."""


def split(path: Path) -> tuple[Path, str] | None:
    """Return the archive that a path leads into and the name in there, which is empty for the archive itself.

    None for a path that leads into no archive.
    """
    for ancestor in (path, *path.parents):
        if ancestor.suffix == SUFFIX and ancestor.is_file():
            name = path.relative_to(ancestor).as_posix()
            return ancestor, "" if name == "." else name
    return None


def exists(path: Path) -> bool:
    """Whether there is such a file or folder, on the disk or in an archive.

    Raises OSError and ValueError as `names` does.
    """
    place = split(path)
    if place is None:
        return path.exists()
    archive, name = place
    return not name or any(other == name or other.startswith(f"{name}/") for other in names(archive))


def is_file(path: Path) -> bool:
    """Whether there is such a file, on the disk or in an archive; an archive itself is taken for a folder."""
    place = split(path)
    if place is None:
        return path.is_file()
    archive, name = place
    return name in names(archive)


def is_folder(path: Path) -> bool:
    """Whether there is such a folder, on the disk or in an archive; an archive itself is taken for one."""
    if split(path) is None:
        return path.is_dir()
    return exists(path) and not is_file(path)


def contents(folder: Path) -> list[Path]:
    """Return what lies in a folder, sorted by name; of one in an archive the files only."""
    place = split(folder)
    if place is None:
        return sorted(folder.iterdir())
    archive, _ = place
    paths = [archive / name for name in names(archive)]
    return [path for path in paths if path.parent == folder]


def names(archive: Path) -> list[str]:
    """Return the names of all files in an archive, sorted, such as `today/cpu-1.json`.

    Raises OSError where it cannot be read, and ValueError, which names it, where it is no ZIP file, has more than
    `MOST_MEMBERS`, names a file twice, or names one that would lie outside of it.
    """
    try:
        with zipfile.ZipFile(archive) as file:
            found = [member.filename for member in file.infolist() if not member.is_dir()]
    except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError) as error:
        message = f"{archive} is no complete ZIP file ({error}): make it anew, or name the folder that was packed"
        raise ValueError(message) from error
    if len(found) > MOST_MEMBERS:
        message = f"{archive} holds {len(found):,} files, more than {MOST_MEMBERS:,}: pack one campaign's records"
        raise ValueError(message)
    if len(set(found)) < len(found):
        message = f"{archive} holds two files of one name: make it anew"
        raise ValueError(message)
    for name in found:
        path = PurePosixPath(name)
        is_plain = name.isprintable() and len(name) <= LONGEST
        if not is_plain or path.is_absolute() or ".." in path.parts or path.as_posix() != name:
            message = f"{archive} holds {name[:100]!r}, which is no name in a folder: make it anew"
            raise ValueError(message)
    return sorted(found)


def read(archive: Path, name: str, most: int) -> bytes:
    """Return the content of a file in an archive, or its first `most` bytes.

    Raises OSError where there is no such file, and ValueError, in words that follow the file's name, where it cannot
    be unpacked.
    """
    try:
        with zipfile.ZipFile(archive) as file, file.open(name) as member:
            return member.read(most)
    except KeyError as error:
        message = f"{archive} holds no {name}"
        raise FileNotFoundError(message) from error
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        message = f"cannot be unpacked ({error})"
        raise ValueError(message) from error
