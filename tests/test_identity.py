"""Which changes make features other features: algorithm versions, settings, and caches from before them."""

import json
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
import zarr

from pipeline import people, versions
from pipeline.config import from_dict
from pipeline.errors import CacheError
from pipeline.fingerprint import OUTSIDE_IDENTITY, changed_settings, default_settings, version_default
from pipeline.frames import FrameConfig
from pipeline.process import ExtractConfig, identity_differences, unloaded_identity, version_differences
from pipeline.process.identity import STEPS
from pipeline.store.reader import FeatureCache
from pipeline.tracks import TrackConfig
from pipeline.verify import config_of, verify
from pipeline.versions import VERSIONS, version_note
from tests import golden_steps
from tests.command_line import call
from tests.old_cache import NUM_CLIPS, NUM_DONE, OLD_MODELS, old_model, unpack_old_cache, write_old_clips
from tests.small_clips import small_models, small_models_with

RAISE = "other values or defaults are another algorithm: raise VERSION (new settings: decision 0007)"

OF_VERSION_1 = {kind: {"max_gap": 3} if kind is TrackConfig else {} for _, kind in STEPS.values()}
TOLERANCE = {
    "sampling": 0,
    "cuts": 0,
    "looks": 0.02,
    "everyone": 1e-3,
    "subjects": 0.01,
    "times": 1e-3,
    "decoding": 1.5,
    "tracks": 1e-3,
    "streams": 0.3,
}
"""Decoding and streams give mean levels of cells, which libraries round in their own way; tracks pixels."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A step's settings: one that was always there, two that came later, one that changes nothing."""

    size: int = 3
    fit: str = field(default="wide", metadata=version_default("narrow"))
    new: bool = False
    batch: int = field(default=8, metadata=OUTSIDE_IDENTITY)


@pytest.fixture(scope="module")
def golden():
    return json.loads(golden_steps.GOLDEN.read_text())


@pytest.fixture
def clips(tmp_path):
    return write_old_clips(tmp_path / "clips")


@pytest.fixture
def old(tmp_path, clips, monkeypatch):
    old_model(monkeypatch)
    return unpack_old_cache(tmp_path)


@pytest.fixture
def as_version_1(monkeypatch):
    """As if decoding had version 1: of folders of pictures of one size, version 2 decodes the same."""
    monkeypatch.setattr(FrameConfig, "VERSION", 1)


# Settings and versions


def test_settings_count_where_they_differ_from_the_defaults_of_their_version():
    assert default_settings(Settings) == {"size": 3, "fit": "narrow", "new": False}
    assert changed_settings(Settings()) == {"fit": "wide"}
    assert changed_settings(Settings(size=4, fit="narrow", batch=1)) == {"size": 4}


def test_the_identity_of_default_settings_is_versions_and_models():
    identity = small_models().identity()
    assert {section: value for section, value in identity.items() if section != "encoder"} == {
        "frames": {"version": 2, "num_frames": 4},
        "detector": {"version": 1, "name": "boxes", "precision": "fp32", "sha256": ""},
        "track": {"version": 1},
        "streams": {"version": 1},
        "features": {"version": 1, "precision": "fp32"},
    }


def identity_with(**settings):
    config = from_dict(ExtractConfig, {"streams": {"scene": "full"}, **settings})
    return unloaded_identity(config, torch.device("cpu"))


@pytest.mark.parametrize(
    "settings",
    [{"track": {"method": "nearest"}}, {"faces": {"source": "crops"}}, {"faces": {"source": "boxes"}}],
)
def test_an_identity_without_people_is_that_of_earlier_programs(settings):
    identity = identity_with(**settings)
    assert identity.keys() == {"frames", "detector", "track", "streams", "features", "encoder"}
    assert identity["track"] == {"version": 1}
    assert identity["streams"] == {"version": 1, "scene": "full"}


def test_another_method_of_tracks_is_named_without_the_steps_that_it_alone_uses():
    mine, theirs = identity_with(), identity_with(track={"method": "nearest"})
    assert mine["track"] == {"version": 1, "method": "motion"}
    assert mine["shots"] == mine["people"] == {"version": 1}
    expected = [
        'track.method: "motion" here, "nearest" there',
        'streams.absent_face: "nearest" here, "hold" there',
        'streams.absent_scene: "whole" here, "masked" there',
    ]
    assert identity_differences(mine, theirs) == expected
    assert identity_differences(theirs, theirs) == []
    without = {section: held for section, held in mine.items() if section != "people"}
    assert identity_differences(mine, without) == ['people: {"version": 1} here, null there']


