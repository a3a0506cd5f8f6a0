"""File of a CLIP model's weights: a path or directory, a tag's copy on this machine, or a download."""

import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import constants as hub
from huggingface_hub import try_to_load_from_cache

from pipeline.clip_model.config import EncoderConfig
from pipeline.clip_model.directory import find_in_directory
from pipeline.clip_model.tags import hub_files, kept_at, repository_of, sha256_of, tag_of
from pipeline.errors import WeightsError, first_line
from pipeline.fingerprint import sha256_file
from pipeline.store.meta import RANDOM_WEIGHTS
from pipeline.weights import unfinished_beside

_TIMEOUT_SECONDS = 10.0


def find(config: EncoderConfig) -> Path:
    """Return the file of the weights on this machine; if it is missing, open_clip downloads it.

    A tag's file is searched in the directory of weights, then in the cache of the Hugging Face hub.

    Raises WeightsError, with its address and its place, if it is not available.
    """
    return _given(config) if config.is_path else _of_tag(config.name, config.weights)


def is_here(config: EncoderConfig) -> bool:
    """Return whether the model's weights are on this machine; nothing is read, checked or downloaded.

    Random weights need no file. Raises ConfigError for an unknown tag.
    """
    if config.weights == RANDOM_WEIGHTS:
        return True
    if config.is_path:
        return Path(config.weights).expanduser().exists()
    return copy_of(tag_of(config.name, config.weights)) is not None


def _given(config: EncoderConfig) -> Path:
    path = Path(config.weights).expanduser()
    if path.is_dir():
        return find_in_directory(path)
    if not path.is_file():
        kept = unfinished_beside(path)
        unfinished = f" '{kept.name}' is beside it: finish that download first." if kept else ""
        msg = f"No encoder weights at '{path}'; give a file, a tag of {config.name}, or 'random'.{unfinished}"
        raise WeightsError(msg)
    return path


def _of_tag(name: str, tag: str) -> Path:
    published = tag_of(name, tag)
    here = copy_of(published)
    if here is None:
        return _downloaded(name, tag, published)
    _refuse_other_file(here, published)
    return here


def copy_of(published: Mapping[str, Any]) -> Path | None:
    """Return the copy of a tag's file on this machine, without network access; None if there is none."""
    return next((place for place in kept_at(published) if place.is_file()), None) or _cached(published)


def _refuse_other_file(path: Path, published: Mapping[str, Any]) -> None:
    expected, address = sha256_of(published), published.get("url", "")
    if not expected or path.name != Path(address).name:
        return
    actual = sha256_file(path)
    if not actual.startswith(expected):
        msg = (
            f"'{path}' is not the file of {address}: its sha256 is {actual}, {expected} is needed. "
            "Move it away and download it again."
        )
        raise WeightsError(msg)


def _cached(published: Mapping[str, Any]) -> Path | None:
    """Return the tag's file in the cache of the Hugging Face hub, without network access."""
    repository = repository_of(published)
    for file in hub_files() if repository else ():
        found = try_to_load_from_cache(repository, file)
        if isinstance(found, str):
            return Path(found)
    return None


def _downloaded(name: str, tag: str, published: Mapping[str, Any]) -> Path:
    repository, address = repository_of(published), published.get("url", "")
    source = f"{hub.ENDPOINT}/{repository}" if repository else address
    try:
        _reach(hub.ENDPOINT if repository else address)
        from open_clip.pretrained import download_pretrained

        file: str = download_pretrained(published)
    except Exception as error:  # noqa: BLE001 - every way a download fails has one remedy
        place = kept_at(published)[0]
        wanted = address or f"{place.name} (or {hub_files()[1]}) from {source}"
        msg = (
            f"The weights '{tag}' of {name} are not on this machine and could not be downloaded from "
            f"{source} ({first_line(error)}). Where there is internet, download {wanted}. Put it at {place} "
            "here and run the same command again; or, with extract, put it anywhere and give --encoder "
            f"{name} --encoder-weights PATH --set encoder.tag={tag}. "
            "For a trial without weights, give --encoder-weights random."
        )
        raise WeightsError(msg) from error
    return Path(file)


def _reach(address: str) -> None:
    """Raise OSError if the server cannot be reached, because the hub's client would try for a minute."""
    if hub.HF_HUB_OFFLINE:
        msg = "HF_HUB_OFFLINE is set"
        raise OSError(msg)
    try:
        request = urllib.request.Request(address, method="HEAD")
        urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS).close()
    except urllib.error.HTTPError:
        return  # the server answers
    except urllib.error.URLError as error:
        if not isinstance(error.reason, ssl.SSLError):  # the client may have more certificates
            raise OSError(str(error.reason)) from error
