"""The bench measures what it shows, on clips it makes itself; no test looks at a time."""

import json
import math
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
import torch

from pipeline.bench import PARTS, BenchOptions, BenchResult, end_to_end, run_bench
from pipeline.bench.clips import link_or_copy, prepared_clips
from pipeline.bench.cluster import dask, dask_goal
from pipeline.bench.encoding import flops_per_picture
from pipeline.bench.end_to_end import pipeline_goals
from pipeline.bench.load import synthetic_cache
from pipeline.bench.result import ROOT, Goal, Measured
from pipeline.bench.separate_process import run_module
from pipeline.bench.steps import pixels_apart, same_frames, seek
from pipeline.config import from_dict
from pipeline.display.json_values import to_json_values
from pipeline.display.text import lines
from pipeline.errors import ConfigError, OusError
from pipeline.faces import DetectorConfig
from pipeline.frames import FrameConfig, decode_clip
from pipeline.process import ExtractConfig
from pipeline.store.reader import FeatureCache
from tests.tiny_clip import PYTHONPATH, modest_model, tiny_model
from tests.tiny_videos import write_video


def small_config() -> ExtractConfig:
    return from_dict(
        ExtractConfig,
        {
            "frames": {"num_frames": 2},
            "detector": {"name": "haar"},
            "encoder": {"name": tiny_model(), "weights": "random"},
            "features": {"precision": "fp32", "batch_pictures": 2},
        },
    )


def small_options(**values: object) -> BenchOptions:
    sizes = {"num_clips": 3, "baseline_clips": 1, "repeats": 1, "encode_pictures": 2}
    return BenchOptions(**({"config": small_config(), "device": "cpu"} | sizes | values))


@pytest.fixture(autouse=True)
def small_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """Matrix products that show the CPU's limit take seconds otherwise."""
    monkeypatch.setattr("pipeline.bench.encoding._SIDES_ON_CPU", (256,))


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    (folder / "deep").mkdir()
    write_video(folder / "a.mp4", 12)
    write_video(folder / "deep" / "b.mp4", [np.full((540, 960, 3), 90 + n, np.uint8) for n in range(5)])
    (folder / "broken.mp4").write_bytes(b"no video")
    return folder


@pytest.fixture(scope="module")
def small_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    write_video(folder / "a.mp4", 12)
    return folder


# The clips


def test_clips_are_scaled_to_360p_and_repeated(videos: Path, tmp_path: Path) -> None:
    index = prepared_clips(videos, 5, tmp_path)
    sizes = []
    for clip in index.clips:
        with av.open(str(index.root / clip.path)) as container:
            stream = container.streams.video[0]
            sizes.append((stream.width, stream.height, sum(1 for _ in container.decode(stream))))
    assert sizes == [(64, 48, 12), (640, 360, 5)] * 2 + [(64, 48, 12)]
    assert index.notes == ("'broken.mp4' does not decode and is left out",)


def test_a_folder_without_videos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no videos; known are files ending in .*\.mp4"):
        prepared_clips(tmp_path, 1, tmp_path)
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    with pytest.raises(ConfigError, match="None of the videos in .* decodes"):
        prepared_clips(tmp_path, 1, tmp_path)


