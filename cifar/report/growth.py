"""Growth: an arm goes in; curves of time and memory against size come out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from cifar.record.names import parameters, size
from cifar.report.comparison import estimate

if TYPE_CHECKING:
    from cifar.record.model import Result
    from cifar.report.arms import Arm

LINEAR = 1.1
"""Where time grows at its end by a greater power of the size, it grows faster than linear; noise gives up to this."""

TITLES = {
    "growth_images": ("images", "An epoch of our generator against the images in the file"),
    "growth_cold": ("images", "A pass through a file that is not in the page cache"),
    "growth_batch": ("batch", "A training step against the batch size"),
    "growth_runs": ("runs", "The report against the runs in the folder"),
}
"""Of each family its parameter that grows, and the title of its curve."""


@dataclass(frozen=True, slots=True)
class Curve:
    """What one thing costs at each size, smallest first: seconds, and peaks of the host's memory in bytes if known."""

    sizes: tuple[int, ...]
    seconds: tuple[float, ...]
    peaks: tuple[int, ...]

    @property
    def exponent(self) -> float:
        """The power of the size by which time grows between the two largest sizes."""
        return math.log(self.seconds[-1] / self.seconds[-2]) / math.log(self.sizes[-1] / self.sizes[-2])


def curves(arm: Arm) -> dict[str, Curve]:
    """Return an arm's curves of at least two sizes under their titles, means over the runs."""
    measured: dict[str, dict[int, list[Result]]] = {}
    for workload, results in arm.results.items():
        if results[0].family in TITLES:
            axis, title = TITLES[results[0].family]
            rest = parameters(workload)
            number = size(rest.pop(axis, None))
            if number is None:
                continue  # somebody's own workload, which has no size
            name = ", ".join([title, *(f"{key} {value}" for key, value in rest.items())])
            measured.setdefault(name, {}).setdefault(number, []).extend(results)
    return {name: _curve(dict(sorted(sizes.items()))) for name, sizes in measured.items() if len(sizes) > 1}


def _curve(sizes: dict[int, list[Result]]) -> Curve:
    """A curve from the results at each size."""
    seconds, peaks = [], []
    for number, results in sizes.items():
        speed = estimate(results).value
        seconds.append(number / speed if results[0].images else 1 / speed)
        peaks.append([result.memory["host_peak_bytes"] for result in results])
    if any(peak is None for at_size in peaks for peak in at_size):
        return Curve(tuple(sizes), tuple(seconds), ())
    return Curve(tuple(sizes), tuple(seconds), tuple(round(median(at_size)) for at_size in peaks))
