"""A user's own settings of Keras, whichever they are, change no number of ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from cifar.data import dataset, published
from cifar.workload import model, training
from cifar.workload.generator import DataGenerator

# Keras reads its own variables in a way that NumPy 2 has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

PROGRAM = """
import sys
from cifar import cli
assert cli.main(["model"]) == 0
assert cli.main(["train", "--deterministic", "--epochs", "1", "--dataset", sys.argv[1], "--out", sys.argv[2]]) == 0
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A stand-in of 503 training and 60 validation images."""
    return dataset.prepare_synthetic(tmp_path_factory.mktemp("data") / "tiny.h5", train=503, valid=60)


def trained(tiny, home, **variables):
    """`cifar model` and a short `cifar train` of a user with that home and such variables: what was trained."""
    command = [sys.executable, "-c", PROGRAM, tiny, home / "run"]
    environ = {**os.environ, "HOME": str(home), **variables}
    done = subprocess.run(command, env=environ, cwd=home, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "787,530" in done.stdout
    facts = json.loads((home / "run" / "run.json").read_text())
    (row,) = facts["epochs"]
    software = facts["environment"]["software"]
    numbers = {name: row[name] for name in ("loss", "accuracy", "val_loss", "val_accuracy", "order", "weights")}
    return numbers | {name: software[name] for name in ("float", "epsilon", "image_data_format", "precision")}


@pytest.fixture(scope="module")
def plain(tiny, tmp_path_factory):
    """What a user without any settings trains; no keras.json is made, which the user's own programs would read."""
    home = tmp_path_factory.mktemp("home")
    numbers = trained(tiny, home)
    assert not (home / ".keras").exists()
    assert numbers["epsilon"] == 1e-7
    return numbers


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "variables"),
    [
        pytest.param(
            '{"backend": "theano", "floatx": "float16", "epsilon": 0.1, "image_data_format": "channels_first"}',
            {"KERAS_MAX_EPOCHS": "0", "KERAS_MAX_STEPS_PER_EPOCH": "1", "TF_USE_LEGACY_KERAS": "1"},
            id="others",
        ),
        pytest.param(
            '{"floatx": "float8", "epsilon": "none"}',
            {"KERAS_BACKEND": "jax", "KERAS_NNX_ENABLED": "1", "KERAS_MAX_EPOCHS": "many"},
            id="no values",
        ),
        pytest.param("[1, 2", {"KERAS_HOME": "elsewhere", "KERAS_BACKEND": "nonsense"}, id="no JSON"),
    ],
)
def test_settings_of_a_user_change_nothing(tiny, plain, tmp_path, text, variables):
    """Whatever keras.json and variables say, the same network is trained to the same bits; the file stays."""
    for folder in (".keras", "elsewhere"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "keras.json").write_text(text)
    assert trained(tiny, tmp_path, **variables) == plain
    assert {path.read_text() for path in tmp_path.glob("*/keras.json")} == {text}


def test_data_of_keras_is_found_still(monkeypatch, tmp_path):
    """CIFAR-10 is looked for where a user keeps Keras's downloads, though the settings there were not read."""
    program = (
        "from cifar.backend.loading import load; load(); import keras, os;"
        "print(os.environ['KERAS_HOME'], os.environ['KERAS_BACKEND'], keras.config.backend())"
    )
    environ = {**os.environ, "KERAS_HOME": str(tmp_path), "KERAS_BACKEND": "jax"}
    done = subprocess.run([sys.executable, "-c", program], env=environ, check=True, capture_output=True, text=True)
    assert done.stdout.split() == [str(tmp_path), "tensorflow", "tensorflow"]
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert tmp_path / "datasets" / "cifar-10-batches-py" in published.places(published.CIFAR_10, Path("cache"))


@pytest.fixture
def changed_settings():
    """Keras and TensorFlow as a notebook may have set them."""
    keras.config.set_floatx("float16")
    keras.config.set_epsilon(0.1)
    keras.config.set_image_data_format("channels_first")
    keras.config.set_dtype_policy("mixed_float16")
    keras.config.set_max_steps_per_epoch(1)
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)
    model.set_defaults()


def two_steps(tiny):
    """The weights' digest after two training steps, and the probabilities of the first batch before them."""
    network = training.prepare(model.build(seed=1))
    batches = DataGenerator(tiny, batch_size=50)
    probabilities = np.asarray(training.forward(network)(batches[0][0]))
    training.epoch(training.step(network), training.take(batches, 2))
    return model.digest(network), probabilities


def test_settings_of_a_notebook_change_nothing(tiny, request):
    """What a notebook has set before it builds the network does not reach it."""
    digest, probabilities = two_steps(tiny)
    request.getfixturevalue("changed_settings")
    again, same = two_steps(tiny)
    assert model.build().count_params() == 787_530
    assert again == digest
    np.testing.assert_array_equal(same, probabilities)


def test_settings_between_building_and_training(tiny, request):
    """Nor does what is set after the network was built, before it is trained."""
    digest, _ = two_steps(tiny)
    network = model.build(seed=1)
    request.getfixturevalue("changed_settings")
    training.prepare(network)
    training.epoch(training.step(network), training.take(DataGenerator(tiny, batch_size=50), 2))
    assert model.digest(network) == digest


def test_another_backend_is_refused(monkeypatch):
    """A notebook in which Keras computes by JAX is told so, and what to set."""
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    with pytest.raises(ValueError, match=r"Keras computes by jax in this process.*KERAS_BACKEND=tensorflow"):
        training.step(training.prepare(model.build()))
