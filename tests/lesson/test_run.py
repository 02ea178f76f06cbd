"""A training run in its folder: readable by plain Keras, and the same through any interruption."""

from __future__ import annotations

import hashlib
import json
import math
import os

import h5py
import keras
import numpy as np
import pytest

from cifar.data import dataset
from cifar.lesson import run as runs
from cifar.workload import model, training

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
    list(runs.train(runs.start(folder, tiny, device="cpu", seed=3), 1))
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
    found = json.loads((folder / runs.RUN).read_text())
    (folder / runs.RUN).write_text(json.dumps(found | facts))
    return runs.load(folder)


def test_plain_keras_reads_the_weights(trained):
    """The weights' file is Keras's own: a network of the same layers loads it, and is the run's."""
    run = runs.load(trained)
    network = model.build(99)
    network.load_weights(run.weights)
    assert model.digest(network) == run.epochs[-1]["weights"]


def test_run_is_restored_whole(copy):
    """Weights, the optimizer's moments and steps, the dropout masks' state: none is as at the start."""
    network, fresh = runs.restored(runs.load(copy)), training.prepare(model.build(3))
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
    begun = [
        runs.start(tmp_path / name, tiny, device=name, seed=seed)
        for name, seed in (("cpu", 0), ("gpu", 0), ("other", 1))
    ]
    orders = [next(runs.train(run, 1))["order"] for run in begun]
    starts = [run.facts["initial_weights"] for run in begun]
    assert starts[0] == starts[1] != starts[2]
    assert orders[0] == orders[1] != orders[2]


def test_until_stops_there(tiny, tmp_path):
    """Training ends after the epoch that reached what was asked for, and not before."""
    run = runs.start(tmp_path / "run", tiny, device="cpu")
    assert len(list(runs.train(run, 3, until=1e-6))) == 1
    assert runs.reached(run, 1e-6)
    assert not runs.reached(run, 1.0)
    assert list(runs.train(run, 3, until=1e-6)) == []
    assert len(list(runs.train(run, 2, until=1.0))) == 1


def test_folder_is_whole_at_every_moment(tiny, tmp_path, monkeypatch):
    """Cut off while the second epoch's weights are written, the folder is that of one epoch and goes on from it."""
    run = runs.start(tmp_path / "run", tiny, device="cpu")
    rows = runs.train(run, 2)
    first = next(rows)

    def cut_off(_self, path):
        path.write_bytes(b"half a file")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(keras.Sequential, "save_weights", cut_off)
        with pytest.raises(KeyboardInterrupt):
            next(rows)
    again = runs.load(run.folder)
    assert [row["epoch"] for row in again.epochs] == [1]
    assert model.digest(runs.restored(again)) == first["weights"]
    assert [row["epoch"] for row in runs.train(again, 2)] == [2]
    assert sorted(path.name for path in run.folder.iterdir()) == ["epoch-02.weights.h5", "history.csv", "run.json"]


def test_history_is_a_table(trained):
    """`history.csv` has a line for each epoch with the numbers of run.json."""
    header, line = (trained / runs.HISTORY).read_text().splitlines()
    row = dict(zip(header.split(","), line.split(","), strict=True))
    assert float(row["val_loss"]) == runs.load(trained).epochs[0]["val_loss"]
    assert float(row["images_per_second"]) == pytest.approx(503 / float(row["seconds"]))
    assert 0 < float(row["first_step_seconds"]) <= float(row["seconds"])


def test_joules_are_those_of_the_epochs(tiny, tmp_path, monkeypatch):
    """Each epoch has what the counter counted during it; none where it stands still or cannot be read."""
    monkeypatch.setattr(runs, "_ASK_SECONDS", math.inf)  # it is not asked in between, however slow the node is
    total = iter([100.0, 130.0, 200.0, 200.0, None, None])
    run = runs.start(tmp_path / "run", tiny, device="cpu")
    assert [row["joules"] for row in runs.train(run, 3, joules=lambda: next(total))] == [30.0, None, None]
    table = [line.split(",") for line in (run.folder / runs.HISTORY).read_text().splitlines()]
    assert [row[table[0].index("joules")] for row in table[1:]] == ["30.0", "", ""]


