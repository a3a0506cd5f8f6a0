from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from pipeline.streams import (
    SCENE_FITS,
    StreamConfig,
    face_image,
    face_squares,
    fill_colour,
    fill_on,
    make_streams,
    mirrored,
    scene_image,
    scene_masks,
)
from pipeline.types import Absence, FaceTrack

FILL = (123, 117, 104)
PLAIN = StreamConfig(scene="full", face_margin=1.0)


def track_of(*boxes: tuple[float, float, float, float]) -> FaceTrack:
    u = len(boxes)
    return FaceTrack.of_one_person(
        box_xyxy_px=np.array(boxes, np.float32),
        score=np.ones(u, np.float32),
        found=np.ones(u, np.bool_),
    )


def no_face(u: int) -> FaceTrack:
    nan = np.full((u, 4), np.nan, np.float32)
    return FaceTrack.of_one_person(
        box_xyxy_px=nan, score=np.zeros(u, np.float32), found=np.zeros(u, np.bool_)
    )


def picture(height: int, width: int, u: int = 1) -> torch.Tensor:
    """Every pixel different: red counts columns, green rows, blue frames."""
    x = torch.zeros(u, height, width, 3, dtype=torch.uint8)
    x[..., 0] = torch.arange(width)
    x[..., 1] = torch.arange(height)[:, None]
    x[..., 2] = torch.arange(u)[:, None, None]
    return x


def streams(frames, track, config=PLAIN, side_px=16):
    return make_streams(frames, track, config, side_px=side_px, fill_rgb=FILL)


def rgb(stream_U3SS: torch.Tensor, frame: int = 0) -> np.ndarray:
    return stream_U3SS[frame].permute(1, 2, 0).numpy()


def bicubic(channel_HW: np.ndarray, height: int, width: int) -> np.ndarray:
    """Anti-aliased bicubic scaling (a = -1/2, the kernel widened when shrinking), one axis at a time."""

    def kernel(x: np.ndarray) -> np.ndarray:
        x = np.abs(x)
        near = 1.5 * x**3 - 2.5 * x**2 + 1
        far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
        return np.where(x < 1, near, np.where(x < 2, far, 0.0))

    def weights(old: int, new: int) -> np.ndarray:
        scale = old / new
        widened = max(scale, 1.0)
        centres = (np.arange(new) + 0.5) * scale
        w = kernel((np.arange(old)[None] + 0.5 - centres[:, None]) / widened)
        return w / w.sum(axis=1, keepdims=True)

    return weights(channel_HW.shape[0], height) @ channel_HW @ weights(channel_HW.shape[1], width).T


# Face crops


def test_a_box_of_the_streams_size_is_cut_pixel_for_pixel():
    face = streams(picture(40, 60), track_of((20, 10, 36, 26))).face_U3SS
    assert np.array_equal(rgb(face), picture(40, 60)[0, 10:26, 20:36].numpy())


def test_each_frame_has_its_own_box():
    face = streams(picture(40, 60, 2), track_of((20, 10, 36, 26), (0, 24, 16, 40))).face_U3SS
    assert np.array_equal(rgb(face, 1), picture(40, 60, 2)[1, 24:40, 0:16].numpy())


def test_the_crop_is_a_square_around_the_boxs_middle():
    # a box of 8 by 4 around (24, 16), margin 2: a square of side 16 from (16, 8)
    config = StreamConfig(scene="full", face_margin=2.0)
    face = streams(picture(40, 60), track_of((20, 14, 28, 18)), config).face_U3SS
    assert np.array_equal(rgb(face), picture(40, 60)[0, 8:24, 16:32].numpy())


def test_the_default_margin_is_the_methods():
    # 1.3 * 20 = 26 around (30, 20)
    face = streams(picture(40, 60), track_of((20, 10, 40, 30)), StreamConfig(), side_px=26).face_U3SS
    assert np.array_equal(rgb(face), picture(40, 60)[0, 7:33, 17:43].numpy())


def test_whatever_lies_outside_the_picture_has_the_fill_colour():
    # a square of side 16 from (-4, -6): 6 rows above and 4 columns to the left are outside
    face = rgb(streams(picture(40, 60), track_of((-4, -6, 12, 10))).face_U3SS)
    assert (face[:6] == FILL).all()
    assert (face[:, :4] == FILL).all()
    assert np.array_equal(face[6:, 4:], picture(40, 60)[0, :10, :12].numpy())


