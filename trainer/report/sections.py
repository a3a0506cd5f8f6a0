"""Groups of runs -> sections of the page: results by dataset, single runs, origin of the numbers."""

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from io import BytesIO
from pathlib import Path

from pipeline.errors import counted, printable
from pipeline.store.meta import CacheMeta
from trainer import plots
from trainer.metrics import Metrics
from trainer.pages.banners import counted_banners
from trainer.pages.document import Block, Figure, Items, Section, Table, Text
from trainer.pages.formatting import NONE, interval_text, percent
from trainer.report.rows import RunRow, apart
from trainer.report.runs import ReportedRun
from trainer.report.stages import TSNE_SEED, Stages
from trainer.report.tables import result_blocks
from trainer.training_set import left_out_text

_PACKAGES = ("numpy", "scipy", "torch", "zarr")
_ECE = (
    "Mean distance between the largest probability and the share of right answers, over 15 bins of equal "
    "width (Guo et al. 2017). The temperature divides the logits; it was fitted on validation clips."
)


def banners_of(warnings: Sequence[tuple[Path, Sequence[str]]], split: str) -> tuple[str, ...]:
    """Return each warning once, with its number of runs.

    `warnings` are those of each run, by run directory; equal directories are one run.
    """
    by_run: dict[Path, list[str]] = {}
    for run_dir, banners in warnings:
        by_run.setdefault(run_dir.resolve(), []).extend(banners)
    counted_lines = list(counted_banners(list(by_run.values())))
    if split != "test":
        counted_lines.append(f"MEASURED ON THE {split.upper()} SPLIT: no held-out test clips")
    return tuple(sorted(counted_lines, key=lambda banner: not banner.startswith("RANDOM")))


def result_sections(run_rows: Sequence[RunRow], split: str) -> list[Section]:
    """Return a section with tables for each dataset."""
    by_dataset: dict[tuple[str, tuple[str, ...]], list[RunRow]] = {}
    for run_row in run_rows:
        by_dataset.setdefault((run_row.dataset, run_row.class_names), []).append(run_row)
    return [
        Section(title=f"Results on {dataset}, {split} split", blocks=result_blocks(members, split))
        for (dataset, _), members in by_dataset.items()
    ]


def run_sections(run_rows: Sequence[RunRow]) -> list[Section]:
    """Return the sections of single runs: calibration, recalls with intervals, confusion matrix, curves."""
    return [
        Section(
            title=f"{_capital(run_row.label)} on {run_row.dataset}, run by run",
            blocks=[_calibration(run_row)],
            parts=[
                Section(title=_title(run), blocks=_run_blocks(run, run_row.label)) for run in run_row.runs
            ],
        )
        for run_row in run_rows
    ]


def stages_section(figures: Sequence[Figure]) -> Section:
    """Return the section with Fig. 4 of some runs."""
    return Section(title="Features at four stages", blocks=figures)


def stages_figure(
    stages: Stages, title: str, run_dir: Path, class_names: tuple[str, ...], banners: Sequence[str]
) -> Figure:
    """Draw Fig. 4 of a run.

    Args:
        stages: Features of the run in the plane.
        title: Name of the run in the tables.
        run_dir: Directory of the run, for the note.
        class_names: Names in the order of the labels.
        banners: Warnings above the figure.
    """
    image = BytesIO()
    plots.plot_stages(stages.points, stages.label_N, class_names, image, title=title, banners=banners)
    num = len(stages.label_N)
    num_stages = {3: "three", 4: "four"}[len(stages.points)]
    is_part = num < stages.num_clips
    drawn = f"{num:,} of {stages.num_clips:,} clips, drawn at random" if is_part else "all clips"
    return Figure(
        title=f"Features at {num_stages} stages, {title} (Fig. 4)",
        image=image.getvalue(),
        alt=f"t-SNE of {num} clips: {'; '.join(stages.points)}; coloured by class",
        note=f"Run '{run_dir}'. t-SNE of {drawn}; perplexity {stages.perplexity:g}, seed {TSNE_SEED}, "
        "features of length 1. Only neighbourhoods can be interpreted, not sizes of clusters or distances "
        "between them.",
    )


