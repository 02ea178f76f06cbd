"""The HDF5 file holds what went in, says what it is, and is refused in plain words when something is wrong with it."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import hypothesis.extra.numpy as arrays_of
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cifar.data import dataset, published

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Damage = Callable[[h5py.File], object]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a stand-in of 30 and 10 images."""
    return dataset.prepare_synthetic(tmp_path_factory.mktemp("made") / "set.h5", train=30, valid=10)


def test_the_file_is_as_the_lesson_names_it(made: Path) -> None:
    """The four datasets have the lesson's names and shapes and lie in one piece, so that they can be mapped."""
    with h5py.File(made) as file:
        assert {name: (file[name].shape, file[name].dtype) for name in file} == {
            "x_train": ((30, 32, 32, 3), np.uint8),
            "y_train": ((30, 1), np.uint8),
            "x_valid": ((10, 32, 32, 3), np.uint8),
            "y_valid": ((10, 1), np.uint8),
        }
        for name in file:
            mapped = np.memmap(made, np.uint8, "r", file[name].id.get_offset(), file[name].shape)
            assert np.array_equal(mapped, file[name])
            assert file[name].chunks is None


def test_the_file_says_what_it_is(made: Path) -> None:
    """The description gives schema, source, numbers, creator, and digests that hashlib confirms."""
    described = dataset.describe(str(made))
    with h5py.File(made) as file:
        digests = {name: hashlib.sha256(file[name][:]).hexdigest() for name in file}
    assert described.arrays == digests
    assert (described.path, described.schema, described.train, described.valid) == (made, 1, 30, 10)
    assert (described.synthetic, described.source) == (True, "made up, not CIFAR-10 (stand-in, seed 0)")
    assert described.creator.startswith("cifar-bench ")
    lines = "".join(f"{name} {digests[name]}\n" for name in ("x_train", "y_train", "x_valid", "y_valid"))
    assert described.digest == hashlib.sha256(lines.encode()).hexdigest()


def test_describing_takes_milliseconds(tmp_path: Path) -> None:
    """Describing does not read the images: on 31 MB the best of five times is below 0.05 s."""
    path = dataset.prepare_synthetic(tmp_path / "set.h5", train=10_000, valid=10)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        dataset.describe(path)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.05


def test_two_preparations_give_the_same_bytes(made: Path, tmp_path: Path) -> None:
    """Nothing of time, place or process stands in the file."""
    again = dataset.prepare_synthetic(tmp_path / "other name.h5", train=30, valid=10)
    assert again.read_bytes() == made.read_bytes()


