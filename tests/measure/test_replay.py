"""What repeats a result, and what stands against repeating it here."""

from __future__ import annotations

import json
import shlex
import shutil

import pytest

from cifar import cli
from cifar.cli import data
from cifar.data import dataset
from cifar.measure import campaign, replay, source
from cifar.node.container import container
from cifar.record.unmeasurable import as_json

COMMIT = "ab12" * 10
PLAN = {
    "devices": ("cpu", "gpu"),
    "runs": 7,
    "effort": "quick",
    "dataset": "/x.h5",
    "digest": "d" * 64,
    "only": "a or b",
}


def facts(**changes):
    """The environment that a record of this very process would hold."""
    here = {
        "node": {"cpu_model": "Staged CPU"},
        "gpus": [{"name": "Staged GPU"}],
        "source": as_json(source.describe()) | {"commit": COMMIT, "dirty": False},
        "container": {"kind": "none", "image": {"unmeasurable": "x"}, "digest": {"unmeasurable": "x"}},
        "dataset": {"digest": "d" * 64, "source": "made up", "synthetic": True},
    }
    return here | changes


def staged(folder, plan, found):
    """A campaign of one record."""
    campaign.start(folder, plan)
    record = {"machine_info": {"cifar": {"environment": found}}}
    (folder / "cpu-1.json").write_text(json.dumps(record))
    return folder


def test_read(tmp_path):
    """A campaign is named by its folder, by a record, or by its plan."""
    plan, found = campaign.Plan(**PLAN), facts()
    folder = staged(tmp_path / "a", plan, found)
    for name in (folder, folder / "cpu-1.json", folder / campaign.PLAN):
        assert replay.read(name) == (plan, json.loads(json.dumps(found)))


def test_nothing_to_read(tmp_path):
    """A folder without a campaign, and a campaign without a record, say what to do."""
    with pytest.raises(FileNotFoundError, match="holds no campaign"):
        replay.read(tmp_path)
    campaign.start(tmp_path / "a", campaign.Plan(**PLAN))
    with pytest.raises(ValueError, match="no record: begin it by `cifar bench --resume"):
        replay.read(tmp_path / "a")


@pytest.mark.parametrize("name", ["cpu-9.json", "none"])
def test_no_such_result(tmp_path, capsys, name):
    """A record or folder that is not there is named as it was given."""
    assert cli.main(["replay", str(tmp_path / name)]) == 2
    assert f"{name}: there is no such file or folder" in capsys.readouterr().err


def test_options_are_the_plan(monkeypatch):
    """The options of the printed command, parsed by `cifar bench` itself, are those of the plan."""
    parsed = []
    monkeypatch.setattr("cifar.cli.bench._bench", lambda options: parsed.append(options) or 0)
    assert cli.main(["bench", *replay.options(campaign.Plan(**PLAN))]) == 0
    (found,) = parsed
    assert (tuple(found.devices), found.runs, found.effort, found.only) == (("cpu", "gpu"), 7, "quick", "a or b")


def test_script_of_a_checkout():
    """Outside of a container: the commit, the lock, the data, the command; what was not clean is said."""
    dirty = facts(source=as_json(source.describe()) | {"commit": COMMIT, "dirty": True})
    lines = list(replay.script(campaign.Plan(**PLAN), dirty))
    assert f"git checkout {COMMIT}" in lines
    assert "# The checkout had changes that are in no commit." in lines
    assert any(line.startswith("pip install -r containers/requirements-") for line in lines)
    assert lines[-2] == "cifar prepare --synthetic --out results/standin-dddddddddddd.h5"
    bench = ["cifar", "bench", *replay.options(campaign.Plan(**PLAN))]
    assert shlex.split(lines[-1]) == [*bench, "--dataset", "results/standin-dddddddddddd.h5"]


