"""A training run in its folder: readable by plain Keras, and the same through any interruption."""

from __future__ import annotations

import json
import math

import keras
import numpy as np
import pytest

from cifar.workload import course, dataset, model, training

# Keras reads its own variables in a way that NumPy 2 has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A stand-in of 503 training and 60 validation images: three steps an epoch."""
    return dataset.prepare_synthetic(tmp_path_factory.mktemp("data") / "tiny.h5", train=503, valid=60)


@pytest.fixture(scope="module")
def trained(tiny, tmp_path_factory):
    """The folder of a finished run of one epoch; tests copy it before they change it."""
    folder = tmp_path_factory.mktemp("run") / "trained"
    list(course.train(course.start(folder, tiny, device="cpu", seed=3), 1))
    return folder


@pytest.fixture
def copy(trained, tmp_path):
    """A copy of that folder."""
    folder = tmp_path / "run"
    folder.mkdir()
    for path in trained.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def changed(folder, **facts):
    """The run in `folder` with other facts in its file."""
    found = json.loads((folder / course.RUN).read_text())
    (folder / course.RUN).write_text(json.dumps(found | facts))
    return course.load(folder)


def test_plain_keras_reads_the_weights(trained):
    """The weights' file is Keras's own: a network of the same layers loads it, and is the run's."""
    run = course.load(trained)
    network = model.build(99)
    network.load_weights(run.weights)
    assert model.digest(network) == run.epochs[-1]["weights"]


def test_run_is_restored_whole(copy):
    """Weights, the optimizer's moments and steps, the dropout masks' state: none is as at the start."""
    network, fresh = course.restored(course.load(copy)), training.prepare(model.build(3))
    assert int(network.optimizer.iterations.numpy()) == 3
    assert len(network.non_trainable_variables) == 2  # of the two dropouts
    for restored, initial in (
        (network.trainable_variables, fresh.trainable_variables),
        (network.optimizer.variables[2:], fresh.optimizer.variables[2:]),  # behind steps and learning rate
        (network.non_trainable_variables, fresh.non_trainable_variables),
    ):
        for after, before in zip(restored, initial, strict=True):
            assert np.any(after.numpy() != before.numpy()), after.path


def test_batches_and_start_are_the_seeds(tiny, tmp_path):
    """Initial weights and the order of the batches follow from the seed, whatever the device's name."""
    runs = [
        course.start(tmp_path / name, tiny, device=name, seed=seed)
        for name, seed in (("cpu", 0), ("gpu", 0), ("other", 1))
    ]
    orders = [next(course.train(run, 1))["order"] for run in runs]
    starts = [run.facts["initial_weights"] for run in runs]
    assert starts[0] == starts[1] != starts[2]
    assert orders[0] == orders[1] != orders[2]


def test_until_stops_there(tiny, tmp_path):
    """Training ends after the epoch that reached what was asked for, and not before."""
    run = course.start(tmp_path / "run", tiny, device="cpu")
    assert len(list(course.train(run, 3, until=1e-6))) == 1
    assert course.reached(run, 1e-6)
    assert not course.reached(run, 1.0)
    assert list(course.train(run, 3, until=1e-6)) == []
    assert len(list(course.train(run, 2, until=1.0))) == 1


def test_folder_is_whole_at_every_moment(tiny, tmp_path, monkeypatch):
    """Cut off while the second epoch's weights are written, the folder is that of one epoch and goes on from it."""
    run = course.start(tmp_path / "run", tiny, device="cpu")
    rows = course.train(run, 2)
    first = next(rows)

    def cut_off(_self, path):
        path.write_bytes(b"half a file")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(keras.Sequential, "save_weights", cut_off)
        with pytest.raises(KeyboardInterrupt):
            next(rows)
    again = course.load(run.folder)
    assert [row["epoch"] for row in again.epochs] == [1]
    assert model.digest(course.restored(again)) == first["weights"]
    assert [row["epoch"] for row in course.train(again, 2)] == [2]
    assert sorted(path.name for path in run.folder.iterdir()) == ["epoch-02.weights.h5", "history.csv", "run.json"]


def test_history_is_a_table(trained):
    """`history.csv` has a line for each epoch with the numbers of run.json."""
    header, line = (trained / course.HISTORY).read_text().splitlines()
    row = dict(zip(header.split(","), line.split(","), strict=True))
    assert float(row["val_loss"]) == course.load(trained).epochs[0]["val_loss"]
    assert float(row["images_per_second"]) == pytest.approx(503 / float(row["seconds"]))
    assert 0 < float(row["first_step_seconds"]) <= float(row["seconds"])


