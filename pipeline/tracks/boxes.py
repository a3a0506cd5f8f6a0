"""Boxes of a track: interpolated where the face was not detected, smoothed, or unknown.

Letters: U sampled frames of a clip; N detections.
"""

from collections.abc import Sequence

import numpy as np

from pipeline.boxes import side_of
from pipeline.tracks.config import TrackConfig
from pipeline.types import Crops, FaceTrack, Floats, Ints


def interpolated(box_N4: Floats, at_N: Sequence[int] | Ints | Floats, wanted_U: Ints | Floats) -> Floats:
    """Interpolate boxes linearly between detections, and hold the first and the last one at both ends.

    Args:
        box_N4: Boxes of N detections.
        at_N: Their frame numbers or times, ascending.
        wanted_U: Frame numbers or times of the U frames.

    Returns:
        Boxes, float32 [U, 4].
    """
    return np.stack([np.interp(wanted_U, at_N, side) for side in box_N4.T], axis=1).astype(np.float32)


def smoothed(box_U4: Floats, config: TrackConfig) -> Floats:
    """Smooth each box by the weighted mean with its two neighbours; the first and the last stay.

    Each neighbour has the weight `config.smooth`, the box itself the rest. No edge moves by more than
    `config.max_shift` sides. A constant track is unchanged to the bit, a steady motion is not delayed,
    and no edge leaves its range over the track.
    """
    box = box_U4.astype(np.float64)
    middle = box[1:-1]
    shift = config.smooth * ((box[:-2] - middle) + (box[2:] - middle))
    limit = config.max_shift * side_of(middle)[:, None]
    box[1:-1] = middle + np.clip(shift, -limit, limit)
    smooth: Floats = box.astype(np.float32)
    return smooth


def no_track(num_frames: int) -> FaceTrack:
    """Return the track of a clip without a face."""
    return FaceTrack.of_one_person(
        np.full((num_frames, 4), np.nan, dtype=np.float32),
        np.zeros(num_frames, dtype=np.float32),
        np.zeros(num_frames, dtype=np.bool_),
    )


def track_of_crops(crops: Crops) -> FaceTrack:
    """Return the track of a subject with face crops of the dataset: no boxes, `found` by crop."""
    return FaceTrack.of_one_person(
        np.full((len(crops.found_U), 4), np.nan, dtype=np.float32),
        crops.found_U.astype(np.float32),
        crops.found_U,
    )
