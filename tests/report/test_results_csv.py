"""Results as CSV: what a spreadsheet finds in them."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from .handmade import WORKLOADS


def test_csv_is_tidy(report: Any) -> None:
    """One row for each workload, arm and run, with the numbers of the records."""
    found = report({"cpu": {}, "gpu": {"faster": 20}})
    frame = pd.read_csv(found.csv)
    assert len(frame) == len(WORKLOADS) * 2 * 3
    assert not frame.duplicated(["workload", "arm", "run"]).any()
    seconds = frame[frame["workload"] == "startup[stage=import]"]
    assert seconds["images_per_second"].isna().all()
    rates = frame[frame["workload"] == "training[feed=memory]"]
    assert (rates["images_per_second"] * rates["median_seconds_per_round"]).to_numpy() == pytest.approx([5000] * 6)
