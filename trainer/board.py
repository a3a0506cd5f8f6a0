"""A run's settings, numbers by epoch and figures -> TensorBoard's event file.

TensorBoard's own writer opens files by path, which would follow links.
Format: one record per `Event`, with length and checksums (tensorboard.summary.writer.record_writer).
"""

import struct
import time
from collections.abc import Mapping
from io import BytesIO

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams.api_pb2 import STATUS_SUCCESS
from tensorboard.plugins.hparams.metadata import (
    NULL_TENSOR,
    SESSION_END_INFO_TAG,
    create_summary_metadata,
)
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.summary.writer.record_writer import RecordWriter

from pipeline.own_dir import OwnDir

BoardSettings = Mapping[str, str | float | bool]
EVENTS = "events.out.tfevents."
_VERSION = "brain.Event:2"
"""Version of the format, in the first record of every file."""
_PNG_SIZE = slice(16, 24)
"""Bytes of width and height in a PNG file."""


class Board:
    """Event file of a run. TensorBoard finds it by "tfevents" in its name.

    Args:
        run_dir: Directory of the run.
        settings: Settings for TensorBoard's tab HPARAMS, by ``section.key``.
    """

    def __init__(self, run_dir: OwnDir, settings: BoardSettings) -> None:
        self._run_dir = run_dir
        self._name = f"{EVENTS}{int(time.time()):010d}"
        self._append(Event(wall_time=time.time(), file_version=_VERSION))
        self._add(hparams_pb(dict(settings), trial_id=run_dir.name), 0)

    def add(self, values: Mapping[str, float], step: int) -> None:
        """Append a number for each name. Raises FileError if the file cannot be written."""
        self._add(Summary(value=[Summary.Value(tag=tag, simple_value=v) for tag, v in values.items()]), step)

    def add_image(self, tag: str, png: bytes, step: int) -> None:
        """Append a PNG image. Raises FileError if the file cannot be written."""
        width, height = struct.unpack(">II", png[_PNG_SIZE])
        image = Summary.Image(width=width, height=height, colorspace=4, encoded_image_string=png)
        self._add(Summary(value=[Summary.Value(tag=tag, image=image)]), step)

    def finish(self) -> None:
        """Mark the run as finished. Raises FileError if the file cannot be written."""
        ended = SessionEndInfo(status=STATUS_SUCCESS, end_time_secs=time.time())
        metadata = create_summary_metadata(HParamsPluginData(session_end_info=ended))
        value = Summary.Value(tag=SESSION_END_INFO_TAG, metadata=metadata, tensor=NULL_TENSOR)
        self._add(Summary(value=[value]), 0)

    def _add(self, summary: Summary, step: int) -> None:
        self._append(Event(wall_time=time.time(), step=step, summary=summary))

    def _append(self, event: Event) -> None:
        framed = BytesIO()
        RecordWriter(framed).write(event.SerializeToString())
        self._run_dir.append(self._name, framed.getvalue())
