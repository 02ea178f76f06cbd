"""How time and memory grow with the images in the file, with the batch size, and with the runs in a folder.

Measured only where it is asked for: `cifar bench --only growth`.  The largest file takes 6.1 GB for some minutes, the
largest folder 0.6 GB.
"""

from __future__ import annotations

import functools
import json
import math
import os
import subprocess
from pathlib import Path

import h5py
import numpy as np
import psutil
import pytest

from cifar.data import dataset as datasets
from cifar.node import process
from cifar.workload import cost, model, training
from cifar.workload.ahead import ahead
from cifar.workload.generator import DataGenerator

pytestmark = pytest.mark.growth

BATCH = 250
WINDOW = 10_240
BLOCK = 2**22
"""Bytes that are read at once in sequence."""
MOST = 2**28
"""Bytes that windows of a file of any size may add to the process: three of them are 94 million."""
REPORTING = """
import pathlib, sys
from cifar.cli import main
code = main(sys.argv[1:])
print(pathlib.Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
sys.exit(code)
"""
"""The command in a process of its own, which at its end says its peak of memory in KiB."""
WORKLOADS, ROUNDS = 30, 8
"""In each made-up record, as many as a campaign of the default effort has."""


def sizes(name, small, large, **facts):
    """A case for each size; the quick effort leaves out the `large` ones."""
    rest = "".join(f",{key}={value}" for key, value in facts.items())
    marks = {size: pytest.mark.long if size in large else () for size in (*small, *large)}
    return [pytest.param(size, *facts.values(), id=f"{name}={size}{rest}", marks=marks[size]) for size in marks]


@pytest.fixture
def made_up(request, tmp_path):
    """A stand-in of so many training images, which is deleted afterwards."""
    path = tmp_path / "images.h5"
    yield datasets.prepare_synthetic(path, train=request.param, valid=1000)
    path.unlink()


@pytest.mark.parametrize(
    ("made_up", "order"),
    [
        case
        for order in ("whole", "window")
        for case in sizes("images", (1000, 10_000), (100_000, 1_000_000), order=order)
    ],
    indirect=["made_up"],
)
def test_growth_images(measure, device, made_up, order):
    """A shuffled epoch of our generator, in an order of the whole file, or of a window that moves through it."""
    before = psutil.Process().memory_info().rss
    generator = DataGenerator(made_up, batch_size=BATCH, window=WINDOW if order == "window" else None)

    def epoch():
        for batch in ahead(generator, threads=device.threads):
            last = batch
        generator.on_epoch_end()
        return last

    def check(last):
        added = memory_added(device, before, MOST if order == "window" else math.inf)
        assert last[0].dtype == np.float32
        assert np.array_equal(np.sort(generator.order), np.arange(generator.images)), "an image twice or missing"
        rows = np.sort(generator.order[:BATCH])
        with h5py.File(made_up, "r") as file:
            expected = file["x_train"][rows] / np.float32(255)
        found = generator[0][0][np.argsort(generator.order[:BATCH])]
        assert np.array_equal(found, expected), "the images differ from the file's"
        return ["each image exactly once an epoch", "a batch equals the file's", added]

    measure(epoch, images=generator.images, check=check)


def memory_added(device, before, most):
    """How much memory the rounds added to `before`, in words; AssertionError for more than `most` bytes."""
    if not device.resets_host_peak:
        return "memory not checked: this kernel tells no peak of a while"
    added = device.peak_memory()["host_peak_bytes"] - before
    assert added <= most, f"{added} bytes of memory were added to the process"
    return f"{added} bytes added to the process"


@pytest.fixture(scope="module")
def never_read(tmp_path_factory):
    """A function that returns a stand-in of so many training images on a disk, the same for the same number."""
    made = {}

    def make(images):
        if images not in made:
            path = tmp_path_factory.mktemp("cold") / "images.h5"
            made[images] = datasets.prepare_synthetic(path, train=images, valid=1000)
            with path.open("rb") as file:
                os.fsync(file.fileno())  # for what is not on the disk yet cannot be forgotten
        return made[images]

    yield make
    for path in made.values():
        path.unlink()


