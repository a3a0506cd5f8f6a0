"""Activation, mean and std of a file: by settings, the configs beside it or its sha256; never assumed."""

import json

import open_clip
import pytest
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from open_clip.pretrained import get_pretrained_cfg, list_pretrained_tags_by_model

from pipeline.clip_model import CLIP_MEAN, CLIP_STD, EncoderConfig, conventions
from pipeline.clip_model.architecture import (
    activation_of,
    activation_of_transformers,
    architecture_of,
    from_transformers,
    supported_models,
)
from pipeline.clip_model.conventions import conventions_of_file, conventions_of_tag
from pipeline.clip_model.tags import tags_of
from pipeline.errors import ConfigError, WeightsError
from pipeline.fingerprint import sha256_file
from tests.clip_files import (
    load,
    load_bare,
    publish,
    saved,
    state,
    transformers_config,
    write_open_clip_config,
    write_transformers,
)
from tests.tiny_clip import tiny_model

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
IMAGES = {"mean": list(MEAN), "std": list(STD)}
TAGS = [(name, tag) for name in supported_models() for tag in tags_of(name)]


@pytest.fixture
def bare(tmp_path):
    """A file beside which nothing is, and whose sha256 nobody published."""
    return saved(tmp_path, state(), "weights.bin")


# Every published tag


def test_every_tag_of_the_supported_models_can_be_used_under_one_name():
    """Of two names that differ in the activation, each tag belongs to one."""
    every = {(n, t) for n in supported_models() for t in list_pretrained_tags_by_model(n)}
    base = {(n.removesuffix("-quickgelu"), t) for n, t in every}
    assert sorted((n.removesuffix("-quickgelu"), t) for n, t in TAGS) == sorted(base)
    assert len(base) > 50


@pytest.mark.parametrize(("name", "tag"), TAGS)
def test_a_copy_of_a_tags_file_has_what_is_published_of_the_tag(tmp_path, monkeypatch, name, tag):
    """By its tag, by its path with the tag named, by open_clip's config beside it, and by its sha256."""
    published = get_pretrained_cfg(name, tag)
    expected = (published["mean"], published["std"], bool(published.get("quick_gelu")))
    assert published["interpolation"] == "bicubic", "what `streams` resizes by"
    path = tmp_path / "copy.bin"
    path.write_bytes(b"")
    found = [conventions_of_tag(name, tag), of_file(path, name, tag=tag)]
    write_open_clip_config(tmp_path, name, {key: list(published[key]) for key in ("mean", "std")})
    found.append(of_file(path, name))
    if sha256 := conventions_sha256(published):
        (tmp_path / "open_clip_config.json").unlink()
        monkeypatch.setattr(conventions, "sha256_file", lambda _: sha256.ljust(64, "0"))
        found.append(of_file(path, name))
    for one in found:
        assert (one.mean, one.std, one.activation == "quickgelu") == expected
    assert EncoderConfig(name=name, weights=tag)


def of_file(path, name, **stated):
    return conventions_of_file(
        EncoderConfig(name=name, weights=str(path), **stated), path, are_of_transformers=False
    )


def conventions_sha256(published):
    """What open_clip itself checks a download against."""
    url = published["url"]
    if "openaipublic" in url:
        return url.split("/")[-2]
    return url.rpartition(".")[0].rpartition("-")[2] if "mlfoundations" in url else ""


def test_the_mean_of_laions_large_model_is_not_clips():
    assert conventions_of_tag("ViT-L-14", "laion2b_s32b_b82k").mean == (0.5, 0.5, 0.5) != CLIP_MEAN


# Files that state nothing


def test_a_bare_file_is_refused_with_the_choices(bare):
    with pytest.raises(
        WeightsError,
        match=r"weights.bin' cannot state how it was trained, and no other source does: activation, mean, "
        r"std unknown for tiny-16-5. State it: put open_clip_config.json beside it; or "
        r"--set encoder.activation=gelu\|quickgelu --set encoder.mean=R,G,B --set encoder.std=R,G,B\.$",
    ):
        load_bare(bare)


