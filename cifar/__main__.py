"""`python -m cifar` is the command `cifar`."""

import sys

from cifar.cli import main

sys.exit(main())
