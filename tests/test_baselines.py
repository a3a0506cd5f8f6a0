"""Baselines against independent computations, and as rows of a sweep."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix, log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pipeline.cancel import CancelToken, TaskCancelledError
from pipeline.errors import CacheError, CheckpointError, ConfigError, OusError
from pipeline.store.reader import FeatureCache
from pipeline.types import Split
from tests.tiny_cache import CLASSES, tiny_cache, tiny_meta, tiny_static, write_feature
from tests.tiny_clip import modest_clip
from trainer.baselines.linear_probe import fit_probe
from trainer.baselines.majority import most_frequent
from trainer.baselines.run import run_baseline
from trainer.baselines.settings import baseline_of
from trainer.baselines.zero_shot import text_features
from trainer.config import DataConfig, ModelConfig, TrainConfig
from trainer.folds import fold_rows

pytestmark = pytest.mark.usefixtures("one_tiny_encoder")

TEXT = "a photo of a face showing the emotion: {class}."


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return unequal_cache(tmp_path_factory.mktemp("cache"))


def unequal_cache(folder):
    """Three classes with unequal numbers of training clips, and a signal that is not found at once."""
    membership = tiny_static()["membership"]
    membership[0:30:6] = Split.ABSENT  # of the first class, whose clips are 0, 3, 6, ...
    return tiny_cache(folder / "feats.zarr", signal=0.3, membership=membership)


def config(stream="face", **data):
    model = ModelConfig(scene=stream != "face", polarity=False, tfe=False)
    return TrainConfig(data=DataConfig(**data), model=model)


def measured(path, method, *settings, seed=0, stream="face", more=None, **data):
    found = baseline_of(method, [*settings, f"baseline.stream={stream}"])
    return run_baseline(path, found, config(stream, **data), fold="1", seed=seed, **more or {})


def plain_means(path, stream, *, unit=False):
    """Mean over the valid frames of the first view, clip by clip in float64."""
    with FeatureCache.open(path) as cache:
        valid_NT = cache.read("frame_valid")[:, 0]
        x_NTF = cache.read(f"{stream}/embedding")[:, 0].astype(np.float64)
    if unit:
        x_NTF /= np.linalg.norm(x_NTF, axis=2, keepdims=True)
    return np.stack([x_TF[valid_T].mean(axis=0) for x_TF, valid_T in zip(x_NTF, valid_NT, strict=True)])


def rows_of(path, seed=0, **data):
    with FeatureCache.open(path) as cache:
        return fold_rows(cache, "1", DataConfig(**data), seed), cache.read("label").astype(np.int64)


def test_the_majority_class_is_that_of_the_training_clips(path):
    rows, label_N = rows_of(path)
    counts = [int((label_N[rows.train] == label).sum()) for label in range(3)]
    assert counts[0] < counts[1], "the test clips are balanced, the training clips are not"
    found = measured(path, "majority")
    expected = np.zeros((3, 3), dtype=int)
    expected[:, int(np.argmax(counts))] = [(label_N[rows.test] == label).sum() for label in range(3)]
    assert found.metrics.confusion.tolist() == expected.tolist()
    assert found.facts == (f"always {CLASSES[np.argmax(counts)]}",)
    assert found.info.selection == ""
    assert [most_frequent(np.array(labels), 3) for labels in ([2, 1, 2], [0, 1, 1, 0], [1])] == [2, 0, 1]


@pytest.mark.parametrize("stream", ["face", "scene"])
@pytest.mark.parametrize("template", [TEXT, "{class}"])
def test_zero_shot_is_the_largest_cosine_with_open_clips_own_text_features(path, stream, template):
    found = measured(path, "zero_shot", f"baseline.template={template}", stream=stream)
    clip, (rows, label_N) = modest_clip(), rows_of(path)
    with torch.no_grad():
        tokens = clip.tokenize([template.replace("{class}", name) for name in CLASSES])
        text_CF = clip.model.encode_text(tokens, normalize=True).double().numpy()
    predicted = (plain_means(path, stream, unit=True)[rows.test] @ text_CF.T).argmax(axis=1)
    expected = confusion_matrix(label_N[rows.test], predicted, labels=range(3))
    assert found.metrics.confusion.tolist() == expected.tolist()
    assert len(set(predicted.tolist())) > 1
    assert found.facts == (f"texts '{template}'",)
    assert found.info.num_train == 0
    again = measured(path, "zero_shot", f"baseline.template={template}", stream=stream, seed=7)
    assert again.metrics.confusion.tolist() == expected.tolist()


def test_text_features_are_those_of_open_clip():
    texts = ("a photo of a face showing the emotion: state of disappointment.", "fear")
    with torch.no_grad():
        expected = modest_clip().model.encode_text(modest_clip().tokenize(list(texts)), normalize=True)
    torch.testing.assert_close(text_features(tiny_meta(), texts), expected, rtol=1e-5, atol=1e-6)


def by_scikit_learn(path, stream, c_values, seed):
    """The pipeline of scikit-learn for every C, and the C of the lowest loss on the validation clips."""
    rows, label_N = rows_of(path, seed)
    streams = ("face", "scene") if stream == "both" else (stream,)
    x_NF = np.concatenate([plain_means(path, one) for one in streams], axis=1)
    found = []
    for c in c_values:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=10_000))
        model.fit(x_NF[rows.train], label_N[rows.train])
        loss = log_loss(label_N[rows.validation], model.predict_proba(x_NF[rows.validation]), labels=range(3))
        found.append((loss, c, model.predict(x_NF[rows.test])))
    _, c, predicted = min(found, key=lambda one: one[0])
    return c, confusion_matrix(label_N[rows.test], predicted, labels=range(3)).tolist()


@pytest.mark.parametrize("stream", ["face", "scene", "both"])
def test_the_probe_is_scikit_learns_with_the_c_of_the_lowest_validation_loss(path, stream):
    chosen = set()
    for seed in range(3):
        c, confusion = by_scikit_learn(path, stream, (0.0001, 0.001, 0.01, 0.1, 1, 10, 100), seed)
        found = measured(path, "linear_probe", stream=stream, seed=seed)
        assert found.metrics.confusion.tolist() == confusion
        assert found.facts[0].startswith(f"C = {c:g}")
        assert found.facts[0].endswith("at the end of baseline.c") == (c in (0.0001, 100))
        assert found.info.selection == "holdout"
        chosen.add(c)
    assert measured(path, "linear_probe", "baseline.c=1", stream=stream).facts == ("C = 1",)


def drawn(seed, num=30, classes=3):
    generator = np.random.default_rng(seed)
    label_N = np.arange(num) % classes
    return generator.normal(size=(num, 4)) + label_N[:, None], label_N


def test_a_class_without_training_clips_is_never_predicted_and_its_clips_count_in_the_loss():
    feature_NF, label_N = drawn(0)
    probe = fit_probe((feature_NF, label_N), (feature_NF, label_N), 5, [1.0])
    found = probe.log_probabilities(feature_NF)
    assert found.shape == (30, 5)
    assert set(found.argmax(axis=1)) <= {0, 1, 2}
    np.testing.assert_allclose(found[:, 3:], np.log(1e-15))
    assert probe.loss(feature_NF[:1], np.array([4])) == pytest.approx(-np.log(1e-15))


def test_two_classes_a_constant_feature_and_one_class():
    feature_NF, label_N = drawn(1, classes=2)
    feature_NF[:, 0] = 3.0
    probe = fit_probe((feature_NF, label_N), (feature_NF, label_N), 2, [0.1, 10.0])
    probabilities = np.exp(probe.log_probabilities(feature_NF))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert np.isfinite(probabilities).all()
    with pytest.raises(ConfigError, match="^All 30 training clips have one class; a linear probe needs two"):
        fit_probe((feature_NF, np.zeros(30, dtype=np.int64)), (feature_NF, label_N), 2, [1.0])


def test_a_probe_that_does_not_converge_is_an_error(monkeypatch):
    monkeypatch.setattr("trainer.baselines.linear_probe._MOST_STEPS", 1)
    with pytest.raises(
        OusError, match=r"C = 10 has not converged in 1 steps; leave this value out of baseline.c"
    ):
        fit_probe(drawn(0), drawn(1), 3, [10.0])


def test_a_probe_can_be_cancelled():
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(TaskCancelledError):
        fit_probe(drawn(0), drawn(1), 3, [1.0], cancel)


@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        ("knn", [], "^method is 'knn'; allowed: majority, zero_shot, linear_probe"),
        ("zero_shot", ["baseline.stream=both"], "is 'both'; method zero_shot allows: face, scene"),
        ("zero_shot", ["baseline.stream=voice"], "^baseline.stream is 'voice'; allowed: face, scene, both"),
        ("zero_shot", ["baseline.template=a face"], "is 'a face'; a text with {class} in one"),
        ("zero_shot", ["baseline.tempalte=x"], r"'baseline.tempalte' \(is it baseline.template"),
        ("linear_probe", ["baseline.c="], "^baseline.c is .*; one or more numbers are needed"),
        ("linear_probe", ["baseline.c=0"], "^baseline.c is 0.0; allowed: 1e-09 to"),
        ("linear_probe", ["baseline.c=a"], "^baseline.c is 'a'; numbers separated by commas"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_one_line(method, settings, message):
    with pytest.raises(ConfigError, match=message) as caught:
        baseline_of(method, settings)
    assert "\n" not in str(caught.value)


def test_a_long_text_is_rejected_and_not_cut(path):
    with pytest.raises(
        ConfigError, match=r"fills all 77 positions of the text encoder, and may have been cut"
    ):
        measured(path, "zero_shot", f"baseline.template={'very ' * 90}{{class}}")


def test_the_scene_alone_needs_no_face_features_that_are_finite_but_a_bad_one_is_named(path, tmp_path):
    cache = tiny_cache(tmp_path / "feats.zarr")
    write_feature(cache, 40, np.nan)
    assert measured(cache, "majority").metrics.num_clips == 16
    with pytest.raises(CacheError, match="clip040"):
        measured(cache, "linear_probe")


def test_a_leak_is_rejected_or_marked_but_zero_shot_has_seen_nothing(tmp_path):
    sha256 = np.array([f"{row:064x}" for row in range(48)], dtype=object)
    sha256[40] = sha256[0]
    cache = tiny_cache(tmp_path / "feats.zarr", source_sha256=sha256)
    with pytest.raises(CheckpointError, match="that trained 'a run on fold 1': 'clip040' with 'clip000'"):
        measured(cache, "linear_probe")
    found = measured(cache, "linear_probe", more={"allow_leak": True})
    assert any(banner.startswith("LEAK: 1 of 16 test clips") for banner in found.banners)
    assert measured(cache, "zero_shot").leak.clip_ids == ()


def test_other_usable_clips_than_at_the_start_are_an_error(path):
    with pytest.raises(CacheError, match="has features of other clips"):
        measured(path, "majority", more={"usable_sha256": "0" * 64})


def test_groups_are_counted(tmp_path):
    names = np.array([f"g{number // 2}" for number in range(48)], dtype=object)
    cache = tiny_cache(tmp_path / "feats.zarr", tiny_meta(num_groups=24), group=names)
    found = measured(cache, "majority")
    assert found.metrics.groups is not None
