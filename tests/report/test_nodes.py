"""Nodes: which one is off, what is pooled with what, and what the report says of arms over their nodes."""

from __future__ import annotations

import re

import pytest

from cifar import cli
from cifar.record import reading
from cifar.report import nodes, page, pooling
from cifar.report.text import NONE

from .conftest import ENVIRONMENT, FINGERPRINT, WITHOUT_GPU
from .handmade import FEW, both, equal


def test_spreads(measured):
    """A workload's speed is that of the mean node; a node that is 15 % slower is off, in every workload and alone."""
    found = nodes.spreads(reading.load(*measured(equal(7, slow=0.85))))
    assert len(found) == 18
    assert all(spread.nodes == (*equal(7), "slow") for spread in found)
    assert {one.node for spread in found for one in spread.deviations if one.off} == {"slow"}
    training = next(spread for spread in found if spread.workload == "training[feed=memory]")
    assert training.speed.value == pytest.approx(5_000 / 2.81 * 0.85 ** (1 / 8), rel=0.03)
    off = training.deviations[-1]
    assert off.ratio == pytest.approx(0.85, rel=0.05)
    assert off.interval.low < off.ratio < off.interval.high < 1
    assert 0.03 < training.components.between < 0.09
    assert 0.01 < training.components.within < 0.04


@pytest.mark.parametrize("hostname", ["0a1b2c3d4e5f", None, 5])
def test_nameless(measured, hostname):
    """A container's made-up name is no node, nor is a record without one: nothing is pooled."""
    environment = ENVIRONMENT | {"node": {"hostname": hostname}}
    assert nodes.spreads(reading.load(*measured(equal(2), environment=environment))) == []
    assert pooling.node(reading.load(*measured({"more": 1.0}, environment={"node": {"unmeasurable": "x"}}))[0]) is None
    assert pooling.node(reading.load(*measured({"none": 1.0}, environment={"node": "x"}))[0]) is None


def test_one_node(measured):
    """One node has no scatter between nodes, however many campaigns it has."""
    records = reading.load(*measured({"alone": 1.0}))
    assert nodes.spreads(records) == nodes.apart(records) == []


def test_other_nodes_are_apart(measured):
    """Nodes with another driver are a group of their own, and that is said."""
    folders = measured(equal(3))
    folders += measured({"new1": 2.0, "new2": 2.1}, fingerprint=FINGERPRINT | {"gpu_driver": "580"})
    records = reading.load(*folders)
    assert {spread.nodes for spread in nodes.spreads(records)} == {tuple(equal(3)), ("new1", "new2")}
    (said,) = nodes.apart(records)
    assert said == "Not all nodes are pooled for cpu: node1, node2, node3 | new1, new2 differ in gpu_driver."


def test_sentences(measured):
    """A node that is off is named with the strongest evidence and in how many workloads it is; no other one is."""
    (said,) = nodes.sentences(nodes.spreads(reading.load(*measured(equal(7, slow=0.7)))))
    assert said.startswith("A node is off: slow, 0.")
    assert "times as fast as the others (" in said
    assert said.endswith("; so it is in 17 other workloads.")
    one = measured(
        {f"{node}-again": speed for node, speed in equal(7, slow=0.7).items()}, workloads={"a[b=c]": (9, 1.0)}
    )
    (said,) = nodes.sentences(nodes.spreads(reading.load(*one)))
    assert said.endswith("in \u201ca[b=c]\u201d on cpu.")
    assert nodes.sentences(nodes.spreads(reading.load(*measured({f"x{node}": 1.0 for node in range(5)})))) == []


def test_row(measured):
    """A row names the workload, the speed, both scatters, and who is off; a dash stands for what there is not."""
    *_, last = nodes.spreads(reading.load(*measured(equal(7, slow=0.7), runs=1)))
    name, speed, between, within, off = nodes.row(last)
    assert name == "Start-up: first training step"
    assert speed.endswith(")")
    assert between.endswith("%")
    assert within == NONE
    assert off.startswith("slow, 0.")


def test_report(measured, tmp_path, capsys):
    """The report names the node that is off at its head and on the terminal, and has a table and a figure."""
    folders = measured(equal(7, slow=0.8), workloads=FEW)
    assert cli.main(["report", *map(str, folders), "--out", str(tmp_path / "report")]) == 0
    assert "\nA node is off: slow, 0." in capsys.readouterr().out
    text = (tmp_path / "report/report.md").read_text()
    assert text.index("A node is off: slow") < text.index("## ")
    assert "## Nodes: cpu\n\nnode1, node2" in text
    assert (tmp_path / "report/figures/nodes.png").exists()
    html = (tmp_path / "report/report.html").read_text()
    assert "Nodes beside each other" in html


def test_report_of_one_node(measured, tmp_path):
    """Nothing about nodes stands in the report of one."""
    page.write(reading.load(*measured({"alone": 1.0}, workloads=FEW)), tmp_path / "report")
    assert "Nodes" not in (tmp_path / "report/report.html").read_text()
    assert not (tmp_path / "report/figures/nodes.png").exists()


def test_answer_over_nodes(measured, tmp_path):
    """Of several nodes with a GPU each the answer is GPU against CPU over the nodes, a node being the evidence."""
    found = page.write(both(measured, equal(4)), tmp_path / "report")
    assert re.fullmatch(
        r"Training, fed from memory: gpu over 4 nodes \(NVIDIA H100\) is \d\d\.\d times as fast as cpu over 4 nodes "
        r"\(AMD EPYC, 2 cores\); 95 % interval \d\d\.\d to \d\d\.\d, from 4 nodes each\.",
        found.answer,
    )
    first, *others = [(comparison.baseline, comparison.candidate) for comparison in found.comparisons]
    assert first == ("cpu over 4 nodes", "gpu over 4 nodes")
    assert others == [(f"cpu@node{place}", f"gpu@node{place}") for place in range(1, 5)]
    assert [path.name for path in found.figures if "ratios" in path.name] == ["ratios.png", "ratios.svg"]
    for said in (found.html.read_text(), found.markdown.read_text()):
        assert said.index("gpu over 4 nodes against cpu over 4 nodes") < said.index("Node by node")
        assert said.index("Node by node") < said.rindex("gpu@node4 against cpu@node4")
        assert "the geometric mean of its runs" in said


