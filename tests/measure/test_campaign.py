"""The campaign: which process runs when, and what is left of it when it is cut short."""

from __future__ import annotations

import dataclasses
import json
import os

import pytest

from cifar.measure import campaign
from cifar.record.unmeasurable import Unmeasurable


def plan(**changes):
    """A plan of two arms and three runs."""
    fields = {"devices": ("cpu", "gpu"), "runs": 3, "effort": "quick", "dataset": "/x.h5", "digest": "d" * 64}
    return campaign.Plan(**(fields | changes))


def finished(folder, arm, number, *, complete=True):
    """What a run leaves in the folder."""
    record = {"machine_info": {"cifar": {"arm": arm, "run": number, "complete": complete}}}
    (folder / f"{arm}-{number}.json").write_text(json.dumps(record))


def test_schedule_interleaves_and_turns():
    """Arms alternate, and every second turn goes backwards, so that a drift of the node favours no arm."""
    assert plan().schedule() == [("cpu", 1), ("gpu", 1), ("gpu", 2), ("cpu", 2), ("cpu", 3), ("gpu", 3)]


def test_device_named_twice_is_two_arms():
    """A device may be compared with itself."""
    assert plan(devices=("cpu", "cpu", "gpu:1")).arms == {"cpu": "cpu", "cpu#2": "cpu", "gpu:1": "gpu:1"}


def test_plan_survives_its_file(tmp_path):
    """What `start` writes, `resume` reads."""
    missing = Unmeasurable("there is no driver", "have it installed")
    campaign.start(tmp_path / "new", plan(missing_gpu=missing))
    assert campaign.resume(tmp_path / "new") == plan(missing_gpu=missing)


def test_plan_with_a_path_that_is_no_text(tmp_path):
    """A dataset in a folder whose name is Latin-1 is found again."""
    path = os.fsdecode(b"/caf\xe9 %41/x.h5")
    campaign.start(tmp_path / "new", plan(dataset=path))
    assert campaign.resume(tmp_path / "new").dataset == path


def test_older_plan(tmp_path):
    """An earlier version's plan is read: it has reason and remedy in one text, and no deadline."""
    fields = {"devices": ["cpu"], "runs": 1, "effort": "quick", "dataset": "/x.h5", "digest": "d" * 64, "only": None}
    (tmp_path / campaign.PLAN).write_text(json.dumps(fields | {"missing_gpu": "no driver: install it"}))
    assert campaign.resume(tmp_path).missing_gpu == Unmeasurable("no driver: install it")


def test_more_runs(tmp_path):
    """A campaign takes more runs, which come after those it has; it never forgets any."""
    campaign.start(tmp_path / "new", plan())
    longer = campaign.extend(tmp_path / "new", plan(), 5)
    assert campaign.resume(tmp_path / "new") == longer == plan(runs=5)
    assert longer.schedule()[:6] == plan().schedule()
    with pytest.raises(ValueError, match="5 runs an arm, not 4: runs can be added only"):
        campaign.extend(tmp_path / "new", longer, 4)
    assert campaign.resume(tmp_path / "new") == longer


def test_start_takes_what_a_killed_one_left(tmp_path):
    """A folder that holds nothing but the half of a plan that a killed process left is an empty one."""
    (tmp_path / ".campaign.json.0123abcd.part").touch()
    campaign.start(tmp_path, plan())


def test_start_refuses_a_used_folder(tmp_path):
    """A campaign never writes into a folder that holds anything."""
    (tmp_path / "something").touch()
    with pytest.raises(FileExistsError, match="--resume"):
        campaign.start(tmp_path, plan())


