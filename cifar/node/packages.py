"""What this process computes with, as far as Python and the kernel tell: packages, loaded libraries, variables."""

from __future__ import annotations

import os
import re
from importlib import metadata
from typing import TYPE_CHECKING

from cifar.node import kernel
from cifar.record.unmeasurable import Unmeasurable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def installed() -> list[tuple[str, str]]:
    """Return name and version of every installed distribution, names in their normal form, sorted."""
    return sorted({(normal(name), version) for name, version in distributions()})


def distributions(path: Sequence[str] | None = None) -> list[tuple[str, str]]:
    """Return name and version of every distribution on `path` (default: Python's own) that has both.

    A folder that an interrupted installation left behind has none.
    """
    pairs = []
    for item in metadata.distributions() if path is None else metadata.distributions(path=list(path)):
        try:
            facts = item.metadata
            names, versions = facts.get_all("Name"), facts.get_all("Version")
        except (KeyError, TypeError, AttributeError, UnicodeDecodeError):  # as Python's version has it
            continue
        if names and versions:
            pairs.append((names[0], versions[0]))
    return pairs


def normal(name: str) -> str:
    """Return the normal form of a distribution's name: `nvidia-ml-py` of `NVIDIA_ML.py`."""
    return re.sub(r"[-_.]+", "-", name).lower()


def loaded_libraries(root: Path = kernel.ROOT) -> list[str] | Unmeasurable:
    """Return the file names of the CUDA libraries that this process has loaded by now."""
    text = kernel.read_text(root / "proc/self/maps")
    if text is None:
        return Unmeasurable("/proc/self/maps cannot be read")
    names = "cuda|cudart|cudnn|cublas|cublasLt|cufft|cusolver|cusparse|nccl"
    return sorted(set(re.findall(rf"/(lib(?:{names})\.so[.\d]*)", text)))


# TF_ and NVIDIA_ as a whole are not taken: Terraform keeps secrets in TF_VAR_*, and there is NVIDIA_API_KEY.
PREFIXES = (
    *("BLIS_", "DNNL_", "GOMP_", "KMP_", "MALLOC_", "MKL_", "OMP_", "ONEDNN_", "OPENBLAS_"),
    *("CUBLAS_WORKSPACE_CONFIG", "CUDA_", "NVIDIA_DRIVER_", "NVIDIA_TF32_", "NVIDIA_VISIBLE_", "XLA_FLAGS"),
    *("TF_CPP_", "TF_CUDNN_", "TF_DETERMINISTIC_", "TF_ENABLE_", "TF_FORCE_", "TF_GPU_", "TF_NUM_", "TF_XLA_"),
    *("KERAS_BACKEND", "TF_USE_LEGACY_KERAS", "LD_LIBRARY_PATH", "LD_PRELOAD", "PYTHONHASHSEED", "PYTHONPATH"),
    *("NCPUS", "SLURM_CPU", "SLURM_GPUS", "SLURM_JOB_ID", "SLURM_JOB_PARTITION", "SLURM_MEM", "SLURM_NTASKS"),
)
SECRET = re.compile("KEY|TOKEN|SECRET|PASS|CRED")


def variables(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return those environment variables that can change a result, without the names of users in paths."""
    chosen = (name for name in environ if name.startswith(PREFIXES) and not SECRET.search(name))
    return {name: without_user(environ[name], environ) for name in sorted(chosen)}


def without_user(text: str, environ: Mapping[str, str] = os.environ) -> str:
    """Return `text` with home folders replaced by ~, and the user's name elsewhere in a path by USER."""
    if home := environ.get("HOME", "").rstrip("/"):
        text = re.sub(rf"{re.escape(home)}(?=[/:\s]|$)", "~", text)
    text = re.sub(r"/(?:home|Users)/[^/:\s]+", "~", text)
    if user := environ.get("USER") or environ.get("LOGNAME"):
        text = re.sub(rf"(?<=/){re.escape(user)}(?=[/:\s]|$)", "USER", text)
    return text
