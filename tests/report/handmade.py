"""Records made by hand: as many runs of an arm as it takes, with the rounds that a test names."""

from __future__ import annotations

from pathlib import Path

from cifar.record.model import Record, Result
from cifar.report.arms import Arm, by_arm


def made(
    arm: str, times: list[list[float]], *, images: int | None = 100, workload: str = "w", **changes: object
) -> list[Record]:
    """Records of an arm, one for each list of rounds."""
    memory = {"host_peak_bytes": None, "device_peak_bytes": None, "meaning": ""}
    template = {"device": arm, "campaign": "c", "complete": True, "started": "", "fingerprint": {}, "environment": {}}
    return [
        Record(
            path=Path(f"{arm}-{run}.json"),
            arm=arm,
            run=run,
            failures=(),
            results=(Result(workload, images, tuple(rounds), None, None, memory, {}, ("ok",)),),
            **(template | changes),  # type: ignore[arg-type]
        )
        for run, rounds in enumerate(times, start=1)
    ]


def grouped(records: list[Record]) -> dict[str, Arm]:
    """The arms of records as they are, whatever is too good to be true in them."""
    return {name: Arm(name, runs) for name, runs in by_arm(records).items()}
