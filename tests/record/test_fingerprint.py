"""The fingerprint: what it is made of, and where a record's own environment says otherwise."""

from __future__ import annotations

import pytest

from cifar.record.fingerprint import contradictions, fingerprint

ENVIRONMENT = {
    "schema": 1,
    "software": {"tensorflow": "2.21.0", "tf32": True, "cuda_build": {"unmeasurable": "none"}},
    "node": {"cpus": 2},
    "gpus": [{"name": "NVIDIA H100"}, {"name": "NVIDIA H100"}],
    "container": {"kind": "docker", "digest": {"unmeasurable": "unknown"}},
}


def test_fingerprint_is_flat():
    """Facts that are there, None for those that are not; an image without a name is another than none."""
    found = fingerprint(ENVIRONMENT)
    assert (found["tensorflow"], found["tf32"], found["cuda_build"], found["cpus"]) == ("2.21.0", True, None, 2)
    assert (found["gpu"], found["image"], found["keras"]) == ("NVIDIA H100", "unknown", None)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({}, {}),
        ({"tensorflow": "2.20.0"}, {"tensorflow": "2.21.0"}),
        ({"tf32": 1}, {"tf32": True}),
        ({"cpus": 2.0}, {}),
        ({"cuda_build": "12.5"}, {"cuda_build": None}),
        ({"keras": "3.0"}, {"keras": None}),
        ({"gpu": None}, {"gpu": "NVIDIA H100"}),
        ({"dataset": "ab" * 32, "something": 1}, {}),
        ({"image": None}, {}),
        ({"image": "sha256:1"}, {"image": "unknown"}),
    ],
)
def test_contradictions(written, expected):
    """A field is compared with its place in the environment, if that has the subject at all."""
    assert contradictions(fingerprint(ENVIRONMENT) | written, ENVIRONMENT) == expected


def test_field_that_is_missing_says_none():
    """A fingerprint without what the environment tells is none of that environment; without what nobody tells it is."""
    told = {"schema": 1, "tensorflow": "2.21.0", "tf32": True, "cpus": 2, "gpu": "NVIDIA H100"}
    assert contradictions({}, ENVIRONMENT) == told
    assert contradictions(told, ENVIRONMENT) == {}
