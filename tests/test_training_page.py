"""The recipes of docs/training.md run, and docs/run-files.md names what a run has."""

import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from pipeline.config import override
from tests.tiny_cache import tiny_cache
from trainer import train
from trainer.presets import smoke

DOCS = Path(__file__).parents[1] / "docs"

pytestmark = pytest.mark.usefixtures("one_tiny_encoder")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    path = tiny_cache(folder / "feats.zarr")
    train(path, folder / "run", override(smoke(), ["schedule.max_epochs=2"]), device="cpu")
    return folder / "run"


def recipe(name):
    (code,) = re.findall(
        rf"<!-- recipe {name} -->\n```python\n(.*?)```", (DOCS / "training.md").read_text(), re.DOTALL
    )
    return code


class Log:
    """Stands in for a module or an object of a logging library, and records calls."""

    def __init__(self, calls, name=""):
        self.calls, self.name = calls, name

    def __getattr__(self, name):
        return Log(self.calls, name)

    def __call__(self, *args, **options):
        self.calls.append((self.name, args, options))
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


def calls_of(name, run, monkeypatch):
    calls = []
    module = ModuleType(name)
    module.__getattr__ = lambda attribute: Log(calls, attribute)
    monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(sys, "argv", ["recipe.py", str(run)])
    exec(compile(recipe(name), name, "exec"), {})
    return calls


def records(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_the_recipe_for_wandb_logs_each_epoch_and_the_settings(run, monkeypatch):
    (name, _, options), *logged = calls_of("wandb", run, monkeypatch)
    assert (name, options["name"], options["mode"]) == ("init", "run", "offline")
    assert options["config"]["schedule"]["max_epochs"] == 2
    assert options["config"]["run"]["dataset"] == "tiny"
    assert logged == [("log", (record,), {"step": record["epoch"]}) for record in records(run)]


def test_the_recipe_for_mlflow_logs_each_epoch_and_the_settings(run, monkeypatch):
    calls = calls_of("mlflow", run, monkeypatch)
    params = {key: value for name, args, _ in calls if name == "log_params" for key, value in args[0].items()}
    assert params["schedule.max_epochs"] == 2
    metrics = [args for name, args, _ in calls if name == "log_metrics"]
    assert [epoch for _, epoch in metrics] == [1, 1, 2, 2]
    assert metrics[-1][0]["validation_loss"] == records(run)[-1]["validation"]["loss"]
    assert all(isinstance(value, float) for values, _ in metrics for value in values.values())


def test_the_page_names_every_key_and_file(run):
    text = (DOCS / "run-files.md").read_text()
    for key, value in records(run)[0].items():
        names = [f"{key}.{name}" for name in value] if isinstance(value, dict) else [key]
        assert not [name for name in names if f"`{name}`" not in text]
    for entry in run.iterdir():
        name = "events.out.tfevents.*" if entry.name.startswith("events") else entry.name
        assert f"`{name}`" in text
