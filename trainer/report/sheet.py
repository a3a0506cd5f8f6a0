"""Contact sheets of a pair's clips won and lost. The pipeline reads the videos."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.datasets.synthetic import DESCRIPTION
from pipeline.device import choose_device
from pipeline.errors import ClipError, OusError
from pipeline.process import Models, PreparedClip, load_preview_models, prepare_clip
from pipeline.runner import dataset_of
from pipeline.sheet import clip_card, text_card, tile
from pipeline.store.reader import FeatureCache
from pipeline.types import Bytes, ClipRef, DatasetIndex
from pipeline.verify import config_of
from trainer.pages.document import Block, Figure, Text
from trainer.report.scene import ScenePair

_CARD_PX, _COLUMNS = 160, 2
_JPEG_QUALITY = 85
_SEED = 0


@dataclass(frozen=True, kw_only=True)
class _Videos:
    """The clips of a dataset, and the models to show them."""

    index: DatasetIndex
    clips: dict[str, ClipRef]
    models: Models


def decided_sheets(pair: ScenePair, most: int, say: Callable[[str], None]) -> list[Block]:
    """Return a contact sheet of clips won, and one of clips lost.

    Args:
        pair: Two measured runs.
        most: Largest number of clips on a sheet, which are drawn at random.
        say: Shows a line of progress.

    Returns:
        Figures, or a text with the reason if videos or the detector's weights are missing.
    """
    decided = {"won": pair.found.won, "lost": pair.found.lost}
    if not any(decided.values()):
        return []
    try:
        videos = _videos(pair)
    except OusError as error:
        why = f"the clips cannot be read: {error}"
        return [Text(text=f"No contact sheet of the clips won and lost: {why}")]
    blocks: list[Block] = []
    for what, clip_ids in decided.items():
        if clip_ids:
            say(f"drawing clips that the full run has {what}")
            blocks.append(_sheet(pair, what, clip_ids, most, videos))
    return blocks


def _videos(pair: ScenePair) -> _Videos:
    with FeatureCache.open(pair.full.place) as cache:
        index, config = dataset_of(cache), config_of(cache, None, None)
    models = load_preview_models(config, choose_device())
    return _Videos(index=index, clips={clip.clip_id: clip for clip in index.clips}, models=models)


def _sheet(pair: ScenePair, what: str, clip_ids: Sequence[str], most: int, videos: _Videos) -> Block:
    order = np.random.default_rng(_SEED).permutation(len(clip_ids))[:most]
    chosen = [clip_ids[place] for place in sorted(order.tolist())]
    failures: list[str] = []
    cards = [_card(pair, clip_id, videos, failures) for clip_id in chosen]
    title = f"Clips that the full run has {what}"
    if len(failures) == len(cards):
        return Text(text=f"{title}: no contact sheet, because no video can be shown; {failures[0]}")
    drawn = ", drawn at random" if len(chosen) < len(clip_ids) else ""
    return Figure(
        title=title,
        image=_jpeg(tile(cards, _COLUMNS)),
        kind="jpeg",
        alt=f"{len(chosen)} clips, each with its middle frame, its face stream and its scene stream",
        note=f"{len(chosen)} of {len(clip_ids)}{drawn}. Of each: the middle sampled frame, the face stream, "
        f"the scene stream.{_licence(videos.index)}",
    )


def _licence(index: DatasetIndex) -> str:
    """Return a note on the licence of the images; empty for the synthetic set."""
    if (index.root / DESCRIPTION).is_file():
        return ""
    return f" These are images of {index.name}: its licence may forbid sharing this page."


def _card(pair: ScenePair, clip_id: str, videos: _Videos, failures: list[str]) -> Bytes:
    row, names = pair.full.clip_ids.index(clip_id), pair.full.info.class_names
    label, face, full = (
        names[int(of[row])] for of in (pair.full.label_N, pair.face.predicted_N, pair.full.predicted_N)
    )
    caption = f"{clip_id}   {label}; face only: {face}; full: {full}"
    try:
        prepared, rgb_UHWC = _prepared(clip_id, videos)
    except ClipError as error:
        failures.append(f"{clip_id}: {error}")
        return text_card(str(error), caption, _CARD_PX)
    middle = len(rgb_UHWC) // 2
    return clip_card(prepared, rgb_UHWC[middle], middle, caption, _CARD_PX)


def _prepared(clip_id: str, videos: _Videos) -> tuple[PreparedClip, Bytes]:
    if clip_id not in videos.clips:
        raise ClipError("open", f"the dataset at '{videos.index.root}' no longer has it")
    return prepare_clip(videos.index.root, videos.clips[clip_id], videos.models)


def _jpeg(image: Bytes) -> bytes:
    """Return an RGB image [height, width, 3] as JPEG."""
    done, encoded = cv2.imencode(
        ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    )
    if not done:
        msg = f"The sheet of {image.shape} could not be encoded as JPEG."
        raise OusError(msg)
    return bytes(encoded.tobytes())
