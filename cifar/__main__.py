"""`python -m cifar` is the command `cifar`."""

import os
import sys

_HERE = os.getcwd()  # noqa: PTH109 pathlib would be looked for there
if sys.path[:1] == [_HERE] and os.path.dirname(os.path.dirname(os.path.abspath(__file__))) != _HERE:  # noqa: PTH100, PTH120
    # Python looks into the working folder first, whose random.py or numpy.py is none of ours.
    del sys.path[0]

from cifar.cli import main  # noqa: E402 only now

sys.exit(main())
