import os

import numpy as np
import pytest

from pipeline.frames import FrameConfig, decode_clip, folder, frame_buffer, sample_indices
from pipeline.frames import picture as picture_step
from pipeline.frames.file_hashes import source_of
from pipeline.frames.requests import Decoded, DecodeJob, decode_job
from pipeline.pictures import PictureFolder
from pipeline.types import ClipFailed
from tests.picture_folders import BROKEN, cut_short, picture, write_folder
from tests.tiny_videos import HEIGHT, WIDTH, numbers, read_plainly, texts, write_video


def decoded(path, num_frames=4, **job):
    answer = decode_job(DecodeJob(path=path, config=FrameConfig(num_frames=num_frames), **job))
    assert isinstance(answer, Decoded), answer
    return answer


def refused(path, num_frames=4, **job):
    answer = decode_job(DecodeJob(path=path, config=FrameConfig(num_frames=num_frames), **job))
    assert isinstance(answer, ClipFailed), answer
    return f"{answer.stage}: {answer.reason}"


@pytest.fixture
def reads(monkeypatch):
    """The names of the pictures that are decoded, in order."""
    names = []
    whole = picture_step.read_upright
    monkeypatch.setattr(folder, "read_upright", lambda path: names.append(path.name) or whole(path))
    return names


@pytest.mark.parametrize("num_frames", [1, 4, 16, 40])
def test_a_folder_of_a_video_s_frames_gives_the_frames_of_the_video(tmp_path, num_frames):
    video = write_video(tmp_path / "a.mp4", 30, num_b_frames=2)
    frames = write_folder(tmp_path / "a", read_plainly(video))
    config = FrameConfig(num_frames=num_frames, num_views=3)
    one = decode_clip(video, config)
    other = decode_job(DecodeJob(path=frames, config=config)).frames
    np.testing.assert_array_equal(one.rgb_UHWC, other.rgb_UHWC)
    for name in ("index_U", "position_VT", "valid_VT"):
        np.testing.assert_array_equal(getattr(one.meta, name), getattr(other.meta, name))
    assert (one.meta.flip_V, one.meta.num_decoded) == (other.meta.flip_V, other.meta.num_decoded)
    assert np.isnan(other.meta.seconds_U).all()
    assert other.meta.notes == ()


def test_frames_come_in_natural_order_and_only_the_sampled_ones_are_decoded(tmp_path, reads):
    answer = decoded(write_folder(tmp_path / "a", 30), 5)
    assert numbers(answer.frames.rgb_UHWC) == answer.frames.meta.index_U.tolist() == [3, 9, 15, 21, 27]
    assert reads == ["4.png", "10.png", "16.png", "22.png", "28.png"]


def test_a_single_picture_is_a_clip_of_one_frame_that_repeats(tmp_path):
    frames = decoded(write_folder(tmp_path / "a", 1)).frames
    assert frames.meta.num_decoded == 1
    assert frames.meta.position_VT.tolist() == [[0, 0, 0, 0]]
    assert frames.meta.valid_VT.tolist() == [[True, False, False, False]]


def test_a_picture_without_a_header_does_not_count(tmp_path, reads):
    clip = write_folder(tmp_path / "a", 9)
    (clip / "1.png").write_bytes(BROKEN)
    (clip / "5.png").write_bytes(b"")
    frames = decoded(clip, 7).frames
    assert frames.meta.num_decoded == 7
    assert numbers(frames.rgb_UHWC) == [1, 2, 3, 5, 6, 7, 8]
    assert texts(frames.meta.notes) == ("2 images did not decode: 1.png, 5.png",)
    assert len(reads) == 7


def test_where_a_sampled_picture_is_broken_indices_go_over_those_that_decode(tmp_path, reads):
    clip = write_folder(tmp_path / "a", 12)
    for name in ("2.png", "7.png"):
        cut_short(clip / name)
    frames = decoded(clip, 4).frames
    sound = [number for number in range(12) if number not in (1, 6)]
    index_VT, _ = sample_indices(10, FrameConfig(num_frames=4))
    assert frames.meta.num_decoded == 10
    assert frames.meta.index_U.tolist() == index_VT[0].tolist()
    assert numbers(frames.rgb_UHWC) == [sound[place] for place in index_VT[0]]
    assert texts(frames.meta.notes) == ("2 images did not decode: 2.png, 7.png",)
    assert len(reads) <= 4 + 12 + 4


def test_a_broken_picture_that_is_not_sampled_costs_nothing(tmp_path, reads):
    clip = write_folder(tmp_path / "a", 30)
    cut_short(clip / "1.png")
    frames = decoded(clip, 5).frames
    assert (frames.meta.num_decoded, frames.meta.notes) == (30, ())
    assert len(reads) == 5


