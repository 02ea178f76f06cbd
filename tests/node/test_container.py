"""The container that the process runs in, by the marks that it leaves."""

from __future__ import annotations

import pytest

from cifar.node import container
from cifar.record.unmeasurable import Unmeasurable


@pytest.mark.parametrize(
    ("mark", "environ", "kind"),
    [
        (".singularity.d/labels.json", {}, "apptainer"),
        ("other", {"APPTAINER_CONTAINER": "/images/x.sif"}, "apptainer"),
        (".dockerenv", {}, "docker"),
        ("run/.containerenv", {}, "podman"),
        ("other", {"container": "podman"}, "podman"),
        ("other", {}, None),
    ],
)
def test_container_kind(tmp_path, mark, environ, kind, write):
    """Each kind of container is known by its mark."""
    write(tmp_path, mark)
    assert container.container_kind(tmp_path, environ) == kind


class TestContainer:
    """The container that the process runs in."""

    def test_none(self, tmp_path):
        """Outside of a container nothing is missing and everything says so."""
        facts = container.container(tmp_path, {})
        assert facts == {"kind": "none", "image": facts["digest"], "digest": Unmeasurable("not in a container")}

    def test_apptainer(self, tmp_path):
        """Apptainer names its image, of which the file's name is kept; the digest comes from who started it."""
        environ = {"APPTAINER_CONTAINER": "/home/ada/images/cifar.sif", "CIFAR_IMAGE_DIGEST": "sha256:12"}
        facts = container.container(tmp_path, environ)
        assert facts == {"kind": "apptainer", "image": "cifar.sif", "digest": "sha256:12"}

    def test_apptainer_without_a_digest(self, tmp_path, write):
        """Where the image's file cannot be seen from inside, or is none, the record says that and what to do."""
        unseen = container.container(tmp_path, {"APPTAINER_CONTAINER": "/elsewhere/cifar.sif"})
        assert "mount the folder" in unseen["digest"].remedy
        other = write(tmp_path, "cifar.sif", "text")
        assert "no image" in container.container(tmp_path, {"APPTAINER_CONTAINER": str(other)})["digest"].reason

    def test_docker(self, tmp_path, write):
        """Docker tells a container neither its image nor the digest: both say how to pass them on."""
        write(tmp_path, ".dockerenv")
        facts = container.container(tmp_path, {})
        assert "CIFAR_IMAGE" in facts["image"].remedy
        assert "CIFAR_IMAGE_DIGEST" in facts["digest"].remedy
