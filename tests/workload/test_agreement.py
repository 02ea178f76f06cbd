"""Agreement: tolerances hold what rounding moves, and not more."""

from __future__ import annotations

import numpy as np
import pytest

from cifar.workload import agreement, model
from cifar.workload.generator import DataGenerator


@pytest.fixture(scope="module")
def task(small):
    """Initial weights and a batch of ten images."""
    return (model.build(0).get_weights(), *DataGenerator(small, batch_size=10)[0])


@pytest.fixture(scope="module")
def sides(task):
    """What the CPU computes in each precision that it has."""
    return {precision: agreement.compute(*task, precision) for precision in ("float64", "float32", "bfloat16")}


@pytest.fixture(scope="module")
def exact(task):
    """The same network written down anew, in float64, without errors."""
    return agreement.noisy(*task, agreement.Precision("float64", 0.0, 0.0), seed=0)


def units(one, other, tolerances):
    """Every distance in units of its tolerance."""
    return [distance / tolerances[name] for name, distance in agreement.distances(one, other).items()]


@pytest.mark.parametrize("precision", ["float64", "float32", "bfloat16"])
def test_rounding_is_within_tolerance(task, sides, exact, precision):
    """Each precision agrees with another implementation in float64; no tolerance is a thousandfold too large."""
    found = units(sides[precision], exact, agreement.tolerances(*task, (precision,)))
    assert len(found) == 16
    assert 1e-3 < max(found) < 1


def test_lower_precision_is_told_apart(task, sides):
    """What bfloat16 computes is no float32, and what float32 computes is no float64: each is beyond the tolerance."""
    for lower, claimed in (("bfloat16", "float32"), ("float32", "float64")):
        tolerances = agreement.tolerances(*task, (claimed, claimed))
        assert max(units(sides[lower], sides[claimed], tolerances)) > 100


def test_tf32_is_told_apart(task, exact):
    """Operands rounded as TF32 rounds them are within the tolerance of TF32, and far beyond that of float32."""
    rounded = agreement.noisy(*task, agreement.PRECISIONS["tf32"], seed=77)
    assert max(units(rounded, exact, agreement.tolerances(*task, ("tf32",)))) < 1
    assert max(units(rounded, exact, agreement.tolerances(*task, ("float32",)))) > 30


def test_a_wrong_weight_is_beyond_tolerance(task, sides):
    """One weight of 787,530 that is off by a hundredth of its kernel's largest is found."""
    weights, images, labels = task
    changed = [part.copy() for part in weights]
    changed[0][1, 1, 0, 0] += 1e-2 * np.abs(weights[0]).max()
    found = agreement.compute(changed, images, labels, "float32")
    assert max(units(found, sides["float32"], agreement.tolerances(*task, ("float32", "float32")))) > 1


def test_other_arrays_are_refused(sides):
    """Sides of other shapes are not compared."""
    with pytest.raises(ValueError, match="other names or shapes"):
        agreement.distances(sides["float32"], {**sides["float64"], "outputs": np.zeros(3)})
