"""Arms: which runs are one arm, and in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cifar.record.reading import load
from cifar.report.arms import Arm, by_arm, by_workload

from .handmade import made

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Write  # type: ignore[import-not-found]


def test_by_arm_puts_the_cpu_first(write: Write, tmp_path: Path) -> None:
    """Arms of one campaign keep their names; the CPU comes first, whoever began."""
    write(tmp_path, "gpu", 1, day=1)
    write(tmp_path, "cpu", 2, day=3)
    write(tmp_path, "cpu", 1, day=2)
    arms = by_arm(load(tmp_path))
    assert [(arm, [each.run for each in runs]) for arm, runs in arms.items()] == [("cpu", [1, 2]), ("gpu", [1])]


def test_by_arm_tells_campaigns_apart(write: Write, tmp_path: Path) -> None:
    """The same arm of two campaigns is two arms, the earlier first; an arm of only one keeps its name."""
    for day, campaign in enumerate(("before", "after"), start=1):
        write(tmp_path / campaign, "cpu", campaign=campaign, day=day)
    write(tmp_path / "after", "gpu", campaign="after", day=2)
    assert list(by_arm(load(tmp_path / "after", tmp_path / "before"))) == [
        "cpu@before",
        "cpu@after",
        "gpu",
    ]


def test_by_arm_names_campaigns_by_their_folders(write: Write, tmp_path: Path) -> None:
    """Two jobs measured the same node: its arms have the jobs' folders in their names too, others have not."""
    for day, place in enumerate(("nodes-100/node1", "nodes-200/node1", "nodes-200/node2"), start=1):
        write(tmp_path / place, campaign=place.rpartition("/")[2], day=day)
    arms = by_arm(load(*(tmp_path / place for place in ("nodes-100/node1", "nodes-200/node1", "nodes-200/node2"))))
    assert list(arms) == ["cpu@nodes-100/node1", "cpu@nodes-200/node1", "cpu@node2"]


def test_arm_holds_its_results_by_run_and_by_workload() -> None:
    """What was measured is found by run and by workload, in the order of the records."""
    records = [*made("cpu", [[1.0], [2.0]], workload="b"), *made("cpu", [[3.0]], workload="a")]
    arm = Arm("mine", records)
    assert [list(run) for run in arm.runs] == [["b"], ["b"], ["a"]]
    assert {workload: [result.median for result in results] for workload, results in arm.results.items()} == {
        "b": [1.0, 2.0],
        "a": [3.0],
    }
    assert arm.device == "cpu"


def test_by_workload_has_a_gap_where_an_arm_has_no_number() -> None:
    """Workloads stand in the order in which they are shown, each with the arms that measured it."""
    arms = {
        "cpu": Arm("cpu", made("cpu", [[1.0]], workload="startup[stage=import]")),
        "gpu": Arm("gpu", made("gpu", [[1.0]], workload="forward[batch=1,input=host]")),
    }
    assert {workload: list(sides) for workload, sides in by_workload(arms).items()} == {
        "forward[batch=1,input=host]": ["gpu"],
        "startup[stage=import]": ["cpu"],
    }
