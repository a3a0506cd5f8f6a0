"""Transfer among caches: each run on the test clips of all."""

import json
import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

import cli
from pipeline.config import override
from pipeline.errors import ConfigError
from tests.tiny_cache import tiny_cache, tiny_meta
from trainer import transfer
from trainer.evaluation import evaluate
from trainer.presets import smoke
from trainer.training import train

pytestmark = pytest.mark.usefixtures("one_tiny_encoder")
QUICK = override(smoke(), ["schedule.max_epochs=1", "model.polarity=false"])


@pytest.fixture(scope="module")
def domains(tmp_path_factory):
    """Two caches, of one fold and of two, with a class that only the second has, and runs on both."""
    folder = tmp_path_factory.mktemp("domains")
    one = tiny_cache(folder / "one.zarr")
    membership = np.ones((48, 2), np.uint8)
    membership[:16, 0] = membership[16:32, 1] = 3
    label = np.where(np.arange(48) % 12 == 11, 3, np.arange(48) % 3).astype(np.int16)
    sha256 = np.array([f"{row:064x}" for row in range(48)], dtype=object)
    meta = tiny_meta(
        fold_names=("a", "b"), class_names=("joy", "neutral", "sad", "contempt"), dataset="two",
        fingerprint="e" * 64,
    )  # fmt: skip
    two = tiny_cache(folder / "two.zarr", meta, membership=membership, label=label, source_sha256=sha256)
    runs = [
        train(cache, folder / f"{cache.stem}{fold}{seed}", QUICK, fold=fold, seed=seed, device="cpu").run_dir
        for cache, fold, seed in ((one, 1, 0), (one, 1, 1), (two, 1, 0), (two, 2, 0))
    ]
    return [one, two], runs


def test_every_run_is_measured_on_every_cache(domains, tmp_path):
    caches, runs = domains
    found = transfer(runs, caches, tmp_path, device="cpu")
    cells = {(cell.trained_on, cell.measured_on): cell for cell in found.cells}
    assert {key: (cell.num_runs, cell.over, cell.is_own) for key, cell in cells.items()} == {
        ("one", "one"): (2, "seeds", True), ("one", "two"): (2, "seeds", False),
        ("two", "one"): (2, "folds", False), ("two", "two"): (2, "folds", True),
    }  # fmt: skip
    own = [evaluate(run, device="cpu").metrics.war for run in runs]
    assert cells["one", "one"].rates["war"].mean == pytest.approx(np.mean(own[:2]))
    assert cells["two", "two"].rates["war"].mean == pytest.approx(np.mean(own[2:]))
    folds = [evaluate(runs[0], cache=caches[1], fold=fold, device="cpu").metrics for fold in ("a", "b")]
    both = sum(one.confusion for one in folds)
    seeds = [evaluate(runs[1], cache=caches[1], fold=fold, device="cpu").metrics for fold in ("a", "b")]
    wars = [both.trace() / both.sum(), sum(s.confusion for s in seeds).trace() / both.sum()]
    assert cells["one", "two"].rates["war"].mean == pytest.approx(np.mean(wars))
    assert cells["one", "two"].num_clips == both.sum() < 32
    assert cells["one", "two"].classes == "joy is happiness, sad is sadness; left out: contempt"
    assert cells["two", "one"].classes == "happiness is joy, sadness is sad; without clips: contempt"


def test_tables_and_files_show_the_same(domains, tmp_path):
    caches, runs = domains
    found = transfer(runs, caches, tmp_path, device="cpu", shared_classes=True)
    shown = repr(found)
    assert "WAR, percent, mean ± standard deviation over seeds or folds" in shown
    assert "note: Answers: only classes that both have." in shown
    assert any("OTHER CLASSES" in banner for banner in found.banners)
    values = json.loads((tmp_path / "transfer.json").read_text())
    assert len(values["cells"]) == 4
    assert "| trained on | one | two | runs |" in (tmp_path / "transfer.md").read_text()


def test_pairs_of_the_map_apply_where_they_fit(domains, tmp_path):
    caches, runs = domains
    found = transfer(runs, caches, tmp_path, device="cpu", classes={"Contempt": " SADNESS", "neutral": ""})
    cells = {(cell.trained_on, cell.measured_on): cell.classes for cell in found.cells}
    assert cells["one", "two"] == (
        "joy is happiness, sad is sadness, contempt is sadness; left out: neutral; without clips: neutral"
    )
    assert cells["two", "one"].endswith("left out: neutral; without clips: neutral, contempt")


def test_what_is_no_transfer_is_rejected(domains, tmp_path):
    caches, runs = domains
    with pytest.raises(ConfigError, match="needs runs and two different caches or more; given: 4 runs"):
        transfer(runs, caches[:1], tmp_path / "out")
    with pytest.raises(ConfigError, match="given: 0 runs"):
        transfer([], caches, tmp_path / "out")
    with pytest.raises(ConfigError, match="--classes has 'contmpt' = 'sadness', and no class is 'contmpt'"):
        transfer(runs, caches, tmp_path / "out", classes={"contmpt": "sadness"})
    third = tiny_cache(tmp_path / "third.zarr", tiny_meta(fingerprint="d" * 64))
    with pytest.raises(ConfigError, match="was trained on '.*one.zarr', which is none of the caches"):
        transfer(runs, [caches[1], third], tmp_path / "out")


def test_the_command_prints_the_tables(domains, tmp_path):
    caches, runs = domains
    where = [part for cache in caches for part in ("--cache", str(cache))]
    options = ["--out", str(tmp_path / "out"), "--device", "cpu"]
    result = CliRunner().invoke(cli.app, ["transfer", str(runs[0]), str(runs[2]), *where, *options])
    assert result.exit_code == 0, result.output
    assert "UAR, percent" in result.stdout


def test_runs_of_two_settings_have_two_rows_and_twins_are_rejected_before_measuring(domains, tmp_path):
    caches, runs = domains
    more = override(QUICK, ["model.dropout=0.3"])
    other = train(caches[0], tmp_path / "other", more, seed=0, device="cpu").run_dir
    found = transfer([runs[0], other], caches, tmp_path / "out", device="cpu")
    rows = list(dict.fromkeys(cell.trained_on for cell in found.cells))
    assert rows == ["one, smoke", "one, smoke, model.dropout=0.3"]
    assert [cell.is_own for cell in found.cells] == [True, False, True, False]
    twin = tmp_path / "twin"
    shutil.copytree(runs[0], twin)
    heard = []
    with pytest.raises(ConfigError, match="have the same settings, fold and seed; give one of them"):
        transfer([runs[0], twin], caches, tmp_path / "out", device="cpu", on_run=heard.append)
    assert heard == []


def test_caches_may_have_one_name_and_may_have_moved(domains, tmp_path):
    caches, runs = domains
    moved = []
    for cache, name in zip(caches, "ab", strict=True):
        (tmp_path / name).mkdir()
        moved.append(tmp_path / name / "feats.zarr")
        shutil.copytree(cache, moved[-1])
    found = transfer([runs[0]], moved, tmp_path / "out", device="cpu")
    assert [cell.measured_on for cell in found.cells] == [str(path) for path in moved]
    assert [cell.is_own for cell in found.cells] == [True, False]
