"""CIFAR-10 is taken in each published form and from each usual place, and nothing else is taken for it."""

from __future__ import annotations

import bz2
import dataclasses
import gzip
import hashlib
import io
import lzma
import os
import pickle
import tarfile
import time
import tracemalloc
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

from cifar.data import archive, dataset, published

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

REAL = Path(__file__).parents[3] / "shared" / "data" / "cifar-10-python.tar.gz"
FOLDERS = {"Python form": "cifar-10-batches-py", "binary form": "cifar-10-batches-bin"}


class Tiny:
    """A data set of two training batches of 3 images and one test batch of 2, published as CIFAR-10 is."""

    def __init__(self) -> None:
        """Draw the images."""
        random = np.random.default_rng(0)
        batches = {"data_batch_1": 3, "data_batch_2": 3, "test_batch": 2}
        self.images = {name: random.integers(0, 256, (n, 32, 32, 3), np.uint8) for name, n in batches.items()}
        self.labels = {name: random.integers(0, 10, n, np.uint8) for name, n in batches.items()}
        self.python = {name: self.pickled(name) for name in batches} | {"batches.meta": b"names"}
        self.binary = {f"{name}.bin": self.records(name) for name in batches}
        self.publication = self.published(self.python)

    def planes(self, name: str) -> NDArray[np.uint8]:
        """Return the images of a batch as rows of three planes."""
        return self.images[name].transpose(0, 3, 1, 2).reshape(-1, 3072)

    def pickled(self, name: str) -> bytes:
        """Return a batch in Python form."""
        batch = {b"data": self.planes(name), b"labels": self.labels[name].tolist()}
        return pickle.dumps(batch, protocol=3)

    def records(self, name: str) -> bytes:
        """Return a batch in binary form."""
        return np.concatenate([self.labels[name][:, None], self.planes(name)], axis=1).tobytes()

    def published(self, python: Mapping[str, bytes]) -> published.Publication:
        """Return a publication with the digests of these members of the Python form."""
        sha256 = {name: hashlib.sha256(data).hexdigest() for name, data in python.items()}
        original = published.CIFAR_10.forms
        forms = (
            dataclasses.replace(
                original[0],
                train={name: sha256[name] for name in ("data_batch_1", "data_batch_2")},
                valid={"test_batch": sha256["test_batch"]},
                beside={"batches.meta": sha256["batches.meta"]},
            ),
            dataclasses.replace(
                original[1],
                train=dict.fromkeys(["data_batch_1.bin", "data_batch_2.bin"]),
                valid={"test_batch.bin": None},
            ),
        )
        train = ("data_batch_1", "data_batch_2")
        arrays = {
            "x_train": np.concatenate([self.images[name] for name in train]),
            "y_train": np.concatenate([self.labels[name] for name in train]),
            "x_valid": self.images["test_batch"],
            "y_valid": self.labels["test_batch"],
        }
        return published.Publication(
            title="Tiny",
            url="http://127.0.0.1:9/tiny.tar.gz",
            sha256="0" * 64,
            train=6,
            valid=2,
            arrays={name: hashlib.sha256(rows.data).hexdigest() for name, rows in arrays.items()},
            forms=forms,
        )

    def members(self, title: str) -> dict[str, bytes]:
        """Return the members of a form."""
        return self.python if title == "Python form" else self.binary


@pytest.fixture(scope="module")
def tiny() -> Tiny:
    """Return the tiny data set."""
    return Tiny()


