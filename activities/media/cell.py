"""A program's cell: run as a script, it confines itself and becomes the program.

``python -I -S cell.py CPU_SECONDS MEMORY_BYTES FILE_BYTES PROGRAM ARGUMENT…``. It is a program of its own,
since nothing may run between the fork and the exec of a process that has threads. It imports the standard
library alone.
"""

import os
import resource
import signal
import sys

#: Media are looked into while nothing else wants the processor.
_NICENESS = 19
_OPEN_FILES = 64


def _confine(cpu_seconds: int, memory_bytes: int, file_bytes: int) -> None:
    for limit, most in (
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(limit)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(limit, (most, most))
    os.nice(_NICENESS)
    # Python ignores these, and what is ignored stays so in the program.
    for name in (signal.SIGXFSZ, signal.SIGPIPE):
        signal.signal(name, signal.SIG_DFL)


if __name__ == "__main__":
    _confine(*map(int, sys.argv[1:4]))
    os.execv(sys.argv[4], sys.argv[4:])  # noqa: S606 - there is no shell, and that is the point