def test_an_identity_without_people_has_no_version_of_their_steps(monkeypatch):
    """A later version of these steps changes no feature of its cache."""
    earlier, of_motion = identity_with(track={"method": "nearest"}), identity_with()
    monkeypatch.setattr(people.PeopleConfig, "VERSION", 2)
    monkeypatch.setattr(versions, "VERSIONS", {**VERSIONS, "people": 2})
    assert (version_differences(earlier), version_note(earlier)) == ([], "")
    assert version_differences(of_motion) == ["people: version 2 here, 1 there"]
    assert version_note(of_motion) == "people version 1; this program makes people version 2"


def test_an_identity_without_versions_equals_one_of_version_1():
    identity = small_models().identity()
    identity["frames"]["version"] = 1
    whole = {
        section: {**(default_settings(STEPS[section][1]) if section in STEPS else {}), **values}
        for section, values in identity.items()
    }
    for values in whole.values():
        values.pop("version", None)
    assert identity_differences(identity, whole) == identity_differences(whole, identity) == []
    del whole["track"]["max_gap"]  # of a time before that setting
    assert identity_differences(identity, whole) == []
    whole["track"]["max_gap"] = 3
    assert identity_differences(identity, whole) == ["track.max_gap: 8 here, 3 there"]


def test_another_version_is_named_alone():
    mine, theirs = small_models().identity(), small_models().identity()
    theirs["track"] = {"version": 2, "max_gap": 3, "motion": True}
    theirs["streams"]["scene"] = "full"
    assert identity_differences(mine, theirs) == [
        "tracks: version 1 here, 2 there",
        'streams.scene: "masked" here, "full" there',
    ]


def test_defaults_of_a_version_that_is_not_this_program_s_are_not_filled_in():
    mine, theirs = small_models().identity(), small_models().identity()
    mine["track"], theirs["track"] = {"version": 9}, {"version": 9, "max_gap": TrackConfig().max_gap}
    assert identity_differences(mine, theirs) == [
        f"track.max_gap: absent here, {TrackConfig().max_gap} there"
    ]
    assert identity_differences(theirs, theirs) == []


def test_a_note_names_all_versions_that_differ():
    theirs = small_models().identity()
    assert version_note(theirs) == ""
    theirs["track"], theirs["streams"] = {"version": 3}, {"version": "\x1b"}
    mine = f"tracks version {VERSIONS['tracks']}, streams version {VERSIONS['streams']}"
    assert version_note(theirs) == f'tracks version 3, streams version "\\u001b"; this program makes {mine}'


def test_a_setting_that_is_not_known_here_is_a_difference():
    mine, theirs = small_models().identity(), small_models().identity()
    theirs["track"]["motion"] = True
    assert identity_differences(mine, theirs) == ["track.motion: absent here, true there"]


@pytest.mark.parametrize(
    "section",
    [
        None, 3, [], {"version": None}, {"version": True}, {"version": 1.0}, {"version": float("nan")},
        {"version": "x" * 10**5}, {"version": 1, "max_jump": True},
        {"version": 1, "\ud800\x1b[2J" * 10**4: 1},
    ],
)  # fmt: skip
def test_an_identity_that_is_no_identity_is_a_short_printable_difference(section):
    mine = small_models().identity()
    found = identity_differences(mine, mine | {"track": section})
    assert len(found) == 1
    assert len(found[0]) < 500
    assert found[0].isprintable()
    assert identity_differences(mine, {k: v for k, v in mine.items() if k != "track"}) == [
        'track: {"version": 1} here, null there'
    ]
    assert identity_differences({}, {}) != []


def test_models_and_precision_always_count():
    base = small_models().identity()
    other = small_models_with(features={"precision": "bf16"}, encoder={"seed": 1}).identity()
    found = identity_differences(base, other)
    assert 'features.precision: "fp32" here, "bf16" there' in found
    assert any(line.startswith("encoder.visual_sha256") for line in found)


# Algorithms


@pytest.mark.parametrize("step", [step for step, _ in STEPS.values()])
def test_the_defaults_of_a_version_stay(golden, step):
    """A new default of an old setting takes `version_default` or a new version; new settings are recorded."""
    kept = golden[step]
    for version, found in golden_steps.of_steps()[step].items():
        assert version in kept, f"run python -m tests.golden_steps: {step} has the new version {version}"
        assert found["defaults"] == kept[version]["defaults"], RAISE


@pytest.mark.parametrize("step", golden_steps.ALGORITHMS)
def test_the_values_of_a_version_stay(golden, step):
    for version, found in golden_steps.of_steps()[step].items():
        known = golden[step][version]["values"]
        assert found["values"].keys() == known.keys()
        for algorithm, values in found["values"].items():
            for one, other in zip(values, known[algorithm], strict=True):
                np.testing.assert_allclose(one, other, rtol=0, atol=TOLERANCE[algorithm], err_msg=RAISE)


# A cache from before versions


