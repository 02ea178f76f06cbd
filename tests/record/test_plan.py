"""The plan of a campaign: arms by their names, and how many runs of each there are to be."""

from __future__ import annotations

import json

import pytest

from cifar.record import plan


def test_arms():
    """A device that is named twice is two arms."""
    assert plan.arms(["cpu", "gpu:1", "cpu"]) == {"cpu": "cpu", "gpu:1": "gpu:1", "cpu#2": "cpu"}


def test_planned_runs(tmp_path):
    """Each arm is to be run as often as the plan says; files of its runs are known by their names."""
    (tmp_path / plan.PLAN).write_text(json.dumps({"devices": ["cpu", "cpu"], "runs": 3}))
    assert plan.planned_runs(tmp_path) == {"cpu": 3, "cpu#2": 3}
    names = ["cpu-1.json", "cpu#2-12.json", "gpu-1.json", "cpu-0.json", "cpu-1.log", "cpu.json", "notes.json"]
    assert [name for name in names if plan.is_run(tmp_path / name)] == ["cpu-1.json", "cpu#2-12.json"]


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"devices": "cpu", "runs": 1}', '{"devices": ["cpu"], "runs": 9999999999}']
)
def test_without_a_plan_nothing_is_planned(tmp_path, content):
    """A plan that cannot be read, or is not there, names no runs."""
    assert plan.planned_runs(tmp_path / "nowhere") == {}
    (tmp_path / plan.PLAN).write_text(content)
    assert plan.planned_runs(tmp_path) == {}
