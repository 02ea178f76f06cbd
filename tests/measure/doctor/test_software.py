"""The software of a node: each thing that can be wrong with it is staged, and gets its line."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from cifar.measure import doctor
from cifar.measure.doctor import Finding, software


def test_no_container(tmp_path, node):
    """Outside of a container there is no line about an image."""
    assert next(doctor.examine(node(tmp_path))).check == "packages"


def test_image(tmp_path, write, node, finding):
    """An image whose digest records can name passes; one without is a warning with the way to name it."""
    write(tmp_path, ".dockerenv")
    named = {"CIFAR_IMAGE": "cifar-bench:1", "CIFAR_IMAGE_DIGEST": "sha256:12"}
    assert finding(node(tmp_path, environ=named), "image") == Finding(
        "image", "pass", "docker, cifar-bench:1, sha256:12"
    )
    unnamed = finding(node(tmp_path, environ={"CIFAR_IMAGE": "cifar-bench:1"}), "image")
    assert (unnamed.status, unnamed.remedy) == ("warn", "set CIFAR_IMAGE_DIGEST")


@pytest.mark.parametrize(("mark", "status"), [(".singularity.d/labels.json", "fail"), ("etc/hosts", "warn")])
def test_foreign_package(tmp_path, mark, status, write, node, finding):
    """A package that Python finds outside of its environment is named: a failure in a container, else a warning."""
    write(tmp_path, mark)
    write(tmp_path, "host/leaky-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: leaky\nVersion: 1.0\n")
    found = finding(node(tmp_path, path=(*sys.path, str(tmp_path / "host"))), "foreign packages")
    assert (found.status, "leaky" in found.said, "PYTHONPATH" in found.remedy) == (status, True, True)


def test_foreign_module(tmp_path, write, node, finding):
    """A module without an installed package is found too; an empty folder on the path harms nobody."""
    (tmp_path / "host").mkdir()
    staged = node(tmp_path, path=(*sys.path, str(tmp_path / "host")))
    assert finding(staged, "foreign packages").status == "pass"
    write(tmp_path, "host/numpy/__init__.py")
    assert finding(staged, "foreign packages").status == "warn"


def test_module_with_a_name_of_pythons(tmp_path, write, node, finding):
    """A file that stands before one of Python's own modules, or of one that is needed, is found."""
    staged = node(tmp_path, path=(*sys.path, str(tmp_path / "host")))
    write(tmp_path, "host/mine.py")
    assert finding(staged, "foreign packages").status == "pass"
    write(tmp_path, "host/random.py")
    assert finding(staged, "foreign packages").status == "warn"


def test_package_without_a_name(tmp_path, write, node, finding):
    """What an interrupted installation left behind is no package."""
    write(tmp_path, "host/x-1.0.dist-info/RECORD")
    write(tmp_path, "host/y-1.0.dist-info/METADATA").write_bytes(b"Name: \xff\xfe\0\n")
    staged = node(tmp_path, path=(*sys.path, str(tmp_path / "host")))
    assert finding(staged, "foreign packages").status == "pass"


def test_settings_of_keras(tmp_path, write, node, finding):
    """Settings that would make another network are named, and not used; the usual ones are no news."""
    staged = node(tmp_path, environ={"HOME": str(tmp_path)})
    write(tmp_path, ".keras/keras.json", '{"backend": "tensorflow", "floatx": "float32"}')
    assert "Keras's settings" not in [found.check for found in doctor.glance(staged)]
    write(tmp_path, ".keras/keras.json", '{"image_data_format": "channels_first"}')
    found = finding(staged, "Keras's settings")
    assert (found.status, "channels_first" in found.said, "not used here" in found.said) == ("pass", True, True)
    write(tmp_path, ".keras/keras.json", "{")
    assert "cannot be read" in finding(staged, "Keras's settings").said


class TestImports:
    """Packages that cannot be imported are findings."""

    BROKEN = (
        ("psutil", "raise RuntimeError('staged')", "RuntimeError: staged"),
        ("pynvml", "import os; os.abort()", "exit code -6"),
        ("numpy", "raise SystemExit(3)", "exit code 3"),
    )

    def test_sound(self):
        """What is installed can be imported."""
        assert [found.status for found in software.imported()] == ["pass"]

    def test_broken(self, tmp_path, write):
        """Each package that fails has its own finding, with the process's last words, and the rest are tried too."""
        for name, code, _ in self.BROKEN:
            write(tmp_path, f"{name}.py", code)
        found = list(software.imported({"PYTHONPATH": str(tmp_path)}))
        assert [finding.status for finding in found[:3]] == ["fail"] * 3
        for finding, (name, _, words) in zip(found, self.BROKEN, strict=False):
            assert finding.said == f"{name} cannot be imported: {words}"
            assert "PYTHONPATH" in finding.remedy

    def test_hangs(self, tmp_path, write):
        """A package that never finishes to load is given up, with all that it started."""
        write(tmp_path, "psutil.py", "import subprocess; subprocess.run(['sleep', '600'])")
        found = next(software.imported({"PYTHONPATH": str(tmp_path), "PATH": os.defpath}, 2))
        assert found.said == "psutil cannot be imported: no answer within 2 s"

    @pytest.mark.parametrize("command", ["doctor", "devices"])
    def test_begins_with_the_standard_library(self, tmp_path, command, write):
        """Whatever is broken, the commands that look at a node say so, without a traceback."""
        for name in (*software.NEEDED, "tensorflow", "keras", "pandas", "matplotlib"):
            write(tmp_path, f"{name}.py", f"raise RuntimeError('staged {name}')")
        options = ["--device", "gpu"] if command == "doctor" else []
        done = subprocess.run(
            [sys.executable, "-m", "cifar", command, *options],
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        printed = done.stdout + done.stderr
        assert done.returncode == {"doctor": 1, "devices": 2}[command]
        assert all(f"{name} cannot be imported: RuntimeError: staged {name}" in printed for name in software.NEEDED)
        assert "Traceback" not in printed