# The options


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"only": ("speed",)}, "--only is 'speed'; allowed: encode, decode, seek"),
        ({"only": ("encode", "decode")}, r"Parts decode need videos; give --clips FOLDER, or --only encode"),
        ({"num_clips": 0}, r"bench.num_clips is 0; allowed: 1 or more"),
        ({"clips": Path("/no/folder")}, "'/no/folder' is not a directory; give one with videos"),
    ],
)
def test_options_are_checked(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        BenchOptions(**values)


# Goals


@pytest.mark.parametrize(
    ("value", "below", "met"),
    [(2.0, False, "aim"), (1.2, False, "yes"), (0.9, False, "no"), (0.9, True, "yes"), (3.0, True, "no")],
)
def test_a_goal_is_met_or_not(value: float, below: bool, met: str) -> None:
    limits = (1.0, 0.5) if below else (1.0, 1.5)
    assert Goal(what="x", value=value, at_least=limits[0], aim=limits[1], below=below).met == met


def test_a_result_shows_numbers_and_goals() -> None:
    goal = Goal(what="fast / slow", value=1.2345, at_least=1, aim=2)
    part = Measured(numbers={"a": {"deep": 0.5}, "b": "text"}, goals=(goal,))
    about = {"machine": {"cpu": "CPU", "cores": 2, "gpu": ""}}
    result = BenchResult(about=about, parts={"part": part})
    assert lines(BenchResult(about=about, parts={}, notes=("'a.mp4' is left out",)))[1:] == [
        "note: 'a.mp4' is left out"
    ]
    assert to_json_values(result)["goals"] == [
        {"what": "fast / slow", "value": 1.2345, "at_least": 1, "aim": 2, "met": "yes"}
    ]
    shown = lines(result)
    assert shown[0] == "CPU, 2 cores, no GPU"
    assert "a.deep" in shown[1]
    assert shown[-1].split() == ["fast", "/", "slow", "1.234", "1", "2", "yes"]


def test_a_goal_of_what_could_not_be_compared_is_a_word_and_null_in_json() -> None:
    goal = Goal(what="boxes apart", value=float("inf"), at_least=0.5, aim=0.01, below=True)
    about = {"machine": {"cpu": "CPU", "cores": 2, "gpu": ""}}
    result = BenchResult(about=about, parts={"part": Measured(numbers={}, goals=(goal,))})
    assert '"value": null' in json.dumps(to_json_values(result), allow_nan=False)
    assert lines(result)[-1].split() == ["boxes", "apart", "none", "0.5", "0.01", "no"]


# The parts


def test_quick_parts_run_and_name_their_machine(videos: Path) -> None:
    parts: list[str] = []
    options = small_options(clips=videos, only=("write", "encode", "decode", "seek"))
    document = to_json_values(run_bench(options, parts.append))
    assert parts == ["encode", "decode", "seek", "write"]
    json.dumps(document)
    assert {"date", "commit", "machine", "versions", "options", "config"} <= document.keys()
    assert document["options"]["num_clips"] == 3
    assert document["config"]["detector"]["name"] == "haar"
    assert document["parts"]["seek"]["same_frames"] == {f"original-{n:03d}.mp4": True for n in range(2)} | {
        f"clip-{n:04d}.mp4": True for n in range(3)
    }
    assert all(part.keys() for part in document["parts"].values())
    assert len(document["goals"]) == 3


def test_windows_without_a_face_are_not_compared_with_the_parts_alone(videos: Path) -> None:
    (videos / "broken.mp4").write_bytes(b"no video" * 100_000)
    result = run_bench(small_options(clips=videos, only=("predict",)))
    assert not result.failed
    part = result.parts["predict"]
    assert part.numbers["not_compared"] == "no face is found in the video"
    assert [goal.value for goal in part.goals] == [math.inf, math.inf]


def test_windows_of_a_video_are_compared_with_the_parts_alone(test_data: Path, tmp_path: Path) -> None:
    shutil.copy(test_data / "videos" / "people" / "d12.mp4", tmp_path)
    result = run_bench(small_options(clips=tmp_path, only=("predict",)))
    assert not result.failed
    numbers = result.parts["predict"].numbers
    assert numbers["windows"] >= 5
    assert numbers["images_of_windows"] >= numbers["images_encoded"] > 0
    assert set(numbers["seconds"]) == {"detect", "encode", "scan", "predict"}
    assert all(seconds > 0 for seconds in numbers["seconds"].values())
    shared = numbers["images_of_windows"] / numbers["images_encoded"]
    assert [goal.value for goal in result.parts["predict"].goals] == [
        numbers["of_encoder_and_detector_alone"],
        shared,
    ]


def test_files_that_do_not_decode_are_not_checked(videos: Path) -> None:
    good = seek(videos, small_config())
    assert good.numbers["same_frames"] == {"a.mp4": True, "b.mp4": True, "broken.mp4": None}
    assert good.goals[0].value == 1


def test_the_check_against_a_sequential_read_fails_for_every_neighbour_that_differs(videos: Path) -> None:
    path, config = videos / "a.mp4", FrameConfig(num_frames=4)
    right, every = decode_clip(path, config), decode_clip(path, FrameConfig(num_frames=12))
    assert same_frames(right, path, config)
    tried = 0
    for row, index in enumerate(right.meta.index_U):
        for neighbour in {max(0, index - 1), min(11, index + 1)} - {index}:
            wrong_UHWC = right.rgb_UHWC.copy()
            wrong_UHWC[row] = every.rgb_UHWC[neighbour]
            assert not np.array_equal(wrong_UHWC, right.rgb_UHWC)
            assert not same_frames(replace(right, rgb_UHWC=wrong_UHWC), path, config)
            tried += 1
    assert tried >= 6


def test_the_check_against_a_sequential_read_looks_at_one_level_and_at_numbers(videos: Path) -> None:
    path, config = videos / "a.mp4", FrameConfig(num_frames=4)
    right = decode_clip(path, config)
    nearly_UHWC = right.rgb_UHWC.copy()
    nearly_UHWC[2, 5, 7, 1] ^= 1
    assert not same_frames(replace(right, rgb_UHWC=nearly_UHWC), path, config)
    assert not same_frames(replace(right, meta=replace(right.meta, num_decoded=13)), path, config)
    assert not same_frames(right, path, FrameConfig(num_frames=5))


def test_boxes_are_apart_by_their_worst_edge_whatever_their_order() -> None:
    one = np.array([[0, 0, 10, 10], [50, 50, 70, 70]], np.float32)
    other = one[::-1] + np.array([0, 0.25, 0, 0], np.float32)
    empty = np.empty((0, 4), np.float32)
    assert pixels_apart([one, empty, one], [other, empty, one[:1]]) == (0.25, 1)


def test_goals_are_ratios_to_the_same_devices_other_numbers() -> None:
    found = {"ratios_of_rounds": {"run": [0.96, 0.95, 0.8], "decoders": [1.1]}}
    assert [(goal.what, goal.value, goal.met) for goal in pipeline_goals(found)] == [
        ("whole pipeline / (encoder + detector alone)", 0.95, "yes"),
        ("decoders alone / (encoder + detector alone)", 1.1, "no"),
    ]
    assert [goal.rounds for goal in pipeline_goals(found)] == [(0.96, 0.95, 0.8), (1.1,)]
    dask_share = dask_goal(ms_per_block=3.2, clips_per_second=40)
    assert dask_share.value == pytest.approx(0.002)
    assert dask_share.met == "aim"


def test_no_goal_names_a_device() -> None:
    sources = [path.read_text() for path in (ROOT / "pipeline" / "bench").glob("*.py")]
    assert sources
    assert not [text for text in sources if re.search(r"\b[ABHLV]\d{2,3}\b|get_device_name\(.*in ", text)]


def test_a_detector_with_random_weights_is_not_compared_with_the_script(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(end_to_end, "run_module", None)  # must not be called
    config = replace(
        small_config(), detector=DetectorConfig(name="retinaface-mobilenet0.25", weights="random")
    )
    found = end_to_end.baseline(prepared_clips(videos, 1, tmp_path), config, "cpu", 1)
    assert not found.goals
    assert found.numbers == {"not_compared": "the detector has random weights; give --detector-weights FILE"}


def test_the_script_has_the_weights_of_the_detector_also_where_they_are_stored(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments: list[str] = []

    def run_module(*given: object) -> dict[str, object]:
        arguments[:] = map(str, given)
        return {"clips": 1, "seconds": {"decode": 4.0}, "detector": "retinaface-mobilenet0.25"}

    monkeypatch.setenv("OUS_WEIGHTS", str(tmp_path))
    stored = tmp_path / "retinaface_mobilenet0.25.pth"
    stored.touch()
    monkeypatch.setattr(end_to_end, "run_module", run_module)
    monkeypatch.setattr(end_to_end, "run_seconds", lambda *_: 1.0)
    models = SimpleNamespace(device=torch.device("cpu"))
    executor = SimpleNamespace(worker=SimpleNamespace(models=models), close=lambda: None)
    monkeypatch.setattr(end_to_end, "start_executor", lambda *_: executor)
    config = replace(small_config(), detector=DetectorConfig(name="retinaface-mobilenet0.25"))
    found = end_to_end.baseline(prepared_clips(videos, 1, tmp_path), config, "cpu", 1)
    assert arguments[-2:] == ["--detector-weights", str(stored)]
    assert found.numbers["baseline_detector"] == "retinaface-mobilenet0.25"
    assert found.goals[0].value == 4.0


def test_clips_are_copied_where_links_are_impossible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("os.link", no_links)
    (tmp_path / "a").write_bytes(b"video")
    link_or_copy(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"video"


@pytest.mark.slow
def test_detector_weights_may_be_random(videos: Path) -> None:
    config = replace(
        small_config(), detector=DetectorConfig(name="retinaface-mobilenet0.25", weights="random")
    )
    options = small_options(clips=videos, config=config, only=("encode", "detect", "pipeline"))
    result = run_bench(options)
    assert not result.failed
    detect = result.parts["detect"].numbers
    assert detect["detector"] == "retinaface-mobilenet0.25, random weights"
    assert "library_frames_per_second" not in detect
    pipeline = result.parts["pipeline"].numbers["retinaface-mobilenet0.25"]
    assert pipeline["decoders_alone_clips_per_second"] > 0


def test_the_operations_of_vit_l_14_are_those_published() -> None:
    found = flops_per_picture(
        num_blocks=24, width=1024, mlp_width=4096, num_patches=256, patch_px=14, embed_width=768
    )
    assert found == pytest.approx(162e9, rel=1e-3)


def test_a_separate_process_that_fails_is_named_with_the_last_line_of_its_errors() -> None:
    with pytest.raises(OusError, match=r"^trainer.load_speed failed: .*CacheError: .*/no/feats.zarr"):
        run_module("trainer.load_speed", "/no/feats.zarr")


@pytest.mark.slow
def test_an_installed_bench_needs_no_checkout(small_video: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    for package in ("pipeline", "trainer"):
        shutil.copytree(ROOT / package, site / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "cli.py", site)
    settings = ["--set", "frames.num_frames=2", "--set", "features.precision=fp32"]
    done = subprocess.run(
        [
            sys.executable, "-P", "-c", "import cli; cli.main()", "bench", "--clips", small_video, "--json",
            "--only", "decode,baseline,load", "--device", "cpu", "--num-clips", "1", "--baseline-clips", "1",
            "--repeats", "1", "--cache-clips", "70", "--detector", "haar", "--encoder", "ViT-S-32", *settings,
        ],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(site)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    parts = json.loads(done.stdout)["parts"]
    assert parts["baseline"]["baseline_detector"] == "retinaface-resnet50"
    assert parts["load"]["clips"] == 70
    assert parts["decode"].keys() == {"clips_per_second_core", "opencv_seek_clips_per_second"}


@pytest.mark.slow
def test_empty_blocks_go_through_dask() -> None:
    numbers = dask(40).numbers
    assert numbers["blocks"] == 40
    assert numbers["ms_per_block"] > 0


@pytest.mark.slow
def test_every_part_runs_small(small_video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", PYTHONPATH)
    config = from_dict(
        ExtractConfig,
        {
            "frames": {"num_frames": 2},
            "detector": {"name": "haar"},
            "encoder": {"name": modest_model(), "weights": "random"},
            "features": {"precision": "fp32", "batch_pictures": 4},
        },
    )
    sizes = {"cache_clips": 70, "dask_blocks": 10, "small_encoder": modest_model()}
    options = small_options(clips=small_video, config=config, **sizes)
    result = run_bench(options)
    assert tuple(result.parts) == PARTS
    assert len(lines(result)) > len(PARTS)
    pipeline = result.parts["pipeline"].numbers
    assert {"haar", "retinaface-resnet50, untrained"} < set(pipeline)
    assert (pipeline["clips"], pipeline["blocks"], pipeline["rounds"]) == (3, 1, 1)
    encoder_alone = "encoder_alone_clips_per_second"
    of_other = pipeline["retinaface-resnet50, untrained"][encoder_alone]
    assert of_other == pytest.approx(pipeline["haar"][encoder_alone])
    assert result.parts["load"].numbers["clips"] == 70
    assert [goal.what for goal in result.parts["load"].goals] == [
        "trainer's load / reading the same bytes, cold page cache",
        "trainer's load / reading the same bytes, warm page cache",
    ]


def test_every_block_of_the_synthetic_cache_has_features_of_its_own(tmp_path: Path) -> None:
    synthetic_cache(tmp_path / "feats.zarr", 70)
    with FeatureCache.open(tmp_path / "feats.zarr") as cache:
        first, second = (cache.read("face/embedding", start, start + 6) for start in (0, 64))
    assert (first != second).mean() > 0.99
    assert np.isfinite(first).all()
    assert first.astype(np.float32).std() == pytest.approx(1, abs=0.05)


def test_the_encoder_alone_needs_no_weights_of_a_detector(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUS_WEIGHTS", str(tmp_path))
    config = replace(small_config(), detector=DetectorConfig(name="retinaface-mobilenet0.25"))
    found = run_bench(small_options(config=config, only=("encode",)))
    assert not found.failed
    assert found.parts["encode"].numbers
