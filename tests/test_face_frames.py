"""`data.face_frames`: the face stream without the frames on which the subject is not in view."""

import numpy as np
import pytest
import torch

from pipeline.config import override
from pipeline.errors import ConfigError
from pipeline.store.reader import FeatureCache
from tests.people_cache import AWAY, ELSEWHERE, FOUND, MISSED, people_cache, people_meta, rewrite, some_absent
from tests.tiny_cache import tiny_cache
from trainer.ablate.spec import Row, Spec
from trainer.ablate.sweep_plan import plan_sweep
from trainer.clip_loading import load_clips
from trainer.config import TrainConfig
from trainer.measurement import measure
from trainer.presets import smoke
from trainer.report.stages import stage_features
from trainer.training import train

pytestmark = pytest.mark.usefixtures("one_tiny_encoder")

CPU = torch.device("cpu")
IN_VIEW = override(TrainConfig(), ["data.face_frames=in_view"])
READINGS = (
    [],
    ["model.lstm=type"],
    ["model.tfe_tokens=frames"],
    ["model.tfe_tokens=frames", "model.lstm=type"],
    ["model.tfe_tokens=patches"],
    ["model.tfe_keys=crossed"],
    ["model.tfe=false", "model.standardise=true"],
    ["model.scene=false", "model.polarity=false"],
)


def loaded(path, config, rows=(5, 6, 7)):
    with FeatureCache.open(path) as cache:
        return load_clips(cache, np.array(rows), config, CPU)


def test_the_face_stream_has_the_valid_frames_in_view(tmp_path):
    """Clip 5 has two valid frames of four; clip 7 is never in view, clip 6 in its second view alone."""
    absence = np.zeros((48, 2, 4), np.uint8)
    absence[5] = [[AWAY, MISSED, FOUND, FOUND], [ELSEWHERE, ELSEWHERE, FOUND, FOUND]]
    absence[6] = [[AWAY] * 4, [FOUND, ELSEWHERE, MISSED, AWAY]]
    absence[7] = ELSEWHERE
    path = people_cache(tmp_path / "feats.zarr", face_absence=absence)
    data = loaded(path, IN_VIEW)
    assert data.valid_NVT.tolist() == [[[True, True, False, False]] * 2, [[True] * 4] * 2, [[True] * 4] * 2]
    assert data.in_view_NVT.tolist() == [
        [[False, True, False, False], [True, True, False, False]],
        [[True] * 4, [True, False, True, False]],
        [[True] * 4] * 2,
    ]
    batch = data.gather(torch.tensor([1, 0]), torch.tensor([1, 0]))
    assert batch.in_view_BT.tolist() == [[True, False, True, False], [False, True, False, False]]
    assert batch.face_valid_BT is batch.in_view_BT
    plain = loaded(path, TrainConfig()).gather(torch.tensor([1]), torch.tensor([1]))
    assert plain.in_view_BT is None
    assert plain.face_valid_BT is plain.valid_BT


def test_patch_tokens_of_the_face_are_means_over_frames_in_view_and_those_of_the_scene_over_all(tmp_path):
    absence = np.zeros((8, 2, 4), np.uint8)
    absence[6, 1] = [AWAY, FOUND, ELSEWHERE, MISSED]
    path = people_cache(tmp_path / "feats.zarr", people_meta(num_tokens=5, num_clips=8), face_absence=absence)
    config = override(IN_VIEW, ["model.tfe_tokens=patches"])
    batch = loaded(path, config).gather(torch.tensor([0, 1, 1]), torch.tensor([1, 0, 1]))
    with FeatureCache.open(path) as cache:
        face, scene, early = (
            cache.read(name).astype(np.float32) for name in ("face/tokens", "scene/tokens", "scene/early")
        )
    for array, stored, last in (
        (batch.face_patches_BJD, face, [1, 3]),
        (batch.scene_patches_BJD, scene, [0, 1, 2, 3]),
        (batch.early_B43D, early, [0, 1, 2, 3]),
    ):
        np.testing.assert_allclose(array[0], stored[5, 1, :2].mean(axis=0), atol=1e-6)
        np.testing.assert_allclose(array[1], stored[6, 0].mean(axis=0), atol=1e-6)
        np.testing.assert_allclose(array[2], stored[6, 1, last].mean(axis=0), atol=1e-6)


