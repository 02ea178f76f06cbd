"""From the recipes to an image in either format, and from a command to its run inside an image, alone."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cifar.node.image import sif_digest

if TYPE_CHECKING:
    from pathlib import Path

ALONE = ("--containall", "--cleanenv", "--net", "--network=none")
"""What keeps Apptainer's container apart from the host."""


@dataclass(frozen=True)
class Job:
    """What is built: one lock of one commit, in `work/source`, on one base."""

    work: Path
    variant: str
    revision: str
    epoch: int
    """The commit's time: what is younger in an image is given it, so that a build leaves no time of its own."""
    base: str
    standin: Path | None
    """The archive of the stand-in, where the base cannot be pulled."""

    @property
    def arguments(self) -> list[str]:
        """The arguments of both recipes."""
        created = datetime.fromtimestamp(self.epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        facts = {"VARIANT": self.variant, "REVISION": self.revision, "CREATED": created}
        return [word for name, value in facts.items() for word in ("--build-arg", f"{name}={value}")]


class Format(ABC):
    """One format of image, and the program that builds it here."""

    suffix: str

    def __init__(self, tool: str) -> None:
        """Build by the program `tool`."""
        self.tool = tool

    @property
    @abstractmethod
    def runner(self) -> str:
        """The program that runs it here."""

    @abstractmethod
    def refusal(self, base: str) -> str | None:
        """Why the base cannot be had from its registry; None where it can."""

    @abstractmethod
    def build(self, job: Job, target: Path) -> None:
        """Build the image `target` from nothing but the commit, the lock and the base."""

    @abstractmethod
    def digest(self, target: Path) -> str:
        """The digest that records name."""

    @abstractmethod
    def scanned(self, target: Path, work: Path) -> list[str]:
        """What tells Syft to list the image's packages."""

    @abstractmethod
    def run(self, target: Path, home: Path, *words: str) -> None:
        """Run a command in the image, in `home`, which is all it sees of the host.

        As an ordinary user, read-only and without network, as far as the program can.
        """


class Oci(Format):
    """The Dockerfile's image, as an archive of the Open Container Initiative."""

    suffix = ".oci.tar"
    tag = "localhost/cifar-bench"

    def refusal(self, base: str) -> str | None:  # noqa: D102
        return complaint(self.tool, "pull", base)

    def build(self, job: Job, target: Path) -> None:  # noqa: D102
        secrets = [f"--secret=id={file.name},src={file}" for file in sorted((job.work / "secrets").iterdir())]
        words = [*job.arguments, "--build-arg", f"BASE={job.base}", *secrets, "--no-cache"]
        words += ["--file", "containers/Dockerfile", "--tag", self.tag, "."]
        log = target.with_suffix(".log")
        target.unlink(missing_ok=True)
        if self.tool == "docker":
            call(log, "docker", "build", "--build-arg", f"SOURCE_DATE_EPOCH={job.epoch}", *words, job=job)
            call(log, "docker", "save", "--output", str(target), self.tag, job=job)
        else:  # --isolation chroot needs no privilege that a container or a cluster's node may lack
            call(log, self.tool, "build", "--isolation=chroot", f"--timestamp={job.epoch}", *words, job=job)
            call(log, self.tool, "push", self.tag, f"oci-archive:{target}", job=job)

    def digest(self, target: Path) -> str:  # noqa: D102
        with tarfile.open(target) as archive:
            if "index.json" not in archive.getnames():
                sys.exit(
                    f"{target} is no OCI archive. Docker saves one from version 25 on: use that, or buildah or Podman."
                )
            index = json.load(archive.extractfile("index.json") or io.BytesIO())
        return str(index["manifests"][0]["digest"])

    def scanned(self, target: Path, work: Path) -> list[str]:  # noqa: D102
        # Unpacked, for Syft refuses an archive with a layer of more than 2 GB, as CUDA's is.
        layout = work / "layout"
        layout.mkdir()
        call(target.with_suffix(".log"), "tar", "--extract", f"--file={target}", f"--directory={layout}")
        return [f"oci-dir:{layout}", f"--source-name={target.name}"]

    @property
    def runner(self) -> str:
        """The program that runs it: Podman or Docker where one can run a container here, else buildah."""
        # buildah and Podman keep their images in one place.
        tools = ("podman",) if self.tool == "buildah" else (self.tool,)
        alone = ("run", "--rm", "--network=none", "--entrypoint=true", self.tag)
        return next((tool for tool in tools if shutil.which(tool) and not complaint(tool, *alone)), "buildah")

    def run(self, target: Path, home: Path, *words: str) -> None:  # noqa: D102
        log, volume, digest = (
            target.with_suffix(".log"),
            f"{home}:/results",
            f"CIFAR_IMAGE_DIGEST={self.digest(target)}",
        )
        if (runner := self.runner) == "buildah":
            name = output("buildah", "from", self.tag)
            try:
                options = ("--isolation=chroot", f"--volume={volume}", "--workingdir=/results", f"--env={digest}")
                call(log, "buildah", "run", *options, name, "--", *words)
            finally:
                output("buildah", "rm", name)
        else:
            alone = ("--rm", "--read-only", "--tmpfs=/tmp", "--network=none", f"--env={digest}")
            folder = (f"--volume={volume}", "--workdir=/results", f"--entrypoint={words[0]}")
            call(log, runner, "run", *alone, *folder, self.tag, *words[1:])


class Sif(Format):
    """The definition file's image, Apptainer's single file."""

    suffix = ".sif"
    runner = "apptainer"

    def refusal(self, base: str) -> str | None:  # noqa: D102
        with tempfile.TemporaryDirectory() as folder:
            return complaint(self.tool, "pull", f"{folder}/base.sif", f"docker://{base}")

    def build(self, job: Job, target: Path) -> None:  # noqa: D102
        words = [*job.arguments, "--build-arg", f"BASE={job.base}"]
        if job.standin:
            words = [*job.arguments, "--build-arg", "BOOTSTRAP=oci-archive", "--build-arg", f"BASE={job.standin}"]
        if any((job.work / "secrets").iterdir()):
            words += ["--bind", f"{job.work / 'secrets'}:/mnt:ro"]
        # zstd takes a quarter of gzip's time; what reads no zstd is older than Apptainer.
        words += ["--fakeroot", "--force", "--mksquashfs-args", "-comp zstd -Xcompression-level 3"]
        call(target.with_suffix(".log"), self.tool, "build", *words, str(target), "containers/cifar.def", job=job)

    def digest(self, target: Path) -> str:  # noqa: D102
        sif_digest.cache_clear()  # a file of that name may have been built anew
        return sif_digest(target)

    def scanned(self, target: Path, work: Path) -> list[str]:  # noqa: D102
        # Syft reads a SIF itself, but takes many minutes.  As an image: locks are no packages that are installed.
        tree = work / "tree"
        call(target.with_suffix(".log"), self.tool, "build", "--fakeroot", "--sandbox", str(tree), str(target))
        return [f"dir:{tree}", "--override-default-catalogers=image", f"--source-name={target.name}"]

    def run(  # noqa: D102
        self, target: Path, home: Path, *words: str, options: tuple[str, ...] = ALONE, **variables: str
    ) -> None:
        seen = home / target.name  # inside, the image can compute its digest from the file where it lies
        if not seen.exists():
            shutil.copy(target, seen)
        user: tuple[str, ...] = ()
        environ = {**os.environ, **variables}
        if os.geteuid() == 0:
            user = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
            environ |= {"HOME": str(home)}
        place = ("--home", str(home), "--pwd", str(home), str(seen))
        call(target.with_suffix(".log"), *user, self.tool, "exec", *options, *place, *words, environ=environ)


def output(*words: str) -> str:
    """What a command prints."""
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def complaint(*words: str, seconds: float = 120) -> str | None:
    """The last line of a command that fails, or that it takes too long; None where it succeeds."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, errors="replace", timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return f"{words[0]} {words[1]} was not done after {seconds:.0f} s"
    said = f"{done.stdout}\n{done.stderr}".strip().splitlines() or [f"code {done.returncode}, without a word"]
    return f"{words[0]} {words[1]}: {said[-1]}" if done.returncode else None


def call(log: Path, *words: str, job: Job | None = None, environ: dict[str, str] | None = None) -> None:
    """Run a command, in the commit's files where there is a job; its last words where it fails."""
    if job:
        environ = {**os.environ, "SOURCE_DATE_EPOCH": str(job.epoch)}
    with log.open("a", encoding="utf-8") as file:
        print("$", *words, file=file, flush=True)
        folder = job.work / "source" if job else None
        code = subprocess.run(words, cwd=folder, env=environ, stdout=file, stderr=file, check=False).returncode
    if code:
        tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])
        sys.exit(f"{tail}\n{words[0]} {words[1]} ended with code {code}; all of it stands in {log}")


def say(message: str) -> None:
    """Print at once, for an image takes minutes."""
    print(message, flush=True)
