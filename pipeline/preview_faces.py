"""Preview of detected faces in images and videos."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.config import from_dict
from pipeline.errors import ClipError, ConfigError
from pipeline.pictures import SINGLE_PICTURE_SUFFIXES
from pipeline.process import ExtractConfig, Models, PreparedClip, load_preview_models, prepare_clip
from pipeline.sheet import draw_faces, read_picture, stream_sheet, write_png
from pipeline.types import DOUBTFUL_NATS, Absence, ClipRef, Faces, FrameMeta, Person, Split


@dataclass(frozen=True, kw_only=True)
class Looks:
    """Detected faces in some files.

    Attributes:
        documents: Result of `look` for each file.
        detector: Name of the detector.
        precision: Precision in which the detector ran.
    """

    documents: tuple[dict[str, Any], ...]
    detector: str
    precision: str

    @property
    def has_errors(self) -> bool:
        """Whether any file could not be read."""
        return any(document["error"] for document in self.documents)


def load(settings: Mapping[str, Any], device: torch.device) -> Models:
    """Load the models of a preview.

    Args:
        settings: Sections of `ExtractConfig`.
        device: The device that computes.

    Raises:
        ConfigError: A setting is not allowed, or faces are to come from crops, which previews do not draw.
        WeightsError: Weights are missing or damaged.
    """
    settings = ExtractConfig.from_older_keys(settings)
    if settings.get("faces", {}).get("source") == "crops":
        msg = (
            "Face crops of a dataset cannot be shown here; give a detector instead, such as --detector haar."
        )
        raise ConfigError(msg)
    config = from_dict(ExtractConfig, settings)
    return load_preview_models(config, device)


def look_all(paths: Sequence[Path], models: Models, draw: Path | None) -> Looks:
    """Detect faces in every file, by `look`.

    Args:
        paths: Images and videos.
        models: The models, from `load`.
        draw: Directory for drawings; None for no drawings. Those of files with the same name are numbered.

    Raises:
        ConfigError: The models have no detector.
    """
    detector = models.detector
    names = Counter(path.name for path in paths)
    drawings = [
        f"{path.name}.png" if names[path.name] == 1 else f"{number:03d}_{path.name}.png"
        for number, path in enumerate(paths)
    ]
    pairs = zip(paths, drawings, strict=True)
    return Looks(
        documents=tuple(look(path, models, draw / name if draw else None) for path, name in pairs),
        detector=detector.name,
        precision=detector.precision,
    )


def look(path: Path, models: Models, drawing: Path | None) -> dict[str, Any]:
    """Detect faces in an image or in a video's sampled frames.

    Args:
        path: The image or video.
        models: The detector, from `load`.
        drawing: PNG file to write: an image with its boxes, or the sampled frames of a video with boxes and
            track above the two streams; None for no drawing.

    Returns:
        Plain JSON values. If the file cannot be read, `error` contains the reason.
    """
    document: dict[str, Any] = {"path": str(path), "error": "", "frames": []}
    try:
        if path.suffix.lower() in SINGLE_PICTURE_SUFFIXES:
            picture = read_picture(path)
            (detected,) = models.detector.detect(torch.from_numpy(picture[None]))
            found = detected.above(models.config.detector.score)
            document["frames"] = [_row(found)]
            drawn = draw_faces(picture, found)
        else:
            clip = ClipRef(clip_id=path.name, path=path.name, label=-1, splits=(Split.ABSENT,))
            prepared, rgb_UHWC = prepare_clip(path.parent, clip, models)
            frames = prepared.frames
            document["frames"] = [
                {"index": int(index), "seconds": None if np.isnan(seconds) else float(seconds), **_row(found)}
                for index, seconds, found in zip(
                    frames.index_U, frames.seconds_U, prepared.faces, strict=True
                )
            ]
            document["subject_found"] = int(prepared.track.found.sum())
            document |= _people(prepared)
            document["notes"] = [str(note) for note in frames.notes]
            drawn = stream_sheet(prepared, rgb_UHWC)
    except ClipError as error:
        document["error"] = str(error)
        return document
    if drawing is not None:
        document["drawn"] = str(drawing)
        write_png(drawn, drawing)
    return document


def _people(prepared: PreparedClip) -> dict[str, Any]:
    """Return cuts, people and the certainty of the track; nothing where the subject alone is followed."""
    if not prepared.follows_everyone:
        return {}
    track = prepared.track
    return {
        "cuts": None if prepared.frames.cuts is None else list(prepared.frames.cuts),
        "people": [_person(person, prepared.frames) for person in prepared.people],
        "subject_absence": [Absence(value).name.lower() for value in track.absence_U],
        "track_margin": None if math.isinf(track.margin) else round(track.margin, 2),
        "is_doubtful": track.margin < DOUBTFUL_NATS,
    }


def _person(person: Person, frames: FrameMeta) -> dict[str, Any]:
    """Return a person's number, and the frame number and the box of each detection, by frame."""
    detections = sorted(
        (int(frames.index_U[place]), box.tolist())
        for tracklet in person.tracklets
        for place, box in zip(tracklet.frame_N, tracklet.box_N4, strict=True)
    )
    return {
        "number": person.number,
        "frames": [frame for frame, _ in detections],
        "boxes_xyxy_px": [box for _, box in detections],
    }


def _row(faces: Faces) -> dict[str, Any]:
    return {
        "faces": [
            {
                "box_xyxy_px": [float(value) for value in box],
                "score": float(score),
                "landmark_xy_px": None if np.isnan(points).any() else points.astype(float).tolist(),
            }
            for box, score, points in zip(faces.box_xyxy_px, faces.score, faces.landmark_xy_px, strict=True)
        ]
    }
