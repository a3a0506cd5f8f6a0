"""A clip of an earlier cache, whose features can be used again.

Letters: V views; T frames per view.
"""

from dataclasses import dataclass

from pipeline.types.arrays import Bools, Floats, Ints
from pipeline.types.features import Features


@dataclass(frozen=True, kw_only=True)
class EarlierClip:
    """Features of a clip, and the images that they were computed from, as an earlier cache stores them."""

    source_sha256: str
    """Hash of the clip's file."""
    frame_index_VT: Ints
    """[V, T] numbers of the sampled frames."""
    face_box_VT4: Floats
    """[V, T, 4] boxes of the subject, in pixels of the frame as its view shows it."""
    in_view_VT: Bools
    """[V, T], false where the subject is not in view, so that settings choose the images."""
    features: Features
    """Output of the encoder."""
