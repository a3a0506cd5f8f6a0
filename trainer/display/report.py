"""Terminal and JSON form of a report. Its page is `trainer.report.write_report.page_of`."""

from typing import Any

from pipeline.display.json_values import field_values, to_json_values
from pipeline.display.text import lines
from trainer.ablate.load_results import StoredGrid
from trainer.ablate.result_tables import main_table
from trainer.pages.formatting import spread_text
from trainer.pages.text import table_lines
from trainer.report.grids import grid_title
from trainer.report.groups import Group, apart
from trainer.report.paper import table_1, table_2
from trainer.report.runs import ReportedRun
from trainer.report.scene import ScenePair
from trainer.report.stages import TSNE_SEED, Stages
from trainer.report.write_report import Report


@to_json_values.register
def _(report: Report) -> dict[str, Any]:
    """Return our numbers from 0 to 1, and the paper's in percent, as printed."""
    return {
        **field_values(report, "banners", "split"),
        "groups": [
            to_json_values(group) | {"paper_percent": _paper(group, report.split)} for group in report.groups
        ],
        "settings_apart": list(apart(report.groups)),
        "grids": to_json_values(report.grids),
        "scene": to_json_values(report.pairs),
        "stages": [{"run": str(run_dir), **to_json_values(stages)} for run_dir, stages, _ in report.stages],
    }


def _paper(group: Group, split: str) -> dict[str, Any]:
    tables = {"table_1": table_1, "table_2": table_2} if split == "test" else {}
    found = {name: to_json_values(list(of(group.dataset, group.class_names))) for name, of in tables.items()}
    return {name: rows for name, rows in found.items() if rows}


@to_json_values.register
def _(group: Group) -> dict[str, Any]:
    summary = to_json_values(group.summary)
    if not group.has_mean_of_folds:
        for name in ("mean_of_folds", "over_seeds", "over_seeds_pooled", "pooled"):
            del summary[name]
    return {
        **field_values(group, "label", "name", "dataset", "class_names", "preset", "changes"),
        "precision": group.runs[0].precision,
        **field_values(group, "trained_on", "folds"),
        "folds_of_data_set": group.num_folds_of_dataset,
        "clips_of_several_folds": group.num_shared_clips,
        "summary": summary,
        "runs": to_json_values(group.runs),
    }


@to_json_values.register
def _(run: ReportedRun) -> dict[str, Any]:
    """Return all values except those of single clips."""
    return {
        "run_dir": str(run.run_dir),
        **field_values(run.info),
        **field_values(run, "banners", "config"),
        "precision": {"training": run.precision, "measuring": run.measured_precision},
        "training_set": to_json_values(run.training_set),
        "measured_on": {
            "cache": run.place,
            "fold": run.fold,
            "is_own_fold": run.is_own_fold,
            **field_values(run.meta, "dataset", "fingerprint", "encoder_weights"),
            "packages_of_extraction": to_json_values(run.meta.packages),
            "is_the_training_cache": run.same_cache,
        },
        **field_values(run, "loss", "left_out", "leak", "metrics"),
        "num_epochs": len(run.epochs),
    }


@to_json_values.register
def _(pair: ScenePair) -> dict[str, Any]:
    return {
        "face_run": str(pair.face.run_dir),
        "full_run": str(pair.full.run_dir),
        "fold": pair.full.info.fold,
        "measured_fold": pair.full.fold,
        **field_values(pair, "face_has", "full_has", "verdict", "notes"),
        **to_json_values(pair.found),
    }


@to_json_values.register
def _(stages: Stages) -> dict[str, Any]:
    """Return the parameters of the figure, without its points."""
    return {
        "stages": list(stages.points),
        "clips_drawn": len(stages.label_N),
        "clips": stages.num_clips,
        "perplexity": stages.perplexity,
        "seed": TSNE_SEED,
    }


@lines.register
def _(report: Report) -> list[str]:
    return [
        *(f"!! {banner}" for banner in report.banners),
        *(line for group in report.groups for line in lines(group)),
        *(f"note: {sentence}" for sentence in apart(report.groups)),
        *(f"{pair.full.run_dir} against {pair.face.run_dir}: {pair.verdict}" for pair in report.pairs),
        *(line for grid in report.grids for line in lines(grid)),
        *(f"wrote {path}" for path in report.files),
    ]


@lines.register
def _(group: Group) -> list[str]:
    summary = group.summary
    rows = [(f"fold {fold}", row) for fold, row in summary.by_fold.items()]
    if group.has_mean_of_folds:
        rows.append((f"mean of {len(group.folds)} folds", summary.mean_of_folds))
    return [
        f"{group.dataset}, {group.label}: {group.name}",
        f"  trained on {group.trained_on}; {group.runs[0].precision}",
        *(f"  {what:<16} UAR {spread_text(row['uar'])}  WAR {spread_text(row['war'])}" for what, row in rows),
    ]


@lines.register
def _(grid: StoredGrid) -> list[str]:
    """Return the rows of a sweep over all its runs."""
    return [
        "",
        grid_title(grid),
        *(f"!! {banner}" for banner in grid.result.banners),
        *table_lines(main_table(grid.result)),
    ]
