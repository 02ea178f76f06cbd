"""Reading records: what is read, what is refused, and what a refusal says."""

from __future__ import annotations

import json
import operator
from typing import TYPE_CHECKING, Any

import pytest

from cifar.record import reading

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Write  # type: ignore[import-not-found]

    Edit = Callable[[dict[str, Any]], Any]

PLAN = json.dumps({"devices": ["cpu"], "runs": 1})
"""Of the campaign whose run a file is."""


def ours(content: dict[str, Any]) -> dict[str, Any]:
    """Our own part of a record."""
    return content["machine_info"]["cifar"]  # type: ignore[no-any-return]


def rounds(content: dict[str, Any]) -> list[Any]:
    """The rounds of the first workload."""
    return content["benchmarks"][0]["stats"]["data"]  # type: ignore[no-any-return]


def extra(content: dict[str, Any]) -> dict[str, Any]:
    """The extra_info of the first workload."""
    return content["benchmarks"][0]["extra_info"]  # type: ignore[no-any-return]


def test_read_returns_what_was_written(write: Write, tmp_path: Path) -> None:
    """A record is its file: names, rounds in order, and all that was added."""
    path = write(tmp_path, "gpu:1", 3, campaign="c", seed=4)
    found = reading.read(path)
    content = json.loads(path.read_text())
    assert (found.path, found.arm, found.device, found.run, found.campaign) == (path, "gpu:1", "gpu:1", 3, "c")
    assert found.complete
    assert found.fingerprint == ours(content)["fingerprint"]
    assert found.environment == ours(content)["environment"]
    assert found.started == ours(content)["started"]
    first = found.results[0]
    assert list(first.seconds) == rounds(content)
    assert first.checks == ("the answer has the right shape",)
    assert first.flop == 480_000_000_000
    assert first.warmup_seconds == pytest.approx(3 * first.seconds[0] + 0.4)
    assert first.memory["host_peak_bytes"] == 900_000_000
    assert first.work == {"weights": "ab" * 32}
    assert first.calls == 1


def test_a_whole_epoch_is_taken_apart(write: Write, tmp_path: Path) -> None:
    """The last epoch that the clock of steps saw is the whole one: what it took besides is known."""
    extra = {"step_seconds": [9.0, *[0.5] * 10, 27.0], "epoch_seconds": 41.0, "epoch_images": 50_000}
    path = write(tmp_path, workloads={"ladder_training[rung=fit]": (5_000, 1.5)}, noise=0.0, shift=0.0, extra=extra)
    found = reading.read(path).results[0]
    assert (found.epoch_seconds, found.epoch_outside) == (41.0, 14.0)
    assert found.seconds == pytest.approx([0.6] * 10), "a tenth of an epoch is charged with a tenth of its end"


def test_calls_in_a_round_are_read(write: Write, tmp_path: Path) -> None:
    """A round may be several calls, and says how many, or does not."""
    few = {"training[feed=memory]": (4_000, 2.0)}
    assert reading.read(write(tmp_path, workloads=few, extra={"calls": 8})).results[0].calls == 8
    assert reading.read(write(tmp_path, workloads=few, extra={"calls": None})).results[0].calls is None