def test_a_crop_beyond_the_far_corner_is_filled_there():
    face = rgb(streams(picture(40, 60), track_of((50, 30, 66, 46))).face_U3SS)
    assert (face[10:] == FILL).all()
    assert (face[:, 10:] == FILL).all()
    assert np.array_equal(face[:10, :10], picture(40, 60)[0, 30:, 50:].numpy())


@pytest.mark.parametrize("box", [(-40, 5, -20, 25), (5, -40, 25, -20), (80, 5, 99, 25), (5, 60, 25, 80)])
def test_a_box_wholly_outside_gives_the_fill_colour_and_masks_nothing(box):
    both = streams(picture(40, 60), track_of(box), StreamConfig(scene="masked", face_margin=1.0))
    assert (rgb(both.face_U3SS) == FILL).all()
    assert torch.equal(both.scene_U3SS, streams(picture(40, 60), track_of(box)).scene_U3SS)


def test_a_clip_without_a_face_gives_its_centre_square():
    # 40 by 60: the centre square starts at column 10
    both = streams(picture(40, 60, 2), no_face(2), StreamConfig(), side_px=40)
    assert np.array_equal(rgb(both.face_U3SS, 1), picture(40, 60, 2)[1, :, 10:50].numpy())
    whole = streams(picture(40, 60, 2), no_face(2), PLAIN, side_px=40)
    assert torch.equal(both.scene_U3SS, whole.scene_U3SS), "without a face the scene stays whole"


# Scene frames


def test_the_mask_covers_the_box_and_nothing_else():
    config = StreamConfig(scene="masked", scene_fit="center_crop", face_margin=1.3)
    scene = rgb(streams(picture(40, 40), track_of((10, 5, 22, 31)), config, side_px=40).scene_U3SS)
    expected = picture(40, 40)[0].numpy().copy()
    expected[5:31, 10:22] = FILL
    assert np.array_equal(scene, expected)


def test_the_mask_takes_every_pixel_that_the_box_touches():
    config = StreamConfig(scene="masked", scene_fit="center_crop")
    scene = rgb(streams(picture(40, 40), track_of((10.9, 5.2, 21.1, 30.5)), config, side_px=40).scene_U3SS)
    masked = (scene == FILL).all(axis=2)
    assert masked[5:31, 10:22].all()
    assert masked.sum() == 26 * 12


def test_the_mask_is_cut_off_at_the_border():
    config = StreamConfig(scene="masked", scene_fit="center_crop")
    scene = rgb(streams(picture(40, 40), track_of((-8, 30, 6, 55)), config, side_px=40).scene_U3SS)
    masked = (scene == FILL).all(axis=2)
    assert masked[30:, :6].all()
    assert masked.sum() == 10 * 6


def test_masking_leaves_the_callers_frames_alone():
    frames = picture(40, 40)
    streams(frames, track_of((10, 5, 22, 31)), StreamConfig(scene="masked"))
    assert torch.equal(frames, picture(40, 40))


def test_a_wide_picture_has_bars_above_and_below():
    # 40 by 80 into 40: halved to 20 by 40, bars of 10 rows
    frames = torch.full((1, 40, 80, 3), 200, dtype=torch.uint8)
    scene = rgb(streams(frames, no_face(1), side_px=40).scene_U3SS)
    assert (scene[:10] == FILL).all()
    assert (scene[30:] == FILL).all()
    assert (scene[10:30] == 200).all()


def test_a_tall_picture_has_bars_left_and_right():
    frames = torch.full((1, 80, 40, 3), 200, dtype=torch.uint8)
    scene = rgb(streams(frames, no_face(1), side_px=40).scene_U3SS)
    assert (scene[:, :10] == FILL).all()
    assert (scene[:, 30:] == FILL).all()
    assert (scene[:, 10:30] == 200).all()


def test_a_picture_of_the_right_size_is_letterboxed_without_scaling():
    scene = rgb(streams(picture(20, 40), no_face(1), side_px=40).scene_U3SS)
    assert np.array_equal(scene[10:30], picture(20, 40)[0].numpy())


def test_the_thinnest_picture_keeps_one_row():
    frames = torch.full((1, 1, 400, 3), 200, dtype=torch.uint8)
    scene = rgb(streams(frames, no_face(1), side_px=40).scene_U3SS)
    assert (scene == 200).all(axis=2).any(axis=1).sum() == 1


