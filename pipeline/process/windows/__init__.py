"""From a long source to every person's features in every window, in bounded memory.

``plan``      windows, from the times of frames and the cuts (pure)
``tracks``    tracks of everyone, while frames are read in order
``track_parts``  what was added to a track, to be stored
``seen``      a frame with its faces, as long as windows need it
``samples``   one person in one window, and the conditions of an answer
``pictures``  stream images, each encoded once
``person``    a person's track in a window, and the parts of frames that are images
``waiting``   samples, until the images of each are encoded
``engine``    from frames in order to samples
``reader``    from a file to samples
``again``     one person in one window made again, as images
``cells``     scene images without one cell of a grid
"""

from pipeline.frames import PartDecoder, outline_source, scan_source, stream_frames
from pipeline.process.windows.again import WindowAgain, encode_streams, make_again
from pipeline.process.windows.cells import GRID, encode_scenes, grid_cells, with_filled
from pipeline.process.windows.engine import WindowEngine
from pipeline.process.windows.plan import Window, WindowPlan, clock_of, plan_windows
from pipeline.process.windows.reader import WindowBatch, WindowReader
from pipeline.process.windows.samples import (
    ALL,
    MAIN,
    MASKS,
    FoundFace,
    WindowOptions,
    WindowSample,
    in_view_of,
    reason_for,
)
from pipeline.process.windows.track_parts import TrackPart

__all__ = [
    "ALL",
    "GRID",
    "MAIN",
    "MASKS",
    "FoundFace",
    "PartDecoder",
    "TrackPart",
    "Window",
    "WindowAgain",
    "WindowBatch",
    "WindowEngine",
    "WindowOptions",
    "WindowPlan",
    "WindowReader",
    "WindowSample",
    "clock_of",
    "encode_scenes",
    "encode_streams",
    "grid_cells",
    "in_view_of",
    "make_again",
    "plan_windows",
    "reason_for",
    "outline_source",
    "scan_source",
    "stream_frames",
    "with_filled",
]
