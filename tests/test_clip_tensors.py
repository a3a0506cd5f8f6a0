"""The tensors of a file: every form that is read, and every file that is refused, unrun and in one line."""

import json
import pickle
import struct
import zipfile
from pathlib import Path

import pytest
import safetensors.torch
import torch

from pipeline.clip_model import sha256_tensors
from pipeline.errors import ConfigError, WeightsError
from pipeline.fingerprint import sha256_file
from pipeline.weights import WEIGHTS_DIR
from tests.clip_files import load, load_bare, publish, saved, scripted_archive, state
from tests.tiny_clip import tiny_clip, tiny_model

REFUSED = r"^'.*' (does not hold|is .*, not) weights of tiny-16-5: [^\n]+$"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return scripted_archive(tmp_path)


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
    with pytest.raises(WeightsError, match=REFUSED):
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
    with pytest.raises(WeightsError, match=REFUSED):
        load(path)
    path.write_bytes(pickle.dumps(Burglar(trace)))
    with pytest.raises(WeightsError, match="which may run code and was not run, not weights of tiny-16-5"):
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
    monkeypatch.setattr("pipeline.clip_model.tensors._BESIDE_BYTES", 0)
    path = saved(tmp_path, state())
    load(path)  # the model's own size is far below the bound
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("weights/data/bomb", bytes(64 << 20))
    assert path.stat().st_size < 4 << 20
    with pytest.raises(WeightsError, match=r"weights.pt' holds more than \d+ bytes once unpacked, too many"):
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
    with pytest.raises(WeightsError, match=REFUSED):
        load(path)


# TorchScript archives, OpenAI's way


def test_an_unknown_archive_is_refused_by_its_hash(archive):
    with pytest.raises(
        WeightsError,
        match=r"^'.*Tiny.pt' is a TorchScript archive, which may run code, and not the one that OpenAI "
        r"published for tiny-16-5 \(sha256 [0-9a-f]{64}, none known is needed\); give a state dict [^\n]+$",
    ):
        load(archive)


def test_the_published_archive_is_read_by_path_and_by_tag(archive, tmp_path, monkeypatch):
    address = f"https://openaipublic.azureedge.net/clip/models/{sha256_file(archive)}/Tiny.pt"
    publish(monkeypatch, "openai", url=address, quick_gelu=True)
    name = tiny_model(quick_gelu=True)
    by_path = load_bare(archive, name)
    monkeypatch.setenv(WEIGHTS_DIR, str(tmp_path))
    by_tag = load("openai", name)
    expected = sha256_tensors({k: v.half() for k, v in state().items() if k.startswith("visual.")})
    assert by_path.visual_sha256 == by_tag.visual_sha256 == expected
    with pytest.raises(
        ConfigError, match="trained with QuickGELU and would give wrong features. Use tiny-16-5-quickgelu."
    ):
        load(archive)
