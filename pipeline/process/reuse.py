"""Features of an earlier cache in place of a clip's encoding, where its images are the same."""

import numpy as np

from pipeline.process.prepare import PreparedClip
from pipeline.store.rows import boxes_by_view
from pipeline.types import EarlierClip, Features


def reusable_features(clip: PreparedClip, earlier: EarlierClip | None) -> Features | None:
    """Return a clip's features in an earlier cache, if they were computed from the same images.

    They were if the file, the sampled frames and all boxes are equal to the bit, and the subject is in view
    on every frame. The caller checks that both caches have the same settings of frames, streams and encoder.

    Args:
        clip: The clip as it is prepared now.
        earlier: The clip in the earlier cache; None if it is not there or not done.

    Returns:
        The features; None if the clip must be encoded.
    """
    if earlier is None or earlier.source_sha256 != clip.source.sha256:
        return None
    same_frames = np.array_equal(earlier.frame_index_VT, clip.frames.index_U[clip.frames.position_VT])
    box_VT4 = boxes_by_view(clip.track.box_xyxy_px, clip.frames)
    same_boxes = np.array_equal(earlier.face_box_VT4, box_VT4, equal_nan=True)
    in_view = bool(earlier.in_view_VT.all() and clip.track.in_view_U.all())
    if not (same_frames and same_boxes and in_view and earlier.features.is_finite):
        return None
    return earlier.features
