"""Agreement on the command line: between precisions and backends, what is told apart, and what is refused."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from cifar import cli
from cifar.backend import survey
from cifar.cli.agree import _read


def agree(*arguments):
    """Run the command in a process of its own; its exit code, output and errors."""
    command = [sys.executable, "-m", "cifar", "agree", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def compare(small, capsys, monkeypatch):
    """A function that compares two sides in this process; its exit code, output and errors.

    No device is claimed, for a process that has used TensorFlow by then cannot.
    """
    from cifar.backend import tensorflow

    monkeypatch.setattr("cifar.cli.agree.claim", lambda name: tensorflow.Device(name, "/device:CPU:0", "cpu", 1))

    def compare(one, other):
        code = cli.main(["agree", str(one), str(other), "--dataset", str(small)])
        return code, *capsys.readouterr()

    return compare


@pytest.fixture(scope="module")
def side(small, tmp_path_factory):
    """A function from a side's name to the file of its numbers, computed once; skips where its backend is missing."""
    folder = tmp_path_factory.mktemp("sides")

    def computed(name):
        backend = name.partition(":")[0]
        if ":" in name and importlib.util.find_spec(backend) is None:
            pytest.skip(f"{backend} is not installed")
        path = folder / f"{name}.npz"
        if not path.exists():
            code, _, errors = agree(name, "--out", path, "--dataset", small)
            assert code == 0, errors
        return path

    return computed


def changed(path, **arrays):
    """A copy of a side's file beside it, with other arrays."""
    with np.load(path) as file:
        np.savez(path.with_suffix(".changed.npz"), **{**{name: file[name] for name in file.files}, **arrays})
    return path.with_suffix(".changed.npz")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("cpu", "cpu@float64"),
        ("cpu@bfloat16", "cpu"),
        ("cpu", "jax:cpu"),
        ("cpu@float64", "jax:cpu@float64"),
        ("cpu@bfloat16", "jax:cpu@bfloat16"),
        ("cpu", "torch:cpu"),
        ("jax:cpu@bfloat16", "torch:cpu@bfloat16"),
    ],
)
def test_precisions_and_backends_agree(side, compare, one, other):
    """The same weights and batch give the same within rounding, in each precision and by each backend."""
    code, printed, errors = compare(side(one), side(other))
    assert code == 0, printed + errors
    assert f"{one} and {other}, on 20 images" in printed
    assert printed.count("gradient of layer") >= 14
    assert "They agree: the largest distance is 0." in printed


@pytest.mark.slow
def test_two_names_are_computed_and_compared(compare):
    """Two sides that are named, not files, are computed by processes of their own."""
    code, printed, errors = compare("cpu", "cpu@float64")
    assert code == 0, errors
    assert "They agree" in printed


@pytest.mark.slow
@pytest.mark.parametrize("how", ["by a thousandth", "no numbers", "bfloat16 under another name"])
def test_beyond_tolerance_fails(side, compare, how):
    """One array beyond its tolerance, or that holds no numbers, is exit code 1 and is named."""
    name = "gradient of layer 7: kernel"
    if how == "bfloat16 under another name":
        path = changed(side("cpu@bfloat16"), precision="float32")
    else:
        with np.load(side("cpu")) as file:
            path = changed(side("cpu"), **{name: file[name] * (1.001 if how == "by a thousandth" else np.nan)})
    code, printed, errors = compare(path, side("cpu@float64"))
    assert code == 1, errors
    assert "They do not agree: the largest distance is " in printed
    assert how == "bfloat16 under another name" or f"tolerances, {name}" in printed


@pytest.mark.slow
def test_another_task_is_refused(side, compare):
    """Sides of other weights or another batch are not compared."""
    code, printed, errors = compare(side("cpu"), changed(side("cpu"), task="another"))
    assert (code, printed.count("agree")) == (2, 0)
    assert "the sides were computed with other weights or another batch; make both anew" in errors


def test_a_side_that_crashes_is_named(small, capsys, monkeypatch):
    """A process that a signal ends says nothing by itself."""
    monkeypatch.setattr("cifar.cli.agree._computed", lambda *_: -11)
    assert cli.main(["agree", "cpu", "cpu@float64", "--dataset", str(small)]) == 2
    assert "cpu was ended by signal 11 (Segmentation fault) while it computed" in capsys.readouterr().err