def test_a_centre_crop_shows_the_middle_square():
    config = StreamConfig(scene="full", scene_fit="center_crop")
    scene = rgb(streams(picture(40, 60), no_face(1), config, side_px=40).scene_U3SS)
    assert np.array_equal(scene, picture(40, 60)[0, :, 10:50].numpy())


# Scaling, mirror, colour


@pytest.mark.parametrize("shape", [(480, 480), (720, 405), (37, 53), (100, 230)])
def test_scaling_is_anti_aliased_bicubic(shape):
    height, width = shape
    frames = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, height, width, 3), np.uint8))
    config = StreamConfig(scene="full", scene_fit="center_crop")
    scene = rgb(streams(frames, no_face(1), config, side_px=224).scene_U3SS).astype(int)
    side = min(shape)
    top, left = (height - side) // 2, (width - side) // 2
    square = frames[0, top : top + side, left : left + side].numpy().astype(np.float64)
    for channel in range(3):
        expected = np.clip(np.rint(bicubic(square[..., channel], 224, 224)), 0, 255)
        assert np.abs(scene[..., channel] - expected).max() <= 1
        assert (scene[..., channel] == expected).mean() > 0.999


def test_mirroring_exchanges_left_and_right_of_both_streams():
    both = streams(picture(40, 60), track_of((20, 10, 36, 26)))
    other = mirrored(both)
    assert torch.equal(other.face_U3SS[..., 0], both.face_U3SS[..., -1])
    assert torch.equal(other.scene_U3SS[..., 0], both.scene_U3SS[..., -1])
    assert torch.equal(mirrored(other).face_U3SS, both.face_U3SS)


def test_mirrored_streams_are_the_streams_of_a_mirrored_clip():
    frames = picture(40, 60)
    config = StreamConfig(scene="masked", face_margin=1.0)
    one = mirrored(streams(frames, track_of((20, 10, 36, 26)), config))
    other = streams(frames.flip(2), track_of((24, 10, 40, 26)), config)
    assert torch.equal(one.face_U3SS, other.face_U3SS)
    assert (one.scene_U3SS.int() - other.scene_U3SS.int()).abs().max() <= 1


def test_the_fill_colour_is_the_encoders_mean_in_8_bits():
    assert fill_colour((0.48145466, 0.4578275, 0.40821073)) == (123, 117, 104)
    assert fill_colour((0.0, 0.5, 1.0)) == (0, 128, 255)


@given(
    box=st.tuples(*[st.floats(-100, 200, width=32)] * 2, *[st.floats(0.5, 150, width=32)] * 2),
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    scene=st.sampled_from(["masked", "full"]),
    fit=st.sampled_from(["letterbox", "center_crop"]),
)
def test_any_box_on_any_picture_gives_two_pictures(box, height, width, scene, fit):
    x, y, w, h = box
    config = StreamConfig(scene=scene, scene_fit=fit)
    both = streams(picture(height, width), track_of((x, y, x + w, y + h)), config)
    assert both.face_U3SS.shape == both.scene_U3SS.shape == (1, 3, 16, 16)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"scene": "blurred"}, "streams.scene is 'blurred'; allowed: masked, full."),
        ({"scene_fit": "squash"}, "streams.scene_fit is 'squash'; allowed: letterbox, center_crop."),
        ({"face_margin": 0.9}, "streams.face_margin is 0.9; allowed: 1.0 to 4.0."),
        ({"face_margin": float("nan")}, "streams.face_margin is nan; allowed: 1.0 to 4.0."),
    ],
)
def test_config_is_checked(values, message):
    with pytest.raises(ConfigError, match=message):
        StreamConfig(**values)


@pytest.mark.gpu
def test_streams_are_the_same_on_a_gpu():
    frames = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 120, 180, 3), np.uint8))
    track = track_of((20.5, 10.2, 90.1, 80.7), (-20, 50, 40, 130))
    here = streams(frames, track, StreamConfig(), side_px=224)
    there = streams(frames.cuda(), track, StreamConfig(), side_px=224)
    for one, other in ((here.face_U3SS, there.face_U3SS), (here.scene_U3SS, there.scene_U3SS)):
        difference = (one.int() - other.cpu().int()).abs()
        assert difference.max() <= 1
        assert (difference == 0).float().mean() > 0.999


