"""One person in one window: the track, and the parts of frames that are the stream images.

The engine and `again` share these steps, so that both make equal images.

Letters: U sampled frames of a window, each once.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pipeline import streams as stream_step
from pipeline.process.config import ExtractConfig
from pipeline.process.follow import follow, searched_rows
from pipeline.process.windows.seen import SeenFrame, places_of
from pipeline.types import FaceTrack, FrameMeta


def track_of(
    meta: FrameMeta, seen: Sequence[SeenFrame], tracklet: int | None, config: ExtractConfig
) -> tuple[FrameMeta, FaceTrack, list[SeenFrame]]:
    """Return the sampled frames of a window, without those that only the track needs, and the track on them.

    Args:
        meta: The window's frames.
        seen: The same frames with pixels and faces.
        tracklet: The person; None for the subject that is chosen among everyone.
        config: The settings of all steps.
    """
    rows = set(searched_rows(meta.shot_U, config))
    places = [places_of(one, tracklet) if u in rows else [] for u, one in enumerate(seen)]
    faces = [one.faces.at(np.array(at, np.int64)) for one, at in zip(seen, places, strict=True)]
    looks = [one.looks[at] for one, at in zip(seen, places, strict=True)]
    images = [one.rgb_HWC for one in seen if one.rgb_HWC is not None]
    _, track = follow(meta, images, faces, looks, config)
    if len(sampled_U := meta.sampled_U) < len(meta.index_U):
        return meta.at(sampled_U), track.at(sampled_U), [seen[u] for u in sampled_U.tolist()]
    return meta, track, list(seen)


def masks_of(
    track: FaceTrack, meta: FrameMeta, seen: Sequence[SeenFrame], config: ExtractConfig, mask: str | None
) -> list[tuple[stream_step.Rectangle, ...]]:
    """Return the filled parts of each frame's scene.

    Args:
        track: The person's track.
        meta: The frames.
        seen: The same frames with their faces.
        config: The settings of all steps.
        mask: Faces that are filled: ``subject``, ``everyone`` or ``none``; None as in training.
    """
    if mask == "none":
        return [()] * len(seen)
    streams = config.streams if mask is None else replace(config.streams, scene="masked")
    size = (meta.height_px, meta.width_px)
    masks_U = stream_step.scene_masks(track, streams, *size)
    if mask != "everyone":
        return masks_U
    return [
        tuple(dict.fromkeys([*own, *(stream_step.rectangle_of(box, *size) for box in one.followed_boxes())]))
        for own, one in zip(masks_U, seen, strict=True)
    ]
