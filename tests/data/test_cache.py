"""The note of verified files spares work and vouches for nothing that has changed since."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import pytest

from cifar.data import cache, dataset


@pytest.fixture
def path(tmp_path, monkeypatch):
    """A stand-in of 30 and 10 images, and a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return dataset.prepare_synthetic(tmp_path / "set.h5", train=30, valid=10)


def looks(path):
    """How many stretches of the file were read to have it verified."""
    told = []
    dataset.verified(path, progress=lambda *step: told.append(step))
    return len(told)


def test_a_file_is_verified_once(path):
    """The second time nothing is read, and the description is the same."""
    first = dataset.verified(path)
    assert looks(path) == 0
    assert dataset.verified(path) == first == dataset.describe(path)


@pytest.mark.parametrize("damage", ["blanked", "labels", "mended times"])
def test_what_has_changed_is_verified_again(path, damage):
    """Half of the images blanked or all labels 3 are found, also by one who gives the file its old time again."""
    dataset.verified(path)
    before = path.stat()
    with h5py.File(path, "r+") as file:
        if damage == "labels":
            file["y_train"][:] = 3
        else:
            file["x_train"][:15] = 0
    if damage == "mended times":
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(ValueError, match=r"set\.h5: [xy]_train differs from the digest.*; delete it and make it anew"):
        dataset.verified(path)


def test_a_copy_in_its_place_is_verified_again(path, tmp_path):
    """Another file of the same name, size and time is another file."""
    dataset.verified(path)
    shutil.copy2(path, tmp_path / "copy.h5")
    (tmp_path / "copy.h5").replace(path)
    assert looks(path) > 0
    assert looks(path) == 0


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"a": NaN}', "null", "[" * 2_000, '{"%s": [1, 2]}', '{"%s": "good"}', '{"%s": {}}']
)
def test_a_damaged_note_means_to_verify_again(path, content):
    """Whatever stands in the note, the file is verified, and the note is good afterwards."""
    dataset.verified(path)
    note = cache.folder() / "verified.json"
    (key,) = json.loads(note.read_text())
    note.write_text(content.replace("%s", key))
    assert looks(path) > 0
    assert looks(path) == 0


@pytest.mark.parametrize("kind", ["folder", "pipe", "link", "for all to write"])
def test_a_planted_note_means_to_verify_again(path, tmp_path, kind):
    """A note that others could have written is not believed, and a link not followed when it is written."""
    dataset.verified(path)
    note = cache.folder() / "verified.json"
    good = note.read_text()
    (tmp_path / "victim").write_text(good)
    if kind == "for all to write":
        note.chmod(0o666)
    else:
        note.unlink()
        {"folder": note.mkdir, "pipe": lambda: os.mkfifo(note), "link": lambda: note.symlink_to(tmp_path / "victim")}[
            kind
        ]()
    if kind != "link":
        assert looks(path) > 0
    dataset.verified(path)
    assert (tmp_path / "victim").read_text() == good


def test_the_note_stays_small(path, tmp_path):
    """Only the last hundred files are remembered."""
    for number in range(120):
        cache.remember(tmp_path / str(number), "0" * 64, [number])
    assert not cache.knows(tmp_path / "0", "0" * 64, [0])
    assert cache.knows(tmp_path / "119", "0" * 64, [119])
    assert looks(path) > 0


def test_a_cache_that_cannot_be_written_only_costs_time(path, monkeypatch):
    """Where nothing can be noted, the file is verified each time."""
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc")
    assert looks(path) > 0
    assert looks(path) > 0


def test_user_without_home():
    """A user whom nobody knows works with the files that are named, and is told what else needs a folder."""
    script = """
import os, sys
from pathlib import Path
from cifar.data import dataset, published  # while they can be read
os.setgid(54321)
os.setuid(54321)
path = dataset.prepare_synthetic(sys.argv[1], train=30, valid=10)
print(dataset.verified(path).train)
dataset.lesson_layout(path)
print(published.places(published.CIFAR_10, Path("none"))[1:])
for call in (dataset.default_path, lambda: dataset.prepare(sys.argv[1] + "x")):
    try:
        call()
    except FileNotFoundError as error:
        print(error)
"""
    if os.getuid():
        pytest.skip("only root can become a user whom nobody knows")
    folder = Path("/tmp") / f"cifar-test-{os.getpid()}"  # noqa: S108 pytest's own folders are closed to others
    folder.mkdir()
    try:
        folder.chmod(0o777)
        none = ("HOME", "XDG_CACHE_HOME", "KERAS_HOME")
        environ = {name: value for name, value in os.environ.items() if name not in none}
        command = [sys.executable, "-c", script, str(folder / "set.h5")]
        done = subprocess.run(command, env=environ, cwd=folder, capture_output=True, text=True, check=False)
        remedy = "set HOME or XDG_CACHE_HOME"
        said = done.stdout.splitlines()
        assert said[0] == "30", done.stderr
        assert "home" not in said[1]
        assert said[2:] == [f"this user has no home folder, where data would be kept: {remedy}"] * 2
    finally:
        shutil.rmtree(folder)
