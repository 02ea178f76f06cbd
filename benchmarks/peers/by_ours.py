"""This package: its training step and its forward pass, as the workloads `training` and `forward` call them."""

import keras
import numpy as np
import tensorflow as tf

from cifar.backend import device
from cifar.workload import model, training

device.claim("cpu")


class Peer:
    """See `__main__.py`."""

    def __init__(self, weights, images, labels, *, rate, epsilon):
        self._network = model.build()
        for layer in self._network.layers:
            if isinstance(layer, keras.layers.Dropout):
                layer.rate = rate
        self._network.set_weights(weights)
        training.prepare(self._network)
        self._network.optimizer.epsilon = epsilon
        self._step = training.step(self._network)
        self._forward = training.forward(self._network, xla=images.shape[1] <= training.SMALL_BATCH)
        self._batches = training.on_device(zip(images, labels, strict=True))

    def train(self, first, last):
        return float(tf.reduce_mean(training.epoch(self._step, self._batches[first:last])))

    def forward(self):
        return np.concatenate([self._forward(images).numpy() for images, _ in self._batches])

    def weights(self):
        return self._network.get_weights()