def test_a_good_file_is_left_as_it_is(made: Path) -> None:
    """Preparing what is there already writes nothing."""
    before = made.stat()
    assert dataset.prepare_synthetic(made, train=30, valid=10) == made
    assert (made.stat().st_ino, made.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize(
    "prepare",
    [
        lambda path: dataset.prepare_synthetic(path, seed=1, train=30, valid=10),
        lambda path: dataset.prepare_synthetic(path, train=31, valid=10),
        lambda path: dataset.prepare(path, path.parent),
    ],
    ids=["another seed", "another number", "CIFAR-10"],
)
def test_another_set_in_its_place_is_not_overwritten(made: Path, prepare: Callable[[Path], Path]) -> None:
    """A target that holds another data set is refused, with both named."""
    before = made.read_bytes()
    with pytest.raises(ValueError, match=r"set\.h5: holds another data set \(made up.*delete this one"):
        prepare(made)
    assert made.read_bytes() == before


def test_a_foreign_file_is_not_overwritten(tmp_path: Path) -> None:
    """A text that happens to have the target's name stays."""
    target = tmp_path / "thesis.h5"
    target.write_text("chapter 1")
    with pytest.raises(ValueError, match=r"thesis\.h5: is no HDF5 file"):
        dataset.prepare_synthetic(target, train=3, valid=1)
    assert target.read_text() == "chapter 1"


def test_our_own_file_of_an_older_schema_is_replaced(made: Path, tmp_path: Path) -> None:
    """After an update of this package nobody has to delete anything."""
    older = shutil.copy(made, tmp_path / "older.h5")
    with h5py.File(older, "r+") as file:
        file.attrs["schema"] = 0
    assert dataset.prepare_synthetic(older, train=30, valid=10).read_bytes() == made.read_bytes()


def test_progress_counts_the_images(tmp_path: Path) -> None:
    """Each step tells how many images are written, up to all."""
    told: list[tuple[str, int, int]] = []
    dataset.prepare_synthetic(tmp_path / "set.h5", train=1_200, valid=10, progress=lambda *step: told.append(step))
    assert [done for _, done, _ in told][::2] == [500, 1_000, 1_200, 1_210]
    assert told[-1] == ("write set.h5", 1_210, 1_210)


def test_default_paths_follow_the_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The XDG variable moves the cache; without it, it lies in the home folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert dataset.default_path() == tmp_path / "cifar-bench" / "cifar10.h5"
    assert dataset.default_path(synthetic=True) == tmp_path / "cifar-bench" / "standin.h5"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert dataset.cache_folder() == tmp_path / ".cache" / "cifar-bench"


def replaced(name: str, content: NDArray[Any] | None) -> Damage:
    """Return what puts other content in the place of a dataset, or nothing."""

    def damage(file: h5py.File) -> None:
        attributes = dict(file[name].attrs)
        del file[name]
        if content is not None:
            file[name] = content
            file[name].attrs.update(attributes)

    return damage


def changed(name: str, index: int, value: int) -> Damage:
    """Return what changes the values of a row of a dataset."""
    return lambda file: file[name].__setitem__(index, value)


X = np.zeros((30, 32, 32, 3), np.uint8)
DAMAGES: dict[str, tuple[Damage, str]] = {
    "newer schema": (
        lambda file: file.attrs.modify("schema", 2),
        "has schema 2, and this version reads schema 1",
    ),
    "schema a text": (
        lambda file: file.attrs.__setitem__("schema", "one"),
        "the attribute schema is missing or of a wrong type",
    ),
    "no schema": (lambda file: file.attrs.__delitem__("schema"), "the attribute schema is missing"),
    "no source": (lambda file: file.attrs.__delitem__("source"), "the attribute source is missing"),
    "no synthetic": (lambda file: file.attrs.__delitem__("synthetic"), "the attribute synthetic is missing"),
    "no digest": (lambda file: file.attrs.__delitem__("digest"), "the attribute digest is missing"),
    "digest a number": (
        lambda file: file.attrs.__setitem__("digest", 7),
        "digest is missing or of a wrong type",
    ),
    "wrong digest": (lambda file: file.attrs.modify("digest", np.bytes_("0" * 64)), "do not agree"),
    "wrong array digest": (
        lambda file: file["x_train"].attrs.modify("sha256", np.bytes_("0" * 64)),
        "do not agree",
    ),
    "no array digest": (lambda file: file["y_valid"].attrs.__delitem__("sha256"), "do not agree"),
    "no x_train": (replaced("x_train", None), "the dataset x_train is missing"),
    "no y_train": (replaced("y_train", None), "the dataset y_train is missing"),
    "no x_valid": (replaced("x_valid", None), "the dataset x_valid is missing"),
    "no y_valid": (replaced("y_valid", None), "the dataset y_valid is missing"),
    "a group": (
        lambda file: (replaced("x_train", None)(file), file.create_group("x_train")),
        "the dataset x_train is missing",
    ),
    "float images": (replaced("x_train", X.astype("f4")), "x_train is of type float32 instead of uint8"),
    "long labels": (
        replaced("y_train", np.zeros((30, 1), "i8")),
        "y_train is of type int64 instead of uint8",
    ),
    "planes first": (
        replaced("x_train", X.reshape(30, 3, 32, 32)),
        r"x_train has the shape \(30, 3, 32, 32\)",
    ),
    "flat images": (replaced("x_train", X.reshape(30, 3072)), r"x_train has the shape \(30, 3072\)"),
    "a scalar": (replaced("x_train", np.array(1, np.uint8)), r"x_train has the shape \(\)"),
    "no images": (replaced("x_train", X[:0]), r"x_train has the shape \(0, 32, 32, 3\)"),
    "too few labels": (
        replaced("y_train", np.zeros((29, 1), np.uint8)),
        r"shape \(29, 1\) instead of \(30, 1\)",
    ),
    "one-hot labels": (
        replaced("y_valid", np.zeros((10, 10), np.uint8)),
        r"y_valid has the shape \(10, 10\)",
    ),
    "label 10": (changed("y_valid", 3, 10), "y_valid has the label 10; labels are 0 to 9"),
    "other label": (
        lambda file: changed("y_train", 0, (file["y_train"][0, 0] + 1) % 10)(file),
        "y_train differs from the digest",
    ),
    "other image": (changed("x_train", 29, 0), "x_train differs from the digest"),
    "other held-out image": (changed("x_valid", 0, 1), "x_valid differs from the digest"),
}


@pytest.mark.parametrize("case", list(DAMAGES))
def test_what_is_wrong_is_said(made: Path, tmp_path: Path, case: str) -> None:
    """The error names the file, what is wrong in it and the remedy."""
    damage, why = DAMAGES[case]
    path = Path(shutil.copy(made, tmp_path / "bad.h5"))
    with h5py.File(path, "r+") as file:
        damage(file)
    with pytest.raises(ValueError, match=rf"bad\.h5: .*{why}.*; delete it and make it anew") as caught:
        dataset.verify(path)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("part", [0.0, 0.001, 0.01, 0.5, 0.9, 0.99999], ids=lambda part: f"{part:.3%}")
@pytest.mark.parametrize("layout", ["ours", "lesson"])
def test_a_cut_file_is_refused(made: Path, tmp_path: Path, part: float, layout: str) -> None:
    """Wherever the file is cut, describing it is an error with file and remedy, not HDF5's own words alone."""
    whole = made if layout == "ours" else dataset.lesson_layout(made)
    path = tmp_path / "cut.h5"
    path.write_bytes(whole.read_bytes()[: int(part * whole.stat().st_size)])
    with pytest.raises(
        ValueError, match=r"cut\.h5: (is cut short|is no HDF5 file|its head is damaged).*; name another file"
    ):
        dataset.describe(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"text", b"\x89HDF\r\n\x1a\n", bytes(5_000), bytes(512) + b"\x89HDF\r\n\x1a\n" + bytes(5_000)],
    ids=["empty", "text", "signature", "zeros", "user block"],
)
def test_what_is_no_hdf5_is_refused(tmp_path: Path, content: bytes) -> None:
    """Empty files, texts, a bare signature, zeros and what begins with something else are refused, with the remedy."""
    path = tmp_path / "other.h5"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"other\.h5: (is no HDF5 file|its head is damaged).*; name another file"):
        dataset.describe(path)


