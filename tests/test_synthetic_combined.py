"""The version ``combined`` of the synthetic set: its cues, and the best accuracy of every reading of them."""

import csv
import json
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import LinearConstraint, milp

from pipeline.config import from_dict
from pipeline.datasets import read_dataset
from pipeline.datasets.synthetic import (
    CLASSES,
    READINGS,
    PlannedClip,
    SyntheticConfig,
    additive_accuracy,
    all_bounds,
    best_accuracy,
    face_only_bound,
    plan_clips,
    write_synthetic,
)
from pipeline.datasets.synthetic.bounds import ASPECTS
from pipeline.datasets.synthetic.compose import (
    CODEC_SLACK_PX,
    Performance,
    draw_frames,
    render_foreground,
    scene_of,
)
from pipeline.datasets.synthetic.cues import CLEAR_KINDS, FLOWER, GREY, HALVES, KINDS, THORN, WARM
from pipeline.datasets.synthetic.plan import PAIRS
from pipeline.errors import ConfigError

ROUND = 96
"""Ambiguous clips that have every kind of cue with every pair, as often as its weight."""

WHOLE = SyntheticConfig(version="combined", num_clips=5 * ROUND, ambiguous_share=0.8, test_share=0.5)
SMALL = SyntheticConfig(version="combined", num_clips=14, num_frames=8, fps=4, seed=3, width=384, height=240)


def held_out(clips: tuple[PlannedClip, ...]) -> list[PlannedClip]:
    return [clip for clip in clips if clip.split == "test"]


# ---- the plan


def test_a_split_has_every_cue_with_every_pair():
    here = held_out(plan_clips(WHOLE))
    assert len(here) == 2.5 * ROUND
    ambiguous = [clip for clip in here if clip.ambiguous]
    assert len(ambiguous) == 2 * ROUND
    counts = Counter((clip.cues.kind, tuple(sorted((clip.label, clip.other_class)))) for clip in ambiguous)
    for pair, weight in PAIRS.items():
        for kind in KINDS:
            size = 4 if kind in ("both", "gaze") else 2
            assert counts[kind, tuple(sorted(pair))] == 2 * weight * size
    per_class = Counter(clip.label for clip in here)
    assert max(per_class.values()) - min(per_class.values()) <= 2


@pytest.mark.parametrize("share", [0.0, 0.35, 1.0])
@pytest.mark.parametrize("num_clips", [4, 33, 200])
def test_every_face_has_each_label_equally_often_and_each_cell_of_its_cue(num_clips: int, share: float):
    clips = plan_clips(SyntheticConfig(version="combined", num_clips=num_clips, ambiguous_share=share))
    assert len(clips) == num_clips
    faces: dict[int, list[PlannedClip]] = defaultdict(list)
    for clip in clips:
        faces[clip.performance].append(clip)
    for twins in faces.values():
        assert len({(clip.split, clip.identity, clip.cues.gaze) for clip in twins}) == 1
        assert len({clip.cues.bystander for clip in twins}) == 1
        if twins[0].ambiguous:
            assert set(Counter(clip.label for clip in twins).values()) == {len(twins) // 2}
            assert len({(clip.cues.light, clip.cues.objects) for clip in twins}) == len(twins)
        else:
            assert len({clip.label for clip in twins}) == 1
            assert twins[0].cues.kind in CLEAR_KINDS
    people = {split: {clip.identity for clip in clips if clip.split == split} for split in ("train", "test")}
    assert not people["train"] & people["test"]


def is_first_class(clip: PlannedClip) -> bool:
    """Return the answer of the cue, as the page describes the rules."""
    cues = clip.cues
    names = {one.name for one in cues.objects}
    if cues.kind == "light":
        return cues.light == WARM
    if cues.kind == "both":
        return (names == {FLOWER}) == (cues.light == WARM)
    if cues.kind == "order":
        return next(one.name for one in cues.objects if one.during == HALVES[1]) == FLOWER
    if cues.kind == "gaze":
        return (names == {FLOWER}) == (cues.gaze == cues.objects[0].side)
    return names == {FLOWER}


def test_the_described_rules_give_the_label():
    for clip in plan_clips(WHOLE):
        if clip.ambiguous:
            pair = next(pair for pair in PAIRS if set(pair) == {clip.label, clip.other_class})
            assert clip.label == pair[not is_first_class(clip)]
        assert (clip.cues.light == GREY) == (clip.cues.kind not in ("light", "both"))


def test_the_scene_kind_is_neutral_for_every_clip():
    assert {clip.scene for clip in plan_clips(WHOLE)} == {"neutral"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"version": "hard"}, "version is 'hard'; allowed: simple, combined"),
        ({"version": "combined", "num_frames": 3}, "num_frames with version=combined is 3; allowed: 4 to"),
        ({"version": "combined", "width": 300}, "width is 300 at height 288; with version=combined"),
    ],
)
def test_a_wrong_setting_is_named(values: dict[str, object], message: str):
    with pytest.raises(ConfigError, match=message):
        from_dict(SyntheticConfig, values)


