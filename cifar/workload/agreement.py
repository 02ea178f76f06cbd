"""From weights, a batch and a precision to outputs, loss and gradients, and to how far rounding alone may move them.

Outputs are computed by Keras on any of its backends; how far rounding moves them, by TensorFlow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from cifar.workload import model

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Call = Callable[..., Any]
    Watch = Callable[[str, Call], Call]
    Arrays = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Precision:
    """How a side computes: Keras's dtype, and unit roundoffs of what goes into a product and of its sum."""

    dtype: str
    operand: float
    sum: float


PRECISIONS = {
    "float64": Precision("float64", 2.0**-53, 2.0**-53),
    "float32": Precision("float32", 2.0**-24, 2.0**-24),
    "tf32": Precision("float32", 2.0**-11, 2.0**-24),
    "bfloat16": Precision("bfloat16", 2.0**-8, 2.0**-24),
}
"""IEEE 754 for the first two; TF32 rounds a product's operands to 10 bits behind the point, and adds in float32; so
does bfloat16 with 7 bits, which also stores every layer's output."""

SIGMAS = 5.0
"""Standard deviations that a tolerance stands for: normal errors exceed it once in two million."""
SAMPLES = 4


def compute(
    weights: Sequence[Any],
    images: Any,
    labels: Any,
    precision: str,
    *,
    watch: Watch = lambda _what, call: call,
) -> Arrays:
    """Probabilities, mean loss and its gradients of the lesson's network without dropout, as float64 arrays by name.

    `weights` as of `get_weights`; images float32 (n, 32, 32, 3) and labels one-hot (n, 10).  It runs on Keras's
    backend (TensorFlow, JAX or PyTorch) and on the device in scope, and `watch(what, call)` returns a `call` that
    does the same and is looked at.  TF32, which CPUs do not have, is switched on for "tf32" and off for all others.
    ValueError where the backend gives other types than it was asked for, as PyTorch does for the loss in float64.
    """
    dtype = PRECISIONS[precision].dtype
    dtype_of_loss = "float64" if dtype == "float64" else "float32"
    _set_arithmetic(precision)
    network = _in_dtype(dtype)
    for variable, value in zip(network.weights, weights, strict=True):
        variable.assign(value)
    function = _BACKENDS[keras.config.backend()](network, keras.losses.CategoricalCrossentropy(dtype=dtype_of_loss))
    probabilities, loss, gradients = watch("agreement", function)(images, labels)
    found = {keras.backend.standardize_dtype(part.dtype) for part in (probabilities, *gradients)}
    of_loss = keras.backend.standardize_dtype(loss.dtype)
    if (found, of_loss) != ({dtype}, dtype_of_loss):
        message = (
            f"Keras on {keras.config.backend()} computes in {of_loss} where {precision} was asked for; name another"
        )
        raise ValueError(message)
    return _named((probabilities, loss, *gradients))


def _in_dtype(dtype: str) -> keras.Model:
    """The lesson's network with weights, arithmetic and outputs of every layer in `dtype`, the last one included."""

    def again(layer: keras.layers.Layer) -> keras.layers.Layer:
        return type(layer).from_config({**layer.get_config(), "dtype": dtype})

    return keras.models.clone_model(model.build(), clone_function=again)


def _by_tensorflow(network: keras.Model, loss_of: Call) -> Call:
    """A compiled function of images and labels to probabilities, loss and gradients."""

    @tf.function  # type: ignore[untyped-decorator]
    def run(images: Any, labels: Any) -> Any:
        with tf.GradientTape() as tape:
            probabilities = network(images, training=False)
            loss = loss_of(labels, probabilities)
        return probabilities, loss, tape.gradient(loss, network.trainable_variables)

    return run  # type: ignore[no-any-return]


def _by_jax(network: keras.Model, loss_of: Call) -> Call:
    """As `_by_tensorflow`."""
    import jax

    def loss_and_probabilities(trained: Any, images: Any, labels: Any) -> Any:
        others = [variable.value for variable in network.non_trainable_variables]
        probabilities, _ = network.stateless_call(trained, others, images, training=False)
        return loss_of(labels, probabilities), probabilities

    both = jax.jit(jax.value_and_grad(loss_and_probabilities, has_aux=True))

    def run(images: Any, labels: Any) -> Any:
        trained = [variable.value for variable in network.trainable_variables]
        (loss, probabilities), gradients = both(trained, images, labels)
        return probabilities, loss, gradients

    return run


def _by_torch(network: keras.Model, loss_of: Call) -> Call:
    """As `_by_tensorflow`, not compiled."""

    def run(images: Any, labels: Any) -> Any:
        probabilities = network(images, training=False)
        loss = loss_of(labels, probabilities)
        loss.backward()
        return probabilities, loss, [variable.value.grad for variable in network.trainable_variables]

    return run


_BACKENDS = {"tensorflow": _by_tensorflow, "jax": _by_jax, "torch": _by_torch}


def _set_arithmetic(precision: str) -> None:
    """Let the backend compute in `precision`, and its TF32 be used for "tf32" alone."""
    tf32 = precision == "tf32"
    match keras.config.backend():
        case "jax":
            import jax

            jax.config.update("jax_enable_x64", precision == "float64")
            jax.config.update("jax_default_matmul_precision", "tensorfloat32" if tf32 else "highest")
        case "torch":
            import torch

            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
        case _:
            tf.config.experimental.enable_tensor_float_32_execution(tf32)