@pytest.fixture(autouse=True)
def _nothing_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Home, caches and working folder are empty: no test finds what this machine keeps."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    monkeypatch.setenv("HOME", str(home))
    for name in ("KERAS_HOME", "TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)


def packed(path: Path, members: Mapping[str, bytes], folder: str = "cifar-10-batches-py/") -> Path:
    """Return the path of a tar archive with the members in the folder."""
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(folder + name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def unpacked(folder: Path, members: Mapping[str, bytes]) -> Path:
    """Return the folder with the members in it as files."""
    folder.mkdir(parents=True)
    for name, data in members.items():
        (folder / name).write_bytes(data)
    return folder


def prepared(tiny: Tiny, tmp_path: Path, source: Path | None) -> dataset.Description:
    """Return what the HDF5 file made from the source says about itself, once it is verified."""
    target = dataset.prepare(tmp_path / "out" / "set.h5", source, publication=tiny.publication)
    dataset.verify(target)
    return dataset.describe(target)


@pytest.mark.parametrize("title", list(FOLDERS))
@pytest.mark.parametrize("kind", ["archive", "folder", "folder around it"])
def test_each_form_is_taken(tiny: Tiny, tmp_path: Path, title: str, kind: str) -> None:
    """Archive and folder of both forms give the same arrays, told apart by content."""
    members = tiny.members(title)
    if kind == "archive":
        source = packed(tmp_path / "any name", members, folder=f"{FOLDERS[title]}/")
    else:
        source = unpacked(tmp_path / "data" / FOLDERS[title], members)
    described = prepared(tiny, tmp_path, source.parent if kind == "folder around it" else source)
    assert described.arrays == tiny.publication.arrays
    assert (described.source, described.synthetic) == ("Tiny", False)


def test_an_archive_may_be_packed_anyhow(tiny: Tiny, tmp_path: Path) -> None:
    """Not compressed, in another order, with other files in it: the members count."""
    path = tmp_path / "data.tar"
    with tarfile.open(path, "w") as archive:
        for name, data in [
            ("readme.html", b"hello"),
            *reversed(tiny.python.items()),
            ("._data_batch_1", b"mac"),
        ]:
            info = tarfile.TarInfo(f"./x/{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    assert prepared(tiny, tmp_path, path).arrays == tiny.publication.arrays


@pytest.mark.parametrize(
    "place",
    [
        "home/.keras/datasets/cifar-10-batches-py-target/cifar-10-batches-py",
        "home/.keras/datasets/cifar-10-batches-py-target_archive",
        "home/.keras/datasets/cifar-10-batches-py",
        "home/.keras/datasets/cifar-10-batches-py.tar.gz",
        "home/data/cifar-10-batches-py",
        "home/data/tiny.tar.gz",
        "home/.cache/cifar-bench/tiny.tar.gz",
        "keras/datasets/cifar-10-batches-py",
        "torch/datasets/cifar-10-batches-py",
        "xdg/cifar-bench/tiny.tar.gz",
    ],
)
def test_usual_places_are_looked_at(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """Without a source, what Keras, torchvision or an earlier download keep is found."""
    if not place.startswith("home"):
        for name, folder in (("KERAS_HOME", "keras"), ("TORCH_HOME", "torch"), ("XDG_CACHE_HOME", "xdg")):
            monkeypatch.setenv(name, str(tmp_path / folder))
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    if place.endswith(("gz", "archive")):
        packed(path, tiny.python)
    else:
        unpacked(path, tiny.python)
    assert prepared(tiny, tmp_path, None).arrays == tiny.publication.arrays


def test_a_broken_one_in_a_usual_place_is_passed_over(tiny: Tiny, tmp_path: Path) -> None:
    """What is broken is named in a warning, and the next place is tried."""
    unpacked(tmp_path / "home" / ".keras" / "datasets" / "cifar-10-batches-py", {"data_batch_1": b"cut"})
    packed(tmp_path / "home" / "data.tar.gz", tiny.python).rename(tmp_path / "home" / "tiny.tar.gz")
    unpacked(tmp_path / "home" / "data", {"tiny.tar.gz": (tmp_path / "home" / "tiny.tar.gz").read_bytes()})
    with pytest.warns(UserWarning, match=r"passed over: .*cifar-10-batches-py.*missing"):
        assert prepared(tiny, tmp_path, None).arrays == tiny.publication.arrays


class Evil:
    """Unpickling this makes a folder."""

    def __init__(self, path: Path) -> None:
        """Keep the path."""
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        """Say how to be unpickled."""
        return os.mkdir, (str(self.path),)


def test_nothing_is_unpickled_before_its_digest_is_right(tiny: Tiny, tmp_path: Path) -> None:
    """A malicious pickle in place of the last batch is refused by its digest, unread."""
    evil = tiny.python | {"test_batch": pickle.dumps(Evil(tmp_path / "executed"))}
    with pytest.raises(ValueError, match="test_batch has the wrong SHA-256"):
        prepared(tiny, tmp_path, packed(tmp_path / "evil.tar.gz", evil))
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("batch", "why"),
    [
        (Evil(Path("executed")), "it names posix.mkdir"),
        ({b"labels": [1, 2]}, "b'data'"),
        ({b"data": "text", b"labels": [1, 2]}, "3072"),
        ({b"data": np.zeros((3, 3072), np.uint8), b"labels": [1, 2]}, "3072"),
        ({b"data": np.zeros((2, 3072), np.float32), b"labels": [1, 2]}, "3072"),
        ({b"data": np.zeros((2, 3072), np.uint8), b"labels": [1, 256]}, "256"),
        ({b"data": np.zeros((2, 3072), np.uint8), b"labels": 3}, "no batch|3072"),
        ([1, 2], "no batch"),
        (None, "no batch"),
    ],
    ids=["malicious", "no data", "text", "too many", "floats", "label 256", "one label", "list", "None"],
)
def test_a_pickle_with_the_right_digest_may_still_only_be_a_batch(
    tiny: Tiny, tmp_path: Path, batch: object, why: str
) -> None:
    """Even where digests are right, only arrays and plain types are unpickled, and must make up a batch."""
    members = tiny.python | {"test_batch": pickle.dumps(batch, protocol=3)}
    source = packed(tmp_path / "odd.tar.gz", members)
    with pytest.raises(ValueError, match=rf"odd\.tar\.gz: test_batch: .*({why}).*--source"):
        dataset.prepare(tmp_path / "set.h5", source, publication=tiny.published(members))
    assert not Path("executed").exists()
    assert not (tmp_path / "set.h5").exists()


def archive_of(*infos: tuple[str, bytes, bytes]) -> bytes:
    """Return a tar archive of (name, type, content or link target)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, kind, data in infos:
            info = tarfile.TarInfo(name)
            info.type = kind
            if kind == tarfile.REGTYPE:
                info.size = len(data)
            else:
                info.linkname = data.decode()
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def bad_archives(tiny: Tiny) -> dict[str, tuple[bytes, str]]:
    """Return archives that are not the tiny data set, each with what is said about it."""
    regular, members = tarfile.REGTYPE, tiny.python
    whole = archive_of(*((f"x/{name}", regular, data) for name, data in members.items()))
    packed_whole = gzip.compress(whole, 1)
    without = {name: data for name, data in members.items() if name != "data_batch_2"}
    rest = [(f"x/{name}", regular, data) for name, data in without.items()]
    flipped = bytearray(members["data_batch_2"])
    flipped[5_000] ^= 1
    records = {f"x/{name}": data for name, data in tiny.binary.items()}
    return {
        "empty file": (b"", "cannot be read as a tar"),
        "text": (b"no tar at all\n" * 100, "cannot be read as a tar"),
        "zeros": (bytes(20_480), "none of the files expected"),
        "empty tar": (archive_of(), "none of the files expected"),
        "gzip of text": (gzip.compress(b"no tar"), "cannot be read as a tar"),
        "other files": (archive_of(("x/readme", regular, b"hello")), "none of the files expected"),
        "cut in a member": (whole[: len(whole) // 2], "cannot be read as a tar|missing"),
        "cut gzip, at the head": (packed_whole[:100], "cannot be read as a tar"),
        "cut gzip, in the middle": (packed_whole[: len(packed_whole) // 2], "cannot be read as a tar"),
        "damaged gzip": (
            packed_whole[:9_000] + b"\0\0\0\0" + packed_whole[9_004:],
            "cannot be read|wrong SHA-256",
        ),
        "missing member": (archive_of(*rest), "data_batch_2 missing"),
        "flipped bit": (
            archive_of(*rest, ("x/data_batch_2", regular, bytes(flipped))),
            "data_batch_2 has the wrong",
        ),
        "empty member": (archive_of(*rest, ("x/data_batch_2", regular, b"")), "data_batch_2 has the wrong"),
        "symbolic link": (
            archive_of(*rest, ("x/data_batch_2", tarfile.SYMTYPE, b"/etc/passwd")),
            "data_batch_2 missing",
        ),
        "hard link": (
            archive_of(*rest, ("x/data_batch_2", tarfile.LNKTYPE, b"x/test_batch")),
            "data_batch_2 missing",
        ),
        "device": (archive_of(*rest, ("x/data_batch_2", tarfile.CHRTYPE, b"")), "data_batch_2 missing"),
        "pipe": (archive_of(*rest, ("x/data_batch_2", tarfile.FIFOTYPE, b"")), "data_batch_2 missing"),
        "folder": (archive_of(*rest, ("x/data_batch_2", tarfile.DIRTYPE, b"")), "data_batch_2 missing"),
        "in several folders": (
            archive_of(*rest, ("y/data_batch_2", regular, members["data_batch_2"])),
            "several folders",
        ),
        "path traversal": (
            archive_of(*rest, ("../../data_batch_2", regular, members["data_batch_2"])),
            "several folders",
        ),
        "other set, binary form": (
            archive_of(*((name, regular, data[::-1]) for name, data in records.items())),
            "x_train differs",
        ),
        "cut records": (
            archive_of(*((name, regular, data[:-1]) for name, data in records.items())),
            "no whole number of records",
        ),
        "no records": (archive_of(*((name, regular, b"") for name in records)), "no whole number of records"),
        "fewer records": (
            archive_of(*((name, regular, data[:3_073]) for name, data in records.items())),
            "x_train differs",
        ),
        "more records": (
            archive_of(*((name, regular, data * 2) for name, data in records.items())),
            "more images than there should be",
        ),
    }


@pytest.mark.parametrize("case", list(bad_archives(Tiny())))
def test_what_is_not_the_published_archive_is_refused(tiny: Tiny, tmp_path: Path, case: str) -> None:
    """The error names the archive, what is wrong and the remedy; nothing is written anywhere."""
    data, why = bad_archives(tiny)[case]
    source = tmp_path / "bad.tar.gz"
    source.write_bytes(data)
    before = sorted(path for path in tmp_path.rglob("*"))
    with pytest.raises(ValueError, match=f"(?s)({why}).*--source") as caught:
        dataset.prepare(tmp_path / "set.h5", source, publication=tiny.publication)
    assert str(source) in str(caught.value)
    assert sorted(path for path in tmp_path.rglob("*")) == before


def test_paths_in_an_archive_are_never_used(tiny: Tiny, tmp_path: Path) -> None:
    """Members whose names lead out of the folder are read like others, and nothing is written there."""
    source = packed(tmp_path / "up.tar.gz", tiny.python, folder="../../../up/")
    assert prepared(tiny, tmp_path, source).arrays == tiny.publication.arrays
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "out", "up.tar.gz"]


def test_a_member_far_too_large_is_not_read(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A member that could fill the memory is refused by the size its header states."""
    monkeypatch.setattr(archive, "MEMBER_LIMIT", 1_000)
    with pytest.raises(ValueError, match="far more than an official file"):
        prepared(tiny, tmp_path, packed(tmp_path / "large.tar.gz", tiny.python))


def header(name: str, kind: bytes, size: int) -> bytes:
    """Return a header alone, whatever its member may come to."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


def extended(**facts: object) -> bytes:
    """Return a pax header that says something else of the next member."""
    records = b""
    for name, fact in facts.items():
        rest = f" {name.replace('_', '.')}={fact}\n".encode()
        length = next(size for size in range(len(rest), 999) if size == len(rest) + len(str(size)))
        records += str(length).encode() + rest
    return header("pax", tarfile.XHDTYPE, len(records)) + records + bytes(-len(records) % 512)


def zipped(*parts: bytes, zeros: int = 0) -> bytes:
    """Return the parts and then as many MB of zeros, compressed."""
    packer = zlib.compressobj(1, wbits=31)
    return b"".join([packer.compress(part) for part in (*parts, *[bytes(1 << 20)] * zeros)]) + packer.flush()


BATCH = header("x/data_batch_1", tarfile.REGTYPE, 20 << 20)
BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "60 folders of 60 MB": (
        lambda: zipped(*(header(f"{n}/data_batch_1", b"0", 60 << 20) + bytes(60 << 20) for n in range(2))),
        "far more than an official file",
    ),
    "60 folders of 20 MB": (
        lambda: zipped(*(header(f"{n}/data_batch_1", b"0", 20 << 20) + bytes(20 << 20) for n in range(3))),
        "lie in several folders",
    ),
    "one file 60 times": (lambda: zipped(*[BATCH + bytes(20 << 20)] * 30), "ends at byte"),
    "terabytes of something else": (lambda: zipped(header("junk", b"0", 1 << 40), zeros=20), "ends at byte"),
    "gigabytes that are there": (lambda: zipped(header("junk", b"0", 700 << 20), zeros=700), "ends at byte"),
    "a name of gigabytes": (lambda: zipped(header("x", b"L", 2 << 30), zeros=100), "a header of"),
    "facts of gigabytes": (lambda: zipped(header("x", b"x", 2 << 30), zeros=100), "a header of"),
    "a name of 100,000 letters": (lambda: header("x", b"L", 100_000) + b"a" * 100_352 + BATCH, "a header of"),
    "names without end": (lambda: zipped((header("x", b"L", 5) + bytes(512)) * 20_000), "headers without end"),
    "members without end": (lambda: zipped(*(header(str(n), b"0", 0) for n in range(20_000))), "more than 1,000 mem"),
    "parts without end": (lambda: gzip.compress(b"") * 100_000, "packed in more than"),
    "parts of bzip2 without end": (lambda: b"BZh9\x17rE8P\x90\0\0\0\0" * 100_000, "packed in more than"),
    "a size below 0": (lambda: extended(size=-1_024) + header("x", b"0", 0) + bytes(1_024), "ends at byte|holds none"),
    "a size that is none": (lambda: extended(size="many") + header("x", b"0", 0) + bytes(1_024), "cannot be read|none"),
    "holes": (
        lambda: (
            extended(
                GNU_sparse_major=1, GNU_sparse_minor=0, GNU_sparse_realsize=20 << 20, GNU_sparse_name="data_batch_1"
            )
            + header("x", b"0", 512)
            + b"1\n0\n0\n".ljust(512, b"\0")
        ),
        "has holes",
    ),
    "holes of an older kind": (lambda: header("x/data_batch_1", tarfile.GNUTYPE_SPARSE, 512), "none of|cannot be read"),
    "xz of gigabytes": (lambda: lzma.compress(header("junk", b"0", 1 << 40) + bytes(1 << 20)), "ends at byte"),
    "xz with a dictionary of gigabytes": (
        lambda: lzma.compress(b"x", filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1536 << 20, "mode": 1, "mf": 3}]),
        "cannot be read",
    ),
}


@pytest.mark.parametrize("case", list(BOMBS))
def test_an_archive_takes_bounded_time_and_memory(tiny: Tiny, tmp_path: Path, case: str) -> None:
    """What could fill the memory or take hours is refused in seconds, by at most some of what the real one needs."""
    make, why = BOMBS[case]
    source = tmp_path / "bomb"
    source.write_bytes(make())
    begin = time.monotonic()
    tracemalloc.start()
    with pytest.raises(ValueError, match=rf"bomb: .*({why}).*--source"):
        dataset.prepare(tmp_path / "set.h5", source, publication=tiny.publication)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200 << 20
    assert time.monotonic() - begin < 60
    assert [path.name for path in tmp_path.iterdir() if path.name != "home"] == ["bomb"]


@pytest.mark.parametrize("packer", [gzip.compress, bz2.compress, lzma.compress, bytes])
def test_a_packed_archive_is_read_as_it_is(tiny: Tiny, tmp_path: Path, packer: Callable[[bytes], bytes]) -> None:
    """Packed by any of the usual ways, also in two parts and with zeros behind, it is the same."""
    whole = archive_of(*((f"x/{name}", tarfile.REGTYPE, data) for name, data in tiny.python.items()))
    source = tmp_path / "archive"
    source.write_bytes(packer(whole[:5_000]) + packer(whole[5_000:]) + bytes(512))
    assert prepared(tiny, tmp_path, source).arrays == tiny.publication.arrays


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_source_that_is_no_file_is_refused_at_once(tiny: Tiny, tmp_path: Path, kind: str) -> None:
    """A pipe is not waited for, and a device not read to its end."""
    source = tmp_path / "source"
    if kind == "pipe":
        os.mkfifo(source)
    else:
        source.symlink_to("/dev/zero")
    with pytest.raises(ValueError, match=r"source: this is a pipe or device, neither an archive nor a folder"):
        prepared(tiny, tmp_path, source)


def test_a_folder_of_pipes_is_not_waited_for(tiny: Tiny, tmp_path: Path) -> None:
    """Members that are pipes are missing; members that are links to files are read."""
    folder = unpacked(tmp_path / "folder", {name: data for name, data in tiny.python.items() if name != "test_batch"})
    os.mkfifo(folder / "test_batch")
    with pytest.raises(ValueError, match="test_batch missing"):
        prepared(tiny, tmp_path, folder)
    (tmp_path / "elsewhere").write_bytes(tiny.python["test_batch"])
    (folder / "test_batch").unlink()
    (folder / "test_batch").symlink_to(tmp_path / "elsewhere")
    assert prepared(tiny, tmp_path, folder).arrays == tiny.publication.arrays


def test_a_folder_with_many_entries_is_not_searched_for_ever(tiny: Tiny, tmp_path: Path) -> None:
    """Where members are not in the folder itself, a thousand entries are looked at."""
    for number in range(3_000):
        (tmp_path / "many" / str(number)).mkdir(parents=True)
    with pytest.raises(ValueError, match="none of the files expected"):
        prepared(tiny, tmp_path, tmp_path / "many")
    for name, data in tiny.python.items():
        (tmp_path / "many" / name).write_bytes(data)
    assert prepared(tiny, tmp_path, tmp_path / "many").arrays == tiny.publication.arrays


@pytest.mark.parametrize("members", [{}, {"notes.txt": b"x"}], ids=["empty", "other files"])
def test_a_folder_without_members_is_refused(tiny: Tiny, tmp_path: Path, members: dict[str, bytes]) -> None:
    """The error names the folder and the remedy."""
    folder = unpacked(tmp_path / "folder", members)
    with pytest.raises(ValueError, match=r"folder: it holds none of the files expected.*--source"):
        prepared(tiny, tmp_path, folder)


def test_a_folder_with_one_member_missing_names_it(tiny: Tiny, tmp_path: Path) -> None:
    """Which file is missing is said."""
    members = {name: data for name, data in tiny.binary.items() if name != "test_batch.bin"}
    with pytest.raises(ValueError, match=r"test_batch\.bin missing \(binary form\)"):
        prepared(tiny, tmp_path, unpacked(tmp_path / "folder", members))


def test_a_source_that_does_not_exist_is_named(tiny: Tiny, tmp_path: Path) -> None:
    """The error names the path and the option."""
    with pytest.raises(FileNotFoundError, match=r"nowhere: there is no such archive or folder.*--source"):
        prepared(tiny, tmp_path, tmp_path / "nowhere")


def test_progress_ends_complete(tiny: Tiny, tmp_path: Path) -> None:
    """Reading and writing tell how far they are, and end at the total."""
    seen: dict[str, tuple[int, int]] = {}

    def progress(what: str, done: int, total: int) -> None:
        seen[what] = (done, total)

    source = packed(tmp_path / "tiny.tar.gz", tiny.python)
    dataset.prepare(tmp_path / "set.h5", source, publication=tiny.publication, progress=progress)
    assert seen == {"read tiny.tar.gz": (source.stat().st_size,) * 2, "write set.h5": (8, 8)}


def records_of(archive: Path, folder: Path) -> Path:
    """Return the folder with the official batches in binary form, made from the Python form."""
    folder.mkdir()
    with tarfile.open(archive) as tar:
        for member in tar:
            name = Path(member.name).name
            if "batch_" in name or name == "test_batch":
                file: Any = tar.extractfile(member)
                batch = pickle.load(file, encoding="bytes")  # noqa: S301 (checked by the test before this one)
                labels = np.array(batch[b"labels"], np.uint8)[:, None]
                (folder / f"{name}.bin").write_bytes(np.concatenate([labels, batch[b"data"]], axis=1).tobytes())
    return folder


@pytest.mark.skipif(not REAL.exists(), reason=f"CIFAR-10 is not in {REAL.parent}")
def test_real_cifar_10_has_the_published_digests(tmp_path: Path) -> None:
    """The official Python form gives a file with the digests, the first pixels and the first label known."""
    path = dataset.prepare(tmp_path / "cifar10.h5", REAL)
    dataset.verify(path)
    assert dataset.describe(path).arrays == published.CIFAR_10.arrays
    with h5py.File(path) as file:
        assert file["x_train"][0, 0, :2].tolist() == [[59, 62, 63], [43, 46, 45]]
        assert dataset.CLASS_NAMES[file["y_train"][0, 0]] == "frog"


@pytest.mark.skipif(not REAL.exists(), reason=f"CIFAR-10 is not in {REAL.parent}")
def test_real_cifar_10_in_binary_form_has_the_same_digests(tmp_path: Path) -> None:
    """The records of the binary form, made from the Python form, give the arrays of the published digests."""
    folder = records_of(REAL, tmp_path / "cifar-10-batches-bin")
    names = [name for name, _ in published.blocks(folder, published.CIFAR_10, tmp_path, dataset.silent)]
    assert names == ["x_train", "y_train"] * 5 + ["x_valid", "y_valid"]
