"""Results as CSV: the arms go in; a line for each workload, arm and run comes out."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from cifar.report import escape

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cifar.record.model import Record, Result
    from cifar.report.arms import Arms

COLUMNS = (
    "workload",
    "family",
    "arm",
    "device",
    "campaign",
    "run",
    "complete",
    "rounds",
    "calls_per_round",
    "images_per_round",
    "median_seconds_per_round",
    "images_per_second",
    "warmup_seconds",
    "flop_per_round",
    "bytes_per_round",
    "host_peak_bytes",
    "device_peak_bytes",
)


def text(arms: Arms) -> str:
    """Return results.csv: a heading, then a line for each workload, arm and run, in SI units."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")  # in less than half of the time that pandas takes
    writer.writerow(COLUMNS)
    writer.writerows(rows(arms))
    return table.getvalue()


def rows(arms: Arms) -> Iterator[tuple[Any, ...]]:
    """Yield the rows, as `COLUMNS` names them."""
    for arm in arms.each.values():
        for record in arm.records:
            for result in record.results:
                yield _row(arm.name, record, result)


def _row(arm: str, record: Record, result: Result) -> tuple[Any, ...]:
    """One result of one run."""
    names = (result.workload, result.family, arm, record.device, record.campaign)
    return (
        *map(escape.spreadsheet, names),
        record.run,
        record.complete,
        len(result.seconds),
        result.calls,
        result.images,
        result.median,
        result.value if result.images else None,
        result.warmup_seconds,
        result.flop,
        result.bytes,
        result.memory["host_peak_bytes"],
        result.memory["device_peak_bytes"],
    )
