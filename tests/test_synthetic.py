"""The synthetic set: what it promises about faces, scenes and the bound between them."""

import csv
import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from scipy.stats import binom
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pipeline.config import from_dict
from pipeline.datasets import read_dataset
from pipeline.datasets.emotions import polarity_of_class
from pipeline.datasets.synthetic import (
    CLASSES,
    PlannedClip,
    SyntheticConfig,
    chance_accuracy,
    face_only_bound,
    plan_clips,
    write_synthetic,
)
from pipeline.datasets.synthetic.compose import (
    CODEC_SLACK_PX,
    Performance,
    draw_frames,
    render_foreground,
)
from pipeline.datasets.synthetic.expressions import FULL, RESTING, target_of
from pipeline.datasets.synthetic.plan import PAIRS
from pipeline.datasets.synthetic.scenes import KINDS, Scene
from pipeline.datasets.synthetic.write import DESCRIPTION, encode_clip
from pipeline.errors import ConfigError, DatasetError
from pipeline.fingerprint import sha256_file
from pipeline.process import ExtractConfig, load_models, process_block
from pipeline.types import ClipDone, Split

SMALL = SyntheticConfig(num_clips=14, num_frames=3, fps=3, seed=3)
ALL_AMBIGUOUS = SyntheticConfig(num_clips=132, ambiguous_share=1.0, num_frames=2, fps=2, seed=11)


def clip(label: str, other: str = "", split: str = "test", number: int = 0) -> PlannedClip:
    return PlannedClip(
        clip_id=f"clip_{number}", label=label, split=split, other_class=other, identity=0, performance=0
    )


# ---- the plan


def test_the_default_set_has_even_classes_and_the_asked_shares():
    clips = plan_clips(SyntheticConfig())
    by_split = Counter(c.split for c in clips)
    assert by_split == {"train": 280, "test": 140}
    for split, per_class, ambiguous in (("train", 40, 168), ("test", 20, 84)):
        here = [c for c in clips if c.split == split]
        assert Counter(c.label for c in here) == dict.fromkeys(CLASSES, per_class)
        assert sum(c.ambiguous for c in here) == ambiguous
    assert face_only_bound(clips) == (56 + 84 / 2) / 140 == 0.7
    assert chance_accuracy(clips) == 1 / 7


def test_train_and_test_share_no_person_and_ids_are_sorted():
    clips = plan_clips(SyntheticConfig(seed=5))
    people = {split: {c.identity for c in clips if c.split == split} for split in ("train", "test")}
    assert not people["train"] & people["test"]
    assert [c.clip_id for c in clips] == sorted({c.clip_id for c in clips})


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 1.0])
@pytest.mark.parametrize("num_clips", [4, 33, 200])
def test_every_ambiguous_face_appears_once_with_each_label(num_clips: int, share: float):
    clips = plan_clips(SyntheticConfig(num_clips=num_clips, ambiguous_share=share))
    assert len(clips) == num_clips
    faces: dict[int, list[PlannedClip]] = {}
    for c in clips:
        faces.setdefault(c.performance, []).append(c)
    for twins in faces.values():
        if not twins[0].ambiguous:
            assert len(twins) == 1
            assert twins[0].scene == "neutral"
            continue
        one, other = twins
        assert (one.label, one.other_class) == (other.other_class, other.label)
        assert (one.split, one.identity) == (other.split, other.identity)
        assert one.scene == polarity_of_class(one.label).name.lower() != other.scene


def test_the_classes_of_a_pair_differ_in_polarity():
    assert all(polarity_of_class(a) != polarity_of_class(b) for a, b in PAIRS)
    assert {name for pair in PAIRS for name in pair} == set(CLASSES)


def test_the_bound_counts_the_likelier_label_of_each_pair():
    clips = [
        clip("neutral"),
        clip("fear"),
        clip("happiness", "sadness"),
        clip("happiness", "sadness"),
        clip("sadness", "happiness"),
        clip("anger", "neutral"),
        clip("anger", "neutral", split="train"),
    ]
    assert face_only_bound(clips) == (2 + 2 + 1) / 6
    assert chance_accuracy(clips) == 2 / 6


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_clips": 3}, "num_clips is 3; allowed: 4 to 100000"),
        ({"ambiguous_share": 1.2}, "ambiguous_share is 1.2; allowed: 0.0 to 1.0"),
        ({"height": 241}, "height is 241; an even number is needed"),
        ({"height": 288, "width": 200}, "width is 200; allowed: 288 to 1920"),
        ({"test_share": 0.0}, "test_share is 0.0; allowed: 0.1 to 0.9"),
        ({"seed": -1}, "seed is -1; allowed: 0 or more"),
    ],
)
def test_a_wrong_setting_is_named(values: dict[str, float], message: str):
    with pytest.raises(ConfigError, match=message):
        from_dict(SyntheticConfig, values)


# ---- faces