def test_other_files_are_left_alone_and_told(tmp_path):
    clip = write_folder(tmp_path / "a", 5)
    (clip / "Thumbs.db").write_bytes(b"x")
    (clip / ".DS_Store").write_bytes(b"x")
    os.mkfifo(clip / "6.png")
    frames = decoded(clip).frames
    assert texts(frames.meta.notes) == ("3 other files ignored: .DS_Store, 6.png, Thumbs.db",)


def test_sizes_that_differ_are_handled_as_in_a_video(tmp_path):
    small, large = write_video(tmp_path / "s.ts", 6, codec="mpeg2video"), tmp_path / "l.ts"
    write_video(large, [picture(9, (WIDTH * 2, HEIGHT * 3))] * 6, codec="mpeg2video")
    both = tmp_path / "both.ts"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    frames = decoded(write_folder(tmp_path / "a", read_plainly(both)), 12).frames
    assert frames.rgb_UHWC.shape == (frames.meta.num_decoded, HEIGHT, WIDTH, 3)
    assert frames.meta.num_decoded > 6
    assert frames.meta.notes == decode_clip(both, FrameConfig(num_frames=12)).meta.notes[:1]
    assert texts(frames.meta.notes) == (
        "the frame size changes; frames of another size are letterboxed into 64x48",
    )


def test_what_gives_no_frame_is_refused_in_one_line(tmp_path):
    (tmp_path / "empty").mkdir()
    assert refused(tmp_path / "empty") == "open: no image in the directory (.bmp .jpeg .jpg .png .webp)"
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/a.txt").touch()
    assert refused(tmp_path / "texts").endswith("(.bmp .jpeg .jpg .png .webp); found a.txt")
    broken = write_folder(tmp_path / "broken", 3)
    for path in broken.iterdir():
        cut_short(path)
    assert refused(broken) == "decode: no image of 3 decodes (1.png, 2.png, 3.png)"
    for path in broken.iterdir():
        path.write_bytes(BROKEN)
    assert refused(broken) == "decode: no image of 3 decodes (1.png, 2.png, 3.png)"


@pytest.mark.parametrize("name", ["01.png", "mask_1.png", "1 copy.png"])
def test_names_that_give_no_order_are_refused_also_without_face_crops(tmp_path, name):
    clip = write_folder(tmp_path / "a", 5)
    assert decoded(clip).frames.meta.num_decoded == 5
    write_folder(clip, {name: picture(1)})
    assert refused(clip).startswith("open: ")
    assert name in refused(clip)


@pytest.mark.parametrize("window", [{"start_seconds": 0.0}, {"end_seconds": 1.0}])
def test_a_folder_has_no_times(tmp_path, window):
    clip = write_folder(tmp_path / "a", 3)
    assert refused(clip, **window).startswith(
        "open: start_seconds or end_seconds with a directory of images, which has no times; leave them out"
    )


def test_a_folder_has_the_bounds_of_a_video(tmp_path, monkeypatch):
    clip = write_folder(tmp_path / "a", 8)
    monkeypatch.setattr(frame_buffer, "MAX_RGB_BYTES", 4 * WIDTH * HEIGHT * 3)
    assert len(decoded(clip, 4).frames.rgb_UHWC) == 4
    assert refused(clip, 5).startswith("decode: 5 frames of 64x48 pixels are 0 MiB; allowed: 0 MiB. Scale")
    monkeypatch.setattr(picture_step, "MAX_PIXELS", WIDTH * HEIGHT - 1)
    assert refused(clip, 4).startswith("decode: image '1.png' has 64x48 pixels; allowed: 0.003071 million")


def test_a_link_out_of_the_data_set_is_refused(tmp_path):
    write_folder(tmp_path / "other", 1)
    clip = write_folder(tmp_path / "set/a", 3)
    (clip / "4.png").symlink_to(tmp_path / "other/1.png")
    assert refused(clip, inside=tmp_path / "set").startswith("open: '4.png' is a link out of the dataset, to")
    assert decoded(clip, inside=tmp_path).frames.meta.num_decoded == 4


def test_a_folder_s_identity_is_that_of_its_pictures_and_their_names(tmp_path):
    clip = write_folder(tmp_path / "a", 3)
    same = write_folder(tmp_path / "b", 3)
    (same / "notes.txt").touch()
    one, other = source_of(PictureFolder.at(clip)), source_of(PictureFolder.at(same))
    assert one == other == decoded(clip).source
    assert one.num_bytes == sum(path.stat().st_size for path in clip.iterdir())
    (same / "3.png").rename(same / "4.png")
    assert source_of(PictureFolder.at(same)).sha256 != one.sha256
    data = bytearray((clip / "2.png").read_bytes())
    data[-1] ^= 1
    (clip / "2.png").write_bytes(data)
    assert source_of(PictureFolder.at(clip)).sha256 != one.sha256
