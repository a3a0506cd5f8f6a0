"""Start of child processes that may crash or hang, and their limits.

Imports only the standard library, so that a child starts at once.
"""

import contextlib
import os
import resource
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGE_ROOT = Path(__file__).parents[1]
"""Directory of this program's code."""


def command(module: str, *arguments: object) -> list[str]:
    """Return the command that runs a module of this program in a child, with this process's Python."""
    return [sys.executable, "-P", "-m", module, *map(str, arguments)]


def environment(num_threads: int | None = 1) -> dict[str, str]:
    """Return this process's environment with this program's code on the path.

    Args:
        num_threads: Threads of each numerical library; None leaves the number to the library.
    """
    paths = [str(PACKAGE_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    names = () if num_threads is None else ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    own = {"PYTHONPATH": os.pathsep.join(paths), **dict.fromkeys(names, str(num_threads))}
    return {**os.environ, **own}


@contextlib.contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Block Ctrl-C for children that start inside the `with` block, also while they import their modules.

    A child inherits the signals that its parent's thread blocks. This process itself is still interrupted,
    at the latest when the `with` block ends.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def keep_memory_below(limit_bytes: int) -> None:
    """Limit this process's address space, never above an existing limit, and disable core dumps."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = limit_bytes if hard == resource.RLIM_INFINITY else min(hard, limit_bytes)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
