"""A source is scanned and planned by the options; wrong ones are refused in one line."""

import functools
from dataclasses import replace

import pytest

from pipeline.config import from_dict
from pipeline.errors import ConfigError
from pipeline.process import ExtractConfig
from tests.long_videos import write_long
from tests.picture_folders import write_folder
from trainer.prediction import source as source_module
from trainer.prediction.source import FALLBACK_SECONDS, PredictOptions, plan_source
from trainer.run_info import RunInfo

CONFIG = from_dict(ExtractConfig, {"frames": {"num_frames": 4}})
INFO = RunInfo(
    cache_path="a", cache_fingerprint="f", dataset="d", class_names=("a", "b"), encoder_name="e",
    encoder_sha256="s", text_sha256="t", random_weights=True, num_frames=4, embed_width=8, encoder_width=8,
    fold="1", seed=0, selection="test", clips_sha256="c", training_sha256="c", clip_seconds=(0.5, 1.6, 2.0),
)  # fmt: skip


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """12 s at 10 frames per second, with cuts at 3.3 and 9 s."""
    return write_long(tmp_path_factory.mktemp("source") / "a.mp4", 120, cuts=(33, 90))


@pytest.fixture(scope="module", autouse=True)
def scanned_once():
    """Scan each source once with equal settings; `test_scan` tests scans."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source_module, "scan_source", functools.cache(source_module.scan_source))
        yield


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("source") / "images", 30)


def planned(path, info=INFO, **options):
    return plan_source(path, CONFIG, info, PredictOptions(**options))


def test_the_default_window_is_the_median_training_clip(video):
    made = planned(video)
    assert (made.settings.window_seconds, made.settings.stride_seconds) == (1.6, 0.4)
    assert (made.settings.window_frames, made.settings.stride_frames) == (16, 4)
    assert made.notes == ()
    unknown = planned(video, replace(INFO, clip_seconds=()))
    assert unknown.settings.window_seconds == FALLBACK_SECONDS
    assert "--window sets another length" in unknown.notes[0]
    assert planned(video, window_seconds=0.8, stride_seconds=2.0).settings.stride_frames == 20


def test_cuts_are_searched_given_or_none(video, tmp_path):
    assert planned(video).cut_seconds == (3.3, 9.0)
    assert planned(video, shots="none").cut_seconds == ()
    file = tmp_path / "shots.csv"
    file.write_text("\ufeffseconds,name\n# by hand\n\n6.0,b\n3.3\n0\n99\n6.0\n")
    made = planned(video, shots=str(file))
    assert made.cut_seconds == (3.3, 6.0)
    assert made.plan.shots == (0, 33, 60, 120)


def test_cuts_outside_of_the_part_are_not_listed(video):
    made = planned(video, start_seconds=3.3, end_seconds=9.5)
    assert (made.plan.shots, made.cut_seconds) == ((33, 90, 95), (9.0,))
    assert {window.shot for window in made.plan.windows} == {0, 1}


@pytest.mark.parametrize(
    "text", ["seconds\nsoon\n", "1\nnan\n", "1\n1e999\n", '1\n"' + "9" * 200_000 + '"\n']
)
def test_a_file_of_cuts_with_other_text_is_refused(video, tmp_path, text):
    file = tmp_path / "shots.csv"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"--shots '.*shots\.csv', line 2: .*no time in seconds"):
        planned(video, shots=str(file))


def test_images_have_times_by_their_rate_alone(images):
    made = planned(images)
    assert (made.settings.window_seconds, made.source.duration_seconds, made.cut_seconds) == (None, None, ())
    timed = planned(images, rate=10.0)
    assert (timed.settings.window_seconds, timed.source.duration_seconds) == (1.6, 3.0)
    assert timed.source.name == "images"
    with pytest.raises(ConfigError, match="the images have none; give --rate"):
        planned(images, shots=str(images))
    assert planned(images, rate=10.0, start_seconds=1.0, end_seconds=2.0).plan.shots == (10, 20)


@pytest.mark.parametrize("name", ["start", "end"])
def test_a_part_of_images_without_times_is_refused(images, name):
    message = f"--{name} 0.4 is a time, and the images of .* have none; .*--rate, or leave out --{name}"
    with pytest.raises(ConfigError, match=message):
        planned(images, **{f"{name}_seconds": 0.4})


def test_a_rate_for_a_video_has_a_note(video):
    (note,) = planned(video, rate=10.0).notes
    assert note.startswith("--rate is for directories of images")


def test_windows_do_not_cross_a_gap_of_the_scan(video, monkeypatch):
    scan = planned(video).scan
    kept = [*range(50), *range(70, 120)]
    cut = replace(scan, seconds_N=scan.seconds_N[kept], cuts=None, keys=(0,), gaps=(50,))
    monkeypatch.setattr(source_module, "scan_source", lambda *_, **__: cut)
    made = planned(video, shots="none")
    assert made.plan.shots == (0, 50, 100)
    assert (made.settings.window_frames, made.settings.stride_frames) == (16, 4)
    assert all(window.end <= 50 or window.first >= 50 for window in made.plan.windows)
    assert not any(window.is_short for window in made.plan.windows)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"people": "0"}, "--people is '0'; allowed: all, main, or a number of people from 1"),
        ({"people": "-1"}, "--people is '-1'"),
        ({"people": "²"}, "--people"),
        ({"window_seconds": 0.0}, "--window is 0.0"),
        ({"stride_seconds": float("nan")}, "--stride is nan"),
        ({"min_share": 1.01}, "--min-share is 1.01; allowed: 0 to 1"),
        ({"min_face_px": float("inf")}, "--min-face is inf"),
        ({"mask": "all"}, "--mask"),
        ({"rate": 0.0}, "--rate is 0.0"),
        ({"start_seconds": float("nan")}, "--start is nan"),
        ({"end_seconds": -1.0}, "--end is -1.0"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        PredictOptions(**options)
