"""Whatever an HDF5 file says, reading it leads to no other file and ends soon, in its data or in a sentence."""

from __future__ import annotations

import errno
import io
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from cifar.data import dataset, hdf5

SHAPE = (30, 32, 32, 3)
NO_FLOCK = """
#include <errno.h>
#include <stdlib.h>
int flock(int file, int how) { errno = atoi(getenv("FLOCK_ERRNO")); return -1; }
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A stand-in of 30 and 10 images."""
    return dataset.prepare_synthetic(tmp_path_factory.mktemp("made") / "set.h5", train=30, valid=10)


@pytest.fixture(scope="module")
def secret(tmp_path_factory):
    """A file of somebody else, and an HDF5 file whose dataset `x` could be images."""
    folder = tmp_path_factory.mktemp("secret")
    (folder / "secret.bin").write_bytes(b"SECRET" * 20_000)
    with h5py.File(folder / "other.h5", "w") as file:
        file["x"] = np.full(SHAPE, 7, np.uint8)
    return folder


def changed(made, path, make):
    """A copy of the file in which `make(file)` puts something in the place of `x_train`, with its digest."""
    shutil.copy(made, path)
    with h5py.File(path, "r+") as file:
        digest = file["x_train"].attrs["sha256"]
        file.move("x_train", "moved")
        make(file)
        if isinstance(file.get("x_train", getlink=True), h5py.HardLink):
            file["x_train"].attrs["sha256"] = digest
    return path


def external(secret):
    """Pixels in another file."""
    where = [(str(secret / "secret.bin"), 0, 30 * 3072)]
    return lambda file: file.create_dataset("x_train", SHAPE, "u1", external=where)


def virtual(secret, maxshape=None):
    """Pixels in a dataset of another file."""

    def make(file):
        layout = h5py.VirtualLayout(SHAPE, "u1", maxshape=maxshape)
        layout[:] = h5py.VirtualSource(str(secret / "other.h5"), "x", SHAPE)
        file.create_virtual_dataset("x_train", layout)

    return make


def virtual_pipe(secret):
    """Pixels in a pipe that nobody writes to."""
    path = secret / "pipe"
    if not path.exists():
        os.mkfifo(path)

    def make(file):
        layout = h5py.VirtualLayout(SHAPE, "u1", maxshape=(None, 32, 32, 3))
        source = h5py.VirtualSource(str(path), "x", SHAPE, maxshape=(None, 32, 32, 3))
        layout[: h5py.h5s.UNLIMITED] = source[: h5py.h5s.UNLIMITED]
        file.create_virtual_dataset("x_train", layout)

    return make


def filtered(file):
    """Pixels that only a plug-in of HDF5 can read."""
    space = h5py.h5s.create_simple(SHAPE)
    kept = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    kept.set_chunk((10, 32, 32, 3))
    kept.set_filter(h5py.h5z.FILTER_LZF, h5py.h5z.FLAG_OPTIONAL)
    h5py.h5d.create(file.id, b"x_train", h5py.h5t.STD_U8LE, space, kept)


def bomb(file):
    """Pixels in a chunk of 2 MB that gzip makes 1 GB of."""
    dataset = file.create_dataset("x_train", (1_000, 32, 32, 3), "u1", chunks=(1_000, 32, 32, 3), compression="gzip")
    import zlib

    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(1_200)) + packer.flush()
    dataset.id.write_direct_chunk((0, 0, 0, 0), packed)


CASES = {
    "soft link": (
        lambda _: lambda file: file.__setitem__("x_train", h5py.SoftLink("/moved")),
        "is a link to another place",
    ),
    "external link": (
        lambda secret: lambda file: file.__setitem__("x_train", h5py.ExternalLink(str(secret / "other.h5"), "x")),
        "is a link to another place",
    ),
    "external storage": (external, "lies in another file"),
    "virtual": (virtual, "lies in another file"),
    "virtual without end": (lambda secret: virtual(secret, (None, 32, 32, 3)), "lies in another file"),
    "virtual, of a pipe": (virtual_pipe, "lies in another file"),
    "plug-in": (lambda _: filtered, "not compressed by gzip alone"),
    "never written": (
        lambda _: lambda file: file.create_dataset("x_train", SHAPE, "u1", fillvalue=9),
        "not all of that was ever written",
    ),
    "chunks never written": (
        lambda _: lambda file: file.create_dataset("x_train", SHAPE, "u1", chunks=(10, 32, 32, 3)),
        "not all of that was ever written",
    ),
    "a billion billion images": (
        lambda _: lambda file: file.create_dataset("x_train", (10**15, 32, 32, 3), "u1", chunks=(1, 32, 32, 3)),
        "not all of that was ever written",
    ),
    "a chunk of gigabytes": (
        lambda _: lambda file: file.create_dataset("x_train", (10**6, 32, 32, 3), "u1", chunks=(10**6, 32, 32, 3)),
        "too large to be read safely",
    ),
    "a compressed bomb": (lambda _: bomb, "becomes larger than"),
    "references": (
        lambda _: lambda file: file.create_dataset("x_train", (30,), h5py.ref_dtype),
        "those are no numbers",
    ),
    "texts": (lambda _: lambda file: file.create_dataset("x_train", (30,), h5py.string_dtype()), "are no numbers"),
    "records": (lambda _: lambda file: file.create_dataset("x_train", (30,), [("a", "i4")]), "are no numbers"),
    "nothing": (
        lambda _: lambda file: file.create_dataset("x_train", dtype="u1", shape=None, data=h5py.Empty("u1")),
        "",
    ),
}


