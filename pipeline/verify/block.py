"""Checks of the values of one block of clips: ranges, NaN, frames, boxes, and the values of each status."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.errors import CacheError, counted
from pipeline.store.at_once import all_at_once
from pipeline.store.reader import FeatureCache
from pipeline.store.schema import ArraySpec
from pipeline.types import Absence, Status
from pipeline.verify.report import Finding

Table = Mapping[str, npt.NDArray[Any]]


def check_block(cache: FeatureCache, start: int, table: Table) -> list[Finding]:
    """Check the values of a block of clips. An unreadable chunk is a finding.

    Args:
        cache: Open cache.
        start: First row of the block.
        table: Arrays of the clip table, [N, ...], without those that cannot be read. Each is one chunk, so
            that reading it for every block would take a time quadratic in the number of clips.
    """
    end = min(start + cache.meta.block_clips, cache.meta.num_clips)
    try:
        names = [spec.name for spec in cache.meta.arrays() if spec.name not in table]
        read = all_at_once(cache.place, [partial(cache.read, name, start, end) for name in names])
        rows = {name: array[start:end] for name, array in table.items()}
        rows |= dict(zip(names, read, strict=True))
    except CacheError as error:
        return [Finding(where="chunks", what=str(error))]
    done = np.isin(rows["status"], (Status.DONE, Status.DONE_WITHOUT_FACE))
    findings: list[Finding] = []

    def wrong(name: str, bad: npt.NDArray[Any], trouble: str) -> None:
        hit = bad.reshape(len(bad), -1).any(axis=1)
        if hit.any():
            clip = rows["clip_id"][int(np.argmax(hit))]
            what = f"{trouble} in {counted(int(hit.sum()), 'clip')}, first '{clip}'"
            findings.append(Finding(where=name, what=what))

    for spec in cache.meta.arrays():
        every = not spec.per_block or spec.name == "status"
        _check_values(spec, rows[spec.name], np.ones_like(done) if every else done, wrong)
    _check_frames(rows, done, wrong)
    _check_faces(rows, wrong)
    (_check_no_boxes if cache.meta.takes_crops else _check_boxes)(rows, wrong)
    if cache.meta.follows_everyone:
        _check_people(rows, done, wrong)
    _check_outcomes(rows, done, wrong)
    return findings


_Wrong = Callable[[str, npt.NDArray[Any], str], None]


def _check_values(spec: ArraySpec, value: npt.NDArray[Any], rows: npt.NDArray[Any], wrong: _Wrong) -> None:
    if spec.is_feature or spec.never_nan:
        wrong(spec.name, ~np.isfinite(value) & _along(rows, value), "NaN or infinity")
    if spec.is_feature:
        flat = value.reshape(len(value), -1)
        wrong(spec.name, rows & (flat == 0).all(axis=1), "only zeros")
    if spec.low is not None:
        wrong(spec.name, (value < spec.low) & _along(rows, value), f"a value below {spec.low:g}")
    if spec.high is not None:
        wrong(spec.name, (value > spec.high) & _along(rows, value), f"a value above {spec.high:g}")


def _check_frames(rows: dict[str, npt.NDArray[Any]], done: npt.NDArray[Any], wrong: _Wrong) -> None:
    index, valid = rows["frame_index"], rows["frame_valid"]
    real = valid[..., 1:] & done[:, None, None]
    wrong("frame_index", (np.diff(index, axis=-1) <= 0) & real, "indices that do not increase")
    beyond = index >= rows["num_decoded"][:, None, None]
    wrong("frame_index", beyond & done[:, None, None], "an index beyond the clip's frames")
    wrong("frame_valid", (valid[..., 1:] & ~valid[..., :-1]), "a valid frame after an invalid one")
    wrong("frame_valid", done & ~valid[..., 0].all(axis=1), "no valid frame")
    seconds = rows["frame_seconds"].reshape(len(done), -1)
    known = np.isfinite(seconds).all(axis=1) | np.isnan(seconds).all(axis=1)
    wrong("frame_seconds", done & ~known, "infinity, or NaN on only some frames,")


def _check_boxes(rows: dict[str, npt.NDArray[Any]], wrong: _Wrong) -> None:
    box, status = rows["face_box"], rows["status"]
    with_face = status == Status.DONE
    wrong("face_box", ~np.isfinite(box) & _along(with_face, box), "NaN although the clip has a face")
    height, width = (rows["source_size"][:, i, None, None] for i in (0, 1))
    x0, y0, x1, y1 = np.moveaxis(box, -1, 0)
    with np.errstate(invalid="ignore"):
        inside = (x0 >= 0) & (y0 >= 0) & (x1 <= width) & (y1 <= height) & (x1 > x0) & (y1 > y0)
    wrong("face_box", ~inside & with_face[:, None, None], "a box that is empty or outside the frame")


def _check_no_boxes(rows: dict[str, npt.NDArray[Any]], wrong: _Wrong) -> None:
    wrong("face_box", ~np.isnan(rows["face_box"]), "a box although faces are ready crops")


def _check_faces(rows: dict[str, npt.NDArray[Any]], wrong: _Wrong) -> None:
    status = rows["status"]
    with_face = status == Status.DONE
    found = rows["face_found"].any(axis=(1, 2))
    wrong("face_found", with_face & ~found, "status 1 but no face found")
    wrong("face_found", (status == Status.DONE_WITHOUT_FACE) & found, "status 2 but a face found")


def _check_people(rows: dict[str, npt.NDArray[Any]], done: npt.NDArray[Any], wrong: _Wrong) -> None:
    present = rows["face_absence"] == Absence.NONE
    wrong("face_absence", (present != rows["face_found"]) & done[:, None, None], "not 0 exactly where found")
    wrong("shot", (np.diff(rows["shot"], axis=-1) < 0).any(axis=(1, 2)) & done, "shots that decrease")
    wrong("track_margin", np.isnan(rows["track_margin"]), "NaN")


def _check_outcomes(rows: dict[str, npt.NDArray[Any]], done: npt.NDArray[Any], wrong: _Wrong) -> None:
    failed = rows["status"] == Status.FAILED
    wrong("stage", failed & (rows["stage"] == ""), "failed without a stage")
    wrong("reason", failed & (rows["reason"] == ""), "failed without a reason")
    wrong("source_sha256", done & (rows["source_sha256"] == ""), "no hash of the source")


def _along(rows: npt.NDArray[Any], value: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a mask [N] with as many dimensions as `value`."""
    return rows.reshape(-1, *(1,) * (value.ndim - 1))
