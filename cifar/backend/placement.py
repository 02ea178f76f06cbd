"""A call is shown to have executed its operations on the device that was named, or is refused."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from cifar.backend.tensorflow import Device


class MisplacedError(RuntimeError):
    """Something was computed on another device than the one that was named."""


class Audit:
    """Watches calls on `device`; `operations` counts for each what was executed where, by TensorFlow's names."""

    def __init__(self, device: Device) -> None:
        """Watch for `device`."""
        self.device = device
        self.operations: dict[str, dict[str, int]] = {}

    def watch(self, what: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return what does as `call` does; its first call is looked at, and counted under `what`.

        `call` must run a compiled function, and is counted by the graphs that TensorFlow executed: optimized,
        placed and cut apart by device.  The first call raises MisplacedError where an operation was executed on
        another device, or none was seen at all.
        """

        def watched(*arguments: Any) -> Any:
            if what in self.operations:
                return call(*arguments)
            from cifar.backend import tensorflow

            result, executed = tensorflow.executed(lambda: call(*arguments))
            self.operations[what] = dict(Counter(device for device, _ in executed))
            self._check(what, executed)
            return result

        return watched

    def _check(self, what: str, executed: list[tuple[str, str]]) -> None:
        """Raise MisplacedError unless there are operations and all of them are on the device."""
        here = self.device.tensorflow_name
        elsewhere = sorted({f"{name} on {device}" for device, name in executed if device != here})
        if elsewhere or not executed:
            seen = ", ".join(elsewhere[:5]) or "no operation of a compiled function"
            message = f"{what} was to run on {self.device.name} ({here}), but there was {seen}"
            raise MisplacedError(message)


def watch_results(kind: str) -> Callable[[str, Callable[..., Any]], Callable[..., Any]]:
    """Return a `watch` for calls by JAX or PyTorch: whatever they return must lie on a device of `kind`, cpu or gpu.

    That is less than `Audit` sees: what they computed in between may have been elsewhere.
    """

    def watch(what: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*arguments: Any) -> Any:
            result = call(*arguments)
            places = {place for array in _arrays(result) for place in _places(array)}
            if places != {kind}:
                message = f"{what} was to run on the {kind}, but its results lie on {', '.join(sorted(places))}"
                raise MisplacedError(message)
            return result

        return watched

    return watch


def _arrays(result: Any) -> list[Any]:
    """The arrays in what a call returned."""
    if not isinstance(result, list | tuple):
        return [result]
    arrays = []
    for part in result:
        arrays.extend(_arrays(part))
    return arrays


def _places(array: Any) -> set[str]:
    """The kinds of devices that hold an array of JAX, which names them, or of PyTorch, which has one."""
    kinds = {place.platform for place in array.devices()} if hasattr(array, "devices") else {array.device.type}
    return {"gpu" if kind == "cuda" else str(kind) for kind in kinds}
