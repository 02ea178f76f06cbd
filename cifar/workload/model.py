"""The lesson's network, with weights that a seed fixes."""

from __future__ import annotations

import hashlib
from typing import Any

import keras
import numpy as np

IMAGE_SHAPE = (32, 32, 3)
CLASSES = 10


def set_defaults() -> None:
    """Set what is global in Keras, and would change what is computed, to Keras's own values.

    A user's `keras.json`, variables and notebook may have set them to others.
    """
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")
    keras.config.set_dtype_policy("float32")
    keras.config.set_max_epochs(None)
    keras.config.set_max_steps_per_epoch(None)


def build(seed: int = 0, precision: str = "float32") -> keras.Sequential:
    """Return the lesson's network, uncompiled.

    It takes images float32 (n, 32, 32, 3) in [0, 1] and gives probabilities float32 (n, 10).
    `precision` is a Keras dtype policy, such as `mixed_bfloat16`, of all layers but the last,
    whose probabilities are float32 always.  Weights and dropout masks are fixed by `seed`.  The
    kernels are drawn by NumPy from the distribution of Keras's default (Glorot and Bengio 2010,
    eq. 16), so they are bit-equal on every device and backend; biases start at zero.  Keras's
    global settings become those of `set_defaults`.
    """
    set_defaults()
    layers: list[keras.Layer] = [keras.Input(IMAGE_SHAPE, dtype="float32")]
    options = {"dtype": precision, "data_format": "channels_last"}
    for filters in (32, 64, 128, 256):
        layers.append(keras.layers.Conv2D(filters, 3, padding="same", activation="relu", **options))
        layers.append(keras.layers.MaxPooling2D(2, 2, padding="same", **options))
    layers.append(keras.layers.Flatten(**options))
    for number, units in enumerate((256, 512)):
        layers.append(keras.layers.Dense(units, activation="relu", dtype=precision))
        layers.append(keras.layers.Dropout(0.2, seed=2 * seed + number, dtype=precision))
    layers.append(keras.layers.Dense(CLASSES, activation="softmax", dtype="float32"))
    model = keras.Sequential(layers, name="lesson")
    model.set_weights(_initial_weights(model, seed))
    return model


def _initial_weights(model: keras.Model, seed: int) -> list[np.ndarray[Any, Any]]:
    """Glorot-uniform kernels and zero biases, in the order that `set_weights` takes."""
    random = np.random.Generator(np.random.PCG64(seed))
    values = []
    for weight in model.weights:
        shape = tuple(weight.shape)
        if len(shape) > 1:
            field = int(np.prod(shape[:-2]))
            limit = np.sqrt(6.0 / (field * (shape[-2] + shape[-1])))
            values.append(random.uniform(-limit, limit, shape).astype("float32"))
        else:
            values.append(np.zeros(shape, "float32"))
    return values


def digest(model: keras.Model) -> str:
    """SHA-256 (hex) of all trainable weights in order: equal digests are equal starting points."""
    sha = hashlib.sha256()
    for weight in model.trainable_weights:
        sha.update(np.ascontiguousarray(weight).tobytes())
    return sha.hexdigest()
