"""A file that holds no weights is named for what it is, in one printable line with the fix."""

import gzip
import io
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
import safetensors.torch
import torch

from pipeline.errors import WeightsError
from pipeline.weights import load_state_dict
from tests.clip_files import load, state

POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 1710540580\n".encode()


class Evil:
    """A class that is no tensor."""


def pickled(value: object) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


def zipped(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "."), content)
    return file.getvalue()


def tarred() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("weights.bin"))
    return file.getvalue()


def arrays() -> bytes:
    file = io.BytesIO()
    np.savez(file, a=np.zeros(3))
    return file.getvalue()


TENSORS = safetensors.torch.save({"w": torch.zeros(100)})
MODULE = r"is a pickled module \('torch.nn.modules.linear.Linear'.*, not .*state_dict\(\)"
OTHERS = r"is a pickle of other objects than tensors \('.*Evil'\), which may run code and was not run, not"
KINDS = {
    "nothing": (b"", r"is empty \(0 bytes\), not .*: download it again"),
    "pointer": (
        POINTER,
        r"is a Git LFS pointer for a file of 1710540580 bytes, not .*: run `git lfs",
    ),
    "page": (
        b"<!DOCTYPE html><title>403\x1b[1m Forbidden</title>",
        r"is a web page \('403\?\[1m Forbidden'\), not",
    ),
    "late page": (b"\xef\xbb\xbf\r\n <HTML><body>", r"is a web page, not"),
    "words": (b"Entry not found", r"is a text file that begins with 'Entry not found', not"),
    "error": (
        b'{"error": "none"}' + b" " * 99,
        r"is a text file that begins with '\{\"error\": \"none\"\}', not",
    ),
    "module": (
        pickled(torch.nn.Linear(2, 2)),
        MODULE,
    ),
    "old module": (
        pickle.dumps(torch.nn.Linear(2, 2), protocol=2),
        MODULE,
    ),
    "objects": (
        pickled({"a": Evil}),
        r"is a pickle of other objects than tensors \('.*Evil'\), which may run code",
    ),
    "new pickle": (
        pickle.dumps({"a": Evil}),
        r"is a pickle of other objects than tensors \('.*Evil'\), which may run",
    ),
    "cut archive": (
        pickled({"w": torch.zeros(1000)})[:2000],
        r"an archive that was cut short, at 2000 bytes",
    ),
    "cut tensors": (
        TENSORS[:-100],
        rf"is a safetensors file that was cut short: {len(TENSORS) - 100} of {len(TENSORS)} b",
    ),
    "cut header": (
        TENSORS[:30],
        r"is a safetensors file that was cut short: 30 of \d+ bytes, not .*: download it again",
    ),
    "zip": (zipped(a__txt=b"", b__txt=b""), r"is a zip archive of 'a.txt', 'b.txt', not .*: unpack it"),
    "npz": (arrays(), r"is a NumPy archive \(.npz\), not .*PyTorch's form"),
    "keras": (zipped(model__weights__h5=b"", config__json=b""), r"is a Keras model, not"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(100), r"is an HDF5 file, as Keras and TensorFlow write it, not"),
    "onnx": (b"\x08\x08\x12\x07pytorch\x1a\x052.1.0:\x80\x01", r"is an ONNX model, not"),
    "flax": (b"\x84\xablogit_scale\xc7\x00", r"is a MessagePack file, as Flax writes it, not"),
    "tflite": (b"\x1c\0\0\0TFL3" + bytes(90), r"is a TensorFlow Lite model, not"),
    "gzip": (gzip.compress(b"x" * 100), r"is a gzip archive, not .*: unpack it"),
    "tar": (tarred(), r"is a tar archive, not"),
    "noise": (b"\x80\x02" + bytes(range(256)) * 9, r"does not hold .*: it is damaged or cut short"),
}


@pytest.mark.parametrize("suffix", [".bin", ".safetensors"])
@pytest.mark.parametrize("case", KINDS)
def test_a_file_is_named_for_what_it_is(tmp_path, case, suffix):
    content, message = KINDS[case]
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    for read in (load, load_state_dict):
        if read is load_state_dict and TENSORS.startswith(content[:20]) and content:
            continue  # the detector's weights are pickles
        with pytest.raises(WeightsError, match=message) as caught:
            read(path)
        assert str(caught.value).isprintable()
        assert "weights_only" not in str(caught.value)


def test_a_name_tells_what_the_content_does_not(tmp_path):
    for suffix, kind in {".onnx": "an ONNX model", ".pb": "a TensorFlow graph"}.items():
        path = tmp_path / f"model{suffix}"
        path.write_bytes(b"\n\x05\xff" + bytes(100))
        with pytest.raises(WeightsError, match=f"is {kind}, not weights of tiny"):
            load(path)


@pytest.mark.parametrize("name", ["evil\x1b[31m.class\u202e", "\ud800 x" * 50])
def test_what_a_pickle_names_is_shown_short_and_printable(tmp_path, name):
    path = tmp_path / "weights.bin"
    text = name.encode("utf-8", "surrogatepass").replace(b" ", b"_")
    path.write_bytes(b"\x80\x02cos\n" + text + b"\n.")
    with pytest.raises(WeightsError) as caught:
        load(path)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("name", ["weights.bin", "weights.safetensors"])
def test_tensors_are_read_whatever_the_name_ends_with(tmp_path, name, legacy):
    path = tmp_path / name
    if legacy:
        torch.save(state(), tmp_path / "a.bin", _use_new_zipfile_serialization=False)
    else:
        safetensors.torch.save_file(state(), tmp_path / "a.bin")
    (tmp_path / "a.bin").rename(path)
    assert load(path)
