"""Outcome of a clip, as one row of every per-block array of the cache."""

from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.portable import portable
from pipeline.types import (
    Absence,
    ClipDone,
    ClipFailed,
    ClipOutcome,
    EarlierClip,
    Features,
    Floats,
    FrameMeta,
    Status,
)


def fill_row(rows: dict[str, npt.NDArray[Any]], row: int, outcome: ClipOutcome) -> None:
    """Write an outcome into one row of a block's arrays, which holds fill values or an older outcome.

    Args:
        rows: Per-block arrays by name, [clips of the block, ...], shapes and units as in the schema.
        row: Row of the clip within the block.
        outcome: The clip's features, or the reason of its failure.
    """
    if isinstance(outcome, ClipFailed):
        rows["source_sha256"][row] = outcome.source_sha256
        rows["stage"][row] = outcome.stage
        rows["reason"][row] = portable(outcome.reason)
        rows["status"][row] = Status.FAILED
        return
    rows["source_bytes"][row] = outcome.source.num_bytes
    rows["source_sha256"][row] = outcome.source.sha256
    frames, track, place_VT = outcome.frames, outcome.track, outcome.frames.position_VT
    rows["stage"][row] = ""
    rows["reason"][row] = "; ".join(map(str, frames.notes))
    rows["num_decoded"][row] = frames.num_decoded
    rows["source_size"][row] = frames.height_px, frames.width_px
    rows["frame_index"][row] = frames.index_U[place_VT]
    rows["frame_seconds"][row] = frames.seconds_U[place_VT]
    rows["frame_valid"][row] = frames.valid_VT
    rows["face_box"][row] = boxes_by_view(track.box_xyxy_px, frames)
    rows["face_score"][row] = track.score[place_VT]
    rows["face_found"][row] = track.found[place_VT]
    if "face_absence" in rows:
        _fill_people(rows, row, outcome)
    _fill_features(rows, row, outcome)
    rows["status"][row] = Status.DONE if track.has_face else Status.DONE_WITHOUT_FACE


def _fill_people(rows: dict[str, npt.NDArray[Any]], row: int, outcome: ClipDone) -> None:
    frames, place_VT = outcome.frames, outcome.frames.position_VT
    rows["face_absence"][row] = outcome.track.absence_U[place_VT]
    rows["shot"][row] = frames.shot_U[place_VT]
    rows["cuts"][row] = "" if frames.cuts is None else ",".join(map(str, frames.cuts)) or "none"
    rows["track_margin"][row] = outcome.track.margin
    rows["num_people"][row] = outcome.track.num_people


def _fill_features(rows: dict[str, npt.NDArray[Any]], row: int, outcome: ClipDone) -> None:
    features = outcome.features
    rows["face/embedding"][row] = features.face_embedding
    rows["scene/embedding"][row] = features.scene_embedding
    rows["scene/early"][row] = features.scene_early
    if "face/tokens" in rows:
        rows["face/tokens"][row] = features.face_tokens
        rows["scene/tokens"][row] = features.scene_tokens


def earlier_clip(values: dict[str, Any]) -> EarlierClip:
    """Return a clip of a cache, from its value in every per-block array, and in `face_absence`.

    The inverse of `fill_row`, as far as features are concerned.
    """
    features = Features(
        face_embedding=values["face/embedding"],
        scene_embedding=values["scene/embedding"],
        scene_early=values["scene/early"],
        face_tokens=values.get("face/tokens"),
        scene_tokens=values.get("scene/tokens"),
    )
    return EarlierClip(
        source_sha256=str(values["source_sha256"]),
        frame_index_VT=values["frame_index"],
        face_box_VT4=values["face_box"],
        in_view_VT=values["face_absence"] <= Absence.NOT_DETECTED,
        features=features,
    )


def boxes_by_view(box_U4: Floats, frames: FrameMeta) -> Floats:
    """Return the boxes in pixels, [V, T, 4]. Those of a mirrored view are of the mirrored frame."""
    box_VT4 = box_U4[frames.position_VT].copy()
    mirrored = np.array(frames.flip_V)
    box_VT4[mirrored] = np.stack(
        [
            frames.width_px - box_VT4[mirrored][..., 2],
            box_VT4[mirrored][..., 1],
            frames.width_px - box_VT4[mirrored][..., 0],
            box_VT4[mirrored][..., 3],
        ],
        axis=-1,
    )
    return box_VT4
