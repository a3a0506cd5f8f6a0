"""Images of a window that is made again are those of the engine, to the bit."""

from dataclasses import fields, replace
from unittest import mock

import numpy as np
import pytest
import torch

from pipeline.errors import ClipError
from pipeline.frames import InlineDecoder
from pipeline.process.windows import (
    GRID,
    WindowOptions,
    WindowReader,
    encode_scenes,
    encode_streams,
    grid_cells,
    make_again,
    plan_windows,
    scan_source,
    with_filled,
)
from pipeline.process.windows.tracks import TrackTable
from tests.pixel_faces import pixel_models, two_people

CUT = 21


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = two_people(tmp_path_factory.mktemp("again") / "two.mp4")
    return path, scan_source(path, cuts=None)


def read(video, models, options):
    """The samples of all windows, and the stored boxes by track and frame."""
    path, scan = video
    plan = plan_windows(
        scan.seconds_N, scan.end_seconds, (CUT,), models.config, window_seconds=0.8, stride_seconds=0.6
    )
    reader = WindowReader(path, scan, plan, models, options, InlineDecoder())
    samples, boxes = [], {}
    for batch in reader.batches():
        samples += batch.samples
        for face in batch.faces:
            rounded = np.array([round(float(edge), 2) for edge in face.box_xyxy_px], np.float32)
            boxes.setdefault(face.track, {})[face.frame] = rounded
    return samples, boxes


def again(video, models, options, sample, boxes):
    own = None if options.people == "main" else boxes[sample.track]
    others = {}
    if options.mask == "everyone":
        for track, found in boxes.items():
            if own is None or track != sample.track:
                for frame, box in found.items():
                    others.setdefault(frame, []).append(box)
    return make_again(*video, sample.window, own, others, models, options, InlineDecoder())


def same(one, other):
    pairs = [(getattr(one, field.name), getattr(other, field.name)) for field in fields(one)]
    return all(a is b is None or np.array_equal(a, b, equal_nan=True) for a, b in pairs)


@pytest.mark.parametrize(
    "settings", [{}, {"detector": {"name": "haar", "every": 2}}, {"features": {"tokens": "all"}}]
)
@pytest.mark.parametrize(
    ("people", "mask"), [("all", None), ("main", None), ("all", "everyone"), ("main", "none")]
)
def test_images_are_those_of_the_engine(video, settings, people, mask):
    models, options = pixel_models(**settings), WindowOptions(people=people, mask=mask, min_face_px=0)
    samples, boxes = read(video, models, options)
    shown = [sample for sample in samples if sample.features is not None]
    assert len(shown) >= (4 if people == "main" else 8)
    for sample in shown:
        made = again(video, models, options, sample, boxes)
        assert same(encode_streams(made.streams, models, has_scene=True), sample.features)
        np.testing.assert_array_equal(made.valid_T, sample.valid_T)
        np.testing.assert_array_equal(made.in_view_T, sample.in_view_T)
        assert set(made.frame_T.tolist()) <= set(sample.window.index_U.tolist())
        assert made.area == (0, 14, 64, 50) or made.streams.scene_U3SS.shape[-1] != 64


def test_with_everyone_filled_a_face_without_a_name_is_filled_again(video):
    """A person who is not followed long enough for a name, beside one who is."""
    models, options = pixel_models(), WindowOptions(mask="everyone", min_face_px=0)
    with mock.patch.object(TrackTable, "given_name", lambda self, tracklet, _: "" if tracklet % 2 else "s"):
        samples, boxes = read(video, models, options)
    named = [one for one in samples if one.features is not None and one.track.endswith("p1")]
    assert set(boxes) == {"s"}
    assert named
    for sample in named:
        made = again(video, models, options, sample, {sample.track: boxes["s"]})
        assert same(encode_streams(made.streams, models, has_scene=True), sample.features)


def test_another_box_is_refused(video):
    models, options = pixel_models(), WindowOptions(min_face_px=0)
    samples, boxes = read(video, models, options)
    moved = {track: {n: box + 0.02 for n, box in found.items()} for track, found in boxes.items()}
    with pytest.raises(ClipError, match=r"detect: the stored face of frame \d+ is not detected again"):
        again(video, models, options, samples[0], moved)


def test_scenes_with_a_filled_cell_are_encoded_behind_the_same_face(video):
    models, options = pixel_models(), WindowOptions(min_face_px=0)
    samples, boxes = read(video, models, options)
    sample = samples[0]
    made = again(video, models, options, sample, boxes)
    scene = made.streams.scene_U3SS
    filled = [with_filled(scene, cell, torch.tensor([1, 2, 3])) for cell in grid_cells(made.area)]
    for images, (left, top, right, bottom) in zip(filled, grid_cells(made.area), strict=True):
        assert (images[:, :, top:bottom, left:right] == torch.tensor([1, 2, 3])[:, None, None]).all()
        rest = images.clone()
        rest[:, :, top:bottom, left:right] = scene[:, :, top:bottom, left:right]
        assert torch.equal(rest, scene)
    behind = encode_scenes([scene, *filled], sample.features, models)
    assert same(behind[0], sample.features)
    for one, images in zip(behind[1:], filled, strict=True):
        streams = replace(made.streams, scene_U3SS=images)
        assert same(one, encode_streams(streams, models, has_scene=True))
    (short,) = encode_scenes([scene[:2]], sample.features, models)
    np.testing.assert_array_equal(short.scene_early[:, [0, 1, 1, 1]], short.scene_early)


def test_cells_cover_an_area_once():
    cells = grid_cells((0, 49, 224, 175))
    assert len(cells) == GRID**2
    count = np.zeros((224, 224), int)
    for left, top, right, bottom in cells:
        count[top:bottom, left:right] += 1
    assert (count[49:175] == 1).all()
    assert count.sum() == 126 * 224
    assert cells[1][0] == 56, "row by row"
