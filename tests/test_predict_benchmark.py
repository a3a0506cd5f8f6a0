"""The acceptance of `predict`: its stand-in videos, and its comparisons of files."""

from collections import Counter

import av
import numpy as np
import pytest

from benchmarks.prediction import files, kills, videos
from pipeline.datasets.synthetic import SyntheticConfig, plan_clips
from pipeline.datasets.synthetic.write import encode_clip


def test_the_twins_of_a_film_are_of_other_people_and_have_one_face():
    pairs = videos._twins(plan_clips(SyntheticConfig()), 6)
    assert len({one.identity for one, _ in pairs}) == 6
    for one, other in pairs:
        assert one.performance == other.performance
        assert one.label == other.other_class
        assert one.scene != other.scene
        assert one.split == other.split == "test"
    assert max(Counter(frozenset((one.label, other.label)) for one, other in pairs).values()) == 2


@pytest.fixture
def two_videos(tmp_path):
    config = SyntheticConfig(height=240, width=240)
    paths = [tmp_path / f"{value}.mp4" for value in (50, 200)]
    for path, value in zip(paths, (50, 200), strict=True):
        encode_clip(path, [np.full((240, 240, 3), value, np.uint8)] * 3, config)
    return paths


def read(path):
    with av.open(str(path)) as file:
        return [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]


def test_videos_stand_side_by_side_and_change_places_at_a_cut(two_videos, tmp_path):
    dark, bright = two_videos
    out = tmp_path / "both.mp4"
    videos.side_by_side([[dark, bright], [bright, dark]], out, (320, 160), num_frames=5)
    frames = read(out)
    assert len(frames) == 10
    means = [(round(frame[:, :150].mean()), round(frame[:, 170:].mean())) for frame in frames]
    assert all(abs(left - 50) < 8 and abs(right - 200) < 8 for left, right in means[:5])
    assert all(abs(left - 200) < 8 and abs(right - 50) < 8 for left, right in means[5:])


def test_a_loop_has_the_frames_of_its_video_again_and_again(two_videos, tmp_path):
    out = tmp_path / "long.mp4"
    videos.loop(two_videos[0], out, 1.0)
    with av.open(str(out)) as file:
        seconds = [frame.time for frame in file.decode(video=0)]
    assert seconds == pytest.approx([number / 8 for number in range(9)], abs=1e-3)


@pytest.mark.parametrize(
    ("cue", "fits"),
    [
        ((0, 1750, "P1", "fear"), True),
        ((0, 1750, "P1", "anger"), False),
        ((0, 1750, "P2", "fear"), False),
        ((0, 1740, "P1", "fear"), False),
        ((0, 2000, "P1", "fear"), False),
    ],
)
def test_a_cue_fits_an_interval_with_its_times_person_and_class(cue, fits):
    assert files._fits(cue, (0, 1750, "P1", "fear")) is fits


def test_a_short_interval_fits_a_cue_of_one_second():
    assert files._fits((500, 1500, "P1", "fear"), (500, 900, "P1", "fear"))


def test_rows_that_differ_and_rows_that_are_missing_are_counted():
    assert files._different([1, 2, 3], [1, 5, 3]) == [3, 1]
    assert files._different([1, 2, 3], [1, 2]) == [3, 1]


def test_files_of_a_prediction_are_compared_without_its_state(tmp_path):
    (tmp_path / "a").mkdir()
    for name in ("windows.jsonl", "progress.npz", "a/b.csv"):
        (tmp_path / name).write_bytes(name.encode())
    assert kills._content(tmp_path) == {"windows.jsonl": b"windows.jsonl", "a/b.csv": b"a/b.csv"}
