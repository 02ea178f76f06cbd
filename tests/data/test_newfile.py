"""A new HDF5 file has its final name only when it is complete, whatever happens while it is written."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import h5py
import pytest

from cifar.data import newfile

if TYPE_CHECKING:
    from pathlib import Path

MAKE = """
import sys
from cifar.data import dataset
dataset.prepare_synthetic(sys.argv[1], train=int(sys.argv[2]), valid=10)
"""


def start(target: Path, images: int, *, before: str = "") -> subprocess.Popen[str]:
    """Start a process that makes a stand-in of so many images."""
    return subprocess.Popen(
        [sys.executable, "-c", before + MAKE, str(target), str(images)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_finished_file_has_its_name_and_nothing_else_is_left(tmp_path: Path) -> None:
    """After the block the file is there under its name, readable, alone."""
    with newfile.replacing(tmp_path / "new.h5") as file:
        file["numbers"] = [1, 2, 3]
        assert not (tmp_path / "new.h5").exists()
    with h5py.File(tmp_path / "new.h5") as file:
        assert file["numbers"][:].tolist() == [1, 2, 3]
    assert [path.name for path in tmp_path.iterdir()] == ["new.h5"]


def test_an_error_within_leaves_what_was_there(tmp_path: Path) -> None:
    """If the block fails, an older file of the name is untouched and the new one is gone."""
    target = tmp_path / "new.h5"
    target.write_text("older")
    with pytest.raises(KeyError), newfile.replacing(target) as file:
        raise KeyError(file.name)
    assert target.read_text() == "older"
    assert list(tmp_path.iterdir()) == [target]


def test_missing_folders_are_made(tmp_path: Path) -> None:
    """The folder of the file need not exist."""
    with newfile.replacing(tmp_path / "a" / "b" / "new.h5"):
        pass
    assert (tmp_path / "a" / "b" / "new.h5").exists()


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    """No time stands in the file, though more than a second lies between the two."""
    for name in ("first.h5", "second.h5"):
        with newfile.replacing(tmp_path / name) as file:
            file.create_dataset("numbers", data=[1, 2, 3])
        time.sleep(1.1)
    assert (tmp_path / "first.h5").read_bytes() == (tmp_path / "second.h5").read_bytes()


@pytest.mark.parametrize("seconds", [0.0, 0.03, 0.2])
def test_kill_leaves_at_most_a_temporary_file(tmp_path: Path, seconds: float) -> None:
    """A process killed while it writes leaves no file of the name; the next one clears up behind it."""
    target = tmp_path / "set.h5"
    process = start(target, 50_000)
    while process.poll() is None and not list(tmp_path.glob(".set.h5.*.part")):
        time.sleep(0.002)
    time.sleep(seconds)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not target.exists()
    assert len(list(tmp_path.iterdir())) == 1
    with newfile.replacing(target):
        pass
    assert list(tmp_path.iterdir()) == [target]


def test_two_at_once_both_succeed(tmp_path: Path) -> None:
    """Two processes that make the same file do not disturb each other, and the file is whole."""
    target, alone = tmp_path / "set.h5", tmp_path / "alone.h5"
    processes = [start(target, 5_000), start(target, 5_000), start(alone, 5_000)]
    for process in processes:
        assert process.communicate()[1] == ""
        assert process.returncode == 0
    assert target.read_bytes() == alone.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alone.h5", "set.h5"]


def test_the_file_of_a_living_process_is_not_a_leftover(tmp_path: Path) -> None:
    """While one file is written, another of the same name does not remove it."""
    target = tmp_path / "set.h5"
    with newfile.replacing(target) as slow:
        with newfile.replacing(target) as quick:
            quick["who"] = "quick"
        slow["who"] = "slow"
    with h5py.File(target) as file:
        assert file["who"][()] == b"slow"


@pytest.mark.parametrize(
    ("host", "days", "stays"),
    [(socket.gethostname(), 0, False), ("elsewhere", 0, True), ("elsewhere", 2, False)],
    ids=["own", "foreign, fresh", "foreign, old"],
)
def test_leftovers_of_other_hosts_need_to_be_old(tmp_path: Path, host: str, days: int, stays: bool) -> None:  # noqa: FBT001
    """Locks may not reach other hosts, so a fresh file of another host might be alive."""
    left = tmp_path / f".set.h5.{host}.1.0.part"
    left.touch()
    os.utime(left, (time.time() - days * 86_400,) * 2)
    with newfile.replacing(tmp_path / "set.h5"):
        pass
    assert left.exists() == stays


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, 524])
def test_leftovers_without_locks_need_to_be_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Where a file system keeps no locks, only age tells that nobody writes a file any more."""

    def no_locks(_file: object, _how: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    fresh, old = (tmp_path / f".set.h5.{socket.gethostname()}.{days}.0.part" for days in (0, 2))
    for left, days in ((fresh, 0), (old, 2)):
        left.touch()
        os.utime(left, (time.time() - days * 86_400,) * 2)
    with newfile.replacing(tmp_path / "set.h5"):
        pass
    assert sorted(tmp_path.iterdir()) == [fresh, tmp_path / "set.h5"]


def test_leftovers_of_others_stay(tmp_path: Path) -> None:
    """Only what belongs to the file and its layouts is removed, whatever signs are in its name."""
    names = {
        name: f".{name}.{socket.gethostname()}.1.0.part" for name in ("s[e]t.h5", "s[e]t.lesson.h5", "set.h5", "s.h5")
    }
    for name in names.values():
        (tmp_path / name).touch()
    newfile.sweep(tmp_path / "s[e]t.h5")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([names["set.h5"], names["s.h5"]])


@pytest.mark.parametrize("limit", [500, 100_000, 3_000_000], ids=["head", "first rows", "last rows"])
def test_a_file_size_limit_is_an_error_that_says_what_to_do(tmp_path: Path, limit: int) -> None:
    """Where the system takes no more bytes, the error names file and remedy and nothing is left behind."""
    before = (
        "import resource, signal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
    )
    process = start(tmp_path / "set.h5", 1_000, before=before)
    error = process.communicate()[1].splitlines()[-1]
    assert process.returncode == 1
    assert error.startswith(f"OSError: [Errno {errno.EFBIG}] {tmp_path / 'set.h5'} could not be written")
    assert "make room" in error
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_an_error_that_says_what_to_do(small_disk: Path) -> None:
    """On a really full disk (of 1 MB) the error names file and remedy, nothing is left, older files stay."""
    process = start(small_disk / "set.h5", 1_000)
    error = process.communicate()[1].splitlines()[-1]
    assert error.startswith(f"OSError: [Errno {errno.ENOSPC}] {small_disk / 'set.h5'} could not be written")
    assert "make room" in error
    assert list(small_disk.iterdir()) == []


def test_an_unwritable_folder_is_an_error_that_says_what_to_do() -> None:
    """A folder that this user may not write to is named, with the remedy; root gives up its rights first."""
    script = """
import os, tempfile
from pathlib import Path
from cifar.data import dataset
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
with tempfile.TemporaryDirectory() as folder:
    os.chmod(folder, 0o555)
    try:
        dataset.prepare_synthetic(Path(folder, "set.h5"), train=20, valid=10)
    except PermissionError as error:
        print(error, os.listdir(folder))
"""
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True)
    assert "set.h5 could not be written (Permission denied), and nothing was left behind" in done.stdout
    assert "name another file by --out, or make the folder writable []" in done.stdout


def test_a_folder_in_the_way_is_an_error(tmp_path: Path) -> None:
    """A target that is a folder is named, and the folder stays."""
    (tmp_path / "set.h5").mkdir()
    with (
        pytest.raises(OSError, match=r"set\.h5 could not be written"),
        newfile.replacing(tmp_path / "set.h5"),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["set.h5"]