@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        pytest.param(lambda c: rounds(c).__setitem__(2, float("nan")), 'round 3: "NaN" is not', id="NaN round"),
        pytest.param(
            lambda c: rounds(c).__setitem__(0, float("inf")), 'round 1: "Infinity" is not', id="infinite round"
        ),
        pytest.param(lambda c: rounds(c).__setitem__(0, 0), "round 1: 0 is less than or equal to", id="round of 0 s"),
        pytest.param(lambda c: rounds(c).__setitem__(1, -0.5), "round 2: -0.5 is less", id="negative round"),
        pytest.param(lambda c: rounds(c).__setitem__(1, "1"), 'round 2: "1" is not', id="round as text"),
        pytest.param(lambda c: operator.setitem(rounds(c), 1, bool(c)), "round 2: true is not", id="round as truth"),
        pytest.param(lambda c: rounds(c).clear(), "stats / data: [] has less than 1 item", id="no rounds"),
        pytest.param(lambda c: c["benchmarks"][0]["stats"].pop("data"), '"data" is a required', id="rounds missing"),
        pytest.param(lambda c: c["benchmarks"][0]["stats"].update(iterations=5), "1 was expected", id="iterations"),
        pytest.param(lambda c: extra(c).update(warmup_seconds=float("nan")), "warmup_seconds", id="NaN warm-up"),
        pytest.param(lambda c: extra(c).update(images=0), "images: 0 is less than", id="no images"),
        pytest.param(lambda c: extra(c).update(images=2.5), "images: 2.5 is not", id="half an image"),
        pytest.param(lambda c: extra(c).update(checks=[]), "checks: [] has less than 1 item", id="nothing checked"),
        pytest.param(lambda c: extra(c).update(work={"weights": 3}), "work / weights: 3 is not", id="digest no text"),
        pytest.param(lambda c: extra(c).pop("memory"), '"memory" is a required', id="memory missing"),
        pytest.param(lambda c: extra(c)["memory"].pop("meaning"), '"meaning" is a required', id="meaning missing"),
        pytest.param(lambda c: c["benchmarks"][0].pop("name"), 'benchmark 0: "name" is a required', id="no name"),
        pytest.param(lambda c: c["benchmarks"][0].update(name="forward"), "does not match", id="name of another kind"),
        pytest.param(lambda c: c["benchmarks"].__setitem__(0, 7), "benchmark 0: 7 is not", id="no benchmark"),
        pytest.param(lambda c: c.pop("benchmarks"), 'the file: "benchmarks" is a required', id="no benchmarks"),
        pytest.param(lambda c: c["machine_info"].pop("cifar"), '"cifar" is a required', id="another tool's file"),
        pytest.param(lambda c: ours(c).pop("fingerprint"), '"fingerprint" is a required', id="no fingerprint"),
        pytest.param(lambda c: ours(c)["fingerprint"].update(a=[1]), "fingerprint / a: [1]", id="nested fingerprint"),
        pytest.param(lambda c: ours(c).update(run=0), "run: 0 is less", id="run 0"),
        pytest.param(lambda c: ours(c).update(arm='x"><script>'), "does not match", id="arm that is a tag"),
        pytest.param(lambda c: ours(c).update(arm="../cpu"), "does not match", id="arm that leads elsewhere"),
        pytest.param(lambda c: ours(c).update(device="\x1b[31m"), "device: ", id="device that is obeyed"),
        pytest.param(lambda c: ours(c).update(campaign="a\nb"), "campaign: ", id="campaign of two lines"),
        pytest.param(lambda c: ours(c).update(campaign="<b>"), "campaign: ", id="campaign that is a tag"),
        pytest.param(lambda c: ours(c).update(campaign="x" * 100_000), "longer than 255", id="long campaign"),
        pytest.param(
            lambda c: c["benchmarks"][0].update(name="test_" + "x" * 100_000), "longer than 255", id="long workload"
        ),
        pytest.param(lambda c: c["benchmarks"][0].update(name="test_a[<b>]"), "does not match", id="workload, a tag"),
        pytest.param(lambda c: extra(c).update(flop=10**19), "is beyond 64 bits", id="FLOP beyond 64 bits"),
        pytest.param(lambda c: rounds(c).__setitem__(0, 1e-320), "round 1: 1e-320 is less", id="round of no length"),
        pytest.param(lambda c: ours(c)["environment"].update(gpus=5), "gpus: 5 is not of", id="GPUs as a number"),
        pytest.param(lambda c: ours(c)["environment"].update(gpus=[5]), "gpus / 0: 5 is not", id="a GPU as a number"),
        pytest.param(
            lambda c: ours(c)["environment"].update(dataset=[1]), "dataset: [1] is not", id="dataset as a list"
        ),
        pytest.param(
            lambda c: ours(c)["environment"].update(software=3), "software: 3 is not", id="software as a number"
        ),
        pytest.param(lambda c: ours(c)["environment"].update(device="cpu"), 'device: "cpu" is', id="device as text"),
        pytest.param(lambda c: ours(c)["fingerprint"].update(a="x" * 9999), "longer than 1000", id="long fingerprint"),
        pytest.param(lambda c: c.update(benchmarks=[{}] * 20_000), "has more than 250 items", id="many benchmarks"),
        pytest.param(lambda c: ours(c).update(arm=""), 'arm: "" is shorter than 1 character', id="arm without a name"),
        pytest.param(lambda c: ours(c).update(complete="yes"), 'complete: "yes" is not', id="complete as text"),
        pytest.param(lambda c: ours(c).update(failures=[{"workload": "a"}]), '"reason" is a', id="failure, no reason"),
        pytest.param(
            lambda c: ours(c).update(failures=[{"workload": "a", "reason": "b", "skipped": "no"}]),
            'skipped: "no" is not',
            id="skipped as text",
        ),
        pytest.param(lambda c: c["benchmarks"].append(c["benchmarks"][0]), "by=lesson,batch=250] twice", id="twice"),
    ],
)
def test_damaged_records_are_refused(write: Write, tmp_path: Path, edit: Edit, complaint: str) -> None:
    """What does not fit the schema is a ValueError with the file, the place in words, and the remedy."""
    path = write(tmp_path)
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))
    (tmp_path / "campaign.json").write_text(PLAN)
    with pytest.raises(ValueError, match=r"--resume") as caught:
        reading.read(path)
    assert str(path) in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param('{"machine_info": {"cif', "no complete JSON", id="cut"),
        pytest.param("", "no complete JSON", id="empty"),
        pytest.param("\x00\x01", "no complete JSON", id="binary"),
        pytest.param("[]", 'the file: [] is not of type "object"', id="a list"),
    ],
)
def test_what_is_no_record_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    """JSON cut mid-file, and files of another kind, are a ValueError with the file and the remedy."""
    path = tmp_path / "cpu-1.json"
    path.write_text(text)
    (tmp_path / "campaign.json").write_text(PLAN)
    with pytest.raises(ValueError, match=r"cpu-1\.json.*remove the file") as caught:
        reading.read(path)
    assert complaint in str(caught.value)


