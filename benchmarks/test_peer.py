"""What a user would pick instead of our generator, training step and forward pass, each in its best usual form.

Measured only where it is asked for: `cifar bench --only peer`.  Peers that are not installed are left out, and named;
`pip install grain jax optax torch` beside this package brings them, and a C++ compiler serves `torch.compile`.

Frameworks compute in a process of their own, one at a time, ours as all others: see `peers/__main__.py`.
"""

from __future__ import annotations

import importlib.util
import math
import multiprocessing
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from cifar.workload import cost, model, training
from cifar.workload.ahead import ahead
from cifar.workload.generator import DataGenerator

pytestmark = pytest.mark.peer

BATCH = 250
CHANCE = math.log(10)
STEPS = 20
"""Of a call to `train`; what `fit` does once an epoch is charged to it by the part that they are of one."""
MORE_CALLS = 3
"""To `train` where the mean loss of the first is not below chance yet, as on the stand-in."""
DROPOUT, EPSILON = 0.2, 1e-7
LARGEST_DIFFERENCE = 0.02
"""Of the first step's change of a weight tensor, relative, in the Euclidean norm.

Rounding makes at most 2e-5, and 8e-3 in JAX's gradient of the first layer; an epsilon three times too large makes 0.08
there, one of 1e-8 0.1, and PyTorch's 1e-7 taken for Keras's 0.1; weights in another's layout 1 and more.
"""


def arrays(path):
    """All training images uint8 (n, 32, 32, 3) and labels int64 (n,), in memory."""
    with h5py.File(path, "r") as file:
        return file["x_train"][:], file["y_train"][:, 0].astype(np.int64)


# --- feeding: a peer returns the call that goes through one shuffled epoch, and yields batches as DataGenerator's, of
# its `dtype`: float32 in [0, 1] and one-hot, or uint8 and integers


def by_ours(device, path, dtype):
    """Our generator."""
    generator = DataGenerator(path, batch_size=BATCH, dtype=dtype)

    def epoch():
        yield from ahead(generator, threads=device.threads)
        generator.on_epoch_end()

    return epoch


def by_tf_data(device, path, dtype):
    """tf.data over a permutation cut into batches, gathered at once and prefetched; its autotuner off, for speed."""
    images, labels = (tf.constant(part) for part in arrays(path))

    def permuted(_epoch):
        order = tf.random.shuffle(tf.range(len(images)))
        return tf.data.Dataset.from_tensor_slices(tf.reshape(order, (-1, BATCH)))

    def batch(chosen):
        pixels, classes = tf.gather(images, chosen), tf.gather(labels, chosen)
        if dtype == "uint8":
            return pixels, classes
        return tf.cast(pixels, tf.float32) / 255.0, tf.one_hot(classes, 10)

    options = tf.data.Options()
    options.autotune.enabled = False
    batches = (
        tf.data.Dataset.range(1)
        .flat_map(permuted)
        .map(batch, num_parallel_calls=device.threads)
        .prefetch(2 * device.threads)
    )
    return batches.with_options(options).__iter__


