"""The evidence that is kept: every number and verdict that the docs rest on comes out as it always did."""

from __future__ import annotations

import hashlib
import json
from itertools import combinations
from pathlib import Path

import pytest

from cifar.record import reading
from cifar.report.arms import Arm, by_arm
from cifar.report.compare import compare_arms
from cifar.report.comparison import estimate

EXPECTED = Path(__file__).with_name("evidence.json")
"""What came out of each campaign: write it anew, by running this file, only where a change of numbers is meant."""


def campaigns(root):
    """The archives of the campaigns that are kept."""
    return sorted((root / "benchmarks" / "evidence").rglob("*.zip"))


def numbers(archive):
    """Each arm's speeds and each pair of arms' verdicts, seven digits of every number."""
    arms = {name: Arm(name, runs) for name, runs in by_arm(reading.load(archive)).items()}
    return {
        "speeds": {name: speeds(arm) for name, arm in arms.items()},
        "verdicts": {f"{new} against {old}": verdicts(arms[old], arms[new]) for old, new in combinations(arms, 2)},
    }


def speeds(arm):
    """By workload: the speed, its interval, the unit and the number of runs."""
    estimates = {workload: estimate(results) for workload, results in arm.results.items()}
    return {
        workload: " ".join([digits(found.value, *(found.interval or ())), found.unit, str(found.runs)])
        for workload, found in estimates.items()
    }


def verdicts(baseline, candidate):
    """By workload: the ratio, its interval, the adjusted p, the runs that would settle it, and the verdict."""
    found = compare_arms(baseline, candidate, allow=("workload",))
    return {
        pair.workload: " ".join(
            [digits(pair.ratio, *(pair.interval or ()), pair.p_adjusted), str(pair.runs_needed), pair.verdict]
        )
        for pair in found.pairs
    }


def digits(*values):
    """Seven digits of each number."""
    return " ".join("none" if value is None else f"{value:.7g}" for value in values)


@pytest.mark.parametrize("name", json.loads(EXPECTED.read_text(encoding="utf-8")))
def test_numbers_stay(name, pytestconfig):
    """A campaign's speeds, intervals and verdicts are what they were when it was measured."""
    expected = json.loads(EXPECTED.read_text(encoding="utf-8"))
    assert numbers(pytestconfig.rootpath / "benchmarks" / "evidence" / name) == expected[name]


def test_every_campaign_is_held(pytestconfig):
    """No campaign of the evidence is left out; each archive is the one that the list beside them names."""
    evidence = pytestconfig.rootpath / "benchmarks" / "evidence"
    kept = {path.relative_to(evidence).as_posix(): path for path in campaigns(pytestconfig.rootpath)}
    entries = json.loads((evidence / "evidence.json").read_text(encoding="utf-8"))
    assert set(kept) == set(entries) == set(json.loads(EXPECTED.read_text(encoding="utf-8")))
    for name, path in kept.items():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == entries[name]["sha256"], name
        records = reading.load(path)
        assert (len(records), records[0].arm in entries[name]["arms"]) == (entries[name]["records"], True)
        assert records[0].environment["source"]["commit"] == entries[name]["commit"]


if __name__ == "__main__":
    top = Path(__file__).parents[2]
    whole = {path.relative_to(top / "benchmarks" / "evidence").as_posix(): numbers(path) for path in campaigns(top)}
    EXPECTED.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
