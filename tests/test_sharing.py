"""What a cache, a run and its pages show about who made them (docs/sharing.md), by their very bytes."""

import dataclasses
import json
from pathlib import Path

import pytest

from pipeline import runner
from pipeline.display.text import lines
from pipeline.runner import RunOptions, dataset_of, executor_of
from pipeline.store.export import export_hdf5
from pipeline.store.reader import FeatureCache
from pipeline.store.summary import summarise
from pipeline.verify import config_of
from tests.command_line import call
from tests.small_clips import small_models, write_clips
from tests.tiny_cache import tiny_cache, tiny_meta

USER = "kimberley"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The home directory of a user, with this process's working directory in it."""
    home = tmp_path / "home" / USER
    home.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("LOGNAME", USER)
    monkeypatch.chdir(home)
    return home


def require_nobody_named(place: Path) -> None:
    """No byte of a file, or of the files below a directory, and none of their names, names the user."""
    files = [path for path in place.rglob("*") if path.is_file()] if place.is_dir() else [place]
    assert files
    for path in files:
        assert USER.encode() not in path.read_bytes(), path
        assert USER not in str(path.relative_to(place.parent))


def extract(index, where, **options):
    models = small_models()
    return runner.extract(index, models.config, executor_of(models), where, RunOptions(**options))


def test_a_cache_and_its_export_do_not_name_their_maker_who_goes_on_with_them(home, tmp_path, monkeypatch):
    index = write_clips(home / "data", num_good=3)
    monkeypatch.setattr(
        "sys.argv", [f"{home}/ous/cli.py", "extract", f"--root={home}/data", "--cache", "a.zarr"]
    )
    extract(index, home / "feats.zarr", limit=2)
    assert sum(extract(index, home / "feats.zarr").counts.values()) == len(index.clips)
    with FeatureCache.open(home / "feats.zarr") as cache:
        assert cache.setting("config.dataset.root", str) == "~/data"
        assert cache.meta.command_line == ("cli.py", "extract", "--root=~/data", "--cache", "a.zarr")
        again = dataset_of(cache)
        assert (again.source, again.clips) == (home / "data", index.clips)
        shown = lines(summarise(cache))
        assert "  clips at   ~/data" in shown
        assert "  made by    cli.py extract '--root=~/data' --cache a.zarr" in shown
        export_hdf5(cache, home / "feats.h5")
    require_nobody_named(home / "feats.zarr")
    require_nobody_named(home / "feats.h5")


def test_weights_below_the_home_directory_are_found_by_the_cache(home, tmp_path):
    config = {"encoder": {"name": "modest"}, "detector": {"weights": f"{home}/face.pth"}}
    meta = tiny_meta(encoder_weights=f"/scratch/{USER}/clip.pt", config=config)
    tiny_cache(tmp_path / "feats.zarr", dataclasses.replace(meta, identity=_identity(meta)))
    with FeatureCache.open(tmp_path / "feats.zarr") as cache:
        assert cache.meta.encoder_weights == "/scratch/$USER/clip.pt"
        found = config_of(cache, None, None)
    assert found.encoder.weights == f"/scratch/{USER}/clip.pt"
    assert found.detector.weights == f"{home}/face.pth"


def _identity(meta):
    precisions = {
        section: {**meta.identity[section], "precision": "fp32"} for section in ("features", "detector")
    }
    return {**meta.identity, **precisions, "encoder": {"mean": [0.5] * 3, "std": [0.5] * 3}}


def test_a_cache_with_absolute_paths_of_an_earlier_version_goes_on_and_its_export_names_nobody(home):
    index = write_clips(home / "data", num_good=3)
    extract(index, home / "feats.zarr", limit=2)
    document = home / "feats.zarr/zarr.json"
    values = json.loads(document.read_text())
    values["attributes"]["config"]["dataset"]["root"] = f"{home}/data"
    values["attributes"]["command_line"] = [f"{home}/cli.py", "extract"]
    document.write_text(json.dumps(values))
    with FeatureCache.open(home / "feats.zarr") as cache:
        assert dataset_of(cache).source == home / "data"
        assert f"  clips at   {home}/data" in lines(summarise(cache)), "what is stored is shown as it is"
    assert extract(index, home / "feats.zarr").counts["pending"] == 0
    with FeatureCache.open(home / "feats.zarr") as cache:
        export_hdf5(cache, home / "feats.h5")
    require_nobody_named(home / "feats.h5")


@pytest.mark.usefixtures("one_tiny_encoder")
def test_a_run_and_its_pages_name_nobody_and_move_with_their_cache(home, tmp_path, monkeypatch, capsys):
    tiny_cache(home / "project/feats.zarr")
    run, quick = (
        home / "project/runs/a",
        ["--preset", "smoke", "--set", "schedule.max_epochs=1", "--device", "cpu"],
    )
    for arguments in (
        ["train", "--cache", home / "project/feats.zarr", "--run", run, *quick],
        ["evaluate", run, "--device", "cpu"],
        ["report", run, "--out", home / "report", "--device", "cpu"],
    ):
        code, _, err = call(monkeypatch, capsys, *arguments)
        assert code == 0, err
    info = json.loads((run / "run.json").read_text())
    assert (info["cache_path"], info["cache_from_run"]) == ("~/project/feats.zarr", "../../feats.zarr")
    require_nobody_named(run)
    require_nobody_named(home / "report")
    (home / "project").rename(tmp_path / "moved")
    code, out, err = call(monkeypatch, capsys, "evaluate", tmp_path / "moved/runs/a", "--device", "cpu")
    assert code == 0, err
    assert "another cache" not in out
