"""The lesson's network: its shape, its weights, its cost."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from cifar.workload import model, training


@pytest.fixture(scope="module")
def network():
    """The network from seed 0."""
    return model.build()


def test_is_the_lessons(network):
    """The layers and their sizes are the lesson's: 787,530 parameters."""
    assert network.count_params() == 787_530
    assert network.input_shape == (None, 32, 32, 3)
    assert network.output_shape == (None, 10)
    kinds = [type(layer).__name__ for layer in network.layers]
    assert kinds == ["Conv2D", "MaxPooling2D"] * 4 + ["Flatten"] + ["Dense", "Dropout"] * 2 + ["Dense"]
    assert [layer.filters for layer in network.layers if hasattr(layer, "filters")] == [32, 64, 128, 256]
    assert [layer.rate for layer in network.layers if hasattr(layer, "rate")] == [0.2, 0.2]


def test_weights_follow_the_seed(network):
    """The same seed gives the same weights bit for bit, another seed gives others."""
    assert model.digest(network) == model.digest(model.build())
    assert model.digest(network) != model.digest(model.build(seed=1))


def test_dropout_follows_the_seed():
    """Two networks from one seed drop the same units in training."""
    images = np.ones((2, 32, 32, 3), np.float32)
    one, other = (np.asarray(model.build(seed=3)(images, training=True)) for _ in range(2))
    np.testing.assert_array_equal(one, other)


def test_kernels_are_glorot_uniform(network):
    """Each kernel fills the interval of Keras's own default initialiser, and biases are zero."""
    for weight in network.weights:
        values = np.asarray(weight)
        if values.ndim == 1:
            assert not values.any()
            continue
        of_keras = np.asarray(keras.initializers.GlorotUniform(seed=0)(values.shape))
        assert np.abs(values).max() == pytest.approx(np.abs(of_keras).max(), rel=0.02)
        assert values.std() == pytest.approx(of_keras.std(), rel=0.1)


def test_flop_by_hand(network):
    """The counts are those of the layers' shapes, worked out by hand."""
    convolutions = 32 * 32 * 27 * 32 + 16 * 16 * 288 * 64 + 8 * 8 * 576 * 128 + 4 * 4 * 1152 * 256
    dense = 1024 * 256 + 256 * 512 + 512 * 10
    assert model.forward_flop(network) == 2 * (convolutions + dense)
    first_input_gradient = 2 * 32 * 32 * 27 * 32
    assert model.training_flop(network) == 3 * model.forward_flop(network) - first_input_gradient


def test_flop_follow_the_network():
    """Another network has another count: nothing is typed in."""
    small = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Conv2D(2, 3, padding="valid")])
    assert model.forward_flop(small) == 2 * (2 * 2) * (3 * 3 * 1 * 2)


def counted(call):
    """Floating-point operations that TensorFlow's own profiler counts in a function made for certain shapes."""
    options = tf.compat.v1.profiler.ProfileOptionBuilder
    asked = options(options.float_operation()).with_empty_output().build()
    return tf.compat.v1.profiler.profile(call.graph, options=asked).total_float_ops


def test_flop_agree_with_tensorflow(network):
    """TensorFlow counts 0.4 % more in a forward pass (biases), 2.3 % in a training step (their gradients, Adam)."""
    forward = counted(training.forward(network).graph(tf.TensorShape((250, 32, 32, 3)))) / 250
    assert 1 < forward / model.forward_flop(network) < 1.01
    step = training.step(training.prepare(network))
    made = step.get_concrete_function(tf.TensorSpec((250, 32, 32, 3)), tf.TensorSpec((250, 10)))
    assert 1 < counted(made) / 250 / model.training_flop(network) < 1.03


def test_bytes_by_hand(network):
    """Every layer with weights reads its input and writes its output; its weights once, in training ten times."""
    values = 3072 + 32768 + 8192 + 16384 + 4096 + 8192 + 2048 + 4096 + 1024 + 256 + 256 + 512 + 512 + 10
    assert model.forward_bytes(network, 8) == 4 * (8 * values + 787_530)
    assert model.training_bytes(network, 8) == 4 * (3 * 8 * values + 10 * 787_530)
