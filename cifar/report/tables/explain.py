"""Explain: the arms go in; the tables that explain their speeds come out, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cifar.report.tables import costs, growths, ladders, peers, scatter, shares, waits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cifar.report.arms import Arms
    from cifar.report.nodes import Spread
    from cifar.report.tables.table import Table


def explain(arms: Arms, spreads: Sequence[Spread] = ()) -> list[Table]:
    """Return the tables (title, text, first: heading of the first column, arms, rows) that have something to say.

    Arms that several nodes measured stand in them as one, but for limits, which are a node's. `spreads` say how the
    nodes scatter.
    """
    by_node = arms.by_node
    tables = [
        *ladders.tabulate(by_node),
        peers.tabulate(by_node),
        waits.tabulate(by_node),
        shares.tabulate(arms.each),
        costs.tabulate(by_node),
        growths.tabulate(by_node),
        *scatter.tabulate(spreads),
    ]
    return [table for table in tables if table["rows"]]
