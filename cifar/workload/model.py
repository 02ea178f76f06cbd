"""From a seed to the lesson's network, and from the network to the floating-point operations one image costs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

IMAGE_SHAPE = (32, 32, 3)
CLASSES = 10

_FLOAT32 = 4


def set_defaults() -> None:
    """Set what is global in Keras, and would change what is computed, to the values that Keras comes with.

    A user's `keras.json`, variables and notebook may have set them to others.
    """
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")
    keras.config.set_dtype_policy("float32")
    keras.config.set_max_epochs(None)
    keras.config.set_max_steps_per_epoch(None)


def build(seed: int = 0, precision: str = "float32") -> keras.Sequential:
    """The lesson's network, uncompiled: images float32 (n, 32, 32, 3) in [0, 1] to probabilities float32 (n, 10).

    `precision` is a Keras dtype policy, such as `mixed_bfloat16`, of all layers but the last, whose probabilities
    are float32 always.  Weights and dropout masks are fixed by `seed`.  The kernels are drawn by NumPy from the
    distribution of Keras's default (Glorot and Bengio 2010, eq. 16), so they are bit-equal on every device and
    backend; biases start at zero.  Keras's global settings become those of `set_defaults`.
    """
    set_defaults()
    channels = {"data_format": "channels_last"}
    layers: list[keras.Layer] = [keras.Input(IMAGE_SHAPE, dtype="float32")]
    for filters in (32, 64, 128, 256):
        layers.append(keras.layers.Conv2D(filters, 3, padding="same", activation="relu", dtype=precision, **channels))
        layers.append(keras.layers.MaxPooling2D(2, 2, padding="same", dtype=precision, **channels))
    layers.append(keras.layers.Flatten(dtype=precision, **channels))
    for number, units in enumerate((256, 512)):
        layers.append(keras.layers.Dense(units, activation="relu", dtype=precision))
        layers.append(keras.layers.Dropout(0.2, seed=2 * seed + number, dtype=precision))
    layers.append(keras.layers.Dense(CLASSES, activation="softmax", dtype="float32"))
    model = keras.Sequential(layers, name="lesson")
    model.set_weights(_initial_weights(model, seed))
    return model


def _initial_weights(model: keras.Model, seed: int) -> list[np.ndarray[Any, Any]]:
    """Glorot-uniform kernels and zero biases, in the order of `model.weights` that `set_weights` takes."""
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


@dataclass(frozen=True)
class Layer:
    """What a layer makes of one image, and what that costs."""

    name: str
    kind: str
    shape: tuple[int, ...]
    """Of its output."""
    parameters: int
    flop: int
    """Of the forward pass, as `forward_flop` counts; 0 where no weights are multiplied."""
    activations: int
    """Numbers in its output, each of which training keeps for the way back: 4 bytes in float32."""


def layers(model: keras.Model) -> list[Layer]:
    """Every layer of `model` in order, for one image."""
    return [
        Layer(
            name=layer.name,
            kind=type(layer).__name__,
            shape=(shape := tuple(layer.output.shape[1:])),
            parameters=layer.count_params(),
            flop=_layer_flop(layer),
            activations=int(np.prod(shape)),
        )
        for layer in model.layers
    ]


def forward_flop(model: keras.Model) -> int:
    """Floating-point operations of one image's forward pass: two (multiply, add) for each weight's each use.

    Counted from the layers' own shapes; convolutions and dense layers only, since pooling, biases and
    activations are below 1 % of them here.
    """
    return sum(_layer_flop(layer) for layer in model.layers)


def training_flop(model: keras.Model) -> int:
    """Floating-point operations of one image's training step.

    Forward, gradient with respect to the weights, and gradient with respect to the input cost the same for a
    layer; the first layer's input gradient is not needed.
    """
    costs = [cost for cost in map(_layer_flop, model.layers) if cost]
    return 3 * sum(costs) - costs[0]


def forward_bytes(model: keras.Model, batch: int) -> int:
    """Bytes that a forward pass of `batch` images reads and writes where each layer with weights is one kernel.

    Each reads its input and its weights once and writes its output once, in float32.  What is fused further, or
    stays in a cache, moves less.
    """
    values, weights = _traffic(model)
    return _FLOAT32 * (values * batch + weights)


def training_bytes(model: keras.Model, batch: int) -> int:
    """Bytes that a training step on `batch` images reads and writes, counted as by `forward_bytes`.

    For each layer three kernels read or write values of the size of its input and output (output; gradient of
    the weights; gradient of the input) and one of the weights' size; then Adam reads the gradients and reads and
    writes the weights and both of its moments.
    """
    values, weights = _traffic(model)
    return _FLOAT32 * (3 * values * batch + (3 + 7) * weights)


def _traffic(model: keras.Model) -> tuple[int, int]:
    """Values in the inputs and outputs of all layers with kernels for one image, and the number of weights."""
    layers = [layer for layer in model.layers if _layer_flop(layer)]
    values = sum(int(np.prod(shape[1:])) for layer in layers for shape in (layer.input.shape, layer.output.shape))
    return values, model.count_params()


def _layer_flop(layer: keras.Layer) -> int:
    """Floating-point operations of `layer` on one image; 0 for layers without a kernel."""
    if not isinstance(layer, keras.layers.Conv2D | keras.layers.Dense):
        return 0
    uses = int(np.prod(layer.output.shape[1:-1]))
    return 2 * uses * int(np.prod(layer.kernel.shape))