def test_an_hdf5_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """The lesson's own file, which has no attributes, is refused and not overwritten."""
    path = tmp_path / "dataset_cifar10.hdf5"
    with h5py.File(path, "w") as file:
        file["x_train"] = X
    with pytest.raises(ValueError, match=r"is no file of 'cifar prepare', and holds x_train .*; name another"):
        dataset.prepare_synthetic(path)


def test_a_damaged_file_of_ours_is_made_anew(made: Path, tmp_path: Path) -> None:
    """Preparing looks at the content: what is there under a good digest and differs from it is replaced."""
    path = Path(shutil.copy(made, tmp_path / "set.h5"))
    with h5py.File(path, "r+") as file:
        file["y_train"][:] = 3
    assert dataset.prepare_synthetic(path, train=30, valid=10).read_bytes() == made.read_bytes()


@pytest.mark.parametrize("layout", [dataset.lesson_layout, lambda path: dataset.aligned_layout(path, gzip=True)])
def test_a_damaged_layout_is_made_anew(made: Path, tmp_path: Path, layout: Callable[[Path], Path]) -> None:
    """What a layout holds is compared with its digests too, and not only what it says of itself."""
    path = Path(shutil.copy(made, tmp_path / "set.h5"))
    laid_out = layout(path)
    before = laid_out.read_bytes()
    with h5py.File(laid_out, "r+") as file:
        file["x_train"][:15] = 0
    assert layout(path) == laid_out
    assert laid_out.read_bytes() == before