def test_script_on_cifar10():
    """CIFAR-10 itself is prepared and named in the same way."""
    found = facts(dataset={"digest": "e" * 64, "source": "CIFAR-10", "synthetic": False})
    *_, prepare, bench = replay.script(campaign.Plan(**PLAN), found)
    assert prepare == "cifar prepare --out results/cifar10-eeeeeeeeeeee.h5"
    assert bench.endswith(" --dataset results/cifar10-eeeeeeeeeeee.h5")


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 7])
def test_script_is_on_its_own_dataset(small, tmp_path, monkeypatch, seed):
    """What is printed, executed, measures on the stand-in of that seed, also where CIFAR-10 was prepared."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    dataset.default_path().parent.mkdir()
    shutil.copy(small, dataset.default_path())  # what bench would take
    known = dataset.describe(dataset.prepare_synthetic(tmp_path / "known.h5", seed))
    was = {"digest": known.digest, "source": known.source, "synthetic": True}
    measured = []
    monkeypatch.setattr("cifar.cli.bench._bench", lambda options: measured.append(data.ready(options.dataset)) or 0)
    for line in list(replay.script(campaign.Plan(**PLAN), facts(dataset=was)))[-2:]:
        assert cli.main(shlex.split(line)[1:]) == 0
    assert [found.digest for found in measured] == [known.digest]


@pytest.mark.parametrize(("lock", "options"), [("cuda", ""), ("cuda-2.19", " --tensorflow 2.19")])
def test_script_of_an_image(lock, options):
    """In Apptainer: the image with its digest, built anew from its lock, and the command inside it."""
    image = {"kind": "apptainer", "image": f"cifar-bench:0.1.0-{lock}", "digest": "sha256:12"}
    source = facts()["source"] | {"lock": {"file": f"requirements-{lock}.txt", "sha256": "34", "differs": []}}
    lines = list(replay.script(campaign.Plan(**PLAN), facts(container=image, source=source)))
    assert any("sha256:12" in line for line in lines)
    assert f"nox -s image -- --variant cuda{options}" in lines
    assert f"ln -sf dist/cifar-bench-{lock}.sif cifar.sif" in lines
    assert all(line.startswith("apptainer exec --nv") for line in lines[-2:])
    assert not any(line.startswith("pip") for line in lines)


def test_what_is_executed_is_noticed(executed):
    """The shell of these tests does make a file where a script says so."""
    assert executed("git checkout main; mkdir made") == ["made"]
    assert executed("rmdir made") == []


TOUCH = "touch made #"
HOSTILE = {
    "a commit and a command": ("source", "commit", f"main; {TOUCH}"),
    "a branch": ("source", "commit", "main"),
    "an option of git": ("source", "commit", "--output=made"),
    "two files": ("source", "lock", {"file": f"x.txt; {TOUCH}", "sha256": "0" * 64, "differs": []}),
    "a file elsewhere": ("source", "lock", {"file": "../../made.txt", "sha256": "0" * 64, "differs": []}),
    "a package on a line of its own": (
        *("source", "lock"),
        {"file": "requirements-cpu.txt", "sha256": "0" * 64, "differs": [f"x\n{TOUCH}"]},
    ),
    "a digest of the lock": (
        *("source", "lock"),
        {"file": "requirements-cpu.txt", "sha256": f"0\n{TOUCH}", "differs": []},
    ),
    "a source": ("source", "workload", f"0\n{TOUCH}"),
    "why there is no commit": ("source", "commit", {"unmeasurable": f"x\n{TOUCH}"}),
    "why there is no source, after a form feed": ("source", "commit", {"unmeasurable": f"x\r\x0c\x85\u2028{TOUCH}"}),
    "a processor": ("node", "cpu_model", f"x\n{TOUCH}"),
    "a kind of container": ("container", "kind", f"docker\n{TOUCH}"),
    "an image": ("container", "image", f"x\n{TOUCH}"),
    "an image's digest": ("container", "digest", f"sha256:1\n{TOUCH}"),
    "a digest": ("dataset", "digest", f"0; {TOUCH}"),
    "a seed": ("dataset", "source", f"seed 1; {TOUCH}"),
    "a dataset that is no yes or no": ("dataset", "synthetic", f"x; {TOUCH}"),
}


@pytest.mark.parametrize(("subject", "name", "value"), HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("kind", ["none", "apptainer"])
def test_hostile_record(tmp_path, capsys, executed, kind, subject, name, value):
    """Nothing that a record says becomes a command: it is refused with the field's name, or quoted."""
    found = facts()
    found["container"] = {"kind": kind, "image": "x", "digest": f"sha256:{'0' * 64}"}
    found[subject] = found[subject] | {name: value}
    code = cli.main(["replay", str(staged(tmp_path / "a", campaign.Plan(**PLAN), found))])
    printed = capsys.readouterr()
    if code == 2:
        assert f"{subject}.{name} is " in printed.err
        assert printed.err.count("\n") == 1
        assert printed.out == ""
    assert code in {0, 2}
    assert executed(printed.out) == []
    assert executed(printed.err) == []