def test_counter_is_asked_during_a_long_epoch(tiny, tmp_path, monkeypatch):
    """A counter that wraps around is read more than twice in an epoch that lasts."""
    monkeypatch.setattr(runs, "_ASK_SECONDS", 0.0)
    asked = []
    run = runs.start(tmp_path / "run", tiny, device="cpu")
    list(runs.train(run, 1, joules=lambda: asked.append(1)))
    assert len(asked) == 2 + 3


def test_a_loss_that_is_no_number_leaves_the_epoch_out(tiny, tmp_path):
    """Training that has left the numbers ends with a word, and the folder holds the epochs before."""
    run = runs.start(tmp_path / "run", tiny, device="cpu")
    nowhere = {"training": lambda call: lambda *batch: (math.nan, call(*batch)[1])}
    with pytest.raises(ValueError, match="has the loss nan"):
        list(runs.train(run, 1, watch=lambda what, call: nowhere.get(what, lambda same: same)(call)))
    assert runs.load(run.folder).epochs == []


# --- what is refused


def test_weights_cut_short(copy):
    """Weights that were cut short are refused with the file and the remedy."""
    run = runs.load(copy)
    run.weights.write_bytes(run.weights.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"epoch-01\.weights\.h5 is cut short or was changed; .*--force"):
        runs.restored(run)
    run.weights.unlink()
    with pytest.raises(ValueError, match=r"epoch-01\.weights\.h5 is missing"):
        runs.restored(run)


def test_another_network(copy):
    """A run of another network than this version builds is refused."""
    with pytest.raises(ValueError, match="is of another network"):
        runs.restored(changed(copy, initial_weights="0" * 64))


def test_another_dataset(copy, tmp_path):
    """A file that holds another dataset is refused, and named."""
    other = dataset.prepare_synthetic(tmp_path / "other.h5", seed=1, train=503, valid=60)
    with pytest.raises(ValueError, match=r"other\.h5"):
        runs.check_dataset(runs.load(copy), other)


def test_another_place(copy):
    """A run is not continued with other versions, and the field is named."""
    run = changed(copy, fingerprint={"tensorflow": "2.20", "python": "3.11"})
    with pytest.raises(ValueError, match=r"tensorflow was 2\.20 and is 2\.21"):
        runs.check_place(run, {"tensorflow": "2.21", "python": "3.11"})
    runs.check_place(run, {"tensorflow": "2.20", "python": "3.11"})


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"schema": 1}'], ids=["empty", "cut", "list", "nothing", "without facts"]
)
def test_damaged_file(copy, text):
    """A run.json that is damaged is refused with its name."""
    (copy / runs.RUN).write_text(text)
    with pytest.raises(ValueError, match=r"run\.json is damaged"):
        runs.load(copy)


def test_another_schema(copy):
    """A run.json of another schema, or with a fact of a wrong type, is refused with its name."""
    with pytest.raises(ValueError, match="has schema 99"):
        changed(copy, schema=99)
    with pytest.raises(ValueError, match=r"run\.json is damaged \(seed: .one. is not of type"):
        changed(copy, schema=1, seed="one")


def test_no_run(tmp_path):
    """A folder without a run is named, with the command that makes one."""
    with pytest.raises(FileNotFoundError, match=r"run\.json is missing.*cifar train"):
        runs.load(tmp_path)


