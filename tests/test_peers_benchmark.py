"""`benchmarks.peers`: processes of other programs, their speeds and ratios."""

import json
import sys
from dataclasses import dataclass

import numpy as np
import pytest

from benchmarks.peer_programs.clips import Clips, Weights, given_clips, list_clips
from benchmarks.peer_programs.programs import (
    ClipVideoEncode,
    Done,
    Ours,
    Program,
    VideoFeatures,
    copy_checkout,
)
from benchmarks.peers import compared, rates
from benchmarks.tables.peers import peers_table
from pipeline.errors import ConfigError, OusError
from tests.small_clips import write_video

_WORK = "import os,time; [os.getpid() for _ in iter(lambda: time.process_time() < {seconds}, False)]"
_SCRIPT = """
import subprocess, sys, time
print("Loaded: 1", flush=True)
subprocess.Popen([sys.executable, "-c", {child!r}]).poll()
sys.exit({code})
"""


@dataclass
class Script(Program):
    """A program that leaves a child behind, which computes for a while."""

    seconds: float = 0.0
    code: int = 0
    encoded: int = 2
    does = "nothing"
    marker = "Loaded:"

    def command(self, clips, out):
        child = _WORK.format(seconds=self.seconds)
        return [sys.executable, "-c", _SCRIPT.format(child=child, code=self.code)]

    def counted(self, out, printed):
        assert printed == ["Loaded: 1"]
        return self.encoded, 2 * self.encoded


def two_clips(tmp_path):
    names = (tmp_path / "a.mp4", tmp_path / "b.mp4")
    return Clips(
        videos=names, manifest=tmp_path / "m.csv", paths=tmp_path / "p.txt", num_frames=(4, 4), sizes=("8x8",)
    )


def test_time_of_a_child_that_outlives_its_parent_counts(tmp_path):
    done = Script(seconds=0.6).run(two_clips(tmp_path), tmp_path / "out")
    assert (done.clips, done.images) == (2, 4)
    assert done.cpu_seconds >= 0.6
    assert 0 < done.work_seconds < done.wall_seconds
    assert not (tmp_path / "out").exists()


def test_a_program_that_fails_or_leaves_out_a_clip_is_an_error(tmp_path):
    with pytest.raises(OusError, match=r"^Script failed: Loaded: 1"):
        Script(code=3).run(two_clips(tmp_path), tmp_path / "one")
    with pytest.raises(OusError, match=r"^Script encoded 1 of 2 clips"):
        Script(encoded=1).run(two_clips(tmp_path), tmp_path / "two")


def test_all_programs_get_the_same_clips(tmp_path):
    for name in ("b b.mp4", "a.mp4"):
        write_video(tmp_path / "given" / name, num_frames=3)
    clips = list_clips(given_clips(tmp_path / "given", 2), tmp_path / "linked")
    assert [video.name for video in clips.videos] == ["clip-0000.mp4", "clip-0001.mp4"]
    assert clips.videos[0].read_bytes() == (tmp_path / "given" / "a.mp4").read_bytes()
    assert clips.num_frames == (3, 3)
    assert clips.paths.read_text().splitlines() == [str(video) for video in clips.videos]
    rows = clips.manifest.read_text().splitlines()
    assert rows[1:] == ["clip-0000.mp4,neutral,train", "clip-0001.mp4,neutral,train"]
    with pytest.raises(ConfigError, match=r"has 2 videos, 3 are needed; choose --num-clips 2\.$"):
        given_clips(tmp_path / "given", 3)


def test_each_program_counts_its_own_images(tmp_path):
    weights = Weights(safetensors=tmp_path / "w.safetensors", pickle=tmp_path / "w.pt")
    for name, rows in (("0.npy", 3), ("1.npy", 5)):
        np.save(tmp_path / name, np.zeros((rows, 4)))
    peer = ClipVideoEncode(tmp_path / "python", "ViT-B-32-quickgelu", weights, every=2)
    assert peer.counted(tmp_path, []) == (2, 8)
    (tmp_path / "features" / "clip").mkdir(parents=True)
    np.save(tmp_path / "features" / "clip" / "a_clip.npy", np.zeros((7, 4)))
    np.save(tmp_path / "features" / "clip" / "a_fps.npy", np.zeros(()))
    assert VideoFeatures(tmp_path / "python", tmp_path, None, 16).counted(tmp_path, []) == (1, 7)
    ours = Ours("ViT-B-32-quickgelu", weights, 16, "fp32", ["--detector", "haar"])
    report = {"counts": {"done": 1, "done_without_face": 2}, "speed": {"pictures": 96.0}}
    printed = ["{", "}", *json.dumps(report, indent=1).splitlines(), "stopped"]
    assert ours.counted(tmp_path, printed) == (3, 96)
    assert ours.counted(tmp_path, ["extracting"]) == (0, 0)


