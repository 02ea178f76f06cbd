"""What was run: commit, lock, packages and the workload's digest, of staged checkouts and of this one."""

from __future__ import annotations

import os
import subprocess

import pytest

from cifar.measure import source
from cifar.record.unmeasurable import Unmeasurable


def git(folder, *arguments):
    """Run git in a folder, as nobody in particular."""
    names = {
        f"GIT_{role}_{what}": "nobody@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    subprocess.run(["git", "-C", folder, *arguments], env={**os.environ, **names}, check=True, capture_output=True)


class TestGit:
    """What git says of the checkout, whatever git is."""

    @pytest.mark.parametrize(
        ("program", "reason"),
        [
            ("/bin/sleep 600", "did not answer within 1 s"),
            (r"printf '\377\000x'", "null byte"),
            ("echo no repository >&2; exit 128", "no repository"),
            (None, "denied"),
        ],
    )
    def test_odd_git(self, tmp_path, monkeypatch, program, reason):
        """One that hangs, prints no text, fails, or is a folder: the reason stands where the commit would."""
        git = tmp_path / "git"
        if program is None:
            git.mkdir()
        else:
            git.write_text(f"#!/bin/sh\n{program}\n")
            git.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr(source, "GIT_SECONDS", 1.0)
        facts = source.describe()
        assert reason in facts["commit"].reason
        assert facts["dirty"] == facts["commit"]

    def test_checkout_in_latin_1(self, tmp_path):
        """A checkout whose folder's name is no UTF-8 has its commit."""
        folder = tmp_path / os.fsdecode(b"h\xe9")
        folder.mkdir()
        git = ("git", "-C", folder, "-c", "user.name=x", "-c", "user.email=x")
        for words in (("init", "-q"), ("commit", "-q", "--allow-empty", "-m", "x")):
            subprocess.run([*git, *words], check=True)
        facts = source.describe(folder / "cifar")
        assert source.COMMIT.fullmatch(facts["commit"])
        assert facts["dirty"] is False


class TestRevision:
    """The commit that an image was built from, where there is no checkout."""

    @pytest.mark.parametrize(("revision", "commit", "dirty"), [("ab12", "ab12", False), ("ab12-dirty", "ab12", True)])
    def test_told(self, monkeypatch, revision, commit, dirty):
        """The recipe tells it."""
        monkeypatch.setenv("CIFAR_REVISION", revision)
        facts = source.describe()
        assert (facts["commit"], facts["dirty"]) == (commit, dirty)

    def test_not_told(self, monkeypatch):
        """An image that was built without being told says how to tell it."""
        monkeypatch.setenv("CIFAR_REVISION", "unknown")
        assert "REVISION=$(git rev-parse HEAD)" in source.describe()["commit"].remedy


class TestSource:
    """What was run."""

    @pytest.fixture
    def package(self, tmp_path, write):
        """Make a checkout of a small package with a workload, its data, and benchmarks."""
        write(tmp_path, "cifar/workload/model.py", "LAYERS = 4\n")
        write(tmp_path, "cifar/data/dataset.py", "CLASSES = 10\n")
        write(tmp_path, "cifar/report/page.py", "TITLE = 'x'\n")
        write(tmp_path, "benchmarks/test_forward.py", "pass\n")
        return tmp_path / "cifar"

    @pytest.mark.parametrize(
        ("path", "text", "same"),
        [
            ("cifar/report/page.py", "TITLE = 'y'\n", True),
            ("cifar/workload/notes.txt", "x\n", True),
            ("cifar/data/notes.txt", "x\n", True),
            ("benchmarks/evidence/memory/larger.py", "pass\n", True),
            ("cifar/workload/model.py", "LAYERS = 5\n", False),
            ("cifar/data/dataset.py", "CLASSES = 9\n", False),
            ("cifar/data/more.py", "", False),
            ("cifar/lesson/run.py", "BATCH_SIZE = 250\n", False),
            ("cifar/lesson/page.py", "TITLE = 'x'\n", True),
            ("benchmarks/test_forward.py", "pass \n", False),
            ("benchmarks/test_more.py", "", False),
            ("benchmarks/peers/test_more.py", "", False),
        ],
    )
    def test_workload_digest(self, package, path, text, same, write):
        """It changes with each Python file of workload, data and benchmarks, and the lesson's run, and nothing else."""
        before = source.workload_digest(package)
        write(package.parent, path, text)
        assert (source.workload_digest(package) == before) is same

    def test_renamed(self, package):
        """A file's name counts."""
        before = source.workload_digest(package)
        (package / "workload/model.py").rename(package / "workload/models.py")
        assert source.workload_digest(package) != before

    def test_installed_wheel(self, package):
        """A wheel, which has the benchmarks inside the package, has the digest of its checkout."""
        before = source.workload_digest(package)
        (package.parent / "benchmarks").rename(package / "benchmarks")
        assert source.workload_digest(package) == before

    def test_no_workload(self, tmp_path):
        """Without any file there is no digest of nothing."""
        assert source.workload_digest(tmp_path / "cifar").reason

    def test_lock(self, tmp_path, write):
        """The lock of the installed TensorFlow is named with its digest and the packages that depart from it."""
        text = (
            "numpy==2.0.2 ; python_full_version < '3.12' \\\n    --hash=sha256:12\n"
            "numpy==2.4.6 ; python_full_version >= '3.12' \\\n    --hash=sha256:34\n"
            "keras==3.15.0\nNVIDIA_ML.py==13.0\ntensorflow-cpu==2.21.0\n"
        )
        none = source.lock(tmp_path, {})
        assert "there is no requirements-cuda.txt beside the package" in none.reason
        assert none.remedy == "run from a checkout, or from an image"
        write(tmp_path, "requirements-cpu.txt", text)
        packages = {
            "tensorflow-cpu": "2.21.0",
            "numpy": "2.4.6",
            "keras": "3.14.0",
            "nvidia-ml-py": "13.0",
            "rich": "1",
        }
        found = source.lock(tmp_path, packages)
        assert (found["file"], found["differs"], len(found["sha256"])) == ("requirements-cpu.txt", ["keras"], 64)
        write(tmp_path, "requirements-cpu-2.19.txt", "keras==3.15.0\ntensorflow-cpu==2.19.1\n")
        assert source.lock(tmp_path, packages) == found
        older = source.lock(tmp_path, packages | {"tensorflow-cpu": "2.19.1"})
        assert (older["file"], older["differs"]) == ("requirements-cpu-2.19.txt", ["keras"])
        assert "requirements-cuda.txt" in source.lock(tmp_path, {"tensorflow": "2.21.0"}).reason
        both = source.lock(tmp_path, packages | {"tensorflow": "2.21.0"})
        assert both["differs"] == ["keras", "tensorflow", "tensorflow-cpu"]

    def test_commit(self, package, write):
        """Commit and dirty are the checkout's; a checkout without a commit, and none at all, say so."""
        root = package.parent
        assert source.describe(package)["commit"].reason
        git(root, "init", "-q")
        young = source.describe(package)
        assert young["commit"] == Unmeasurable("the checkout has no commit yet")
        assert young["dirty"] is True
        git(root, "add", ".")
        git(root, "commit", "-q", "-m", "all")
        clean = source.describe(package)
        assert (len(clean["commit"]), clean["dirty"]) == (40, False)
        write(root, "cifar/workload/model.py", "LAYERS = 6\n")
        assert source.describe(package)["dirty"] is True

    def test_installed_inside_another_checkout(self, package, write):
        """An environment that lies in somebody else's checkout does not borrow its commit."""
        git(package.parent, "init", "-q")
        write(package, "site/cifar/workload/model.py")
        assert "it does not run from a checkout" in source.describe(package / "site/cifar")["commit"].reason

    def test_installed_packages(self):
        """Two digests of the same packages are equal."""
        assert source.describe()["installed"] == source.describe()["installed"]