def test_the_tags_of_the_model_are_among_the_choices(bare, monkeypatch):
    publish(monkeypatch, "half", mean=MEAN, std=STD)
    with pytest.raises(WeightsError, match=r"encoder.tag=TAG if it holds the weights of a tag \(half\); put"):
        load_bare(bare)
    clip = load_bare(bare, tag="half")
    assert (clip.mean, clip.std, clip.conventions.activation) == (MEAN, STD, "gelu")


def test_what_is_stated_is_used_and_what_is_missing_is_named(bare):
    clip = load_bare(bare, activation="gelu", mean=MEAN, std=STD)
    assert (clip.mean, clip.std) == (MEAN, STD)
    assert str(clip.conventions) == "GELU, mean 0.5, 0.4, 0.3, std 0.2, 0.3, 0.4 (settings)"
    with pytest.raises(WeightsError, match=r"does: std unknown for tiny.* or --set encoder.std=R,G,B\."):
        load_bare(bare, activation="gelu", mean=MEAN)


def test_a_file_with_a_published_sha256_needs_nothing(bare, monkeypatch):
    publish(
        monkeypatch, "half", url=f"https://openaipublic.example/{sha256_file(bare)}/a.pt", mean=MEAN, std=STD
    )
    monkeypatch.setattr("pipeline.clip_model.tags.supported_models", lambda: (tiny_model(),))
    clip = load_bare(bare)
    assert (clip.mean, clip.std, clip.conventions.source) == (MEAN, STD, "sha256 of tag half of tiny-16-5")
    with pytest.raises(ConfigError, match="weights.bin' were trained with GELU .* Use tiny-16-5."):
        load_bare(bare, tiny_model(quick_gelu=True))
    with pytest.raises(ConfigError, match="'ViT-S-32', but .* of the tag half of tiny-16-5. Use tiny-"):
        of_file(bare, "ViT-S-32")


# open_clip's config beside a file


def test_open_clips_config_beside_a_file_is_used(bare):
    write_open_clip_config(bare.parent, tiny_model(), IMAGES)
    clip = load_bare(bare)
    assert (clip.mean, clip.std, clip.conventions.source) == (MEAN, STD, "open_clip_config.json")


def test_a_file_trained_with_another_activation_is_refused(bare):
    write_open_clip_config(bare.parent, tiny_model(), IMAGES)
    with pytest.raises(
        ConfigError,
        match="built with QuickGELU; .*weights.bin' were trained with GELU .* Use tiny-16-5.",
    ):
        load_bare(bare, tiny_model(quick_gelu=True))


def test_another_architecture_is_refused_with_the_differences(bare):
    write_open_clip_config(bare.parent, "ViT-S-32", IMAGES)
    with pytest.raises(
        ConfigError,
        match=r"encoder.name is 'tiny-16-5', but '.*open_clip_config.json' describes another model: embed_"
        r"dim: 16 here, 384 there, .* and \d+ more. Give the --encoder that it describes.",
    ):
        load_bare(bare)


def test_heads_which_no_tensor_shows_are_compared(bare):
    vision = open_clip.get_model_config(tiny_model())["vision_cfg"]
    vision |= {"head_width": 32, "patch_dropout": 0.5}
    write_open_clip_config(
        bare.parent,
        tiny_model(),
        IMAGES,
        vision_cfg=vision,
    )
    with pytest.raises(ConfigError, match=r"another model: vision.heads: 2 here, 1 there\. Give"):
        load_bare(bare)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("<html>", WeightsError, "cannot be read as JSON"),
        ("[" * 10**5, WeightsError, "cannot be read as JSON"),
        ("[]", WeightsError, "holds a list, not an object"),
        ("{}", WeightsError, "has no section 'model_cfg'"),
        ('{"model_cfg": {"vision_cfg": 3}}', ConfigError, "describes another class of model than CLIP's"),
        (
            '{"model_cfg": {"vision_cfg": {"layers": 5, "width": []}, "text_cfg": {}}}',
            ConfigError,
            "settings are",
        ),
        (
            '{"model_cfg": {"vision_cfg": {"layers": 5, "odd": 1}, "text_cfg": {}}}',
            ConfigError,
            "settings are not op",
        ),
    ],
)
def test_a_config_that_is_none_is_refused(bare, text, error, message):
    (bare.parent / "open_clip_config.json").write_text(text)
    with pytest.raises(error, match=message) as caught:
        load_bare(bare)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [[0.5], [0.5, 0.5, "x"], [127.5] * 3, "0.5", [True] * 3, [-0.1] * 3])