def test_round_beyond_float_is_refused(write: Write, tmp_path: Path) -> None:
    """A number too large for a float is refused, which Python reads as infinity."""
    path = write(tmp_path, rounds=1)
    content = json.loads(path.read_text())
    path.write_text(path.read_text().replace(repr(rounds(content)[0]), "1e999", 1))
    with pytest.raises(ValueError, match="holds the number 1e999, which is beyond 64 bits"):
        reading.read(path)


def test_record_of_another_schema_is_refused_first(write: Write, tmp_path: Path) -> None:
    """A record of a later version says so, whatever else does not fit."""
    path = write(tmp_path)
    content = json.loads(path.read_text())
    ours(content).update(schema=2, run="one")
    rounds(content).clear()
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="schema 2, and this cifar-bench reads schema 1"):
        reading.read(path)


def test_missing_file_is_an_os_error(tmp_path: Path) -> None:
    """A path that does not exist is FileNotFoundError, which names it."""
    with pytest.raises(FileNotFoundError, match=r"nowhere\.json: there is no such file or folder: name a campaign's"):
        reading.load(tmp_path / "nowhere.json")


def test_load_reads_folders_and_files(write: Write, tmp_path: Path) -> None:
    """Folders and files may be mixed; campaign.json is passed over; runs come by their start."""
    for run in (2, 1):
        write(tmp_path / "one", "cpu", run, campaign="one")
    (tmp_path / "one" / "campaign.json").write_text("{}")
    other = write(tmp_path / "two", "cpu", 1, campaign="two", day=2)
    found = reading.load(tmp_path / "one", other)
    assert [(each.campaign, each.run) for each in found] == [("one", 1), ("one", 2), ("two", 1)]


