"""A run measured on a cache with other classes: by their meaning, or by the user's map."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import cli
from pipeline.config import override
from pipeline.errors import CheckpointError, ConfigError
from tests.tiny_cache import tiny_cache, tiny_meta
from trainer.class_map import NO_CLASS, ClassMap, find_name, read_class_map
from trainer.evaluation import evaluate
from trainer.presets import smoke
from trainer.training import train

pytestmark = pytest.mark.usefixtures("one_tiny_encoder")
RUN = ("happiness", "neutral", "sadness")
QUICK = override(smoke(), ["schedule.max_epochs=2", "model.polarity=false"])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return train(tiny_cache(folder / "feats.zarr"), folder / "run", QUICK, device="cpu").run_dir


def other_cache(path, names, label=None):
    """A cache with the features of the training cache, whose classes have other names."""
    meta = tiny_meta(class_names=names, dataset="other", fold_names=("only",), fingerprint="e" * 64)
    label = np.arange(48) % 3 if label is None else label
    return tiny_cache(path, meta, label=label.astype(np.int16))


def test_classes_are_found_by_their_meaning():
    found = ClassMap.of(RUN, ("Sad", "HAPPY", "contempt", "neutral"))
    assert found.pairs == (
        ("Sad", "sadness"), ("HAPPY", "happiness"), ("contempt", None), ("neutral", "neutral"),
    )  # fmt: skip
    assert found.labels(np.array([0, 1, 2, 3, -1])).tolist() == [2, 0, NO_CLASS, 1, NO_CLASS]
    assert (found.shared, found.left_out, found.is_complete) == (RUN, ("contempt",), False)
    assert str(found) == "Sad is sadness, HAPPY is happiness; left out: contempt"


def test_classes_that_are_merged_are_marked():
    found = ClassMap.of(RUN, ("joy", "happiness", "neutral", "sadness"))
    assert (found.shared, found.left_out, found.is_complete) == (RUN, (), False)


def test_the_users_map_comes_first_and_may_merge_and_leave_out():
    found = ClassMap.of(RUN, ("sad", "anxiety", "joy"), {"anxiety": "sadness", "joy": ""})
    assert found.pairs == (("sad", "sadness"), ("anxiety", "sadness"), ("joy", None))
    assert found.shared == ("sadness",)
    assert (
        str(found) == "sad is sadness, anxiety is sadness; left out: joy; without clips: happiness, neutral"
    )


@pytest.mark.parametrize(
    ("names", "given", "message"),
    [
        (
            ("fear", "anger"),
            {},
            r"No class of the cache \(fear, anger\) is a class of the run .*'fear' = \"happ",
        ),
        (("sad",), {"sads": "sadness"}, "--classes names 'sads'; the cache has: sad"),
        (("sad", "Sad"), {"SAD": "sadness"}, "--classes names 'SAD'; the cache has: sad, Sad"),
        (("sad",), {"sad": "sadness", "Sad ": ""}, "has 'sad' and 'Sad ' for the class 'sad'; leave out one"),
        (
            ("sad",),
            {"sad": "grief"},
            "gives 'sad' the class 'grief'; the run has: happiness, neutral, sadness",
        ),
        (("sad",), {"sad": ""}, "No class of the cache"),
    ],
)
def test_a_map_that_fits_no_class_is_rejected(names, given, message):
    with pytest.raises(ConfigError, match=message):
        ClassMap.of(RUN, names, given)


def test_case_and_outer_spaces_count_only_if_classes_differ_in_nothing_else():
    given = {" Contempt": "SADNESS ", "sad": "neutral", "JOY": " "}
    found = ClassMap.of(RUN, ("contempt", "sad", "Sad", "joy", "neutral"), given)
    assert found.pairs == (
        ("contempt", "sadness"), ("sad", "neutral"), ("Sad", "sadness"), ("joy", None),
        ("neutral", "neutral"),
    )  # fmt: skip
    assert (find_name("Sad", ("sad", "Sad")), find_name("SAD", ("sad", "Sad"))) == ("Sad", None)


def test_a_map_in_a_section_is_rejected_with_the_remedy(tmp_path):
    path = tmp_path / "classes.toml"
    for text, name in (('[classes]\ncontempt = "disgust"\n', "classes"), ('a.b = "disgust"\n', "a")):
        path.write_text(text)
        with pytest.raises(ConfigError, match=f"has the section or dotted key '{name}'; .* at the top level"):
            read_class_map(path)


def test_a_map_is_read_from_toml(tmp_path):
    path = tmp_path / "classes.toml"
    path.write_text('"Wut (laut)" = "anger"\njoy = ""\n')
    assert read_class_map(path) == {"Wut (laut)": "anger", "joy": ""}
    for text, message in (("joy = 1", "joy is 1; the name of a class"), ("joy", "cannot be read as TOML")):
        path.write_text(text)
        with pytest.raises(ConfigError, match=message):
            read_class_map(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_class_map(tmp_path / "none.toml")


def test_other_names_of_the_same_classes_change_no_number(run, tmp_path):
    own = evaluate(run, device="cpu")
    order = np.array([1, 2, 0])  # sad, happy, neutral for happiness, neutral, sadness
    cache = other_cache(tmp_path / "other.zarr", ("sad", "Happy", "neutral"), order[np.arange(48) % 3])
    found = evaluate(run, cache=cache, device="cpu")
    np.testing.assert_array_equal(found.metrics.confusion, own.metrics.confusion)
    assert not any("OTHER CLASSES" in banner for banner in found.banners)
    assert found.class_map.is_complete
    assert "  classes of this cache: sad is sadness, Happy is happiness" in repr(found)


def test_clips_of_a_class_that_the_run_does_not_have_are_left_out_and_counted(run, tmp_path):
    label = np.where(np.arange(48) % 6 == 5, 3, np.arange(48) % 3)
    cache = other_cache(tmp_path / "other.zarr", ("joy", "neutral", "sadness", "contempt"), label)
    found = evaluate(run, cache=cache, device="cpu")
    num_left_out = int((label[32:] == 3).sum())
    assert found.left_out["of class contempt"] == num_left_out
    assert found.metrics.num_clips == 16 - num_left_out
    assert "OTHER CLASSES: joy is happiness; left out: contempt" in found.banners
    document = json.loads((run / "confusion_other.json").read_text())
    assert document["classes"]["contempt"] is None
    assert "OTHER CLASSES" in (run / "predictions_other.csv").read_text().splitlines()[1]


def test_answers_may_be_chosen_among_the_shared_classes_only(run, tmp_path):
    cache = other_cache(tmp_path / "other.zarr", ("joy", "calm", "sadness"))
    found = evaluate(run, cache=cache, device="cpu", shared_classes=True)
    assert found.metrics.confusion[:, 1].sum() == 0
    assert found.shared_classes
    assert "  answers: only classes that this cache has" in repr(found)
    rows = (run / "predictions_other.csv").read_text().splitlines()
    at = rows[0].split(",").index("p_neutral")
    assert {row.split(",")[at] for row in rows[1:]} == {"0.0"}


def test_a_map_needs_another_cache_and_clips(run, tmp_path):
    with pytest.raises(ConfigError, match="--classes applies to another cache, and --cache names none"):
        evaluate(run, device="cpu", classes={"joy": "happiness"})
    cache = other_cache(tmp_path / "other.zarr", ("joy", "fear", "anger"), np.where(np.arange(48) < 32, 0, 1))
    with pytest.raises(ConfigError, match="No clip of .* to measure has a class of the run"):
        evaluate(run, cache=cache, device="cpu")
    meta = tiny_meta(num_frames=8)
    with pytest.raises(CheckpointError, match="num_frames: 4 here, 8 there. Evaluate"):
        evaluate(run, cache=tiny_cache(tmp_path / "long.zarr", meta), device="cpu")


def test_the_command_reads_the_map(run, tmp_path):
    cache = other_cache(tmp_path / "other.zarr", ("a", "b", "c"))
    (tmp_path / "map.toml").write_text('a = "happiness"\nb = "neutral"\nc = "sadness"\n')
    options = ["--cache", str(cache), "--classes", str(tmp_path / "map.toml"), "--device", "cpu", "--json"]
    result = CliRunner().invoke(cli.app, ["evaluate", str(run), *options])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["classes"] == {"a": "happiness", "b": "neutral", "c": "sadness"}