def test_existing_folders_are_not_reused(copy, tiny, tmp_path):
    """A run is replaced only by force, and what is no run not even by that."""
    before = (copy / runs.RUN).read_bytes()
    with pytest.raises(FileExistsError, match="--resume, replace it with --force"):
        runs.start(copy, tiny, device="cpu")
    assert (copy / runs.RUN).read_bytes() == before
    (copy / "mine.txt").write_text("mine")
    run = runs.start(copy, tiny, device="cpu", force=True)
    assert run.epochs == []
    assert sorted(path.name for path in copy.iterdir()) == ["mine.txt", "run.json"]
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="is no run folder"):
        runs.start(other, tiny, device="cpu", force=True)


def test_two_processes_do_not_share_a_folder(copy):
    """While one trains in a folder, another is refused."""
    with runs.locked(copy), pytest.raises(BlockingIOError, match="another process is training"), runs.locked(copy):
        pass
    with runs.locked(copy):
        pass


def edited(folder, *place, to):
    """Set one value of the folder's run.json, and load the run."""
    facts = json.loads((folder / runs.RUN).read_text())
    container = facts
    for key in place[:-1]:
        container = container[key]
    container[place[-1]] = to
    (folder / runs.RUN).write_text(json.dumps(facts))
    return runs.load(folder)


@pytest.mark.parametrize(
    ("place", "to", "words"),
    [
        (("weights",), None, "1 finished epochs and no weights"),
        (("epochs",), [], "0 finished epochs and weights of one"),
        (
            ("weights", "file"),
            "epoch-02.weights.h5",
            r"weights\.file is epoch-02\.weights\.h5, and the last of 1 epochs",
        ),
        (("weights", "file"), "../victim.weights.h5", r"damaged \(weights\.file"),
        (("weights", "file"), "/victim.weights.h5", r"damaged \(weights\.file"),
        (("weights", "masks"), [[0] * 3] * 200, r"damaged \(weights\.masks"),
        (("epochs", 0, "epoch"), 2, "epoch 1 is called 2"),
        (("epochs", 0, "images"), 502, "502 images, and the dataset has 503"),
        (("epochs", 0, "images_per_second"), 1e6, "are not 1000000.0 images/s"),
        (("epochs", 0, "first_step_seconds"), 1e6, "its first step took"),
        (("epochs", 0, "val_accuracy"), 0.123, "no whole number of 60 images"),
        (("epochs", 0, "val_accuracy"), 1.5, r"damaged \(epochs\.0\.val_accuracy"),
        (("epochs", 0, "loss"), "NaN", r"damaged \(epochs\.0\.loss"),
        (("epochs", 0, "loss"), 1.5, r"history\.csv and run\.json contradict each other"),
        (("epochs", 0, "weights"), "00" * 32, r"history\.csv and run\.json contradict each other"),
        (("batch_size",), 0, r"damaged \(batch_size"),
        (("batch_size",), 240, r"damaged \(batch_size"),
        (("batch_size",), 10**9, r"damaged \(batch_size"),
        (("seed",), -1, r"damaged \(seed"),
        (("seed",), 2**62, r"damaged \(seed"),
        (("device",), "../../x", r"damaged \(device"),
        (("flop", "forward"), 1, r"flop\.forward is 1, and the layers together"),
        (("dataset", "train"), 1, "503 images, and the dataset has 1"),
    ],
)
def test_run_that_contradicts_itself(copy, place, to, words):
    """What cannot be true together, or leads out of the folder, is refused with the field, and nothing is touched."""
    before = {path.name: path.read_bytes() for path in copy.iterdir() if path.name != runs.RUN}
    with pytest.raises(ValueError, match=words) as caught:
        edited(copy, *place, to=to)
    assert len(str(caught.value)) < 1_000
    assert {path.name: path.read_bytes() for path in copy.iterdir() if path.name != runs.RUN} == before


def test_millions_of_masks_are_refused(copy):
    """A long list is refused by its first fault, in the memory of the file."""
    with pytest.raises(ValueError, match=r"damaged \(weights\.masks"):
        edited(copy, "weights", "masks", to=[0] * 3_000_000)


