"""A small dataset that many tests read."""

from __future__ import annotations

import pytest

from cifar.workload import dataset


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """A stand-in of 1,003 training and 250 validation images, in our layout."""
    return dataset.prepare_synthetic(tmp_path_factory.mktemp("data") / "small.h5", train=1_003, valid=250)
