"""The detector's tensors: read from every wrapping, bounded before they are unpacked, and never run."""

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline import weights
from pipeline.errors import WeightsError


def _tensors() -> dict[str, torch.Tensor]:
    return {"body.weight": torch.arange(6.0).reshape(2, 3), "head.bias": torch.tensor([1, 2])}


def _saved(value: object, **options: Any) -> bytes:
    file = io.BytesIO()
    torch.save(value, file, **options)
    return file.getvalue()


def _zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("modern", [True, False])
@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_are_read_from_every_wrapping(
    tmp_path: Path, modern: bool, prefix: str, zipped: bool
) -> None:
    content = _saved(
        {prefix + key: value for key, value in _tensors().items()}, _use_new_zipfile_serialization=modern
    )
    path = tmp_path / "net.bin"
    if zipped:
        _zip(path, {"net.pth": content})
    else:
        path.write_bytes(content)
    loaded = weights.load_state_dict(path)
    assert list(loaded) == list(_tensors())
    for key, value in _tensors().items():
        torch.testing.assert_close(loaded[key], value, rtol=0, atol=0)


class _Touches:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("wrap", ["plain", "torch", "zip"])
def test_code_in_a_file_is_never_run(tmp_path: Path, wrap: str) -> None:
    proof, path = tmp_path / "was-run", tmp_path / "evil.pth"
    evil = {"weight": _Touches(proof)}
    if wrap == "plain":
        path.write_bytes(pickle.dumps(evil))
    elif wrap == "torch":
        path.write_bytes(_saved(evil))
    else:
        _zip(path, {"net.pth": _saved(evil)})
    with pytest.raises(
        WeightsError, match=r"which may run code and was not run|the pickle in it cannot be read as tensors"
    ):
        weights.load_state_dict(path)
    assert not proof.exists()


def test_a_file_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    bomb = _zip(tmp_path / "bomb.zip", {"net.pth": bytes(1 << 20)})
    assert bomb.stat().st_size < 1 << 12
    with pytest.raises(WeightsError, match=r"holds more than 65536 bytes once unpacked"):
        weights.load_state_dict(bomb, max_bytes=1 << 16)


def test_a_deflated_torch_archive_is_measured_before_it_is_read(tmp_path: Path) -> None:
    plain = zipfile.ZipFile(io.BytesIO(_saved({"zeros": torch.zeros(1 << 18)})))
    packed = _zip(tmp_path / "net.pth", {name: plain.read(name) for name in plain.namelist()})
    assert packed.stat().st_size < 1 << 14
    with pytest.raises(WeightsError, match=r"holds more than 65536 bytes once unpacked"):
        weights.load_state_dict(packed, max_bytes=1 << 16)


@pytest.mark.parametrize("value", [[torch.zeros(1)], {"a": 1}, {1: torch.zeros(1)}])
def test_what_is_no_mapping_of_names_to_tensors_is_refused(tmp_path: Path, value: object) -> None:
    path = tmp_path / "net.pth"
    path.write_bytes(_saved(value))
    with pytest.raises(WeightsError, match=r"holds a (list|dict) that does not map names to tensors"):
        weights.load_state_dict(path)


@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, 0.99])
@pytest.mark.parametrize("modern", [True, False])
def test_a_damaged_file_is_one_known_error(tmp_path: Path, keep: float, modern: bool) -> None:
    content = _saved(_tensors(), _use_new_zipfile_serialization=modern)
    path = tmp_path / "net.pth"
    path.write_bytes(content[: int(keep if keep >= 1 else keep * len(content))])
    with pytest.raises(
        WeightsError,
        match=r"net.pth' (does not hold a state dict: it is damaged|is .*, not a state dict: downl)",
    ):
        weights.load_state_dict(path)


def test_a_zip_of_countless_members_is_refused_before_its_directory_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.weights.limits._MAX_MEMBERS", 10)
    path = _zip(tmp_path / "net.zip", {f"{i}.txt": b"" for i in range(11)})
    with pytest.raises(WeightsError, match=r"net.zip' holds more than 10 members, which no weights have\.$"):
        weights.load_state_dict(path)
    inner = _zip(tmp_path / "outer.zip", {"net.pth": path.read_bytes()})
    with pytest.raises(WeightsError, match=r"outer.zip' holds more than 10 members"):
        weights.load_state_dict(inner)


def test_a_file_beyond_all_measure_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(WeightsError, match=r"net.pth' holds more than 2147483648 bytes once unpacked"):
        weights.load_state_dict(path)


_HUGE = b"\x8a\x06" + (10**12).to_bytes(6, "little")


def _pickle_in_archive(data: bytes) -> bytes:
    """A torch archive of one 4 x 4 tensor with another pickle in it."""
    plain, file = zipfile.ZipFile(io.BytesIO(_saved({"w": torch.zeros(4, 4)}))), io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in plain.namelist():
            archive.writestr(name, data if name.endswith("data.pkl") else plain.read(name))
    return file.getvalue()


def _pickle_of_16() -> bytes:
    plain = zipfile.ZipFile(io.BytesIO(_saved({"w": torch.zeros(4, 4)})))
    return plain.read(next(name for name in plain.namelist() if name.endswith("data.pkl")))


class _Megabytes:
    def __reduce__(self) -> tuple[Any, ...]:
        return bytearray, (1 << 60,)


@pytest.mark.parametrize(
    "content",
    {
        "storage": _pickle_in_archive(_pickle_of_16().replace(b"K\x10tq", _HUGE + b"tq", 1)),
        "shape": _pickle_in_archive(_pickle_of_16().replace(b"K\x04K\x04\x86", 2 * _HUGE + b"\x86", 1)),
        "bytes": _pickle_in_archive(pickle.dumps({"w": _Megabytes()}, protocol=2)),
        "depth": _pickle_in_archive(b"\x80\x02]" + b"\x85" * 200_000 + b"."),
        "old storage": _saved({"w": torch.zeros(4, 4)}, _use_new_zipfile_serialization=False).replace(
            b"K\x10", _HUGE, 1
        ),
    }.values(),
    ids=["storage", "shape", "bytes", "depth", "old storage"],
)
def test_sizes_that_a_pickle_claims_are_not_believed(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "net.pth"
    path.write_bytes(content)
    message = r"net.pth' (does not hold a state|is a pickle of other|holds a tuple that does not map)"
    with pytest.raises(WeightsError, match=message) as caught:
        weights.load_state_dict(path)
    assert len(str(caught.value).splitlines()) == 1
