"""The end of a command whose threads may still be inside a long product: it does not wait for them."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.commands.options import EXIT_INTERRUPTED
from pipeline.errors import OusError
from pipeline.terminal import leave_at_once, say, show_error


@contextmanager
def ends_at_once(stopped: str) -> Iterator[None]:
    """On Ctrl-C say `stopped` and end the process; on a known error too, if a block is still under way.

    An interpreter that ends in order takes the libraries from under such a thread, and crashes.
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
