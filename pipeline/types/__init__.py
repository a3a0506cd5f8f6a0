"""One frozen type per stage in the processing of a clip, each checked when it is created.

``arrays``    names for arrays by their type of number
``checks``    the check that all types use
``notes``     remarks on a clip that was read
``clips``     a clip of a dataset, its split, its polarity, its boxes, its named subject
``datasets``  all clips of a dataset, and how it was read
``frames``    sampled frames, with and without pixels
``scans``     all frames of a long source without pixels, and one frame of it
``faces``     faces on a frame, face crops, people, one subject's track
``streams``   the face crop and the scene of every frame
``features``  output of the encoder
``outcomes``  features, or the step that failed
``earlier``   features of an earlier cache

Import from here: ``from pipeline.types import Frames``.
"""

from pipeline.types.arrays import Bools, Bytes, Doubles, Floats, Halves, Ints
from pipeline.types.clips import ClipRef, NamedSubject, Polarity, ProvidedBoxes, Split
from pipeline.types.datasets import DatasetIndex, ReadOptions
from pipeline.types.earlier import EarlierClip
from pipeline.types.faces import DOUBTFUL_NATS, Absence, Crops, Faces, FaceTrack, Person, Tracklet
from pipeline.types.features import EARLY_STATISTICS, NUM_EARLY_BLOCKS, Features
from pipeline.types.frames import FrameMeta, Frames
from pipeline.types.notes import EMPTY_WINDOW, WINDOW_BEYOND_END, Note, NoteKind
from pipeline.types.outcomes import STAGES, ClipDone, ClipFailed, ClipOutcome, SourceFile, Status
from pipeline.types.scans import SourceScan, StreamedFrame
from pipeline.types.streams import Streams

__all__ = [
    "Absence",
    "DOUBTFUL_NATS",
    "EARLY_STATISTICS",
    "EMPTY_WINDOW",
    "NUM_EARLY_BLOCKS",
    "STAGES",
    "WINDOW_BEYOND_END",
    "Bools",
    "Bytes",
    "ClipDone",
    "ClipFailed",
    "ClipOutcome",
    "ClipRef",
    "Crops",
    "DatasetIndex",
    "Doubles",
    "EarlierClip",
    "FaceTrack",
    "Faces",
    "Features",
    "Floats",
    "FrameMeta",
    "Frames",
    "Person",
    "ProvidedBoxes",
    "Halves",
    "Ints",
    "NamedSubject",
    "Note",
    "NoteKind",
    "Polarity",
    "ReadOptions",
    "SourceFile",
    "SourceScan",
    "Split",
    "Status",
    "StreamedFrame",
    "Streams",
    "Tracklet",
]
