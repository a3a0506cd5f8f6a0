"""A cache is checked: what it says of itself, every value's range, and a sample computed again."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.config import from_dict, require_range
from pipeline.errors import CacheError, ConfigError, OusError
from pipeline.fingerprint import default_settings
from pipeline.process import (
    STEPS,
    ExtractConfig,
    Tools,
    identity_differences,
    load_tools,
    process_block,
    version_differences,
)
from pipeline.runner import choose_device, dataset_of
from pipeline.store.place import Place
from pipeline.store.reader import FeatureCache
from pipeline.store.rows import fill_row
from pipeline.store.schema import ArraySpec
from pipeline.types import ClipFailed, ClipRef, DatasetIndex, Split, Status

RELATIVE_TOLERANCE = 0.02
"""A recomputed feature may differ from the stored one by this share of the feature's norm: other
hardware and batch sizes sum in another order, in 8-bit mantissas where the encoder runs in bf16."""

_DEFAULT_SAMPLE = 2
_LISTED = 10
_PRECISIONS = ("features.precision:", "detector.precision:")
_COMPARED = ("frame_index", "frame_valid", "face_found", "status")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong. where: array or check. what: the clip or count, and the trouble."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass(frozen=True, kw_only=True)
class Recomputed:
    """The outcome of computing clips again. largest_difference: relative to the feature's norm.

    note: why nothing was computed again, where nothing was.
    """

    clip_ids: tuple[str, ...] = ()
    largest_difference: float = 0.0
    findings: tuple[Finding, ...] = ()
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class VerifyReport:
    """A cache, checked. findings: of the stored values and of the clips computed again."""

    place: Place
    counts: dict[str, int]
    findings: tuple[Finding, ...]
    recomputed: Recomputed
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        return {
            "cache": str(self.place),
            "counts": self.counts,
            "findings": [str(finding) for finding in self.findings],
            "recomputed": list(self.recomputed.clip_ids),
            "largest_difference": self.recomputed.largest_difference,
            "note": self.recomputed.note,
            "warnings": list(self.warnings),
        }

    def lines(self) -> list[str]:
        """For people: the first findings, and what was computed again."""
        again, more = self.recomputed, len(self.findings) - _LISTED
        difference = f"largest difference {again.largest_difference:.2g} of a feature's norm"
        return [
            *(f"!! {warning}" for warning in self.warnings),
            *(f"WRONG  {finding}" for finding in self.findings[:_LISTED]),
            *([f"and {more} more findings; --json lists all"] if more > 0 else []),
            again.note or f"{len(again.clip_ids)} clips computed again, {difference}",
            ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in self.counts.items()),
            f"{self.place}: {f'{len(self.findings)} findings' if self.findings else 'nothing wrong'}",
        ]


def verify(
    cache: FeatureCache,
    count: int | None,
    *,
    root: Path | None = None,
    encoder_weights: str | None = None,
    detector_weights: str | None = None,
    on_block: Callable[[], None] | None = None,
) -> VerifyReport:
    """Check what is stored, and compute a sample of clips again; see the two functions below.

    Damage is a finding, never an error. Raises OusError when `count` insists on clips whose files
    or models are not on this machine, ConfigError when it is negative.
    """
    require_range("--sample", 0 if count is None else count, 0)
    findings = verify_stored(cache, on_block)
    try:
        counts = cache.status_counts()
        again = recompute_sample(
            cache, count, root=root, encoder_weights=encoder_weights, detector_weights=detector_weights
        )
    except CacheError as error:
        counts, again = {}, Recomputed(note=f"NOTHING COMPUTED AGAIN: {error}")
    return VerifyReport(
        place=cache.place,
        counts=counts,
        findings=(*findings, *again.findings),
        recomputed=again,
        warnings=cache.meta.warnings,
    )


def verify_stored(cache: FeatureCache, on_block: Callable[[], None] | None = None) -> list[Finding]:
    """Check counts, ranges, NaN, frames, boxes, membership and duplicates of a cache, block by block."""
    findings = list(_check_fingerprint(cache))
    try:
        findings += _check_clips(cache)
    except CacheError as error:
        findings.append(Finding(where="chunks", what=str(error)))
    for start in range(0, cache.meta.num_clips, cache.meta.block_clips):
        findings += _check_block(cache, start)
        if on_block is not None:
            on_block()
    return findings


def recompute_sample(
    cache: FeatureCache,
    count: int | None,
    *,
    root: Path | None = None,
    encoder_weights: str | None = None,
    detector_weights: str | None = None,
) -> Recomputed:
    """Compute `count` clips again from their files, with the models that the cache names.

    count: None asks for two, and settles for a note where files or models are not on this machine;
    a number insists. root, encoder_weights, detector_weights: where those lie now.
    """
    rows = pick_sample(cache, _DEFAULT_SAMPLE if count is None else count)
    if count != 0 and (found := version_differences(cache.meta.identity)):
        what = f"the algorithms differ: {'; '.join(found)}"
        return Recomputed(findings=(Finding(where="recompute", what=what),))
    if not rows:
        return Recomputed(
            note="NOTHING COMPUTED AGAIN: " + ("not asked for" if count == 0 else "no clip is done")
        )
    try:
        index = dataset_of(cache, root)
        tools = load_tools(config_of(cache, encoder_weights, detector_weights), choose_device())
    except OusError as error:
        if count is not None:
            raise
        return Recomputed(note=f"NOTHING COMPUTED AGAIN: {error}")
    rows = pick_sample(cache, len(rows), among={clip.clip_id for clip in index.clips})
    if not rows:
        where = index.source or index.root
        return Recomputed(
            findings=(
                Finding(where="recompute", what=f"no clip with features is in the data set at '{where}'"),
            )
        )
    other = identity_differences(tools.identity(), cache.meta.identity)
    other = [line for line in other if not line.startswith(_PRECISIONS)]
    if other:
        return Recomputed(
            findings=(Finding(where="recompute", what=f"the models differ: {'; '.join(other)}"),)
        )
    return recompute(cache, index, tools, rows)


def config_of(
    cache: FeatureCache, encoder_weights: str | None, detector_weights: str | None
) -> ExtractConfig:
    """Return the config that the cache was made with, in its precisions where this machine has them.

    A setting that the cache does not have yet takes the default of its algorithm version.
    Raises CacheError for a cache of other algorithm versions, or with settings that are unknown here.
    """
    if found := version_differences(cache.meta.identity):
        msg = (
            f"'{cache.place}' was made by other algorithms: {'; '.join(found)}. Use the program that made "
            "it, or extract again into another --cache."
        )
        raise CacheError(msg)
    sections = [section for section in cache.meta.config if section != "dataset"]
    values = {section: dict(cache.setting(f"config.{section}", dict)) for section in sections}
    values |= {
        section: {**default_settings(kind), **values.get(section, {})} for section, (_, kind) in STEPS.items()
    }
    values |= {section: values.get(section, {}) for section in ("features", "encoder", "detector")}
    made_in = cache.setting("identity.features.precision", str)
    values["features"]["precision"] = (
        "auto" if made_in == "fp16" and choose_device().type == "cpu" else made_in
    )
    values["detector"]["precision"] = cache.setting("identity.detector.precision", str)
    if encoder_weights is not None:
        values["encoder"]["weights"] = encoder_weights
    if detector_weights is not None:
        values["detector"]["weights"] = detector_weights
    try:
        return from_dict(ExtractConfig, values)
    except ConfigError as error:
        msg = (
            f"'{cache.place}' stores settings that are not those of this program: {error} Use the program "
            "that made it, or extract again into another --cache."
        )
        raise CacheError(msg) from error


def pick_sample(
    cache: FeatureCache, count: int, seed: int = 0, *, among: Collection[str] | None = None
) -> list[int]:
    """Rows of `count` clips with features, drawn at random by `seed`; of the ids `among`, if given."""
    rows = cache.done_rows()
    if among is not None:
        rows = rows[[clip_id in among for clip_id in cache.read("clip_id")[rows].tolist()]]
    chosen = np.random.default_rng(seed).permutation(rows)[:count]
    return sorted(chosen.tolist())


def recompute(cache: FeatureCache, index: DatasetIndex, tools: Tools, rows: list[int]) -> Recomputed:
    """Process clips again from their source and compare features, frames and boxes with the cache."""
    by_id = {clip.clip_id: clip for clip in index.clips}
    ids = cache.read("clip_id")[rows].tolist()
    missing = [clip_id for clip_id in ids if clip_id not in by_id]
    findings = [Finding(where="recompute", what=f"clip '{i}' is not in the data set") for i in missing]
    pairs = [(row, by_id[clip_id]) for row, clip_id in zip(rows, ids, strict=True) if clip_id in by_id]
    largest = 0.0
    for row, clip in pairs:
        difference, wrong = _recompute_clip(cache, index.root, tools, row, clip)
        largest = max(largest, difference)
        findings += wrong
    return Recomputed(
        clip_ids=tuple(clip.clip_id for _, clip in pairs),
        largest_difference=largest,
        findings=tuple(findings),
    )


def _recompute_clip(
    cache: FeatureCache, root: Path, tools: Tools, row: int, clip: ClipRef
) -> tuple[float, list[Finding]]:
    (outcome,) = process_block(root, [clip], tools).outcomes
    if isinstance(outcome, ClipFailed):
        what = f"clip '{clip.clip_id}' now fails at {outcome.stage}: {outcome.reason}"
        return 0.0, [Finding(where="recompute", what=what)]
    stored = {
        spec.name: cache.read(spec.name, row, row + 1) for spec in cache.meta.arrays() if spec.per_block
    }
    again = {name: value.copy() for name, value in stored.items()}
    fill_row(again, 0, outcome)
    if stored["source_sha256"][0] != again["source_sha256"][0]:
        what = f"the file of clip '{clip.clip_id}' has changed since extraction (sha256)"
        return 0.0, [Finding(where="recompute", what=what)]
    largest, findings = 0.0, []
    for spec in cache.meta.arrays():
        if spec.is_feature:
            difference = relative_difference(stored[spec.name], again[spec.name])
            largest = max(largest, difference)
            if not difference <= RELATIVE_TOLERANCE:
                what = f"clip '{clip.clip_id}' differs by {difference:.2g} of its norm when computed again"
                findings.append(Finding(where=spec.name, what=what))
        elif spec.name in _COMPARED and (stored[spec.name] != again[spec.name]).any():
            what = f"clip '{clip.clip_id}' comes out otherwise when computed again"
            findings.append(Finding(where=spec.name, what=what))
    return largest, findings


def relative_difference(stored: npt.NDArray[Any], again: npt.NDArray[Any]) -> float:
    """Norm of the difference over norm of the stored value; NaN when either holds a NaN."""
    a, b = stored.astype(np.float64), again.astype(np.float64)
    return float(np.linalg.norm(a - b) / max(float(np.linalg.norm(a)), np.finfo(np.float64).tiny))


def _check_fingerprint(cache: FeatureCache) -> Iterator[Finding]:
    meta = cache.meta
    if not meta.is_identified:
        yield Finding(where="attributes", what="'fingerprint' is not the hash of 'identity'")


def _check_clips(cache: FeatureCache) -> Iterator[Finding]:
    ids = cache.read("clip_id").tolist()
    if len(set(ids)) < len(ids):
        twice = next(one for one, other in pairwise(sorted(ids)) if one == other)
        yield Finding(where="clip_id", what=f"'{twice}' stands there twice")
    label = cache.read("label")
    if (label >= len(cache.meta.class_names)).any():
        first = int(np.argmax(label >= len(cache.meta.class_names)))
        classes = len(cache.meta.class_names)
        yield Finding(
            where="label", what=f"clip '{ids[first]}' has label {label[first]} of {classes} classes"
        )
    membership = cache.read("membership")
    for fold, name in enumerate(cache.meta.fold_names):
        if (membership[:, fold] == Split.ABSENT).all():
            yield Finding(where="membership", what=f"no clip is in fold {name}")
    yield from _check_duplicates(cache, ids, membership)


def _check_duplicates(cache: FeatureCache, ids: list[str], membership: npt.NDArray[Any]) -> Iterator[Finding]:
    """The same file content both in training and in test of a fold is a leak."""
    rows_of: dict[str, list[int]] = defaultdict(list)
    paths = cache.read("path")
    for row, digest in enumerate(cache.read("source_sha256").tolist()):
        if digest:
            rows_of[digest].append(row)
    for rows in rows_of.values():
        if len({paths[row] for row in rows}) < 2:  # noqa: PLR2004 - parts of one file are not duplicates
            continue
        for fold, name in enumerate(cache.meta.fold_names):
            splits = {int(membership[row, fold]) for row in rows}
            if {int(Split.TRAIN), int(Split.TEST)} <= splits:
                named = ", ".join(f"'{ids[row]}'" for row in rows[:3])
                what = f"clips {named} are one file's content, in training and in test of fold {name}"
                yield Finding(where="source_sha256", what=what)


def _check_block(cache: FeatureCache, start: int) -> list[Finding]:
    end = min(start + cache.meta.block_clips, cache.meta.num_clips)
    try:
        rows = {spec.name: cache.read(spec.name, start, end) for spec in cache.meta.arrays()}
    except CacheError as error:
        return [Finding(where="chunks", what=str(error))]
    done = np.isin(rows["status"], (Status.DONE, Status.DONE_WITHOUT_FACE))
    findings: list[Finding] = []

    def wrong(name: str, bad: npt.NDArray[Any], trouble: str) -> None:
        hit = bad.reshape(len(bad), -1).any(axis=1)
        if hit.any():
            clip = rows["clip_id"][int(np.argmax(hit))]
            findings.append(Finding(where=name, what=f"{trouble} in {int(hit.sum())} clips, first '{clip}'"))

    for spec in cache.meta.arrays():
        every = not spec.per_block or spec.name == "status"
        _check_values(spec, rows[spec.name], np.ones_like(done) if every else done, wrong)
    _check_frames(rows, done, wrong)
    _check_faces(rows, wrong)
    (_check_no_boxes if cache.meta.takes_crops else _check_boxes)(rows, wrong)
    _check_outcomes(rows, done, wrong)
    return findings


_Wrong = Callable[[str, npt.NDArray[Any], str], None]


def _check_values(spec: ArraySpec, value: npt.NDArray[Any], rows: npt.NDArray[Any], wrong: _Wrong) -> None:
    if spec.is_feature:
        wrong(spec.name, ~np.isfinite(value) & _along(rows, value), "NaN or infinity")
    if spec.is_feature:
        flat = value.reshape(len(value), -1)
        wrong(spec.name, rows & (flat == 0).all(axis=1), "nothing but zeros")
    if spec.low is not None:
        wrong(spec.name, (value < spec.low) & _along(rows, value), f"a value below {spec.low:g}")
    if spec.high is not None:
        wrong(spec.name, (value > spec.high) & _along(rows, value), f"a value above {spec.high:g}")


def _check_frames(rows: dict[str, npt.NDArray[Any]], done: npt.NDArray[Any], wrong: _Wrong) -> None:
    index, valid = rows["frame_index"], rows["frame_valid"]
    real = valid[..., 1:] & done[:, None, None]
    wrong("frame_index", (np.diff(index, axis=-1) <= 0) & real, "indices that do not rise")
    beyond = index >= rows["num_decoded"][:, None, None]
    wrong("frame_index", beyond & done[:, None, None], "an index beyond the clip's frames")
    wrong("frame_valid", (valid[..., 1:] & ~valid[..., :-1]), "a valid frame after an invalid one")
    wrong("frame_valid", done & ~valid[..., 0].all(axis=1), "no valid frame")
    seconds = rows["frame_seconds"].reshape(len(done), -1)
    known = np.isfinite(seconds).all(axis=1) | np.isnan(seconds).all(axis=1)
    wrong("frame_seconds", done & ~known, "infinity, or NaN on some frames alone,")


def _check_boxes(rows: dict[str, npt.NDArray[Any]], wrong: _Wrong) -> None:
    box, status = rows["face_box"], rows["status"]
    with_face = status == Status.DONE
    wrong("face_box", ~np.isfinite(box) & _along(with_face, box), "NaN though the clip has a face")
    height, width = (rows["source_size"][:, i, None, None] for i in (0, 1))
    x0, y0, x1, y1 = np.moveaxis(box, -1, 0)
    with np.errstate(invalid="ignore"):
        inside = (x0 >= 0) & (y0 >= 0) & (x1 <= width) & (y1 <= height) & (x1 > x0) & (y1 > y0)
    wrong("face_box", ~inside & with_face[:, None, None], "a box that is empty or outside the picture")


def _check_no_boxes(rows: dict[str, npt.NDArray[Any]], wrong: _Wrong) -> None:
    wrong("face_box", ~np.isnan(rows["face_box"]), "a box though faces are ready crops")


def _check_faces(rows: dict[str, npt.NDArray[Any]], wrong: _Wrong) -> None:
    status = rows["status"]
    with_face = status == Status.DONE
    found = rows["face_found"].any(axis=(1, 2))
    wrong("face_found", with_face & ~found, "status 1 but no face found")
    wrong("face_found", (status == Status.DONE_WITHOUT_FACE) & found, "status 2 but a face found")


def _check_outcomes(rows: dict[str, npt.NDArray[Any]], done: npt.NDArray[Any], wrong: _Wrong) -> None:
    failed = rows["status"] == Status.FAILED
    wrong("stage", failed & (rows["stage"] == ""), "failed without a stage")
    wrong("reason", failed & (rows["reason"] == ""), "failed without a reason")
    wrong("source_sha256", done & (rows["source_sha256"] == ""), "no hash of the source")


def _along(rows: npt.NDArray[Any], value: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A per-clip mask with as many dimensions as `value`."""
    return rows.reshape(-1, *(1,) * (value.ndim - 1))
