"""The model of a record: what a result says of itself."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from cifar.record import reading

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Write  # type: ignore[import-not-found]


def test_result_turns_seconds_into_rates(write: Write, tmp_path: Path) -> None:
    """Images over the median round is the rate; without images the rate is seconds, and the speed their inverse."""
    found = {result.workload: result for result in reading.read(write(tmp_path)).results}
    forward = found["forward[batch=250,input=host]"]
    assert (forward.unit, forward.value) == ("images/s", 250 / statistics.median(forward.seconds))
    startup = found["startup[stage=import]"]
    assert (startup.unit, startup.median) == ("s", statistics.median(startup.seconds))
    assert startup.value == 1 / startup.median


def test_result_knows_its_family_and_parameters(write: Write, tmp_path: Path) -> None:
    """The workload's name holds its family and its parameters."""
    found = reading.read(write(tmp_path, workloads={"forward[batch=1,input=host]": (1, 1.0), "plain": (None, 1.0)}))
    assert [result.family for result in found.results] == ["forward", "plain"]
    assert [result.params for result in found.results] == [{"batch": "1", "input": "host"}, {}]