@pytest.fixture(scope="module")
def twins(tmp_path_factory):
    """Two caches that differ in the face features of frames on which the subject is not in view."""
    folder = tmp_path_factory.mktemp("twins")
    absence, meta = some_absent(), people_meta(num_tokens=3)
    clean = people_cache(folder / "clean.zarr", meta, face_absence=absence)
    dirty = people_cache(folder / "dirty.zarr", meta, face_absence=absence)
    with FeatureCache.open(clean) as cache:
        kept = {name: cache.read(f"face/{name}") for name in ("embedding", "tokens")}
        valid = cache.read("frame_valid")
    absent = (absence >= AWAY) & (valid & (absence < AWAY)).any(axis=2, keepdims=True)
    assert (absent & valid)[:, :, 0].any()
    generator = np.random.default_rng(1)
    changed = {}
    for name, values in kept.items():
        garbage = 9 * generator.normal(size=values.shape)
        changed[f"face_{name}"] = np.where(
            np.expand_dims(absent, tuple(range(3, values.ndim))), garbage, values
        )
    rewrite(dirty, **{name: values.astype(np.float16) for name, values in changed.items()})
    return clean, dirty


@pytest.mark.parametrize("reading", READINGS, ids=str)
def test_features_of_frames_out_of_view_change_neither_training_nor_measuring(twins, tmp_path, reading):
    found = {}
    for setting in ("in_view", "all"):
        settings = ["schedule.max_epochs=2", f"data.face_frames={setting}", *reading]
        numbers = []
        for path in twins:
            result = train(
                path, tmp_path / f"{setting}-{path.stem}", override(smoke(), settings), device="cpu"
            )
            measured = measure(result.run_dir, device="cpu")
            stages = stage_features(measured, torch.arange(16))
            assert all(torch.isfinite(values).all() for values in stages.values())
            encoder, output = stages["image encoder: face"], next(reversed(stages.values()))
            numbers.append((result.best.train, result.best.validation, measured.scores.loss, encoder, output))
        trained = tmp_path / f"{setting}-{twins[0].stem}"
        numbers.append(measure(trained, cache=twins[1], device="cpu").scores.loss)
        found[setting] = numbers
    one, other, crossed = found["in_view"]
    assert one[:3] == other[:3]
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(one[3:], other[3:], strict=True))
    assert crossed == one[2]
    one, other, crossed = found["all"]
    assert one[2] != other[2]
    assert crossed != one[2]
    assert not torch.equal(one[3], other[3])


def test_a_cache_that_does_not_record_absence_is_rejected_with_the_way_to_it(tmp_path):
    path = tiny_cache(tmp_path / "feats.zarr")
    message = (
        r"^data.face_frames is 'in_view', but this cache does not record on which frames the subject is in "
        r"view; extract it with --set track.method=motion, or set data.face_frames=all\.$"
    )
    with pytest.raises(ConfigError, match=message):
        loaded(path, IN_VIEW)
    with pytest.raises(ConfigError, match=message):
        train(path, tmp_path / "run", override(smoke(), ["data.face_frames=in_view"]), device="cpu")
    assert not (tmp_path / "run").exists()
    rows = (Row(name="in view", settings=("data.face_frames=in_view",), paper=None),)
    spec = Spec(title="faces", dataset="tiny", preset="smoke", settings=(), note="", rows=rows)
    with pytest.raises(
        ConfigError, match=r"^Row 'in view': data.face_frames is 'in_view', but this cache does"
    ):
        plan_sweep(path, spec, "1", 1, None, [])


def test_a_run_in_view_is_not_measured_on_a_cache_that_does_not_record_absence(tmp_path):
    path = people_cache(tmp_path / "feats.zarr", face_absence=some_absent())
    settings = ["schedule.max_epochs=1", "data.face_frames=in_view"]
    run = train(path, tmp_path / "run", override(smoke(), settings), device="cpu")
    with pytest.raises(
        ConfigError, match="this cache does not record on which frames the subject is in view"
    ):
        measure(run.run_dir, cache=tiny_cache(tmp_path / "other.zarr"), device="cpu")