def test_load_refuses_other_json_in_a_folder(write: Write, tmp_path: Path) -> None:
    """Only campaign.json is known not to be a record; anything else that cannot be read is an error."""
    write(tmp_path)
    (tmp_path / "notes.json").write_text("{}")
    with pytest.raises(ValueError, match=r"notes\.json"):
        reading.load(tmp_path)


def test_load_refuses_one_run_twice(write: Write, tmp_path: Path) -> None:
    """Two files that claim to be the same run of a campaign would count one measurement twice."""
    path = write(tmp_path)
    copy = tmp_path / "copy.json"
    copy.write_text(path.read_text())
    with pytest.raises(ValueError, match=r"copy\.json.*cpu-1\.json.*both claim to be run 1 of arm cpu") as caught:
        reading.load(copy, path)
    assert "keep one" in str(caught.value)


def test_load_tells_campaigns_of_one_name_apart(write: Write, tmp_path: Path) -> None:
    """Two jobs measured the same node: its campaigns are named by the jobs' folders too, others keep their names."""
    for day, job in enumerate(("nodes-100", "nodes-200"), start=1):
        write(tmp_path / job / "node1", campaign="node1", day=day)
    write(tmp_path / "nodes-200" / "node2", campaign="node2", day=3)
    found = reading.load(*(tmp_path / place for place in ("nodes-100/node1", "nodes-200/node1", "nodes-200/node2")))
    assert [each.campaign for each in found] == ["nodes-100/node1", "nodes-200/node1", "node2"]


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        pytest.param(["a/jobs/n", "b/jobs/n"], ["a/jobs/n", "b/jobs/n"], id="equal parents"),
        pytest.param(["before", "after"], ["before/n", "after/n"], id="renamed"),
        pytest.param(["n", "old/n"], ["{}/n", "old/n"], id="one within the other's parent"),
    ],
)
def test_campaigns_have_as_many_folders_in_their_names_as_it_takes(
    write: Write, tmp_path: Path, folders: list[str], expected: list[str]
) -> None:
    """Wherever a campaign's folder was moved, and whatever it is called now, its name is its own."""
    for day, folder in enumerate(folders, start=1):
        write(tmp_path / folder, campaign="n", day=day)
    found = reading.load(*(tmp_path / folder for folder in folders))
    assert [each.campaign for each in found] == [name.format(tmp_path.name) for name in expected]


def test_load_refuses_a_copy_in_another_folder(write: Write, tmp_path: Path) -> None:
    """A run that began at the same time is the same one, wherever its file lies; links to one folder are one folder."""
    path = write(tmp_path / "one" / "n", campaign="n")
    write(tmp_path / "two" / "n", campaign="n")
    with pytest.raises(ValueError, match="both claim to be run 1 of arm cpu in campaign n: name each file once"):
        reading.load(tmp_path / "one/n", tmp_path / "two/n")
    (tmp_path / "link").symlink_to(path.parent)
    with pytest.raises(ValueError, match="keep one of two copies"):
        reading.load(tmp_path / "one/n", tmp_path / "link")


def test_load_of_a_folder_without_records_says_which_to_name(write: Write, tmp_path: Path) -> None:
    """The folder above the campaigns is named by mistake: the error names a campaign in it."""
    write(tmp_path / "results" / "monday")
    with pytest.raises(ValueError, match=r"such as .*monday"):
        reading.load(tmp_path / "results")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="name a campaign's folder, or measure one"):
        reading.load(tmp_path / "empty")


def test_campaign_in_which_nothing_was_measured_has_no_records(tmp_path: Path) -> None:
    """A campaign whose every process died has its plan and no records: nothing measured, no bad input."""
    (tmp_path / "campaign.json").write_text("{}")
    assert reading.load(tmp_path) == []