def origin_section(run_rows: Sequence[RunRow], sweep_origins: Sequence[Section]) -> Section:
    """Return the origin of all numbers: settings, runs, caches, versions. sweep_origins: those of sweeps."""
    parts = [
        Section(title=f"{_capital(run_row.label)} on {run_row.dataset}", blocks=_origin_blocks(run_row))
        for run_row in run_rows
    ]
    report = {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}
    return Section(
        title="Origin of the numbers",
        blocks=[Items(items=[_versions("This report", report)])],
        parts=[*parts, *sweep_origins],
    )


def settings_section(run_rows: Sequence[RunRow]) -> Section:
    """Return the settings of the rows of the tables."""
    items = [
        f"{run_row.label}: {run_row.dataset}, {_setting(run_row)} ({counted(len(run_row.runs), 'run')}); "
        f"trained on {run_row.trained_on}; {run_row.runs[0].precision}"
        for run_row in run_rows
    ]
    return Section(
        title="Settings", blocks=[Items(items=items), *(Text(text=text) for text in apart(run_rows))]
    )


def _setting(run_row: RunRow) -> str:
    changes = f" with {', '.join(run_row.changes)}" if run_row.changes else ""
    return f"preset {run_row.preset}{changes}"


def _title(run: ReportedRun) -> str:
    return ", ".join([_capital(run.name), *(banner.partition(":")[0] for banner in run.banners)])


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _run_blocks(run: ReportedRun, label: str) -> list[Block]:
    return [_recalls(run), _confusion(run), _curves(run, label)]


def _calibration(run_row: RunRow) -> Table:
    """Return the table of calibration errors, with the reasons of runs without a temperature below it."""
    rows, reasons = [], {}
    for run in run_row.runs:
        found = run.calibration
        temperature = NONE if found.temperature is None else f"{found.temperature:.3g}"
        rows.append([run.name, percent(found.ece), temperature, percent(found.ece_calibrated)])
        if found.reason:
            reasons[run.name] = printable(found.reason)
    without = "".join(f" {_capital(name)} has no temperature: {reason}." for name, reason in reasons.items())
    return Table(
        title="Expected calibration error (ECE), percent",
        columns=["run", "ECE", "temperature", "ECE with temperature"],
        rows=rows,
        note=f"{_ECE}{without}",
    )


def _recalls(run: ReportedRun) -> Table:
    metrics, intervals = run.metrics, run.metrics.intervals
    support = metrics.confusion.sum(axis=1).tolist()
    classes = zip(metrics.class_names, support, metrics.recalls, intervals.recalls, strict=True)
    rows = [
        *(
            [name, f"{clips:,}", percent(recall), interval_text(span)]
            for name, clips, recall, span in classes
        ),
        ["UAR", f"{metrics.num_clips:,}", percent(metrics.uar), interval_text(intervals.uar)],
        ["WAR", f"{metrics.num_clips:,}", percent(metrics.war), interval_text(intervals.war)],
    ]
    return Table(
        title="Recall by class, percent",
        columns=["", "clips", "recall", _interval_column(metrics)],
        rows=rows,
        note=f"95% intervals: {metrics.interval_method}.",
        ours=[len(rows) - 2, len(rows) - 1],
    )


def _interval_column(metrics: Metrics) -> str:
    groups = metrics.counted_groups
    return "95% interval" if groups is None else f"95% interval over {counted(len(groups.number_G), 'group')}"


