"""Runs of several datasets, each measured on the test clips of all: a table of transfer."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.display.json_values import to_json_values
from pipeline.display.shown import Shown
from pipeline.errors import ConfigError, counted, some
from pipeline.own_dir import Folder, OwnDir
from pipeline.portable import portable_values
from pipeline.store.location import Location, LocationLike
from pipeline.store.meta import CacheMeta
from pipeline.strict_json import to_json
from trainer.added_cache import added_cache_of
from trainer.caches import is_same_place, open_cache
from trainer.class_map import find_name
from trainer.clips_without_face import without_face_text
from trainer.config import learnt
from trainer.measured_clips import MeasureRequest, require_measurable
from trainer.measurement import Measured, measure
from trainer.metrics import Metrics, merged
from trainer.pages.banners import counted_banners
from trainer.pages.document import Items, Page, Section, Table
from trainer.pages.files import output_directory
from trainer.pages.formatting import NONE, spread_text
from trainer.pages.markdown import as_markdown
from trainer.pages.stored_section import SECTION_FILE, section_json
from trainer.report.rows import nearest_preset, row_labels
from trainer.run_directory import load_config, load_info
from trainer.run_info import RunInfo
from trainer.run_statistics import Row, Score, summarise

TRANSFER_FILE, TABLE_FILE = "transfer.json", "transfer.md"
_FEWEST_CACHES, _MOST_NAMED = 2, 20


@dataclass(frozen=True, kw_only=True)
class TransferCell:
    """Runs that were trained on one cache, measured on one.

    Attributes:
        trained_on: Name of the training cache, with those of further caches, and with the setting if runs of
            several are given.
        measured_on: Name of the cache.
        is_own: Whether the measured cache trained the runs, so that each is measured on its own fold of it.
        num_runs: Number of runs.
        rates: Spread of WAR, UAR and recalls over the folds of the training, each with the mean of its seeds;
            over the seeds of a single fold.
        over: What the spread is over, ``folds`` or ``seeds``.
        num_clips, num_without_face: Number of measured clips of the first run, and of those without a face.
        classes: Differences between the classes, in words; empty if they are the same.
    """

    trained_on: str
    measured_on: str
    is_own: bool
    num_runs: int
    rates: Row
    over: str
    num_clips: int
    num_without_face: int
    classes: str


@dataclass(frozen=True, kw_only=True, repr=False)
class TransferResult(Shown):
    """A cell for each pair of training cache and measured cache."""

    names: tuple[str, ...]
    shared_classes: bool
    cells: tuple[TransferCell, ...]
    banners: tuple[str, ...]
    files: tuple[Path, ...]

    def page(self) -> Page:
        """Return the tables of WAR and UAR, and the classes of each cell."""
        classes = [
            f"{cell.trained_on} on {cell.measured_on}: {cell.classes}" for cell in self.cells if cell.classes
        ]
        faceless = dict.fromkeys(
            f"{cell.measured_on}: {text}."
            for cell in self.cells
            if (text := without_face_text(cell.num_without_face, cell.num_clips, "test clips"))
        )
        own = (
            "A cache that trained a run: the test clips of the fold that trained it. Elsewhere: the test "
            "clips of all folds of the cache."
        )
        answers = ["Answers: only classes that both have."] if self.shared_classes else []
        return Page(
            title=f"Transfer among {counted(len(self.names), 'cache')}",
            banners=self.banners,
            sections=[
                Section(
                    title="Trained on (row), measured on (column)",
                    blocks=[
                        self._table("war"),
                        self._table("uar"),
                        Items(items=[own, *answers, *classes, *faceless]),
                    ],
                )
            ],
        )

    def _table(self, metric: str) -> Table:
        cell_of = {(cell.trained_on, cell.measured_on): cell for cell in self.cells}
        trained = list(dict.fromkeys(cell.trained_on for cell in self.cells))
        over = " or ".join(dict.fromkeys(cell.over for cell in self.cells))
        rows = []
        for name in trained:
            cells = [cell_of.get((name, column)) for column in self.names]
            shown = [NONE if cell is None else spread_text(cell.rates.get(metric)) for cell in cells]
            runs = next(cell.num_runs for cell in self.cells if cell.trained_on == name)
            rows.append([name, *shown, str(runs)])
        return Table(
            title=f"{metric.upper()}, percent, mean ± standard deviation over {over}",
            columns=["trained on", *self.names, "runs"],
            rows=rows,
        )


def transfer(
    runs: Sequence[Folder],
    caches: Sequence[LocationLike],
    out: Path,
    *,
    device: str = "auto",
    allow_leak: bool = False,
    classes: Mapping[str, str] | None = None,
    shared_classes: bool = False,
    on_run: Callable[[str], None] = lambda _: None,
) -> TransferResult:
    """Measure every run on the test clips of every cache, and write the tables into a directory.

    Args:
        runs: Directories of runs, of folds and seeds, each trained on one of the caches.
        caches: The caches, two or more.
        out: Directory for transfer.json, transfer.md, and section.json for `report`.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        allow_leak: As in `evaluate`.
        classes: Classes of a cache -> classes of the runs, as in `evaluate`, also for its default. A pair
            applies where a cache and a run have these classes.
        shared_classes: As in `evaluate`.
        on_run: Called with a line about each run.

    Raises:
        ConfigError: Fewer than two caches or no run, two caches of one name, or a run of another cache.
        OusError: As for `evaluate`.
    """
    places = _named(caches)
    if len(places) < _FEWEST_CACHES or not runs:
        msg = (
            f"transfer needs runs and two different caches or more; given: {counted(len(runs), 'run')} and "
            f"{', '.join(map(str, caches)) or 'no cache'}."
        )
        raise ConfigError(msg)
    with output_directory(out, (TRANSFER_FILE, TABLE_FILE, SECTION_FILE)) as folder:
        infos = {OwnDir.of(run): load_info(run) for run in runs}
        opened = {name: _meta(place) for name, place in places.items()}
        metas = {name: meta for name, (meta, _) in opened.items()}
        hashes = {name: (meta.fingerprint, clips) for name, (meta, clips) in opened.items()}
        trained_on = _rows(infos, {run: _home(run, info, places, hashes) for run, info in infos.items()})
        folds = {run: _folds(run, info, trained_on[run][1], places, opened) for run, info in infos.items()}
        _require_applying(classes, infos.values(), metas)
        requests = {
            (run, name): [
                MeasureRequest(
                    run_dir=run, cache=place, fold=fold, allow_leak=allow_leak,
                    classes=None if name == trained_on[run][1] else _applying(classes, info, metas[name]),
                )
                for fold in folds[run].get(name, metas[name].fold_names)
            ]
            for run, info in infos.items()
            for name, place in places.items()
        }  # fmt: skip
        require_measurable([one for of_pair in requests.values() for one in of_pair])
        scores: dict[tuple[str, str], list[tuple[Score, Measured, int]]] = {}
        for run, info in infos.items():
            label, _ = trained_on[run]
            for name in places:
                on_run(f"measuring {run} on {name}")
                measured = [
                    measure(
                        run, "test", one.cache, device, fold=one.fold, allow_leak=allow_leak,
                        classes=one.classes, shared_classes=shared_classes,
                    )
                    for one in requests[run, name]
                ]  # fmt: skip
                metrics = _merged(name, measured)
                num_without_face = sum(int(one.without_face_N.sum()) for one in measured)
                scores.setdefault((label, name), []).append(
                    (Score(fold=info.fold, seed=info.seed, metrics=metrics), measured[0], num_without_face)
                )
        own = {(trained_on[run][0], name) for run, names in folds.items() for name in names}
        cells = tuple(
            _cell(label, name, found, is_own=(label, name) in own) for (label, name), found in scores.items()
        )
        result = TransferResult(
            names=tuple(places),
            shared_classes=shared_classes,
            cells=cells,
            banners=counted_banners([one.banners for found in scores.values() for _, one, _ in found]),
            files=(folder.path / TRANSFER_FILE, folder.path / TABLE_FILE),
        )
        document = to_json(portable_values(to_json_values(result))) + "\n"
        page = result.page()
        section = replace(page.sections[0], title=page.title, banners=page.banners)
        folder.write_together(
            {TRANSFER_FILE: document, TABLE_FILE: as_markdown(page), SECTION_FILE: section_json(section)}
        )
    return result


def _named(caches: Sequence[LocationLike]) -> dict[str, Location]:
    """Return each cache once, by its name, or by its location if several have that name."""
    places = [Location.of(cache) for cache in caches]
    stems = Counter(place.stem for place in places)
    return {place.stem if stems[place.stem] == 1 else str(place): place for place in places}


def _rows(infos: Mapping[OwnDir, RunInfo], homes: Mapping[OwnDir, str]) -> dict[OwnDir, tuple[str, str]]:
    """Return the row of each run, and its training cache: a row for each cache and setting.

    Raises ConfigError if a row would have a fold and seed twice.
    """
    configs = {run: load_config(run) for run in infos}
    settings = dict.fromkeys(to_json(learnt(config)) for config in configs.values())
    nearest = {to_json(learnt(config)): nearest_preset(config) for config in configs.values()}
    names = dict(zip(settings, row_labels([nearest[one] for one in settings]), strict=True))
    rows: dict[OwnDir, tuple[str, str]] = {}
    first: dict[tuple[str, str, int], OwnDir] = {}
    for run, info in infos.items():
        name = names[to_json(learnt(configs[run]))].removeprefix("ours, ")
        caches = " with ".join([homes[run], *(added.stem for added in info.added_caches)])
        label = f"{caches}, {name}" if len(settings) > 1 else caches
        twin = first.setdefault((label, info.fold, info.seed), run)
        if twin is not run:
            msg = (
                f"'{twin}' and '{run}' have the same settings, fold and seed; give one of them, or use "
                "`ensemble` to average them."
            )
            raise ConfigError(msg)
        rows[run] = label, homes[run]
    return rows


def _home(
    run: OwnDir, info: RunInfo, places: Mapping[str, Location], hashes: Mapping[str, tuple[str, str]]
) -> str:
    """Return the name of the cache that trained a run, by its location or by its features and clips.

    Raises ConfigError if it is none of them.
    """
    home = info.training_cache(run.path)
    found = next((name for name, place in places.items() if is_same_place(place, home)), None)
    if found is None:
        own = info.cache_fingerprint, info.clips_sha256
        found = next((name for name, one in hashes.items() if one == own), None)
    if found is None:
        msg = f"'{run}' was trained on '{home}', which is none of the caches; add --cache '{home}'."
        raise ConfigError(msg)
    return found


def _folds(
    run: OwnDir,
    info: RunInfo,
    home: str,
    places: Mapping[str, Location],
    opened: Mapping[str, tuple[CacheMeta, str]],
) -> dict[str, list[str]]:
    """Return the folds that trained a run, by the names of the caches among `places` that trained it."""
    folds = {home: [info.fold]}
    for name, place in places.items():
        added = added_cache_of(run.path, info.added_caches, place, *opened[name])
        if name != home and added is not None:
            folds[name] = [added.fold]
    return folds


def _meta(place: Location) -> tuple[CacheMeta, str]:
    """Return the attributes of a cache, and the hash of its clips."""
    with open_cache(place) as features:
        return features.meta, features.clips_sha256()


def _require_applying(
    classes: Mapping[str, str] | None, infos: Iterable[RunInfo], metas: Mapping[str, CacheMeta]
) -> None:
    """Raise ConfigError for a pair of classes that no cache and run have."""
    of_runs = [info.class_names for info in infos]
    of_caches = [meta.class_names for meta in metas.values()]
    for name, target in (classes or {}).items():
        for wrong, places in ((name, of_caches), (target, of_runs)):
            if (wrong == name or wrong.strip()) and all(find_name(wrong, names) is None for names in places):
                there = some(sorted({one for names in places for one in names}), _MOST_NAMED)
                msg = f"--classes has '{name}' = '{target}', and no class is '{wrong}'; there are: {there}."
                raise ConfigError(msg)


def _applying(classes: Mapping[str, str] | None, info: RunInfo, meta: CacheMeta) -> Mapping[str, str] | None:
    """Return the pairs of classes that a cache and a run have; None without any."""
    if classes is None:
        return None
    return {
        name: target
        for name, target in classes.items()
        if find_name(name, meta.class_names) is not None
        and (not target.strip() or find_name(target, info.class_names) is not None)
    } or None


def _merged(name: str, measured: Sequence[Measured]) -> Metrics:
    """Return the metrics of the clips of all folds. Raises ConfigError if folds share clips."""
    rows = [row for one in measured for row in one.row_N.tolist()]
    if len(set(rows)) < len(rows):
        msg = (
            f"Folds of '{name}' share test clips, which would count more than once; use `evaluate --fold` "
            "for each fold."
        )
        raise ConfigError(msg)
    return merged([one.metrics() for one in measured])


def _cell(
    label: str, name: str, found: Sequence[tuple[Score, Measured, int]], *, is_own: bool
) -> TransferCell:
    summary = summarise([score for score, _, _ in found], disjoint=False)
    several = len(summary.by_fold) > 1
    score, measured, num_without_face = found[0]
    class_map = measured.class_map
    return TransferCell(
        trained_on=label,
        measured_on=name,
        is_own=is_own,
        num_runs=len(found),
        rates=summary.mean_of_folds if several else next(iter(summary.by_fold.values())),
        over="folds" if several else "seeds",
        num_clips=score.metrics.num_clips,
        num_without_face=num_without_face,
        classes="" if class_map is None else str(class_map),
    )
