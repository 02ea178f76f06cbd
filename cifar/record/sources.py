"""Sources: paths that a user names go in; the files of records they stand for come out, and what is passed over."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cifar.record import archive
from cifar.record.plan import PLAN, is_run

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator

MEASURE = "or measure one with `cifar bench`"


class Sources(NamedTuple):
    """What paths stand for: those that are used, the files in them, and a sentence for each thing passed over."""

    used: tuple[Path, ...]
    files: tuple[Path, ...]
    passed_over: tuple[str, ...]


def find(paths: Iterable[str | os.PathLike[str]]) -> Sources:
    """Return the records' files that `paths`, each a file, a campaign's folder or an archive of one, stand for.

    An archive stands for the campaigns' folders in it, which have paths such as `kept.zip/today`. A folder's plan is
    no record, nor are files that begin with a dot, as macOS leaves them. Of several paths those that are no campaign's
    folder and no JSON, such as a lesson's folder or an earlier report, are passed over.
    Raises FileNotFoundError for a path that is not there, and ValueError where nothing at all remains.
    """
    named: list[Path] = []
    for path in map(Path, paths):
        if not archive.exists(path):
            message = f"{path}: there is no such file or folder: name a campaign's, {MEASURE}"
            raise FileNotFoundError(message)
        named += _campaigns_in(path)
    reasons = {path: _reason(path, alone=len(named) == 1) for path in named}
    used = [path for path in named if not reasons[path]]
    if named and not used:
        path, reason = next(iter(reasons.items()))
        message = f"{path} {reason}: {_remedy(path)}, {MEASURE}"
        raise ValueError(message)
    passed_over = [f"{path} {reason}" for path, reason in reasons.items() if reason]
    passed_over += [f"{file} is hidden, as the files are that macOS adds" for path in used for file in _hidden(path)]
    return Sources(tuple(used), tuple(file for path in used for file in _files(path)), tuple(passed_over))


def remedy(path: Path) -> str:
    """Return what to do about a file that is no record: remove it only where it is a campaign's own."""
    if archive.split(path):
        return f"pack the campaign's folder anew, or name another one, {MEASURE}"
    if is_run(path):
        return "remove the file and continue with `cifar bench --resume`, which measures that run again"
    return f"name another file or folder, {MEASURE}"


def _campaigns_in(path: Path) -> list[Path]:
    """The folders of an archive that hold JSON, or the archive itself where none does; any other path as it is."""
    place = archive.split(path)
    if place is None or place[1]:
        return [path]
    folders = {(path / name).parent for name in archive.names(path) if _is_json(Path(name))}
    return sorted(folders) or [path]


def _reason(path: Path, *, alone: bool) -> str:
    """Why a path is no source of records, in words that follow its name; empty where it is one."""
    if archive.split(path):
        return "" if any(_files(path)) else "holds no records (*.json)"
    if not path.is_dir():
        return "" if alone or path.suffix == ".json" else "is no record, whose name would end in .json"
    if (path / PLAN).exists() or (path.name == "figures" and (path.parent / "report.html").exists()):
        return ""
    if (path / "run.json").exists():
        return "is the folder of a training (`cifar train`), not a campaign's"
    folders = [part for part in path.iterdir() if part.is_dir()]
    if (path / "lesson.html").exists() or (folders and all((part / "run.json").exists() for part in folders)):
        return "is a lesson's folder, not a campaign's"
    return "" if any(_files(path)) else "holds no records (*.json)"


def _remedy(path: Path) -> str:
    """What to name instead of a path without records."""
    folders = sorted(part for part in path.iterdir() if part.is_dir()) if path.is_dir() else []
    campaigns = [folder for folder in folders if any(_files(folder)) and not (folder / "run.json").exists()]
    return f"name one of its campaigns, such as {campaigns[-1]}" if campaigns else "name a campaign's folder"


def _files(path: Path) -> Iterator[Path]:
    """The files of records in a folder, on the disk or in an archive, or the file itself."""
    if not archive.is_folder(path):
        yield path
        return
    for file in archive.contents(path):
        if _is_json(file) and file.name != PLAN:
            yield file


def _is_json(file: Path) -> bool:
    """Whether a file's name is that of JSON which is not hidden, such as macOS's `._cpu-1.json` is."""
    return file.suffix == ".json" and not file.name.startswith(".")


def _hidden(path: Path) -> list[Path]:
    """The JSON in a folder whose names begin with a dot."""
    return sorted(path.glob(".*.json")) if path.is_dir() else []