def test_an_ambiguous_expression_is_the_even_blend_whichever_is_the_label():
    for a, b in PAIRS:
        assert target_of(a, b) == target_of(b, a)
        assert target_of(a, b).mouth_curve == pytest.approx((FULL[a].mouth_curve + FULL[b].mouth_curve) / 2)
    assert target_of("neutral", "") == RESTING


def test_twins_are_one_performance():
    clips = [c for c in plan_clips(SMALL) if c.ambiguous]
    one = clips[0]
    other = next(c for c in clips if c.performance == one.performance and c is not one)
    first, second = Performance.of(SMALL, one), Performance.of(SMALL, other)
    assert first.expressions == second.expressions
    assert first.guard_xyxy_px == second.guard_xyxy_px
    images = [render_foreground(acted, SMALL).rgb_FHW3 for acted in (first, second)]
    np.testing.assert_array_equal(*images)


# ---- the scene stays out of the face's crop


@pytest.fixture(scope="module")
def same_face_over_every_scene() -> tuple[Performance, SyntheticConfig, dict[str, np.ndarray]]:
    config = SyntheticConfig(num_frames=12, seed=4)
    acted = Performance.of(config, clip("surprise", "fear"))
    front = render_foreground(acted, config)
    videos = {}
    for kind in KINDS:
        scene = Scene(kind, config.height, config.width, np.random.default_rng(7))
        videos[kind] = np.stack(list(draw_frames(front, scene, config.fps)))
    return acted, config, videos


def test_drawn_pixels_of_the_guarded_face_are_the_same_over_any_scene(same_face_over_every_scene):
    acted, _, videos = same_face_over_every_scene
    x0, y0, x1, y1 = acted.guard_xyxy_px
    positive, neutral, negative = (videos[kind] for kind in ("positive", "neutral", "negative"))
    np.testing.assert_array_equal(positive[:, y0:y1, x0:x1], negative[:, y0:y1, x0:x1])
    np.testing.assert_array_equal(positive[:, y0:y1, x0:x1], neutral[:, y0:y1, x0:x1])
    elsewhere = np.ones(positive.shape[1:3], bool)
    elsewhere[y0:y1, x0:x1] = False
    assert np.abs(positive[:, elsewhere].astype(int) - negative[:, elsewhere]).mean() > 20


def test_decoded_pixels_of_the_guarded_face_are_the_same_too(same_face_over_every_scene, tmp_path):
    """Tolerance: none, from one macroblock inside the guard's border on."""
    acted, config, videos = same_face_over_every_scene
    x0, y0, x1, y1 = acted.guard_xyxy_px
    inside = np.s_[:, y0 + CODEC_SLACK_PX : y1 - CODEC_SLACK_PX, x0 + CODEC_SLACK_PX : x1 - CODEC_SLACK_PX]
    decoded = {}
    for kind, frames in videos.items():
        encode_clip(tmp_path / f"{kind}.mp4", frames, config)
        decoded[kind] = np.stack(list(decode(tmp_path / f"{kind}.mp4")))[inside].astype(int)
    for kind in ("positive", "negative"):
        np.testing.assert_array_equal(decoded[kind], decoded["neutral"])
    assert np.abs(decoded["neutral"] - videos["neutral"][inside]).mean() < 2


def decode(path: Path) -> Iterator[np.ndarray]:
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24")


@pytest.fixture(scope="module")
def extracted(tmp_path_factory) -> tuple[list[PlannedClip], list[ClipDone]]:
    """One frame of each of 132 ambiguous clips, through the real steps, as the demo sets them."""
    root = tmp_path_factory.mktemp("ambiguous")
    write_synthetic(root, ALL_AMBIGUOUS)
    settings = {
        "frames": {"num_frames": 1},
        "detector": {"name": "haar"},
        "encoder": {"name": "ViT-S-32", "weights": "random"},
        "features": {"precision": "fp32"},
    }
    models = load_models(from_dict(ExtractConfig, settings), torch.device("cpu"))
    outcomes = process_block(root, read_dataset("synthetic", root).clips, models).outcomes
    assert all(isinstance(outcome, ClipDone) for outcome in outcomes)
    return list(plan_clips(ALL_AMBIGUOUS)), [o for o in outcomes if isinstance(o, ClipDone)]


@pytest.mark.slow
def test_haar_finds_the_faces(extracted):
    _, outcomes = extracted
    assert np.mean([outcome.track.found[0] for outcome in outcomes]) >= 0.95


@pytest.mark.slow
def test_crops_with_their_margin_lie_within_the_guard(extracted):
    clips, outcomes = extracted
    within = []
    for planned, outcome in zip(clips, outcomes, strict=True):
        if outcome.track.has_face:
            left, top, right, bottom = outcome.track.box_xyxy_px[0]
            half = 1.3 * (right - left) / 2
            x, y = (left + right) / 2, (top + bottom) / 2
            crop = np.array([x - half, y - half, x + half, y + half])
            slack = (crop - Performance.of(ALL_AMBIGUOUS, planned).guard_xyxy_px) * (1, 1, -1, -1)
            within.append(slack.min() >= CODEC_SLACK_PX)
    assert np.mean(within) >= 0.97