def test_a_checkout_gets_the_weights_and_stays_as_it_is(tmp_path):
    weights = Weights(safetensors=tmp_path / "w.safetensors", pickle=tmp_path / "w.pt")
    weights.pickle.write_bytes(b"values")
    with pytest.raises(OusError, match=r"is not a checkout of video_features"):
        copy_checkout(tmp_path, tmp_path / "copy", weights)
    given = tmp_path / "given"
    (given / "models" / "clip" / "checkpoints").mkdir(parents=True)
    (given / "main.py").write_text("")
    made = copy_checkout(given, tmp_path / "copy", weights)
    assert (made / "models" / "clip" / "checkpoints" / "CLIP-custom.pth").read_bytes() == b"values"
    assert not list((given / "models" / "clip" / "checkpoints").iterdir())


def test_ratios_are_within_rounds():
    rounds = [
        {"ours": {"images": 20.0, "start": 1.0}, "other": {"images": 10.0}},
        {"ours": {"images": 30.0, "start": 1.0}, "other": {"images": 30.0}},
        {"ours": {"images": 90.0, "start": 1.0}, "other": {"images": 30.0}},
    ]
    found = compared(rounds, ["ours"])
    assert found["per_second"]["ours"]["images"] == {"median": 30.0, "lowest": 20.0, "highest": 90.0}
    ratio = {"median": 2.0, "lowest": 1.0, "highest": 3.0}
    assert found["times_faster"] == {"ours": {"other": {"images": ratio}}}


def test_a_program_without_a_marked_start_has_no_speed_without_it():
    done = Done(wall_seconds=4.0, cpu_seconds=8.0, work_seconds=None, clips=2, images=64)
    assert rates(done) == {"images": 16.0, "clips": 0.5, "images_of_processor": 8.0}


def test_the_table_shows_ranges_and_that_a_program_was_not_measured():
    about = {
        "machine": {"cpu": "CPU", "cores": 2, "gpu": ""}, "versions": {"torch": "2", "python": "3"},
        "commit": "abc", "date": "2026-11-29T00:00:00", "options": {"encoder": "ViT"}, "rounds": 3,
        "video_features": "not given",
    }  # fmt: skip
    one = {"median": 2.0, "lowest": 1.5, "highest": 2.5}
    clips = {"number": 30, "are": "drawn", "frames": {"lowest": 16, "highest": 16}, "sizes": ["640x360"]}
    encoding = {
        "clips": clips, "programs": {"a": "two images", "b": "one image"},
        "per_second": {"a": {"images": one}, "b": {"images": one}},
        "times_faster": {"a": {"b": {"images": one}}},
    }  # fmt: skip
    detection = {
        "sizes": ["640x360"], "num_frames": 64, "weights": "trained",
        "frames_with_a_face": {"MTCNN": 0.5, "Haar": 1.0},
        "per_second": {"MTCNN": {"frames": one}, "Haar": {"frames": one}},
        "times_faster": {"Haar": {"MTCNN": {"frames": one}}},
    }  # fmt: skip
    text = peers_table(about | {"encoding": encoding, "detection": detection})
    assert "30 drawn clips of 16 frames, 640x360; ViT." in text
    assert "| a / b | 2.00 (1.50 to 2.50) |  |  |  |  |" in text
    assert "| MTCNN | 50% | 2.00 (1.50 to 2.50) |  |  |  |" in text
    assert "| Haar | 100% | 2.00 (1.50 to 2.50) |  | 2.00 (1.50 to 2.50) |  |" in text
    assert text.endswith("video_features was not measured.")
