"""The comparison of trackers: stored detections, version 1 behind the interface, and the table."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.tracking.__main__ import chosen_frames, main, measure_clip, scene_of, summarise, table
from benchmarks.tracking.detections import Detections, load_detections, save_detections
from benchmarks.tracking.look_distances import compare_looks
from benchmarks.tracking.trackers import TRACKERS, Result, TrackerEntry, nearest
from benchmarks.tracking.truth import Truth
from pipeline.looks import square_of
from pipeline.tracks import TrackConfig, nearest_track
from pipeline.types import Bytes, Faces, Floats, Ints

NUM_FRAMES = 20


def faces(*rows: tuple[float, float, float]) -> Faces:
    """Square faces given as left edge, side and score."""
    return Faces(
        box_xyxy_px=np.array([[x, 10, x + side, 10 + side] for x, side, _ in rows], np.float32).reshape(
            -1, 4
        ),
        score=np.array([score for *_, score in rows], np.float32),
        landmark_xy_px=np.full((len(rows), 5, 2), 3, np.float32),
    )


def two_people() -> Detections:
    """A large and a small face that stand still, and a weak detection between them."""
    found = [faces((10, 40, 0.9), (200, 20, 0.8), (100, 20, 0.2))] * (NUM_FRAMES - 1) + [faces()]
    return Detections(
        faces=tuple(found),
        crops=tuple(np.full((len(f.score), 48, 48, 3), n, np.uint8) for n, f in enumerate(found)),
        seconds_U=np.arange(NUM_FRAMES, dtype=np.float32) / 10,
        fps=10.0,
        size_px=(640, 360),
    )


def truth_of_two() -> Truth:
    box_P4 = np.array([[10, 10, 50, 50], [200, 10, 220, 30]], np.float32)
    visible_UP = np.ones((NUM_FRAMES, 2), np.bool_)
    visible_UP[-1] = False
    return Truth(
        people=("a", "b"),
        box_UP4=np.tile(box_P4, (NUM_FRAMES, 1, 1)),
        visible_UP=visible_UP,
        is_cut_U=np.zeros(NUM_FRAMES, np.bool_),
        boxes_are_faces=True,
    )


def test_stored_detections_are_equal(tmp_path: Path) -> None:
    given = {"a.mp4": two_people(), "b.mp4": two_people().at([19, 0])}
    save_detections(tmp_path / "d.npz", given)
    loaded = load_detections(tmp_path / "d.npz")
    assert list(loaded) == list(given)
    for name, clip in given.items():
        assert (loaded[name].fps, loaded[name].size_px) == (clip.fps, clip.size_px)
        np.testing.assert_array_equal(loaded[name].seconds_U, clip.seconds_U)
        for one, other in zip(loaded[name].faces, clip.faces, strict=True):
            np.testing.assert_array_equal(one.box_xyxy_px, other.box_xyxy_px)
            np.testing.assert_array_equal(one.score, other.score)
            np.testing.assert_array_equal(one.landmark_xy_px, other.landmark_xy_px)
        for crop, same in zip(loaded[name].crops, clip.crops, strict=True):
            np.testing.assert_array_equal(crop, same)


def test_weak_detections_and_their_crops_are_left_out_together() -> None:
    strong = two_people().above(0.5)
    assert [len(found.score) for found in strong.faces] == [2] * (NUM_FRAMES - 1) + [0]
    assert [len(crop) for crop in strong.crops] == [2] * (NUM_FRAMES - 1) + [0]


def test_a_crop_is_the_square_around_a_box_and_repeats_the_frames_edge() -> None:
    image = np.zeros((60, 200, 3), np.uint8)
    image[:, 0] = 200
    image[10:20, 100:104] = 100
    # 4 x 10 px: the square reaches from 97 to 107 and from 10 to 20; columns 3 to 7 of 10 have the value 100.
    crop = square_of(image, np.array([100, 10, 104, 20], np.float32))
    assert crop.shape == (48, 48, 3)
    np.testing.assert_allclose(crop.mean(), 40, atol=1)
    # 10 of 20 columns are left of the frame and repeat its first column, which is one more.
    edge = square_of(image, np.array([-10, 30, 10, 50], np.float32))
    np.testing.assert_allclose(edge.mean(), 200 * 11 / 20, atol=2)


def test_the_nearest_method_gives_every_detection_its_tracklet_and_the_subject_of_the_pipeline() -> None:
    clip = two_people().above(0.5)
    result = nearest(clip.faces, clip.seconds_U, clip.crops, np.zeros(NUM_FRAMES, np.int64))
    assert result.ids == ((0, 1),) * (NUM_FRAMES - 1) + ((),)
    expected = nearest_track(clip.faces, TrackConfig(method="nearest"))
    np.testing.assert_array_equal(result.subject.box_xyxy_px, expected.box_xyxy_px)
    assert result.subject.found.tolist() == [True] * (NUM_FRAMES - 1) + [False]


def test_a_tracker_gets_the_sampled_frames_and_all_frames_with_their_scores_and_shots() -> None:
    seen = []

    def record(detections: list[Faces], seconds_U: Floats, crops: list[Bytes], shot_U: Ints) -> Result:
        seen.append(
            (len(detections), len(detections[0].score), len(crops), seconds_U[:2].tolist(), shot_U[-1])
        )
        return nearest(detections, seconds_U, crops, shot_U)

    truth = truth_of_two()
    truth.is_cut_U[7] = True
    measure_clip("c.mp4", two_people(), truth, TrackerEntry(track=record, lowest_score=0.1))
    # floor((i + 0.5) 20 / 16): frames 0 and 1 first.
    seconds = [0, pytest.approx(0.1)]
    assert seen == [(16, 3, 16, seconds, 1), (20, 3, 20, seconds, 1)]


def test_frames_at_a_rate_are_evenly_spaced() -> None:
    # 10 frames a second: 4 a second is every 2.5th frame, and 20 a second is every frame.
    chosen = chosen_frames(two_people(), [4, 20])
    assert list(chosen) == ["16 sampled frames", "4 frames/s", "20 frames/s", "all frames"]
    assert chosen["4 frames/s"] == [0, 2, 5, 7, 10, 12, 15, 17]
    assert chosen["20 frames/s"] == chosen["all frames"] == list(range(NUM_FRAMES))


def test_the_numbers_of_a_row_by_hand() -> None:
    results = measure_clip("c.mp4", two_people(), truth_of_two(), TRACKERS["nearest"])
    row = summarise("c", results)
    assert row["clips"] == 1
    for frames in ("16 sampled frames", "all frames"):
        assert row["on"][frames] == {
            "clips_that_change_person": 0, "frames_on_nobody": 0, "followed": 1.0, "covered": 1.0,
            "clips_with_largest": 1, "idf1": 1.0, "best_idf1": 1.0, "switches": 0, "fragmentations": 0,
        }  # fmt: skip
    head, names, line = table([row]).splitlines()
    assert "16 sampled frames" in head
    assert names.split()[:4] == ["scene", "clips", "changes", "nobody"]
    assert line.split()[:5] == ["c", "1", "0", "0", "1.000"]


def test_weak_boxes_on_nobody_cost_precision() -> None:
    (_, results) = measure_clip(
        "c.mp4", two_people(), truth_of_two(), TrackerEntry(track=nearest, lowest_score=0.1)
    )
    # 19 frames with 2 right boxes of 3: IDF1 = 2 * 38 / (57 + 38).
    assert results.counts.idf1 == 76 / 95
    assert results.best.idf1 == 1


@pytest.mark.parametrize(
    ("clip", "scene"),
    [
        ("cross_fast_d0_d3.mp4", "cross_fast"),
        ("shot_reverse_shot.mp4", "shot_reverse_shot"),
        ("cross_slow-10-d10-d12.mp4", "cross_slow"),
    ],
)
def test_the_scene_of_a_file_name(clip: str, scene: str) -> None:
    assert scene_of(clip) == scene


def test_the_command_uses_stored_detections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clips, cache = tmp_path / "clips", tmp_path / "cache"
    clips.mkdir()
    cache.mkdir()
    (clips / "still-10-a-b.mp4").write_bytes(b"not read")
    rows = [f"still-10-a-b.mp4,{n},a,10,10,50,50,1,0" for n in range(NUM_FRAMES)]
    (clips / "truth.csv").write_text("\n".join(["clip,frame,person,x0,y0,x1,y1,visible,cut", *rows]) + "\n")
    save_detections(cache / "clips-haar.npz", {"still-10-a-b.mp4": two_people()})
    files = ["--json", str(tmp_path / "out.json"), "--clips", str(tmp_path / "clips.json")]
    given = [str(clips), "--cache", str(cache), "--detector", "haar", "--tracker", "nearest", *files]
    monkeypatch.setattr(sys, "argv", ["tracking", *given])
    main()
    shown = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in shown[2:]] == ["scene", "still", "clips:"]
    written = json.loads((tmp_path / "out.json").read_text())
    assert [row["scene"] for row in written["trackers"]["nearest"]] == ["still", "clips: all"]
    assert written["config"].keys() == {"detector", "people", "track"}
    # One of two faces is a person; the person is in view on the last frame too, without a detection.
    sampled, every = json.loads((tmp_path / "clips.json").read_text())["trackers"]["nearest"]
    assert every["subject"] == ["a"] * (NUM_FRAMES - 1) + [""]
    assert every["idf1"] == 2 * 19 / (38 + 20)
    assert len(sampled["subject"]) == 16
    assert str(tmp_path) not in (tmp_path / "out.json").read_text()


def test_the_auc_of_looks_is_that_of_every_pair() -> None:
    """Two people in two colours: every pair of one is nearer than every pair of two."""
    clip = two_people()
    colours = np.array([[200, 120, 90], [90, 120, 200], [120, 200, 90]], np.uint8)
    crops = tuple(np.tile(colours[: len(of.score), None, None], (1, 48, 48, 1)) for of in clip.faces)
    found = compare_looks([(replace(clip, crops=crops), truth_of_two())])
    assert (found["auc"], found["pairs_of_one"] > 0, found["pairs_of_two"] > 0) == (1.0, True, True)
    assert found["one_person"]["95th"] < found["two_people"]["5th"]
    assert compare_looks([])["auc"] is None
