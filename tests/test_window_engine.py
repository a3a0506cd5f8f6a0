"""Windows have the features of `extract`, however frames are grouped and wherever a prediction continues."""

import io
from dataclasses import fields
from itertools import pairwise

import numpy as np
import pytest

from pipeline.frames import FrameConfig, decode_clip, scan_source
from pipeline.process import process_block
from pipeline.process.windows import MASKS, WindowOptions, plan_windows
from pipeline.process.windows.engine import WindowEngine
from pipeline.types import ClipDone, ClipRef, StreamedFrame
from tests.scripted_video import SIDE, Made, ScriptedVideo, run
from tests.small_clips import small_models_with

TRUE_TO_EXTRACT = ("face_embedding", "scene_embedding", "scene_early")


def one_still(number):
    return {1: (30.0, 20.0)}


def two_apart(number):
    return {1: (5.0 + 0.05 * number, 20.0), 2: (70.0, 30.0 + 0.05 * number)}


def crowd(number):
    """People who come, cross, leave for a while and leave."""
    found = {}
    if number < 90:
        found[1] = (2.0 + 0.9 * number, 8.0)
    if 13 <= number < 61 or number >= 80:
        found[2] = (84.0 - 0.6 * number, 50.0)
    if number in (30, 31, 33, 55, 56, 57, 100):
        found[3] = (60.0, 3.0)
    return found


