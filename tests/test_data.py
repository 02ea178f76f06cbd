"""The commands `cifar prepare` and `cifar data` on what people name: a sentence and exit code 2, or data."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pytest

from cifar.cli import main
from cifar.data import dataset


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The working folder, with a home and a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    dataset.prepare_synthetic("set.h5", train=30, valid=20)
    return tmp_path


def thing(path, kind):
    """What somebody may name by mistake."""
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    elif kind == "text":
        path.write_text("chapter 1")
    elif kind == "empty":
        path.touch()
    return path


@pytest.mark.parametrize("command", ["--dataset", "--source", "--out"])
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "text", "empty"])
@pytest.mark.parametrize("name", ["thing", "thing.h5"])
def test_what_is_no_dataset(place, capsys, command, kind, name):
    """A pipe, a device, a folder and a text are refused in a sentence, and nobody is to delete them."""
    path = thing(place / name, kind)
    arguments = {
        "--dataset": ["data", "show", "0", "--dataset", name],
        "--source": ["prepare", "--source", name, "--out", "new.h5"],
        "--out": ["prepare", "--synthetic", "--out", name],
    }[command]
    assert main(arguments) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert name in said[0]
    assert "delete" not in said[0]
    assert path.exists()
    assert not (place / "new.h5").exists()


@pytest.mark.usefixtures("place")
def test_null_device_stays(capsys):
    """`--out /dev/null` replaces no device."""
    assert main(["prepare", "--synthetic", "--out", "/dev/null"]) == 2
    assert "/dev/null: this is a folder, pipe or device" in capsys.readouterr().err
    assert not os.path.isfile("/dev/null")  # noqa: PTH113


@pytest.mark.parametrize("view", [["info"], ["show", "0"], ["plot"]])
def test_damage_is_found_before_it_is_shown(place, capsys, view):
    """Images that are blank under the good digest are not shown as the dataset's."""
    with h5py.File(place / "set.h5", "r+") as file:
        file["x_train"][:15] = 0
    assert main(["data", *view, "--dataset", "set.h5"]) == 2
    assert "set.h5: x_train differs from the digest that was written with it" in capsys.readouterr().err


def test_what_says_that_it_is_cifar_10(place, capsys):
    """Without the published digests it is not called CIFAR-10."""
    with h5py.File(place / "set.h5", "r+") as file:
        file.attrs["source"] = np.bytes_("CIFAR-10")
        file.attrs["synthetic"] = False
    assert main(["data", "info", "--dataset", "set.h5"]) == 0
    said = capsys.readouterr().out
    assert "Dataset: not CIFAR-10 as published: 30 + 20 images" in said
    assert "Source: unknown (it says CIFAR-10);" in said


def test_signs_that_a_terminal_obeys(place, capsys):
    """What a file says of itself is shown, and not obeyed."""
    with h5py.File(place / "set.h5", "r+") as file:
        file.attrs["source"] = np.bytes_("\x1b[31mred\x07")
    assert main(["data", "info", "--dataset", "set.h5"]) == 0
    assert "Source: \\x1b[31mred\\x07;" in capsys.readouterr().out


@pytest.mark.usefixtures("place")
def test_a_lessons_file_of_other_images(capsys):
    """A file as the lesson makes it is looked at, and refused where its images are not CIFAR-10's."""
    with h5py.File("dataset_cifar10.hdf5", "w") as file:
        for name in dataset.ARRAYS:
            with h5py.File("set.h5") as ours:
                file.create_dataset(name, data=ours[name][:], compression="gzip", chunks=True)
    for arguments in (["data", "info", "--dataset"], ["prepare", "--source"]):
        assert main([*arguments, "dataset_cifar10.hdf5"]) == 2
        said = capsys.readouterr().err
        assert "dataset_cifar10.hdf5: x_train differs from the published data by its SHA-256" in said
    assert not dataset.default_path().exists()


@pytest.mark.slow
def test_the_lessons_file_of_cifar_10(place, real, capsys):
    """The file that the lesson's text makes is taken as it is, and ours is made of it."""
    with h5py.File(real) as ours, h5py.File("dataset_cifar10.hdf5", "w") as file:
        for name in dataset.ARRAYS:
            rows = ours[name][:]
            file.create_dataset(name, data=rows, shape=rows.shape, compression="gzip", chunks=True)
    assert main(["data", "info", "--dataset", "dataset_cifar10.hdf5"]) == 0
    assert f"CIFAR-10: 50,000 + 10,000 images, digest c212c2c6de88, in {place}/cache" in capsys.readouterr().out
    assert dataset.default_path().read_bytes() == real.read_bytes()
    assert main(["prepare", "--source", "dataset_cifar10.hdf5", "--out", "new.h5"]) == 0
    assert dataset.describe("new.h5").is_cifar_10


def test_folder_in_latin_1(place):
    """Commands work in a folder and on files whose names are no UTF-8, and print those names written out."""
    folder = place / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    shutil.copy("set.h5", folder)
    environ = os.environ | {"PYTHONIOENCODING": "utf-8:strict", "XDG_CACHE_HOME": str(folder / "cache")}
    for arguments in (
        ["data", "info", "--dataset", folder / "set.h5"],
        ["prepare", "--synthetic"],
        ["data", "plot", "--dataset", "set.h5", "--out", folder / "samples.png"],
    ):
        command = [sys.executable, "-m", "cifar", *map(os.fspath, arguments)]
        done = subprocess.run(command, env=environ, cwd=folder, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        assert rb"caf\udce9" in done.stdout