def claiming(made: Path, path: Path) -> Path:
    """Return a copy of the file that says that it is CIFAR-10."""
    shutil.copy(made, path)
    with h5py.File(path, "r+") as file:
        file.attrs["source"] = np.bytes_("CIFAR-10")
        file.attrs["synthetic"] = False
    return path


def test_only_the_digest_makes_it_cifar_10(made: Path, tmp_path: Path) -> None:
    """A file that says that it is CIFAR-10 and has other arrays is described as something else, and stays."""
    path = claiming(made, tmp_path / "cifar10.h5")
    found = dataset.verified(path)
    assert (found.is_cifar_10, found.source) == (False, "unknown (it says CIFAR-10)")
    with pytest.raises(ValueError, match=r"holds another data set \(unknown"):
        dataset.prepare(path)


def test_cifar_10_is_known_by_its_digest(made: Path) -> None:
    """The digest that counts is the one over the published arrays."""
    found = dataset.describe(made)
    assert not found.is_cifar_10
    lines = "".join(f"{name} {published.CIFAR_10.arrays[name]}\n" for name in dataset.ARRAYS)
    assert dataclasses.replace(found, digest=hashlib.sha256(lines.encode()).hexdigest()).is_cifar_10


def test_a_named_source_is_looked_at_where_the_file_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is named as the source and is none is an error, though there is nothing to make."""
    shapes = {"x_train": (3, 32, 32, 3), "y_train": (3, 1), "x_valid": (1, 32, 32, 3), "y_valid": (1, 1)}
    arrays = {name: np.zeros(shape, np.uint8) for name, shape in shapes.items()}
    digests = {name: hashlib.sha256(rows).hexdigest() for name, rows in arrays.items()}
    small = dataclasses.replace(published.CIFAR_10, train=3, valid=1, arrays=digests, title="Small")
    source, target = tmp_path / "source.h5", tmp_path / "set.h5"
    with h5py.File(source, "w") as file:
        for name, rows in arrays.items():
            file[name] = rows
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert dataset.prepare(target, source, publication=small) == target
    before = target.stat()
    assert dataset.prepare(target, source, publication=small) == target
    after = target.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    for wrong in (tmp_path / "none.tar.gz", tmp_path, target.with_name("other.h5")):
        if wrong.name == "other.h5":
            wrong.write_bytes(source.read_bytes()[:-9])
        with pytest.raises((ValueError, OSError), match=r"--source|name another"):
            dataset.prepare(target, wrong, publication=small)


def test_what_is_not_ours_is_not_advised_away(made: Path, tmp_path: Path) -> None:
    """A file without our name in it may be anybody's."""
    path = Path(shutil.copy(made, tmp_path / "bad.h5"))
    with h5py.File(path, "r+") as file:
        del file.attrs["creator"], file["x_valid"]
    with pytest.raises(
        ValueError, match=r"bad\.h5: is no file of 'cifar prepare', and holds .*; name another"
    ) as caught:
        dataset.describe(path)
    assert "delete" not in str(caught.value)


