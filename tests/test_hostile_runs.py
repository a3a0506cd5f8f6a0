"""Run directories that are not to be trusted: each loads, or ends in a CheckpointError of one line."""

import json
import math
import os
import resource
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from pipeline.errors import CheckpointError
from tests.mutants import mutate
from trainer.checkpoint import load_checkpoint, save_weights
from trainer.model import OusModel
from trainer.presets import smoke
from trainer.run_directory import create_run_dir
from trainer.run_info import RunInfo

CPU = torch.device("cpu")
INFO = RunInfo(
    cache_path="feats.zarr",
    cache_fingerprint="f" * 64,
    dataset="tiny",
    class_names=("fear", "joy"),
    encoder_name="tiny",
    encoder_sha256="e" * 64,
    text_sha256="t" * 64,
    random_weights=True,
    num_frames=4,
    embed_width=16,
    encoder_width=12,
    fold="1",
    seed=3,
    selection="holdout",
    clips_sha256="c" * 64,
    training_sha256="t" * 64,
)
PROGRESS = (
    "best_epoch", "best_loss", "overfit_epoch", "stop_reason", "cache_from_run",
    "temperature", "ece_before", "ece_after", "not_calibrated", "num_without_face",
)  # fmt: skip
DEEP: dict[str, Any] = {}
for _ in range(30):
    DEEP = {"a": DEEP}
FILES = ("config.toml", "run.json", "best.safetensors")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run_dir = tmp_path_factory.mktemp("runs") / "run"
    create_run_dir(run_dir, smoke(), INFO)
    save_weights(run_dir, OusModel(smoke(), INFO.shape), torch.randn(4, 8), torch.randn(2, 16), INFO, epoch=1)
    load_checkpoint(run_dir, CPU)  # what loading imports is no memory that a damaged run takes
    return run_dir


@pytest.fixture
def run_dir(whole: Path, tmp_path: Path) -> Path:
    """A copy that may be damaged."""
    return Path(shutil.copytree(whole, tmp_path / "run"))


def message_of(run_dir: Path) -> str:
    """What speaks against the run; empty when nothing does."""
    try:
        load_checkpoint(run_dir, CPU)
    except CheckpointError as error:
        return str(error)
    return ""