def same(one, other):
    """Whether two samples are equal to the bit."""
    for field in fields(one):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if field.name == "window":
            equal = (a.first, a.end) == (b.first, b.end)
        elif field.name == "features" and a is not None and b is not None:
            equal = all(
                (x is None and y is None) or np.array_equal(x, y, equal_nan=True)
                for x, y in ((getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
            )
        else:
            equal = np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b
        if not equal:
            return False
    return True


def require_same(one: Made, other: Made) -> None:
    assert len(one.samples) == len(other.samples)
    assert [a.window.first for a, b in zip(one.samples, other.samples, strict=True) if not same(a, b)] == []
    found = [
        [(f.frame, f.track, f.box_xyxy_px.tolist(), f.score) for f in made.faces] for made in (one, other)
    ]
    assert found[0] == found[1]
    assert one.people == other.people


CASES = {
    "overlapping": {},
    "far apart": {"window": 0.8, "stride": 1.2},
    "next to each other": {"window": 0.8, "stride": 0.8},
    "shots": {"cuts": (17, 40, 43, 90)},
    "variable rate": {"seconds_N": np.cumsum(np.random.default_rng(0).uniform(0.03, 0.17, 120))},
    "every second frame": {"settings": {"detector": {"name": "haar", "every": 2}}},
    "denser than samples": {"settings": {"detector": {"name": "haar", "rate": 10}}},
    "nearest": {"settings": {"track": {"method": "nearest"}}},
    "lost frames": {"lost": (8, 62)},
}
FEW = ("far apart", "shots", "lost frames")


@pytest.mark.parametrize(
    ("case", "people"),
    [*((case, "all") for case in CASES), *((case, who) for case in FEW for who in ("main", "1"))],
)
def test_groups_and_interruptions_change_nothing(case, people):
    video = ScriptedVideo(script=crowd, **{"num_frames": 100, **CASES[case]})
    options = WindowOptions(people=people, min_face_px=0, min_share=0.3)
    plain = run(video, options, group=1, flush_after=1, encode_all=True)
    assert any(sample.features is not None for sample in plain.samples)
    assert {sample.window.first for sample in plain.samples} == {one.first for one in video.plan.windows}
    require_same(run(video, options, group=200), plain)
    require_same(run(video, options, group=7, flush_after=1, stop_after=2), plain)


def test_an_interruption_after_any_flush_changes_nothing():
    video = ScriptedVideo(script=crowd, cuts=(43,), num_frames=60)
    plain = run(video)
    for stop_after in range(1, 9):
        require_same(run(video, group=4, flush_after=1, encode_all=True, stop_after=stop_after), plain)


def test_states_are_arrays_without_pickles():
    video = ScriptedVideo(script=crowd)
    engine, parts = video.engine(WindowOptions()), []
    for _ in range(2):
        parts += engine.tracks.take_parts()
        stored = io.BytesIO()
        np.savez(stored, allow_pickle=False, **engine.to_arrays())
        stored.seek(0)
        with np.load(stored, allow_pickle=False) as arrays:
            engine = video.engine(WindowOptions(), {name: arrays[name] for name in arrays.files}, parts)
        wanted = video.plan.wanted
        engine.add(video.frames(wanted[wanted >= engine.first_needed].tolist()[:12]))
        engine.flush(encode_all=True)


def test_the_state_does_not_grow_with_the_length_of_a_source():
    def script(number):
        return {1: (5.0 + 0.1 * (number % 100), 20.0), 2 + number // 20: (70.0, 40.0)}

    cuts = tuple(range(100, 400, 100))
    video = ScriptedVideo(script=script, num_frames=400, cuts=cuts)
    engine, wanted = video.engine(WindowOptions()), video.plan.wanted.tolist()
    sizes, num_detections = [], 0
    for place in range(0, len(wanted), 8):
        engine.add(video.frames(wanted[place : place + 8]))
        engine.flush(encode_all=True)
        num_detections += sum(len(part.frame_N) for part in engine.tracks.take_parts())
        stored = io.BytesIO()
        np.savez(stored, **engine.to_arrays())
        sizes.append(len(stored.getvalue()))
    half = len(sizes) // 2
    assert max(sizes[half:]) <= 1.02 * max(sizes[4:half])
    assert num_detections == 2 * len(wanted)
    assert len(engine.tracks.to_arrays()["number"]) <= 4


def test_images_of_a_person_who_stays_are_encoded_once():
    video = ScriptedVideo(script=one_still, settings={"track": {"method": "nearest"}})
    made = run(video)
    assert made.engine.num_encoded == 2 * len(video.plan.wanted)
    assert made.engine.num_wanted == 2 * 4 * len(video.plan.windows)
    assert made.engine.num_encoded / made.engine.num_wanted < 0.3
    full = ScriptedVideo(
        script=two_apart, settings={"streams": {"scene": "full"}, "track": {"method": "nearest"}}
    )
    both = run(full).engine
    assert both.num_encoded <= 3.2 * len(full.plan.wanted)
    assert both.num_wanted == 4 * 4 * len(full.plan.windows)


def test_frames_are_searched_once_and_held_only_while_windows_need_them():
    video = ScriptedVideo(script=two_apart, num_frames=400)
    engine = video.engine(WindowOptions())
    wanted = video.plan.wanted.tolist()
    held, with_pixels = [], []
    for place in range(0, len(wanted), 8):
        engine.add(video.frames(wanted[place : place + 8]))
        engine.flush(encode_all=True)
        held.append(
            len(engine._seen) + len(engine._waiting._faces._known) + len(engine._waiting._scenes._known)
        )
        with_pixels.append(sum(one.rgb_HWC is not None for one in engine._seen.values()))
        assert len(engine._waiting._waiting) == 0
    assert video.detector.searched == wanted
    assert max(with_pixels) <= 12
    assert max(held) <= 12 + 4 * 12


@pytest.mark.parametrize("people", ["all", "main"])
def test_a_window_without_a_face_has_a_reason(people):
    made = run(ScriptedVideo(script=lambda number: {}), WindowOptions(people=people))
    reasons = {"all": "no face was found", "main": "face found on 0 of 4 frames; at least 2 are needed"}
    assert {sample.reason for sample in made.samples} == {reasons[people]}
    assert {sample.track for sample in made.samples} == {""}
    assert all(sample.features is None and sample.box_xyxy_px is None for sample in made.samples)
    assert (made.faces, made.people, made.engine.num_encoded) == ([], [], 0)


def test_a_face_that_is_small_or_seldom_found_has_no_answer_and_says_why():
    video = ScriptedVideo(script=lambda number: one_still(number) if number % 16 < 7 else {}, stride=1.6)
    made = run(video, WindowOptions(min_share=0.75, min_face_px=24))
    reasons = [sample.reason for sample in made.samples]
    assert reasons[0] == "a face was followed on 2 of 4 frames, which is too few in its shot"
    assert set(reasons[1:]) == {"face found on 2 of 4 frames; at least 3 are needed"}
    assert {sample.frames_found for sample in made.samples[1:]} == {2}
    made = run(video, WindowOptions(min_share=0.5, min_face_px=SIDE + 1))
    assert {sample.reason for sample in made.samples[1:]} == {
        f"face of {SIDE} px; at least {SIDE + 1} px are needed"
    }
    made = run(video, WindowOptions(min_share=0.5, min_face_px=SIDE))
    assert {sample.reason for sample in made.samples[1:]} == {""}
    assert made.samples[1].box_xyxy_px.tolist() == [30, 20, 30 + SIDE, 20 + SIDE]


def test_two_detections_are_no_person_and_three_are():
    for number, people in ((2, []), (3, [("s00p1",)])):
        detected = [2, 6, 10][:number]
        made = run(ScriptedVideo(script=lambda n, d=detected: one_still(n) if n in d else {}))
        assert made.people == people
        assert len(made.faces) == (3 if people else 0)


@pytest.mark.parametrize(("length", "detected"), [(1, (40,)), (2, (40, 41)), (3, (41, 42)), (4, (40, 43))])
def test_a_short_shot_has_the_answer_of_main_for_everyone(length, detected):
    """A shot of fewer sampled frames than a track elsewhere needs."""
    video = ScriptedVideo(
        script=lambda n: one_still(n) if n in detected or n > 60 else {}, cuts=(40, 40 + length)
    )
    found = {}
    for people in ("all", "main", "1"):
        made = run(video, WindowOptions(people=people, min_face_px=0))
        (found[people],) = (sample for sample in made.samples if sample.window.first == 40)
        assert made.engine.tracks.num_unfollowed() == 0
    assert found["all"].window.is_short
    assert (found["all"].reason, found["all"].track) == ("", "s01p1")
    assert all(same(one, found["all"]) for one in found.values())


def test_a_face_on_too_few_frames_beside_others_is_counted():
    def script(number):
        return {1: (5.0, 20.0), **({2: (70.0, 30.0)} if number in (30, 34) else {})}

    made = run(ScriptedVideo(script=script))
    assert {sample.track for sample in made.samples} == {"s00p1"}
    assert made.engine.tracks.num_unfollowed() == 1


def test_people_are_named_by_shot_and_order_of_appearance():
    made = run(ScriptedVideo(script=two_apart, cuts=(60,)))
    assert {sample.track for sample in made.samples} == {"s00p1", "s00p2", "s01p1", "s01p2"}
    for before, after in pairwise(made.samples):
        assert before.window.index_U[-1] <= after.window.index_U[-1]
    assert sorted(made.people) == [("s00p1", "s01p1"), ("s00p2", "s01p2")]
    frames = [face.frame for face in made.faces]
    assert frames == sorted(frames)


@pytest.mark.parametrize(("people", "most"), [("all", 2), ("1", 1), ("2", 2), ("9", 2), ("main", 1)])
def test_no_more_people_than_wanted(people, most):
    video = ScriptedVideo(script=two_apart, lost=(62,))
    made = run(video, WindowOptions(people=people, min_face_px=0))
    counts = {}
    for sample in made.samples:
        counts[sample.window.first] = counts.get(sample.window.first, 0) + 1
    assert set(counts.values()) == {most}
    gaps = [sample for sample in made.samples if sample.has_gap]
    assert gaps
    assert {sample.reason for sample in gaps} == {"1 frame of 4 did not decode: lost"}
    assert all(62 in sample.window.index_U for sample in gaps)
    assert all(sample.features is None for sample in gaps)


def test_scenes_are_masked_as_wanted():
    shapes = {}
    for mask in (None, *MASKS):
        made = run(ScriptedVideo(script=two_apart, num_frames=40), WindowOptions(mask=mask, min_face_px=0))
        shapes[mask] = [sample.features.scene_embedding for sample in made.samples]
    assert all(np.array_equal(a, b) for a, b in zip(shapes[None], shapes["subject"], strict=True))
    for mask in ("everyone", "none"):
        assert not any(np.array_equal(a, b) for a, b in zip(shapes[None], shapes[mask], strict=True))
    pairs = list(zip(shapes["none"][::2], shapes["none"][1::2], strict=True))
    assert all(np.array_equal(a, b) for a, b in pairs)  # one scene for both people
    assert all(
        np.array_equal(a, b) for a, b in zip(shapes["everyone"][::2], shapes["everyone"][1::2], strict=True)
    )


def test_without_a_scene_the_face_is_the_same_and_scenes_are_not_encoded():
    video = ScriptedVideo(script=two_apart)
    both, face = run(video), run(video, WindowOptions(has_scene=False, min_face_px=0))
    for one, other in zip(both.samples, face.samples, strict=True):
        assert np.array_equal(one.features.face_embedding, other.features.face_embedding)
        assert np.isnan(other.features.scene_embedding).all()
    assert face.engine.num_encoded < both.engine.num_encoded


def of_window(video_path, window, seconds_N):
    end = 1.6 if window.end == len(seconds_N) else float(seconds_N[window.end])
    start = float(seconds_N[window.first]) if window.first else None
    name = f"{window.first}-{window.end}"
    return ClipRef(
        clip_id=name, path=video_path.name, label=0, splits=(), start_seconds=start, end_seconds=end
    )


REAL = {
    "haar": ({}, {}),
    "haar nearest": ({"track": {"method": "nearest"}}, {}),
    "every second frame": ({"detector": {"name": "haar", "every": 2}}, {}),
    "denser than samples": ({"detector": {"name": "haar", "rate": 6}}, {}),
    "three views": ({"frames": {"num_frames": 4, "num_views": 3}}, {}),
    "patch tokens": ({"features": {"precision": "fp32", "tokens": "grid4"}}, {}),
    "whole scenes": ({"streams": {"scene": "full", "scene_fit": "center_crop"}}, {}),
    "longer than the clip": ({}, {"window_seconds": 60.0}),
}


@pytest.mark.data
@pytest.mark.parametrize(
    ("case", "people"),
    [
        *(pytest.param(case, "all", marks=[] if case == "haar" else pytest.mark.slow) for case in REAL),
        ("haar", "main"),
    ],
)
def test_features_are_those_of_extract_to_the_bit(real_clip, case, people):
    settings, lengths = REAL[case]
    models = small_models_with(**{"detector": {"name": "haar"}, "shots": {"search": "none"}, **settings})
    path, scan, images = real_clip
    plan = plan_windows(
        scan.seconds_N,
        scan.end_seconds,
        (),
        models.config,
        **{"window_seconds": 0.8, "stride_seconds": 0.4, **lengths},
    )
    engine = WindowEngine(
        models, plan, scan.seconds_N, WindowOptions(people=people, min_share=0, min_face_px=0)
    )
    samples = []
    for number in plan.wanted.tolist():
        engine.add([StreamedFrame(number=number, seconds=scan.seconds_N[number], rgb_HWC=images[number])])
        samples += engine.flush()
    samples += engine.flush(encode_all=True)
    clips = [of_window(path, window, scan.seconds_N) for window in plan.windows]
    expected = process_block(path.parent, clips, models).outcomes
    with_features = [sample for sample in samples if sample.features is not None]
    assert len(with_features) >= max(1, len(clips) - 1)
    for sample in with_features:
        done = expected[plan.windows.index(sample.window)]
        assert isinstance(done, ClipDone)
        names = [*TRUE_TO_EXTRACT, *(["face_tokens", "scene_tokens"] if case == "patch tokens" else [])]
        for name in names:
            assert np.array_equal(getattr(sample.features, name)[0], getattr(done.features, name)[0]), name
        assert sample.frames_found == done.track.found[done.frames.position_VT[0]].sum()


@pytest.fixture(scope="module")
def real_clip(test_data):
    """The first seconds of a clip of one person, decoded."""
    path = test_data / "videos/people/d12.mp4"
    scan = scan_source(path, cuts=None, end_seconds=1.6)
    frames = decode_clip(path, FrameConfig(num_frames=scan.num_frames), end_seconds=1.6)
    return path, scan, frames.rgb_UHWC