def test_what_lies_in_the_cache_is_ours(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of the cache that is cut short is made anew: all there can be."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = dataset.default_path(synthetic=True)
    path.parent.mkdir()
    path.write_bytes(made.read_bytes()[:-100])
    with pytest.raises(ValueError, match="is cut short; delete it and make it anew"):
        dataset.describe(path)
    assert dataset.prepare_synthetic(path, train=30, valid=10).read_bytes() == made.read_bytes()


def test_leftovers_go_where_the_file_is_there(made: Path, tmp_path: Path) -> None:
    """Also where nothing is to be made, what killed processes have left of the file and its layouts is removed."""
    path = Path(shutil.copy(made, tmp_path / "set.h5"))
    dataset.lesson_layout(path)
    for call in (lambda: dataset.prepare_synthetic(path, train=30, valid=10), lambda: dataset.lesson_layout(path)):
        for name in ("set.h5", "set.lesson.h5", "set.aligned.h5"):
            (tmp_path / f".{name}.{socket.gethostname()}.1.0123abcd.part").write_bytes(b"left")
        call()
        assert sorted(file.name for file in tmp_path.iterdir()) == ["set.h5", "set.lesson.h5"]


def test_a_missing_file_is_named_with_the_command_that_makes_it(tmp_path: Path) -> None:
    """The error names the path and `cifar prepare`."""
    with pytest.raises(FileNotFoundError, match=r"none\.h5: there is no such file; make it with 'cifar prepare'"):
        dataset.describe(tmp_path / "none.h5")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """A folder in the file's place is said to be one."""
    with pytest.raises(ValueError, match="a folder, pipe or device"):
        dataset.describe(tmp_path)


def test_any_flipped_bit_is_found(made: Path, tmp_path: Path) -> None:
    """A bit flipped anywhere in the file is refused in plain words, though HDF5 itself can crash on such files."""
    whole = made.read_bytes()
    path = tmp_path / "flipped.h5"
    with h5py.File(made) as file:
        data = sorted((file[name].id.get_offset(), file[name].nbytes) for name in file)
    inner = [offset for start, size in data for offset in range(start + 1, start + size - 1)]
    places = sorted({*range(len(whole))} - set(inner) | set(inner[:: len(inner) // 40]))
    for place in places[:: max(1, len(places) // 250)]:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(
            ValueError, match=r"flipped\.h5: .*(; delete it and make it anew|name another file|makes our file of it)"
        ):
            dataset.verify(path)


def test_the_lessons_layout_is_what_the_lesson_writes(made: Path, tmp_path: Path) -> None:
    """Same arrays, gzip and the chunks that h5py chooses for the lesson's call; it describes itself the same."""
    path = dataset.lesson_layout(made)
    assert path == made.with_name("set.lesson.h5")
    dataset.verify(path)
    ours, theirs = dataset.describe(made), dataset.describe(path)
    assert (ours.digest, ours.source, ours.synthetic) == (theirs.digest, theirs.source, theirs.synthetic)
    with (
        h5py.File(made) as plain,
        h5py.File(path) as file,
        h5py.File(tmp_path / "lesson.hdf5", "w") as lesson,
    ):
        for name in plain:
            rows = plain[name][:]
            expected = lesson.create_dataset(name, data=rows, shape=rows.shape, compression="gzip", chunks=True)
            assert np.array_equal(file[name], rows)
            assert file[name].chunks == expected.chunks
            assert (file[name].compression, file[name].compression_opts) == (
                "gzip",
                expected.compression_opts,
            )
            assert file[name].id.get_storage_size() == expected.id.get_storage_size()


def test_damage_among_compressed_images_is_found(made: Path, tmp_path: Path) -> None:
    """Where gzip itself stumbles, the error still names the file, the dataset and the remedy."""
    path = Path(shutil.copy(dataset.lesson_layout(made), tmp_path / "bad.h5"))
    with h5py.File(path) as file:
        place = file["x_train"].id.get_chunk_info(0).byte_offset
    with path.open("r+b") as raw:
        raw.seek(place)
        raw.write(bytes(8))
    with pytest.raises(ValueError, match=r"bad\.h5: x_train cannot be read.*; delete it and make it anew"):
        dataset.verify(path)


def test_damaged_images_are_not_laid_out_anew(made: Path, tmp_path: Path) -> None:
    """The lesson's layout is not made of images that differ from their digest."""
    path = Path(shutil.copy(made, tmp_path / "bad.h5"))
    with h5py.File(path, "r+") as file:
        file["x_train"][29] = 0
    with pytest.raises(ValueError, match=r"bad\.h5: x_train differs from the digest"):
        dataset.lesson_layout(path)
    assert list(tmp_path.iterdir()) == [path]


def test_the_lessons_layout_is_made_once_and_follows_the_data(made: Path, tmp_path: Path) -> None:
    """It is kept while the data are the same, and replaced when they change."""
    path = Path(shutil.copy(made, tmp_path / "set.h5"))
    first = dataset.lesson_layout(path).stat().st_ino
    assert dataset.lesson_layout(path).stat().st_ino == first
    path.unlink()
    dataset.prepare_synthetic(path, seed=1, train=30, valid=10)
    assert dataset.describe(dataset.lesson_layout(path)).digest == dataset.describe(path).digest


@pytest.mark.parametrize(("gzip", "name"), [(True, "set.aligned-gzip.h5"), (False, "set.aligned.h5")])
def test_aligned_layouts_hold_the_same_in_whole_images(made: Path, tmp_path: Path, gzip: bool, name: str) -> None:  # noqa: FBT001
    """Chunks of whole images, compressed or not, hold the same arrays under the same digest."""
    path = Path(shutil.copy(made, tmp_path / "set.h5"))
    found = dataset.aligned_layout(path, gzip=gzip)
    assert found.name == name
    dataset.verify(found)
    assert dataset.describe(found).digest == dataset.describe(path).digest
    with h5py.File(found, "r") as file:
        images = file["x_train"]
        assert images.chunks[1:] == (32, 32, 3)
        assert images.compression == ("gzip" if gzip else None)


def test_a_foreign_file_in_the_way_of_the_lessons_layout_stays(made: Path, tmp_path: Path) -> None:
    """What is not ours is not overwritten."""
    path = Path(shutil.copy(made, tmp_path / "set.h5"))
    (tmp_path / "set.lesson.h5").write_text("mine")
    with pytest.raises(
        ValueError, match=r"set\.lesson\.h5: is no HDF5 file.*where the layout 'lesson' of .* belongs: move"
    ):
        dataset.lesson_layout(path)
    assert (tmp_path / "set.lesson.h5").read_text() == "mine"


def test_beside_a_read_only_file_the_lessons_layout_goes_to_the_cache() -> None:
    """Where the folder cannot be written (a shared data set), the cache folder takes it; root gives up its rights."""
    script = """
import os, tempfile
from pathlib import Path
from cifar.data import dataset, published
with tempfile.TemporaryDirectory() as folder:  # loads every module while they can be read: root's may be root's alone
    dataset.lesson_layout(dataset.prepare_synthetic(folder + "/set.h5", train=20, valid=10))
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
with tempfile.TemporaryDirectory() as folder:
    os.environ["XDG_CACHE_HOME"] = folder + "/cache"
    os.mkdir(folder + "/cache")
    path = dataset.prepare_synthetic(folder + "/shared/set.h5", train=20, valid=10)
    os.chmod(folder + "/shared", 0o555)
    print(dataset.lesson_layout(path).relative_to(folder))
    os.chmod(folder + "/shared", 0o755)
"""
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("cache/cifar-bench/set.lesson.h5\n", "")


images = arrays_of.arrays(np.uint8, st.integers(1, 5).map(lambda count: (count, 32, 32, 3)))


@settings(max_examples=20, deadline=None)
@given(train=images, valid=images, step=st.integers(1, 3), data=st.data())
def test_what_is_written_is_read(
    train: NDArray[np.uint8], valid: NDArray[np.uint8], step: int, data: st.DataObject
) -> None:
    """Whatever the images and labels and however they come in blocks, they are in the file, and it verifies."""
    parts = {"x_train": train, "x_valid": valid}
    for name, count in (("y_train", len(train)), ("y_valid", len(valid))):
        parts[name] = data.draw(arrays_of.arrays(np.uint8, (count, 1), elements=st.integers(0, 9)))
    blocks = [(name, rows[start : start + step]) for name, rows in parts.items() for start in range(0, len(rows), step)]
    shapes = {name: parts[name].shape for name in dataset.ARRAYS}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "set.h5")
        dataset._make(path, blocks, shapes, {"source": "drawn", "synthetic": True}, dataset.silent)
        for layout in (path, dataset.lesson_layout(path)):
            dataset.verify(layout)
            with h5py.File(layout) as file:
                assert all(np.array_equal(file[name], parts[name]) for name in parts)
