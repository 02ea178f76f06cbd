"""The lesson's network: its shape and its weights."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from cifar.workload import model


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
