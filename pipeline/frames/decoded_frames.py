"""Frames that decode, in order of presentation."""

from collections.abc import Iterable, Iterator
from typing import Any

import av

from pipeline.frames.remarks import Remarks


def decoded_frames(packets: Iterable[Any], stream: Any, remarks: Remarks) -> Iterator[Any]:
    """Yield every frame that decodes, in order of presentation; damage is counted and skipped.

    MemoryError is raised, because a lack of memory is no damage of the file.

    Args:
        packets: Packets of the stream, in the order of the file.
        stream: PyAV stream.
        remarks: Counter of the packets that do not decode.
    """
    unread = iter(packets)
    while True:
        try:
            packet = next(unread)
        except StopIteration:
            return
        except MemoryError:
            raise
        except av.error.FFmpegError:
            remarks.num_errors += 1
            yield from stream.codec_context.decode(None)  # frames that the decoder still keeps
            return
        try:
            yield from packet.decode()
        except av.error.EOFError:
            return
        except MemoryError:
            raise
        except av.error.FFmpegError:
            remarks.num_errors += 1
