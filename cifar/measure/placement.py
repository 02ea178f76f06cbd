"""From a call to the operations that it executed, by device: shown to be on the one that was named, or refused."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from cifar.measure.devices import Device

# What hands over, waits or is known beforehand; it may stand on either side of a transfer.
_NO_WORK = {"_Arg", "_Retval", "_Send", "_Recv", "_HostSend", "_HostRecv", "Const", "NoOp"}


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

        def watched(*arguments: Any) -> Any:  # noqa: ANN401 those of `call`
            if what in self.operations:
                return call(*arguments)
            result, executed = _executed(lambda: call(*arguments))
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
        def watched(*arguments: Any) -> Any:  # noqa: ANN401 those of `call`
            result = call(*arguments)
            places = {place for array in _arrays(result) for place in _places(array)}
            if places != {kind}:
                message = f"{what} was to run on the {kind}, but its results lie on {', '.join(sorted(places))}"
                raise MisplacedError(message)
            return result

        return watched

    return watch


def _arrays(found: Any) -> list[Any]:  # noqa: ANN401 arrays, lists and tuples of them
    """The arrays in `found`."""
    return [array for part in found for array in _arrays(part)] if isinstance(found, list | tuple) else [found]


def _places(array: Any) -> set[str]:  # noqa: ANN401
    """The kinds of devices that hold an array of JAX or PyTorch."""
    kinds = {place.platform for place in array.devices()} if hasattr(array, "devices") else {array.device.type}
    return {"gpu" if kind == "cuda" else str(kind) for kind in kinds}


def _executed(call: Callable[[], Any]) -> tuple[Any, list[tuple[str, str]]]:
    """What `call` returns, and device and name of each operation in the compiled functions that it executed."""
    from tensorflow.python.eager import context  # noqa: PLC0415 - heavy; TensorFlow has no public name for it

    here = context.context()
    here.enable_run_metadata()
    try:
        here.export_run_metadata()  # what earlier calls have left there is dropped
        result = call()
        graphs = here.export_run_metadata().function_graphs
    finally:
        here.disable_run_metadata()
    nodes = (node for graph in graphs for part in graph.partition_graphs for node in part.node)
    return result, [(f"/{node.device.rpartition('/')[2]}", node.op) for node in nodes if node.op not in _NO_WORK]
