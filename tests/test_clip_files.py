"""Where the file of the weights comes from: a path, a tag's copy on this machine, or a download."""

import re
import urllib.error
from pathlib import Path

import open_clip
import pytest
import safetensors.torch
import torch
from huggingface_hub import constants as hub
from open_clip.pretrained import get_pretrained_cfg, list_pretrained_tags_by_model
from torch.utils._python_dispatch import TorchDispatchMode

from pipeline.clip_model import EncoderConfig, files, load_clip_model, load_text_encoder
from pipeline.clip_model.config import is_path
from pipeline.errors import ConfigError, WeightsError
from pipeline.fingerprint import sha256_file
from pipeline.weights import PUBLISHED, WEIGHTS_DIR
from tests.clip_files import load, load_bare, publish, saved, scripted_archive, state
from tests.tiny_clip import tiny_clip, tiny_model
from trainer.prompts import TextTower


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return scripted_archive(tmp_path)


def test_a_fetched_file_that_is_not_the_tags_is_refused(archive, tmp_path, monkeypatch):
    publish(monkeypatch, "openai", url=f"https://openaipublic.azureedge.net/clip/models/{'0' * 64}/Tiny.pt")
    monkeypatch.setenv(WEIGHTS_DIR, str(tmp_path))
    with pytest.raises(
        WeightsError, match=rf"sha256 is {sha256_file(archive)}, {'0' * 64} is needed. Move it away"
    ):
        load("openai")


def test_a_release_of_open_clip_is_checked_by_the_digits_in_its_name(tmp_path, monkeypatch):
    path = saved(tmp_path, state(), "tiny.pt")
    digits = sha256_file(path)[:8]
    address = "https://github.com/mlfoundations/open_clip/releases/download/v0.2-weights/tiny-{}.pt"
    monkeypatch.setenv(WEIGHTS_DIR, str(tmp_path))
    publish(monkeypatch, "laion", url=address.format(digits))
    path.rename(tmp_path / f"tiny-{digits}.pt")
    assert load("laion").visual_sha256 == tiny_clip().visual_sha256
    publish(monkeypatch, "laion", url=address.format("00000000"))
    (tmp_path / f"tiny-{digits}.pt").rename(tmp_path / "tiny-00000000.pt")
    with pytest.raises(WeightsError, match="00000000 is needed"):
        load("laion")


def test_what_weights_fetch_brings_is_what_the_default_tag_loads(tmp_path, monkeypatch):
    entry = PUBLISHED["clip-vit-l-14-openai"]
    default = EncoderConfig()
    assert get_pretrained_cfg(default.name, default.weights)["url"] == entry.address
    monkeypatch.setenv(WEIGHTS_DIR, str(tmp_path))
    (tmp_path / entry.file_name).write_bytes(b"not it")
    with pytest.raises(
        WeightsError, match=f"is not the file of {entry.address}: .* {entry.sha256} is needed"
    ):
        load_clip_model(default)


# Tags, and no network


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No network, no weights on this machine; the Hugging Face hub's cache is the folder returned."""

    def unreachable(*_: object, **__: object) -> None:
        raise urllib.error.URLError(OSError("no route to host"))

    monkeypatch.setattr(files.urllib.request, "urlopen", unreachable)
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(files, "try_to_load_from_cache", lambda r, f: _look_up(tmp_path / "hub", r, f))
    monkeypatch.setenv(WEIGHTS_DIR, str(tmp_path / "weights"))
    return tmp_path / "hub"


def _look_up(folder: Path, repository: str, file: str) -> str | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repository, file, cache_dir=folder)
    return found if isinstance(found, str) else None


def test_without_a_network_the_file_its_address_and_its_place_are_named(alone, tmp_path):
    with pytest.raises(WeightsError) as caught:
        load_clip_model(EncoderConfig())
    entry = PUBLISHED["clip-vit-l-14-openai"]
    message = str(caught.value)
    assert "\n" not in message
    assert "The weights 'openai' of ViT-L-14-quickgelu are not on this machine" in message
    assert "timm/vit_large_patch14_clip_224.openai (no route to host)" in message
    place = tmp_path / "weights" / entry.file_name
    assert f"download {entry.address}. Put it at {place} here and run the same command again" in message
    assert "--encoder ViT-L-14-quickgelu --encoder-weights PATH --set encoder.tag=openai." in message
    assert "--encoder-weights random" in message


@pytest.mark.parametrize("file", ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"])
def test_what_is_advised_without_a_network_gives_the_tags_features(alone, monkeypatch, file):
    """A tag with its own mean, only on the hub: at the place named, and elsewhere with the settings named."""
    publish(monkeypatch, "laion", hf_hub="someone/tiny/", mean=(0.5, 0.5, 0.5), std=(0.25, 0.5, 1.0))
    with pytest.raises(WeightsError) as caught:
        load("laion")
    message = str(caught.value)
    assert f"(or {files.hub_files()[1]}) from https://huggingface.co/someone/tiny. Put it at" in message
    place = Path(message.split("Put it at ")[1].split(" here and run the same command again")[0])
    settings = re.search(r"--encoder (\S+) --encoder-weights PATH --set encoder\.(\w+)=(\w+)\.", message)
    place = place.parent / file
    place.parent.mkdir(parents=True)
    safetensors.torch.save_file(state(), place) if file.endswith("safetensors") else torch.save(
        state(), place
    )
    by_tag = load("laion")
    elsewhere = load_bare(
        place.rename(alone.parent / f"copy{place.suffix}"), settings[1], **{settings[2]: settings[3]}
    )
    for clip in (by_tag, elsewhere):
        assert clip.visual_sha256 == tiny_clip().visual_sha256
        assert (clip.mean, clip.std) == ((0.5, 0.5, 0.5), (0.25, 0.5, 1.0))


def test_an_offline_setting_is_named_and_nothing_is_asked(alone, monkeypatch):
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match=r"\(HF_HUB_OFFLINE is set\)"):
        load_clip_model(EncoderConfig())