def by_torch(device, path, dtype):
    """A DataLoader whose sampler gives whole batches of a permutation, which the dataset gathers and scales at once."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    data = pytest.importorskip("torch.utils.data", reason="PyTorch is not installed")
    torch.set_num_threads(device.threads)
    images, labels = (torch.from_numpy(part) for part in arrays(path))

    class Batches(data.Dataset):
        def __len__(self):
            return len(images)

        def __getitem__(self, chosen):
            pixels, classes = images.index_select(0, chosen), labels[chosen]
            if dtype == "uint8":
                return pixels, classes
            return pixels.float().div_(255), torch.nn.functional.one_hot(classes, 10).float()

    class Permuted(data.Sampler):
        def __iter__(self):
            return iter(torch.randperm(len(images)).split(BATCH))

    return data.DataLoader(Batches(), sampler=Permuted(), batch_size=None).__iter__


def by_grain(_device, path, dtype):
    """A Grain dataset of a permutation cut into batches, each gathered and scaled at once.

    Without threads of Grain's: as it comes, with 16 and a read-ahead of 500, it is three times slower on two cores.
    """
    grain = pytest.importorskip("grain", reason="Grain is not installed")
    images, labels = arrays(path)
    random, eye = np.random.Generator(np.random.PCG64(0)), np.eye(10, dtype=np.float32)
    alone = grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)

    def batch(chosen):
        pixels, classes = images[chosen], labels[chosen]
        if dtype == "uint8":
            return pixels, classes
        return pixels.astype(np.float32) / np.float32(255), eye[classes]

    def epoch():
        order = random.permutation(len(images)).reshape(-1, BATCH)
        return iter(grain.MapDataset.source(order).map(batch).to_iter_dataset(alone))

    return epoch


def as_tensors(batch):
    """A batch as TensorFlow's tensors in the host's memory; of other libraries by way of NumPy, as Keras takes them."""
    with tf.device("CPU:0"):
        return [part if tf.is_tensor(part) else tf.convert_to_tensor(np.asarray(part)) for part in batch]


def measure_epochs(measure, path, epoch, dtype):
    """Go through whole shuffled epochs with nobody to consume them; each must bring the file's images and classes."""
    images, _ = arrays(path)

    def a_pass():
        for _batch in epoch():
            pass

    def check(_result):
        total, counts, came = 0.0, np.zeros(10), 0
        for batch in epoch():
            pixels, labels = map(np.asarray, batch)
            assert pixels.dtype == dtype
            total += pixels.sum(dtype=np.float64) * (255 if dtype == "float32" else 1)
            counts += labels.sum(axis=0) if labels.ndim > 1 else np.bincount(labels, minlength=10)
            came += len(pixels)
        assert came == len(images), f"{came} images came"
        assert total == pytest.approx(images.sum(dtype=np.float64), rel=1e-6), "not the file's images"
        assert (counts == len(images) / 10).all(), f"classes came {counts} times"
        return ["as many images of each class as in the file, of the same sum"]

    measure(a_pass, images=len(images), check=check)


GENERATORS = pytest.mark.parametrize(
    "peer",
    [
        pytest.param(peer, id=f"by={name}")
        for name, peer in [("ours", by_ours), ("tf.data", by_tf_data), ("torch", by_torch), ("grain", by_grain)]
    ],
)


@GENERATORS
def test_peer_generator(measure, device, dataset, peer):
    """Images as float32 and one-hot labels, as they come from each."""
    measure_epochs(measure, dataset, peer(device, dataset, "float32"), "float32")


@GENERATORS
def test_peer_tensors(measure, device, dataset, peer):
    """Bytes and integer labels as TensorFlow's tensors, which a step scales on its device; nothing else is done."""
    epoch = peer(device, dataset, "uint8")
    measure_epochs(measure, dataset, lambda: map(as_tensors, epoch()), "uint8")


# --- training and forward passes: a framework computes in a process of its own, which is asked for each call by a pipe


@dataclass(frozen=True)
class Framework:
    """A module of `peers/`, what it needs, and how it is asked for what it does."""

    module: str
    needs: dict[str, str] = field(default_factory=dict)
    """Modules that must be there, and how they are called."""
    backend: str = "tensorflow"
    options: dict[str, bool] = field(default_factory=dict)
    corrects_first: bool = False
    """Its Adam adds epsilon to the root of the second moment after the correction of its bias; Keras's before it."""

    @property
    def epsilon_of_first_step(self):
        """The epsilon by which its first step is Keras's: the correction divides by the root of 1 - 0.999."""
        return EPSILON / math.sqrt(1 - 0.999) if self.corrects_first else EPSILON


