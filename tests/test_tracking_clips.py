"""The trial clips that are drawn: their truth fits the pixels, and they are what their scenes claim."""

import csv
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from benchmarks.tracking.clips import COLUMNS, draw, write_clips
from benchmarks.tracking.heads import VIDEOS, Heads
from benchmarks.tracking.scenes import (
    HEIGHT_PX,
    WIDTH_PX,
    Bar,
    Cast,
    Head,
    Moment,
    TrialClip,
    people_of,
    trial_clips,
)
from benchmarks.tracking.truth import read_truth
from pipeline.types import Bytes

RED, BLUE = (250, 0, 0), (0, 0, 250)
FACE = (0.25, 0.2, 0.75, 0.8)


def flat_heads(colour: tuple[int, int, int], num_tiles: int = 4) -> Heads:
    """Tiles of one colour, with the face at the same place in each."""
    return Heads(
        tile_N=np.full((num_tiles, 240, 240, 3), colour, np.uint8),
        face_N4=np.tile(np.array(FACE, np.float32), (num_tiles, 1)),
    )


HEADS = {"red": flat_heads(RED), "blue": flat_heads(BLUE)}


def share_of(image: Bytes, box: np.ndarray, colour: tuple[int, int, int]) -> float:
    """Fraction of a box's pixels that have about this colour."""
    x0, y0, x1, y1 = (round(float(edge)) for edge in box)
    away = np.abs(image[y0:y1, x0:x1].astype(int) - colour).max(axis=2)
    return float((away < 60).mean())


def test_the_box_of_a_head_by_hand() -> None:
    image, (face,) = draw(Moment(heads=(Head(person="red", x=300, y=200, side=100),)), 0, 10, HEADS)
    # The tile reaches from 250 to 350 and from 150 to 250.
    np.testing.assert_allclose(face.box_4, [275, 170, 325, 230])
    assert face.person == "red"
    assert face.visible_part > 0.98
    assert share_of(image, face.box_4, RED) > 0.98
    assert share_of(image, np.array([0, 0, 200, 150]), RED) == 0


def test_the_head_in_front_hides_the_other_where_its_pixels_are() -> None:
    behind, front = Head(person="blue", x=300, y=200, side=100), Head(person="red", x=330, y=200, side=100)
    image, (blue, red) = draw(Moment(heads=(behind, front)), 0, 10, HEADS)
    assert (blue.person, red.person) == ("blue", "red")
    assert red.visible_part > 0.98
    assert blue.visible_part == pytest.approx(share_of(image, blue.box_4, BLUE), abs=0.05)
    assert 0.1 < blue.visible_part < 0.5


def test_a_bar_hides_everyone_behind_it() -> None:
    head = Head(person="red", x=300, y=200, side=100)
    image, (face,) = draw(Moment(heads=(head,), bars=(Bar(x=300, y=50, width=70),)), 0, 10, HEADS)
    assert face.visible_part == share_of(image, face.box_4, RED) == 0


def test_a_dark_frame_shows_nobody() -> None:
    image, (face,) = draw(
        Moment(heads=(Head(person="red", x=300, y=200, side=100),), is_dark=True), 0, 10, HEADS
    )
    assert face.visible_part == 0
    assert image.max() < 15


def test_the_part_outside_the_frame_is_neither_in_the_box_nor_visible() -> None:
    _, (face,) = draw(Moment(heads=(Head(person="red", x=10, y=200, side=100),)), 0, 10, HEADS)
    # The face reaches from -15 to 35: 35 of 50 pixels are in the frame.
    np.testing.assert_allclose(face.box_4, [0, 170, 35, 230])
    assert face.visible_part == pytest.approx(0.7, abs=0.02)
    _, faces = draw(Moment(heads=(Head(person="red", x=-60, y=200, side=100),)), 0, 10, HEADS)
    assert faces == []


def test_a_mirrored_head_has_a_mirrored_box_and_its_own_name() -> None:
    tile = np.zeros((1, 240, 240, 3), np.uint8)
    tile[:, :, :120] = RED
    heads = {"half": Heads(tile_N=tile, face_N4=np.array([[0.1, 0.3, 0.5, 0.7]], np.float32))}
    head = Head(person="half", x=300, y=200, side=100, is_mirrored=True, is_square=True, label="image")
    image, (face,) = draw(Moment(heads=(head,)), 0, 10, heads)
    np.testing.assert_allclose(face.box_4, [300, 180, 340, 220])
    assert face.person == "image"
    assert share_of(image, face.box_4, RED) == 1


def test_tiles_run_forwards_and_then_backwards() -> None:
    assert [flat_heads(RED).index(n) for n in range(8)] == [0, 1, 2, 3, 2, 1, 0, 1]
    assert flat_heads(RED, 1).index(5) == 0