@pytest.mark.parametrize(
    ("place", "to", "words"),
    [
        (("seed",), 4, "is of another network"),
        (("layers", 0, "parameters"), 897, "is of another network"),
        (("weights", "masks"), [[6, 3]], r"weights\.masks are not those after 3 steps from seed 3"),
        (("weights", "masks"), [[6, 3], [7, 4]], r"weights\.masks are not those after 3 steps from seed 3"),
    ],
)
def test_run_that_is_not_of_its_weights(copy, place, to, words):
    """What only the network can tell is refused before anything is trained or evaluated."""
    run = edited(copy, *place, to=to)
    with pytest.raises(ValueError, match=words):
        runs.restored(run)


def test_weights_of_another_run(copy, tiny, tmp_path):
    """The file of another run under the right name and with its SHA-256 is not taken for the last epoch's."""
    other = runs.start(tmp_path / "other", tiny, device="cpu", seed=3)
    list(runs.train(other, 2))
    data = other.weights.read_bytes()
    runs.load(copy).weights.write_bytes(data)
    run = edited(copy, "weights", "sha256", to=hashlib.sha256(data).hexdigest())
    with pytest.raises(ValueError, match="holds other weights than those after epoch 1"):
        runs.restored(run)


def external(file):
    """Put a link to another file in the place of a kernel."""
    del file["layers/conv2d/vars/0"]
    file["layers/conv2d/vars/0"] = h5py.ExternalLink("victim.h5", "/secret")


def soft(file):
    """Put a link within the file in the place of a kernel."""
    del file["layers/conv2d/vars/0"]
    file["layers/conv2d/vars/0"] = h5py.SoftLink("/layers/conv2d_1/vars/0")


def outside(file):
    """Keep a bias in another file."""
    del file["layers/conv2d/vars/1"]
    file["layers/conv2d/vars"].create_dataset("1", (32,), "f4", external=[("victim.raw", 0, 128)])


def virtual(file):
    """Make a bias of another file's."""
    del file["layers/conv2d/vars/1"]
    layout = h5py.VirtualLayout((32,), "f4")
    layout[:] = h5py.VirtualSource("victim.h5", "secret", shape=(32,))
    file["layers/conv2d/vars"].create_virtual_dataset("1", layout)


def huge(file):
    """Declare a kernel of a terabyte, of which nothing is stored."""
    del file["layers/conv2d/vars/0"]
    file["layers/conv2d/vars"].create_dataset("0", (10**6, 10**6), "f4", chunks=(1000, 1000))


def words_in_it(file):
    """Put texts in the place of numbers."""
    del file["layers/conv2d/vars/1"]
    file["layers/conv2d/vars"].create_dataset("1", (32,), h5py.string_dtype())


def around(file):
    """Let a group hold itself."""
    file["layers/again"] = file["layers"]


def without_moments(file):
    """Leave the optimizer out."""
    del file["optimizer"]


@pytest.mark.parametrize(
    "change",
    [external, soft, outside, virtual, huge, words_in_it, around, without_moments],
    ids=lambda one: one.__name__,
)
def test_weights_that_lead_elsewhere(copy, change):
    """Weights with the right SHA-256 that are kept elsewhere, or are not this network's, are refused unread."""
    path = runs.load(copy).weights
    with h5py.File(path, "r+") as file:
        change(file)
    run = edited(copy, "weights", "sha256", to=hashlib.sha256(path.read_bytes()).hexdigest())
    with pytest.raises(ValueError, match=r"does not hold this network's weights|holds other weights") as caught:
        runs.restored(run)
    assert "\n" not in str(caught.value)


def test_no_pipe_is_waited_for(copy):
    """A pipe or a huge file in the place of the weights is refused at once."""
    run = runs.load(copy)
    run.weights.unlink()
    os.mkfifo(run.weights)
    with pytest.raises(ValueError, match="is no file of this network's weights"):
        runs.restored(run)
    run.weights.unlink()
    with run.weights.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ValueError, match="is no file of this network's weights"):
        runs.restored(run)


