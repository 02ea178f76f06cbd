"""Feeds: an arm goes in; how long a network that is fed by a generator waits for it comes out."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cifar.record.model import Result
    from cifar.report.arms import Arm

FEEDS = {
    "training": {
        "the lesson's generator": (
            "generator[by=lesson,batch=250]",
            "training[feed=memory,by=keras]",
            "training[by=lesson]",
        ),
        "an aligned layout": (
            "generator[by=aligned,batch=250]",
            "training[feed=memory,by=keras]",
            "training[by=aligned]",
        ),
        "our generator and step": ("generator[by=ours,batch=250]", "training[feed=memory]", "training[feed=generator]"),
    },
    "prediction": {
        "the lesson's generator": (
            "generator[by=lesson,batch=250]",
            "forward[batch=250,input=host]",
            "prediction[feed=lesson]",
        ),
        "our generator": (
            "generator[by=ours,batch=250]",
            "forward[batch=250,input=host]",
            "prediction[feed=generator]",
        ),
    },
}
"""What is fed, and by what: the generator alone, the network alone, and both; Keras's epochs within their steps.

The first of each is the lesson's way.
"""


@dataclass(frozen=True, slots=True)
class Feed:
    """Seconds an image of a generator alone, of the network alone, and of the network fed by the generator."""

    generator: float
    network: float
    fed: float
    overlaps: bool
    """Whether the network computes on a device of its own, so that the generator can work meanwhile."""

    @property
    def predicted(self) -> float:
        """Seconds an image of the network fed by the generator, from the two parts alone."""
        return max(self.generator, self.network) if self.overlaps else self.generator + self.network

    @property
    def error(self) -> float:
        """How far the predicted speed is above the measured one, as a part of it."""
        return self.fed / self.predicted - 1

    @property
    def waits(self) -> float:
        """Part of the time in which the fed network does not compute, for it waits for data; 0 at the least."""
        return max(0.0, 1 - self.network / self.fed)


def feeds(arm: Arm, work: str) -> dict[str, Feed]:
    """Return what each generator does to `work` on one arm, medians over its runs; without those not measured."""
    measured = {}
    for name, workloads in FEEDS[work].items():
        generator, network, fed = (_seconds_an_image(arm.results.get(workload, ())) for workload in workloads)
        if generator and network and fed:
            measured[name] = Feed(generator, network, fed, overlaps=arm.device != "cpu")
    return measured


def _seconds_an_image(results: Sequence[Result]) -> float:
    """Median over the runs, within the training steps where the record tells them apart; 0 where there is no result."""
    seconds = []
    for result in results:
        if result.images:
            whole = median(result.step_seconds) if result.step_seconds else result.median
            seconds.append(whole / result.images)
    return median(seconds) if seconds else 0.0