def test_a_mean_that_is_none_is_refused(bare, value):
    write_open_clip_config(bare.parent, tiny_model(), IMAGES | {"mean": value})
    with pytest.raises(WeightsError, match=r"mean of '.*_config.json' is .*; allowed: three numbers \(red"):
        load_bare(bare)


def test_a_config_without_images_leaves_them_to_be_stated(bare):
    write_open_clip_config(bare.parent, tiny_model(), None)
    with pytest.raises(WeightsError, match="no other source does: mean, std unknown"):
        load_bare(bare)
    assert load_bare(bare, mean=MEAN, std=STD).conventions.source == "open_clip_config.json and settings"


def test_sources_that_contradict_each_other_are_refused_unless_everything_is_stated(bare, monkeypatch):
    write_open_clip_config(bare.parent, tiny_model(), IMAGES)
    publish(monkeypatch, "other")
    with pytest.raises(
        WeightsError,
        match=r"mean of '.*' is \(0.48.* by encoder.tag other, but \(0.5, 0.4, 0.3\) by open",
    ):
        load_bare(bare, tag="other")
    assert load(bare).mean == CLIP_MEAN


def test_a_setting_that_contradicts_the_published_sha256_is_refused(bare, monkeypatch):
    url = f"https://openaipublic.example/{sha256_file(bare)}/a.pt"
    publish(monkeypatch, "half", url=url, mean=MEAN, std=STD)
    monkeypatch.setattr("pipeline.clip_model.tags.supported_models", lambda: (tiny_model(),))
    with pytest.raises(WeightsError, match=r"mean of '.*' is \(0.1, 0.1, 0.1\) by settings, but .* sha256"):
        load_bare(bare, mean=(0.1, 0.1, 0.1))
    assert load_bare(bare, mean=MEAN).mean == MEAN


OPENAI_IMAGES = {"image_mean": list(CLIP_MEAN), "image_std": list(CLIP_STD)}
CONTRADICTIONS = {
    "mean": ("preprocessor_config.json", OPENAI_IMAGES),
    "std": ("preprocessor_config.json", OPENAI_IMAGES | {"image_mean": list(MEAN)}),
    "activation": ("config.json", transformers_config("quick_gelu")),
}


@pytest.mark.parametrize("fact", CONTRADICTIONS)
@pytest.mark.parametrize("own", ["open_clip_pytorch_model.bin", "model.safetensors"])
def test_configs_of_both_forms_must_agree(tmp_path, fact, own):
    """Whichever form the file itself has."""
    name, content = CONTRADICTIONS[fact]
    file = write_transformers(tmp_path)
    if own != file.name:
        file = saved(tmp_path, state(), own)
    write_open_clip_config(tmp_path, tiny_model(), IMAGES)
    load_bare(file)
    (tmp_path / name).write_text(json.dumps(content))
    with pytest.raises(
        WeightsError, match=rf"The {fact} of '.*' is .* by .*config.json, but .*\. Correct one"
    ):
        load_bare(file)
    assert load(file).mean == CLIP_MEAN, "settings that state all three overrule the configs"