@pytest.mark.parametrize("subject", ["source", "dataset", "container", "node"])
@pytest.mark.parametrize("value", [[], None, 7, "x", {}, [{"digest": 1}]])
def test_facts_of_another_type(tmp_path, capsys, subject, value):
    """A subject that is missing or of another type is a sentence, with the field's name."""
    folder = staged(tmp_path / "a", campaign.Plan(**PLAN), facts(**{subject: value}))
    assert cli.main(["replay", str(folder)]) == 2
    assert f"its {subject}" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "[]", "{}", "[" * 5_000, '{"machine_info": 1e999}'])
def test_no_record(tmp_path, capsys, text):
    """What is no record is refused where it is named, and passed over where its folder is."""
    folder = staged(tmp_path / "a", campaign.Plan(**PLAN), facts())
    (folder / "a-0.json").write_text(text)
    assert cli.main(["replay", str(folder / "a-0.json")]) == 2
    assert "a-0.json is no record of a run" in capsys.readouterr().err
    assert cli.main(["replay", str(folder)]) == 0


@pytest.mark.parametrize("only", ["$(touch made)", "a'; touch made #", "-k", "--out=/elsewhere"])
def test_hostile_plan(executed, only):
    """What a plan selects is one word of the command."""
    plan = campaign.Plan(**PLAN | {"only": only})
    lines = list(replay.script(plan, facts()))
    assert f"--only={only}" in shlex.split(lines[-1])
    assert executed("\n".join(lines)) == []


def test_plan_with_control_characters():
    """A text that a terminal would obey is in no command."""
    plan = campaign.Plan(**PLAN | {"only": "x\x1b[2Jy"})
    with pytest.raises(ValueError, match="control characters"):
        list(replay.script(plan, facts()))


def test_differences():
    """Source, packages, image and data that are not as they were are named; what nobody knows is no difference."""
    here = facts(source=as_json(source.describe()), container=as_json(container()))
    assert replay.differences(here, "d" * 64) == []
    other = facts(source=as_json(source.describe()) | {"workload": "w", "commit": "c", "installed": "i"})
    other["container"] = {"kind": "apptainer", "image": "x", "digest": "sha256:12"}
    named = " ".join(replay.differences(other, "e" * 64))
    for what in (
        "workloads' source was w",
        "commit was c",
        "packages was i",
        "image was sha256:12",
        "dataset was dddd",
    ):
        assert what in named


def test_run_refuses(small, tmp_path, capsys):
    """What would be another measurement is not made: exit code 3, and what is not as it was."""
    found = facts(source=facts()["source"] | {"workload": "e" * 64})
    plan = campaign.Plan(**PLAN | {"dataset": str(small)})
    assert cli.main(["replay", "--run", str(staged(tmp_path / "a", plan, found))]) == 3
    assert "workloads' source was eeee" in capsys.readouterr().err


@pytest.mark.slow
def test_run(small, tmp_path, capsys, monkeypatch):
    """A campaign that was measured here is measured again, into a folder of its own."""
    monkeypatch.chdir(tmp_path)
    bench = ["bench", "--quick", "--runs", "1", "--device", "cpu", "--only", "first-step", "--dataset", str(small)]
    assert cli.main([*bench, "--out", "first"]) == 0
    assert (tmp_path / "first/doctor.txt").read_text().count("\n") >= 8
    assert cli.main(["replay", "--run", "first"]) == 0
    capsys.readouterr()
    (again,) = (tmp_path / "results").glob("*/cpu-1.json")
    assert campaign.is_complete(again)