def _confusion(run: ReportedRun) -> Table:
    counts = run.metrics.confusion
    names = run.metrics.class_names
    return Table(
        title="Confusion matrix, clips (Fig. 5)",
        columns=["true \\ predicted", *names],
        rows=[[name, *map(str, row)] for name, row in zip(names, counts.tolist(), strict=True)],
        note="Shades are fractions of the true class.",
        shade=(counts / counts.sum(axis=1, keepdims=True).clip(min=1)).tolist(),
    )


def _curves(run: ReportedRun, label: str) -> Block:
    if not run.epochs:
        return Text(text=f"No curves: '{run.run_dir}' has no metrics.jsonl.")
    image = BytesIO()
    info, title = run.info, f"{label}: {run.meta.dataset}, {run.name}"
    plots.plot_curves(run.epochs, image, title=title, banners=info.banners)
    return Figure(
        title="Loss and accuracy (Fig. 6)",
        image=image.getvalue(),
        alt=f"Loss and accuracy over {len(run.epochs)} epochs",
        note=f"{len(run.epochs)} epochs; the checkpoint is from epoch {info.best_epoch}.",
    )


def _origin_blocks(run_row: RunRow) -> list[Block]:
    first = run_row.runs[0]
    info, meta = first.info, first.meta
    facts = [
        f"Setting: preset {run_row.preset} is the nearest; "
        f"differences: {', '.join(run_row.changes) or 'none'}",
        f"Encoder: {info.encoder_name}, weights '{meta.encoder_weights}', sha256 {info.encoder_sha256}",
        f"Text encoder: sha256 {info.text_sha256}",
        f"Precision: training {first.precision}; measuring {first.measured_precision}; "
        f"extraction of the measured features {_extraction_precision(meta)}",
        f"Trained on cache: {info.cache_path} ({info.dataset}), fingerprint {info.cache_fingerprint}",
        *(
            f"Clips added by cache: {added.cache_path} ({added.dataset}), classes: "
            f"{added.class_changes(info.class_names) or 'those of the first cache'}"
            for added in info.added_caches
        ),
        f"Measured on cache: {first.place} ({meta.dataset}), fingerprint {meta.fingerprint}",
        _versions("Packages of the extraction", meta.packages),
        *dict.fromkeys(_trained_on(run) for run in run_row.runs),
    ]
    rows = [
        [
            str(run.run_dir), run.fold_name, str(run.info.seed), run.info.selection_rule,
            str(run.info.best_epoch), f"{run.info.best_loss:.4f}", str(run.training_set),
            f"{run.metrics.num_clips:,}",
            "yes" if run.same_cache else "NO", _left_out(run), run.info.stop_reason or "before its end",
        ]
        for run in run_row.runs
    ]  # fmt: skip
    columns = ["run", "fold", "seed", "selected on", "best epoch", "its loss", "trained on",
               "clips measured", "cache as in training", "left out of measuring", "ended"]  # fmt: skip
    facts += dict.fromkeys(f"{_capital(run.name)}: {note}" for run in run_row.runs for note in run.leak.notes)
    return [Items(items=facts), Table(title="Runs", columns=columns, rows=rows)]


def _trained_on(run: ReportedRun) -> str:
    info = run.info
    if not info.hardware:
        return "Trained on hardware and with packages that are not known"
    return f"Trained on {info.hardware}, with {', '.join(info.packages)}"


def _extraction_precision(meta: CacheMeta) -> str:
    """Return the precisions of encoder and detector in a cache's identity, which may have any content."""
    sections = {"encoder": meta.identity.get("features"), "detector": meta.identity.get("detector")}
    found = {
        model: section.get("precision") for model, section in sections.items() if isinstance(section, Mapping)
    }
    return ", ".join(f"{model} {value}" for model, value in found.items() if value) or "not known"


def _left_out(run: ReportedRun) -> str:
    return left_out_text(run.left_out) or NONE


def _versions(title: str, packages: Mapping[str, str]) -> str:
    return f"{title}: " + (", ".join(f"{name} {number}" for name, number in packages.items()) or "not known")
