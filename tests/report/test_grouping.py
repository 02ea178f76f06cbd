"""Grouping: each arm by itself, and what stands for the nodes that measured one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cifar.record.reading import load
from cifar.report.grouping import group

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Write  # type: ignore[import-not-found]


def test_arms_of_several_nodes_are_one_beside_the_others(write: Write, tmp_path: Path) -> None:
    """Two nodes' CPUs are one arm with all runs, or with a record a node; where nothing is pooled each is itself."""
    for day, node in enumerate(("n1", "n2"), start=1):
        facts = {"node": {"hostname": node}}
        for run in (1, 2):
            write(tmp_path / node, "cpu", run, campaign=node, day=day, environment=facts, seed=day)
    write(tmp_path / "n1", "gpu", 1, campaign="n1", environment={"node": {"hostname": "n1"}})
    records = load(tmp_path / "n1", tmp_path / "n2")
    arms = group(records)
    assert list(arms.each) == ["cpu@n1", "cpu@n2", "gpu"]
    assert {name: len(arm.records) for name, arm in arms.by_run.items()} == {"cpu over 2 nodes": 4, "gpu": 1}
    assert {name: len(arm.records) for name, arm in arms.by_node.items()} == {"cpu over 2 nodes": 2, "gpu": 1}
    apart = group(records, pool=False)
    assert apart.by_run == apart.by_node == apart.each
