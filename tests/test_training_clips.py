import json
import shutil

import numpy as np
import pytest

from pipeline.config import override
from pipeline.display.json_values import to_json_values
from pipeline.display.text import lines as lines_of
from pipeline.errors import CheckpointError, ConfigError
from pipeline.footage import OFFICIAL_SPLITS
from pipeline.types import Split
from tests.command_line import call
from tests.tiny_cache import tiny_cache, tiny_meta, tiny_static
from trainer.evaluation import evaluate
from trainer.presets import smoke
from trainer.training import train

pytestmark = pytest.mark.usefixtures("one_tiny_encoder")

IDS = tiny_static()["clip_id"].tolist()
TEST_ROWS = np.flatnonzero(tiny_static()["membership"][:, 0] == Split.TEST)
SMOKE = override(smoke(), ["schedule.max_epochs=1"])


def hashes(of=range(48)):
    """Hashes of files, none alike."""
    return np.array([f"{row:064x}" for row in of], dtype=object)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on a cache without hashes: clips are known by their paths."""
    folder = tmp_path_factory.mktemp("run")
    return train(tiny_cache(folder / "feats.zarr"), folder / "run", SMOKE, device="cpu").run_dir


@pytest.fixture(scope="module")
def hashed_run(tmp_path_factory):
    """A run on a cache as extraction makes it, with the hash of every file."""
    folder = tmp_path_factory.mktemp("hashed")
    cache = tiny_cache(folder / "feats.zarr", source_sha256=hashes())
    return train(cache, folder / "run", SMOKE, device="cpu").run_dir


def copy_of(run_dir, folder, change):
    """The run with other training clips on record."""
    shutil.copytree(run_dir, folder)
    path = folder / "training_clips.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    return folder


def moved(path, row, split, **meta):
    """The same clips in other folds: one of them has another place."""
    membership = tiny_static()["membership"].copy()
    membership[row, 0] = split
    return tiny_cache(path, tiny_meta(**meta), membership=membership)


def rows_of(run_dir, split):
    own = {clip[0] for clip in json.loads((run_dir / "training_clips.json").read_text())[split]}
    return [row for row, name in enumerate(IDS) if name in own]


def other_cache(path, **static):
    """A cache of another data set: other ids, other paths, and other files unless `static` has these."""
    names = np.array([f"other{row:03d}" for row in range(48)], dtype=object)
    given = {"clip_id": names, "path": names, "source_sha256": hashes(range(100, 148)), **static}
    return tiny_cache(path, tiny_meta(dataset="other"), **given)


# What is kept


def test_every_training_and_validation_clip_is_kept_and_no_test_clip(run):
    kept = sorted(rows_of(run, "train") + rows_of(run, "validation"))
    assert kept == np.flatnonzero(tiny_static()["membership"][:, 0] == Split.TRAIN).tolist()


def test_a_clip_is_kept_with_its_hash_and_window(tmp_path):
    start, end = np.zeros(48), np.full(48, -1.0)
    start[0], end[0] = 1.5, 3.0
    cache = tiny_cache(tmp_path / "feats.zarr", start_seconds=start, end_seconds=end, source_sha256=hashes())
    run_dir = train(cache, tmp_path / "run", SMOKE, device="cpu").run_dir
    kept = json.loads((run_dir / "training_clips.json").read_text())
    both = sorted(kept["train"] + kept["validation"])
    assert both[:2] == [
        ["clip000", "clip000.mp4", f"{0:064x}", 1.5, 3.0], ["clip001", "clip001.mp4", f"{1:064x}", 0.0, None],
    ]  # fmt: skip


# The same clip


@pytest.mark.parametrize(("split", "what"), [("train", "trained"), ("validation", "chose the checkpoint of")])
def test_a_clip_that_the_run_has_seen_is_no_test_clip(run, tmp_path, split, what):
    row = rows_of(run, split)[0]
    cache = moved(tmp_path / "moved.zarr", row, Split.TEST)
    with pytest.raises(
        CheckpointError,
        match=rf"1 of the 17 test clips of '.*moved.zarr' share footage with clips that {what} '.*run': "
        rf"'{IDS[row]}'\. Measure other clips",
    ):
        evaluate(run, cache=cache, device="cpu")


def test_a_run_that_holds_ids_and_paths_alone_is_asked_by_these(run, tmp_path):
    def as_before(lists):
        return {name: [[clip[0], f"./{clip[1]}"] for clip in clips] for name, clips in lists.items()}

    old = copy_of(run, tmp_path / "old", as_before)
    row = rows_of(run, "train")[0]
    assert evaluate(old, device="cpu").metrics.num_clips == 16
    with pytest.raises(CheckpointError, match=f"clips that trained '.*old': '{IDS[row]}'"):
        evaluate(old, cache=moved(tmp_path / "moved.zarr", row, Split.TEST), device="cpu")


def test_fewer_test_clips_are_measured(run, tmp_path):
    fewer = moved(tmp_path / "fewer.zarr", TEST_ROWS[0], Split.ABSENT)
    assert evaluate(run, cache=fewer, device="cpu").metrics.num_clips == 15


# Other names, one file


def test_a_training_file_in_another_data_set_is_found_by_its_hash(hashed_run, tmp_path):
    sha256 = hashes(range(100, 148))
    seen = rows_of(hashed_run, "train")[0]
    sha256[TEST_ROWS[0]] = f"{seen:064x}"
    cache = other_cache(tmp_path / "other.zarr", source_sha256=sha256)
    message = f"clips that trained '.*run': 'other{TEST_ROWS[0]:03d}' with '{IDS[seen]}'"
    with pytest.raises(CheckpointError, match=message):
        evaluate(hashed_run, cache=cache, device="cpu")
    clean = other_cache(tmp_path / "clean.zarr")
    assert evaluate(hashed_run, cache=clean, device="cpu").leak.clip_ids == ()


def test_equal_names_of_other_files_are_no_leak_where_hashes_are_known(hashed_run, tmp_path):
    everything = np.full((48, 1), Split.TEST, dtype=np.uint8)
    cache = tiny_cache(tmp_path / "feats.zarr", membership=everything, source_sha256=hashes(range(100, 148)))
    assert evaluate(hashed_run, cache=cache, device="cpu").metrics.num_clips == 48


def test_windows_of_one_file_leak_where_they_overlap(tmp_path):
    """All clips are windows of one file: of two seconds each, a second apart, or two.

    They are one group, so that nothing can be held out.
    """
    config = override(SMOKE, ["data.validation=train"])
    one_file = np.full(48, "film.mp4", dtype=object)
    membership = np.full((48, 1), Split.TRAIN, dtype=np.uint8)
    membership[32:] = Split.TEST
    for apart, leaking in ((2.0, ()), (1.0, ("clip032",))):
        start = apart * np.arange(48)
        cache = tiny_cache(
            tmp_path / f"{apart}.zarr",
            path=one_file, start_seconds=start, end_seconds=start + 2.0, membership=membership,
        )  # fmt: skip
        with pytest.raises(ConfigError, match="takes whole groups of clips, and none can be"):
            train(cache, tmp_path / "none", SMOKE, device="cpu")
        trained = train(cache, tmp_path / f"run{apart}", config, device="cpu")
        assert evaluate(trained.run_dir, device="cpu", allow_leak=True).leak.clip_ids == leaking
        assert bool(trained.notes) == bool(leaking)


# Marks


def test_a_leak_that_is_allowed_is_marked_wherever_the_result_is_shown(run, tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr("trainer.plots.plot_confusion", lambda *_, banners, **__: figures.append(banners))
    row = rows_of(run, "train")[0]
    cache = moved(tmp_path / "moved.zarr", row, Split.TEST)
    result = evaluate(run, cache=cache, device="cpu", allow_leak=True)
    banner = "LEAK: 1 of 17 test clips share footage with clips that the run has seen"
    assert result.metrics.num_clips == 17
    assert f"!! {banner}" in lines_of(result)
    assert banner in figures[0]
    written = json.loads((run / "confusion_moved.json").read_text())
    assert banner in written["banners"]
    assert written["leak"]["clips"] == [IDS[row]]


def test_the_command_line_rejects_in_one_line_and_marks_what_is_allowed(run, tmp_path, monkeypatch, capsys):
    cache = moved(tmp_path / "moved.zarr", rows_of(run, "train")[0], Split.TEST)
    command = ("evaluate", run, "--cache", cache, "--device", "cpu")
    code, out, err = call(monkeypatch, capsys, *command)
    assert (code, out) == (1, "")
    assert err.startswith("error: 1 of the 17 test clips of ")
    assert "--allow-leak measures them and marks the result" in err
    code, out, _ = call(monkeypatch, capsys, *command, "--allow-leak")
    assert (code, "!! LEAK: 1 of 17 test clips" in out) == (0, True)


def leaking_cache(path, dataset="tiny", split=Split.TEST):
    """The file of a training clip is in another split too, under another name."""
    sha256, membership = hashes(), tiny_static()["membership"].copy()
    sha256[TEST_ROWS[0]] = sha256[0]
    membership[TEST_ROWS[0], 0] = split
    return tiny_cache(path, tiny_meta(dataset=dataset), source_sha256=sha256, membership=membership)


def test_training_names_what_evaluate_will_reject(tmp_path):
    trained = train(leaking_cache(tmp_path / "feats.zarr"), tmp_path / "run", SMOKE, device="cpu")
    (note,) = trained.notes
    assert note.startswith("1 of 16 test clips share footage with ")
    assert note.endswith("evaluate rejects them without --allow-leak")
    assert f"  note: {note}" in lines_of(trained)
    with pytest.raises(CheckpointError, match=f"'{IDS[TEST_ROWS[0]]}' with '{IDS[0]}'"):
        evaluate(trained.run_dir, device="cpu")


@pytest.mark.parametrize("dataset", OFFICIAL_SPLITS)
def test_official_splits_are_measured_and_the_copies_reported(tmp_path, dataset):
    trained = train(leaking_cache(tmp_path / "feats.zarr", dataset), tmp_path / "run", SMOKE, device="cpu")
    result = evaluate(trained.run_dir, device="cpu")
    assert not any("LEAK" in banner for banner in result.banners)
    assert result.leak.reported == ((IDS[TEST_ROWS[0]], IDS[0]),)
    assert f"  note: {result.leak.notes[0]}" in lines_of(result)
    assert to_json_values(result)["leak"]["in_official_splits"] == [[IDS[TEST_ROWS[0]], IDS[0]]]


def test_validation_clips_that_share_footage_with_training_mark_the_run(tmp_path):
    config = override(SMOKE, ["data.validation=given"])
    cache = leaking_cache(tmp_path / "feats.zarr", split=Split.VALIDATION)
    trained = train(cache, tmp_path / "run", config, device="cpu")
    banner = "VALIDATION LEAK: 1 clip that chose the checkpoint with footage of training clips"
    assert banner in trained.info.banners
    assert f"!! {banner}" in lines_of(evaluate(trained.run_dir, device="cpu"))
    with pytest.raises(CheckpointError, match="1 of the 1 validation clips of .* share footage"):
        evaluate(trained.run_dir, "validation", device="cpu")
    assert evaluate(trained.run_dir, "validation", device="cpu", allow_leak=True).leak.clip_ids


@pytest.mark.parametrize("rule", ["test", "train"])
def test_what_selects_on_the_measured_clips_says_that_and_no_more(tmp_path, rule):
    config = override(SMOKE, [f"data.validation={rule}"])
    trained = train(tiny_cache(tmp_path / "feats.zarr"), tmp_path / "run", config, device="cpu")
    assert trained.notes == ()
    for split in ("test", "validation", "train"):
        assert evaluate(trained.run_dir, split, device="cpu").banners[-1] == f"SELECTED ON {rule.upper()}"


def test_a_fold_that_was_renamed_is_not_taken_for_the_runs_own(tmp_path):
    """Folds of other clips, as no clip of the second has trained the run: nothing but the name is wrong."""
    membership = np.full((48, 2), Split.ABSENT, dtype=np.uint8)
    for fold, start in enumerate((0, 24)):
        membership[start : start + 16, fold], membership[start + 16 : start + 24, fold] = (
            Split.TRAIN,
            Split.TEST,
        )
    static = {"membership": membership, "source_sha256": hashes()}
    cache = tiny_cache(tmp_path / "feats.zarr", tiny_meta(fold_names=("1", "2")), **static)
    run_dir = train(cache, tmp_path / "run", SMOKE, device="cpu").run_dir
    assert evaluate(run_dir, device="cpu").is_own_fold
    shutil.rmtree(cache)
    tiny_cache(cache, tiny_meta(fold_names=("2", "1")), **static)
    with pytest.raises(ConfigError, match=r"fold '1', which trained the run, is not known .*: add --fold"):
        evaluate(run_dir, device="cpu")
    result = evaluate(run_dir, device="cpu", fold="1")
    assert (result.fold, result.is_own_fold, result.training_set.num_more) == ("1", False, 0)
    assert "(trained on fold 1 of tiny)" in result.title


# Damage


@pytest.mark.parametrize(
    "text",
    [None, "", "[1]", '{"train": 3}', '{"train": [["a"]]}', '{"train": [["a", "b", 1, 0, null]]}',
     '{"train": [["a", "b", "", 0, "x"]]}', "{}", '{"train": {}}', '{"train": [], "evil": [["a", "b"]]}'],
)  # fmt: skip
def test_a_run_whose_clips_are_unknown_is_not_measured(run, tmp_path, text):
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    if text is None:
        (copy / "training_clips.json").unlink()
        message = r"copy' has no training_clips.json, the list of the clips that trained it\. Train again\."
    else:
        (copy / "training_clips.json").write_text(text)
        message = r"training_clips.json', .* cannot be read: .*Train again\."
    with pytest.raises(CheckpointError, match=message):
        evaluate(copy, device="cpu")


@pytest.mark.parametrize("kept", [0, 5])
def test_a_run_that_lacks_training_clips_is_not_measured(run, tmp_path, kept):
    copy = copy_of(run, tmp_path / "copy", lambda lists: lists | {"train": lists["train"][:kept]})
    message = rf"training_clips.json' holds {kept} training clips; 29 trained it\. .*Put the run's own file"
    with pytest.raises(CheckpointError, match=message):
        evaluate(copy, device="cpu")


def test_a_cache_without_labels_trains_nothing_and_measures_nothing(run, tmp_path):
    label = np.full(48, -1, dtype=np.int16)
    cache = tiny_cache(tmp_path / "feats.zarr", label=label)
    message = r"None of the 48 clips of '.*feats.zarr' has a label; .* `cli.py cache relabel .*feats.zarr`"
    with pytest.raises(ConfigError, match=message):
        train(cache, tmp_path / "new", SMOKE, device="cpu")
    with pytest.raises(ConfigError, match=message):
        evaluate(run, cache=cache, device="cpu")
