"""Files that somebody else may have written: whatever stands in them, they are read, or refused in a sentence."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import sys
import tempfile
import tracemalloc
from pathlib import Path

import pytest

from cifar.record import files


def written(tmp_path, data):
    """A file with these bytes."""
    path = tmp_path / "some.json"
    path.write_bytes(data)
    return path


def test_json_is_read_as_it_stands(tmp_path):
    """What we write ourselves comes back the same: texts, numbers, nothing, lists and objects."""
    content = {"a": [1, -2.5, None, True, "x\n\u20ac", {}], "largest": 2**63 - 1, "brackets": "[[[[" * 200}
    assert files.read_json(written(tmp_path, json.dumps(content).encode())) == content


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no complete JSON"),
        (b'{"a": 1', "no complete JSON"),
        (b"\xff\xfe", "no text in UTF-8"),
        (b"[" * 1_500 + b"]" * 1_500, "nested deeper than 100"),
        (b'{"a":' * 200_000, "nested deeper than 100"),
        (b"1" * 400, "beyond 64 bits"),
        (b"[9223372036854775808]", "beyond 64 bits"),
        (b"[1e999]", "beyond 64 bits"),
        (b'{"a": 1, "b": 2, "a": 3}', "names the key 'a' twice"),
        (b'["\\ud800"]', "no Unicode"),
    ],
)
def test_json_that_is_refused(tmp_path, data, said):
    """JSON that is cut, nested, too large in a number or contradicts itself is refused with the reason."""
    with pytest.raises(ValueError, match=said):
        files.read_json(written(tmp_path, data))


def test_large_file_is_refused_before_it_is_parsed(tmp_path):
    """300 MB of empty lists, which parsed would take 5.8 GB, are refused for the memory of what may be read."""
    path = tmp_path / "some.json"
    with path.open("wb") as file:
        file.write(b"[],")
        file.truncate(300 << 20)
    tracemalloc.start()
    with pytest.raises(ValueError, match="larger than 16 MiB"):
        files.read_json(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * files.LARGEST


def test_pipe_is_not_waited_for(tmp_path):
    """A named pipe that nobody writes to is refused at once."""
    os.mkfifo(tmp_path / "some.json")
    with pytest.raises(ValueError, match="no regular file"):
        files.read_json(tmp_path / "some.json")


@pytest.mark.parametrize("name", ["../victim", "/etc/passwd", "a/b", "", ".", "..", "a\0b", "a\nb", None, 7, "x" * 300])
def test_name_that_leads_out_of_the_folder(tmp_path, name):
    """Only a plain name is the name of a file in the folder."""
    with pytest.raises(ValueError, match="is no name of a file in"):
        files.inside(tmp_path, name)


def test_name_in_the_folder(tmp_path):
    """A plain name is taken, also one that other systems would not take."""
    assert files.inside(tmp_path, "epoch-01 #2:x.h5") == tmp_path / "epoch-01 #2:x.h5"


def test_link_is_replaced_and_not_followed(tmp_path):
    """Where a link stands in the place of what is written, its target stays what it was."""
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "report.md").symlink_to("victim")
    files.replace(tmp_path / "report.md", "new")
    assert (tmp_path / "victim").read_text() == "mine"
    assert (tmp_path / "report.md").read_text() == "new"
    assert not (tmp_path / "report.md").is_symlink()


def test_failed_write_leaves_what_was_there(tmp_path, monkeypatch):
    """Where the disk is full, the old file is whole and nothing lies beside it."""
    (tmp_path / "plan.json").write_text("old")

    def full(_number):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.replace(tmp_path / "plan.json", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]
    assert (tmp_path / "plan.json").read_text() == "old"


def test_leftovers_are_swept(tmp_path):
    """What a killed process has left beside the target goes, and nothing else."""
    for name in (".plan.json.0123abcd.part", "plan.json", ".hidden", "kept.part"):
        (tmp_path / name).touch()
    files.sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hidden", "kept.part", "plan.json"]


def test_folder_is_held_by_one_process(tmp_path):
    """A second one is refused, and told what the first does; afterwards the folder is free again."""
    with files.held(tmp_path, "measuring"), pytest.raises(BlockingIOError, match="another process is measuring in"):  # noqa: SIM117
        with files.held(tmp_path, "measuring"):
            pass
    with files.held(tmp_path, "measuring"):
        pass


def test_lock_falls_with_the_last_process_that_has_it(tmp_path):
    """A process that was started with the descriptor holds the folder when its parent holds it no longer."""
    with files.held(tmp_path, "measuring") as number:
        command = [sys.executable, "-c", "input()"]
        child = subprocess.Popen(command, pass_fds=[number], stdin=subprocess.PIPE)
    with pytest.raises(BlockingIOError), files.held(tmp_path, "measuring"):
        pass
    child.communicate(b"\n")
    with files.held(tmp_path, "measuring"):
        pass


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, 524])
def test_file_system_without_locks(tmp_path, monkeypatch, number):
    """Where Lustre or NFS keeps no locks, a lock in this node's temporary folder keeps others out all the same."""
    results, local = tmp_path / "results", tmp_path / "tmp"
    results.mkdir()
    local.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(local))
    flock = fcntl.flock

    def no_locks_in_results(file, how):
        if Path(f"/proc/self/fd/{file}").readlink().is_relative_to(results):
            raise OSError(number, os.strerror(number))
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", no_locks_in_results)
    with files.held(results, "training"):
        assert list(local.glob("cifar-bench-*.lock"))
        with pytest.raises(BlockingIOError, match="another process is training"), files.held(results, "training"):
            pass
    monkeypatch.setattr(tempfile, "tempdir", str(results))
    with pytest.raises(OSError, match=r"neither .* keeps locks: name another TMPDIR"), files.held(results, "training"):
        pass


def test_json_of_ours_is_read_again(tmp_path):
    """What we write, we read; a name that is no Unicode is written out, and a number that is none is refused."""
    files.replace(tmp_path / "a.json", files.json_text({"folder": "caf\udce9 \u20ac", "seconds": 0.1}))
    assert files.read_json(tmp_path / "a.json") == {"folder": "caf\\udce9 \u20ac", "seconds": 0.1}
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.json_text({"seconds": float("nan")})