def test_a_lone_preprocessor_config_is_read(bare):
    (bare.parent / "preprocessor_config.json").write_text(json.dumps(OPENAI_IMAGES))
    with pytest.raises(WeightsError, match=r"source does: activation unknown"):
        load_bare(bare)
    clip = load_bare(bare, activation="gelu")
    assert (clip.mean, clip.conventions.source) == (CLIP_MEAN, "settings and preprocessor_config.json")
    write_open_clip_config(bare.parent, tiny_model(), IMAGES)
    with pytest.raises(WeightsError, match=r"by open_clip_config.json, but .* by preprocessor_config.json"):
        load_bare(bare)


def test_the_published_sha256_is_compared_with_the_configs(bare, monkeypatch):
    write_open_clip_config(bare.parent, tiny_model(), IMAGES)
    url = f"https://openaipublic.example/{sha256_file(bare)}/a.pt"
    publish(monkeypatch, "half", url=url, mean=(0.5, 0.5, 0.5), std=STD)
    monkeypatch.setattr("pipeline.clip_model.tags.supported_models", lambda: (tiny_model(),))
    with pytest.raises(WeightsError, match=r"by open_clip_config.json, but \(0.5, 0.5, 0.5\) by sha256 of"):
        load_bare(bare)


# transformers' configs beside a file


def test_transformers_configs_are_those_of_its_own_files(tmp_path):
    path = write_transformers(tmp_path / "clip")
    assert load_bare(path).conventions.source == "config.json and preprocessor_config.json"
    write_open_clip_config(path.parent, tiny_model(), IMAGES)
    assert load_bare(path).conventions.source == "config.json and preprocessor_config.json"
    other = saved(path.parent, state(), "open_clip_pytorch_model.bin")
    assert load_bare(other).conventions.source == "open_clip_config.json"


def test_transformers_activation_is_held_against_the_encoder(tmp_path):
    path = write_transformers(tmp_path / "clip", transformers_config("quick_gelu"))
    with pytest.raises(ConfigError, match="trained with QuickGELU and would .* Use tiny-16-5-quickgelu"):
        load_bare(path)


@pytest.mark.parametrize("activation", ["gelu_new", "relu", None])
def test_an_activation_that_is_not_clips_is_unknown(tmp_path, activation):
    with pytest.raises(WeightsError, match=r"transformers' names and cannot state .*: activation unknown"):
        load_bare(write_transformers(tmp_path / "clip", transformers_config(activation)))


def test_another_architecture_of_transformers_is_refused(tmp_path):
    path = write_transformers(tmp_path / "clip", transformers_config(projection_dim=512))
    with pytest.raises(ConfigError, match=r"config.json' describes another model: embed_dim: 16 here, 512 t"):
        load_bare(path)


def test_a_config_json_of_something_else_is_left_alone(tmp_path):
    path = write_transformers(tmp_path / "clip", {"model_type": "bert"})
    with pytest.raises(
        WeightsError, match="no other source does: activation unknown .* put config.json and preprocessor"
    ):
        load_bare(path)


@pytest.mark.parametrize("images", [{"do_normalize": False, "image_mean": [0.5] * 3}, {"size": 224}])
def test_images_that_transformers_does_not_normalise_are_unknown(tmp_path, images):
    with pytest.raises(WeightsError, match=": mean, std unknown"):
        load_bare(write_transformers(tmp_path / "clip", images=images))


def test_defaults_of_transformers_are_those_of_its_base_model():
    """openai/clip-vit-base-patch32, whose configs leave most out."""
    described = {"vision_config": {}, "text_config": {"hidden_size": 512}, "text_config_dict": None}
    mine, theirs = architecture_of("ViT-B-32-quickgelu"), from_transformers(described)
    assert {key: mine[key] for key in theirs} == theirs
    assert activation_of_transformers(described) == activation_of("ViT-B-32-quickgelu")


def test_the_mean_and_std_of_clip_are_those_of_open_clip() -> None:
    assert (CLIP_MEAN, CLIP_STD) == (OPENAI_DATASET_MEAN, OPENAI_DATASET_STD)
