"""Terminal and JSON form of the metrics of a split."""

from typing import Any

from pipeline.display.json_values import field_values, to_json_values
from pipeline.display.text import lines
from pipeline.errors import counted, printable
from trainer.calibration import Calibration
from trainer.clips_without_face import ClipsWithoutFace, without_face_text
from trainer.doubtful_tracks import DoubtfulTracks
from trainer.evaluation import EvalResult
from trainer.intervals import Interval
from trainer.leaks import Leak
from trainer.metrics import Metrics
from trainer.training_set import TrainingSet


@to_json_values.register
def _(metrics: Metrics) -> dict[str, Any]:
    names, intervals, groups = metrics.class_names, metrics.intervals, metrics.counted_groups
    return {
        **field_values(metrics, "class_names", "confusion", "num_clips", "war"),
        "war_interval_95": to_json_values(intervals.war),
        "uar": metrics.uar,
        "uar_interval_95": to_json_values(intervals.uar),
        "recall": dict(zip(names, metrics.recalls, strict=True)),
        "recall_interval_95": dict(zip(names, to_json_values(intervals.recalls), strict=True)),
        "interval_method": metrics.interval_method,
        "num_groups": None if groups is None else len(groups.number_G),
    }


@to_json_values.register
def _(leak: Leak) -> dict[str, Any]:
    return {
        "clips": to_json_values(leak.clip_ids),
        "seen": to_json_values(leak.pairs),
        "in_official_splits": to_json_values(leak.reported),
    }


@to_json_values.register
def _(training_set: TrainingSet) -> dict[str, Any]:
    values = field_values(training_set)
    values.pop("added_clips")  # `added` in words
    return values | {"num_more_now": values.pop("num_more")}


@to_json_values.register
def _(result: EvalResult) -> dict[str, Any]:
    info = result.info
    return {
        "split": result.split,
        "fold": info.fold,
        "seed": info.seed,
        "dataset": result.dataset,
        "measured_fold": result.fold,
        "measured_cache": str(result.place),
        **field_values(result, "is_own_fold", "training_set"),
        "precision": {"training": info.precision or None, "measuring": result.precision},
        **field_values(info, "selection", "selected_by", "best_epoch", "random_weights"),
        **field_values(result, "banners", "same_cache"),
        "cache_fingerprint": info.cache_fingerprint,
        "clips_sha256": result.clips_sha256,
        **field_values(result, "loss", "calibration", "left_out", "leak"),
        **(
            {}
            if result.class_map is None
            else {"classes": dict(result.class_map.pairs), "shared_classes": result.shared_classes}
        ),
        **to_json_values(result.metrics),
        **({} if result.doubtful_tracks is None else field_values(result, "doubtful_tracks")),
        **({} if result.without_face is None else field_values(result, "without_face")),
    }


@lines.register
def _(result: EvalResult) -> list[str]:
    metrics = result.metrics
    return [
        *(f"!! {banner}" for banner in result.banners),
        f"{result.title}: {counted(metrics.num_clips, 'clip')}; {metrics.interval_basis}",
        *metrics_lines(metrics),
        _calibration_line(result.calibration),
        *_without_doubtful(result.doubtful_tracks),
        *_with_face(result.without_face, result.split),
        *(f"  left out: {count} {why}" for why, count in result.left_out.items() if count),
        *(f"  note: {note}" for note in result.leak.notes),
        f"  trained on {result.training_set}",
        *(
            []
            if result.same_cache
            else [f"  measured on another cache than it was trained on: {result.place}"]
        ),
        *([] if result.class_map is None else [f"  classes of this cache: {result.class_map}"]),
        *(["  answers: only classes that this cache has"] if result.shared_classes else []),
        *(f"wrote {path}" for path in result.files),
    ]


def metrics_lines(metrics: Metrics) -> list[str]:
    """Return a line for WAR, for UAR and for the recall of each class, with their intervals."""
    support = metrics.confusion.sum(axis=1)
    recalls = zip(metrics.class_names, metrics.recalls, metrics.intervals.recalls, support, strict=True)
    return [
        *_rates(metrics),
        *(
            f"  {name:<16} {'no clips':>8}"
            if recall is None
            else f"  {name:<16} {recall:8.2%}  {_shown(interval)}, {counted(int(count), 'clip')}"
            for name, recall, interval, count in recalls
        ),
    ]


def _rates(metrics: Metrics) -> list[str]:
    rates = (("WAR", metrics.war, metrics.intervals.war), ("UAR", metrics.uar, metrics.intervals.uar))
    return [f"  {name:<16} {value:8.2%}  {_shown(interval)}" for name, value, interval in rates]


def _calibration_line(found: Calibration) -> str:
    if found.temperature is None or found.ece_calibrated is None:
        why = f"no temperature: {printable(found.reason)}" if found.reason else "no temperature is recorded"
    else:
        why = f"{found.ece_calibrated:.2%} with the run's temperature, {found.temperature:.3g}"
    return f"  {'ECE':<16} {found.ece:8.2%}  {why}"


def _without_doubtful(found: DoubtfulTracks | None) -> list[str]:
    """Return WAR and UAR without doubtful tracks, under a line with their number; [] without any."""
    if found is None:
        return []
    counts = f"  doubtful face tracks, which may be of another person: {found} clips"
    if found.without is None:
        return [f"{counts}; no clips are left without them"]
    return [f"{counts}; without them:", *(f"  {line}" for line in _rates(found.without))]


def _with_face(found: ClipsWithoutFace | None, split: str) -> list[str]:
    """Return WAR and UAR of the clips with a face, under a line on the others; [] if there are no others."""
    if found is None:
        return []
    text = f"  {without_face_text(found.num_without_face, found.num_clips, f'{split} clips')}"
    if found.with_face is None:
        return [f"{text}; no clip has a face"]
    return [f"{text}; clips with a face:", *(f"  {line}" for line in _rates(found.with_face))]


def _shown(interval: Interval | None) -> str:
    if interval is None:
        return "no interval, one group"
    return f"95% {interval[0]:.2%} to {interval[1]:.2%}"