@pytest.mark.usefixtures("as_version_1")
def test_an_old_cache_opens_and_computes_the_same(old, clips):
    with FeatureCache.open(old) as cache:
        assert cache.status_counts() == {"pending": 3, "done": NUM_DONE, "done_without_face": 0, "failed": 0}
        report = verify(cache, NUM_DONE, root=clips)
    assert report.findings == ()
    assert len(report.recomputed.clip_ids) == NUM_DONE
    assert report.recomputed.largest_difference < 1e-3


@pytest.mark.usefixtures("as_version_1")
def test_an_old_cache_is_resumed_and_trained_on(old, clips, tmp_path, monkeypatch, capsys):
    before = FeatureCache.open(old)
    data = ("--dataset", "manifest", "--root", clips, "--cache", old)
    code, _, said = call(monkeypatch, capsys, "extract", *data, *OLD_MODELS)
    assert code == 0, said
    with FeatureCache.open(old) as cache:
        assert cache.status_counts()["done"] == NUM_CLIPS
        assert (cache.meta.fingerprint, cache.meta.identity) == (
            before.meta.fingerprint,
            before.meta.identity,
        )
        np.testing.assert_array_equal(
            cache.read("face/embedding", 0, NUM_DONE), before.read("face/embedding", 0, NUM_DONE)
        )
        assert verify(cache, NUM_CLIPS, root=clips).findings == ()
    smoke = ("--preset", "smoke", "--set", "schedule.max_epochs=1", "--set", "data.validation=train")
    code, _, said = call(monkeypatch, capsys, "train", "--cache", old, "--run", tmp_path / "run", *smoke)
    assert code == 0, said
    code, out, said = call(monkeypatch, capsys, "evaluate", tmp_path / "run", "--json")
    assert code == 0, said
    assert json.loads(out)["num_clips"] == 2


@pytest.mark.usefixtures("as_version_1")
def test_a_setting_that_a_cache_does_not_have_takes_the_default_of_its_version(old, monkeypatch):
    """As if max_gap had come later, with a default that does not do what version 1 did."""
    monkeypatch.setattr(
        "pipeline.process.stored_settings.default_settings",
        lambda kind: default_settings(kind) | OF_VERSION_1[kind],
    )
    attributes = zarr.open_group(old, mode="r+").attrs
    with FeatureCache.open(old) as cache:
        assert config_of(cache, None, None).track.max_gap == TrackConfig().max_gap
    track = {name: value for name, value in attributes["config"]["track"].items() if name != "max_gap"}
    attributes["config"] = attributes["config"] | {"track": track}
    with FeatureCache.open(old) as cache:
        assert config_of(cache, None, None).track.max_gap == 3


DAMAGED = {
    "no fingerprint": ({"fingerprint": "f" * 64}, "attribute 'fingerprint' is not the hash of 'identity'"),
    "NaN": ({"identity": {"track": {"version": float("nan")}}}, "attribute 'fingerprint' is not the hash"),
}


@pytest.mark.usefixtures("as_version_1")
@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_attributes_are_found_and_nothing_is_added(case, old, clips, monkeypatch, capsys):
    change, message = DAMAGED[case]
    zarr.open_group(old, mode="r+").attrs.update(change)
    data = ("--dataset", "manifest", "--root", clips, "--cache", old)
    code, _, errors = call(monkeypatch, capsys, "extract", *data, *OLD_MODELS)
    assert (code, message in errors) == (1, True)
    with FeatureCache.open(old) as cache:
        assert cache.status_counts()["done"] == NUM_DONE
        assert "'fingerprint' is not the hash of 'identity'" in str(verify(cache, 0).findings[0])


@pytest.mark.usefixtures("as_version_1")
def test_a_cache_with_a_setting_of_a_later_program_is_one_line_that_names_it(old):
    attributes = zarr.open_group(old, mode="r+").attrs
    track = attributes["config"]["track"] | {"motion": True}
    attributes["config"] = attributes["config"] | {"track": track}
    message = (
        r"feats.zarr' stores settings that are not those of this program: Unknown setting 'track\.motion'"
    )
    with FeatureCache.open(old) as cache, pytest.raises(CacheError, match=message):
        config_of(cache, None, None)


def test_an_old_cache_is_refused_once_an_algorithm_has_another_version(old, clips, monkeypatch, capsys):
    data = ("--dataset", "manifest", "--root", clips, "--cache", old)
    code, _, said = call(monkeypatch, capsys, "extract", *data, *OLD_MODELS)
    assert code == 1
    assert "was made differently: frames: version 2 here, 1 there. Use the program that made it, or" in said
    with FeatureCache.open(old) as cache:
        assert cache.status_counts()["done"] == NUM_DONE
        (finding,) = verify(cache, 1, root=clips).findings
    assert str(finding) == (
        f"recompute: '{old}' was made by other algorithms: frames: version 2 here, 1 there. "
        "Use the program that made it, or extract again into another --cache."
    )
