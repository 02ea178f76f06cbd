"""Plain JAX with Optax's Adam: one compiled step that gives its arguments away, the lesson's layout of images."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax


class Peer:
    """See `__main__.py`."""

    def __init__(self, weights, images, labels, *, rate, epsilon):
        self._weights = [jnp.array(weight) for weight in weights]
        self._images, self._labels = map(jnp.array, images), map(jnp.array, labels)
        self._images, self._labels = list(self._images), list(self._labels)
        optimizer = optax.adam(0.001, eps=epsilon)
        self._moments, self._key = optimizer.init(self._weights), jax.random.key(0)

        def loss_of(weights, images, labels, key):
            return optax.softmax_cross_entropy(_logits(weights, images, rate, key), labels).mean()

        @partial(jax.jit, donate_argnums=(0, 1, 2))
        def step(weights, moments, key, images, labels):
            key, of_step = jax.random.split(key)
            loss, gradients = jax.value_and_grad(loss_of)(weights, images, labels, of_step)
            updates, moments = optimizer.update(gradients, moments, weights)
            return optax.apply_updates(weights, updates), moments, key, loss

        self._step = step
        self._forward = jax.jit(lambda weights, images: jax.nn.softmax(_logits(weights, images)))

    def train(self, first, last):
        losses = []
        for images, labels in zip(self._images[first:last], self._labels[first:last], strict=True):
            state = self._weights, self._moments, self._key
            self._weights, self._moments, self._key, loss = self._step(*state, images, labels)
            losses.append(loss)
        jax.block_until_ready(self._weights)
        return float(np.mean(losses))

    def forward(self):
        return np.concatenate([np.asarray(self._forward(self._weights, images)) for images in self._images])

    def weights(self):
        return [np.asarray(weight) for weight in self._weights]


def _logits(weights, images, rate=0.0, key=None):
    """The lesson's network, to logits (n, 10); without a `key` nothing is dropped."""
    kernels, biases = weights[::2], weights[1::2]
    values = images
    for kernel, bias in zip(kernels[:4], biases[:4], strict=True):
        found = lax.conv_general_dilated(values, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        values = _halved(jax.nn.relu(found + bias))
    values = values.reshape(len(values), -1)
    for kernel, bias in zip(kernels[4:6], biases[4:6], strict=True):
        values = jax.nn.relu(values @ kernel + bias)
        if key is not None:
            key, of_layer = jax.random.split(key)
            kept = jax.random.bernoulli(of_layer, 1 - rate, values.shape)
            values = jnp.where(kept, values / (1 - rate), 0)
    return values @ kernels[6] + biases[6]


def _halved(values):
    """The maximum of each 2 by 2 square of (n, h, w, c); `lax.reduce_window` takes longer on a CPU."""
    n, height, width, channels = values.shape
    return values.reshape(n, height // 2, 2, width // 2, 2, channels).max(axis=(2, 4))
