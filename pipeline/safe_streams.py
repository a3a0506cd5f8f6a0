"""The standard streams, through which no character of somebody else's text controls a terminal.

`errors.printable` is applied to a command's own lines one by one. Whatever else writes (usage errors,
Python's warnings, logs of libraries, tracebacks) goes through these streams, which keep line ends and nothing
else that does not print.
"""

import sys
from collections.abc import Iterable
from typing import Any, cast

from pipeline.errors import printable


class PrintableStream:
    """A text stream that replaces what does not print, line ends excepted.

    It has no `buffer`, through which bytes would pass as they are. The rest is that of the stream behind it.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    @property
    def rich_proxied_file(self) -> Any:
        """The stream behind this one: rich writes there, whose own control sequences draw progress bars."""
        return self._stream

    def write(self, text: str) -> int:
        """Write the text as it may be shown; the number of characters that were given."""
        self._stream.write("\n".join(map(printable, text.split("\n"))))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write the texts, one after the other."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        if name in ("buffer", "_stream"):  # "_stream" is missing in a copy that is being made
            raise AttributeError(name)
        return getattr(self._stream, name)


def guard_standard_streams() -> None:
    """Let everything that this process writes to stdout and stderr pass a `PrintableStream`."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, PrintableStream):
            setattr(sys, name, cast(Any, PrintableStream(stream)))
