"""Backend for `torch.compile` in the steps."""

import shutil

from benchmarks.gpu_steps.context import Context
from benchmarks.gpu_steps.records import UnavailableError

_COMPILERS = ("cc", "gcc", "clang", "c++", "g++")


def compile_backend(context: Context) -> str:
    """Return the backend for `torch.compile`; a tiny run only traces, because compiling takes a minute.

    Raises UnavailableError without a C compiler.
    """
    if not context.options.is_tiny and not any(map(shutil.which, _COMPILERS)):
        msg = "needs a C compiler"
        raise UnavailableError(msg)
    return context.size("inductor", "aot_eager")
