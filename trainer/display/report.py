"""Terminal and JSON form of a report. Its page is `trainer.report.write_report.page_of`."""

from typing import Any

from pipeline.display.json_values import field_values, to_json_values
from pipeline.display.text import lines
from trainer.ablate.load_results import StoredSweep
from trainer.ablate.result_tables import main_table
from trainer.clips_without_face import without_face_text
from trainer.pages.document import Section, Table
from trainer.pages.formatting import spread_text
from trainer.pages.text import table_lines
from trainer.report.paper import table_1, table_2
from trainer.report.rows import RunRow, apart
from trainer.report.runs import ReportedRun
from trainer.report.scene import ScenePair
from trainer.report.stages import TSNE_SEED, Stages
from trainer.report.sweeps import sweep_title
from trainer.report.write_report import Report
from trainer.run_statistics import Summary


@to_json_values.register
def _(report: Report) -> dict[str, Any]:
    """Return our numbers from 0 to 1, and the paper's in percent, as printed."""
    return {
        **field_values(report, "banners", "split"),
        "groups": [
            to_json_values(run_row) | {"paper_percent": _paper(run_row, report.split)}
            for run_row in report.run_rows
        ],
        "settings_apart": list(apart(report.run_rows)),
        "grids": to_json_values(report.sweeps),
        "results": to_json_values(report.sections),
        "scene": to_json_values(report.pairs),
        "stages": [{"run": str(run_dir), **to_json_values(stages)} for run_dir, stages, _ in report.stages],
    }


def _paper(run_row: RunRow, split: str) -> dict[str, Any]:
    tables = {"table_1": table_1, "table_2": table_2} if split == "test" else {}
    found = {
        name: to_json_values(list(of(run_row.dataset, run_row.class_names))) for name, of in tables.items()
    }
    return {name: rows for name, rows in found.items() if rows}


@to_json_values.register
def _(run_row: RunRow) -> dict[str, Any]:
    summary = to_json_values(run_row.summary)
    if not run_row.has_mean_of_folds:
        for name in ("mean_of_folds", "over_seeds", "over_seeds_pooled", "pooled"):
            del summary[name]
    return {
        **field_values(run_row, "label", "name", "dataset", "class_names", "preset", "changes"),
        "precision": run_row.runs[0].precision,
        **field_values(run_row, "trained_on", "folds"),
        "folds_of_data_set": run_row.num_folds_of_dataset,
        "clips_of_several_folds": run_row.num_shared_clips,
        "summary": summary,
        **_of_some(run_row, "summary_without_doubtful_tracks", run_row.summary_without_doubtful),
        **_of_some(run_row, "summary_with_face", run_row.summary_with_face),
        "runs": to_json_values(run_row.runs),
    }


def _of_some(run_row: RunRow, name: str, some: Summary | None) -> dict[str, Any]:
    """Return the summary of some clips under its name; {} if there is none."""
    if some is None:
        return {}
    return {name: field_values(some, "by_fold", *(["mean_of_folds"] if run_row.has_mean_of(some) else []))}


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
        **field_values(run, "loss", "calibration", "left_out", "leak", "metrics"),
        **({} if run.doubtful_tracks is None else field_values(run, "doubtful_tracks")),
        **({} if run.without_face is None else field_values(run, "without_face")),
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
        *(
            line
            for run_row in report.run_rows
            for line in (*lines(run_row), *_without_face(run_row, report.split))
        ),
        *(f"note: {sentence}" for sentence in apart(report.run_rows)),
        *(f"{pair.full.run_dir} against {pair.face.run_dir}: {pair.verdict}" for pair in report.pairs),
        *(line for sweep in report.sweeps for line in lines(sweep)),
        *(line for section in report.sections for line in _section_lines(section)),
        *(f"wrote {path}" for path in report.files),
    ]


def _section_lines(section: Section) -> list[str]:
    """Return the title and the tables of a section, without its parts."""
    tables = [block for block in section.blocks if isinstance(block, Table)]
    return ["", section.title, *(line for table in tables for line in table_lines(table))]


@lines.register
def _(run_row: RunRow) -> list[str]:
    summary = run_row.summary
    rows = [(f"fold {fold}", row) for fold, row in summary.by_fold.items()]
    if run_row.has_mean_of_folds:
        rows.append((f"mean of {len(run_row.folds)} folds", summary.mean_of_folds))
    return [
        f"{run_row.dataset}, {run_row.label}: {run_row.name}",
        f"  trained on {run_row.trained_on}; {run_row.runs[0].precision}",
        *(f"  {what:<16} UAR {spread_text(row['uar'])}  WAR {spread_text(row['war'])}" for what, row in rows),
    ]


def _without_face(run_row: RunRow, split: str) -> list[str]:
    """Return a line for each fold with clips without a face."""
    texts = {
        fold: without_face_text(*run_row.without_face([fold]), f"{split} clips") for fold in run_row.folds
    }
    return [f"  fold {fold}: {text}" for fold, text in texts.items() if text]


@lines.register
def _(sweep: StoredSweep) -> list[str]:
    """Return the rows of a sweep over all its runs."""
    return [
        "",
        sweep_title(sweep),
        *(f"!! {banner}" for banner in sweep.result.banners),
        *table_lines(main_table(sweep.result)),
    ]
