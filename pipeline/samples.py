"""Contact sheet of a dataset: a few clips of each class, with detected faces and both streams."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.config import require_range
from pipeline.errors import ClipError, DatasetError
from pipeline.process import Models, prepare_clip
from pipeline.sheet import clip_card, text_card, tile, write_png
from pipeline.store.people_counts import PeopleCounts
from pipeline.types import DOUBTFUL_NATS, Bytes, ClipRef, DatasetIndex, FaceTrack, Polarity

_CARD_PX = 160
_MOST_CARDS = 200


@dataclass(frozen=True, kw_only=True)
class SampleReport:
    """Contact sheet that was written.

    Attributes:
        path: The PNG file.
        size: Width and height in pixels.
        shown: Ids of its clips.
        failures: Id and reason of each clip that failed.
        without_face: Ids of clips without a detected face.
        people: Numbers of clips with cuts, several people and doubtful tracks; None if the subject alone is
            followed.
    """

    path: Path
    size: tuple[int, int]
    shown: tuple[str, ...]
    failures: tuple[tuple[str, str], ...]
    without_face: tuple[str, ...]
    people: PeopleCounts | None


def choose(index: DatasetIndex, per_class: int, seed: int) -> list[list[ClipRef]]:
    """Choose clips of each class at random.

    If clips are added to one class, the choice in all other classes stays the same.

    Args:
        index: The dataset.
        per_class: Most clips of a class, 1 to 200.
        seed: Seed of the choice.

    Returns:
        A list of clips, in the dataset's order, for each class that has any. Clips without a label are the
        last list.

    Raises:
        ConfigError: `per_class` is out of range.
        DatasetError: More than 200 clips were chosen.
    """
    require_range("--per-class", per_class, 1, _MOST_CARDS)
    chosen = []
    for label in (*range(len(index.class_names)), -1):
        clips = [clip for clip in index.clips if clip.label == label]
        order = np.random.default_rng([seed, label + 1]).permutation(len(clips))[:per_class]
        chosen.append([clips[place] for place in sorted(order.tolist())])
    rows = [row for row in chosen if row]
    if sum(map(len, rows)) > _MOST_CARDS:
        msg = (
            f"--per-class {per_class} of {len(rows)} classes are {sum(map(len, rows))} clips; a sheet has "
            f"at most {_MOST_CARDS}. Choose fewer per class."
        )
        raise DatasetError(msg)
    return rows


def sample(
    index: DatasetIndex,
    models: Models,
    out: Path,
    *,
    per_class: int = 3,
    seed: int = 0,
    on_clip: Callable[[], None],
) -> SampleReport:
    """Write a contact sheet: a row per class, and for each clip the middle sampled frame and its streams.

    A clip that fails is shown as a card with the reason.

    Args:
        index: The dataset.
        models: Detector and settings, from `preview_faces.load`.
        out: PNG file to write.
        per_class: Most clips of a class, 1 to 200.
        seed: Seed of the choice of clips.
        on_clip: Called after each clip.

    Raises:
        DatasetError: More than 200 clips were chosen.
        FileError: The file cannot be written.
    """
    rows = choose(index, per_class, seed)
    columns = max(map(len, rows))
    cards: list[Bytes] = []
    failures: list[tuple[str, str]] = []
    without_face: list[str] = []
    tracks: list[tuple[tuple[int, ...] | None, FaceTrack]] = []
    for row in rows:
        for clip in row:
            caption = _caption(clip, index.class_names)
            try:
                prepared, rgb_UHWC = prepare_clip(index.root, clip, models)
                middle = len(rgb_UHWC) // 2
                cards.append(clip_card(prepared, rgb_UHWC[middle], middle, caption, _CARD_PX))
                tracks.append((prepared.frames.cuts, prepared.track))
                if not prepared.track.has_face:
                    without_face.append(clip.clip_id)
            except ClipError as error:
                failures.append((clip.clip_id, str(error)))
                cards.append(text_card(str(error), caption, _CARD_PX))
            on_clip()
        cards += [text_card("", "", _CARD_PX)] * (columns - len(row))
    sheet = tile(cards, columns)
    write_png(sheet, out)
    return SampleReport(
        path=out,
        size=(sheet.shape[1], sheet.shape[0]),
        shown=tuple(clip.clip_id for row in rows for clip in row),
        failures=tuple(failures),
        without_face=tuple(without_face),
        people=_counts(tracks) if models.config.follows_everyone else None,
    )


def _counts(tracks: Sequence[tuple[tuple[int, ...] | None, FaceTrack]]) -> PeopleCounts:
    return PeopleCounts(
        with_cuts=sum(bool(cuts) for cuts, _ in tracks),
        not_searched=sum(cuts is None for cuts, _ in tracks),
        several_people=sum(track.num_people > 1 for _, track in tracks),
        doubtful=sum(track.margin < DOUBTFUL_NATS for _, track in tracks),
    )


def _caption(clip: ClipRef, class_names: Sequence[str]) -> str:
    label = class_names[clip.label] if clip.label >= 0 else "no label"
    known = "" if clip.polarity is Polarity.UNKNOWN else f" ({clip.polarity.name.lower()})"
    return f"{clip.clip_id}   {label}{known}"