def forget(path):
    """Have the page cache drop the file at `path`; skip where reading it then reads no disk."""
    with path.open("rb", buffering=0) as file:
        drop = functools.partial(os.posix_fadvise, file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        drop()
        begin = from_disk()
        file.read(BLOCK)
        if from_disk() == begin:
            pytest.skip(f"reading from {path.parent} reads no disk: name a folder on one by TMPDIR")
        drop()


def from_disk():
    """Bytes that this process had read from a disk so far, read-ahead included."""
    try:
        counters = Path("/proc/self/io").read_text(encoding="ascii")
    except OSError as error:
        pytest.skip(f"the kernel does not say how much came from a disk ({error})")
    return int(counters.partition("\nread_bytes:")[2].split()[0])


@pytest.mark.parametrize(
    ("images", "order"),
    [
        case
        for order in ("sequence", "window-float32", "window-uint8")
        for case in sizes("images", (100_000,), (2_000_000,), order=order)
    ],
)
def test_growth_cold(measure, device, never_read, images, order):
    """A pass through a file that is not in the page cache: in sequence, or shuffled by our generator's windows."""
    path = never_read(images)
    nbytes, before = path.stat().st_size, psutil.Process().memory_info().rss

    def in_sequence():
        begin = from_disk()
        with path.open("rb", buffering=0) as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
            block = bytearray(BLOCK)
            while file.readinto(block):
                pass
        return from_disk() - begin

    def shuffled():
        begin = from_disk()
        generator = DataGenerator(path, batch_size=BATCH, dtype=order.removeprefix("window-"), window=WINDOW)
        for _batch in ahead(generator, threads=device.threads):
            pass
        return from_disk() - begin

    def check(came):
        assert nbytes - came <= 8 * BLOCK, f"of {nbytes} bytes only {came} came from the disk, the rest from memory"
        return [f"{came} bytes came from the disk for {nbytes}", memory_added(device, before, MOST)]

    call, needs = shuffled, {f"growth_cold[images={images},order=sequence]": images}
    if order == "sequence":
        call, needs = in_sequence, {}
    measure(call, images=images, needs=needs, check=check, repeat=False, before=functools.partial(forget, path))


@pytest.mark.parametrize("batch", sizes("batch", (25, 250), (1000, 2500, 10_000)))
def test_growth_batch(measure, device, dataset, batch):
    """A training step on a batch that lies in the device's memory."""
    with device.scope():
        network = training.prepare(model.build(), xla=device.kind == "gpu")
        step, pair = training.step(network), DataGenerator(dataset, batch_size=batch)[0]
        there = training.on_device([pair])

    def check(losses):
        assert math.isfinite(losses[0]), f"the loss is {float(losses[0])}"
        return ["the loss is finite"]

    measure(lambda: training.epoch(step, there), images=batch, flop=cost.training_flop(network) * batch, check=check)


@pytest.mark.parametrize("runs", sizes("runs", (10, 100), (1000, 10_000)))
def test_growth_runs(measure, a_record, tmp_path, runs):
    """A report on a folder of made-up records, written by a process of its own, whose memory is what counts."""
    folder, report = tmp_path / "runs", tmp_path / "report"
    folder.mkdir()
    random = np.random.Generator(np.random.PCG64(0))
    for run in range(1, runs + 1):
        ours = a_record["machine_info"]["cifar"]
        ours.update(run=run, complete=True, finished=ours["started"])
        a_record["benchmarks"] = [entry(place, random) for place in range(WORKLOADS)]
        (folder / f"cpu-{run}.json").write_text(json.dumps(a_record, indent=1), encoding="utf-8")
    peaks = []

    def call():
        arguments = ["report", str(folder), "--out", str(report)]
        command = process.python("-c", REPORTING, *arguments)
        finished = subprocess.run(command, capture_output=True, text=True, check=False, pass_fds=process.locks())
        assert finished.returncode == 0, finished.stderr[-500:]
        peaks.append(1024 * int(finished.stdout.split()[-1]))
        return finished

    def check(_finished):
        assert f"cpu {runs}" in (report / "report.md").read_text(encoding="utf-8"), "not all runs are in the report"
        return [f"the report is on {runs} runs"]

    measure(call, check=check, repeat=False)
    measure.note(memory={"host_peak_bytes": max(peaks), "device_peak_bytes": None, "meaning": "of the process itself"})


def entry(place, random):
    """A made-up workload as a record has it: rounds that scatter by 5 %."""
    facts = {"images": 1000, "flop": None, "calls": 1, "warmup_seconds": 0.2, "needs": {}, "work": {}}
    memory = {"host_peak_bytes": 2**30, "device_peak_bytes": None, "meaning": "made up"}
    rounds = random.lognormal(-2 - place / 10, 0.05, ROUNDS).tolist()
    extra = facts | {"checks": ["made up"], "memory": memory}
    return {"name": f"test_made_up[number={place}]", "extra_info": extra, "stats": {"data": rounds, "iterations": 1}}
