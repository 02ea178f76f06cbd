"""HDF5 files and archives of any content: the same arrays, or a sentence, in bounded time and memory."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import hashlib
import io
import json
import pickle
import select
import shutil
import subprocess
import sys
import tarfile

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cifar.data import dataset, published

DEADLINE = 30  # seconds for one file, some of which the machine may be busy with something else
MEMORY = 4 << 30  # bytes that the reading process may have at all

READER = """
import json, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]),) * 2)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
from pathlib import Path
from cifar.data import dataset
print("ready", flush=True)
for line in sys.stdin:
    path = Path(line.rstrip("\\n"))
    try:
        found = dataset.verify(path)
        dataset.read(path, "valid", 0, found.valid)
        dataset.labels(path)
        answer = [found.digest, found.train, found.valid]
    except (OSError, ValueError) as error:
        answer = str(error)
    print(json.dumps(answer), flush=True)
"""


class Reader:
    """A process that verifies files, for HDF5 could crash it; started anew where it has gone."""

    process = None

    def __call__(self, path):
        """What the process says to the file; AssertionError where it dies of it, or takes longer than the deadline."""
        if self.process is None:
            command = [sys.executable, "-c", READER, str(MEMORY)]
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            assert self.process.stdout.readline() == "ready\n"
        self.process.stdin.write(f"{path}\n")
        self.process.stdin.flush()
        in_time = select.select([self.process.stdout], [], [], DEADLINE)[0]
        line = self.process.stdout.readline() if in_time else ""
        if not line:
            self.stop()
            reason = "it hangs" if not in_time else f"it died ({self.code}): {self.words[-500:]}"
            raise AssertionError(reason)
        return json.loads(line)

    def stop(self):
        """End the process."""
        if self.process:
            self.process.kill()
            self.words = self.process.communicate()[1]
            self.code, self.process = self.process.returncode, None


@pytest.fixture(scope="module")
def reader():
    """The process that reads."""
    reader = Reader()
    yield reader
    reader.stop()


@pytest.fixture(scope="module")
def layouts(tmp_path_factory):
    """A stand-in of 30 and 10 images in each layout, by its name."""
    path = dataset.prepare_synthetic(tmp_path_factory.mktemp("data") / "set.h5", train=30, valid=10)
    return {
        "ours": path,
        "the lesson's": dataset.lesson_layout(path),
        "aligned": dataset.aligned_layout(path, gzip=True),
    }


@st.composite
def bytes_changed(draw, data):
    """The bytes with some of them changed, most often at the places that are no images."""
    data = bytearray(data)
    kind = draw(st.sampled_from(("bit", "bit", "byte", "word", "zeros", "cut", "insert", "repeat")))
    last = len(data) - 1
    where = draw(st.one_of(st.integers(0, last), st.integers(0, 3_000), st.integers(last - 3_000, last)))
    if kind == "bit":
        data[where] ^= 1 << draw(st.integers(0, 7))
    elif kind == "byte":
        data[where] = draw(st.sampled_from((0, 1, 127, 128, 255)))
    elif kind == "word":
        size = draw(st.sampled_from((2, 4, 8)))
        value = draw(st.sampled_from((0, 1, 2**15, 2**16 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1, len(data), where)))
        data[where : where + size] = (value % 256**size).to_bytes(size, "little")
    elif kind == "zeros":
        size = min(draw(st.integers(1, 600)), len(data) - where)
        data[where : where + size] = bytes(size)
    elif kind == "cut":
        del data[where:]
    elif kind == "insert":
        data[where:where] = draw(st.binary(min_size=1, max_size=9))
    else:
        other = draw(st.integers(0, 3_000))
        data[where : where + 64] = data[other : other + 64]
    return bytes(data)


def judge(answer, good, tally, kind):
    """Right is a sentence of one line, or the data as they were."""
    if isinstance(answer, str):
        assert len(answer.splitlines()) == 1, answer
        assert "Traceback" not in answer
        tally[f"{kind}, refused"] += 1
    else:
        assert answer == [good.digest, good.train, good.valid]
        tally[f"{kind}, read"] += 1


@pytest.mark.parametrize("layout", ["ours", "the lesson's", "aligned"])
def test_changed_bytes(layouts, reader, tally, tmp_path_factory, layout):
    """Whatever bytes of an HDF5 file were changed, it is refused or its arrays are the same."""
    whole, good = layouts[layout].read_bytes(), dataset.describe(layouts[layout])
    path = tmp_path_factory.mktemp("fuzz") / "some.h5"

    @given(bytes_changed(whole))
    def one(data):
        path.write_bytes(data)
        judge(reader(path), good, tally, f"HDF5, bytes ({layout})")

    one()


FACTS = (
    *(0, 1, 2, -1, 2**40, 1.5, float("nan"), True, False, b"", b"CIFAR-10", b"0" * 64, b"x" * 60_000, "text", "\u20ac"),
    *([], [1, 2], np.zeros((3, 3)), np.void(b"some"), h5py.Empty("u1"), np.array([b"a", b"b"])),
)
SHAPES = (
    *(
        (),
        (0,),
        (30,),
        (30, 1),
        (10, 1),
        (30, 32, 32, 3),
        (30, 3, 32, 32),
        (30, 3_072),
        (31, 32, 32, 3),
        (0, 32, 32, 3),
    ),
    *((10**12, 32, 32, 3), (10**12, 1), (2**40, 2**40), (30, 32, 32, 3, 1)),
)
TYPES = ("u1", "i1", "<u2", ">u4", "i8", "f2", "f4", "f8", "?", "S3", "V5", "c8", [("a", "u1")])
KEPT = (
    *({}, {"chunks": True}, {"chunks": True, "compression": "gzip"}, {"chunks": True, "compression": "lzf"}),
    *({"chunks": True, "shuffle": True, "fletcher32": True}, {"chunks": True, "scaleoffset": 3}, {"fillvalue": 3}),
    *(
        {"external": [("/etc/passwd", 0, h5py.h5f.UNLIMITED)]},
        {"chunks": True, "maxshape": None},
        {"track_times": True},
    ),
)


REFUSALS = (AttributeError, TypeError, ValueError, OSError, KeyError, RuntimeError)  # what h5py says to odd wishes


@st.composite
def structure_changed(draw, file):
    """Change one thing of the open file: an attribute, a dataset's values, shape, type or storage, or its place."""
    name = draw(st.sampled_from(dataset.ARRAYS))
    kind = draw(st.sampled_from(("attribute", "attribute", "values", "new", "new", "new", "link", "delete", "more")))
    if kind == "attribute":
        holder = draw(st.sampled_from((file, file[name])))
        fact = draw(st.sampled_from(("schema", "source", "synthetic", "digest", "creator", "sha256", "more")))
        if draw(st.booleans()):
            holder.attrs[fact] = draw(st.sampled_from(FACTS))
        elif fact in holder.attrs:
            del holder.attrs[fact]
    elif kind == "values":
        row = draw(st.integers(0, len(file[name]) - 1))
        file[name][row] = draw(st.integers(0, 255))
    elif kind == "more":
        file.create_group(draw(st.sampled_from(("a", "x_train/b", "\u20ac")))) if name != "x_train" else None
    else:
        replace(draw, file, name, kind)