@pytest.mark.parametrize("case", list(CASES))
def test_what_could_do_harm_is_refused(made, secret, tmp_path, case):
    """Links, storage elsewhere, plug-ins, claims and bombs are refused within a second, before anything is read."""
    make, words = CASES[case]
    path = changed(made, tmp_path / "bad.h5", make(secret))
    begin = time.perf_counter()
    for read in (dataset.describe, dataset.read, dataset.labels, dataset.verify, dataset.lesson_layout):
        with pytest.raises(ValueError, match=rf"bad\.h5: x_train .*{words}.*; delete it and make it anew"):
            read(path)
    assert time.perf_counter() - begin < 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 2 << 20  # KB
    assert [found.name for found in tmp_path.iterdir()] == ["bad.h5"]


@pytest.mark.parametrize(
    "fact",
    [
        np.zeros(3, [("a", "i4")]),
        np.zeros(3),
        "a text of any length",
        np.array(["a", "b"], "S1"),
        np.bytes_("x" * 5_000),
        h5py.Empty("S10"),
        np.float64("nan"),
    ],
    ids=["records", "numbers", "variable", "texts", "long", "empty", "no number"],
)
@pytest.mark.parametrize("name", ["source", "schema", "synthetic", "digest"])
def test_odd_attributes_are_refused(made, tmp_path, name, fact):
    """An attribute of any other type or size than ours is not read."""
    path = Path(shutil.copy(made, tmp_path / "bad.h5"))
    with h5py.File(path, "r+") as file:
        file.attrs[name] = fact
    with pytest.raises(ValueError, match=rf"bad\.h5: the attribute {name} is missing or of a wrong type"):
        dataset.describe(path)


def test_huge_attributes_beside_ours_are_not_read(made, tmp_path):
    """What else stands in the file costs nothing."""
    path = Path(shutil.copy(made, tmp_path / "set.h5"))
    with h5py.File(path, "r+", libver="latest") as file:
        file.attrs["more"] = np.zeros(4 << 20)
        file["elsewhere"] = h5py.ExternalLink("/dev/zero", "x")
    assert dataset.verify(path).digest == dataset.describe(made).digest


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "link to a pipe"])
def test_what_is_no_file_is_refused_at_once(tmp_path, kind):
    """A pipe that nobody writes to is not waited for, and a device not read."""
    path = tmp_path / "some.h5"
    if kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        os.mkfifo(tmp_path / "pipe")
        path.symlink_to("pipe")
    with pytest.raises(
        ValueError, match=r"some\.h5: this is a folder, pipe or device, not an HDF5 file; name another file"
    ):
        dataset.describe(path)
    with pytest.raises(ValueError, match="name another file"):
        dataset.prepare_synthetic(path, train=3, valid=1)
    assert path.exists()


def test_a_file_that_cannot_be_opened_says_why(tmp_path):
    """The system's own reason is given, and a long name is not repeated in full."""
    (tmp_path / "loop.h5").symlink_to("loop.h5")
    with pytest.raises(OSError, match=r"loop\.h5 cannot be opened \(Too many levels of symbolic links\); name another"):
        dataset.describe(tmp_path / "loop.h5")
    with pytest.raises(OSError, match="File name too long") as caught:
        dataset.describe(tmp_path / ("x" * 100_000))
    assert len(str(caught.value)) < 400


def test_an_error_of_the_disk_is_no_damage(made, tmp_path, monkeypatch):
    """Where the system cannot read, its reason is said, and nobody is told to delete the file."""
    path = Path(shutil.copy(made, tmp_path / "set.h5"))

    class Failing(io.BufferedReader):
        def readinto(self, buffer):
            if self.tell() > 20_000:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return super().readinto(buffer)

    monkeypatch.setattr(hdf5.files, "opened", lambda path: Failing(path.open("rb", buffering=0)))
    with pytest.raises(OSError, match=r"cannot be read \(Input/output error\)") as caught:
        dataset.verify(path)
    assert "delete" not in str(caught.value)


@pytest.fixture(scope="module")
def no_flock(tmp_path_factory):
    """A library that lets flock fail as Lustre and NFS do."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no compiler to stage a file system without locks with")
    source = tmp_path_factory.mktemp("flock") / "no_flock.c"
    source.write_text(NO_FLOCK)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", source.with_suffix(".so"), source], check=True)
    return source.with_suffix(".so")


@pytest.mark.parametrize("number", [38, 37, 524])
@pytest.mark.parametrize("wish", [None, "TRUE", "FALSE", "BEST_EFFORT"])
def test_file_system_without_locks(no_flock, tmp_path, number, wish):
    """Files are made, read, verified and laid out anew where flock fails, whatever HDF5 is told about locks."""
    script = """
import sys
from cifar.data import dataset
path = dataset.prepare_synthetic(sys.argv[1], train=30, valid=10)
dataset.read(path)
layouts = dataset.lesson_layout(path), dataset.aligned_layout(path, gzip=True)
print(*{dataset.verified(file).digest for file in (path, *layouts)})
"""
    environ = os.environ | {"LD_PRELOAD": str(no_flock), "FLOCK_ERRNO": str(number)}
    environ.pop("HDF5_USE_FILE_LOCKING", None)
    if wish:
        environ["HDF5_USE_FILE_LOCKING"] = wish
    command = [sys.executable, "-c", script, str(tmp_path / "set.h5")]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert (len(done.stdout.split()), done.stderr, done.returncode) == (1, "", 0)


def test_name_in_latin_1(tmp_path):
    """A folder whose name is no UTF-8 holds data as any other: made, described, verified, laid out."""
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    path = dataset.prepare_synthetic(folder / "set.h5", train=30, valid=10)
    assert dataset.verified(path).path == path
    assert dataset.verified(dataset.lesson_layout(path)).digest == dataset.verified(path).digest
    path.write_bytes(b"text")
    with pytest.raises(ValueError, match="is no HDF5 file"):
        dataset.verified(path)
