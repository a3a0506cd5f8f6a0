"""Values that no trained weights have: matrices of zeros, NaN and infinity; named with the likely cause."""

import math
from pathlib import Path

import open_clip
import pytest
import safetensors.torch
import torch

from pipeline.clip_model import EncoderConfig, load_clip_model
from pipeline.clip_model.architecture import architecture_of, num_parameters, supported_models
from pipeline.errors import WeightsError
from pipeline.weights import UNFINISHED, find_untrained_values, load_state_dict
from tests.clip_files import load, saved, state, write_transformers
from tests.tiny_clip import modest_model, tiny_clip

PATH = Path("weights.bin")


def preallocated(path: Path, share: float) -> Path:
    """The file with zeros for all but its first share, as a downloader leaves it that reserves the space."""
    content = path.read_bytes()
    kept = int(share * len(content))
    path.write_bytes(content[:kept] + bytes(len(content) - kept))
    return path


def written(folder: Path) -> Path:
    path = folder / "weights.safetensors"
    safetensors.torch.save_file(state(), path)
    return path


@pytest.mark.parametrize("share", [0.3, 0.99])
def test_a_file_whose_rest_has_not_arrived_is_refused(tmp_path, share):
    path = preallocated(written(tmp_path), share)
    with pytest.raises(
        WeightsError,
        match=r"^'.*weights.safetensors' has only zeros in \d+ of its 30 weight matrices \(.*resblocks.*\), "
        r"as an unfinished download leaves them; expected: trained values\. Download it again\.$",
    ):
        load(path)


@pytest.mark.parametrize("suffix", UNFINISHED)
def test_what_a_downloader_keeps_beside_a_file_is_named(tmp_path, suffix):
    path = preallocated(written(tmp_path), 0.3)
    path.with_name(path.name + suffix).write_bytes(b"x")
    with pytest.raises(
        WeightsError, match=rf"unfinished download.* \('weights.safetensors{suffix}' is beside it\)"
    ):
        load(path)


def test_a_blob_of_the_hub_is_followed(tmp_path):
    blob = preallocated(written(tmp_path), 0.3).rename(tmp_path / "0a1b")
    (tmp_path / "0a1b.incomplete").write_bytes(b"x")
    (tmp_path / "model.safetensors").symlink_to(blob)
    with pytest.raises(WeightsError, match=r"\('0a1b.incomplete' is beside it\)"):
        load(tmp_path / "model.safetensors")


def test_of_downloaders_only_aria2_keeps_its_file_to_the_very_end(tmp_path):
    """What others leave beside a complete file is no reason to reject it."""
    path = written(tmp_path)
    path.with_name("weights.safetensors.part").write_bytes(b"x")
    assert load(path).visual_sha256 == tiny_clip().visual_sha256
    path.with_name("weights.safetensors.aria2").write_bytes(b"x")
    with pytest.raises(
        WeightsError,
        match=r"is an unfinished download \('weights.safetensors.aria2' is beside it\), not weights of "
        r"tiny.*: let aria2c finish it; if the file is complete, remove 'weights.safetensors.aria2'\.$",
    ):
        load(path)


def test_a_zero_part_of_a_fused_matrix_is_found_by_its_name_in_the_file(tmp_path):
    """transformers' query, key and value become one matrix, which would not be all zero."""
    path, name = write_transformers(tmp_path), "vision_model.encoder.layers.2.self_attn.v_proj.weight"
    tensors = safetensors.torch.load_file(path)
    safetensors.torch.save_file(tensors | {name: torch.zeros_like(tensors[name])}, path)
    with pytest.raises(WeightsError, match=rf"only zeros in 1 of its \d+ weight matrices \({name}\)"):
        load(path)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["visual.proj", "visual.ln_post.bias"])
def test_a_value_that_is_not_finite_is_refused(tmp_path, name, value):
    odd = state()[name].clone()
    odd.view(-1)[3] = value
    with pytest.raises(
        WeightsError,
        match=rf"has NaN or infinity in 1 of its \d+ tensors \({name}\), .* earlier checkpoint\.$",
    ):
        load(saved(tmp_path, state() | {name: odd}))


def test_the_detectors_tensors_are_examined_too(tmp_path):
    path = saved(tmp_path, {"module.body.weight": torch.zeros(2, 3, 1, 1), "fc.weight": torch.ones(2, 2)})
    with pytest.raises(
        WeightsError, match=r"only zeros in 1 of its 2 weight matrices \(module.body.weight\)"
    ):
        load_state_dict(path)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16, torch.float8_e4m3fn])
def test_every_type_of_float_is_examined(dtype):
    assert find_untrained_values(PATH, {"w": torch.zeros(2, 2).to(dtype)})
    assert find_untrained_values(PATH, {"w": torch.tensor([0.0, math.nan]).to(dtype)})
    assert not find_untrained_values(PATH, {"w": torch.eye(2).to(dtype)})


@pytest.mark.parametrize(
    "value",
    [
        torch.zeros(4),
        torch.tensor(0.0),
        torch.tensor(0),
        torch.zeros(2, 2, dtype=torch.long),
        torch.empty(0, 4),
        torch.tensor([[0.0, 0.0], [0.0, -1e-30]]),
    ],
    ids=["bias", "scalar", "count", "positions", "empty", "small"],
)
def test_what_trained_weights_may_hold_is_let_through(value):
    assert not find_untrained_values(PATH, {"w": value})


def test_random_weights_of_the_modest_model_are_let_through():
    model = load_clip_model(EncoderConfig(name=modest_model(), weights="random")).model
    assert not find_untrained_values(PATH, model.state_dict())


def one_of_each_kind() -> list[str]:
    """The smallest model for each set of settings that open_clip's configs name, whatever their values."""
    kinds: dict[frozenset[str], str] = {}
    for name in sorted(supported_models(), key=lambda name: num_parameters(architecture_of(name))):
        described = open_clip.get_model_config(name)
        settings = (f"{key}.{each}" for key, value in described.items() if "cfg" in key for each in value)
        kinds.setdefault(frozenset(settings), name)
    return sorted(kinds.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", one_of_each_kind())
def test_no_matrix_of_a_supported_model_starts_at_zero(name):
    """Three layers stand for all: they start alike."""
    described = open_clip.get_model_config(name)
    few = {tower: described[tower] | {"layers": 3} for tower in ("vision_cfg", "text_cfg")}
    few["text_cfg"] |= {"vocab_size": 1000}
    model = open_clip.CLIP(described["embed_dim"], quick_gelu=described.get("quick_gelu", False), **few)
    assert not find_untrained_values(PATH, model.state_dict())