def test_planted_links_are_not_followed(copy, tmp_path):
    """Where links stand in the place of what an epoch writes, they are replaced and their target stays as it was."""
    victim = tmp_path / "victim"
    victim.write_text("mine")
    for name in ("epoch-02.weights.h5", ".lock.part"):
        (copy / name).symlink_to(victim)
    text = (copy / runs.RUN).read_text()
    (copy / runs.RUN).unlink()
    (tmp_path / "run.json").write_text(text)
    (copy / runs.RUN).symlink_to(tmp_path / "run.json")
    (copy / runs.HISTORY).unlink()
    (copy / runs.HISTORY).symlink_to(victim.with_name("none"))
    list(runs.train(runs.load(copy), 2))
    assert victim.read_text() == "mine"
    assert (tmp_path / "run.json").read_text() == text
    assert not (tmp_path / "none").exists()
    assert not any((copy / name).is_symlink() for name in ("epoch-02.weights.h5", runs.RUN, runs.HISTORY))
    assert len(runs.load(copy).epochs) == 2


def test_force_removes_what_is_a_runs(copy, tiny, tmp_path):
    """Replaced by force, a folder loses the run's files and links, and nothing that only looks like one."""
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (copy / "predictions.csv").symlink_to(victim)
    (copy / "epoch-07.weights.h5").mkdir()
    (copy / "epoch-07.weights.h5" / "mine").write_text("mine")
    for name in ("predictions.xlsx", "epoch-best.weights.h5"):
        (copy / name).write_text("mine")
    linked = tmp_path / "linked"
    linked.symlink_to(copy)
    runs.start(linked, tiny, device="cpu", force=True)
    assert victim.read_text() == "mine"
    assert linked.is_symlink()
    left = ["epoch-07.weights.h5", "epoch-best.weights.h5", "predictions.xlsx", "run.json"]
    assert sorted(path.name for path in copy.iterdir()) == left


def test_left_overs_are_swept_and_stand_in_no_ones_way(copy, tiny, tmp_path):
    """What a process that was killed has left is removed by the next that holds the folder, and counts as nothing."""
    for name in (".0123abcd.part.weights.h5", ".run.json.0123abcd.part"):
        (copy / name).write_text("half")
    with runs.locked(copy):
        assert not list(copy.glob(".*part*"))
    begun = tmp_path / "begun"
    begun.mkdir()
    (begun / ".run.json.0123abcd.part").write_text("half")
    with runs.locked(begun):
        pass
    runs.start(begun, tiny, device="cpu")
    assert runs.load(begun).epochs == []


def test_folder_whose_name_is_no_unicode(tiny, tmp_path):
    """A dataset in a folder named in Latin-1 is trained on, and the run is read again."""
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    path = folder / "tiny.h5"
    path.write_bytes(tiny.read_bytes())
    run = runs.start(tmp_path / "run", path, device="cpu")
    assert runs.load(run.folder).facts["dataset"]["path"].endswith("\\udce9/tiny.h5")
    assert runs.check_dataset(runs.load(run.folder), path) == path


def test_other_batches_are_not_continued(copy):
    """A run whose batches came in another order than this version draws is not resumed."""
    (copy / runs.HISTORY).unlink()
    run = edited(copy, "epochs", 0, "order", to="00" * 32)
    with pytest.raises(ValueError, match="epoch 1 had other batches"):
        next(runs.train(run, 2))


def test_schema_of_several_lines_is_shown_in_one(copy):
    """What a file says for its schema is shown on one line, whatever it is."""
    with pytest.raises(ValueError, match=r"has schema \\n; touch victim, and this version") as caught:
        changed(copy, schema="\n; touch victim")
    assert "\n" not in str(caught.value)