def replace(draw, file, name, kind):
    """Put something else in the place of a dataset, or nothing."""
    digest, rows = file[name].attrs["sha256"], file[name][:]
    file.move(name, "moved")
    if kind == "link":
        where = st.sampled_from(("/moved", f"/{name}", "/", "/none"))
        links = (h5py.SoftLink(draw(where)), h5py.ExternalLink("/etc/passwd", draw(where)), file["/"], file["moved"])
        file[name] = draw(st.sampled_from(links))
    elif kind == "new":
        shape = draw(st.one_of(st.just(rows.shape), st.sampled_from(SHAPES)))
        made = file.create_dataset(name, shape, draw(st.sampled_from(TYPES)), **draw(st.sampled_from(KEPT)))
        made.attrs["sha256"] = digest
        if shape == rows.shape and draw(st.booleans()):
            made[...] = rows


def test_changed_structure(layouts, reader, tally, tmp_path_factory):
    """Whatever h5py can make of a file of ours, it is refused or its arrays are the same."""
    good = dataset.describe(layouts["ours"])
    path = tmp_path_factory.mktemp("fuzz") / "some.h5"

    @given(st.data())
    def one(data):
        shutil.copy(layouts["ours"], path)
        with contextlib.suppress(*REFUSALS), h5py.File(path, "r+") as file:
            data.draw(structure_changed(file))  # what h5py itself refuses leaves a file half changed, which is as good
        judge(reader(path), good, tally, "HDF5, structure")

    one()


