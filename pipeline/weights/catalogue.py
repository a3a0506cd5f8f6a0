"""Published weight files that this project fetches and checks, and the directory in which they are stored.

A file is identified by its sha256. For RetinaFace's ResNet-50, only the first nine hex digits are published,
in the file's name, and it is not stated which bytes were hashed; by torch.hub's convention it is the file.
They are accepted as the start of the sha256 of the archive or of the .pth in it. Thirty-six bits detect a
damaged or another file, but not a forged one. Therefore no code in a file is ever run, and it is read with
``weights_only``.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from pipeline.config import require_one_of

WEIGHTS_DIR = "OUS_WEIGHTS"
SHA256_DIGITS = 64


@dataclass(frozen=True, kw_only=True)
class PublishedFile:
    """Published weight file.

    Attributes:
        name: Name for `weights fetch`.
        file_name: Name of the file in the directory of weights.
        address: Its address; None if no address is trusted.
        sha256: All 64 hex digits, or the first ones if only those are published.
        num_bytes: Its size; None if it is not published.
        licence: Licence, as its authors name it.
        licence_source: Source of the licence.
        about: Description.
        option: Command line option for its path.
        instead: Alternative without the file, as a sentence for messages.
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
        """The expected sha256 of the file, for messages."""
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
            instead="For a trial without it, give --encoder-weights random",
        ),
    )
}


def weights_dir() -> Path:
    """Return the directory of weight files: $OUS_WEIGHTS, else ~/.cache/ous/weights."""
    named = os.environ.get(WEIGHTS_DIR, "")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "ous" / "weights"


def published(name: str) -> PublishedFile:
    """Return the entry of a name. Raises ConfigError, with all names, for an unknown one."""
    require_one_of("The weights' name", name, tuple(PUBLISHED))
    return PUBLISHED[name]