def test_large_pictures_are_scaled_a_few_at_a_time_with_the_same_result(monkeypatch):
    frames = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (5, 60, 80, 3), dtype=np.uint8))
    track = FaceTrack.of_one_person(
        box_xyxy_px=np.full((5, 4), (10, 10, 40, 40), np.float32),
        score=np.ones(5, np.float32),
        found=np.ones(5, bool),
    )
    once = make_streams(frames, track, StreamConfig(), side_px=32, fill_rgb=(1, 2, 3))
    monkeypatch.setattr("pipeline.streams._PIXELS_AT_ONCE", 2 * 60 * 80)
    parts = make_streams(frames, track, StreamConfig(), side_px=32, fill_rgb=(1, 2, 3))
    assert torch.equal(once.scene_U3SS, parts.scene_U3SS)
    assert torch.equal(once.face_U3SS, parts.face_U3SS)


# Ready face crops


def ready(found: list[bool]) -> FaceTrack:
    nan = np.full((len(found), 4), np.nan, np.float32)
    return FaceTrack.of_one_person(box_xyxy_px=nan, score=np.array(found, np.float32), found=np.array(found))


@pytest.mark.parametrize(("height", "width"), [(20, 12), (12, 20), (15, 16), (16, 16)])
def test_a_ready_crop_is_whole_in_the_middle_of_a_filled_square(height, width):
    crop = picture(height, width)[0]
    config = StreamConfig(scene="full", face_margin=2.0)
    side = max(height, width)
    made = make_streams(picture(40, 60), ready([True]), config, side_px=side, fill_rgb=FILL, crops=[crop])
    top, left = -((height - side) // 2), -((width - side) // 2)
    square = np.empty((side, side, 3), np.uint8)
    square[:] = FILL
    square[top : top + height, left : left + width] = crop.numpy()
    np.testing.assert_array_equal(rgb(made.face_U3SS), square)
    plain = make_streams(picture(40, 60), no_face(1), config, side_px=side, fill_rgb=FILL)
    assert torch.equal(made.scene_U3SS, plain.scene_U3SS)


def test_ready_crops_may_differ_in_size_and_stand_for_several_frames():
    crops = [picture(16, 16)[0], picture(32, 8)[0], picture(16, 16)[0]]
    made = make_streams(
        picture(40, 60, 3), ready([True, True, False]), PLAIN, side_px=16, fill_rgb=FILL, crops=crops
    )
    assert made.face_U3SS.shape == (3, 3, 16, 16)
    assert torch.equal(made.face_U3SS[0], made.face_U3SS[2])
    assert not torch.equal(made.face_U3SS[0], made.face_U3SS[1])


@pytest.mark.parametrize("scene", ["masked", "full"])
@pytest.mark.parametrize("fit", SCENE_FITS)
@pytest.mark.parametrize("absent", [("nearest", "whole"), ("hold", "masked")])
@pytest.mark.parametrize("found", [[True, False, True, True], [False] * 4, [True] * 4])
def test_images_made_one_by_one_are_those_of_a_clip(scene, fit, absent, found):
    config = StreamConfig(scene=scene, scene_fit=fit, absent_face=absent[0], absent_scene=absent[1])
    track = track_of((3.2, 4.1, 19.7, 25.3), (-8, -3, 14, 20), (30, 20, 70, 60), (5, 5, 6, 6))
    away = np.where(found, Absence.NONE, Absence.OUT_OF_VIEW).astype(np.uint8)
    track = replace(track, found=np.array(found), absence_U=away) if any(found) else no_face(4)
    frames = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (4, 41, 57, 3), dtype=np.uint8))
    made = make_streams(frames, track, config, side_px=16, fill_rgb=FILL)
    fill, frames_U3HW = torch.tensor(FILL, dtype=torch.uint8), frames.permute(0, 3, 1, 2)
    squares = face_squares(track, config, 41, 57)
    faces = [face_image(frames_U3HW[square.frame], square, 16, fill) for square in squares]
    masks = scene_masks(track, config, 41, 57)
    scenes = [scene_image(frames_U3HW[u], masks[u], config, 16, fill) for u in range(4)]
    assert torch.equal(torch.cat(faces), made.face_U3SS)
    assert torch.equal(torch.cat(scenes), made.scene_U3SS)


def test_the_fill_colour_is_made_once_for_a_device():
    device = torch.device("cpu")
    with torch.inference_mode():
        made = fill_on(device, (122, 116, 104))
    assert fill_on(device, (122, 116, 104)) is made
    assert (made.tolist(), made.dtype, made.is_inference()) == ([122, 116, 104], torch.uint8, False)
