"""The campaign: which process runs when, and what is left of it when it is cut short."""

from __future__ import annotations

import fcntl
import json
import os

import pytest

from cifar.measure import campaign


def plan(**changes):
    """A plan of two arms and three runs."""
    fields = {"devices": ("cpu", "gpu"), "runs": 3, "effort": "quick", "dataset": "x.h5", "digest": "d" * 64}
    return campaign.Plan(**(fields | changes))


def finished(folder, arm, number, *, complete=True):
    """What a run leaves in the folder."""
    record = {"machine_info": {"cifar": {"complete": complete}}}
    (folder / f"{arm}-{number}.json").write_text(json.dumps(record))


def test_schedule_interleaves_and_turns():
    """Arms alternate, and every second turn goes backwards, so that a drift of the node favours no arm."""
    assert plan().schedule() == [("cpu", 1), ("gpu", 1), ("gpu", 2), ("cpu", 2), ("cpu", 3), ("gpu", 3)]


def test_device_named_twice_is_two_arms():
    """A device may be compared with itself."""
    assert plan(devices=("cpu", "cpu", "gpu:1")).arms == {"cpu": "cpu", "cpu#2": "cpu", "gpu:1": "gpu:1"}


def test_plan_survives_its_file(tmp_path):
    """What `start` writes, `resume` reads."""
    campaign.start(tmp_path / "new", plan(missing_gpu="no driver"))
    assert campaign.resume(tmp_path / "new") == plan(missing_gpu="no driver")


def test_more_runs(tmp_path):
    """A campaign takes more runs, which come after those it has; it never forgets any."""
    campaign.start(tmp_path / "new", plan())
    longer = campaign.extend(tmp_path / "new", plan(), 5)
    assert campaign.resume(tmp_path / "new") == longer == plan(runs=5)
    assert longer.schedule()[:6] == plan().schedule()
    with pytest.raises(ValueError, match="5 runs an arm, not 4: runs can be added only"):
        campaign.extend(tmp_path / "new", longer, 4)
    assert campaign.resume(tmp_path / "new") == longer


def test_start_refuses_a_used_folder(tmp_path):
    """A campaign never writes into a folder that holds anything."""
    (tmp_path / "something").touch()
    with pytest.raises(FileExistsError, match="--resume"):
        campaign.start(tmp_path, plan())


def test_resume_needs_a_campaign(tmp_path):
    """A folder without a plan is named, with the remedy."""
    with pytest.raises(FileNotFoundError, match="without --resume"):
        campaign.resume(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"runs": 1}', '{"devices": 1}'])
def test_damaged_plan(tmp_path, text):
    """A damaged plan is an error that names the file."""
    (tmp_path / campaign.PLAN).write_text(text)
    with pytest.raises(ValueError, match=r"campaign\.json is damaged"):
        campaign.resume(tmp_path)


def test_latest_is_the_one_begun_last(tmp_path):
    """Without a folder, the campaign begun last is meant; without any campaign, that is said."""
    with pytest.raises(FileNotFoundError, match="no campaign"):
        campaign.latest(tmp_path)
    for name in ("b", "a"):
        campaign.start(tmp_path / name, plan())
    os.utime(tmp_path / "b" / campaign.PLAN, (1, 1))
    assert campaign.latest(tmp_path) == tmp_path / "a"


@pytest.mark.parametrize("text", [None, "", '{"machine_info": {"cifar": {"comple', "[]", "{}"])
def test_unfinished_record_is_not_complete(tmp_path, text):
    """A record that is missing, cut or of another kind is measured again."""
    path = tmp_path / "cpu-1.json"
    if text is not None:
        path.write_text(text)
    assert not campaign.is_complete(path)


def test_finished_runs_are_not_run_again(tmp_path):
    """A campaign whose records are all complete starts no process."""
    campaign.start(tmp_path / "new", plan(devices=("nowhere",), runs=2))
    for number in (1, 2):
        finished(tmp_path / "new", "nowhere", number)
    assert campaign.run(tmp_path / "new", plan(devices=("nowhere",), runs=2)) == []


def test_run_that_dies_is_reported_and_the_next_one_runs(tmp_path):
    """A run that ends without a record is named with its last words; the campaign goes on."""
    impossible = plan(devices=("nowhere",), runs=2)
    campaign.start(tmp_path / "new", impossible)
    failures = campaign.run(tmp_path / "new", impossible)
    assert len(failures) == 2
    assert all("nowhere" in failure and "ended with code" in failure for failure in failures)
    assert "is no device" in failures[0]


def test_two_campaigns_in_one_folder(tmp_path):
    """The second process is refused while the first one lives."""
    campaign.start(tmp_path / "new", plan())
    with (tmp_path / "new" / campaign.PLAN).open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(BlockingIOError, match="another process"):
            campaign.run(tmp_path / "new", plan())


def test_command_can_be_repeated_by_hand(tmp_path):
    """The command line of a run names its device, dataset, effort, record and selection."""
    words = campaign.command(tmp_path, plan(devices=("cpu", "cpu"), only="forward"), "cpu#2", 3)
    assert {"--device=cpu", "--arm=cpu#2", "--run-number=3", "--effort=quick", "--dataset=x.h5"} <= set(words)
    assert f"--record={tmp_path}/cpu#2-3.json" in words
    assert words[words.index("-k") + 1] == "forward"


def test_progress_counts_benchmarks():
    """The lines that pytest prints become the campaign's progress, over all of its runs."""
    seen = []
    share = campaign.Share(lambda *told: seen.append(told), turns=2)
    lines = (
        "collecting ... collected 9 items / 7 deselected / 2 selected",
        "test_a.py::test_a[x=1] PASSED [ 50%]",
        "test_b.py::test_b FAILED [100%]",
        "=== 1 passed",
    )
    for run in ("cpu 1", "gpu 1"):
        share.begin(run)
        for line in lines:
            share.read(run, line)
    assert seen == [
        ("cpu 1: starting", 0, 2),
        ("cpu 1: a[x=1]", 1, 4),
        ("cpu 1: b", 2, 4),
        ("gpu 1: starting", 2, 4),
        ("gpu 1: a[x=1]", 3, 4),
        ("gpu 1: b", 4, 4),
    ]
