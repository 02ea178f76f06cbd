"""What a user would pick instead of our generator, in its best usual form.

Measured only where it is asked for: `cifar bench --only peer`.  Peers that are not installed are left out, and named;
`pip install grain torch` beside this package brings them.
"""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import tensorflow as tf

from cifar.workload.generator import DataGenerator, ahead

pytestmark = pytest.mark.peer

BATCH = 250


def arrays(path):
    """All training images uint8 (n, 32, 32, 3) and labels int64 (n,), in memory."""
    with h5py.File(path, "r") as file:
        return file["x_train"][:], file["y_train"][:, 0].astype(np.int64)


# --- feeding: a peer returns the call that goes through one shuffled epoch, and yields float32 in [0, 1] and one-hot


def by_ours(device, path):
    """Our generator."""
    generator = DataGenerator(path, batch_size=BATCH)

    def epoch():
        yield from ahead(generator, threads=device.threads)
        generator.on_epoch_end()

    return epoch


def by_tf_data(_device, path):
    """tf.data over a permutation cut into batches, gathered at once and prefetched; its autotuner off, for speed."""
    images, labels = (tf.constant(part) for part in arrays(path))

    def permuted(_epoch):
        order = tf.random.shuffle(tf.range(len(images)))
        return tf.data.Dataset.from_tensor_slices(tf.reshape(order, (-1, BATCH)))

    def batch(chosen):
        return tf.cast(tf.gather(images, chosen), tf.float32) / 255.0, tf.one_hot(tf.gather(labels, chosen), 10)

    options = tf.data.Options()
    options.autotune.enabled = False
    batches = tf.data.Dataset.range(1).flat_map(permuted).map(batch, num_parallel_calls=2).prefetch(4)
    return batches.with_options(options).__iter__


def by_torch(_device, path):
    """A DataLoader whose sampler gives whole batches of a permutation, which the dataset gathers and scales at once."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    data = pytest.importorskip("torch.utils.data", reason="PyTorch is not installed")
    images, labels = (torch.from_numpy(part) for part in arrays(path))

    class Batches(data.Dataset):
        def __len__(self):
            return len(images)

        def __getitem__(self, chosen):
            scaled = images.index_select(0, chosen).float().div_(255)
            return scaled, torch.nn.functional.one_hot(labels[chosen], 10).float()

    class Permuted(data.Sampler):
        def __iter__(self):
            return iter(torch.randperm(len(images)).split(BATCH))

    return data.DataLoader(Batches(), sampler=Permuted(), batch_size=None).__iter__


def by_grain(_device, path):
    """A Grain dataset of a permutation cut into batches, each gathered and scaled at once."""
    grain = pytest.importorskip("grain", reason="Grain is not installed")
    images, labels = arrays(path)
    random, eye = np.random.Generator(np.random.PCG64(0)), np.eye(10, dtype=np.float32)

    def batch(chosen):
        return images[chosen].astype(np.float32) / np.float32(255), eye[labels[chosen]]

    def epoch():
        order = random.permutation(len(images)).reshape(-1, BATCH)
        return iter(grain.MapDataset.source(order).map(batch))

    return epoch


@pytest.mark.parametrize(
    "peer",
    [
        pytest.param(peer, id=f"by={name}")
        for name, peer in [("ours", by_ours), ("tf.data", by_tf_data), ("torch", by_torch), ("grain", by_grain)]
    ],
)
def test_peer_generator(measure, device, dataset, peer):
    """A whole shuffled epoch with nobody to consume it; classes and the sum of all pixels must be the file's."""
    epoch = peer(device, dataset)
    images, _ = arrays(dataset)

    def a_pass():
        for _batch in epoch():
            pass

    def check(_result):
        total, counts, came = 0.0, np.zeros(10), 0
        for batch in epoch():
            pixels, labels = map(np.asarray, batch)
            assert pixels.dtype == np.float32
            total, counts, came = total + pixels.sum(dtype=np.float64), counts + labels.sum(axis=0), came + len(pixels)
        assert came == len(images), f"{came} images came"
        assert total == pytest.approx(images.sum(dtype=np.float64) / 255, rel=1e-6), "not the file's images"
        assert (counts == len(images) / 10).all(), f"classes came {counts} times"
        return ["as many images of each class as in the file, of the same sum"]

    measure(a_pass, images=len(images), check=check)
