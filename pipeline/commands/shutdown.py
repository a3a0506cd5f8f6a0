"""End of a command without waiting for threads that are inside a long matrix product."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.commands.options import EXIT_INTERRUPTED
from pipeline.errors import OusError
from pipeline.terminal import leave_at_once, say, show_error


@contextmanager
def ends_at_once(stopped: str) -> Iterator[None]:
    """End the process after Ctrl-C, or after a known error while a block is still being computed.

    The interpreter's own shutdown unloads libraries that such a thread still uses, which crashes.

    Args:
        stopped: Text that is printed after Ctrl-C.
    """
    from pipeline.executor import is_at_work

    try:
        yield
    except KeyboardInterrupt:
        say(stopped)
        leave_at_once(EXIT_INTERRUPTED)
    except (OusError, OSError) as error:
        if is_at_work():
            leave_at_once(show_error(error))
        raise
