import dataclasses
import os

import cv2
import numpy as np
import pytest
import torch

from pipeline.errors import ClipError, FileError
from pipeline.process import prepare_clip
from pipeline.sheet import draw_faces, read_picture, shrunk, stream_row, stream_sheet, tile, write_png
from pipeline.types import Faces, FaceTrack, Streams
from tests.small_clips import small_models, write_clips


def face(box) -> Faces:
    return Faces(
        box_xyxy_px=np.array([box], np.float32),
        score=np.array([0.9], np.float32),
        landmark_xy_px=np.full((1, 5, 2), np.nan, np.float32),
    )


def test_a_picture_comes_back_as_it_was_written(tmp_path):
    picture = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)
    write_png(picture, tmp_path / "new" / "a.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "new" / "a.png"), picture)


@pytest.mark.parametrize(("content", "reason"), [(b"text", "not a readable image"), (b"", "not a readable")])
def test_what_is_no_picture_is_refused(tmp_path, content, reason):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ClipError, match=reason):
        read_picture(tmp_path / "a.png")
    with pytest.raises(ClipError, match="No such file"):
        read_picture(tmp_path / "none.png")


def test_a_box_is_drawn_where_it_is_and_the_picture_stays_whole():
    picture = np.zeros((60, 80, 3), np.uint8)
    drawn = draw_faces(picture, face((20, 30, 50, 55)))
    assert picture.sum() == 0
    assert drawn[30:56, 20].any(axis=1).all()
    assert drawn[55, 20:51].any(axis=1).all()
    assert not drawn[35:50, 25:45].any()


def test_a_score_at_the_edge_is_drawn_as_at_the_middle():
    def ink(x0):
        drawn = draw_faces(np.zeros((60, 120, 3), np.uint8), face((x0, 40, x0 + 9, 55)))
        return int(drawn[:38].any(axis=2).sum())

    assert ink(40) > 0
    assert ink(110) == ink(40)


def test_cells_stand_in_rows():
    cells = [np.full((5, 7, 3), value, np.uint8) for value in (100, 150, 200)]
    sheet = tile(cells, columns=2)
    assert sheet.shape == (2 * 9 + 4, 2 * 11 + 4, 3)
    assert (sheet[4:9, 15:22] == 150).all()
    assert (sheet[13:18, 4:11] == 200).all()
    assert (sheet[13:18, 15:22] == 24).all()


def test_the_sheet_shows_both_streams_of_every_frame(tmp_path):
    index = write_clips(tmp_path, num_good=1)
    clip = next(clip for clip in index.clips if "good" in clip.clip_id)
    prepared, rgb_UHWC = prepare_clip(index.root, clip, small_models())
    sheet = stream_sheet(prepared, rgb_UHWC, columns=4)
    side, caption = 64, 2 * 22
    assert sheet.shape == (caption + 3 * side + 8, 4 * (side + 4) + 4, 3)
    for u in range(4):
        left, top = 4 + u * (side + 4), 4 + caption + side
        face_there = torch.from_numpy(sheet[top : top + side, left : left + side]).permute(2, 0, 1)
        assert torch.equal(face_there, prepared.streams.face_U3SS[u])
        scene_there = sheet[top + side : top + 2 * side, left : left + side]
        np.testing.assert_array_equal(scene_there, prepared.streams.scene_U3SS[u].permute(1, 2, 0).numpy())


@pytest.mark.parametrize("has_face", [True, False])
def test_captions_keep_frame_and_seconds_whether_or_not_there_is_a_face(tmp_path, monkeypatch, has_face):
    index = write_clips(tmp_path, num_good=1)
    clip = next(clip for clip in index.clips if "good" in clip.clip_id)
    prepared, rgb_UHWC = prepare_clip(index.root, clip, small_models())
    if not has_face:
        track = FaceTrack.of_one_person(
            box_xyxy_px=np.full((4, 4), np.nan, np.float32),
            score=np.zeros(4, np.float32),
            found=np.zeros(4, np.bool_),
        )
        prepared = dataclasses.replace(prepared, track=track)
    streams = [torch.zeros((4, 3, 224, 224), dtype=torch.uint8)] * 2
    prepared = dataclasses.replace(prepared, streams=Streams(face_U3SS=streams[0], scene_U3SS=streams[1]))
    drawn = []
    put = cv2.putText
    monkeypatch.setattr(
        cv2, "putText", lambda image, text, *rest: drawn.append(text) or put(image, text, *rest)
    )
    stream_sheet(prepared, rgb_UHWC)
    captions = [text for text in drawn if not text.replace(".", "").isdecimal()]
    frames = zip(prepared.frames.index_U, prepared.frames.seconds_U, strict=True)
    expected = [f"frame {number}, {seconds:.2f} s" for number, seconds in frames]
    assert captions[::2] == expected
    assert ("found" if has_face else "no face") in captions[1::2]
    assert has_face != ("no face" in captions[1::2])


def test_a_row_shows_frame_and_streams_side_by_side(tmp_path):
    index = write_clips(tmp_path, num_good=1)
    clip = next(clip for clip in index.clips if "good" in clip.clip_id)
    prepared, rgb_UHWC = prepare_clip(index.root, clip, small_models())
    row = stream_row(prepared, rgb_UHWC[2], 2, "a caption")
    wide = round(128 * 64 / 96)
    assert row.shape == (22 + 64, wide + 2 * 64, 3)
    face = prepared.streams.face_U3SS[2].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(row[22:, wide : wide + 64], face)
    assert shrunk(row, 0.5).shape == (43, round((wide + 128) / 2), 3)


def test_a_picture_is_not_written_through_a_link(tmp_path):
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "a.png").symlink_to(tmp_path / "victim")
    with pytest.raises(FileError, match=r"a.png' is a link to '.*/victim'; a regular file is needed"):
        write_png(np.zeros((2, 2, 3), np.uint8), tmp_path / "a.png")
    assert (tmp_path / "victim").read_text() == "mine"


def test_a_pipe_or_a_file_beyond_all_measure_is_no_picture(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "large.png").touch()
    os.truncate(tmp_path / "large.png", 1 << 40)
    with pytest.raises(ClipError, match="open: '.*pipe.png' is a pipe; a regular file is needed"):
        read_picture(tmp_path / "pipe.png")
    with pytest.raises(ClipError, match="open: '.*large.png' has 1099511627776 bytes; allowed: 268435456"):
        read_picture(tmp_path / "large.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    with pytest.raises(ClipError, match="open: '.*zero.png' is a device"):
        read_picture(tmp_path / "zero.png")
