"""A finding is what one check found; a node is what is examined."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from cifar.node import kernel
from cifar.record.text import plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from cifar.record.unmeasurable import Unmeasurable

Status = Literal["pass", "unknown", "warn", "fail"]
SEVERITY: tuple[Status, ...] = ("pass", "unknown", "warn", "fail")


@dataclass(frozen=True)
class Finding:
    """What one check found: in words, with the remedy where something is wrong."""

    check: str
    status: Status
    said: str
    remedy: str = ""

    def __post_init__(self) -> None:
        """Keep each text fit for a line of a terminal: it may name a folder, or quote what a program printed."""
        for name in ("said", "remedy"):
            one_line = " ".join(getattr(self, name).splitlines())
            object.__setattr__(self, name, plain(one_line))

    @property
    def line(self) -> str:
        """The finding as one line."""
        line = f"{self.status:7}  {self.check:18}  {self.said}"
        return f"{line} -> {self.remedy}" if self.remedy else line


def unknown(check: str, fact: Unmeasurable) -> Finding:
    """Return the finding of a check whose fact cannot be had."""
    return Finding(check, "unknown", fact.reason, fact.remedy)


@dataclass(frozen=True)
class Node:
    """What is examined; tests stage one."""

    folders: Mapping[str, Path | None]
    """What is written, and where: `results`, `data`; None: where it is kept if nobody says otherwise."""
    device: str | None = None
    """cpu or gpu where only one of them matters; a GPU that is asked for and missing is a failure."""
    root: Path = kernel.ROOT
    """The folder that /proc, /sys and /dev are read from."""
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    path: Sequence[str] = tuple(sys.path)
    """Where Python finds packages."""
    deadline_seconds: float = 300.0
    """How long TensorFlow may take for one product."""


GIB = 1 << 30
"""Bytes of a GiB."""


def some(names: Sequence[str], shown: int = 5) -> str:
    """Return the first names, and how many more there are."""
    text = ", ".join(names[:shown])
    return f"{text} and {len(names) - shown} more" if len(names) > shown else text
