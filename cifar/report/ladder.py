"""Ladder: an arm goes in; the rungs from the lesson's way to the fastest come out, with what each one buys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cifar.report.comparison import estimate, within

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cifar.report.arms import Arm
    from cifar.report.comparison import Estimate

LESS = 0.06
"""A rung whose accuracy is this much below the first one's learns less; rounding alone moves it by up to 0.05."""

RUNGS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "generator": {
        "lesson": ("as taught", "gzip in chunks that cut images to pieces: each batch inflates 192 of them"),
        "kept-open": ("handle kept, chunk cache", "what one batch inflates serves the next 24"),
        "aligned": ("a chunk a batch", "a batch inflates its own images and nothing else"),
        "uncompressed": ("no gzip", "photographs hardly shrink, and inflating them takes longer than anything else"),
        "contiguous": ("no chunks", "one array, as it lies in memory: nothing to look up"),
        "mapped": ("file mapped", "the page cache is read in place, not copied first"),
        "shuffled": ("true shuffle", "what a fair training needs: images gathered from all over the file"),
        "reused": ("memory reused", "no page is new, and none has to be cleared by the kernel first"),
        "ahead": ("made ahead by threads", "NumPy lets other threads run while it gathers and scales"),
        "bytes": ("bytes, scaled later", "a quarter of the memory traffic; the device scales"),
        "tensors": ("as tensors", "what a training step takes; TensorFlow copies each array"),
    },
    "forward": {
        "lesson": ("predict", "builds a dataset around the images at every call"),
        "eager": ("layer by layer", "Python starts each operation"),
        "compiled": ("one graph", "one call starts them all"),
        "resident": ("input on the device", "nothing crosses to the device and back"),
        "bfloat16": ("bfloat16", "mixed precision: half the bytes, and matrix units where there are any"),
        "bfloat16-xla": ("bfloat16 with XLA", "operations are fused into kernels made for these shapes"),
        "xla": ("float32 with XLA", "XLA without bfloat16"),
    },
    "training": {
        "lesson": ("as taught", "fit on the lesson's generator, which reads the file twice more at the epoch's end"),
        "aligned": ("a chunk a batch", "the same calls, on a file whose chunks are the batches"),
        "fit": ("our generator", "fit no longer waits for data"),
        "compiled": ("own step", "nothing around it: no dataset, no callbacks, no reading of the loss"),
        "biases": ("gradients of biases apart", "oneDNN's code for the gradients of kernel and bias at once is slow"),
        "bytes": ("bytes to the device", "a quarter of what crosses to the device; the step scales"),
        "several": ("several steps a call", "one call's overhead for all of them"),
        "resident": ("data on the device", "the host sends positions only"),
        "bfloat16": ("bfloat16", "mixed precision: half the bytes, matrix units; weights still in float32"),
        "bfloat16-xla": ("bfloat16 with XLA", "operations are fused into kernels made for these shapes"),
        "xla": ("float32 with XLA", "XLA without bfloat16"),
    },
}
"""Title of each rung, and why it should be faster than the one before it."""


@dataclass(frozen=True, slots=True)
class Rung:
    """A rung on one arm: its speed and ratios within the runs, and what a whole epoch gave where one was trained."""

    title: str
    why: str
    speed: Estimate
    to_before: Estimate | None
    to_first: Estimate | None
    accuracy: float | None
    epoch_seconds: float | None
    epoch_outside: float | None
    """Of these seconds those that no training step took, where that is known."""
    learns_less: bool

    @property
    def pays(self) -> bool | None:
        """Whether it is faster than the rung before; None where that cannot be said, and for the first."""
        if self.to_before is None or self.to_before.interval is None:
            return None
        low, high = self.to_before.interval
        return True if low > 1 else False if high < 1 else None


def climb(arm: Arm, name: str) -> list[Rung]:
    """Return the rungs of the ladder `name` (generator, forward, training) that an arm measured, from the first on."""
    rungs: list[Rung] = []
    first = before = ""
    for rung, (title, why) in RUNGS[name].items():
        workload = f"ladder_{name}[rung={rung}]"
        results = arm.results.get(workload)
        if not results:
            continue
        whole = next((result for result in results if result.accuracy is not None), None)
        accuracy = whole.accuracy if whole else None
        reached = rungs[0].accuracy if rungs else None
        step = Rung(
            title,
            why,
            speed=estimate(results),
            to_before=within(arm, before, workload) if before else None,
            to_first=within(arm, first, workload) if first else None,
            accuracy=accuracy,
            epoch_seconds=whole.epoch_seconds if whole else None,
            epoch_outside=whole.epoch_outside if whole else None,
            learns_less=accuracy is not None and reached is not None and accuracy < reached - LESS,
        )
        rungs.append(step)
        first, before = first or workload, workload
    return rungs
