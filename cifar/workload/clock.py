"""From Keras's `fit` to the seconds of its training steps, on any backend."""

from __future__ import annotations

import time
from typing import Any

import keras


class StepClock(keras.callbacks.Callback):  # type: ignore[misc]
    """Seconds of each epoch that `fit` spends from its first training step to its last: the rest is plumbing.

    An epoch whose number of steps `fit` does not know beforehand adds nothing.
    """

    def __init__(self) -> None:
        """Start with no epoch."""
        super().__init__()
        self.seconds: list[float] = []

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Start the clock with the first step."""
        if batch == 0:
            self._start = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Stop the clock when the last step's loss is there, for which a device must have done them all."""
        if batch + 1 == self.params["steps"]:
            float((logs or {})["loss"])
            self.seconds.append(time.perf_counter() - self._start)
