"""A peer in a process of its own: `python benchmarks/peers MODULE FD` answers the calls that come by the pipe FD.

A peer is a module with a class `Peer`:

- `Peer(weights, images, labels, *, rate, epsilon, **options)` builds the network from Keras's weights, and keeps
  batches float32 (k, n, 32, 32, 3) in [0, 1] and their one-hot labels float32 (k, n, 10) in memory, as the framework
  likes them.  `rate` is that of both dropouts, `epsilon` Adam's.
- `train(first, last)` does one step on each of the batches first to last - 1 and returns their mean loss, a float.
- `forward()` returns the probabilities of all images float32 (k * n, 10); of each batch before the next one begins.
- `weights()` returns the weights as they are now, in Keras's order and layout.
- `step_seconds()`, Keras's alone: of the last `train`, without what `fit` does once an epoch.

A call returns when its work is done.  What a peer prints, and why it failed, goes to the standard error.
"""

import importlib
import os
import sys
from multiprocessing.connection import Connection
from pathlib import Path


def answer(line, module):
    """Answer calls (name, arguments, options) until the other end is closed; `build` makes the peer."""
    peer = None
    while True:
        try:
            name, arguments, options = line.recv()
        except EOFError:
            return
        if name == "build":
            peer = module.Peer(*arguments, **options)
            line.send(None)
        elif name == "peak_bytes":
            status = Path("/proc/self/status").read_text(encoding="ascii")
            line.send(1024 * int(status.partition("VmHWM:")[2].split()[0]))
        else:
            line.send(getattr(peer, name)(*arguments, **options))


if __name__ == "__main__":
    os.dup2(2, 1)
    answer(Connection(int(sys.argv[2])), importlib.import_module(sys.argv[1]))