def refused(run_dir: Path, message: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CheckpointError, match=message) as caught:
        load_checkpoint(run_dir, CPU)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 700
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"num_frames": 10**12},
            r"run.json' is not a readable run description: num_frames is 1000000000000; all",
        ),
        ({"embed_width": "16"}, r"embed_width is '16'; int is needed"),
        ({"encoder_width": True}, r"encoder_width is True; int is needed"),
        (
            {"encoder_width": 60_000},
            r"does not hold the model that config.toml describes: 'model\..*' has shape",
        ),
        ({"left_out_of_training": [1]}, r"left_out_of_training is \[1\]; an object of counts is needed"),
        ({"left_out_of_training": {"failed": "2"}}, r"{'failed': '2'}; an object of counts is needed"),
        ({"left_out_of_training": {"failed": -1}}, r"{'failed': -1}; an object of counts is needed"),
        ({"class_names": "joy"}, r"class_names is 'joy'; a list of texts is needed"),
        ({"class_names": ["joy", 3]}, r"class_names is \['joy', 3\]; a list of texts is needed"),
        (
            {"class_names": ["joy"]},
            r"'text_features' has shape \(2, 16\), \(1, 16\) is needed|is not of the run",
        ),
        ({"selected_by": "luck"}, r"selected_by is 'luck'; allowed: loss, war, uar"),
        ({"best_loss": "low"}, r"best_loss is 'low'; float is needed"),
        ({"seed": -1}, r"seed is -1; allowed: 0 or more"),
        ({"temperature": "2"}, r"temperature is '2'; float is needed"),
        ({"temperature": True}, r"temperature is True; float is needed"),
        ({"temperature": -1.5}, r"temperature is -1.5; allowed: 0.05 to 20.0"),
        ({"temperature": 1e-300}, r"temperature is 1e-300; allowed: 0.05 to 20.0"),
        ({"ece_after": 1.5}, r"ece_after is 1.5; allowed: 0 to 1"),
        ({"not_calibrated": ["few"]}, r"not_calibrated is \['few'\]; str is needed"),
        ({"identity": [1]}, r"identity is \[1\]; an object of at most 1 MB in 20 levels is needed"),
        ({"identity": DEEP}, r"identity is {'a': .*; an object of at most 1 MB in 20 levels is needed"),
        ({"extract_config": "x"}, r"extract_config is 'x'; an object of at most 1 MB in 20 levels is needed"),
        ({"extract_config": {"a": "x" * (1 << 20)}}, r"extract_config is .*; an object of at most 1 MB"),
        ({"extract_config": {"a": math.inf}}, r"Infinity is no finite number"),
        ({"clip_seconds": 2.0}, r"clip_seconds is 2.0; a list of numbers is needed"),
        ({"clip_seconds": ["2"] * 3}, r"clip_seconds is \['2', '2', '2'\]; a list of numbers is needed"),
        ({"clip_seconds": [1.0, 2.0]}, r"clip_seconds is \[1.0, 2.0\]; three rising numbers above 0 are"),
        ({"clip_seconds": [3.0, 2.0, 1.0]}, r"clip_seconds is \[3.0, 2.0, 1.0\]; three rising numbers above"),
        (
            {"clip_seconds": [0, 1, 2]},
            r"clip_seconds is \[0, 1, 2\]; three rising numbers above 0 are needed",
        ),
        ({"best_loss": math.nan}, r"NaN is no finite number"),
        ({"__class__": "os.system"}, r"unexpected keyword argument '__class__'"),
    ],
)
def test_a_run_that_says_something_absurd_is_refused(run_dir, change, message):
    values = json.loads((run_dir / "run.json").read_text()) | change
    (run_dir / "run.json").write_text(json.dumps(values))
    file = run_dir / "best.safetensors"  # forged to agree
    origin = {k: v for k, v in values.items() if k not in PROGRESS}
    save_file(load_file(file), file, metadata={"ous": json.dumps({"run": origin})})
    refused(run_dir, message)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("run.json", b"[" * 100_000, r"run.json' is not a readable run description: maximum recursion"),
        ("run.json", b"[1, 2]", r"run.json' is not a readable run description: "),
        ("run.json", b"\xff", r"run.json' is not UTF-8 text"),
        ("config.toml", b"\xff", r"config.toml' is not UTF-8 text"),
        ("config.toml", b"a = " + b"[" * 100_000, r"config.toml': "),
        ("config.toml", b"[optim]\nlr = " + b"9" * 400, r"config.toml': "),
        ("config.toml", b"[model]\nframe_encoder_depth = 1000000000\n", r"allowed: .*64"),
        (
            "best.safetensors",
            struct.pack("<Q", 1 << 62) + b"{}",
            r"describes: its header has \d+ bytes; allowed: 16777216",
        ),
        (
            "best.safetensors",
            struct.pack("<Q", 2) + b"{}",
            r"is not of the run that run.json beside it describes",
        ),
        ("best.safetensors", b"", r"does not hold the model that config.toml describes"),
    ],
)
def test_a_file_that_is_none_is_refused(run_dir, name, content, message):
    (run_dir / name).write_bytes(content)
    refused(run_dir, message)


@pytest.mark.parametrize("metadata", ["[]", "{", "[" * 100_000, "null", '{"run": 3}'])
def test_metadata_of_the_weights_that_are_none_are_refused(run_dir, metadata):
    file = run_dir / "best.safetensors"
    save_file(load_file(file), file, metadata={"ous": metadata})
    refused(run_dir, r"best.safetensors' (is not of the run|does not hold the model)")


@pytest.mark.parametrize("name", FILES)
def test_pipes_and_sparse_giants_are_not_read(run_dir, name):
    (run_dir / name).unlink()
    os.mkfifo(run_dir / name)
    refused(run_dir, rf"{name}' is a pipe; a regular file is needed")
    (run_dir / name).unlink()
    (run_dir / name).touch()
    os.truncate(run_dir / name, 1 << 40)
    refused(run_dir, rf"{name}' has 1099511627776 bytes; allowed: (1048576|16777216|8589934592)")


JUNK = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=9)
    | st.lists(st.text(max_size=3))
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(data=st.data())
def test_runs_changed_at_random_load_or_end_in_a_checkpoint_error(whole, data):
    name = data.draw(st.sampled_from(FILES))
    original = (whole / name).read_bytes()
    content = mutate(original, data.draw(st.integers(0, 1 << 32)))
    if name == "run.json" and data.draw(st.booleans()):
        values: dict[str, Any] = json.loads(original)
        values[data.draw(st.sampled_from(sorted(values)))] = data.draw(JUNK)
        content = json.dumps(values).encode()
    (whole / name).write_bytes(content)
    try:
        message = message_of(whole)
    finally:
        (whole / name).write_bytes(original)
    assert len(message.splitlines()) <= 1
