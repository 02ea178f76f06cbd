"""Model: what one run measured, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import median
from typing import TYPE_CHECKING, Any

from cifar.record.consistency import moment
from cifar.record.names import parameters

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Result:
    """What one run measured of one workload; `seconds` are its rounds in order, `images` those of one round."""

    workload: str
    images: int | None
    seconds: tuple[float, ...]
    warmup_seconds: float | None
    flop: int | None
    memory: Mapping[str, Any]
    work: Mapping[str, str]
    checks: tuple[str, ...]
    calls: int | None = None
    """Calls of the workload in one round, where the record says so; the warm-up is one call."""
    step_seconds: tuple[float, ...] = ()
    """Of each round, the seconds inside its training steps, where the record says so.

    What a round spends outside them comes once an epoch, and `seconds` holds as much of it as the round is a part of
    an epoch: a few steps are not charged with all of it.
    """
    accuracy: float | None = None
    """On the validation set after an epoch, where the workload trained one."""
    epoch_seconds: float | None = None
    """Of that epoch, without compilation."""
    epoch_outside: float | None = None
    """Of these seconds those that no training step took, where the record says so."""
    bytes: int | None = None
    """Bytes that one round reads and writes, where that is what is measured."""
    needs: Mapping[str, int] = field(default_factory=dict)
    """Of each limit's workload, such as `peak[what=matmul,dtype=float32]`, how much one round uses up."""
    median: float = field(init=False)
    """Seconds of the median round."""

    def __post_init__(self) -> None:
        """Find the median round once: everything asks for it."""
        object.__setattr__(self, "median", median(self.seconds))

    @property
    def family(self) -> str:
        """The part of the workload's name before its parameters: `forward` of `forward[batch=250]`."""
        return self.workload.partition("[")[0]

    @property
    def params(self) -> dict[str, str]:
        """The parameters in the workload's name, as text: `{"batch": "250"}` of `forward[batch=250]`."""
        return parameters(self.workload)

    @property
    def outside_steps(self) -> float | None:
        """Part of an epoch's seconds that is no training step; None where the record does not say."""
        return 1 - median(self.step_seconds) / self.median if self.step_seconds else None

    @property
    def unit(self) -> str:
        """What is measured: images/s; where no images are processed B/s, then FLOP/s; else s."""
        amounts = {"images/s": self.images, "B/s": self.bytes, "FLOP/s": self.flop}
        return next((unit for unit, amount in amounts.items() if amount), "s")

    @property
    def amount(self) -> int:
        """Images, bytes or floating-point operations of one round; its calls where their seconds are the result."""
        return self.images or self.bytes or self.flop or self.calls or 1

    @property
    def value(self) -> float:
        """The speed of the median round, which is compared (larger is faster), in `unit`; 1/s for seconds."""
        return self.amount / self.median


@dataclass(frozen=True, slots=True)
class Record:
    """One run: one process that measured one arm."""

    path: Path
    arm: str
    device: str
    run: int
    campaign: str
    complete: bool
    started: str
    fingerprint: Mapping[str, str | int | float | bool | None]
    environment: Mapping[str, Any]
    failures: tuple[Mapping[str, Any], ...]
    """Each with its workload, its reason and, where the record says so, whether it was skipped."""
    results: tuple[Result, ...]

    @property
    def began(self) -> datetime:
        """When it started, which sorts rightly whatever the offset; before all others where the record is made up."""
        return moment(self.started) if self.started else datetime.min.replace(tzinfo=UTC)
