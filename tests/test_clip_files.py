import json
import pickle
import struct
import urllib.error
import warnings
import zipfile
from pathlib import Path

import open_clip
import pytest
import safetensors.torch
import torch
from huggingface_hub import constants as hub
from open_clip.pretrained import _PRETRAINED, get_pretrained_cfg, list_pretrained_tags_by_model

from pipeline.clip_model import EncoderConfig, LoadedClip, files, load_clip, sha256_tensors
from pipeline.errors import ConfigError, WeightsError
from pipeline.fingerprint import sha256_file
from pipeline.weights import PUBLISHED, WEIGHTS_DIR
from tests.tiny_clip import tiny_clip, tiny_model

OPENAI_MEAN = (0.48145466, 0.4578275, 0.40821073)
OPENAI_STD = (0.26862954, 0.26130258, 0.27577711)


def load(weights: str | Path, name: str | None = None, seed: int = 7) -> LoadedClip:
    return load_clip(EncoderConfig(name=name or tiny_model(), weights=str(weights), seed=seed))


def state() -> dict[str, torch.Tensor]:
    return dict(tiny_clip().model.state_dict())


def saved(folder: Path, content: object, name: str = "weights.pt") -> Path:
    torch.save(content, folder / name)
    return folder / name


@pytest.mark.parametrize(
    "name", ["weights.pt", "weights.pth", "weights.bin", "weights.safetensors", "weights.SAFETENSORS"]
)
def test_hashes_do_not_depend_on_the_files_format(tmp_path, name):
    path = tmp_path / name
    if name.lower().endswith("safetensors"):
        safetensors.torch.save_file(state(), path)
    else:
        torch.save(state(), path)
    loaded = load(path)
    assert loaded.visual_sha256 == tiny_clip().visual_sha256
    assert loaded.text_sha256 == tiny_clip().text_sha256


def test_a_training_checkpoint_of_open_clip_is_read(tmp_path):
    checkpoint = {"epoch": 3, "state_dict": {f"module.{k}": v for k, v in state().items()}}
    assert load(saved(tmp_path, checkpoint)).visual_sha256 == tiny_clip().visual_sha256


def test_a_temperature_of_one_element_is_read(tmp_path):
    tensors = state() | {"logit_scale": state()["logit_scale"].reshape(1)}
    assert load(saved(tmp_path, tensors)).text_sha256 == tiny_clip().text_sha256


# Files that do not fit


def test_a_missing_file_is_named():
    with pytest.raises(
        WeightsError, match=r"^No encoder weights at '.*gone.pt'; give a file, a tag of tiny-16-5,"
    ):
        load("/nowhere/gone.pt")


def test_another_models_weights_are_refused_in_one_line(tmp_path):
    tensors = tiny_clip(patches=14).model.state_dict()
    with pytest.raises(
        WeightsError,
        match=r"does not hold weights of tiny-16-5: 1 have another shape, such as "
        r"visual.positional_embedding with \[197, 32\], not \[257, 32\]\.$",
    ):
        load(saved(tmp_path, tensors))


def test_a_longer_context_is_not_cut_in_silence(tmp_path):
    tensors = state() | {"positional_embedding": torch.zeros(99, 16)}
    with pytest.raises(
        WeightsError, match=r"such as positional_embedding with \[99, 16\], not \[77, 16\]\.$"
    ):
        load(saved(tmp_path, tensors))


def test_missing_and_unknown_tensors_are_counted(tmp_path):
    tensors = state() | {"head.weight": torch.zeros(2)}
    del tensors["visual.proj"]
    with pytest.raises(
        WeightsError,
        match=r"1 of its \d+ tensors are missing, such as visual.proj; 1 are unknown to it, such as head",
    ):
        load(saved(tmp_path, tensors))


@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04 broken"])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_damaged_file_is_refused_in_one_line(tmp_path, content, suffix):
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"^'.*' does not hold weights of tiny-16-5: [^\n]+$"):
        load(path)


@pytest.mark.parametrize("content", [[1, 2], {"a": 1}, {}, {"state_dict": 3}])
def test_a_file_of_something_else_is_refused(tmp_path, content):
    with pytest.raises(WeightsError, match=r"does not map names to plain tensors|tensors are missing"):
        load(saved(tmp_path, content))