JAX, TORCH = {"jax": "JAX"}, {"torch": "PyTorch"}
FRAMEWORKS = {
    "ours": Framework("by_ours"),
    "keras": Framework("by_keras"),
    "keras-jax": Framework("by_keras", JAX, backend="jax"),
    "keras-torch": Framework("by_keras", TORCH, backend="torch"),
    "torch": Framework("by_torch", TORCH, corrects_first=True),
    "torch-compiled": Framework("by_torch", TORCH, options={"compiled": True}, corrects_first=True),
    "jax": Framework("by_jax", JAX | {"optax": "Optax"}, corrects_first=True),
}


class Child:
    """A framework's process: `child(name, …)` is the answer of `name(…)` there; see `peers/__main__.py`."""

    def __init__(self, framework, threads):
        """Start it with as many threads as the run may use; it sees no GPU."""
        self.framework = framework
        self._line, theirs = multiprocessing.Pipe()
        names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "NPROC")  # the last is JAX's
        environ = dict.fromkeys(names, str(threads)) | {
            "KERAS_BACKEND": framework.backend,
            "CUDA_VISIBLE_DEVICES": "-1",
        }
        folder = str(Path(__file__).with_name("peers"))
        self._process = subprocess.Popen(
            [sys.executable, folder, framework.module, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env=os.environ | environ,
        )
        theirs.close()

    def __call__(self, name, *arguments, **options):
        """Call and wait for the answer; RuntimeError when the process has ended, which says why by itself."""
        try:
            self._line.send((name, arguments, options))
            return self._line.recv()
        except (EOFError, OSError) as error:
            message = f"{self.framework.module} ended with code {self._process.wait()} in {name}; its log says why"
            raise RuntimeError(message) from error

    def build(self, weights, images, labels, *, rate=DROPOUT, epsilon=EPSILON):
        """Make the peer, anew."""
        self("build", weights, images, labels, rate=rate, epsilon=epsilon, **self.framework.options)

    def close(self):
        """End it."""
        self._line.close()
        self._process.wait()


@pytest.fixture
def child(request, device):
    """The process of the framework whose name is the parameter; skipped where it is not installed."""
    framework = FRAMEWORKS[request.param]
    if device.kind != "cpu":
        pytest.skip("the peers' training and forward passes are for the CPU")
    for module, name in framework.needs.items():
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{name} is not installed")
    if framework.options.get("compiled") and not shutil.which("g++"):
        pytest.skip("torch.compile needs a C++ compiler (g++)")
    running = Child(framework, device.threads)
    yield running
    running.close()


class Expected(NamedTuple):
    """What a peer's answers must be: ours."""

    weights: list
    """The start, in Keras's order and layout: our initial weights, but no bias is zero, so that each one counts."""
    digest: str
    loss: float
    """Of the first step, without dropout."""
    after: list
    """Weights after it."""

    def network(self):
        """Our network at the start, without dropout."""
        network = model.build()
        for layer in network.layers:
            if isinstance(layer, keras.layers.Dropout):
                layer.rate = 0
        network.set_weights(self.weights)
        return network


@pytest.fixture(scope="module")
def expected(dataset):
    """Ours, computed in the run's own process."""
    random = np.random.Generator(np.random.PCG64(1))
    drawn = [
        weight if weight.ndim > 1 else random.normal(0, 0.1, weight.shape) for weight in model.build().get_weights()
    ]
    start = Expected(drawn, "", math.nan, [])
    network = training.prepare(start.network())
    digest = model.digest(network)
    loss = float(training.step(network)(*DataGenerator(dataset, batch_size=BATCH)[0]))
    return Expected(drawn, digest, loss, network.get_weights())


def batches_of(dataset, batch, count):
    """The first `count` batches: images float32 (count, batch, 32, 32, 3), labels, and a digest of their order."""
    generator = DataGenerator(dataset, batch_size=batch)
    images, labels = (np.stack(part) for part in zip(*training.take(generator, count), strict=True))
    return images, labels, generator.digest(count)


def first_step_is_ours(child, expected, images, labels):
    """Assert that the first step on these batches drops something, and without dropout changes weights as ours does."""
    child.build(expected.weights, images, labels)
    dropped = child("train", 0, 1)
    child.build(expected.weights, images, labels, rate=0.0, epsilon=child.framework.epsilon_of_first_step)
    assert child("train", 0, 1) == pytest.approx(expected.loss, rel=1e-5)
    assert abs(dropped / expected.loss - 1) > 1e-5, "dropout drops nothing"
    for place, (before, theirs, ours) in enumerate(
        zip(expected.weights, child("weights"), expected.after, strict=True)
    ):
        off = np.linalg.norm(theirs - ours) / np.linalg.norm(ours - before)
        assert off < LARGEST_DIFFERENCE, (
            f"the first step changes weight {place} otherwise than ours, by {off:.1g} of the change"
        )
    return "the first step changes each weight as ours within 2 %"


@pytest.mark.parametrize("child", [pytest.param(name, id=f"by={name}") for name in FRAMEWORKS], indirect=True)
def test_peer_training(measure, dataset, child, expected):
    """A short epoch from memory; without dropout the first step must change every weight as ours does.

    Losses would not show that: the first ones are near chance whatever is wrong (a bias that does not learn moves
    them by 0.03 %), and the later ones go apart for rounding alone (by 10 % after 16 steps).
    """
    images, labels, batches = batches_of(dataset, BATCH, STEPS)
    child.build(expected.weights, images, labels)
    step_seconds = []

    def train():
        loss = child("train", 0, STEPS)
        if child.framework.module == "by_keras":
            step_seconds.append(child("step_seconds"))
        return loss

    def check(loss):
        for _ in range(MORE_CALLS):
            if loss < CHANCE:
                break
            loss = child("train", 0, STEPS)
        assert loss < CHANCE, f"the loss of {loss:.3f} is no better than guessing ({CHANCE:.3f})"
        return [f"loss {loss:.3f}, below chance", first_step_is_ours(child, expected, images[:1], labels[:1])]

    work = {"weights": expected.digest, "batches": batches}
    flop = cost.training_flop(expected.network()) * BATCH * STEPS
    measure(train, images=BATCH * STEPS, flop=flop, check=check, work=work, repeat=False)
    measure.note(memory=memory_of(child))
    if step_seconds:
        measure.note(step_seconds=step_seconds, epoch_images=DataGenerator(dataset).images)


@pytest.mark.parametrize(
    ("child", "batch", "count"),
    [
        pytest.param(name, batch, count, id=f"batch={batch},by={name}")
        for batch, count in ((250, 40), (1, 500))
        for name in FRAMEWORKS
    ],
    indirect=["child"],
)
def test_peer_forward(measure, dataset, child, expected, batch, count):
    """Batches from memory, one after the other; the probabilities of all images must be ours."""
    images, labels, batches = batches_of(dataset, batch, count)
    child.build(expected.weights, images, labels)

    def check(found):
        ours = training.predict(training.forward(expected.network()), images.reshape(-1, *model.IMAGE_SHAPE))
        np.testing.assert_allclose(found, ours, rtol=5e-3)
        return [f"probabilities of {len(ours)} images agree with ours within 0.5 %"]

    work = {"weights": expected.digest, "batches": batches}
    flop = cost.forward_flop(expected.network()) * batch * count
    measure(lambda: child("forward"), images=batch * count, flop=flop, check=check, work=work)
    measure.note(memory=memory_of(child))


def memory_of(child):
    """The peak of the framework's process in place of the run's own."""
    meaning = "host: peak of the peer's own process since it began (VmHWM); device: the CPU computes in the host's"
    return {"host_peak_bytes": child("peak_bytes"), "device_peak_bytes": None, "meaning": f"{meaning} memory"}
