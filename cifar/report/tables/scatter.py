"""Scatter: how workloads scatter over nodes goes in; a table for each arm of several nodes comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cifar.report import nodes
from cifar.report.tables.table import table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cifar.report.nodes import Spread
    from cifar.report.tables.table import Table


def tabulate(spreads: Sequence[Spread]) -> Iterator[Table]:
    """Yield a table of how workloads scatter over nodes and runs for each arm that several nodes measured."""
    groups: dict[tuple[str, tuple[str, ...]], list[Spread]] = {}
    for spread in spreads:
        groups.setdefault((spread.arm, spread.nodes), []).append(spread)
    for (arm, names), group in groups.items():
        text = f"{', '.join(names)}. {nodes.MEANING}"
        yield table(f"Nodes: {arm}", text, "workload", nodes.HEADER, [nodes.row(spread) for spread in group])
