"""The digest of the image that a process runs in."""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
import subprocess

import pytest

from cifar.node import image

SYSTEM, DATA, PARTITION, SIGNATURE = 2, 3, 0x4004, 0x4005


def sif(path, *parts, magic=b"SIF_MAGIC\0"):
    """Write a file in Apptainer's format: parts of (kind, kind of partition, used, content)."""
    start = 128 + 585 * len(parts)
    table, contents = b"", b""
    for number, (kind, partition, used, content) in enumerate(parts, 1):
        places = (start + len(contents), len(content), len(content), 0, 0, 0, 0)
        table += struct.pack("<i?III7q128sii376s", kind, used, number, 1, 0, *places, b"", 1, partition, b"")
        contents += content
    head = struct.pack("<32s10s3s3s16s", b"#!/usr/bin/env run-singularity\n", magic, b"01", b"02", b"")
    head += struct.pack("<8q", 0, 0, 0, len(parts), 128, len(table), start, len(contents))
    path.write_bytes(head + table + contents)
    return path


@pytest.fixture(autouse=True)
def _forget():
    """Let each test read its own files."""
    image.sif_digest.cache_clear()


def test_system_partition(tmp_path):
    """The digest is that of the system partition alone: not of what was deleted, of data, or of a signature."""
    system = bytes(range(256)) * 9_000  # more than one block
    parts = [(PARTITION, SYSTEM, False, b"old"), (PARTITION, DATA, True, b"data"), (PARTITION, SYSTEM, True, system)]
    expected = f"sha256:{hashlib.sha256(system).hexdigest()}"
    assert image.sif_digest(sif(tmp_path / "a.sif", *parts)) == expected
    assert image.sif_digest(sif(tmp_path / "b.sif", *parts, (SIGNATURE, 0, True, b"signed"))) == expected


def test_cut_short(tmp_path):
    """A file that was not copied to its end has no digest."""
    path = sif(tmp_path / "a.sif", (PARTITION, SYSTEM, True, b"system"))
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(ValueError, match=r"a\.sif is cut short: 2 bytes"):
        image.sif_digest(path)


@pytest.mark.parametrize("content", [b"", b"#!/bin/sh\n" * 100])
def test_no_sif(tmp_path, content):
    """What is no SIF is named."""
    (tmp_path / "a.sif").write_bytes(content)
    with pytest.raises(ValueError, match="no image in Apptainer's format"):
        image.sif_digest(tmp_path / "a.sif")


def test_no_system(tmp_path):
    """An image without a system partition has no digest, nor has one whose table is cut short."""
    path = sif(tmp_path / "a.sif", (PARTITION, DATA, True, b"data"))
    for content in (path.read_bytes(), path.read_bytes()[:200]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="no system partition"):
            image.sif_digest(path)


@pytest.mark.parametrize(
    ("place", "numbers"),
    [
        (88, (-5, 128)),  # a negative number of parts
        (88, (1, -7)),  # a table before the file
        (88, (1, 2**62)),
        (128 + 17, (-9, 6)),  # a partition before the file
        (128 + 17, (713, -6)),
        (128 + 17, (713, 0)),
        (128 + 17, (713, 2**62)),
        (128 + 17, (2**62, 2**62)),
    ],
)
def test_damaged(tmp_path, place, numbers):
    """Numbers in a header that cannot be true are refused in a sentence with the file's name."""
    path = sif(tmp_path / "a.sif", (PARTITION, SYSTEM, True, b"system"))
    data = bytearray(path.read_bytes())
    struct.pack_into("<qq", data, place, *numbers)
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"a\.sif (is damaged|is cut short|has no system partition)"):
        image.sif_digest(path)


def test_pipe(tmp_path):
    """A pipe in the place of the image is not waited for."""
    os.mkfifo(tmp_path / "a.sif")
    with pytest.raises(ValueError, match="no regular file"):
        image.sif_digest(tmp_path / "a.sif")
    assert image.digest({"APPTAINER_CONTAINER": str(tmp_path / "a.sif")}) is None


def test_digest(tmp_path):
    """The digest that is passed on counts; else the file is read where it can be; else there is none."""
    path = sif(tmp_path / "a.sif", (PARTITION, SYSTEM, True, b"system"))
    inside = {"APPTAINER_CONTAINER": str(path)}
    assert image.digest(inside) == image.sif_digest(path)
    assert image.digest({**inside, "CIFAR_IMAGE_DIGEST": "sha256:12"}) == "sha256:12"
    assert image.digest({"APPTAINER_CONTAINER": str(tmp_path / "elsewhere.sif")}) is None
    assert image.digest({}) is None


def test_passed_on(tmp_path):
    """A campaign reads the image once and tells its runs; where nothing can be read, each run finds out why."""
    path = sif(tmp_path / "a.sif", (PARTITION, SYSTEM, True, b"system"))
    assert image.passed_on({"APPTAINER_CONTAINER": str(path)}) == {"CIFAR_IMAGE_DIGEST": image.sif_digest(path)}
    path.write_bytes(b"")
    image.sif_digest.cache_clear()
    assert image.passed_on({"APPTAINER_CONTAINER": str(path)}) == {}
    assert image.passed_on({}) == {}


def test_as_apptainer_does(tmp_path):
    """Apptainer itself finds the same bytes in an image that it built."""
    if not shutil.which("apptainer"):
        pytest.skip("Apptainer is not installed")
    recipe = tmp_path / "x.def"
    recipe.write_text("Bootstrap: scratch\n%files\n    x.def /x.def\n")
    build = ["apptainer", "build", "--fakeroot", "x.sif", "x.def"]
    done = subprocess.run(build, cwd=tmp_path, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"Apptainer cannot build here: {done.stderr.strip().splitlines()[-1]}")
    listed = subprocess.run(["apptainer", "sif", "list", "x.sif"], cwd=tmp_path, capture_output=True, text=True)  # noqa: PLW1510
    number = next(line.split("|")[0].strip() for line in listed.stdout.splitlines() if "*System" in line)
    dump = ["apptainer", "sif", "dump", number, "x.sif"]
    system = subprocess.run(dump, cwd=tmp_path, capture_output=True, check=True).stdout
    assert image.sif_digest(tmp_path / "x.sif") == f"sha256:{hashlib.sha256(system).hexdigest()}"