def cut_at_half(cast: Cast, u: float, _: int) -> Moment:
    person = cast.people[int(u >= 0.5)]
    return Moment(heads=(Head(person=person, x=300, y=180, side=160),), shot=int(u >= 0.5))


def black_first(cast: Cast, u: float, _: int) -> Moment:
    return cut_at_half(cast, u, 0) if u >= 0.5 else Moment(is_dark=True)


def test_written_clips_show_what_their_truth_states(tmp_path: Path) -> None:
    cast = Cast(people=("red", "blue"), fps=25, num_frames=10)
    clips = [
        TrialClip(scene="cut", cast=cast, moment=cut_at_half),
        TrialClip(scene="black", cast=cast, moment=black_first),
    ]
    write_clips(clips, tmp_path, HEADS)
    with (tmp_path / "truth.csv").open() as file:
        assert next(csv.reader(file)) == list(COLUMNS)
    truths = read_truth(tmp_path / "truth.csv", {clip.name: 10 for clip in clips})
    for clip in clips:
        truth = truths[clip.name]
        assert np.flatnonzero(truth.is_cut_U).tolist() == [5]
        with av.open(str(tmp_path / clip.name)) as video:
            frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
            assert float(video.streams.video[0].average_rate or 0) == 25
        assert len(frames) == 10
        for number, image in enumerate(frames):
            for person, name in enumerate(truth.people):
                colour = {"red": RED, "blue": BLUE}[name]
                if truth.visible_UP[number, person]:
                    assert share_of(image, truth.box_UP4[number, person], colour) > 0.9
                else:
                    assert share_of(image, np.array([0, 0, WIDTH_PX, HEIGHT_PX]), colour) < 0.01
    assert truths[clips[1].name].people == ("blue",)


def test_every_scene_draws_its_first_middle_and_last_frame() -> None:
    clips = trial_clips()
    assert len(clips) == len({clip.name for clip in clips}) == 61
    assert {clip.cast.fps for clip in clips} == {10, 25, 30}
    people = people_of(clips)
    assert set(people) == set(VIDEOS)
    assert not {"d0", "d3", "d6", "d9"} & set(people)
    heads = {person: flat_heads(RED) for person in people}
    for clip in clips:
        assert len(set(clip.cast.people)) == len(clip.cast.people)
        seen: set[str] = set()
        last = clip.cast.num_frames - 1
        for number in range(0, last + 1, 5):
            image, faces = draw(clip.at(number), number, clip.cast.fps, heads)
            assert image.shape == (HEIGHT_PX, WIDTH_PX, 3)
            assert len({face.person for face in faces}) == len(faces)
            seen |= {face.person for face in faces if face.visible_part >= 0.5}
        assert seen >= set(clip.cast.people), clip.name


def test_a_fast_head_moves_half_a_face_per_frame_at_most() -> None:
    clip = next(clip for clip in trial_clips() if clip.scene == "fast_head")
    x = [clip.at(number).heads[-1].x for number in range(clip.cast.num_frames)]
    side = clip.at(0).heads[-1].side
    assert np.abs(np.diff(x)).max() == pytest.approx(0.25 * side, rel=0.05)


def test_faces_are_cut_from_a_video(tmp_path: Path) -> None:
    """A detector that knows the face: a red square that moves to the right by 2 px a frame."""
    import torch

    from benchmarks.tracking.heads import cut_heads
    from pipeline.types import Faces

    class Known:
        name = "known"
        weights_sha256 = ""
        precision = "fp32"
        warnings = ()

        def detect(self, rgb_UHWC: torch.Tensor) -> list[Faces]:
            found = []
            for image in rgb_UHWC.numpy():
                rows, columns = np.nonzero((image[..., 0] > 150) & (image[..., 2] < 100))
                edges = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
                found.append(
                    Faces(
                        box_xyxy_px=np.array([edges], np.float32),
                        score=np.ones(1, np.float32),
                        landmark_xy_px=np.zeros((1, 5, 2), np.float32),
                    )
                )
            return found

    with av.open(str(tmp_path / "face.mp4"), "w") as file:
        stream = file.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for number in range(20):
            image = np.zeros((240, 320, 3), np.uint8)
            cv2.rectangle(image, (100 + 2 * number, 80), (159 + 2 * number, 139), RED, -1)
            for packet in stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")):
                file.mux(packet)
        for packet in stream.encode():
            file.mux(packet)
    heads = cut_heads(tmp_path / "face.mp4", Known())
    assert heads.tile_N.shape == (20, 240, 240, 3)
    for tile, face in zip(heads.tile_N, heads.face_N4, strict=True):
        # The face is 0.66 of the tile's height, and the tile's red pixels are where the box is.
        assert face[3] - face[1] == pytest.approx(0.66, abs=0.04)
        rows, columns = np.nonzero((tile[..., 0] > 150) & (tile[..., 2] < 100))
        drawn = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) / 240
        np.testing.assert_allclose(drawn, face, atol=0.03)
