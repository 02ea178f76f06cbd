"""Go once through a file of `cifar prepare` that is not in the page cache.

    python larger.py FILE sequential|float32|uint8

Prints MB/s (10**6 bytes), and the process's memory.  For a limit run it in a control group, page cache included.
"""

import os
import sys
import time
from pathlib import Path

from cifar.workload.ahead import ahead
from cifar.workload.generator import DataGenerator

path, what = sys.argv[1:]
with Path(path).open("rb", buffering=0) as file:
    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    buffer, begin = bytearray(2**22), time.perf_counter()
    while what == "sequential" and file.readinto(buffer):
        pass
if what != "sequential":
    generator = DataGenerator(path, window=10_240, dtype=what)
    begin = time.perf_counter()
    for _batch in ahead(generator, threads=2):
        pass
rate = Path(path).stat().st_size / (time.perf_counter() - begin) / 1e6
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
sys.stdout.write(f"{what}: {rate:.0f} MB/s; peak {status['VmHWM'].strip()}, of its own {status['RssAnon'].strip()}\n")