# ---- the bounds


def test_the_bounds_of_whole_rounds_are_those_of_the_design():
    """Of 16 clips of a block of all kinds, both and gaze have 4, the others 2. A fifth of all is clear."""
    found = all_bounds(plan_clips(WHOLE))
    sixteenths = {
        "face": 8,
        "face and light": 2 + 14 / 2,
        "face and objects": 2 + 2 + 2 + 4 + 6 / 2,
        "all without order in time": 14 + 1,
        "all without gaze": 12 + 4 / 2,
        "all": 16,
        "all, added": 2 + 2 + 2 + 2 + 3 + 3,
        "all without order in time, added": 2 + 2 + 2 + 1 + 3 + 3,
        "face and combined scene, added": 12 + 3,
    }
    assert set(found) == {"chance", "scene", *sixteenths}
    for name, right in sixteenths.items():
        assert found[name] == pytest.approx(0.2 + 0.8 * right / 16), name
    assert found["face"] == face_only_bound(plan_clips(WHOLE))


def test_a_bound_is_the_best_of_all_rules():
    """Compared with all assignments of labels to observations of a few clips."""
    config = SyntheticConfig(version="combined", num_clips=24, ambiguous_share=1.0, test_share=0.5, seed=2)
    clips = plan_clips(config)
    for aspects in READINGS.values():
        seen = [
            (tuple(ASPECTS[name](clip, clip.cues) for name in aspects), clip.label)
            for clip in held_out(clips)
        ]
        best = sum(
            max(sum(o == value and label == guess for o, label in seen) for guess in CLASSES)
            for value in {o for o, _ in seen}
        )
        assert best_accuracy(clips, aspects) == best / len(seen)


@pytest.mark.parametrize("is_ordered", [True, False])
@pytest.mark.parametrize("is_scene_combined", [True, False])
def test_the_additive_bound_is_the_best_sum_of_scores(is_ordered: bool, is_scene_combined: bool):
    """Compared with the optimum of a mixed-integer program over all scores that are sums."""
    clips = plan_clips(WHOLE)
    here = held_out(clips)
    objects = ("objects", "times") if is_ordered else ("objects",)
    groups = [("expression", "gaze"), (*objects, "light")]
    if not is_scene_combined:
        groups = [("expression", "gaze"), objects, ("light",)]
    rows = Counter(
        (
            tuple(tuple(ASPECTS[name](clip, clip.cues) for name in group) for group in groups),
            clip.label,
        )
        for clip in here
    )
    expected = additive_accuracy(clips, is_ordered=is_ordered, is_scene_combined=is_scene_combined)
    assert best_sum(rows) / len(here) == pytest.approx(expected)


def best_sum(rows: Counter) -> float:
    """Return the largest number of clips that sums of scores classify correctly, each class with its own.

    One binary variable states whether an observation with its label is right: its class has a score that
    exceeds that of every other class of an ambiguous face's pair, or of any class, by 1.
    """
    scores: dict[tuple, int] = {}

    def score(group: int, value: object, label: str) -> int:
        return scores.setdefault((group, value, label), len(scores))

    parts = []
    for place, ((values, label), _) in enumerate(rows.items()):
        pair = values[0][0]
        for other in pair:
            if other != label:
                plus = [score(group, value, label) for group, value in enumerate(values)]
                minus = [score(group, value, other) for group, value in enumerate(values)]
                parts.append((place, plus, minus))
    slack, size = 200.0, len(scores)
    matrix = np.zeros((len(parts), size + len(rows)))
    for row, (place, plus, minus) in enumerate(parts):
        np.add.at(matrix[row], plus, 1.0)
        np.add.at(matrix[row], minus, -1.0)
        matrix[row, size + place] = -slack
    counts = np.array(list(rows.values()), float)
    result = milp(
        c=np.r_[np.zeros(size), -counts],
        constraints=LinearConstraint(matrix, lb=1.0 - slack),
        integrality=np.r_[np.zeros(size), np.ones(len(rows))],
        bounds=(
            np.r_[np.full(size, -30.0), np.zeros(len(rows))],
            np.r_[np.full(size, 30.0), np.ones(len(rows))],
        ),
    )
    assert result.success
    return -result.fun


def test_bounds_need_cues():
    with pytest.raises(ValueError, match="0 of 140 test clips have cues"):
        best_accuracy(plan_clips(SyntheticConfig()), ("expression",))
    mixed = [*plan_clips(SMALL), *(replace(clip, cues=None) for clip in plan_clips(SMALL))]
    with pytest.raises(ValueError, match="of 10 test clips have cues"):
        additive_accuracy(mixed)


# ---- the drawing


