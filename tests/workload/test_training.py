"""Training, evaluation and prediction: equal to plain Keras, and learning."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from cifar.workload import model, training
from cifar.workload.generator import DataGenerator


@pytest.fixture
def network():
    """The lesson's network, ready to train."""
    return training.prepare(model.build())


def test_is_compiled_as_in_the_lesson(network):
    """Adam at 0.001, and XLA only where it is asked for, whatever Keras would choose on this node."""
    assert isinstance(network.optimizer, keras.optimizers.Adam)
    assert float(network.optimizer.learning_rate.numpy()) == pytest.approx(0.001)
    assert network.jit_compile is False
    assert training.prepare(model.build(), xla=True).jit_compile is True


@pytest.fixture(scope="module")
def by_keras(small):
    """Fifty losses of Keras's own training step, and the weights after it."""
    plain, losses = training.prepare(model.build()), []
    for batch in training.take(DataGenerator(small, batch_size=20), 50):
        plain.reset_metrics()
        losses.append(float(plain.train_on_batch(*batch, return_dict=True)["loss"]))
    return losses, plain.get_weights()


def fifty(small, network, step):
    """Fifty losses of `step` on the same batches, and the weights of `network` after it."""
    batches = training.take(DataGenerator(small, batch_size=20), 50)
    return [float(np.ravel(loss)[0]) for loss in training.epoch(step, batches)], network.get_weights()


