"""The synthetic set on disk: mp4 files, a manifest, and a table of how each clip was made."""

import csv
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import av

from pipeline.datasets.synthetic.bounds import all_bounds
from pipeline.datasets.synthetic.compose import (
    Foreground,
    Performance,
    draw_frames,
    render_foreground,
    scene_of,
)
from pipeline.datasets.synthetic.plan import (
    PlannedClip,
    SyntheticConfig,
    chance_accuracy,
    face_only_bound,
    plan_clips,
)
from pipeline.errors import DatasetError, FileError
from pipeline.fingerprint import differences
from pipeline.own_dir import OwnDir
from pipeline.scratch import ScratchDirectory
from pipeline.types import Bytes

GENERATOR_VERSION = 1
"""Version of the generator. Increase it if the same config gives other clips than before."""

DESCRIPTION = "synthetic.json"
MANIFEST = "manifest.csv"
TRUTH = "truth.csv"
CLIPS = "clips"
_MAX_DESCRIPTION_BYTES = 1 << 20

_X264 = {
    "preset": "superfast",
    "qp": "10",
    "threads": "1",
    "x264-params": "keyint=1:scenecut=0:aq-mode=0:no-mbtree=1:rc-lookahead=0",
}
"""Every frame is a keyframe, with one fine quantiser. Then the scene does not change one bit of the decoded
face, because a flat region is between them. With predicted frames it changed the face by up to 5 grey
levels, and with quantiser 16 by up to 18."""


def write_synthetic(
    root: Path, config: SyntheticConfig, progress: Callable[[int, int], None] | None = None
) -> None:
    """Write the set into a new directory, completely or not at all. The same config gives the same bytes.

    Args:
        root: The directory. If it already holds the set of this config, it is not changed.
        config: Settings of the set.
        progress: Called with the number of clips written and of all clips.

    Raises:
        DatasetError: The directory holds anything else.
    """
    if root.exists() and _is_complete(root, config):
        return
    root.parent.mkdir(parents=True, exist_ok=True)
    with ScratchDirectory("synthetic", root.parent) as folder:
        building = folder / root.name
        building.mkdir()
        _write_all(building, config, progress or (lambda done, total: None))
        building.replace(root)


def encode_clip(path: Path, frames: Iterable[Bytes], config: SyntheticConfig) -> None:
    """Encode frames as H.264 in an mp4 file. The same frames always give the same bytes.

    Args:
        path: File to write.
        frames: RGB frames, uint8 [H, W, 3].
        config: Gives height, width and frame rate.
    """
    with av.open(str(path), "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=config.fps, options=dict(_X264))
        stream.width, stream.height, stream.pix_fmt = config.width, config.height, "yuv420p"
        stream.codec_context.thread_count = 1
        for rgb in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode(None))


def _write_all(root: Path, config: SyntheticConfig, progress: Callable[[int, int], None]) -> None:
    clips = plan_clips(config)
    (root / CLIPS).mkdir()
    fronts: dict[int, Foreground] = {}
    by_performance = sorted(clips, key=lambda clip: clip.performance)
    for done, clip in enumerate(by_performance):
        if clip.performance not in fronts:
            fronts = {clip.performance: render_foreground(Performance.of(config, clip), config)}
        frames = draw_frames(fronts[clip.performance], scene_of(config, clip), config.fps)
        encode_clip(root / _path_of(clip), frames, config)
        progress(done + 1, len(clips))
    _write_csv(root / MANIFEST, [_manifest_row(clip, config) for clip in clips])
    _write_csv(root / TRUTH, [_truth_row(clip) for clip in clips])
    description = {
        **_identity(config),
        "face_only_bound": face_only_bound(clips),
        "chance": chance_accuracy(clips),
        "clips": {split: sum(clip.split == split for clip in clips) for split in ("train", "test")},
    }
    if config.version == "combined":
        description["bounds"] = all_bounds(clips)
    (root / DESCRIPTION).write_text(json.dumps(description, indent=2) + "\n")


def _identity(config: SyntheticConfig) -> dict[str, Any]:
    return {"format": "ous-synthetic", "generator": GENERATOR_VERSION, "config": config.to_stored()}


def _is_complete(root: Path, config: SyntheticConfig) -> bool:
    """Return whether `root` holds the set of this config; False if empty. Raises DatasetError otherwise."""
    if root.is_dir() and not any(root.iterdir()):
        return False
    try:
        found = json.loads(OwnDir.of(root).read_bytes(DESCRIPTION, _MAX_DESCRIPTION_BYTES))
    except (FileError, ValueError, RecursionError) as error:
        msg = f"'{root}' exists and holds no readable {DESCRIPTION}; name another directory or remove it."
        raise DatasetError(msg) from error
    there = {key: found.get(key) for key in _identity(config)} if isinstance(found, dict) else {}
    other = differences(_identity(config), there)
    if other:
        msg = (
            f"'{root}' holds another synthetic set ({'; '.join(other)}); name another directory or remove it."
        )
        raise DatasetError(msg)
    return True


def _path_of(clip: PlannedClip) -> str:
    return f"{CLIPS}/{clip.clip_id}.mp4"


def _manifest_row(clip: PlannedClip, config: SyntheticConfig) -> dict[str, str]:
    row = {
        "path": _path_of(clip),
        "label": clip.label,
        "split": clip.split,
        "clip_id": clip.clip_id,
        "polarity": clip.polarity,
    }
    if clip.cues is not None:  # the larger of two people may be another one than the subject
        box = Performance.of(config, clip).face_xyxy_px
        row |= {name: f"{value:.2f}" for name, value in zip(("x0", "y0", "x1", "y1"), box, strict=True)}
    return row


def _truth_row(clip: PlannedClip) -> dict[str, str | int]:
    row: dict[str, str | int] = {
        "clip_id": clip.clip_id,
        "ambiguous": int(clip.ambiguous),
        "other_class": clip.other_class,
        "scene": clip.scene,
        "identity": clip.identity,
        "performance": clip.performance,
    }
    if clip.cues is not None:
        seen = (f"{one.name} {one.side} {one.during[0]:g}-{one.during[1]:g}" for one in clip.cues.objects)
        row |= {
            "cue": clip.cues.kind,
            "light": clip.cues.light,
            "objects": "; ".join(seen),
            "gaze": clip.cues.gaze,
            "bystander": other.size if (other := clip.cues.bystander) else "",
            "bystander_class": other.expression if other else "",
            "bystander_side": other.side if other else "",
        }
    return row


def _write_csv(path: Path, rows: Sequence[Mapping[str, str | int]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