@pytest.mark.parametrize("file", ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"])
def test_the_hubs_cache_is_used_without_a_network(alone, monkeypatch, file):
    publish(monkeypatch, "laion", hf_hub="someone/tiny/")
    repository = alone / "models--someone--tiny"
    snapshot = repository / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    if file.endswith("safetensors"):
        safetensors.torch.save_file(state(), snapshot / file)
    else:
        torch.save(state(), snapshot / file)
    assert load("laion").visual_sha256 == tiny_clip().visual_sha256


def test_an_unknown_tag_lists_the_tags():
    with pytest.raises(
        ConfigError,
        match="encoder.weights is 'openia'; allowed for ViT-L-14-quickgelu: openai, .*, random, or the pa",
    ):
        load_clip_model(EncoderConfig(weights="openia"))


def test_a_tag_of_another_encoder_names_that_encoder():
    with pytest.raises(ConfigError, match="It is a tag of ViT-L-14: give --encoder ViT-L-14.$"):
        load_clip_model(EncoderConfig(weights="laion2b_s32b_b82k"))


# Paths


def test_a_missing_file_is_named():
    with pytest.raises(WeightsError, match=r"^No encoder weights at '.*gone.pt'; give a file, a tag of ti"):
        load("/nowhere/gone.pt")


def test_a_path_whose_download_is_unfinished_is_named(tmp_path):
    (tmp_path / "clip.pt.part").write_bytes(b"PK")
    with pytest.raises(WeightsError, match=r"'random'\. 'clip.pt.part' is beside it: finish that download f"):
        load(str(tmp_path / "clip.pt"))


# Tags that do not fit


@pytest.mark.parametrize(
    ("name", "weights", "message"),
    [
        ("ViT-L-14", "openai", "built with GELU; .* trained with QuickGELU .* Use ViT-L-14-quickgelu"),
        ("ViT-B-32", "metaclip_400m", "Use ViT-B-32-quickgelu"),
    ],
)
def test_a_tag_trained_with_another_activation_is_refused(name, weights, message):
    with pytest.raises(ConfigError, match=message):
        load_clip_model(EncoderConfig(name=name, weights=weights))


def test_no_tag_looks_like_a_path():
    tags = {tag for name in open_clip.list_models() for tag in list_pretrained_tags_by_model(name)}
    assert len(tags) > 20
    assert not [tag for tag in tags if is_path(tag)]


# Loading without drawing, and the text encoder alone


class Draws(TorchDispatchMode):
    """Counts the tensors that are filled with random values."""

    num = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.num += func.overloadpacket in (torch.ops.aten.normal_, torch.ops.aten.uniform_)
        return func(*args, **(kwargs or {}))


def test_nothing_is_drawn_that_a_file_replaces(tmp_path):
    path = saved(tmp_path, state())
    with Draws() as draws:
        clip = load(path)
    with Draws() as all_draws:
        load("random")
    assert (draws.num, all_draws.num > 20) == (0, True)
    whole = dict(tiny_clip().model.named_buffers())
    assert all(torch.equal(value, whole[name]) for name, value in clip.model.named_buffers())
    assert (clip.visual_sha256, clip.text_sha256) == (tiny_clip().visual_sha256, tiny_clip().text_sha256)


def test_the_text_encoder_alone_is_that_of_the_whole_model(tmp_path):
    path = saved(tmp_path, state())
    text = load_text_encoder(EncoderConfig(name=tiny_model(), weights=str(path)))
    assert text.text_sha256 == tiny_clip().text_sha256
    assert not hasattr(text.model, "visual")
    one, other = (TextTower(clip, ("sad", "happy"), 3) for clip in (text, tiny_clip()))
    context = torch.randn(3, one.width, generator=torch.Generator().manual_seed(0))
    assert torch.equal(one(context), other(context))


def test_the_text_encoder_alone_needs_a_file_of_the_whole_model(tmp_path):
    short = {name: value for name, value in state().items() if name != "visual.conv1.weight"}
    with pytest.raises(WeightsError, match="1 of its .* are missing, such as visual.conv1.weight"):
        load_text_encoder(EncoderConfig(name=tiny_model(), weights=str(saved(tmp_path, short))))


def test_an_untrained_text_encoder_is_that_of_the_untrained_model():
    config = EncoderConfig(name=tiny_model(), weights="random", seed=3)
    assert load_text_encoder(config).text_sha256 == load_clip_model(config).text_sha256
