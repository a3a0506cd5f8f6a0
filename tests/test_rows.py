import numpy as np

from pipeline.store.rows import fill_row
from pipeline.types import (
    ClipDone,
    ClipFailed,
    FaceTrack,
    Features,
    FrameMeta,
    Note,
    NoteKind,
    SourceFile,
    Status,
)

V, T, F, D = 2, 3, 5, 6


def empty_rows(n: int = 2) -> dict[str, np.ndarray]:
    return {
        "source_sha256": np.full(n, "", dtype=object),
        "stage": np.full(n, "", dtype=object),
        "reason": np.full(n, "", dtype=object),
        "status": np.zeros(n, np.uint8),
        "source_bytes": np.full(n, -1, np.int64),
        "num_decoded": np.zeros(n, np.int32),
        "source_size": np.zeros((n, 2), np.int32),
        "frame_index": np.full((n, V, T), -1, np.int32),
        "frame_seconds": np.full((n, V, T), np.nan, np.float32),
        "frame_valid": np.zeros((n, V, T), bool),
        "face_box": np.full((n, V, T, 4), np.nan, np.float32),
        "face_score": np.zeros((n, V, T), np.float32),
        "face_found": np.zeros((n, V, T), bool),
        "face/embedding": np.full((n, V, T, F), np.nan, np.float16),
        "scene/embedding": np.full((n, V, T, F), np.nan, np.float16),
        "scene/early": np.full((n, V, T, 4, 3, D), np.nan, np.float16),
    }


def done(found=(True, False)) -> ClipDone:
    box = np.array([[10, 20, 30, 50], [12, 20, 32, 50]], np.float32)
    found = np.array(found)
    return ClipDone(
        source=SourceFile(num_bytes=1234, sha256="ab"),
        frames=FrameMeta(
            index_U=np.array([4, 9]), seconds_U=np.array([0.4, 0.9], np.float32),
            position_VT=np.array([[0, 1, 1], [0, 1, 1]]), valid_VT=np.array([[True, True, False]] * 2),
            flip_V=(False, True), num_decoded=12, height_px=60, width_px=100,
            notes=(Note(NoteKind.OTHER, "one"), Note(NoteKind.DAMAGE, "two")),
        ),
        track=FaceTrack.of_one_person(
            box_xyxy_px=box if found.any() else np.full((2, 4), np.nan, np.float32),
            score=np.array([0.9, 0], np.float32) * found, found=found,
        ),
        features=Features(
            face_embedding=np.ones((V, T, F), np.float16), scene_embedding=np.ones((V, T, F), np.float16),
            scene_early=np.ones((V, T, 4, 3, D), np.float16),
        ),
    )  # fmt: skip


def test_a_done_clip_is_laid_out_by_view_and_frame():
    rows = empty_rows()
    fill_row(rows, 1, done())
    assert rows["status"].tolist() == [Status.PENDING, Status.DONE]
    assert rows["frame_index"][1].tolist() == [[4, 9, 9], [4, 9, 9]]
    assert rows["frame_valid"][1].tolist() == [[True, True, False]] * 2
    assert rows["face_found"][1].tolist() == [[True, False, False]] * 2
    assert done().has_note(NoteKind.DAMAGE)
    assert rows["reason"][1] == "one; two"
    assert rows["source_bytes"].tolist() == [-1, 1234]
    assert rows["source_size"][1].tolist() == [60, 100]
    assert rows["frame_index"][0].tolist() == [[-1] * 3] * 2


def test_boxes_of_a_mirrored_view_are_mirrored():
    rows = empty_rows()
    fill_row(rows, 0, done())
    assert rows["face_box"][0, 0].tolist() == [[10, 20, 30, 50], [12, 20, 32, 50], [12, 20, 32, 50]]
    assert rows["face_box"][0, 1].tolist() == [[70, 20, 90, 50], [68, 20, 88, 50], [68, 20, 88, 50]]


def test_a_clip_without_a_face_is_kept_and_flagged():
    rows = empty_rows()
    fill_row(rows, 0, done(found=(False, False)))
    assert rows["status"][0] == Status.DONE_WITHOUT_FACE
    assert np.isnan(rows["face_box"][0]).all()
    assert (rows["face/embedding"][0] == 1).all()


def test_a_retried_clip_forgets_its_failure_and_a_failed_one_says_why():
    rows = empty_rows()
    fill_row(rows, 0, ClipFailed(stage="decode", reason="no frame decodes", source_sha256="cd"))
    assert (rows["status"][0], rows["stage"][0], rows["reason"][0]) == (3, "decode", "no frame decodes")
    assert np.isnan(rows["scene/early"][0]).all()
    fill_row(rows, 0, done())
    assert (rows["status"][0], rows["stage"][0], rows["source_sha256"][0]) == (1, "", "ab")
