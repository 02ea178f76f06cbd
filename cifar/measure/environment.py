"""Everything that should be known about a measuring process, to repeat its results and to compare them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from cifar.measure import source
from cifar.node import allotment, computer, container, gpus, packages
from cifar.record.unmeasurable import Unmeasurable, as_json

if TYPE_CHECKING:
    from cifar.backend.device import Device

Facts = dict[str, Any]
"""Names to values: str, int, float, bool, lists, Facts, and `Unmeasurable` for what cannot be had."""

SCHEMA = 1


class Described(Protocol):
    """What `collect` wants to know about the data."""

    @property
    def digest(self) -> str:
        """SHA-256 that names the data."""

    @property
    def source(self) -> str:
        """Where the data comes from."""

    @property
    def synthetic(self) -> bool:
        """Whether it is made up."""


def collect(device: Device, dataset: Described | None = None) -> Facts:
    """Return everything that should be known about this process, nested by subject, ready for JSON.

    Call it in the measuring process once `device` is claimed: it imports TensorFlow and Keras. A fact that
    cannot be had is {"unmeasurable": reason}, with its "remedy" where there is one, never missing, 0 or null.  There
    are no names of users and no secrets.  What is no text, such as a folder's name in Latin-1, is written out.
    """
    from cifar.backend import tensorflow

    facts = {
        "schema": SCHEMA,
        "device": {
            "name": device.name,
            "kind": device.kind,
            "threads": device.threads,
            "gpu": device.model or Unmeasurable(f"the device is {device.name}"),
        },
        "node": computer.describe(),
        "load": computer.load_now(),
        **gpus.nvidia(device.kind),
        "software": tensorflow.software(),
        "variables": packages.variables(),
        "container": container.container(),
        "source": source.describe(),
        "batch": allotment.batch(),
        "dataset": {
            "digest": dataset.digest,
            "source": packages.without_user(dataset.source),
            "synthetic": dataset.synthetic,
        }
        if dataset
        else Unmeasurable("no dataset was named"),
    }
    written: Facts = as_json(facts)
    return written
