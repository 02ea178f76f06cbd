"""The container that this process runs in, and the image that it was made from."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cifar.node import image, kernel
from cifar.node.packages import without_user
from cifar.record.unmeasurable import Unmeasurable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def container_kind(root: Path = kernel.ROOT, environ: Mapping[str, str] = os.environ) -> str | None:
    """Return apptainer, podman or docker by the marks they leave, or None outside a container."""
    variables = {"APPTAINER_CONTAINER", "SINGULARITY_CONTAINER"}
    if kernel.exists(root / ".singularity.d") or environ.keys() & variables:
        return "apptainer"
    # A read-only container of Podman has no such file.
    if kernel.exists(root / "run/.containerenv") or environ.get("container") == "podman":
        return "podman"
    return "docker" if kernel.exists(root / ".dockerenv") else None


def container(root: Path = kernel.ROOT, environ: Mapping[str, str] = os.environ) -> dict[str, str | Unmeasurable]:
    """Return the kind of container, its image's name and digest; kind "none" outside of one."""
    kind = container_kind(root, environ)
    if kind is None:
        outside = Unmeasurable("not in a container")
        return {"kind": "none", "image": outside, "digest": outside}
    file = image.file(environ)
    name = environ.get("CIFAR_IMAGE") or (file.name if file else None)
    return {
        "kind": kind,
        "image": name or Unmeasurable(f"{kind} does not tell", "set CIFAR_IMAGE"),
        "digest": _image_digest(environ),
    }


def _image_digest(environ: Mapping[str, str]) -> str | Unmeasurable:
    """The digest of the image, or why this process cannot know it."""
    try:
        digest = image.digest(environ)
    except (OSError, ValueError) as error:
        return Unmeasurable(without_user(str(error), environ))
    if digest:
        return digest
    remedy = "set CIFAR_IMAGE_DIGEST"
    if image.file(environ):
        remedy += " or mount the folder of the image's file"
    return Unmeasurable("an image does not know its own digest", remedy)
