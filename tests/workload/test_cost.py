"""What the network costs: layers, floating-point operations and bytes, by hand and by TensorFlow's own count."""

from __future__ import annotations

import keras
import pytest
import tensorflow as tf

from cifar.workload import cost, model, training


@pytest.fixture(scope="module")
def network():
    """The network from seed 0."""
    return model.build()


def test_layers_by_hand(network):
    """A convolution's and a pooling's outputs, weights and operations are those of their shapes."""
    convolution, pooling = cost.layers(network)[:2]
    assert (convolution.kind, convolution.shape, convolution.parameters) == ("Conv2D", (32, 32, 32), 27 * 32 + 32)
    assert (convolution.flop, convolution.activations) == (2 * 32 * 32 * 27 * 32, 32 * 32 * 32)
    assert (pooling.shape, pooling.parameters, pooling.flop) == ((16, 16, 32), 0, 0)


def test_flop_by_hand(network):
    """The counts are those of the layers' shapes, worked out by hand."""
    convolutions = 32 * 32 * 27 * 32 + 16 * 16 * 288 * 64 + 8 * 8 * 576 * 128 + 4 * 4 * 1152 * 256
    dense = 1024 * 256 + 256 * 512 + 512 * 10
    assert cost.forward_flop(network) == 2 * (convolutions + dense)
    first_input_gradient = 2 * 32 * 32 * 27 * 32
    assert cost.training_flop(network) == 3 * cost.forward_flop(network) - first_input_gradient


def test_flop_follow_the_network():
    """Another network has another count: nothing is typed in."""
    small = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Conv2D(2, 3, padding="valid")])
    assert cost.forward_flop(small) == 2 * (2 * 2) * (3 * 3 * 1 * 2)


def counted(call):
    """Floating-point operations that TensorFlow's own profiler counts in a function made for certain shapes."""
    options = tf.compat.v1.profiler.ProfileOptionBuilder
    asked = options(options.float_operation()).with_empty_output().build()
    return tf.compat.v1.profiler.profile(call.graph, options=asked).total_float_ops


def test_flop_agree_with_tensorflow(network):
    """TensorFlow counts 0.4 % more in a forward pass (biases), 2.3 % in a training step (their gradients, Adam)."""
    forward = counted(training.forward(network).graph(tf.TensorShape((250, 32, 32, 3)))) / 250
    assert 1 < forward / cost.forward_flop(network) < 1.01
    step = training.step(training.prepare(network))
    made = step.get_concrete_function(tf.TensorSpec((250, 32, 32, 3)), tf.TensorSpec((250, 10)))
    assert 1 < counted(made) / 250 / cost.training_flop(network) < 1.03


def test_bytes_by_hand(network):
    """Every layer with weights reads its input and writes its output; its weights once, in training ten times."""
    values = 3072 + 32768 + 8192 + 16384 + 4096 + 8192 + 2048 + 4096 + 1024 + 256 + 256 + 512 + 512 + 10
    assert cost.forward_bytes(network, 8) == 4 * (8 * values + 787_530)
    assert cost.training_bytes(network, 8) == 4 * (3 * 8 * values + 10 * 787_530)
