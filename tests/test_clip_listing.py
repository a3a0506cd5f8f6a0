"""`weights list`: every file, with facts that somebody published, and None where nobody did."""

import importlib.metadata

import pytest

from pipeline.clip_model import EncoderConfig
from pipeline.clip_model.architecture import architecture_of, num_parameters, supported_models
from pipeline.clip_model.listing import Listing
from pipeline.clip_model.tags import tags_of
from pipeline.display.json_values import to_json_values
from pipeline.display.text import lines
from pipeline.weights import PUBLISHED
from tests.tiny_clip import small_clip, tiny_clip, tiny_model


@pytest.fixture
def rows(tmp_path, monkeypatch):
    monkeypatch.setenv("OUS_WEIGHTS", str(tmp_path))
    monkeypatch.setattr("pipeline.clip_model.files.try_to_load_from_cache", lambda *_: None)
    return {row["name"]: row for row in to_json_values(Listing.of_all())["weights"]}


def test_every_tag_is_listed_once_by_the_command_that_uses_it(rows):
    tags = [(name, tag) for name in supported_models() for tag in tags_of(name)]
    assert len(rows) == len(PUBLISHED) + len(tags) - 1, "OpenAI's ViT-L/14 can be fetched, and is listed so"
    for row in list(rows.values())[len(PUBLISHED) :]:
        _, name, _, tag = row["about"].split()
        assert EncoderConfig(name=name, weights=tag)
        assert row["name"] == f"{name} {tag}"
        assert row["source"].startswith("https://")


def test_what_is_published_is_shown(rows):
    row = rows["ViT-B-16-quickgelu openai"]
    assert (row["licence"], row["licence_source"]) == ("MIT", "LICENSE of github.com/openai/CLIP")
    assert row["sha256"] == "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f"
    assert rows["ViT-B-16 laion400m_e31"]["sha256"] == "00efa78f..."
    assert rows["ViT-L-14-quickgelu metaclip_400m"]["licence"] == "CC-BY-NC"
    assert rows["ViT-L-14 laion2b_s32b_b82k"]["licence"] == "mit"
    assert rows["ViT-L-14 laion2b_s32b_b82k"]["source"] == (
        "https://huggingface.co/laion/CLIP-ViT-L-14-laion2B-s32B-b82K"
    )


def test_what_is_not_published_is_unknown(rows, tmp_path):
    row = rows["ViT-H-14 metaclip_altogether"]
    assert [row[key] for key in ("licence", "licence_source", "sha256", "num_bytes")] == [None] * 4
    file = next(file for file in Listing.of_all().files if file.name == row["name"])
    assert "licence unknown; size unknown (3944 MB of tensors in float32); sha256 unknown" in lines(file)[1]


def test_the_licence_of_the_detector_is_that_of_its_package(rows):
    assert (
        rows["retinaface-resnet50"]["licence"] == importlib.metadata.metadata("retinaface-pytorch")["License"]
    )


def test_a_file_that_is_here_is_shown_with_its_place_and_size(rows, tmp_path):
    before = rows["ViT-L-14 laion2b_s32b_b82k"]
    assert not before["present"]
    directory = tmp_path / "laion--CLIP-ViT-L-14-laion2B-s32B-b82K"
    assert before["path"] == str(directory / "open_clip_model.safetensors")
    directory.mkdir()
    (directory / "open_clip_pytorch_model.bin").write_bytes(b"four")
    file = next(file for file in Listing.of_all().files if file.name == before["name"])
    assert (file.is_here, file.num_bytes, file.path) == (True, 4, directory / "open_clip_pytorch_model.bin")


@pytest.mark.parametrize("clip", [tiny_clip(), small_clip()], ids=["tiny", "small"])
def test_the_size_in_float32_is_that_of_the_tensors(clip):
    held = sum(value.numel() for value in clip.model.state_dict().values())
    assert num_parameters(architecture_of(clip.config.name)) == held
    assert tiny_model() in supported_models()