def test_steps_equal_keras(small, network, by_keras):
    """Fifty losses and the weights after them are Keras's own on the same batches.

    Both run the same kernels in the same order, so nothing may round otherwise: they are equal to the bit, with
    oneDNN and without.  The tolerance hides no difference that matters: one unit in the last place of the initial
    weights grows to 0.1 to 0.4 % of a loss in fifty steps, an epsilon of 1e-8 makes 0.01 % after two.
    """
    losses, weights = fifty(small, network, training.step(network, apart=False))
    np.testing.assert_allclose(losses, by_keras[0], rtol=1e-5)
    for ours, expected in zip(weights, by_keras[1], strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_gradients_of_biases_apart_are_the_same_training(small, network, by_keras):
    """Summed by themselves they round otherwise, which after fifty steps is less than a hundredth of a loss."""
    losses, _ = fifty(small, network, training.step(network))
    np.testing.assert_allclose(losses[:5], by_keras[0][:5], rtol=1e-4)
    np.testing.assert_allclose(losses, by_keras[0], rtol=1e-2)


def test_counting_step_is_the_same_step(small, network):
    """The step that counts hits gives the losses of the plain one, and hits as the probabilities before it say."""
    generator, plain = DataGenerator(small, batch_size=50), training.prepare(model.build())
    counting, step = training.counting_step(network), training.step(plain)
    for images, labels in training.take(generator, 3):
        loss, hits = counting(images, labels)
        assert float(loss) == pytest.approx(float(step(images, labels)), rel=1e-4)
        assert float(hits) in range(51)
    without_dropout = keras.Sequential([layer for layer in network.layers if "dropout" not in layer.name])
    training.prepare(without_dropout)
    expected = (without_dropout(images).numpy().argmax(axis=1) == labels.argmax(axis=1)).sum()
    _, hits = training.counting_step(without_dropout)(images, labels)
    assert float(hits) == expected


def test_evaluation_and_prediction_trace_nothing_anew(small, network):
    """A forward pass made once serves any number of evaluations and predictions of the same shapes."""
    generator = DataGenerator(small, "valid", batch_size=50, shuffle=False)
    probabilities = training.forward(network)
    for _ in range(3):
        training.evaluate(probabilities, training.take(generator, 5))
        training.predict(probabilities, generator[0][0], batch_size=50)
    assert probabilities.traces == 1


def test_step_is_traced_once(small, network):
    """Warm-up is one trace: further steps of the same shape compile nothing."""
    step = training.step(network)
    training.epoch(step, training.take(DataGenerator(small, batch_size=50), 3))
    assert step.experimental_get_tracing_count() == 1


def test_bytes_and_floats_give_the_same_losses(small):
    """Images that the step scales itself train as those that came scaled, but for the last bit of the scaling.

    Adam's first steps, of the size of the learning rate whatever the gradient's, enlarge that bit.
    """
    losses = []
    for dtype in ("float32", "uint8"):
        fresh = training.prepare(model.build())
        batches = training.take(DataGenerator(small, batch_size=50, dtype=dtype), 5)
        losses.append([float(loss) for loss in training.epoch(training.step(fresh), batches)])
    np.testing.assert_allclose(*losses, rtol=1e-3)
    assert losses[0][0] == pytest.approx(losses[1][0], rel=1e-6)


def test_several_steps_a_call_are_the_same_steps(small, network):
    """Five steps in one call, from the host or from images on the device, have the losses of five calls."""
    generator = DataGenerator(small, batch_size=50, dtype="uint8")
    expected = [float(loss) for loss in training.epoch(training.step(network), training.take(generator, 5))]
    images, labels = (np.stack(part) for part in zip(*training.take(generator, 5), strict=True))
    several = training.steps(training.prepare(model.build()))
    np.testing.assert_allclose(several(images, labels), expected, rtol=1e-5)
    stored, all_labels = (np.concatenate(part) for part in zip(*generator, strict=True))
    resident = training.resident_steps(training.prepare(model.build()), stored, all_labels)
    positions = np.arange(250).reshape(5, 50)
    np.testing.assert_allclose(resident(positions), expected, rtol=1e-5)


def test_several_steps_under_xla_are_the_same_steps(small):
    """Unrolled for the CPU, where XLA runs what is in a loop on one thread, two steps have the losses of two calls.

    Of calls under XLA, too, which draws other dropout masks.
    """
    generator = DataGenerator(small, batch_size=10, dtype="uint8")
    one = training.step(training.prepare(model.build(), xla=True))
    expected = [float(loss) for loss in training.epoch(one, training.take(generator, 2))]
    images, labels = (np.stack(part) for part in zip(*training.take(generator, 2), strict=True))
    several = training.steps(training.prepare(model.build(), xla=True))
    np.testing.assert_allclose(several(images, labels), expected, rtol=1e-4)


def test_mixed_precision_computes_in_bfloat16(small):
    """Layers compute in bfloat16, weights and probabilities stay float32, and the first loss is that of float32."""
    mixed = training.prepare(model.build(precision="mixed_bfloat16"))
    assert {layer.compute_dtype for layer in mixed.layers} == {"bfloat16", "float32"}
    assert {weight.dtype for weight in mixed.trainable_weights} == {"float32"}
    batch = DataGenerator(small, batch_size=50)[0]
    plain = float(training.step(training.prepare(model.build()))(*batch))
    assert float(training.step(mixed)(*batch)) == pytest.approx(plain, rel=2**-8)
    assert model.digest(mixed) != model.digest(model.build())


def test_learns(small, network):
    """Eighty steps on the same fifty images bring the loss from chance, ln 10 = 2.3, to below 1.

    Seen: 0.03 to 0.24 over three seeds and two kernel libraries.
    """
    images, labels = DataGenerator(small, batch_size=50)[0]
    step = training.step(network)
    losses = [float(step(images, labels)) for _ in range(80)]
    assert losses[0] == pytest.approx(np.log(10), abs=0.1)
    assert losses[-1] < 1.0


def test_evaluate_equals_keras(small, network):
    """Loss and accuracy over unequal batches are those that Keras gives for the whole set."""
    generator = DataGenerator(small, "valid", batch_size=60, shuffle=False)
    loss, accuracy = training.evaluate(training.forward(network), training.take(generator, len(generator)))
    images, labels = DataGenerator(small, "valid", batch_size=250, shuffle=False)[0]
    expected = network.evaluate(images, labels, batch_size=250, verbose=0, return_dict=True)
    assert loss == pytest.approx(expected["loss"], rel=1e-4)
    assert accuracy == pytest.approx(expected["accuracy"], abs=1e-6)


def test_predict_equals_the_layers(small, network):
    """Predictions in batches, the last one partial, are the plain layers' for all images at once."""
    images, _ = DataGenerator(small, "valid", batch_size=103)[0]
    found = training.predict(training.forward(network), images, batch_size=50)
    assert found.shape == (103, 10)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, network(images, training=False), rtol=1e-4, atol=1e-6)


def test_batches_lie_on_the_device(small):
    """`on_device` gives tensors where the scope says, with the batches' values."""
    generator = DataGenerator(small, batch_size=50)
    with tf.device("/device:CPU:0"):
        batches = training.on_device(training.take(generator, 3))
    assert all(images.device.endswith("/device:CPU:0") for images, _ in batches)
    for index, (images, labels) in enumerate(batches):
        np.testing.assert_array_equal(images, generator[index][0])
        np.testing.assert_array_equal(labels, generator[index][1])
