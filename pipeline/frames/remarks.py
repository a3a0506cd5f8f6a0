"""Notes on a video: damage, odd times, interlaced frames, HDR transfer, further streams."""

from collections.abc import Sequence
from typing import Any

from pipeline.errors import counted, some
from pipeline.types import Note, NoteKind

_HDR_TRANSFERS = {16: "PQ (SMPTE ST 2084)", 18: "HLG (ARIB STD-B67)"}
"""HDR transfers by their numbers in ITU-T H.273, table 3."""


class Remarks:
    """Counter of unusual packets and frames of one pass.

    Attributes:
        num_errors: Packets that did not decode, counted by the caller.
    """

    def __init__(self) -> None:
        self.num_errors = 0
        self._num_corrupt = 0
        self._num_interlaced = 0
        self._num_untimed = 0
        self._transfers: dict[int, int] = {}

    def add(self, frame: Any) -> None:
        """Count a frame of the clip."""
        self._num_corrupt += bool(frame.is_corrupt)
        self._num_interlaced += bool(frame.interlaced_frame)
        self._num_untimed += frame.pts is None
        if frame.color_trc in _HDR_TRANSFERS:
            self._transfers[frame.color_trc] = self._transfers.get(frame.color_trc, 0) + 1

    @property
    def num_untimed(self) -> int:
        """Frames without a time stamp."""
        return self._num_untimed

    def merge(self, other: "Remarks") -> None:
        """Add the counts of another pass."""
        self.num_errors += other.num_errors
        self._num_corrupt += other._num_corrupt
        self._num_interlaced += other._num_interlaced
        self._num_untimed += other._num_untimed
        for transfer, many in other._transfers.items():
            self._transfers[transfer] = self._transfers.get(transfer, 0) + many

    def notes(self, num_jumps: int) -> list[Note]:
        """Return notes on everything that was counted.

        Args:
            num_jumps: Number of times that time stamps went back (`clock.RunningClock`).
        """
        notes = []
        if self.num_errors:
            notes.append(Note(NoteKind.DAMAGE, f"{counted(self.num_errors, 'packet')} did not decode"))
        if self._num_corrupt:
            notes.append(Note(NoteKind.DAMAGE, f"{counted(self._num_corrupt, 'frame')} marked corrupt"))
        if self._num_untimed:
            text = f"{counted(self._num_untimed, 'frame')} without a time stamp; times follow the frame rate"
            notes.append(Note(NoteKind.TIMES, text))
        if num_jumps:
            text = f"time stamps go back {counted(num_jumps, 'time')}; times continue from there"
            notes.append(Note(NoteKind.TIMES, text))
        for transfer, many in sorted(self._transfers.items()):
            text = (
                f"{counted(many, 'frame')} with the HDR transfer {_HDR_TRANSFERS[transfer]}, not tone-mapped"
            )
            notes.append(Note(NoteKind.HDR, text))
        if self._num_interlaced:
            text = f"{counted(self._num_interlaced, 'frame')} interlaced, not deinterlaced"
            notes.append(Note(NoteKind.INTERLACED, text))
        return notes


def note_streams(videos: Sequence[Any]) -> list[Note]:
    """Return a note if there are video streams besides the first one, which is read."""
    if len(videos) == 1:
        return []
    read, *others = map(_named, videos)
    text = f"{len(videos)} video streams: stream {read} is read, not {some(others)}"
    return [Note(NoteKind.STREAMS, text)]


def _named(stream: Any) -> str:
    """Return number and size of a video stream in words; PyAV knows no size for an unknown codec."""
    decoder = stream.codec_context
    return (
        f"{stream.index} ({decoder.width}x{decoder.height})" if decoder else f"{stream.index} (unknown codec)"
    )
