"""Terminal and JSON form of an ensemble."""

from typing import Any

from pipeline.display.json_values import field_values, to_json_values
from pipeline.display.text import lines
from pipeline.errors import counted
from trainer.clips_without_face import without_face_text
from trainer.display.evaluation import metrics_lines
from trainer.pages.formatting import percent, spread_text
from trainer.run_ensemble import EnsembleResult, FoldEnsemble


@to_json_values.register
def _(one: FoldEnsemble) -> dict[str, Any]:
    names = ("fold", "num_calibrated", "ece", "mean_war", "mean_uar", "banners", "metrics")
    without_face = field_values(one, "num_without_face") if one.num_without_face else {}
    return {**field_values(one, *names), **without_face, "runs": [str(path) for path in one.run_dirs]}


@to_json_values.register
def _(result: EnsembleResult) -> dict[str, Any]:
    return field_values(result, "dataset", "split", "banners", "folds", "summary")


@lines.register
def _(result: EnsembleResult) -> list[str]:
    """Return each fold with its metrics, and the gain over the single runs."""
    shown = [f"!! {banner}" for banner in result.banners]
    for one in result.folds:
        clips, runs = counted(one.metrics.num_clips, "clip"), counted(len(one.run_dirs), "run")
        shown += [
            f"{result.dataset}, fold {one.fold}, {result.split} split, mean of {runs}: {clips}; "
            f"{one.metrics.interval_basis}",
            *metrics_lines(one.metrics),
            *([f"  {text}"] if (text := _without_face(one, result.split)) else []),
            f"  {'ECE':<16} {one.ece:8.2%}  {one.num_calibrated} of {runs} have a temperature",
            f"  single runs, mean: WAR {one.mean_war:.2%}, UAR {one.mean_uar:.2%}; the ensemble has "
            f"{_points(one.metrics.war - one.mean_war)} and {_points(one.metrics.uar - one.mean_uar)} points",
        ]
    summary = result.summary
    if summary is not None:
        over = summary.mean_of_folds
        shown.append(
            f"mean of {counted(len(result.folds), 'fold')} ± over folds, percent: WAR "
            f"{spread_text(over['war'])}, UAR {spread_text(over['uar'])}"
        )
        for pooled in summary.pooled.values():
            shown.append(f"clips of all folds pooled: WAR {percent(pooled.war)}, UAR {percent(pooled.uar)}")
    return [*shown, *(f"wrote {path}" for path in result.files)]


def _without_face(one: FoldEnsemble, split: str) -> str:
    return without_face_text(one.num_without_face, one.metrics.num_clips, f"{split} clips")


def _points(gain: float) -> str:
    return f"{100 * gain:+.2f}"