# --- archives


def small_publication():
    """The members of a data set of 4 and 2 images in Python form, and what is published of it."""
    random = np.random.default_rng(0)
    members, arrays = {}, {}
    for name, part, count in (("data_batch_1", "train", 4), ("test_batch", "valid", 2)):
        rows, labels = random.integers(0, 256, (count, 3072), np.uint8), random.integers(0, 10, (count, 1), np.uint8)
        members[name] = pickle.dumps({b"data": rows, b"labels": labels.reshape(-1).tolist()}, protocol=3)
        pixels = np.ascontiguousarray(rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        arrays |= {f"x_{part}": hashlib.sha256(pixels).hexdigest(), f"y_{part}": hashlib.sha256(labels).hexdigest()}
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in members.items()}
    form = dataclasses.replace(
        published.CIFAR_10.forms[0],
        train={"data_batch_1": digests["data_batch_1"]},
        valid={"test_batch": digests["test_batch"]},
        beside={},
    )
    facts = {"title": "Small", "train": 4, "valid": 2, "arrays": arrays, "forms": (form,)}
    return members, dataclasses.replace(published.CIFAR_10, **facts)


MEMBERS, SMALL = small_publication()
NAMES = (
    "data_batch_1",
    "../../data_batch_1",
    "/test_batch",
    "x/test_batch",
    "y/data_batch_1",
    "x" * 300,
    "",
    "\u20ac\n",
)


@st.composite
def archives(draw):
    """An archive of the members, in which some have another name, size, kind, fact or content."""
    buffer = io.BytesIO()
    kind = draw(st.sampled_from((tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT)))
    with contextlib.suppress(ValueError):
        for name, content in MEMBERS.items():
            info, data = tarfile.TarInfo(f"x/{name}"), content
            change = draw(
                st.sampled_from(("none", "none", "none", "name", "size", "kind", "fact", "content", "double"))
            )
            info.size = len(data)
            if change == "name":
                info.name = draw(st.sampled_from(NAMES))
            elif change == "size":
                info.size = draw(st.sampled_from((0, 1, 512, len(data) - 1, 32 << 20, 2**31, 2**33 - 1, 2**40)))
            elif change == "kind":
                info.type = draw(st.sampled_from([bytes([sign]) for sign in b"0123456789LKSxgX\0"]))
                info.linkname = draw(st.sampled_from(("/etc/passwd", "x/test_batch", "")))
            elif change == "fact":
                fact = draw(
                    st.sampled_from(("size", "path", "GNU.sparse.size", "GNU.sparse.map", "GNU.sparse.major", "x"))
                )
                info.pax_headers = {fact: draw(st.sampled_from(("-1", "0", "1", "9" * 30, "0,1", "a", "x/test_batch")))}
            elif change == "content":
                data = draw(bytes_changed(content))
            member = info.tobuf(kind) + data + bytes(-len(data) % tarfile.BLOCKSIZE)
            buffer.write(member * (2 if change == "double" else 1))
    data = buffer.getvalue() + bytes(2 * tarfile.BLOCKSIZE)
    if draw(st.booleans()):
        data = gzip.compress(data, 1)
    return draw(bytes_changed(data)) if len(data) > 4_000 and draw(st.booleans()) else data


def test_changed_archives(tally, tmp_path_factory):
    """Whatever an archive holds, it is refused in a sentence that names it, or gives the published arrays."""
    folder = tmp_path_factory.mktemp("fuzz")
    source = folder / "archive"

    @given(archives())
    def one(data):
        source.write_bytes(data)
        digests = {name: hashlib.sha256() for name in SMALL.arrays}
        try:
            for name, rows in published.blocks(source, SMALL, lambda: folder, dataset.silent):
                digests[name].update(rows)
        except ValueError as error:
            said = str(error)
            assert str(source) in said
            assert len(said) < 1_000
            tally["archives, refused"] += 1
        else:
            assert {name: digest.hexdigest() for name, digest in digests.items()} == SMALL.arrays
            tally["archives, read"] += 1
        assert [path.name for path in folder.iterdir()] == ["archive"]

    one()
