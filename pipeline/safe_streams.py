"""Standard streams on which text of other people cannot control a terminal.

`errors.printable` is applied to each line of a command's own output. All other output (usage errors,
Python's warnings, logs of libraries, tracebacks) passes these streams, which replace every character that
is not printable, except line ends.
"""

import sys
from collections.abc import Iterable
from typing import Any, cast

from pipeline.errors import printable


class PrintableStream:
    """Text stream that replaces every character that is not printable, except line ends.

    It has no `buffer`, which would pass bytes unchanged. Other attributes are those of the wrapped stream.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    @property
    def rich_proxied_file(self) -> Any:
        """The wrapped stream. Rich writes to it, because its control sequences draw progress bars."""
        return self._stream

    def write(self, text: str) -> int:
        """Write the printable form of a text, and return the length of the text."""
        self._stream.write("\n".join(map(printable, text.split("\n"))))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts in order."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        if name in ("buffer", "_stream"):  # "_stream" is missing while the object is being copied
            raise AttributeError(name)
        return getattr(self._stream, name)


def guard_standard_streams() -> None:
    """Replace stdout and stderr of this process by a `PrintableStream` each."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, PrintableStream):
            setattr(sys, name, cast(Any, PrintableStream(stream)))