def test_interval_over_nodes_is_that_of_nodes(measured, tmp_path):
    """However many runs a node has, nodes that differ by 10 % leave the interval wide."""
    speeds = {"slow": 0.9, "usual": 1.0, "fast": 1.1}
    measured(speeds, workloads=FEW)
    records = reading.load(*measured({node: 20 / speed for node, speed in speeds.items()}, arm="gpu", workloads=FEW))
    pair = page.write(records, tmp_path / "report").comparisons[0].pairs[0]
    assert pair.baseline.runs == pair.candidate.runs == 3
    assert pair.interval.high / pair.interval.low > 1.3


def test_two_nodes_of_one_run_each_say_what_is_missing(measured, tmp_path):
    """What would settle it is nodes, not runs."""
    measured({"a": 1.0, "b": 1.1}, workloads=FEW, runs=2)
    speeds = {"a": 1.1, "b": 0.95}
    found = page.write(reading.load(*measured(speeds, arm="cpu#2", workloads=FEW, runs=2)), tmp_path / "report")
    assert re.search(r"from 2 nodes each; (about \d+|more than 1000) nodes an arm would settle it\.$", found.answer)


def test_answer_of_one_device_over_nodes(measured, tmp_path):
    """Where the nodes have a CPU only, the answer is its speed over the nodes, and no node is compared with another."""
    records = reading.load(*measured(equal(3), workloads=FEW, base=WITHOUT_GPU))
    found = page.write(records, tmp_path / "report")
    assert re.fullmatch(
        r"Training, fed from memory: cpu over 3 nodes \(AMD EPYC, 2 cores\) does 1,\d{3}\simages/s "
        r"\(95 % interval 1,\d{3} to 1,\d{3}, 3 nodes\); no GPU was measured: no NVIDIA driver on this node\.",
        found.answer,
    )
    assert found.comparisons == found.refused == ()
    assert "| workload | cpu@node1 (AMD" in found.markdown.read_text()


def test_gpu_of_one_node_among_several(measured, tmp_path):
    """One node's GPU is compared with its own CPU, whatever the other nodes are."""
    measured(equal(3), workloads=FEW)
    records = reading.load(tmp_path / "node1", tmp_path / "node3", *measured({"node2": 20}, arm="gpu", workloads=FEW))
    found = page.write(records, tmp_path / "report")
    assert [(each.baseline, each.candidate) for each in found.comparisons] == [("cpu@node2", "gpu")]
    assert "gpu (NVIDIA H100) is 2" in found.answer


def test_before_and_after_on_the_same_nodes(write, tmp_path):
    """A node is compared with itself before and its devices within each campaign, never with another node."""
    for day, job in enumerate(("before", "after"), start=1):
        for node in ("node1", "node2"):
            environment = ENVIRONMENT | {"node": {"hostname": node}}
            for arm, run in (("cpu", 1), ("cpu", 2), ("gpu", 1), ("gpu", 2)):
                same = {"campaign": node, "environment": environment, "day": day, "workloads": FEW}
                same |= {"seed": int(node[-1])}
                write(tmp_path / job / node, arm, run, **same)
    records = reading.load(*sorted(tmp_path.glob("*/*")))
    found = page.write(records, tmp_path / "report")
    pairs = {(each.baseline, each.candidate) for each in found.comparisons}
    assert ("cpu@before/node2", "cpu@after/node2") in pairs
    assert all(one.rpartition("/")[2] == other.rpartition("/")[2] for one, other in pairs if "over" not in one)


def test_named_baseline_stays_everybodys(measured, tmp_path):
    """Who names a baseline gets each other arm beside it."""
    found = page.write(both(measured, equal(2)), tmp_path / "report", baseline="cpu@node1")
    assert [each.candidate for each in found.comparisons] == ["cpu@node2", "gpu@node1", "gpu@node2"]


def test_a_broken_measurement_is_no_node_that_is_off(measured, tmp_path):
    """What cannot be true is left out of the nodes, too."""
    limit, work = "peak[what=matmul,type=float32]", "forward[batch=1,input=host]"
    extra = {"needs": {limit: 20_000_000}, "flop": 24_000_000}
    folders = measured(equal(4), workloads={work: (1, 1.0), limit: (None, 1.0)}, extra=extra)
    folders += measured({"odd": 1.0}, workloads={work: (1, 0.3), limit: (None, 1.0)}, extra=extra)
    records = reading.load(*folders)
    assert "odd" in nodes.sentences(nodes.spreads(records))[0]
    found = page.write(records, tmp_path / "report")
    assert found.notes == ()
    assert any(entry.arm == "cpu@odd" and entry.failed for entry in found.left_out)


def test_a_node_that_is_off_hits_the_gate(measured, tmp_path, capsys):
    """No node is compared with another one; the gate is hit by one that is off by more than it lets go."""
    command = ["report", *map(str, measured(equal(7, slow=0.8), workloads=FEW)), "--out", str(tmp_path / "report")]
    assert cli.main([*command, "--fail-on", "slower:5%"]) == 1
    assert "slower:5% is hit: Training, fed from memory on cpu: slow, 0." in capsys.readouterr().out
    assert cli.main([*command, "--fail-on", "slower:50%"]) == 0
