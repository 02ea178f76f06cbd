"""A device's own counter tells the joules that it uses from now on; where there is none, the reason stands instead."""

from __future__ import annotations

import importlib
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cifar.node import gpus, kernel
from cifar.record.unmeasurable import Unmeasurable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import ModuleType


@dataclass
class Register:
    """A number that grows with the energy used: `read()` gives it, in units of `joules`.

    After `last` it begins at 0 again; None: never.
    """

    read: Callable[[], int]
    joules: float
    last: int | None = None
    before: int = field(init=False)

    def __post_init__(self) -> None:
        """Count from now on."""
        self.before = self.read()

    def used(self) -> float:
        """Joules since the last call, if the register has begun anew at most once."""
        now = self.read()
        ticks, self.before = now - self.before, now
        if ticks < 0 and self.last is not None:
            ticks += self.last + 1
        return ticks * self.joules


class Counter:
    """Counts what a device uses, which is `whose` energy, in words."""

    def __init__(self, whose: str, registers: list[Register]) -> None:
        """Count from now on."""
        self.whose = whose
        self._registers, self._total = registers, 0.0
        self._broken = False

    def joules(self) -> float | None:
        """Joules so far; None from the first time on that a register cannot be read.

        To be called more often than a register wraps around: at 250 W some do so in four minutes.
        """
        try:
            self._total += sum(register.used() for register in self._registers)
        except (OSError, ValueError):
            self._broken = True
        return None if self._broken else self._total


def counter(
    gpu: int | None,
    root: Path = kernel.ROOT,
    library: ModuleType | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Counter | Unmeasurable:
    """Return the counter of GPU number `gpu`, or of the processors where that is None; or why there is none.

    The processors' is Linux's powercap (RAPL, of Intel and AMD) below `root`, a GPU's NVIDIA's management library.
    """
    return _of_packages(root) if gpu is None else _of_gpu(gpu, library, environ)


def _of_packages(root: Path) -> Counter | Unmeasurable:
    """The processor packages, without their parts (cores, memory controllers) and without the whole platform."""
    zones = sorted((root / "sys/class/powercap").glob("intel-rapl:*"))
    zones = [zone for zone in zones if (kernel.read_text(zone / "name") or "").startswith("package")]
    if not zones:
        reason = "the kernel offers no energy counters of the processor (RAPL), as in most virtual machines"
        return Unmeasurable(reason)
    try:
        registers = [_package(zone) for zone in zones]
    except (OSError, ValueError) as error:
        remedy = "root can let all read energy_uj" if isinstance(error, OSError) else ""
        return Unmeasurable(f"the processor's energy counters cannot be read ({error})", remedy)
    return Counter(f"all of the node's {len(zones)} CPU packages, whoever used them; memory is not in it", registers)


def _package(zone: Path) -> Register:
    """A package's register, in microjoules."""

    def number(name: str) -> int:
        text = (zone / name).read_text(encoding="ascii")
        if not re.fullmatch(r"[0-9]{1,20}\s*", text):
            message = f"{zone / name} holds {text[:30]!r}, which is no number of microjoules"
            raise ValueError(message)
        return int(text)

    return Register(lambda: number("energy_uj"), 1e-6, number("max_energy_range_uj"))


def _of_gpu(gpu: int, library: ModuleType | None, environ: Mapping[str, str]) -> Counter | Unmeasurable:
    """The GPU's board; the library stays open as long as the process lives."""
    try:
        nvml = library or importlib.import_module("pynvml")
    except ImportError as error:
        return Unmeasurable(f"the package nvidia-ml-py cannot be used ({error})", "install the lock anew")

    def millijoules() -> int:
        try:
            return int(nvml.nvmlDeviceGetTotalEnergyConsumption(handle))
        except nvml.NVMLError as error:
            raise OSError(str(error)) from error

    try:
        nvml.nvmlInit()
        handle = gpus.finders(nvml, environ.get("CUDA_VISIBLE_DEVICES"))[gpu]()
        register = Register(millijoules, 1e-3)
    except (nvml.NVMLError, OSError, IndexError) as error:
        return Unmeasurable(f"NVIDIA's management library does not tell the GPU's energy ({error})")
    return Counter("the whole GPU board, whoever used it; the host is not in it", [register])
