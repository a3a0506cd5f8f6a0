"""People and shots that `predict` finds in clips with a known truth. Nothing is encoded."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.prediction.settings import decoders, planned
from benchmarks.prediction.videos import side_by_side
from benchmarks.tracking.measures import count_tracks, pairings
from benchmarks.tracking.truth import Truth, read_truth
from pipeline.bench.clips import videos_of
from pipeline.process import Models
from pipeline.process.windows import FoundFace, PartDecoder, WindowOptions, WindowReader, scan_source
from pipeline.types import Faces

_SIZE, _RATE = (960, 480), 25
_SHOT_FRAMES = 40
_ONLY_TRACKS = WindowOptions(min_face_px=1e6)
"""No face is large enough for an answer, so that no image is encoded."""


def stand_ins(videos: Path, folder: Path) -> Iterator[tuple[str, Path, Truth]]:
    """Write clips of people side by side, and yield name, path and truth of each.

    Args:
        videos: Directory with recordings of one person each.
        folder: Directory for the clips.
    """
    casts = {
        "two side by side": [["d0", "d3"]] * 2,
        "d6 and d3": [["d6", "d3"]] * 2,
        "three abreast": [["d0", "d3", "d9"]] * 2,
        "swap sides at a cut": [["d0", "d3"], ["d3", "d0"]],
        "four people in one place": [["d0"], ["d3"], ["d9"], ["d6"]],
    }
    for name, cast in casts.items():
        path = folder / f"{name.replace(' ', '_')}.mp4"
        shots = [[videos / f"{person}.mp4" for person in shot] for shot in cast]
        side_by_side(shots, path, _SIZE, num_frames=_SHOT_FRAMES, rate=_RATE)
        yield name, path, _truth(cast)


def _truth(casts: Sequence[Sequence[str]]) -> Truth:
    """Return the truth of a clip of `side_by_side`: each person's part of the frame."""
    people = tuple(sorted({person for cast in casts for person in cast}))
    box_UP4 = np.full((len(casts) * _SHOT_FRAMES, len(people), 4), np.nan, np.float32)
    for shot, cast in enumerate(casts):
        width, frames = _SIZE[0] // len(cast), slice(shot * _SHOT_FRAMES, (shot + 1) * _SHOT_FRAMES)
        for place, person in enumerate(cast):
            box_UP4[frames, people.index(person)] = (place * width, 0, (place + 1) * width, _SIZE[1])
    is_cut_U = np.zeros(len(box_UP4), np.bool_)
    for shot in range(1, len(casts)):
        is_cut_U[shot * _SHOT_FRAMES] = list(casts[shot]) != list(casts[shot - 1])
    return Truth(
        people=people,
        box_UP4=box_UP4,
        visible_UP=~np.isnan(box_UP4).any(axis=2),
        is_cut_U=is_cut_U,
        boxes_are_faces=False,
    )


def cases_of(directory: Path, names: Callable[[str], bool]) -> Iterator[tuple[str, Path, Truth]]:
    """Yield name, path and truth of the clips of a directory with a truth.csv that `names` accepts."""
    videos = [path for path in videos_of(directory) if names(path.name)]
    num_frames = {path.name: scan_source(path, cuts=None).num_frames for path in videos}
    truths = read_truth(directory / "truth.csv", num_frames)
    for path in videos:
        yield path.stem, path, truths[path.name]


def measure_scenes(
    clips: Iterable[tuple[str, Path, Truth]],
    models: Models,
    on_row: Callable[[dict[str, Any]], None] = lambda _: None,
) -> list[dict[str, Any]]:
    """Return for each clip the switches of people and the cuts, found and true.

    Args:
        clips: Name, path and truth of each clip.
        models: The detector.
        on_row: Called with each row.
    """
    rows = []
    with decoders() as decoder:
        for name, path, truth in clips:
            row = {"clip": name, **_measured(path, truth, models, decoder)}
            rows.append(row)
            on_row(row)
    return rows


def _measured(path: Path, truth: Truth, models: Models, decoder: PartDecoder) -> dict[str, Any]:
    scan, plan = planned(path, models.config, decoder)
    reader = WindowReader(path, scan, plan, models, _ONLY_TRACKS, decoder)
    of_frame: dict[int, list[FoundFace]] = defaultdict(list)
    for batch in reader.batches():
        for face in batch.faces:
            of_frame[face.frame].append(face)
    frames = plan.wanted.tolist()
    names = sorted({face.track for found in of_frame.values() for face in found})
    faces = [_faces(of_frame[frame]) for frame in frames]
    ids = [[names.index(face.track) for face in of_frame[frame]] for frame in frames]
    counts = count_tracks(pairings(truth.at(frames), faces, ids))
    shots: dict[str, set[int]] = defaultdict(set)
    for frame, found in of_frame.items():
        for face in found:
            shots[face.track].add(int(truth.shot_U[frame]))
    return {
        "people": len(truth.people),
        "cuts": np.flatnonzero(truth.is_cut_U).tolist(),
        "cuts_found": list(scan.cuts or ()),
        "tracks": len(names),
        "tracks_over_a_cut": sum(len(seen) > 1 for seen in shots.values()),
        "switches_within_shots": _switches_within_shots(truth, frames, faces, ids),
        "boxes": counts.boxes,
        "visible": counts.visible,
        "id_true": counts.id_true,
    }


def _switches_within_shots(
    truth: Truth, frames: Sequence[int], faces: Sequence[Faces], ids: Sequence[Sequence[int]]
) -> int:
    """Return how often a person's track changes within a shot; a new track after a cut is no switch."""
    shot_U = truth.shot_U[list(frames)]
    switches = 0
    for shot in np.unique(shot_U):
        at = np.flatnonzero(shot_U == shot).tolist()
        part = truth.at([frames[place] for place in at])
        paired = pairings(part, [faces[place] for place in at], [ids[place] for place in at])
        switches += count_tracks(paired).switches
    return switches


def _faces(found: Sequence[FoundFace]) -> Faces:
    return Faces(
        box_xyxy_px=np.array([face.box_xyxy_px for face in found], np.float32).reshape(-1, 4),
        score=np.array([face.score for face in found], np.float32),
        landmark_xy_px=np.full((len(found), 5, 2), np.nan, np.float32),
    )
