"""Runs of folds and seeds -> the mean of their probabilities, measured like one run for each fold."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from pipeline.display.json_values import to_json_values
from pipeline.display.shown import Shown
from pipeline.errors import CacheError, CheckpointError, ConfigError, FileError, counted
from pipeline.own_dir import Folder, OwnDir
from pipeline.portable import portable_values
from pipeline.store.location import LocationLike
from pipeline.strict_json import from_json, to_json
from trainer.caches import open_cache
from trainer.calibration import error_of_probabilities
from trainer.clip_predictions import ClipPredictions, read_predictions
from trainer.clips_without_face import stored_num_without_face, without_face_text
from trainer.evaluation import CONFUSION, PREDICTIONS, evaluate
from trainer.folds import folder_of_fold
from trainer.measured_clips import MeasureRequest, require_measurable
from trainer.metrics import Metrics
from trainer.pages.banners import counted_banners
from trainer.pages.document import Items, Section, Table
from trainer.pages.files import output_directory
from trainer.pages.formatting import NONE, mean_text, percent, spread_text
from trainer.pages.stored_section import SECTION_FILE, section_json
from trainer.run_directory import RUN_FILE, load_info
from trainer.run_info import RunInfo
from trainer.run_statistics import Score, Summary, summarise

ENSEMBLE_FILE = "ensemble.json"
_MOST_BYTES = 16 << 20


@dataclass(frozen=True, kw_only=True)
class Member:
    """A measured run of an ensemble.

    Attributes:
        run_dir: Directory of the run.
        dataset, fold: Measured dataset and fold.
        seed: Seed of the run.
        banners: Warnings to show beside its predictions.
        num_without_face: Clips without a face; 0 if an earlier version measured the run.
        predictions: Its predictions.
    """

    run_dir: Path
    dataset: str
    fold: str
    seed: int
    banners: tuple[str, ...]
    num_without_face: int
    predictions: ClipPredictions


@dataclass(frozen=True, kw_only=True)
class FoldEnsemble:
    """The mean of several runs on the clips of a fold.

    Attributes:
        fold: Measured fold.
        run_dirs: The runs.
        num_calibrated: Number of runs whose probabilities have a temperature.
        predictions: Mean probabilities.
        metrics: Metrics of the mean.
        ece: Expected calibration error of the mean.
        mean_war, mean_uar: Means of the single runs.
        num_without_face: Clips without a face.
        banners: Warnings to show beside these numbers.
    """

    fold: str
    run_dirs: tuple[Path, ...]
    num_calibrated: int
    predictions: ClipPredictions
    metrics: Metrics
    ece: float
    mean_war: float
    mean_uar: float
    num_without_face: int
    banners: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, repr=False)
class EnsembleResult(Shown):
    """Ensembles of all folds.

    Attributes:
        dataset, split: Measured dataset and split.
        folds: An ensemble for each measured fold.
        summary: Statistics over the folds; None for one fold.
        banners: Warnings to show beside every number.
        files: Written files.
    """

    dataset: str
    split: str
    folds: tuple[FoldEnsemble, ...]
    summary: Summary | None
    banners: tuple[str, ...]
    files: tuple[Path, ...]

    def section(self) -> Section:
        """Return the table of the ensembles and of their single runs, for `report`."""
        names = self.folds[0].metrics.class_names
        rows = []
        for one in self.folds:
            metrics, runs = one.metrics, counted(len(one.run_dirs), "run")
            rates = [*map(percent, metrics.recalls), percent(one.ece)]
            rows.append([f"mean of {runs}", one.fold, percent(metrics.uar), percent(metrics.war), *rates])
            singles = [percent(one.mean_uar), percent(one.mean_war), *[NONE] * len(rates)]
            rows.append(["single runs, mean", one.fold, *singles])
        if self.summary is not None:
            over = self.summary.mean_of_folds
            rates = [mean_text(over.get(f"recall/{name}")) for name in names]
            label = ["mean of folds ± over folds", str(len(self.folds))]
            rows.append([*label, spread_text(over["uar"]), spread_text(over["war"]), *rates, NONE])
        texts = [
            without_face_text(one.num_without_face, one.metrics.num_clips, f"{self.split} clips")
            for one in self.folds
        ]
        notes = [f"Fold {one.fold}: {text}." for one, text in zip(self.folds, texts, strict=True) if text]
        runs_of = [f"Fold {one.fold}: {', '.join(map(str, one.run_dirs))}." for one in self.folds]
        return Section(
            title=f"Ensemble of {self.dataset}, {self.split} split",
            banners=self.banners,
            blocks=[
                Table(
                    title="Mean of the probabilities, percent",
                    columns=["", "fold", "UAR", "WAR", *names, "ECE"],
                    rows=rows,
                ),
                *([Items(items=notes)] if notes else []),
                Items(items=runs_of, summary="Runs"),
            ],
        )


def ensemble(
    runs: Sequence[Folder],
    out: Path,
    *,
    split: str = "test",
    cache: LocationLike | None = None,
    fold: int | str | None = None,
    device: str = "auto",
    allow_leak: bool = False,
    measure_again: bool = False,
    on_run: Callable[[str], None] = lambda _: None,
) -> EnsembleResult:
    """Average the probabilities of the runs of each fold, and write the result into a directory.

    Runs that `evaluate` has measured on their own test clips are read from their predictions.csv. Other runs
    are measured now, with the files of `evaluate`.

    Args:
        runs: Directories of runs: seeds, settings or encoders, of one fold or of several.
        out: Directory for ensemble.json, a confusion matrix and predictions.csv of each fold, and
            section.json for `report`.
        split: ``test``, ``validation`` or ``train``.
        cache: Cache to measure on, as in `evaluate`.
        fold: Fold to measure, as in `evaluate`.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        allow_leak: As in `evaluate`.
        measure_again: Measure all runs now.
        on_run: Called with a line about each run.

    Raises:
        ConfigError: Fewer than two runs, a run is given twice, or runs of one fold have different clips,
            labels or classes.
        OusError: As for `evaluate`.
    """
    for run in runs:
        load_info(run)
    if len(runs) < 2:
        msg = f"ensemble needs two runs or more; given: {len(runs)}."
        raise ConfigError(msg)
    places = [OwnDir.of(run) for run in runs]
    resolved = [place.path.resolve() for place in places]
    for number, place in enumerate(places):
        if resolved[number] in resolved[:number]:
            msg = f"'{place}' is given twice; give each run once."
            raise ConfigError(msg)
    with output_directory(out) as folder:
        if folder.kind(RUN_FILE) is not None:
            msg = f"--out '{out}' is a run, whose files would be replaced; give another directory."
            raise ConfigError(msg)
        stored: dict[OwnDir, Member | None] = dict.fromkeys(places)
        if not measure_again and split == "test" and cache is None and fold is None:
            stored = {place: _stored(place, allow_leak=allow_leak) for place in places}
        require_measurable(
            [
                MeasureRequest(run_dir=place, split=split, cache=cache, fold=fold, allow_leak=allow_leak)
                for place, member in stored.items()
                if member is None
            ]
        )
        members = []
        for place, member in stored.items():
            if member is None:
                on_run(f"measuring {place}")
                members.append(_measured(place, split, cache, device, fold, allow_leak=allow_leak))
            else:
                on_run(f"reading {place.path / _file(PREDICTIONS)}")
                members.append(member)
        _require_one_task(members)
        by_fold = {one.fold: [m for m in members if m.fold == one.fold] for one in members}
        ensembles = tuple(_averaged(name, of_fold) for name, of_fold in by_fold.items())
        ids = [set(one.predictions.clip_ids) for one in ensembles]
        result = EnsembleResult(
            dataset=members[0].dataset,
            split=split,
            folds=ensembles,
            summary=summarise(
                [Score(fold=one.fold, seed=0, metrics=one.metrics) for one in ensembles],
                disjoint=sum(map(len, ids)) == len(set().union(*ids)),
            )
            if len(ensembles) > 1
            else None,
            banners=counted_banners([member.banners for member in members]),
            files=(),
        )
        names = list(by_fold)
        suffixes = ["" if len(names) == 1 else f"_{folder_of_fold(tuple(names), name)}" for name in names]
        contents: dict[str, str | bytes] = {}
        for one, suffix in zip(ensembles, suffixes, strict=True):
            contents[_file(PREDICTIONS, suffix)] = "".join(one.predictions.lines(one.banners))
            contents[f"{CONFUSION}{suffix}.png"] = _figure(one, result)
        result = replace(result, files=tuple(folder.path / name for name in (ENSEMBLE_FILE, *contents)))
        document = to_json(portable_values(to_json_values(result))) + "\n"
        folder.write_together(
            {ENSEMBLE_FILE: document, SECTION_FILE: section_json(result.section()), **contents}
        )
    return result


def _file(stem: str, suffix: str = "") -> str:
    return f"{stem}{suffix}.csv"


def _has_same_clips(place: OwnDir, info: RunInfo, values: Any) -> bool:
    """Return whether the training cache has the clips and labels that were measured, if it is there."""
    try:
        with open_cache(info.training_cache(place.path), place.path) as features:
            return bool(features.clips_sha256() == values["clips_sha256"])
    except CacheError:
        return True


def _stored(place: OwnDir, *, allow_leak: bool) -> Member | None:
    """Return the predictions that `evaluate` stored for the own test clips of a run's present model.

    None if they are of another model, of other clips, or of clips that the run has seen.
    """
    info = load_info(place)
    try:
        values = from_json(place.read_text(f"{CONFUSION}.json", _MOST_BYTES))
        predictions = read_predictions(place, _file(PREDICTIONS))
        is_of_this_model = (
            values["best_epoch"] == info.best_epoch
            and values["calibration"]["temperature"] == (info.temperature or None)
            and np.array_equal(values["confusion"], predictions.metrics().confusion)
        )
        is_own = values["split"] == "test" and values["is_own_fold"] and "classes" not in values
        is_marked = bool(values["leak"]["clips"]) and not allow_leak
        counts_faces = "num_without_face" in values["training_set"]  # as versions that look for such clips do
        is_current = is_of_this_model and is_own and counts_faces and _has_same_clips(place, info, values)
        if not is_current or is_marked:
            return None
        return Member(
            run_dir=place.path,
            dataset=str(values["dataset"]),
            fold=str(values["measured_fold"]),
            seed=info.seed,
            banners=tuple(map(str, values["banners"])),
            num_without_face=stored_num_without_face(values),
            predictions=predictions,
        )
    except (FileError, CheckpointError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _measured(
    place: OwnDir,
    split: str,
    cache: LocationLike | None,
    device: str,
    fold: int | str | None,
    *,
    allow_leak: bool,
) -> Member:
    result = evaluate(place, split, cache, device, fold=fold, allow_leak=allow_leak)
    name = next(path.name for path in result.files if path.suffix == ".csv")
    return Member(
        run_dir=place.path,
        dataset=result.dataset,
        fold=result.fold,
        seed=result.info.seed,
        banners=result.banners,
        num_without_face=0 if result.without_face is None else result.without_face.num_without_face,
        predictions=read_predictions(place, name),
    )


def _require_one_task(members: Sequence[Member]) -> None:
    """Raise ConfigError unless runs of one fold predict the same clips, and all the same classes."""
    first_of: dict[str, Member] = {}
    for member in members:
        first = first_of.setdefault(member.fold, member)
        one, other = first.predictions, member.predictions
        what = ""
        if member.dataset != members[0].dataset:
            what, first = "datasets", members[0]
        elif other.class_names != members[0].predictions.class_names:
            what, first = "classes", members[0]
        elif other.clip_ids != one.clip_ids:
            what = "clips"
        elif not np.array_equal(other.label_N, one.label_N):
            what = "labels"
        if what:
            msg = (
                f"'{first.run_dir}' and '{member.run_dir}' (fold {member.fold}) were measured on different "
                f"{what}; give runs of one cache, or measure all on one with --cache."
            )
            raise ConfigError(msg)


def _averaged(fold: str, members: Sequence[Member]) -> FoldEnsemble:
    first = members[0].predictions
    num_calibrated = sum(member.predictions.is_calibrated for member in members)
    mean_NC = np.mean([member.predictions.probability_NC for member in members], axis=0)
    predictions = replace(first, probability_NC=mean_NC, is_calibrated=num_calibrated == len(members))
    singles = [member.predictions.metrics() for member in members]
    mixed = (
        f"{num_calibrated} of {len(members)} runs of fold {fold} have a temperature: their probabilities are "
        "not of one kind"
    )
    return FoldEnsemble(
        fold=fold,
        run_dirs=tuple(member.run_dir for member in members),
        num_calibrated=num_calibrated,
        predictions=predictions,
        metrics=predictions.metrics(),
        ece=error_of_probabilities(mean_NC, first.label_N),
        mean_war=fmean(one.war for one in singles),
        mean_uar=fmean(one.uar for one in singles),
        num_without_face=max(member.num_without_face for member in members),
        banners=(
            *counted_banners([member.banners for member in members]),
            *([mixed] if 0 < num_calibrated < len(members) else []),
        ),
    )


def _figure(one: FoldEnsemble, result: EnsembleResult) -> bytes:
    from trainer import plots  # as in trainer.training

    image = BytesIO()
    title = f"{result.dataset}, fold {one.fold}, {result.split} split: {counted(len(one.run_dirs), 'run')}"
    plots.plot_confusion(one.metrics, image, title=title, banners=one.banners)
    return image.getvalue()
