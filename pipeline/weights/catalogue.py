"""The published weight files that this project fetches and checks, and the directory where they are kept.

A file is known by its sha256. Of RetinaFace's ResNet-50 only the first nine hex digits are
published, in the file's name, without a word on what was hashed: torch.hub's habit is the file
itself. They are accepted as the start of the sha256 of the archive or of the .pth that it holds.
Thirty-six bits identify a damaged or another file, not a forged one. Therefore nothing here ever runs
what a file holds: it is read with ``weights_only``.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from pipeline.config import require_one_of

WEIGHTS_DIR = "OUS_WEIGHTS"
SHA256_DIGITS = 64


@dataclass(frozen=True, kw_only=True)
class PublishedFile:
    """One published weight file.

    address: where it can be had; None where no address can be vouched for.
    sha256: all 64 hex digits, or the first ones where only they are published.
    num_bytes: its size, None where it is not published.
    licence: as its authors name it. licence_source: where they do.
    about: what it is. option: the command line option that takes its path. instead: what to do
    without it.
    """

    name: str
    file_name: str
    address: str | None
    sha256: str
    num_bytes: int | None
    licence: str
    licence_source: str
    about: str
    option: str
    instead: str

    @property
    def expected(self) -> str:
        """What the file's sha256 must be, in words."""
        return self.sha256 if len(self.sha256) == SHA256_DIGITS else f"{self.sha256}..."


PUBLISHED = {
    entry.name: entry
    for entry in (
        PublishedFile(
            name="retinaface-resnet50",
            file_name="retinaface_resnet50_2020-07-20-f168fae3c.zip",
            address="https://github.com/ternaus/retinaface/releases/download/0.01/"
            "retinaface_resnet50_2020-07-20-f168fae3c.zip",
            sha256="f168fae3c",
            num_bytes=None,
            licence="MIT",
            licence_source="package metadata of retinaface-pytorch",
            about="RetinaFace with a ResNet-50, as published with retinaface-pytorch",
            option="--detector-weights",
            instead="--detector haar needs no download",
        ),
        PublishedFile(
            name="retinaface-mobilenet0.25",
            file_name="retinaface_mobilenet0.25.pth",
            address=None,
            sha256="2979b33ffafda5d74b6948cd7a5b9a7a62f62b949cef24e95fd15d2883a65220",
            num_bytes=1_789_735,
            licence="MIT",
            licence_source="LICENSE.MIT of github.com/biubug6/Pytorch_Retinaface",
            about="RetinaFace with a MobileNet of width 0.25, the widely used weights",
            option="--detector-weights",
            instead="--detector haar needs no download",
        ),
        PublishedFile(
            name="clip-vit-l-14-openai",
            file_name="ViT-L-14.pt",
            address="https://openaipublic.azureedge.net/clip/models/"
            "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836/ViT-L-14.pt",
            sha256="b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836",
            num_bytes=None,
            licence="MIT",
            licence_source="LICENSE of github.com/openai/CLIP",
            about="CLIP ViT-L/14 by OpenAI, the encoder of the paper",
            option="--encoder-weights",
            instead="--encoder-weights random tries things out without it",
        ),
    )
}


def weights_dir() -> Path:
    """The folder where weight files are kept: $OUS_WEIGHTS, else ~/.cache/ous/weights."""
    named = os.environ.get(WEIGHTS_DIR, "")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "ous" / "weights"


def published(name: str) -> PublishedFile:
    """The entry of that name. Raises ConfigError, naming those there are."""
    require_one_of("The weights' name", name, tuple(PUBLISHED))
    return PUBLISHED[name]
