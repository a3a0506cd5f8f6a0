"""Every stage's type refuses, at birth, what the next step could not use."""

import hashlib
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.errors import DatasetError
from pipeline.types import (
    STAGES,
    ClipFailed,
    ClipRef,
    DatasetIndex,
    Faces,
    FaceTrack,
    Features,
    FrameMeta,
    Frames,
    Polarity,
    ProvidedBoxes,
    Split,
    Status,
    Streams,
)

NAN = float("nan")


def boxes(*rows: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(rows, dtype=np.float32).reshape(-1, 4)


def frames() -> Frames:
    """Three frames of a clip of ten, in two views of four; the second view is mirrored."""
    meta = FrameMeta(
        index_U=np.array([0, 4, 9]),
        seconds_U=np.array([0.0, 0.16, 0.36], dtype=np.float32),
        position_VT=np.array([[0, 1, 2, 2], [0, 1, 2, 2]]),
        valid_VT=np.array([[True, True, True, False]] * 2),
        flip_V=(False, True),
        num_decoded=10,
        height_px=4,
        width_px=6,
    )
    return Frames(meta=meta, rgb_UHWC=np.zeros((3, 4, 6, 3), dtype=np.uint8))


def clip(clip_id: str = "a", label: int = 0, splits: tuple[Split, ...] = (Split.TRAIN,)) -> ClipRef:
    return ClipRef(clip_id=clip_id, path=f"{clip_id}.mp4", label=label, splits=splits)


def index(*clips: ClipRef) -> DatasetIndex:
    return DatasetIndex(
        name="toy", root=Path("toy"), class_names=("happiness", "sadness"), fold_names=("1",), clips=clips
    )


def features(views: int = 1, num_frames: int = 2) -> Features:
    half = np.float16
    return Features(
        face_embedding=np.zeros((views, num_frames, 8), half),
        scene_embedding=np.zeros((views, num_frames, 8), half),
        scene_early=np.zeros((views, num_frames, 4, 3, 16), half),
    )


def test_the_numbers_that_a_cache_stores_never_change() -> None:
    assert {split.name: int(split) for split in Split} == {
        "ABSENT": 0,
        "TRAIN": 1,
        "VALIDATION": 2,
        "TEST": 3,
    }
    assert {p.name: int(p) for p in Polarity} == {"UNKNOWN": -1, "NEGATIVE": 0, "NEUTRAL": 1, "POSITIVE": 2}
    assert {status.name: int(status) for status in Status} == {
        "PENDING": 0,
        "DONE": 1,
        "DONE_WITHOUT_FACE": 2,
        "FAILED": 3,
    }


def test_a_value_cannot_be_changed_after_its_birth() -> None:
    with pytest.raises(FrozenInstanceError):
        clip().label = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("box_xyxy", "frame_index", "message"),
    [
        (np.zeros((2, 3), np.float32), None, r"boxes are \[K, 4\]"),
        (np.zeros(4, np.float32), None, r"boxes are \[K, 4\]"),
        (boxes((0, 0, NAN, 5)), None, r"box coordinates must be finite: \[0.0, 0.0, nan, 5.0\]"),
        (boxes((0, 0, 0, 5)), None, "a box needs x1 > x0 and y1 > y0"),
        (boxes((0, 5, 9, 4)), None, r"a box needs x1 > x0 and y1 > y0: \[0.0, 5.0, 9.0, 4.0\]"),
        (boxes((0, 0, 5, 5), (0, 0, 6, 6)), None, "boxes without frame numbers: exactly one, not 2"),
        (boxes((0, 0, 5, 5)), np.array([0, 1]), "one frame number per box: 2 for 1"),
    ],
)
def test_provided_boxes_refuse(box_xyxy: np.ndarray, frame_index: np.ndarray | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ProvidedBoxes(box_xyxy=box_xyxy, frame_index=frame_index)


def test_provided_boxes_are_one_for_all_frames_or_one_per_frame_number() -> None:
    assert ProvidedBoxes(box_xyxy=boxes((0, 0, 5, 5))).frame_index is None
    per_frame = ProvidedBoxes(box_xyxy=boxes((0, 0, 5, 5), (1, 1, 6, 6)), frame_index=np.array([0, 7]))
    assert len(per_frame.box_xyxy) == 2


def test_the_hash_of_provided_boxes_holds_their_units_and_that_of_pixels_stays() -> None:
    box = boxes((0, 0, 1, 1))
    pixels, relative = ProvidedBoxes(box_xyxy=box), ProvidedBoxes(box_xyxy=box, is_relative=True)
    assert pixels.sha256() == hashlib.sha256(box.astype("<f4").tobytes()).hexdigest()
    assert relative.sha256() != pixels.sha256()
    assert pixels.box_xyxy_px(60, 80).tolist() == [[0, 0, 1, 1]]
    assert relative.box_xyxy_px(60, 80).tolist() == [[0, 0, 80, 60]]


def test_a_data_set_without_clips_is_refused() -> None:
    with pytest.raises(DatasetError, match=r"^Dataset toy at toy has no clips\.$"):
        index()


def test_a_clip_id_that_appears_twice_is_named() -> None:
    with pytest.raises(DatasetError, match=r"^Clip id 'b' appears twice in toy"):
        index(clip("a"), clip("b"), clip("b"))


@pytest.mark.parametrize(
    ("clips", "message"),
    [
        ((clip("b"), clip("a")), "clips must be in order of their id: 'a' after 'b'"),
        ((clip("a", splits=()),), "a: one split per fold, not 0 for 1"),
        ((clip("a", label=2),), "a: label out of range: 2 of 2 classes"),
        ((clip("a", label=-2),), "a: label out of range"),
    ],
)
def test_a_data_set_index_refuses(clips: tuple[ClipRef, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        index(*clips)


def test_a_clip_may_be_without_a_label() -> None:
    assert index(clip("a", label=-1), clip("b", label=1)).clips[0].label == -1


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.zeros((3, 4, 6), np.uint8), r"frames are \[U, H, W, 3\], not \[3, 4, 6\]"),
        (np.zeros((3, 4, 6, 4), np.uint8), r"frames are \[U, H, W, 3\], not \[3, 4, 6, 4\]"),
        (np.zeros((3, 4, 6, 3), np.float32), "frames are uint8, not float32"),
        (np.zeros((2, 4, 6, 3), np.uint8), r"pixels of the frames are \[2, 4, 6\], expected: \[3, 4, 6\]"),
        (np.zeros((3, 6, 4, 3), np.uint8), r"pixels of the frames are \[3, 6, 4\], expected: \[3, 4, 6\]"),
    ],
)
def test_pixels_refuse(pixels: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(frames(), rgb_UHWC=pixels)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"index_U": np.zeros(0, np.int64)}, r"one index per frame and one time, not indices \[0\]"),
        ({"seconds_U": np.zeros(2, np.float32)}, r"one index per frame.* \[3\], times \[2\]"),
        ({"index_U": np.array([0, 4, 4])}, r"frame indices must rise: \[0, 4, 4\]"),
        ({"index_U": np.array([-1, 4, 9])}, "index out of range: -1 to 9 of 10 frames"),
        ({"index_U": np.array([0, 4, 10])}, "index out of range: 0 to 10 of 10 frames"),
        ({"valid_VT": np.ones((2, 3), bool)}, r"one validity per position, not \[2, 3\] for \[2, 4\]"),
        ({"flip_V": (False,)}, "one flip per view, not 1 for 2"),
        ({"position_VT": np.array([[0, 1, 2, 3], [0, 1, 2, 2]])}, "position out of range: 0 to 3 of 3"),
        ({"position_VT": np.array([[-1, 1, 2, 2], [0, 1, 2, 2]])}, "position out of range: -1 to 2 of 3"),
        (
            {"valid_VT": np.array([[False, True, True, True]] * 2)},
            r"the first frame of a view is always valid, not \[False, False\]",
        ),
        ({"width_px": 0}, "frames have pixels, not 0x4"),
    ],
)
def test_frames_refuse(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(frames().meta, **change)


@pytest.mark.parametrize(
    ("num_boxes", "num_scores", "num_landmarks", "message"),
    [
        (2, 1, 2, "one score per box, not"),
        (2, 2, 1, r"landmarks are \[K, 5, 2\]"),
    ],
)
def test_faces_refuse(num_boxes: int, num_scores: int, num_landmarks: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Faces(
            box_xyxy_px=np.zeros((num_boxes, 4), np.float32),
            score=np.zeros(num_scores, np.float32),
            landmark_xy_px=np.zeros((num_landmarks, 5, 2), np.float32),
        )


def test_a_frame_may_show_no_face() -> None:
    empty = Faces(
        box_xyxy_px=boxes(), score=np.zeros(0, np.float32), landmark_xy_px=np.zeros((0, 5, 2), np.float32)
    )
    assert len(empty.box_xyxy_px) == 0


def track(box_xyxy_px: np.ndarray, found: list[bool]) -> FaceTrack:
    return FaceTrack.of_one_person(
        box_xyxy_px=box_xyxy_px, score=np.zeros(len(found), np.float32), found=np.array(found, dtype=bool)
    )


def test_a_track_has_boxes_on_every_frame_or_on_none() -> None:
    full = boxes((0, 0, 5, 5), (1, 1, 6, 6))
    none = np.full((2, 4), np.nan, np.float32)
    assert track(full, [True, False]).has_face
    assert not track(none, [False, False]).has_face
    half = full.copy()
    half[1] = np.nan
    assert track(none, [True, False]).has_face
    assert not track(none, [True, False]).has_boxes
    for box_xyxy_px, found in [(full, [False, False]), (half, [True, False])]:
        with pytest.raises(ValueError, match="boxes on all frames or on none, and on none without a face"):
            track(box_xyxy_px, found)


def test_a_track_has_one_score_per_frame() -> None:
    with pytest.raises(ValueError, match=r"one score per frame, not \[2\] and \[2\] for 1"):
        track(boxes((0, 0, 5, 5)), [True, True])


@pytest.mark.parametrize(
    ("face", "scene", "message"),
    [
        (torch.zeros(2, 3, 8, 9, dtype=torch.uint8), None, r"face stream is \[U, 3, S, S\]"),
        (torch.zeros(2, 1, 8, 8, dtype=torch.uint8), None, r"face stream is \[U, 3, S, S\]"),
        (torch.zeros(0, 3, 8, 8, dtype=torch.uint8), None, r"face stream is \[U, 3, S, S\]"),
        (None, torch.zeros(2, 3, 8, 8), "scene stream is uint8"),
        (None, torch.zeros(1, 3, 8, 8, dtype=torch.uint8), "streams must have one shape"),
    ],
)
def test_streams_refuse(face: torch.Tensor | None, scene: torch.Tensor | None, message: str) -> None:
    good = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
    with pytest.raises(ValueError, match=message):
        Streams(
            face_U3SS=good if face is None else face,
            scene_U3SS=good if scene is None else scene,
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"scene_embedding": np.zeros((1, 3, 8), np.float16)},
            r"embeddings: one shape, not \[1, 2, 8\] and \[1, 3, 8\]",
        ),
        ({"scene_early": np.zeros((1, 2, 3, 3, 16), np.float16)}, r"scene_early is \[V, T, 4, 3, D\]"),
        (
            {"face_tokens": np.zeros((1, 2, 5, 16), np.float16)},
            "tokens: both or none, not face True, scene False",
        ),
    ],
)
def test_features_refuse(change: dict[str, object], message: str) -> None:
    good = features()
    with pytest.raises(ValueError, match=message):
        replace(good, **change)


def test_a_failed_clip_names_a_known_stage_and_a_reason() -> None:
    for stage in STAGES[1:]:
        assert ClipFailed(stage=stage, reason="why").stage == stage
    with pytest.raises(ValueError, match="unknown stage 'paint'"):
        ClipFailed(stage="paint", reason="why")
    with pytest.raises(ValueError, match="unknown stage ''"):
        ClipFailed(stage="", reason="why")
    with pytest.raises(ValueError, match="a failure needs a reason"):
        ClipFailed(stage="open", reason="")