def test_joules_are_those_of_the_epochs(tiny, tmp_path):
    """Each epoch has what the counter counted during it; none where it stands still or cannot be read."""
    total = iter([100.0, 130.0, 200.0, 200.0, None, None])
    run = course.start(tmp_path / "run", tiny, device="cpu")
    assert [row["joules"] for row in course.train(run, 3, joules=lambda: next(total))] == [30.0, None, None]
    table = [line.split(",") for line in (run.folder / course.HISTORY).read_text().splitlines()]
    assert [row[table[0].index("joules")] for row in table[1:]] == ["30.0", "", ""]


def test_counter_is_asked_during_a_long_epoch(tiny, tmp_path, monkeypatch):
    """A counter that wraps around is read more than twice in an epoch that lasts."""
    monkeypatch.setattr(course, "_ASK_SECONDS", 0.0)
    asked = []
    run = course.start(tmp_path / "run", tiny, device="cpu")
    list(course.train(run, 1, joules=lambda: asked.append(1)))
    assert len(asked) == 2 + 3


def test_a_loss_that_is_no_number_leaves_the_epoch_out(tiny, tmp_path):
    """Training that has left the numbers ends with a word, and the folder holds the epochs before."""
    run = course.start(tmp_path / "run", tiny, device="cpu")
    nowhere = {"training": lambda call: lambda *batch: (math.nan, call(*batch)[1])}
    with pytest.raises(ValueError, match="has the loss nan"):
        list(course.train(run, 1, watch=lambda what, call: nowhere.get(what, lambda same: same)(call)))
    assert course.load(run.folder).epochs == []


# --- what is refused


def test_weights_cut_short(copy):
    """Weights that were cut short are refused with the file and the remedy."""
    run = course.load(copy)
    run.weights.write_bytes(run.weights.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"epoch-01\.weights\.h5 is cut short or was changed; .*--force"):
        course.restored(run)
    run.weights.unlink()
    with pytest.raises(ValueError, match=r"epoch-01\.weights\.h5 is missing"):
        course.restored(run)


def test_another_network(copy):
    """A run of another network than this version builds is refused."""
    with pytest.raises(ValueError, match="is of another network"):
        course.restored(changed(copy, initial_weights="0" * 64))


def test_another_dataset(copy, tmp_path):
    """A file that holds another dataset is refused, and named."""
    other = dataset.prepare_synthetic(tmp_path / "other.h5", seed=1, train=503, valid=60)
    with pytest.raises(ValueError, match=r"other\.h5"):
        course.check_dataset(course.load(copy), other)


def test_another_place(copy):
    """A run is not continued with other versions, and the field is named."""
    run = changed(copy, fingerprint={"tensorflow": "2.20", "python": "3.11"})
    with pytest.raises(ValueError, match=r"tensorflow was 2\.20 and is 2\.21"):
        course.check_place(run, {"tensorflow": "2.21", "python": "3.11"})
    course.check_place(run, {"tensorflow": "2.20", "python": "3.11"})


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"schema": 1}'], ids=["empty", "cut", "list", "nothing", "without facts"]
)
def test_damaged_file(copy, text):
    """A run.json that is damaged is refused with its name."""
    (copy / course.RUN).write_text(text)
    with pytest.raises(ValueError, match=r"run\.json is damaged"):
        course.load(copy)


def test_another_schema(copy):
    """A run.json of another schema, or with a fact of a wrong type, is refused with its name."""
    with pytest.raises(ValueError, match="has schema 99"):
        changed(copy, schema=99)
    with pytest.raises(ValueError, match=r"run\.json is damaged \(seed: .one. is not of type"):
        changed(copy, schema=1, seed="one")


def test_no_run(tmp_path):
    """A folder without a run is named, with the command that makes one."""
    with pytest.raises(FileNotFoundError, match=r"run\.json is missing.*cifar train"):
        course.load(tmp_path)


def test_existing_folders_are_not_reused(copy, tiny, tmp_path):
    """A run is replaced only by force, and what is no run not even by that."""
    before = (copy / course.RUN).read_bytes()
    with pytest.raises(FileExistsError, match="--resume, replace it with --force"):
        course.start(copy, tiny, device="cpu")
    assert (copy / course.RUN).read_bytes() == before
    (copy / "mine.txt").write_text("mine")
    run = course.start(copy, tiny, device="cpu", force=True)
    assert run.epochs == []
    assert sorted(path.name for path in copy.iterdir()) == ["mine.txt", "run.json"]
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="is no run folder"):
        course.start(other, tiny, device="cpu", force=True)


def test_two_processes_do_not_share_a_folder(copy):
    """While one trains in a folder, another is refused."""
    with course.locked(copy), pytest.raises(BlockingIOError, match="another process is training"), course.locked(copy):
        pass
    with course.locked(copy):
        pass
