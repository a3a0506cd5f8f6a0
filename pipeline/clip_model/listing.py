"""List of every file of weights that this program knows: place, licence, size, sha256 and source.

Licences are published statements, each with its source, read in November 2026. If no licence was found, or
no size or hash is published, the entry is None and is shown as "unknown".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.clip_model.architecture import architecture_of, num_parameters, supported_models
from pipeline.clip_model.files import copy_of
from pipeline.clip_model.tags import kept_at, repository_of, sha256_of, tag_of, tags_of
from pipeline.weights import PUBLISHED, SHA256_DIGITS, PublishedFile, weights_dir

_HUB = "https://huggingface.co"
_FLOAT32_BYTES = 4
_BY_ADDRESS = {
    "openaipublic": ("MIT", "LICENSE of github.com/openai/CLIP"),
    "mlfoundations": ("MIT", "LICENSE of github.com/mlfoundations/open_clip"),
    "400m.pt": ("CC-BY-NC", "README.md of github.com/facebookresearch/MetaCLIP"),
    "fullcc2.5b.pt": ("CC-BY-NC", "README.md of github.com/facebookresearch/MetaCLIP"),
}
"""Part of a file's address -> licence, and its source."""
_BY_REPOSITORY = {
    "apple/DFN2B-CLIP-ViT-B-16": "apple-amlr",
    "apple/DFN5B-CLIP-ViT-H-14-378": "apple-amlr",
    "laion/CLIP-ViT-B-16-CommonPool.L.clip-s1B-b8K": "mit",
    "laion/CLIP-ViT-B-32-CommonPool.M-s128M-b4K": "mit",
    "laion/CLIP-ViT-B-32-CommonPool.M.text-s128M-b4K": "mit",
    "laion/CLIP-ViT-B-32-CommonPool.S.basic-s13M-b4K": "mit",
    "laion/CLIP-ViT-B-32-CommonPool.S.image-s13M-b4K": "mit",
    "laion/CLIP-ViT-B-32-CommonPool.S.laion-s13M-b4K": "mit",
    "laion/CLIP-ViT-B-32-CommonPool.S.text-s13M-b4K": "mit",
    "laion/CLIP-ViT-L-14-DataComp.XL-s13B-b90K": "mit",
    "laion/CLIP-ViT-L-14-laion2B-s32B-b82K": "mit",
    "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k": "mit",
    "laion/CLIP-ViT-g-14-laion2B-s12B-b42K": "mit",
}
"""Repository on the Hugging Face hub -> licence in its model card, for cards that were read."""


@dataclass(frozen=True, kw_only=True)
class KnownFile:
    """File of weights. None is for values that are not published.

    Attributes:
        name: Name for `weights fetch` if that can fetch it, else encoder and tag.
        about: Description, or the options that use it.
        path: Its place, or the place where it is searched.
        is_here: Whether it is on this machine.
        source: Its address.
        licence: Its licence.
        licence_source: Source of the licence.
        sha256: Its hash, or the first digits.
        num_bytes: Size of the file on this machine, or the published size.
        float32_bytes: Bytes of an encoder's tensors in float32, computed from its architecture; a file in
            half precision has half of it.
    """

    name: str
    about: str
    path: Path
    is_here: bool
    source: str | None
    licence: str | None
    licence_source: str | None
    sha256: str | None
    num_bytes: int | None
    float32_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Every file of weights that this program knows."""

    files: tuple[KnownFile, ...]

    @classmethod
    def of_all(cls) -> "Listing":
        """List the files that `weights fetch` knows, and those of every tag of the supported encoders."""
        fetched = tuple(_of_published(entry) for entry in PUBLISHED.values())
        return cls(files=(*fetched, *_of_tags({entry.address for entry in PUBLISHED.values()})))


def _of_published(entry: PublishedFile) -> KnownFile:
    path = weights_dir() / entry.file_name
    return KnownFile(
        name=entry.name,
        about=entry.about,
        path=path,
        is_here=path.is_file(),
        source=entry.address,
        licence=entry.licence,
        licence_source=entry.licence_source,
        sha256=entry.expected,
        num_bytes=_size_of(path) or entry.num_bytes,
    )


def _of_tags(left_out: set[str | None]) -> Iterator[KnownFile]:
    """Yield the files of the tags, except those with an address in `left_out`."""
    for model in supported_models():
        float32_bytes = _FLOAT32_BYTES * num_parameters(architecture_of(model))
        for tag in tags_of(model):
            published = tag_of(model, tag)
            address, repository = published.get("url", ""), repository_of(published)
            if address in left_out:
                continue
            here = copy_of(published)
            licence, licence_source = _licence_of(address, repository)
            sha256 = sha256_of(published)
            yield KnownFile(
                name=f"{model} {tag}",
                about=f"--encoder {model} --encoder-weights {tag}",
                path=here or kept_at(published)[0],
                is_here=here is not None,
                source=address or f"{_HUB}/{repository}",
                licence=licence,
                licence_source=licence_source,
                sha256=sha256 and (sha256 if len(sha256) == SHA256_DIGITS else f"{sha256}...") or None,
                num_bytes=_size_of(here) if here else None,
                float32_bytes=float32_bytes,
            )


def _licence_of(address: str, repository: str) -> tuple[str | None, str | None]:
    for part, stated in _BY_ADDRESS.items():
        if part in address:
            return stated
    if repository in _BY_REPOSITORY:
        return _BY_REPOSITORY[repository], f"model card at {_HUB}/{repository}"
    return None, None


def _size_of(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None