class Burglar:
    """A pickle that touches a file when it is loaded."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return (Path.touch, (self.trace,))


def test_a_pickle_with_code_is_refused_without_running_it(tmp_path):
    trace, path = tmp_path / "trace", tmp_path / "weights.pt"
    torch.save({"visual.proj": Burglar(trace)}, path)
    with pytest.raises(WeightsError, match="^'.*' does not hold weights of tiny-16-5: [^\n]+$"):
        load(path)
    path.write_bytes(pickle.dumps(Burglar(trace)))
    with pytest.raises(WeightsError, match="does not hold weights"):
        load(path)
    assert not trace.exists()


@pytest.mark.parametrize(
    "odd", [torch.empty(1, device="meta"), torch.eye(3).to_sparse()], ids=["no storage", "sparse"]
)
def test_tensors_that_do_not_hold_their_numbers_are_refused(tmp_path, odd):
    with pytest.raises(
        WeightsError, match=r"does not map names to plain tensors|does not hold weights of tiny"
    ):
        load(saved(tmp_path, state() | {"visual.proj": odd}))


def test_an_archive_that_unpacks_to_too_much_is_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_BESIDE_BYTES", 0)
    path = saved(tmp_path, state())
    load(path)  # the model's own size is far below the bound
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("weights/data/bomb", bytes(64 << 20))
    assert path.stat().st_size < 4 << 20
    with pytest.raises(WeightsError, match=r"weights.pt' holds more than \d+ bytes once unpacked, too much"):
        load(path)


def header(text: object, length: int | None = None) -> bytes:
    content = text if isinstance(text, bytes) else json.dumps(text).encode()
    return struct.pack("<Q", len(content) if length is None else length) + content + bytes(64)


def tensor(shape: list[int], place: tuple[int, int] = (0, 64), dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": list(place)}


HEADERS = {
    "endless": header(b"{}", 1 << 62),
    "longer than the file": header(b"{}", 90 << 20),
    "huge shape": header({"w": tensor([10**12, 4])}),
    "overflow": header({"w": tensor([1 << 62, 4])}),
    "negative shape": header({"w": tensor([-4, -4])}),
    "outside": header({"w": tensor([4, 4], (64, 128))}),
    "overlap": header({"w": tensor([4, 4]), "v": tensor([4, 4])}),
    "objects": header({"w": tensor([4, 4], dtype="OBJ")}),
    "deep": header(b"[" * 100_000),
    "many": header({str(i): tensor([0], (0, 0), "U8") for i in range(50_000)})[:-64],
    "metadata": header({"__metadata__": {"a": 1}, "w": tensor([4, 4])}),
}


@pytest.mark.parametrize("case", HEADERS)
def test_an_absurd_safetensors_header_is_refused_in_one_line(tmp_path, case):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(HEADERS[case])
    with pytest.raises(WeightsError, match=r"^'.*' does not hold weights of tiny-16-5: [^\n]+$"):
        load(path)


# TorchScript archives, OpenAI's way


class Holder(torch.nn.Module):
    """Named tensors as a module, so that they can be traced into an archive."""

    def __init__(self, tensors: dict[str, torch.Tensor]) -> None:
        super().__init__()
        for name, value in tensors.items():
            module = self
            *way, last = name.split(".")
            for part in way:
                if not hasattr(module, part):
                    module.add_module(part, torch.nn.Module())
                module = getattr(module, part)
            module.register_buffer(last, value)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """The tiny model's weights in half precision, with OpenAI's three further numbers, as TorchScript."""
    tensors = {k: v.half() for k, v in state().items()}
    tensors |= {name: torch.tensor(64) for name in ("input_resolution", "context_length", "vocab_size")}
    path = tmp_path / "Tiny.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(Holder(tensors), torch.zeros(1)).save(str(path))
    return path


def publish(monkeypatch: pytest.MonkeyPatch, tag: str, **cfg: object) -> None:
    """Let open_clip know a tag of the tiny model."""
    monkeypatch.setitem(_PRETRAINED, tiny_model(), {tag: cfg})
    monkeypatch.setitem(_PRETRAINED, tiny_model(quick_gelu=True), {tag: cfg})


def test_an_unknown_archive_is_refused_by_its_hash(archive):
    with pytest.raises(
        WeightsError,
        match=r"^'.*Tiny.pt' is a TorchScript archive, which may run code, and not the one that OpenAI "
        r"published for tiny-16-5 \(sha256 [0-9a-f]{64}, none known is needed\); give a state dict [^\n]+$",
    ):
        load(archive)


def test_the_published_archive_is_read_by_path_and_by_tag(archive, tmp_path, monkeypatch):
    address = f"https://openaipublic.azureedge.net/clip/models/{sha256_file(archive)}/Tiny.pt"
    publish(monkeypatch, "openai", url=address, quick_gelu=True, mean=OPENAI_MEAN, std=OPENAI_STD)
    name = tiny_model(quick_gelu=True)
    by_path = load(archive, name)
    monkeypatch.setenv(WEIGHTS_DIR, str(tmp_path))
    by_tag = load("openai", name)
    expected = sha256_tensors({k: v.half() for k, v in state().items() if k.startswith("visual.")})
    assert by_path.visual_sha256 == by_tag.visual_sha256 == expected
    with pytest.raises(
        ConfigError, match="trained with QuickGELU and would give wrong features. Use tiny-16-5-quickgelu."
    ):
        load(archive)


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
    publish(monkeypatch, "laion", url=address.format(digits), mean=OPENAI_MEAN, std=OPENAI_STD)
    path.rename(tmp_path / f"tiny-{digits}.pt")
    assert load("laion").visual_sha256 == tiny_clip().visual_sha256
    publish(monkeypatch, "laion", url=address.format("00000000"), mean=OPENAI_MEAN, std=OPENAI_STD)
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
        load_clip(default)


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
        load_clip(EncoderConfig())
    entry = PUBLISHED["clip-vit-l-14-openai"]
    message = str(caught.value)
    assert "\n" not in message
    assert "The weights 'openai' of ViT-L-14-quickgelu are not on this machine" in message
    assert "timm/vit_large_patch14_clip_224.openai (no route to host)" in message
    assert f"download {entry.address} and put it at {tmp_path / 'weights' / entry.file_name}" in message
    assert "--encoder-weights PATH" in message
    assert "--encoder-weights random" in message


def test_weights_that_only_the_hub_has_are_named_with_their_repository(alone):
    with pytest.raises(
        WeightsError,
        match="laion/CLIP-ViT-B-32-laion2B-s34B-b79K .* download open_clip_model.safetensors or "
        "open_clip_pytorch_model.bin from there and give it with --encoder-weights PATH",
    ):
        load_clip(EncoderConfig(name="ViT-B-32", weights="laion2b_s34b_b79k"))


def test_an_offline_setting_is_named_and_nothing_is_asked(alone, monkeypatch):
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match=r"\(HF_HUB_OFFLINE is set\)"):
        load_clip(EncoderConfig())


@pytest.mark.parametrize("file", ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"])
def test_the_hubs_cache_is_used_without_a_network(alone, monkeypatch, file):
    publish(monkeypatch, "laion", hf_hub="someone/tiny/", mean=OPENAI_MEAN, std=OPENAI_STD)
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


def test_a_tags_own_mean_and_deviation_are_used(tmp_path, monkeypatch):
    path = saved(tmp_path, state(), "tiny.pt")
    publish(
        monkeypatch, "half", url="https://example.org/tiny.pt", mean=(0.5, 0.5, 0.5), std=(0.25, 0.5, 1.0)
    )
    monkeypatch.setenv(WEIGHTS_DIR, str(tmp_path))
    by_tag, by_path = load("half"), load(path)
    assert (by_tag.mean, by_tag.std) == ((0.5, 0.5, 0.5), (0.25, 0.5, 1.0))
    assert by_path.mean == OPENAI_MEAN


def test_an_unknown_tag_lists_the_tags():
    with pytest.raises(
        ConfigError,
        match="encoder.weights is 'openia'; allowed for ViT-L-14-quickgelu: openai, .*, random, or the path",
    ):
        load_clip(EncoderConfig(weights="openia"))


@pytest.mark.parametrize(
    ("name", "weights", "message"),
    [
        ("ViT-L-14", "openai", "built with GELU; .* trained with QuickGELU .* Use ViT-L-14-quickgelu"),
        ("ViT-B-32", "metaclip_400m", "Use ViT-B-32-quickgelu"),
    ],
)
def test_a_tag_trained_with_another_activation_is_refused(name, weights, message):
    with pytest.raises(ConfigError, match=message):
        load_clip(EncoderConfig(name=name, weights=weights))


def test_no_tag_looks_like_a_path():
    tags = {tag for name in open_clip.list_models() for tag in list_pretrained_tags_by_model(name)}
    assert len(tags) > 20
    assert not [tag for tag in tags if files._is_path(tag)]