@pytest.mark.slow
def test_a_probe_for_the_scene_on_face_features_stays_at_chance(extracted):
    """And the same probe on the scene stream does not, so a leak would show.

    Every face is there once with each label of its pair, so chance is one half.
    """
    clips, outcomes = extracted
    negative = np.array([c.scene == "negative" for c in clips])
    people = np.array([c.identity for c in clips])
    assert negative.mean() == 0.5
    low, high = binom.interval(0.999, len(clips), 0.5)
    face = np.stack([o.features.face_embedding[0, 0] for o in outcomes])
    scene = np.stack([o.features.scene_embedding[0, 0] for o in outcomes])
    assert low <= probed(face, negative, people) <= high
    assert probed(scene, negative, people) > 0.95 * len(clips)


def probed(features: np.ndarray, target: np.ndarray, groups: np.ndarray) -> int:
    """How many clips a linear probe gets right that was fitted on other people's clips."""
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
    guessed = cross_val_predict(probe, features.astype(float), target, groups=groups, cv=GroupKFold(5))
    return int((guessed == target).sum())


# ---- the scenes


@pytest.mark.parametrize("kind", KINDS)
def test_a_scene_moves_and_depends_on_its_generator_alone(kind: str):
    def drawn(seed: int) -> np.ndarray:
        return Scene(kind, 240, 320, np.random.default_rng(seed)).draw(0.5)

    np.testing.assert_array_equal(drawn(1), drawn(1))
    assert np.abs(drawn(1).astype(int) - drawn(2)).mean() > 1
    scene = Scene(kind, 240, 320, np.random.default_rng(1))
    assert np.abs(scene.draw(0.0).astype(int) - scene.draw(1.0)).mean() > 0.5


# ---- the files


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("set") / "synthetic"
    write_synthetic(root, SMALL)
    return root


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_manifest_reads_as_planned(written):
    index = read_dataset("synthetic", written)
    planned = {c.clip_id: c for c in plan_clips(SMALL)}
    assert {c.clip_id for c in index.clips} == set(planned)
    for read in index.clips:
        expected = planned[read.clip_id]
        assert index.class_names[read.label] == expected.label
        assert read.splits == (Split[expected.split.upper()],)
        assert read.polarity == polarity_of_class(expected.label)
    assert list(rows(written / "manifest.csv")[0]) == ["path", "label", "split", "clip_id", "polarity"]


def test_the_truth_and_the_description_say_what_was_drawn(written):
    clips = plan_clips(SMALL)
    for row, planned in zip(rows(written / "truth.csv"), clips, strict=True):
        assert row == {
            "clip_id": planned.clip_id,
            "ambiguous": str(int(planned.ambiguous)),
            "other_class": planned.other_class,
            "scene": planned.scene,
            "identity": str(planned.identity),
            "performance": str(planned.performance),
        }
    description = json.loads((written / "synthetic.json").read_text())
    assert description["face_only_bound"] == face_only_bound(clips)
    assert description["chance"] == chance_accuracy(clips)
    assert description["config"]["seed"] == 3


def test_clips_are_videos_of_the_asked_size_length_and_rate(written):
    files = sorted((written / "clips").iterdir())
    assert len(files) == SMALL.num_clips
    with av.open(str(files[0])) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.average_rate) == ("h264", SMALL.fps)
    assert [frame.shape for frame in decode(files[0])] == [(SMALL.height, SMALL.width, 3)] * 3


def test_the_same_config_gives_the_same_bytes(written, tmp_path):
    write_synthetic(tmp_path / "again", SMALL)
    for path in written.rglob("*"):
        if path.is_file():
            assert sha256_file(path) == sha256_file(tmp_path / "again" / path.relative_to(written))


def test_the_same_set_is_kept_as_it_is(written):
    before = {path: path.stat().st_mtime_ns for path in written.rglob("*")}
    write_synthetic(written, SMALL)
    assert {path: path.stat().st_mtime_ns for path in written.rglob("*")} == before


def test_another_set_in_the_folder_is_refused_with_the_difference(written):
    with pytest.raises(DatasetError, match=r"another synthetic set \(config.seed: 4 here, 3 there\)"):
        write_synthetic(written, SyntheticConfig(num_clips=14, num_frames=3, fps=3, seed=4))


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DatasetError, match="holds no readable synthetic.json; name another directory"):
        write_synthetic(tmp_path, SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_an_interrupted_writing_leaves_nothing(tmp_path):
    def interrupt(done: int, total: int) -> None:
        assert total == SMALL.num_clips
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_synthetic(tmp_path / "set", SMALL, interrupt)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["pipe", "link", "large"])
def test_a_description_that_is_no_plain_file_is_not_read(tmp_path, kind):
    path = tmp_path / "set" / DESCRIPTION
    path.parent.mkdir()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to("/dev/zero")
    else:
        path.touch()
        os.truncate(path, 1 << 40)
    with pytest.raises(DatasetError, match=f"holds no readable {DESCRIPTION}; name another directory"):
        write_synthetic(tmp_path / "set", SMALL)
