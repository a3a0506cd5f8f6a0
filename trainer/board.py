"""A run's numbers by epoch -> TensorBoard's event file.

TensorBoard's own writer opens files by path, which would follow links.
Format: one record per `Event`, with length and checksums (tensorboard.summary.writer.record_writer).
"""

import time
from collections.abc import Mapping
from io import BytesIO

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from pipeline.own_dir import OwnDir

_VERSION = "brain.Event:2"
"""Version of the format, in the first record of every file."""


class Board:
    """Event file of a run. TensorBoard finds it by "tfevents" in its name."""

    def __init__(self, run_dir: OwnDir) -> None:
        self._run_dir = run_dir
        self._name = f"events.out.tfevents.{int(time.time()):010d}"
        self._append(Event(wall_time=time.time(), file_version=_VERSION))

    def add(self, values: Mapping[str, float], step: int) -> None:
        """Append a number for each name. Raises FileError if the file cannot be written."""
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=v) for tag, v in values.items()])
        self._append(Event(wall_time=time.time(), step=step, summary=summary))

    def _append(self, event: Event) -> None:
        framed = BytesIO()
        RecordWriter(framed).write(event.SerializeToString())
        self._run_dir.append(self._name, framed.getvalue())
