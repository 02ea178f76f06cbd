"""The fingerprint of a record: the facts of its environment that must be equal for two results to be comparable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    Fact = str | int | float | bool | None

PLACES = {
    "schema": ("schema",),
    "workload": ("source", "workload"),
    "dataset": ("dataset", "digest"),
    "tensorflow": ("software", "tensorflow"),
    "keras": ("software", "keras"),
    "backend": ("software", "backend"),
    "numpy": ("software", "numpy"),
    "h5py": ("software", "h5py"),
    "hdf5": ("software", "hdf5"),
    "cuda_build": ("software", "cuda_build"),
    "cudnn_build": ("software", "cudnn_build"),
    "onednn": ("software", "onednn"),
    "tf32": ("software", "tf32"),
    "precision": ("software", "precision"),
    "python": ("software", "python_release"),
    "cpu_model": ("node", "cpu_model"),
    "cpus": ("node", "cpus"),
    "threads": ("device", "threads"),
    "gpu_driver": ("driver", "version"),
}
"""Where each field stands in the environment; `image` and `gpu` are made of several facts."""


def fingerprint(environment: Mapping[str, Any]) -> dict[str, Fact]:
    """Return the flat part of an environment that must be equal for two results to be comparable.

    Names of models and versions only: nothing that differs between two runs on one node, or between two
    nodes of one make. GPU and driver are the node's, whichever device was measured, so that the CPU and the
    GPU of one node are comparable. None stands for what is not there or is unmeasurable; an image that cannot
    be named is another than none.
    """
    found = {name: _plain(environment, place) for name, place in PLACES.items()}
    return found | {"image": _image(environment), "gpu": _gpu(environment)}


def contradictions(fingerprint_as_written: Mapping[str, Fact], environment: Mapping[str, Any]) -> dict[str, Fact]:
    """Return the fields that the environment says otherwise, with what it says.

    A field that the fingerprint lacks says none, as it does of what is not there. Nothing is said of a field of
    which the environment lacks the whole subject: records made by hand have fewer.
    """
    from_environment = fingerprint(environment)
    if fingerprint_as_written.get("image") is None and from_environment["image"] == "unknown":
        from_environment["image"] = None  # as records were before an image without a name was another than none
    named = {name for name, place in PLACES.items() if place[0] in environment}
    named |= {"gpu"} if "gpus" in environment else set()
    named |= {"image"} if "container" in environment else set()
    return {
        name: value
        for name, value in from_environment.items()
        if name in named and not _same(fingerprint_as_written.get(name), value)
    }


def _image(environment: Mapping[str, Any]) -> Fact:
    """The digest of the container's image; None outside of a container."""
    if _plain(environment, ("container", "kind")) in {"none", None}:
        return None
    return _plain(environment, ("container", "digest")) or "unknown"


def _gpu(environment: Mapping[str, Any]) -> str | None:
    """The models of the node's GPUs, each once."""
    gpus = environment.get("gpus")
    models = {_plain(gpu, ("name",)) for gpu in gpus} if isinstance(gpus, list) else set()
    return ", ".join(sorted(str(model) for model in models if model)) or None


def _plain(environment: Any, place: tuple[str, ...]) -> Fact:
    """The fact at a place; None where there is none, or more than one value."""
    for name in place:
        environment = environment.get(name) if isinstance(environment, dict) else None
    return environment if isinstance(environment, str | int | float | bool) else None


def _same(one: Fact, other: Fact) -> bool:
    """Whether two facts are equal; 1 and true are not."""
    return one == other and isinstance(one, bool) is isinstance(other, bool)
