"""Loading: Keras and its backend are imported, without a user's settings and without what they say unasked."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import subprocess
import sys
from typing import IO, TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

_TORCH = "KERAS_TORCH_DEVICE"
"""The variable that chooses PyTorch's device; it is ours, not a user's."""
_NOTICES = ("oneDNN custom operations are on", "log messages before absl::InitializeLog()")
"""TensorFlow says these at any level: that oneDNN is on, as is recorded, and that this goes to stderr."""


def load(backend: str = "tensorflow") -> None:
    """Choose Keras's backend, and import TensorFlow and Keras.

    Call it before anything else imports one of the two. TensorFlow is imported whatever the backend is, for the
    network's own parts need it.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # warnings and errors only
    if "tensorflow" not in sys.modules and importlib.util.find_spec("tensorflow"):
        if backend == "torch" and importlib.util.find_spec("triton"):
            # After TensorFlow, whose LLVM all can see, it crashes the process (tensorflow/tensorflow#124205).
            importlib.import_module("triton")
        with _without_settings(backend), without(*_NOTICES):
            importlib.import_module("tensorflow")
            importlib.import_module("keras")  # some versions of TensorFlow have done it by now
    os.environ["KERAS_BACKEND"] = backend


@contextlib.contextmanager
def _without_settings(backend: str) -> Iterator[None]:
    """Hide a user's `keras.json` and variables from Keras, which reads them once, when it is imported."""
    users = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("KERAS_") and name != _TORCH}
    os.environ |= {"KERAS_BACKEND": backend, "KERAS_HOME": os.devnull}  # a folder that can have no keras.json
    try:
        yield
    finally:
        del os.environ["KERAS_HOME"]
        os.environ |= users  # Keras's downloads, CIFAR-10 among them, lie in the user's own folder


_READER = """import sys
for line in sys.stdin.buffer:
    if not any(notice.encode() in line for notice in sys.argv[1:]):
        sys.stderr.buffer.write(line)
        sys.stderr.flush()
"""


@contextlib.contextmanager
def without(*notices: str) -> Iterator[None]:
    """Leave the lines that hold one of `notices` out of what this process and its libraries write to stderr meanwhile.

    All others pass as they come, through a process of its own, so that the last words of a crash are not lost.
    """
    command = [sys.executable, "-I", "-S", "-c", _READER, *notices]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as reader:
        stream = cast("IO[bytes]", reader.stdin)
        sys.stderr.flush()
        before = os.dup(2)
        os.dup2(stream.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(before, 2)
            os.close(before)
