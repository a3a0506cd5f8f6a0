"""The functions that people call from Python: one chain, with texts as paths, and nothing printed."""

import os
import subprocess
import sys

import pytest

import pipeline
import trainer
from pipeline.datasets.synthetic import SyntheticConfig, write_synthetic
from pipeline.errors import CacheError, ConfigError, DatasetError
from pipeline.store.export import export_hdf5
from tests.command_line import call
from tests.tiny_clip import modest_model

SMALL = ("schedule.max_epochs=1", "data.validation=train")


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """Extraction, training, measuring and loading, called as in a script; with what they printed."""
    root = tmp_path_factory.mktemp("api")
    write_synthetic(root / "clips", SyntheticConfig(num_clips=28, num_frames=8), lambda *_: None)
    notes = []
    extracted = pipeline.extract(
        "synthetic", str(root / "clips"), str(root / "feats.zarr"), encoder=modest_model(),
        encoder_weights="random", detector="haar", frames=4, decoders=1, on_note=notes.append,
        settings=["features.precision=fp32", "features.batch_pictures=8"],
    )  # fmt: skip
    trained = trainer.train(
        str(root / "feats.zarr"), str(root / "run"), "smoke", settings=SMALL, device="cpu"
    )
    run = trainer.load_run(str(root / "run"), device="cpu")
    measured = trainer.evaluate(run, device="cpu")
    return root, extracted, trained, run, measured, notes


def test_each_step_gives_a_value_that_shows_itself(chain):
    root, extracted, trained, run, measured, notes = chain
    assert f"{root / 'feats.zarr'}: " in repr(extracted)
    assert "28 done" in repr(extracted).replace("done no face", "")
    assert any(modest_model() in note for note in notes)
    assert f"{root / 'run'}: best epoch 1 of 1" in repr(trained)
    assert repr(run).startswith(f"Run('{root / 'run'}': 7 classes")
    assert "WAR" in repr(measured)
    for result in (extracted, trained, measured):
        assert result._repr_html_().startswith("<pre>")
        assert "<b>" not in result._repr_html_()


def test_an_open_cache_shows_its_contents(chain):
    root, extracted, *_ = chain
    with extracted.open() as cache, pipeline.open_cache(str(root / "feats.zarr")) as again:
        assert repr(cache) == repr(again)
        shown = f"FeatureCache('{root / 'feats.zarr'}': synthetic, 7 classes, "
        assert repr(cache).startswith(shown)
        assert "clips: " in repr(cache)
        assert cache.read("label").shape == (28,)


def test_a_closed_export_still_has_a_repr(chain, tmp_path):
    _, extracted, *_ = chain
    with extracted.open() as cache:
        export_hdf5(cache, tmp_path / "feats.h5")
    with pipeline.open_cache(tmp_path / "feats.h5") as cache:
        open_ = repr(cache)
    assert open_ != repr(cache)
    assert "clips: 28)" in repr(cache)


def test_the_same_call_resumes_and_does_nothing_when_all_is_done(chain):
    root, extracted, *_ = chain
    again = pipeline.extract(
        "synthetic", root / "clips", root / "feats.zarr", encoder=modest_model(), encoder_weights="random",
        detector="haar", frames=4, decoders=1,
        settings=["features.precision=fp32", "features.batch_pictures=8"],
    )  # fmt: skip
    assert "nothing to do" in repr(again)
    assert again.report.counts == extracted.report.counts


def test_nothing_is_printed(chain, capfd, tmp_path):
    root, *_ = chain
    trainer.train(root / "feats.zarr", tmp_path / "run", root / "run", settings=SMALL, device="cpu")
    trainer.evaluate(tmp_path / "run", device="cpu")
    assert capfd.readouterr() == ("", "")


def test_a_run_trains_again_from_its_own_config(chain, tmp_path, monkeypatch, capsys):
    root, *_ = chain
    asked = ("train", "--cache", root / "feats.zarr", "--device", "cpu")
    first = ("--preset", "smoke", "--set", SMALL[0], "--set", SMALL[1], "--set", "model.tfe_blocks=1")
    assert call(monkeypatch, capsys, *asked, "--run", tmp_path / "a", *first)[0] == 0
    for name, config in (("b", tmp_path / "a" / "config.toml"), ("c", tmp_path / "a")):
        assert call(monkeypatch, capsys, *asked, "--run", tmp_path / name, "--config", config)[0] == 0
        for file in ("config.toml", "best.safetensors"):
            assert (tmp_path / name / file).read_bytes() == (tmp_path / "a" / file).read_bytes(), (name, file)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"[model]\ntfe_blocks = 0\n", "model.tfe_blocks is 0"),
        (b"[model]\nblocks = 1\n", "blocks"),
        (b"model = [", "Not a readable config"),
        (b"\xff\xfe", "is not UTF-8 text"),
    ],
)
def test_a_wrong_config_names_file_and_setting(chain, text, message, tmp_path, monkeypatch, capsys):
    root, *_ = chain
    (tmp_path / "own.toml").write_bytes(text)
    asked = ("train", "--cache", root / "feats.zarr", "--run", tmp_path / "run")
    code, _, shown = call(monkeypatch, capsys, *asked, "--config", tmp_path / "own.toml")
    (line,) = [line for line in shown.splitlines() if line.startswith("error:")]
    assert code == (1 if "UTF-8" in message else 2)  # 1: a file that cannot be read
    assert message in line
    assert "own.toml" in line


def test_preset_and_config_exclude_each_other(chain, tmp_path, monkeypatch, capsys):
    root, *_ = chain
    asked = ("train", "--cache", root / "feats.zarr", "--run", tmp_path / "run", "--preset", "smoke")
    code, _, shown = call(monkeypatch, capsys, *asked, "--config", root / "run")
    assert code == 2
    assert "leave out one of them" in shown


def test_errors_are_those_of_this_program(tmp_path):
    with pytest.raises(DatasetError):
        pipeline.extract("manifest", tmp_path / "none.csv", tmp_path / "feats.zarr")
    with pytest.raises(ConfigError, match="frames"):
        pipeline.extract("manifest", tmp_path / "none.csv", frames=0)
    with pytest.raises(CacheError, match="No cache at"):
        pipeline.open_cache(str(tmp_path / "none.zarr"))
    with pytest.raises(ConfigError, match="config is 'papr'; allowed: default, paper"):
        trainer.train(tmp_path / "none.zarr", tmp_path / "run", "papr")
    with pytest.raises(AttributeError, match="no attribute 'tarin'"):
        trainer.tarin  # noqa: B018


def test_the_packages_import_at_once_and_load_torch_later():
    program = "import pipeline, trainer, sys; print('torch' in sys.modules, sorted(trainer.__all__))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert (
        done.stdout.strip()
        == "False ['ensemble', 'evaluate', 'load_run', 'predict', 'predict_stream', 'resume', 'train', "
        "'transfer']"
    )
