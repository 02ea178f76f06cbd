"""What a network costs: its layers, floating-point operations, and bytes that move.

Everything is counted from the layers' own shapes, so that another network has other counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np

_FLOAT32 = 4
"""Bytes of a number."""


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
    """Return every layer of `model` in order, for one image."""
    described = []
    for layer in model.layers:
        shape = tuple(layer.output.shape[1:])
        described.append(
            Layer(
                name=layer.name,
                kind=type(layer).__name__,
                shape=shape,
                parameters=layer.count_params(),
                flop=_flop(layer),
                activations=_size(shape),
            )
        )
    return described


def forward_flop(model: keras.Model) -> int:
    """Return the floating-point operations of one image's forward pass.

    These are two, a multiplication and an addition, for each use of each weight. Convolutions and
    dense layers alone are counted: pooling, biases and activations are below 1 % of them here.
    """
    return sum(_flop(layer) for layer in model.layers)


def training_flop(model: keras.Model) -> int:
    """Return the floating-point operations of one image's training step.

    A layer's forward pass, the gradient with respect to its weights, and the gradient with respect
    to its input cost the same. The first layer's input is the image, whose gradient is not needed.
    """
    costs = [_flop(layer) for layer in _layers_with_kernels(model)]
    return 3 * sum(costs) - costs[0]


def forward_bytes(model: keras.Model, batch: int) -> int:
    """Return the bytes that a forward pass of `batch` images reads and writes.

    Each layer with weights counts as one kernel, which reads its input and its weights once and
    writes its output once, in float32. What is fused further, or stays in a cache, moves less.
    """
    values = _inputs_and_outputs(model)
    weights: int = model.count_params()
    return _FLOAT32 * (values * batch + weights)


def training_bytes(model: keras.Model, batch: int) -> int:
    """Return the bytes that a training step on `batch` images reads and writes.

    They are counted as by `forward_bytes`. For each layer three kernels (for its output, and for
    the gradients of its weights and of its input) read or write its input, its output, and its
    weights. Then Adam reads the gradients, and reads and writes the weights and both moments:
    seven times as many values as there are weights.
    """
    values = _inputs_and_outputs(model)
    weights: int = model.count_params()
    return _FLOAT32 * (3 * values * batch + (3 + 7) * weights)


def _inputs_and_outputs(model: keras.Model) -> int:
    """How many values one image has in the inputs and outputs of all layers with kernels."""
    values = 0
    for layer in _layers_with_kernels(model):
        values += _size(layer.input.shape[1:]) + _size(layer.output.shape[1:])
    return values


def _layers_with_kernels(model: keras.Model) -> list[keras.Layer]:
    """The layers that multiply by weights: convolutions and dense layers, in order."""
    return [layer for layer in model.layers if _flop(layer)]


def _flop(layer: keras.Layer) -> int:
    """Floating-point operations of `layer` on one image; 0 for layers without a kernel."""
    if not isinstance(layer, keras.layers.Conv2D | keras.layers.Dense):
        return 0
    uses = _size(layer.output.shape[1:-1])
    weights = _size(layer.kernel.shape)
    return 2 * uses * weights


def _size(shape: tuple[int, ...]) -> int:
    """Number of values in an array of `shape`."""
    return int(np.prod(shape))
