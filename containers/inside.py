"""From an image to what was seen inside it: what isolates it, whether it is sound and measures, what it costs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from formats import Format, Job, Sif, say

from cifar.measure.doctor.libraries import LIBRARIES
from cifar.measure.source import workload_digest

if TYPE_CHECKING:
    from collections.abc import Iterator

HELD = """
import json, os, socket
held = {
    "as an ordinary user": os.getuid() != 0,
    "read-only": bool(os.statvfs("/opt/cifar").f_flag & os.ST_RDONLY),
    "without network": {name for _, name in socket.if_nameindex()} <= {"lo"},
}
json.dump(held, open("answer.json", "w"))
"""

LEAKED = """
import importlib.util, json, os, pathlib, site
packages = ("in_home", "on_path")
leaked = [name for name in packages if importlib.util.find_spec(name)]
seen = [pathlib.Path(site.getusersitepackages(), "in_home").is_dir(), pathlib.Path("hostile/on_path").is_dir()]
json.dump({"leaked": leaked, "seen": [*seen, "STAGED" in os.environ]}, open("answer.json", "w"))
"""


CUDA = """
import json, subprocess
import tensorflow as tf
said = subprocess.run(["cifar", "doctor", "--json"], stdout=subprocess.PIPE, check=False).stdout
statuses = {finding["check"]: finding["status"] for finding in json.loads(said)["findings"]}
json.dump({"built": tf.test.is_built_with_cuda(), **statuses}, open("answer.json", "w"))
"""


def examine(form: Format, job: Job, target: Path, dataset: Path | None) -> None:
    """Run in the image: what isolates it, the doctor, tests, and a campaign; exit where one fails.

    The tests are those of data, workload and lesson.
    The commit's files are the folder that a user would stand in; the campaign is on `dataset`, else on the stand-in.
    """
    with _folder(job) as home:
        held = _asked(form, target, home, HELD)
        if not all(held.values()) and form.runner != "buildah":
            sys.exit(f"{target.name}, run by {form.runner}, is not isolated as it should be: {held}")
        for what in (what for what, holds in held.items() if not holds):
            say(f"{target.name}: NOT RUN {what}, for {form.runner} cannot, and neither Podman nor Docker runs here")
        ways = ", ".join(what for what, holds in held.items() if holds)
        form.run(target, home, "cifar", "doctor", "--device=cpu")
        if job.variant.startswith("cuda"):
            check_cuda(form, target, home)
        # Alone, Apptainer's /tmp has 64 MiB.
        options = ("-m", "not slow", "-p", "no:cacheprovider", "--basetemp=scratch")
        tests = ("tests/data", "tests/workload", "tests/lesson")
        form.run(target, home, "nox", "-s", "tests", "--", *tests, *options)
        data = []
        if dataset:
            shutil.copy(dataset, home / dataset.name)
            data.append(f"--dataset={dataset.name}")
        form.run(target, home, "nox", "-s", "bench", "--", "--quick", "--runs=1", "--out=results/checked", *data)
        count = _check_campaign(form, target, home, "results/checked")
        of = "CIFAR-10" if dataset else "the stand-in"
        say(f"{target.name}, run by {form.runner} {ways}: the doctor finds no failure,")
        say("the tests of data, workload and lesson pass,")
        say(f"{count} workloads were measured on {of}, and their record names the image's digest")
        if isinstance(form, Sif):
            _check_leaks(form, target, home)


def overhead(form: Format, job: Job, target: Path, runs: int, dataset: Path | None) -> None:
    """Measure the same on the host and in the image, in turn, and compare: the image's speed over the host's."""
    work = ("bench", "--quick", "--device=cpu", "--only=not peak", "--dataset=data.h5")
    with _folder(job) as home:
        host = (sys.executable, "-m", "cifar")
        source = (f"--source={dataset.resolve()}",) if dataset else ("--synthetic",)
        _on_host(home, *host, "prepare", *source, "--out=data.h5")
        for run in range(1, runs + 1):
            more = () if run == 1 else ("--resume",)
            for side in ("host", "image") if run % 2 else ("image", "host"):
                words = (*work, f"--out={side}", f"--runs={run}", *more)
                if side == "host":
                    _on_host(home, *host, *words)
                else:
                    form.run(target, home, "cifar", *words)
        said = _on_host(home, *host, "compare", "host", "image", "--allow=image")
        target.with_suffix(".overhead.txt").write_text(said, encoding="utf-8")
        say(said)


@contextmanager
def _folder(job: Job) -> Iterator[Path]:
    """A folder with the commit's files, in which whoever the image runs as may write."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        home = Path(shutil.copytree(job.work / "source", Path(folder) / "home"))
        Path(folder).chmod(0o755)
        home.chmod(0o1777)
        yield home


