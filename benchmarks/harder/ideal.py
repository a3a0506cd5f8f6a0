"""A cache of ideal features: every aspect of a clip is a direction of its own, without pixels or encoder.

The face has a direction for its expression and one for its gaze. Each frame of the scene has one for its
object and one for its light, added, so that no feature combines them. Runs on this cache show which
combinations the model learns if every part can be read.
"""

from collections.abc import Hashable
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.harder.design import CACHE, CONFIG, IDEAL, cues_of
from pipeline.datasets.synthetic import PlannedClip, plan_clips
from pipeline.datasets.synthetic.bounds import ASPECTS
from pipeline.store.reader import FeatureCache
from pipeline.store.writer import CacheWriter
from pipeline.types import Floats, Polarity, Split, Status

_CLIP_NOISE, _FRAME_NOISE = 0.5, 0.5
"""Standard deviations of the noise of a clip and of a frame; those of the directions are 1."""


class _Directions:
    """A random direction for every value, drawn when it is first used."""

    def __init__(self, shape: tuple[int, ...], seed: int) -> None:
        self._shape, self._rng = shape, np.random.default_rng(seed)
        self._drawn: dict[Hashable, Floats] = {}

    def __getitem__(self, value: Hashable) -> Floats:
        if value not in self._drawn:
            self._drawn[value] = self._rng.normal(size=self._shape).astype(np.float32)
        return self._drawn[value]


def write_ideal(work: Path) -> None:
    """Write ideal features of the clips of `draw`, with the sizes of its cache."""
    clips = sorted(plan_clips(CONFIG), key=lambda clip: clip.clip_id)
    with FeatureCache.open(work / CACHE) as cache:
        meta = replace(cache.meta, num_clips=len(clips))
    labels = np.array([meta.class_names.index(clip.label) for clip in clips], np.int16)
    n = len(clips)
    names = np.array([clip.clip_id for clip in clips], dtype=object)
    split = {"train": Split.TRAIN, "test": Split.TEST}
    writer = CacheWriter.create(
        work / IDEAL,
        meta,
        {
            "clip_id": names,
            "path": names,
            "face_path": np.full(n, "", dtype=object),
            "start_seconds": np.zeros(n),
            "end_seconds": np.full(n, -1.0),
            "given_boxes_sha256": np.full(n, "", dtype=object),
            "label": labels,
            "polarity": np.array([Polarity[clip.polarity.upper()] for clip in clips], np.int8),
            "membership": np.array([[split[clip.split]] for clip in clips], np.uint8),
            "votes": np.full((n, len(meta.class_names)), np.nan, np.float32),
        },
    )
    rng = np.random.default_rng(0)
    face, scene = _Directions((meta.embed_width,), 1), _Directions((meta.embed_width,), 2)
    early = _Directions((4, 3, meta.encoder_width), 3)
    for start in range(0, n, meta.block_clips):
        rows = writer.empty_rows(start)
        for place, clip in enumerate(clips[start : start + meta.block_clips]):
            seen_TX = _frames(clip, meta.num_frames)
            cues = cues_of(clip)
            face_F = face["expression", ASPECTS["expression"](clip, cues)] + face["gaze", cues.gaze]
            rows["face/embedding"][place, 0] = _noisy(np.repeat(face_F[None], meta.num_frames, axis=0), rng)
            scene_TF = np.stack([sum(scene[value] for value in seen) for seen in seen_TX])
            rows["scene/embedding"][place, 0] = _noisy(scene_TF, rng)
            early_TX = np.stack([sum(early[value] for value in seen) for seen in seen_TX])
            rows["scene/early"][place, 0] = _noisy(early_TX, rng)
        rows["frame_valid"][:] = True
        rows["source_bytes"][:] = 1
        rows["source_sha256"][:] = [f"{start + place:064x}" for place in range(len(rows["status"]))]
        rows["status"] = np.full(len(rows["status"]), Status.DONE, np.uint8)
        writer.write_block(start, rows)


def _frames(clip: PlannedClip, num_frames: int) -> list[list[tuple[str, str]]]:
    """Return what each frame of the scene shows: its light, and its object or none."""
    cues = cues_of(clip)
    shown = []
    for frame in range(num_frames):
        visible = [
            seen.name for seen in cues.objects if seen.during[0] <= frame / num_frames < seen.during[1]
        ]
        shown.append([("light", cues.light), ("object", "".join(visible))])
    return shown


def _noisy(x_TX: Floats, rng: np.random.Generator) -> Floats:
    of_clip = _CLIP_NOISE * rng.normal(size=(1, *x_TX.shape[1:]))
    return np.asarray(x_TX + of_clip + _FRAME_NOISE * rng.normal(size=x_TX.shape), np.float16)
