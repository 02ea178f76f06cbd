"""Records made by hand: as many runs of an arm as it takes, with the rounds that a test names."""

from __future__ import annotations

from pathlib import Path

from cifar.record.model import Record, Result


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
