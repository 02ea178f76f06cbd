"""Sources: what paths stand for, what is passed over, and what is advised about a file that is no record."""

from __future__ import annotations

import json
import re

import pytest

from cifar import cli
from cifar.record import reading, sources

PLAN = {"devices": ["cpu"], "runs": 1, "effort": "quick", "dataset": "/cifar10.h5", "digest": "5f" * 32}
FEW = {"training[feed=memory]": (5000, 2.8)}


@pytest.fixture
def results(write, tmp_path):
    """A folder with a campaign, a lesson, a training, an earlier report and a folder of another kind."""
    folder = tmp_path / "results"
    write(folder / "monday", campaign="monday", workloads=FEW)
    (folder / "monday" / "campaign.json").write_text(json.dumps(PLAN))
    for place in ("lesson-1/cpu", "train-1", "other"):
        (folder / place).mkdir(parents=True)
    for place in ("lesson-1/cpu/run.json", "train-1/run.json", "lesson-1/lesson.html", "report.html"):
        (folder / place).write_text("{}")
    return folder


def test_what_is_no_campaigns_is_passed_over(results, capsys):
    """Of all that lies beside campaigns nothing stops their report, and each is named with the reason."""
    (results / "monday" / "._cpu-1.json").write_bytes(b"\0\5\26\7")
    assert cli.main(["report", *map(str, sorted(results.iterdir()))]) == 0
    said = capsys.readouterr().err.splitlines()
    assert said == [
        f"passed over: {results}/lesson-1 is a lesson's folder, not a campaign's",
        f"passed over: {results}/other holds no records (*.json)",
        f"passed over: {results}/report.html is no record, whose name would end in .json",
        f"passed over: {results}/train-1 is the folder of a training (`cifar train`), not a campaign's",
        f"passed over: {results}/monday/._cpu-1.json is hidden, as the files are that macOS adds",
    ]
    assert (results / "monday" / "report.html").exists(), "the report goes to the campaign that is in it"


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("lesson-1", "is a lesson's folder, not a campaign's: name a campaign's folder, or measure one"),
        ("train-1", "is the folder of a training (`cifar train`), not a campaign's: name a campaign's folder"),
        ("other", "holds no records (*.json): name a campaign's folder, or measure one with `cifar bench`"),
        ("", "holds no records (*.json): name one of its campaigns, such as"),
    ],
)
def test_where_nothing_remains_it_is_an_error(results, capsys, place, said):
    """A folder that is named alone and is no campaign's is wrong usage, with what to name."""
    assert cli.main(["report", str(results / place)]) == 2
    assert said in capsys.readouterr().err


def test_a_file_is_removed_only_where_it_is_ours(results, write, tmp_path):
    """Nobody is told to remove a file that does not lie in a campaign's folder under the name of one of its runs."""
    ours = results / "monday" / "cpu-1.json"
    assert "remove the file and continue with `cifar bench --resume`" in sources.remedy(ours)
    for other in (results / "monday" / "notes-1.json", results / "monday" / "gpu-1.json", write(tmp_path / "loose")):
        assert sources.remedy(other) == "name another file or folder, or measure one with `cifar bench`"
    (results / "monday" / "campaign.json").write_text("[]")
    assert "remove" not in sources.remedy(ours)


def test_a_run_under_the_name_of_another_is_refused(results, write):
    """In a campaign's folder a file is called after the run that it holds."""
    path = write(results / "monday", run=2, workloads=FEW)
    path.rename(path.with_name("cpu-3.json"))
    with pytest.raises(ValueError, match=re.escape("cpu-3.json contradicts its name: it holds run 2 of arm cpu")):
        reading.load(results / "monday")


@pytest.mark.parametrize("name", ["cpu-2.json", "cpu#2-1.json", "gpu-1.json", "gpu:1-1.json"])
def test_name_of_another_run_without_a_plan(write, tmp_path, name):
    """A name that only a run has is that of the run which the record tells of, in a folder without a plan too."""
    write(tmp_path).rename(tmp_path / name)
    with pytest.raises(ValueError, match="contradicts its name: it holds run 1 of arm cpu"):
        reading.load(tmp_path)


def test_name_of_somebodys_own(write, tmp_path):
    """A record that was given another name is read."""
    write(tmp_path).rename(tmp_path / "before-1.json")
    assert len(reading.load(tmp_path)) == 1
