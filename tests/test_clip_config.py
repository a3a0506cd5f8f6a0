"""The settings of `encoder`: what belongs to a file, and what a cache states of its own encoder."""

import dataclasses
import json

import pytest
import torch

from pipeline.clip_model import CLIP_MEAN, CLIP_STD, EncoderConfig, encoder_of
from pipeline.config import from_dict, override
from pipeline.errors import CacheError, ConfigError
from pipeline.fingerprint import sha256_json
from pipeline.process import ExtractConfig, identity_differences, load_models
from pipeline.store.meta import CacheMeta
from pipeline.store.reader import FeatureCache
from pipeline.verify import verify
from tests.clip_files import write_open_clip_config
from tests.command_line import call
from tests.small_clips import write_clips
from tests.tiny_clip import modest_clip, modest_model

MEAN, STD = "0.5,0.4,0.3", "0.2,0.3,0.4"
STATED = ("encoder.activation=gelu", f"encoder.mean={MEAN}", f"encoder.std={STD}")
SMALL = ("--encoder", modest_model(), "--detector", "boxes", "--frames", "4", "--precision", "fp32")


def test_mean_and_std_are_set_on_the_command_line():
    config = override(ExtractConfig(encoder=EncoderConfig(name="ViT-B-32", weights="./a.bin")), STATED)
    assert config.encoder.mean == (0.5, 0.4, 0.3)
    assert config.encoder.std == (0.2, 0.3, 0.4)
    assert from_dict(ExtractConfig, json.loads(json.dumps(dataclasses.asdict(config)))) == config
    with pytest.raises(ConfigError, match="encoder.mean is '0.5,x'; numbers separated by commas are needed"):
        override(config, ["encoder.mean=0.5,x"])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"tag": "openai"},
            "encoder.tag is 'openai', but encoder.weights is 'openai'; it belongs to a file: give",
        ),
        (
            {"weights": "random", "mean": (0.5,) * 3},
            "encoder.mean is .* but encoder.weights is 'random'; it belongs",
        ),
        (
            {"weights": "a.pt", "activation": "relu"},
            "encoder.activation is 'relu'; allowed: gelu, quickgelu.",
        ),
        (
            {"weights": "a.pt", "activation": "gelu"},
            "built with QuickGELU; the weights 'a.pt' were .* Use ViT-L-14.",
        ),
        (
            {"weights": "a.pt", "mean": (127.5,) * 3},
            r"encoder.mean is .*127.5.*; allowed: three numbers \(red, green",
        ),
        (
            {"weights": "a.pt", "std": (0.0,) * 3},
            "encoder.std is .*; allowed: three numbers .* each more than 0, up",
        ),
        (
            {"weights": "a.pt", "tag": "laion2b_s32b_b82k"},
            "encoder.tag is .* It is a tag of ViT-L-14: give --enc",
        ),
        (
            {"weights": "a.pt", "tag": "mine"},
            "encoder.tag is 'mine'; allowed for ViT-L-14-quickgelu: openai, meta",
        ),
    ],
)
def test_settings_that_cannot_be_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        EncoderConfig(**values)


# Caches


@pytest.fixture
def weights(tmp_path):
    """The modest model's weights as a user's own file, beside which nothing states how it was trained."""
    path = tmp_path / "mine" / "weights.bin"
    path.parent.mkdir()
    torch.save(modest_clip().model.state_dict(), path)
    return path


def test_a_cache_by_path_goes_on_only_with_the_mean_it_was_made_with(weights, tmp_path, monkeypatch, capsys):
    """As for a cache of before, to which a file's mean was CLIP's, whatever the file was trained with."""
    write_clips(tmp_path / "clips", num_good=2)
    data = ("--dataset", "manifest", "--root", tmp_path / "clips", "--cache", tmp_path / "feats.zarr")
    command = ("extract", *data, *SMALL, "--encoder-weights", weights)
    code, _, errors = call(monkeypatch, capsys, *command)
    assert (code, "cannot state how it was trained" in errors) == (1, True)
    clips = (
        f"encoder.mean={','.join(map(str, CLIP_MEAN))}",
        f"encoder.std={','.join(map(str, CLIP_STD))}",
    )
    as_before = [word for setting in ("encoder.activation=gelu", *clips) for word in ("--set", setting)]
    code, _, said = call(monkeypatch, capsys, *command, *as_before, "--limit", 1)
    assert code == 0, said
    assert "modest: GELU, mean 0.4815, 0.4578, 0.4082, std 0.2686, 0.2613, 0.2758 (settings)" in said
    write_open_clip_config(weights.parent, modest_model(), {"mean": [0.5] * 3, "std": [0.5] * 3})
    code, _, errors = call(monkeypatch, capsys, *command)
    assert code == 1
    assert (
        "was made differently: encoder.mean: [0.5, 0.5, 0.5] here, [0.48145466, 0.4578275, 0.40821073]"
        in errors
    )
    code, _, said = call(monkeypatch, capsys, *command, *as_before)
    assert code == 0, said
    code, out, _ = call(monkeypatch, capsys, "cache", "info", tmp_path / "feats.zarr")
    assert "images     mean [0.48145466, 0.4578275, 0.40821073], std [0.26862954" in out
    with FeatureCache.open(tmp_path / "feats.zarr") as cache:
        assert verify(cache, 1).findings == ()


def test_a_caches_own_encoder_needs_no_statement_of_its_file(weights, tmp_path):
    """`verify`, `repair` and `train` take what the cache states, whatever file holds the weights now."""
    models = load_models(of_modest(weights), torch.device("cpu"))
    meta = meta_of(models)
    moved = weights.rename(tmp_path / "moved.bin")
    encoder = encoder_of(meta, str(moved))
    assert (encoder.mean, encoder.std, encoder.activation) == ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4), "gelu")
    again = load_models(dataclasses.replace(models.config, encoder=encoder), torch.device("cpu"))
    assert identity_differences(again.identity(), models.identity()) == []
    assert encoder_of(meta, "random").mean is None


def of_modest(weights):
    base = from_dict(ExtractConfig, {"detector": {"name": "boxes"}, "features": {"precision": "fp32"}})
    encoder = EncoderConfig(name=modest_model(), weights=str(weights))
    return override(dataclasses.replace(base, encoder=encoder), STATED)


def meta_of(models):
    identity = models.identity()
    return CacheMeta(
        dataset="folder", class_names=("joy",), fold_names=("1",), num_clips=1, block_clips=1, num_views=1,
        num_frames=4, embed_width=192, encoder_width=64, num_tokens=0, encoder_name=modest_model(),
        encoder_weights=models.config.encoder.weights, encoder_sha256="", text_sha256="", identity=identity,
        fingerprint=sha256_json(identity), config={"encoder": {"seed": 0}},
    )  # fmt: skip


@pytest.mark.parametrize("mean", [[0.5], "x", [1, 2, 3]])
def test_a_damaged_mean_of_a_cache_is_a_known_error(weights, mean):
    models = load_models(of_modest(weights), torch.device("cpu"))
    meta = meta_of(models)
    identity = meta.identity | {"encoder": meta.identity["encoder"] | {"mean": mean}}
    with pytest.raises(CacheError, match="attribute 'identity.encoder' is damaged: encoder.mean is"):
        encoder_of(dataclasses.replace(meta, identity=identity))