@pytest.fixture(scope="module")
def drawn_by_cue() -> dict[str, list[tuple[PlannedClip, np.ndarray]]]:
    """Return the frames of one ambiguous face's clips, by kind of cue."""
    config = SyntheticConfig(version="combined", num_clips=160, ambiguous_share=0.8, num_frames=8, fps=4)
    kinds: dict[str, list[tuple[PlannedClip, np.ndarray]]] = {}
    clips = plan_clips(config)
    for kind in KINDS:
        one = next(clip for clip in clips if clip.cues.kind == kind and clip.ambiguous)
        front = render_foreground(Performance.of(config, one), config)
        kinds[kind] = [
            (clip, np.stack(list(draw_frames(front, scene_of(config, clip), config.fps))))
            for clip in clips
            if clip.performance == one.performance
        ]
    return kinds


@pytest.mark.parametrize("kind", KINDS)
def test_twins_have_equal_pixels_around_the_face_and_others_elsewhere(drawn_by_cue, kind: str):
    config = SyntheticConfig(version="combined", num_clips=160, ambiguous_share=0.8, num_frames=8, fps=4)
    (one, first), *others = drawn_by_cue[kind]
    x0, y0, x1, y1 = Performance.of(config, one).guard_xyxy_px
    assert x0 > 0.28 * config.width
    assert x1 < 0.72 * config.width
    for _, other in others:
        np.testing.assert_array_equal(first[:, y0:y1, x0:x1], other[:, y0:y1, x0:x1])
        assert np.abs(first[:, :, :x0].astype(int) - other[:, :, :x0]).max() > 20


def has_thorn(frame: np.ndarray) -> bool:
    """Return whether the green middle of a thorn is on a frame, in grey light."""
    red, green, blue = (frame[..., channel].astype(int) for channel in range(3))
    return bool(((green - red > 25) & (green - blue > 80)).sum() > 60)


def test_an_object_is_visible_in_its_part_of_the_clip_alone(drawn_by_cue):
    for kind in ("object", "moment", "order", "gaze"):
        for clip, frames in drawn_by_cue[kind]:
            thorns = [one for one in clip.cues.objects if one.name == THORN]
            expected = [
                any(one.during[0] <= n / len(frames) < one.during[1] for one in thorns)
                for n in range(len(frames))
            ]
            assert [has_thorn(frame) for frame in frames] == expected


def test_the_gaze_turns_the_face_but_not_its_outline():
    clips = plan_clips(WHOLE)
    left = next(clip for clip in clips if clip.cues.gaze == "left")
    straight = replace(left, cues=replace(left.cues, gaze=""))
    right = replace(left, cues=replace(left.cues, gaze="right"))
    drawn = [render_foreground(Performance.of(WHOLE, clip), WHOLE) for clip in (left, straight, right)]
    for one in (drawn[0], drawn[2]):
        np.testing.assert_array_equal(one.clear_HW3, drawn[1].clear_HW3)
    darkest = [_dark_middle(WHOLE, left, one.rgb_FHW3[8]) for one in drawn]
    assert darkest[0] < darkest[1] - 2
    assert darkest[2] > darkest[1] + 2


def _dark_middle(config: SyntheticConfig, clip: PlannedClip, frame: np.ndarray) -> float:
    """Return the mean column of the dark pixels of the face's middle, in which the eyes are."""
    x, y = Performance.of(config, clip).centre_F2[8]
    unit = Performance.of(config, clip).unit_px
    part = frame[
        round(y - 0.3 * unit) : round(y + 0.05 * unit), round(x - 0.6 * unit) : round(x + 0.6 * unit)
    ].mean(axis=-1)
    dark = np.clip(np.median(part) - part, 0, None)
    return float((dark * np.arange(part.shape[1])).sum() / dark.sum())


# ---- the files


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("set") / "combined"
    write_synthetic(root, SMALL)
    return root


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_manifest_has_the_subjects_face_within_the_guard(written):
    index = read_dataset("synthetic", written)
    planned = {clip.clip_id: clip for clip in plan_clips(SMALL)}
    for clip in index.clips:
        assert clip.provided_boxes is not None
        box = clip.provided_boxes.box_xyxy[0]
        half = 1.3 * (box[2] - box[0]) / 2
        middle = (box[:2] + box[2:]) / 2
        crop = np.r_[middle - half, middle + half]
        guard = Performance.of(SMALL, planned[clip.clip_id]).guard_xyxy_px
        assert ((crop - guard) * (1, 1, -1, -1)).min() >= CODEC_SLACK_PX


def test_the_truth_and_the_description_have_the_cues_and_the_bounds(written):
    clips = plan_clips(SMALL)
    for row, planned in zip(rows_of(written / "truth.csv"), clips, strict=True):
        assert row["cue"] == planned.cues.kind
        assert row["light"] == planned.cues.light
        assert row["gaze"] == planned.cues.gaze
        assert row["bystander"] == (planned.cues.bystander.size if planned.cues.bystander else "")
        assert len(list(filter(None, row["objects"].split("; ")))) == len(planned.cues.objects)
    description = json.loads((written / "synthetic.json").read_text())
    assert description["bounds"] == all_bounds(clips)
    assert description["config"]["version"] == "combined"


def test_the_description_of_a_simple_set_has_no_version():
    """Descriptions of earlier versions of the program have none, and their sets are still accepted."""
    assert "version" not in SyntheticConfig().to_stored()