def _named(found: Sequence[Any]) -> Arrays:
    """Arrays by names that are the same for every network: gradients are numbered in the order of the layers."""
    values = [keras.ops.convert_to_numpy(_known_to_numpy(value)).astype(np.float64) for value in found]
    return dict(zip(("outputs", "loss", *gradient_names(len(values) - 2)), values, strict=True))


def _known_to_numpy(value: Any) -> Any:
    """The same numbers in a type that NumPy has: bfloat16 becomes float32, which holds it exactly."""
    return keras.ops.cast(value, "float32") if keras.backend.standardize_dtype(value.dtype) == "bfloat16" else value


def gradient_names(count: int) -> list[str]:
    """Names of `count` gradients, kernel and bias of each layer in turn."""
    return [f"gradient of layer {place // 2 + 1}: {('kernel', 'bias')[place % 2]}" for place in range(count)]


def distances(one: Arrays, other: Arrays) -> dict[str, float]:
    """How far `one` is from `other`, for each name: the norm of the difference over the norm of `other`.

    ValueError where they are not of the same names and shapes.
    """
    if {name: part.shape for name, part in one.items()} != {name: part.shape for name, part in other.items()}:
        message = "the two sides hold arrays of other names or shapes: make both anew with the same version"
        raise ValueError(message)
    return {name: _norm(one[name] - part) / _norm(part) for name, part in other.items()}


def tolerances(weights: Sequence[Any], images: Any, labels: Any, precisions: Sequence[str]) -> dict[str, float]:
    """How far two sides may lie apart by rounding alone, in the measure of `distances`, for each name.

    Each rounding is taken for a random relative error, independent of the others, as large as the unit roundoff
    (N. J. Higham and T. Mary, SIAM J. Sci. Comput. 41 (2019) A2815: errors then grow like the root of the number of
    operations).  The network is evaluated in float64 with such errors drawn at random (D. S. Parker, Monte Carlo
    arithmetic, 1997), so that kinks, cancellation and growth from layer to layer are those of this very batch; the
    root mean square of what that moves is a standard deviation, and a tolerance is SIGMAS of both sides together.
    """
    exact = noisy(weights, images, labels, Precision("float64", 0.0, 0.0), seed=0)
    squares = dict.fromkeys(exact, 0.0)
    for precision in precisions:
        for seed in range(SAMPLES):
            found = noisy(weights, images, labels, PRECISIONS[precision], seed=seed)
            for name, distance in distances(found, exact).items():
                squares[name] += distance**2 / SAMPLES
    return {name: SIGMAS * math.sqrt(square) for name, square in squares.items()}


def noisy(weights: Sequence[Any], images: Any, labels: Any, precision: Precision, *, seed: int) -> Arrays:
    """As `compute`, in float64, with random errors of the size of `precision`'s roundings, fixed by `seed`.

    A sum of n terms of random sign takes n roundings, each relative to the sum so far, whose square grows evenly
    up to that of the root sum of squares q: together u q sqrt(n / 2) for unit roundoff u.
    """
    draw = _draws(seed)
    kernels = [tf.constant(part, tf.float64) for part in weights]
    values, labels = tf.constant(images, tf.float64), tf.constant(labels, tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(kernels)
        for place in range(0, len(kernels), 2):
            values = _layer(values, kernels[place], kernels[place + 1], precision, draw)
            if place < len(kernels) - 2:
                values = tf.nn.relu(values)
            if len(kernels[place].shape) == 4:  # noqa: PLR2004 a convolution, which the lesson follows by a pooling
                values = tf.nn.max_pool2d(values, 2, 2, "SAME")
        probabilities = tf.nn.softmax(values)
        loss = -tf.reduce_mean(tf.reduce_sum(labels * tf.nn.log_softmax(values), axis=1))
    gradients = tape.gradient(loss, kernels)
    found = [draw(probabilities, precision.operand), draw(loss, precision.operand)]
    found += [draw(part, precision.operand) for part in gradients]
    return _named(found)


def _draws(seed: int) -> Any:
    """A function that gives values with a normal relative error of the size asked for."""
    generator = tf.random.Generator.from_seed(seed)
    return lambda values, size: values * (1 + size * generator.normal(tf.shape(values), dtype=tf.float64))


def _layer(values: Any, kernel: Any, bias: Any, precision: Precision, draw: Any) -> Any:
    """A convolution or dense layer with the errors of its operands and of its sums, on the way there and back."""
    convolves = len(kernel.shape) == 4  # noqa: PLR2004
    if not convolves:
        values = tf.reshape(values, (values.shape[0], -1))

    def product(left: Any, right: Any) -> Any:
        return tf.nn.conv2d(left, right, 1, "SAME") if convolves else tf.linalg.matmul(left, right)

    terms, positions = math.prod(kernel.shape[:-1]), math.prod(values.shape[:-1])
    spread = tf.stop_gradient(tf.sqrt(product(values**2, kernel**2)))
    error = draw(spread, 1.0) - spread
    there = product(draw(values, precision.operand), draw(kernel, precision.operand)) + bias
    there += precision.sum * math.sqrt(terms / 2) * error

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def back(result: Any) -> Any:
        size = math.hypot(precision.operand, precision.sum * math.sqrt(positions / 2))
        return tf.identity(result), lambda gradient: draw(gradient, size)

    return back(there)


def _norm(values: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(values))
