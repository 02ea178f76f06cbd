"""What this device could do at most: arithmetic, memory, the way to it, a launch, the file.  Limits, not workloads."""

from __future__ import annotations

import functools
import math
import mmap
import os
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest
import tensorflow as tf

from cifar.workload.buffers import ALIGNMENT

SIDE = {"cpu": 2048, "gpu": 8192}
"""Of square matrices: large enough for launching and caches not to count."""
COPIED = {"cpu": 2**26, "gpu": 2**28}
"""Numbers (float32) in an array that no cache holds: 256 MiB and 1 GiB."""
SENT = 2**24
"""Numbers (float32) sent to the device at once, 64 MiB: some twenty batches of 250 images."""
BATCH = 250
"""Images that are copied at once on the host."""
BLOCK = 2**22
"""Bytes that are read from the file at once."""
ROUNDING = {"float32": 2**-24, "tf32": 2**-11, "bfloat16": 2**-8}
"""Largest relative error of rounding a number to the type."""


def matmul(kind, device, _dataset):
    """Square matrices of random numbers (zeros would be multiplied faster) that lie on the device."""
    if kind == "tf32" and device.multiplies != "tf32":
        pytest.skip(f"{device.name} does not multiply in TF32")
    side, random = SIDE[device.kind], np.random.Generator(np.random.PCG64(0))
    factors = [random.standard_normal((side, side), np.float32) for _ in range(2)]
    a, b = (tf.cast(factor, "bfloat16" if kind == "bfloat16" else "float32") for factor in factors)
    product = tf.function(tf.matmul)

    def call():
        tf.config.experimental.enable_tensor_float_32_execution(kind == "tf32")
        return product(a, b)

    def check(found):
        expected = factors[0][:8].astype(np.float64) @ factors[1][:, :8]
        # Rounded factors: independent errors, which grow with the root of their number.  Sums, kept in float32,
        # are as large as that root, and each of as many additions rounds them.
        allowed = 8 * ROUNDING[kind] * math.sqrt(side) + 2 * ROUNDING["float32"] * side
        np.testing.assert_allclose(tf.cast(found[:8, :8], "float32"), expected, atol=allowed)
        return [f"64 elements of the product agree with float64 within {allowed:.2g}"]

    return {"call": call, "flop": 2 * side**3, "check": check}


def copy(device, _dataset):
    """A copy within the device's memory: every byte is read once and written once."""
    values = tf.random.stateless_uniform([COPIED[device.kind]], seed=[0, 0])
    copied = tf.function(lambda: tf.raw_ops.DeepCopy(x=values))

    def check(found):
        assert bool(tf.reduce_all(found == values)), "the copy differs"
        return ["the copy is equal"]

    return {"call": copied, "nbytes": 2 * 4 * COPIED[device.kind], "check": check}


def read(device, _dataset):
    """A sum over the device's memory: every byte is read once."""
    values = tf.random.stateless_uniform([COPIED[device.kind]], seed=[0, 0])
    mean = tf.function(lambda: tf.reduce_mean(values))

    def check(found):
        assert abs(float(found) - 0.5) < 1e-3, f"the mean of uniform numbers is {float(found)}"
        return ["the mean of uniform numbers is 0.5"]

    return {"call": mean, "nbytes": 4 * COPIED[device.kind], "check": check}


