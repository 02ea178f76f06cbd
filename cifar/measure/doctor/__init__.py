"""The doctor examines this node: each check ends in a finding that says what is wrong, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cifar.measure.doctor import gpu, host, software, trial
from cifar.measure.doctor.finding import SEVERITY, Finding, Node, Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["SEVERITY", "Finding", "Node", "Status", "examine", "glance", "worst"]


def examine(node: Node) -> Iterator[Finding]:
    """Yield the finding of each check as soon as it is made; what executes TensorFlow comes last."""
    yield from glance(node)
    library_works = True
    for finding in software.imported(node.environ, node.deadline_seconds):
        yield finding
        if finding.said.startswith("pynvml cannot"):
            library_works = False
    if node.device != "gpu":
        yield trial.product(node, "cpu")
    if node.device != "cpu":
        yield from gpu.examine(node, library_works=library_works)


def glance(node: Node) -> Iterator[Finding]:
    """Yield the findings that take no process of their own, in less than a second."""
    yield from software.image(node)
    yield software.locked()
    yield software.foreign(node)
    yield from software.keras_settings(node)
    yield host.processors(node)
    yield host.memory(node)
    yield host.shared_memory(node)
    for name, folder in node.folders.items():
        yield host.folder(node, name, folder)
    yield host.clock(node)
    yield host.load(node)


def worst(findings: Sequence[Finding]) -> Status:
    """Return the worst status among the findings."""
    return max((finding.status for finding in findings), key=SEVERITY.index, default="pass")