def test_resume_needs_a_campaign(tmp_path):
    """A folder without a plan is named, with the remedy."""
    with pytest.raises(FileNotFoundError, match="without --resume"):
        campaign.resume(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "7", '"text"', '{"runs": 1}', '{"devices": 1}', "[" * 1_500, '{"runs": 1, "runs": 2}'),
        '{"runs": ' + "9" * 5_000 + "}",
        '{"devices": ["cpu"], "runs": 1, "effort": "quick", "dataset": "/x", "digest": "'
        + "d" * 64
        + '", "only": NaN}',
    ],
)
def test_damaged_plan(tmp_path, text):
    """A damaged plan is an error that names the file."""
    (tmp_path / campaign.PLAN).write_text(text)
    with pytest.raises(ValueError, match=r"campaign\.json is damaged"):
        campaign.resume(tmp_path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("effort", "out=/elsewhere"),
        ("effort", ["quick"]),
        ("devices", []),
        ("devices", ["../../../x"]),
        ("devices", ["cpu", "gpu:1\n"]),
        ("devices", "cpu"),
        ("devices", [{"name": "cpu"}]),
        ("runs", 0),
        ("runs", 10**18),
        ("runs", 10_001),
        ("runs", []),
        ("runs", True),
        ("runs", 2.5),
        ("dataset", ""),
        ("dataset", "/a\0b"),
        ("dataset", "/" + "x" * 5_000),
        ("dataset", None),
        ("digest", "d" * 63),
        ("digest", "D" * 64),
        ("only", "a\nb"),
        ("only", ["training"]),
        ("missing_gpu", ["no driver"]),
        ("missing_gpu", {"reason": "no driver"}),
        ("missing_gpu", {"reason": 7, "remedy": ""}),
        ("deadline_seconds", -1),
        ("deadline_seconds", "soon"),
        ("nothing_of_ours", 1),
    ],
)
def test_plan_that_was_changed(tmp_path, field, value):
    """A plan with a field that we would not write is refused, and the field is named; nothing is written anywhere."""
    fields = dataclasses.asdict(plan()) | {field: value}
    (tmp_path / campaign.PLAN).write_text(json.dumps(fields))
    with pytest.raises(ValueError, match=rf"campaign\.json is damaged: it .*{field}"):
        campaign.resume(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [campaign.PLAN]


def test_refused_extension_changes_nothing(tmp_path):
    """Whoever does not hold the folder cannot add runs to its campaign; a plan is replaced in one step."""
    campaign.start(tmp_path, plan())
    before = (tmp_path / campaign.PLAN).stat().st_ino
    campaign.extend(tmp_path, plan(), 5)
    assert (tmp_path / campaign.PLAN).stat().st_ino != before
    assert [path.name for path in tmp_path.iterdir()] == [campaign.PLAN]
    with pytest.raises(ValueError, match="runs"):
        campaign.extend(tmp_path, plan(), 10**6)


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


def test_copied_record_is_not_that_of_another_run(tmp_path):
    """A file that was copied to another run's name does not make that run a finished one."""
    finished(tmp_path, "cpu", 1)
    assert campaign.is_complete(tmp_path / "cpu-1.json")
    (tmp_path / "cpu-2.json").write_bytes((tmp_path / "cpu-1.json").read_bytes())
    assert not campaign.is_complete(tmp_path / "cpu-2.json")


def measured(folder, plan):
    """What a campaign in a new folder says of its failures."""
    campaign.start(folder, plan)
    with campaign.held(folder) as lock:
        return campaign.run(folder, plan, lock)


def test_finished_runs_are_not_run_again(tmp_path):
    """A campaign whose records are all complete starts no process."""
    folder = tmp_path / "new"
    campaign.start(folder, plan(devices=("nowhere",), runs=2))
    for number in (1, 2):
        finished(folder, "nowhere", number)
    with campaign.held(folder) as lock:
        assert campaign.run(folder, plan(devices=("nowhere",), runs=2), lock) == []


def test_run_that_dies_is_reported_and_the_next_one_runs(tmp_path):
    """A run that ends without a record is named with its last words; the campaign goes on."""
    failures = measured(tmp_path / "new", plan(devices=("nowhere",), runs=2))
    assert len(failures) == 2
    assert all("nowhere" in failure and "ended with code" in failure for failure in failures)
    assert "is no device" in failures[0]


def test_two_campaigns_in_one_folder(tmp_path):
    """The second process is refused while the first one lives, before it has changed anything."""
    campaign.start(tmp_path, plan())
    with campaign.held(tmp_path), pytest.raises(BlockingIOError, match="another process"), campaign.held(tmp_path):
        pass


def test_leftovers_of_a_killed_process(tmp_path):
    """What killed processes have left half-written is gone when the campaign goes on; records and logs stay."""
    kept = [".d.0123abcd.part", ".lock", "cpu-1.json", "cpu-1.log", "my-notes.a.tmp", "notes.tmp"]
    (tmp_path / kept[0]).mkdir()
    for name in ("cpu-1.4711.tmp", "gpu:1#2-3.4711.tmp", ".campaign.json.0123abcd.part", *kept[2:]):
        (tmp_path / name).touch()
    with campaign.held(tmp_path):
        assert sorted(path.name for path in tmp_path.iterdir()) == kept


def test_command_can_be_repeated_by_hand(tmp_path):
    """The command line of a run names its device, dataset, effort, record and selection."""
    words = campaign.Run(tmp_path, plan(devices=("cpu", "cpu"), only="forward"), "cpu#2", 3).command()
    assert {"--device=cpu", "--arm=cpu#2", "--run-number=3", "--effort=quick", "--dataset=/x.h5"} <= set(words)
    assert f"--record={tmp_path}/cpu#2-3.json" in words
    assert words[words.index("-k") + 1] == "forward"


@pytest.mark.parametrize(("only", "said"), [("nothing", "selects none"), ("a and", "is no expression")])
def test_expression_that_selects_nothing(only, said):
    """An expression that selects nothing is refused before anything is measured, with the names that there are."""
    with pytest.raises(ValueError, match=said) as refused:
        campaign.check_only(plan(only=only))
    assert "forward[batch=250,input=host]" in str(refused.value)
    assert "ladder" in str(refused.value)


def test_expression_that_selects_something():
    """An expression that selects a workload is taken."""
    campaign.check_only(plan(only="first-step"))


def test_deadline_comes_from_the_plan():
    """A run gets more time for more workloads, a greater effort and what is measured only if asked for."""
    quick = campaign.deadline_seconds(plan(), 20)
    assert campaign.deadline_seconds(plan(), 40) > quick
    assert campaign.deadline_seconds(plan(effort="thorough"), 20) > quick
    assert campaign.deadline_seconds(plan(only="ladder"), 20) > quick
    assert campaign.deadline_seconds(plan(deadline_seconds=7.0), 20) == 7.0


def test_progress_counts_benchmarks():
    """What pytest prints, in pieces of any length, becomes the campaign's progress, over all of its runs."""
    told = "collecting ... collected 9 items / 7 deselected / 2 selected\n"
    told += "x/test_a.py::test_a[x=1] PASSED\nx/test_b.py::test_b I0000 a library's words\nFAILED\n=== 1 passed\n"
    for size in (1, 7, len(told)):
        seen = []
        share = campaign.Share(lambda *told, seen=seen: seen.append(told), turns=2)
        for run in ("cpu 1", "gpu 1"):
            share.begin(run)
            for start in range(0, len(told), size):
                share.read(told[start : start + size])
            assert (share.done, share.workload) == (2, "")
        assert seen == [
            ("cpu 1: starting", 0, 2),
            ("cpu 1: a[x=1]", 0, 4),
            ("cpu 1: b", 1, 4),
            ("gpu 1: starting", 2, 4),
            ("gpu 1: a[x=1]", 2, 4),
            ("gpu 1: b", 3, 4),
        ]