def host_copy(device, dataset):
    """The images' bytes from the mapped file into a reused batch, by as many threads as are allotted."""
    with h5py.File(dataset, "r") as file:
        images = file["x_train"]
        mapped = np.memmap(dataset, np.uint8, "r", images.id.get_offset(), images.shape)
    count = min(device.threads, len(mapped) // BATCH)
    threads = ThreadPoolExecutor(count)
    batches = [np.empty((BATCH, *mapped.shape[1:]), np.uint8) for _ in range(count)]

    def copied(thread):
        for start in range(thread * BATCH, len(mapped) - BATCH + 1, count * BATCH):
            np.copyto(batches[thread], mapped[start : start + BATCH])
        return start

    def check(starts):
        threads.shutdown()
        for batch, start in zip(batches, starts, strict=True):
            assert np.array_equal(batch, mapped[start : start + BATCH]), "a copy differs"
        return ["each thread's last batch equals the file's"]

    nbytes = 2 * (len(mapped) // BATCH) * batches[0].nbytes
    return {"call": lambda: list(threads.map(copied, range(count))), "nbytes": nbytes, "check": check}


def to_device(device, _dataset):
    """From the host's ordinary (pageable) memory to the device's."""
    if device.kind == "cpu":
        pytest.skip("the CPU computes in the host's memory, so nothing is sent")
    # At an address that TensorFlow takes as it is, like the generator's batches: others it copies on the host first.
    memory = np.empty(4 * SENT + ALIGNMENT, np.uint8)
    values = memory[-memory.ctypes.data % ALIGNMENT :][: 4 * SENT].view(np.float32)
    np.random.Generator(np.random.PCG64(0)).random(out=values, dtype=np.float32)

    def check(found):
        assert found.device.endswith(device.tensorflow_name), f"it was sent to {found.device}"
        assert np.array_equal(found, values), "what arrived differs"
        assert values.ctypes.data % ALIGNMENT == 0, "the numbers are not aligned"
        return ["what arrived is equal"]

    return {"call": lambda: tf.identity(values), "nbytes": values.nbytes, "check": check}


def launch(device, _dataset):
    """Seconds of the smallest compiled call, waited for: what a call costs that computes nothing."""
    one = tf.constant(1.0)
    call = tf.function(lambda: one + 1.0)

    def launched():
        found = call()
        device.wait()
        return found

    def check(found):
        assert float(found) == 2.0, f"1 + 1 is {float(found)}"
        return ["1 + 1 is 2"]

    return {"call": launched, "check": check}


def file_warm(_device, dataset):
    """The dataset's file from its first byte to its last, out of the page cache."""
    return reading(dataset, os.O_RDONLY)


def file_cold(_device, dataset):
    """The same past the page cache, from the disk or from whatever the file system keeps by itself."""
    try:
        return reading(dataset, os.O_RDONLY | os.O_DIRECT)
    except OSError as error:
        pytest.skip(f"the file system of {dataset.name} reads only through the page cache ({error})")


def reading(path, flags):
    """A call that reads the file at `path`, opened with `flags`, by blocks into memory that direct reading accepts."""
    file, block = os.open(path, flags), mmap.mmap(-1, BLOCK)
    os.preadv(file, [block], 0)

    def call():
        done = 0
        while count := os.preadv(file, [block], done):
            done += count
        return done

    def check(done):
        os.close(file)
        assert done == path.stat().st_size, f"{done} bytes were read of {path.stat().st_size}"
        return [f"all {done} bytes were read"]

    return {"call": call, "nbytes": path.stat().st_size, "check": check}


LIMITS = [
    pytest.param(functools.partial(matmul, "float32"), id="what=matmul,type=float32"),
    pytest.param(functools.partial(matmul, "tf32"), id="what=matmul,type=tf32"),
    pytest.param(functools.partial(matmul, "bfloat16"), id="what=matmul,type=bfloat16", marks=pytest.mark.long),
    pytest.param(copy, id="what=copy"),
    pytest.param(read, id="what=read"),
    pytest.param(host_copy, id="what=host-copy"),
    pytest.param(to_device, id="what=to-device"),
    pytest.param(launch, id="what=launch"),
    pytest.param(file_warm, id="what=file,cache=warm"),
    pytest.param(file_cold, id="what=file,cache=cold", marks=pytest.mark.long),
]


@pytest.fixture
def tf32_as_found():
    """Leave TensorFlow's choice of TF32 as it was."""
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    yield
    tf.config.experimental.enable_tensor_float_32_execution(before)


@pytest.mark.usefixtures("tf32_as_found")
@pytest.mark.parametrize("limit", LIMITS)
def test_peak(measure, device, dataset, limit):
    """Each limit; the best round of all runs is what counts, for nothing can be too fast by accident."""
    with device.scope():
        facts = limit(device, dataset)
    measure(**facts)