@pytest.mark.slow
def test_float64_by_pytorch_is_refused(small, tmp_path):
    """Keras on PyTorch takes the loss in float32 always: that is said, and not compared as float64."""
    if importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed")
    code, _, errors = agree("torch:cpu@float64", "--out", tmp_path / "side.npz", "--dataset", small)
    assert code == 2
    assert "Keras on torch computes in float32 where float64 was asked for" in errors


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gpu", "jax:gpu", "torch:gpu"])
def test_missing_gpu(small, name):
    """A GPU that is missing is exit code 4 with the reason, whichever backend was to use it."""
    if survey.take().missing_gpu is None:
        pytest.skip("this node has a GPU")
    backend = name.partition(":")[0]
    if ":" in name and importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    code, _, errors = agree("cpu", name, "--dataset", small)
    assert code == 4
    assert f"cifar agree: {name} " in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["cpu"], "give two sides"),
        (["cpu", "cpu", "--out", "{new}.npz"], "give two sides"),
        (["cpu", "tpu"], "'tpu' is no device"),
        (["cpu", "mxnet:cpu"], "'mxnet:cpu' is no device"),
        (["cpu", "jax:tpu"], "'tpu' is no device"),
        (["cpu", "cpu@float16"], "cpu@float16: cpu does not compute in float16"),
        (["cpu", "jax:cpu@tf32"], "jax:cpu@tf32: cpu does not compute in tf32"),
        (["cpu", "jax:cpu"], "jax:cpu: jax is not installed; `pip install jax`"),
        (["cpu", "torch:gpu@tf32"], "torch:gpu@tf32: torch is not installed"),
        (["{text}", "{text}"], "text.npz is no file of `cifar agree --out`, or is cut short"),
        (["cpu", "--out", "{text}"], "text.npz exists"),
    ],
)
def test_bad_input(small, tmp_path, capsys, monkeypatch, arguments, words):
    """Bad input is exit code 2 and a sentence that names what is wrong; nothing is computed, nothing is made."""
    found = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name in {"jax", "torch"} else found(name))
    places = {"new": tmp_path / "new", "text": tmp_path / "text.npz"}
    places["text"].write_text("this is no side")
    arguments = [argument.format(**places) for argument in arguments]
    assert cli.main(["agree", *arguments, "--dataset", str(small)]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert "Traceback" not in said
    assert [path.name for path in tmp_path.iterdir()] == ["text.npz"]


FACTS = {"side": "cpu", "precision": "float32", "task": "00"}


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"precision": "float8"}, "float8 is no precision"),
        ({"outputs": np.array(["a", "b"])}, "outputs is of type <U1"),
        ({"outputs": np.zeros(9_000_000)}, "far more than a side"),
        ({"outputs": np.array([None])}, "is no file of"),
    ],
    ids=["precision", "texts", "large", "objects"],
)
def test_bad_sides(tmp_path, arrays, words):
    """A side's file that holds anything but a side is refused with its name and what is wrong."""
    path = tmp_path / "side.npz"
    np.savez_compressed(path, **(FACTS | arrays))
    with pytest.raises(ValueError, match=words) as caught:
        _read(path)
    assert "side.npz" in str(caught.value)


def test_side_of_a_declared_terabyte(tmp_path):
    """An array whose header declares far more numbers than the file has is refused."""
    path = tmp_path / "side.npz"
    header = (
        b"\x93NUMPY\x01\x00v\x00"
        + b"{'descr': '<f8', 'fortran_order': False, 'shape': (100000000000000,), }".ljust(117)
    )
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("outputs.npy", header + b"\n")
    with pytest.raises(ValueError, match="is no file of `cifar agree --out`"):
        _read(path)


@pytest.mark.slow
def test_side_is_written_where_it_was_asked_for(small, tmp_path):
    """The file has the name that was given, and takes the place of a link that leads nowhere."""
    (tmp_path / "side").symlink_to(tmp_path / "victim")
    code, _, errors = agree("cpu", "--out", tmp_path / "side", "--dataset", small)
    assert code == 0, errors
    assert [path.name for path in tmp_path.iterdir()] == ["side"]
    assert _read(tmp_path / "side")["precision"] == "float32"
