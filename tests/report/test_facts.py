"""Facts of the environment: how the data and the devices are called."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest

from cifar.record.reading import load
from cifar.report import facts

from .pages import text

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Write  # type: ignore[import-not-found]


@pytest.mark.parametrize(
    ("environment", "fingerprint", "expected"),
    [
        (
            {"dataset": {"synthetic": False, "digest": "ab" * 32}},
            {},
            "Dataset: data that are not CIFAR-10 as published, digest abababababab.",
        ),
        ({}, {}, "Dataset: not named."),
        ({}, {"dataset": "cd" * 32}, "Dataset: not named, digest cdcdcdcdcdcd."),
    ],
)
def test_dataset_is_named_as_far_as_known(report: Any, environment: object, fingerprint: object, expected: str) -> None:
    """CIFAR-10 itself is named; what the record does not name is not guessed."""
    assert expected in text(report({"cpu": {"environment": environment, "fingerprint": fingerprint}}, runs=(1,)))


@pytest.mark.parametrize(
    ("cpus", "expected"), [(1, "1 core)"), (2.5, "2.5 cores)"), ("many", "EPYC)"), (None, "EPYC)")]
)
def test_cores_are_counted_in_words(report: Any, cpus: object, expected: str) -> None:
    """One core, parts of cores, and none where the record does not say."""
    environment = {"node": {"cpu_model": "AMD EPYC", "cpus": cpus}}
    assert (
        f"cpu (AMD EPYC{', ' if cpus in (1, 2.5) else ''}{expected.removeprefix('EPYC')} does"
        in report({"cpu": {"environment": environment}}, runs=(1,)).answer
    )


@pytest.mark.parametrize(
    ("on", "expected"),
    [(True, "64 hardware threads"), (False, "64 cores"), (None, "64 cores"), ({"unmeasurable": "x"}, "64 cores")],
)
def test_threads_of_one_core_are_not_called_cores(report: Any, on: object, expected: str) -> None:
    """Where hyperthreading is on, what was allotted is hardware threads; where it is off or not known, cores."""
    environment = {"node": {"cpu_model": "AMD EPYC", "cpus": 64, "hyperthreading": on}}
    assert f"cpu (AMD EPYC, {expected}) does" in report({"cpu": {"environment": environment}}, runs=(1,)).answer


def test_device_without_a_name_is_called_by_its_arm(report: Any) -> None:
    """An environment without facts leaves the arms' names."""
    assert "gpu is" in report({"cpu": {"environment": {}}, "gpu": {"environment": {}, "faster": 20}}).answer


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"synthetic": False, "digest": facts.PUBLISHED}, "Dataset: CIFAR-10, digest c212c2c6de88."),
        (
            {"synthetic": False, "digest": "ab" * 32},
            "Dataset: data that are not CIFAR-10 as published, digest abababababab.",
        ),
        (
            {"synthetic": True, "digest": "5f" * 32},
            "Dataset: a made-up stand-in for CIFAR-10, digest 5f5f5f5f5f5f.",
        ),
        ({}, "Dataset: not named."),
    ],
)
def test_dataset_is_known_by_its_digest(write: Write, tmp_path: Path, said: object, expected: str) -> None:
    """CIFAR-10 is what has the digest of CIFAR-10, whatever the record calls it."""
    environment = {"dataset": said} if said else {}
    assert facts.dataset(load(write(tmp_path, environment=environment, fingerprint={}))) == expected


def test_digest_of_cifar_10_is_that_of_the_published_arrays() -> None:
    """The report's literal is what `cifar prepare` writes into the file of the published arrays."""
    from cifar.data import dataset, published

    lines = "".join(f"{name} {published.CIFAR_10.arrays[name]}\n" for name in dataset.ARRAYS)
    assert hashlib.sha256(lines.encode()).hexdigest() == facts.PUBLISHED