def _asked(form: Format, target: Path, home: Path, script: str, **how: Any) -> dict[str, Any]:  # noqa: ANN401
    """What a script says that runs in the image, as JSON."""
    form.run(target, home, "python3", "-c", script, **how)
    answer: dict[str, Any] = json.loads((home / "answer.json").read_text(encoding="utf-8"))
    (home / "answer.json").unlink()
    return answer


def _check_campaign(form: Format, target: Path, home: Path, results: str) -> int:
    """The number of workloads measured; exit unless none failed, and the record names the image, lock and commit.

    The commit by the digest of what was measured, or no campaign in the image could be compared with one outside it.
    """
    folder = home / results
    record = json.loads((folder / "cpu-1.json").read_text(encoding="utf-8"))
    facts = record["machine_info"]["cifar"]["environment"]
    named = (facts["container"]["digest"], facts["source"]["lock"]["differs"])
    if named != (form.digest(target), []):
        sys.exit(f"A record made in {target.name} names {named}, but the image is {form.digest(target)} as locked")
    if (measured := facts["source"]["workload"]) != (committed := workload_digest(home / "cifar")):
        sys.exit(f"What was measured in {target.name} has the digest {measured}, and in the commit {committed}")
    failed = re.findall(r"::(test_\S+) (?:FAILED|ERROR)", (folder / "cpu-1.log").read_text(encoding="utf-8"))
    families = {entry["name"].removeprefix("test_").partition("[")[0] for entry in record["benchmarks"]}
    if failed or not families >= {"startup", "generator", "forward", "training", "peak"}:
        sys.exit(f"Not all was measured in {target.name}: only {', '.join(sorted(families))}; failed: {failed}")
    return len(record["benchmarks"])


def check_cuda(form: Format, target: Path, home: Path) -> None:
    """Exit unless TensorFlow is built with CUDA and each library that it opens loads, all as locked."""
    found = _asked(form, target, home, CUDA)
    wanted = {"packages": "pass", "built": True} | dict.fromkeys(LIBRARIES.values(), "pass")
    if wrong := {name: found.get(name) for name, status in wanted.items() if found.get(name) != status}:
        sys.exit(f"CUDA in {target.name} is not as it should be: {wrong}")
    say(f"{target.name}: TensorFlow is built with CUDA, and its {len(LIBRARIES)} libraries load, as locked")


def _check_leaks(form: Sif, target: Path, home: Path) -> None:
    """Exit where a package of the host's home or PYTHONPATH comes in without --containall; make sure it could."""
    version = _python(form, target, home)
    in_home = home / ".local/lib" / version / "site-packages"
    for package in (in_home / "in_home", home / "hostile/on_path"):
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
    staged = {"PYTHONPATH": str(home / "hostile"), "STAGED": "yes"}
    found = _asked(form, target, home, LEAKED, options=(), **staged)
    if found != {"leaked": [], "seen": [True, True, True]}:
        sys.exit(f"The host leaks into {target.name}, or the staged packages were not in sight: {found}")
    forced = ("--env", f"PYTHONPATH={in_home}:{home / 'hostile'}")
    if _asked(form, target, home, LEAKED, options=forced)["leaked"] != ["in_home", "on_path"]:
        sys.exit(f"The check for leaks into {target.name} would not have found one")
    say(f"{target.name}: the host's ~/.local and PYTHONPATH stay out without --containall")


def _python(form: Format, target: Path, home: Path) -> str:
    """The folder's name of the image's Python: `python3.11`."""
    script = "import json, sys; json.dump({'name': 'python%d.%d' % sys.version_info[:2]}, open('answer.json', 'w'))"
    return str(_asked(form, target, home, script)["name"])


def _on_host(home: Path, *words: str) -> str:
    """What a command prints that runs in `home` on the host; its last words where it fails."""
    done = subprocess.run(words, cwd=home, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{done.stdout}{done.stderr}\n{' '.join(words)} ended with code {done.returncode}")
    return done.stdout
