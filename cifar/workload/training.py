"""From a network and batches to losses, accuracies and predictions, on the device of the caller's scope.

Everything here runs where the surrounding `tf.device` scope says.  Calls return when their work has been
handed to the device; who times them waits for the device (`Device.wait`) or reads a value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from cifar.workload.model import CLASSES, set_defaults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

Pair = tuple[Any, Any]

SMALL_BATCH = 8
"""Forward passes of batches up to this size XLA makes faster on a CPU too: one image takes half the time."""
_SUMMED = "CifarBiasAddSummed"


def prepare(model: keras.Model, *, xla: bool = False) -> keras.Model:
    """Compile `model` as the lesson does: Adam at 0.001, categorical cross-entropy, accuracy; returns it.

    `xla` is said and never left to Keras: its "auto" chooses XLA wherever the node has a GPU, also for a
    process that hides the GPU and computes on the CPU, which XLA makes slower.  Keras's global settings become
    those of `model.set_defaults`.
    """
    set_defaults()
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate=0.001),
        loss="categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=xla,
    )
    # Its moments exist before the first step, so that the step is traced once.
    model.optimizer.build(model.trainable_variables)
    return model


def step(model: keras.Model, *, apart: bool = True) -> Callable[[Any, Any], Any]:
    """A compiled training step: a batch's images and labels to its mean loss before the step, a tensor ().

    It does what a step of `fit` does, without the dataset that `fit` builds around it.  Images are float32
    (n, 32, 32, 3) in [0, 1] with one-hot labels (n, 10), or uint8 with integer labels (n,), which the step scales
    and spreads on the device.  `apart`: see `_update`; without it the result is Keras's to the bit.
    """
    return _compiled(model, _one_step(model, apart=apart))


def steps(model: keras.Model) -> Callable[[Any, Any], Any]:
    """Several training steps in one compiled call: images (k, n, 32, 32, 3) and labels (k, n, …) to losses (k,).

    Each is that of `step`; in one call they cost one call's overhead.
    """
    one_step = _one_step(model)
    return _compiled(model, lambda images, labels: _in_turn(model, lambda pair: one_step(*pair), (images, labels)))


def resident_steps(model: keras.Model, images: Any, labels: Any) -> Callable[[Any], Any]:
    """Several training steps on images that lie on the device in scope: positions int64 (k, n) to losses (k,).

    `images` uint8 (N, 32, 32, 3) and `labels` int32 (N,) are copied to the device at once; each step gathers and
    scales its batch there, so that the host sends positions only.
    """
    one_step, images, labels = _one_step(model), tf.identity(images), tf.identity(labels)
    chosen_step = lambda chosen: one_step(tf.gather(images, chosen), tf.gather(labels, chosen))  # noqa: E731
    return _compiled(model, lambda positions: _in_turn(model, chosen_step, positions))


def _one_step(model: keras.Model, *, apart: bool = True) -> Callable[[Any, Any], Any]:
    """The training step that all of them compile."""
    loss_of = keras.losses.CategoricalCrossentropy(dtype="float32")

    def one_step(images: Any, labels: Any) -> Any:
        if images.dtype == tf.uint8:
            images, labels = tf.cast(images, tf.float32) / 255.0, tf.one_hot(labels, CLASSES)
        loss, _ = _update(model, loss_of, images, labels, apart=apart)
        return loss

    return one_step


def _compiled(model: keras.Model, call: Callable[..., Any]) -> Callable[..., Any]:
    """`call` as a graph, under XLA where the model says so; it is traced as it is, in two thirds of the time."""
    _check_tensorflow()
    options = {"jit_compile": model.jit_compile, "reduce_retracing": True, "autograph": False}
    return tf.function(call, **options)  # type: ignore[no-any-return]


def _check_tensorflow() -> None:
    """Have TensorFlow make graphs, whatever a notebook has set; ValueError where Keras computes by another backend."""
    tf.config.run_functions_eagerly(run_eagerly=False)
    if keras.config.backend() != "tensorflow":
        message = (
            f"Keras computes by {keras.config.backend()} in this process, and the lesson's network is trained by "
            "TensorFlow: set KERAS_BACKEND=tensorflow before Keras is imported"
        )
        raise ValueError(message)


def _in_turn(model: keras.Model, call: Callable[[Any], Any], items: Any) -> Any:
    """The losses of `call` on each of `items`, one after the other.

    XLA's code for CPUs runs what is inside a loop on one thread, 40 times slower: there the loop is unrolled.
    """
    if not (model.jit_compile and ":CPU:" in model.trainable_variables[0].value.device):
        return tf.map_fn(call, items, fn_output_signature=tf.float32, parallel_iterations=1)
    count = tf.nest.flatten(items)[0].shape[0]
    return tf.stack([call(tf.nest.map_structure(lambda part, at=at: part[at], items)) for at in range(count)])


def counting_step(model: keras.Model) -> Callable[[Any, Any], Pair]:
    """As `step`, on float32 images, but to the batch's mean loss and its number of hits before the step, tensors ().

    What it trains is what Keras's own step trains, to the bit.
    """
    loss_of = keras.losses.CategoricalCrossentropy(dtype="float32")

    def one_step(images: Any, labels: Any) -> Pair:
        loss, found = _update(model, loss_of, images, labels, apart=False)
        hits = tf.equal(tf.argmax(found, axis=1), tf.argmax(labels, axis=1))
        return loss, tf.reduce_sum(tf.cast(hits, tf.float32))

    return _compiled(model, one_step)


def _update(model: keras.Model, loss_of: Callable[[Any, Any], Any], images: Any, labels: Any, *, apart: bool) -> Pair:
    """Change the weights by one step; the batch's mean loss and its probabilities (n, 10) before that.

    Only inside a graph.  `apart`: the gradients of biases are summed by themselves.  TensorFlow's own are fused on
    a CPU with those of the convolutions' kernels, and oneDNN's fused code took 10.5 ms instead of 3.5 for the first
    layer at batch 250, of a step of 77 ms.  The sums are the same, but for their rounding.
    """
    override = {"BiasAdd": _SUMMED} if apart else {}
    with tf.compat.v1.get_default_graph().gradient_override_map(override):
        probabilities = model(images, training=True)
        loss = loss_of(labels, probabilities)
    # A tape would not see the override.
    gradients = tf.gradients(loss, [variable.value for variable in model.trainable_variables])
    model.optimizer.apply(gradients, model.trainable_variables)
    return loss, probabilities


@tf.RegisterGradient(_SUMMED)  # type: ignore[untyped-decorator]
def _bias_gradient(_operation: tf.Operation, gradient: Any) -> Pair:
    """The gradients of `bias_add`, channels last: of its input as it comes, of the bias summed over all else."""
    return gradient, tf.reduce_sum(gradient, axis=tuple(range(gradient.shape.rank - 1)))


def forward(model: keras.Model, *, xla: bool | None = None) -> Forward:
    """A compiled forward pass: images float32 (n, 32, 32, 3) to probabilities, a tensor (n, 10).

    By XLA if `xla` says so; None: if the model was compiled by it.  On a CPU one image takes half as long by XLA,
    which starts no operation by itself, and 32 take longer.
    """
    return Forward(model, xla=bool(model.jit_compile) if xla is None else xla)


class Forward:
    """The network as a function of images, with a graph for each shape: see `forward`.

    The graph is kept at hand, for `tf.function` takes 0.15 ms to find it again, a fifth of a call for one image.
    """

    def __init__(self, model: keras.Model, *, xla: bool) -> None:
        """Make it of `model`; graphs are made when they are called for."""
        _check_tensorflow()
        self._call = tf.function(lambda images: model(images, training=False), jit_compile=xla, autograph=False)
        self._graphs: dict[tuple[int, ...], Any] = {}

    def __call__(self, images: Any) -> Any:
        """The probabilities of `images`."""
        images = tf.convert_to_tensor(images)
        graph = self._graphs.get(tuple(images.shape)) or self.graph(images.shape)
        return graph(images)

    def graph(self, shape: Any) -> Any:
        """The graph for images of `shape`, made if it is new."""
        made = self._graphs[tuple(shape)] = self._call.get_concrete_function(tf.TensorSpec(shape, tf.float32))
        return made

    @property
    def traces(self) -> int:
        """How many graphs were made."""
        return len(self._graphs)


def epoch(one_step: Callable[[Any, Any], Any], batches: Iterable[Pair]) -> list[Any]:
    """Run one step a batch and return the loss of each, tensors ()."""
    return [one_step(images, labels) for images, labels in batches]


def take(batches: Sequence[Pair] | keras.utils.PyDataset, count: int) -> Iterable[Pair]:
    """The first `count` batches, one after the other."""
    return (batches[index] for index in range(count))


def on_device(batches: Iterable[Pair]) -> list[Pair]:
    """The batches as tensors in the memory of the device in scope."""
    return [(tf.identity(images), tf.identity(labels)) for images, labels in batches]


def evaluate(probabilities: Callable[[Any], Any], batches: Iterable[Pair]) -> tuple[float, float]:
    """Mean cross-entropy and accuracy over all images of `batches`, each image weighing the same.

    `probabilities` is the network's `forward`, made once: each making is a new trace and a new compilation.
    """
    loss = hits = images = 0.0
    for pixels, labels in batches:
        found = np.asarray(probabilities(pixels), np.float64)
        loss -= float(np.log(np.clip((found * labels).sum(axis=1), 1e-7, 1.0)).sum())
        hits += float((found.argmax(axis=1) == labels.argmax(axis=1)).sum())
        images += len(labels)
    return loss / images, hits / images


def predict(
    probabilities: Callable[[Any], Any], images: NDArray[np.float32], batch_size: int = 250
) -> NDArray[np.float32]:
    """Probabilities float32 (n, 10) of images float32 (n, 32, 32, 3) in [0, 1], in batches; see `evaluate`."""
    parts = range(0, len(images), batch_size)
    return np.concatenate([np.asarray(probabilities(images[at : at + batch_size])) for at in parts])
