"""Planned: the runs that a campaign was to measure and has no record of."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from cifar.record import archive
from cifar.record.plan import planned_runs
from cifar.report.arms import by_arm
from cifar.report.comparison import LeftOut

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

    from cifar.record.model import Record


def missing(records: Sequence[Record], sources: Iterable[str | os.PathLike[str]]) -> list[LeftOut]:
    """Return what the campaigns' folders among `sources` planned and `records`, which stand there, do not hold.

    Files are passed over: who names some runs of a campaign wants no others.
    """
    names = {(run.path.parent, run.arm): name for name, runs in by_arm(records).items() for run in runs}
    measured = {(record.path.parent, record.arm, record.run) for record in records}
    left_out = []
    for folder in dict.fromkeys(map(Path, sources)):
        for arm, runs in planned_runs(folder).items():
            count = sum((folder, arm, run) not in measured for run in range(1, runs + 1))
            if count:
                left_out.append(LeftOut("", names.get((folder, arm), arm), _reason(folder, count, runs)))
    return left_out


def _reason(folder: Path, count: int, runs: int) -> str:
    """Why so many of the planned runs are not there, and what measures them."""
    which = f"{count} of {runs} planned runs ha{'s' if count == 1 else 've'} no record"
    if archive.split(folder):
        return f"{which} in the archive"
    return f"{which}: `cifar bench --resume --out {shlex.quote(str(folder))}` measures what is missing"
