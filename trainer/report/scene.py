"""Pairs of a face-only and a full run -> effect of the scene, clip by clip."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np

from pipeline.errors import ConfigError, counted
from pipeline.store.location import LocationLike
from trainer import plots
from trainer.config import TrainConfig, learnt
from trainer.pages.document import Block, Figure, Items, Section, Table, Text
from trainer.pages.formatting import NONE
from trainer.report.comparability import SharedFacts
from trainer.report.rows import setting_changes
from trainer.report.runs import ReportedRun
from trainer.run_directory import load_config, load_info
from trainer.run_info import RunInfo
from trainer.scene_effect import Flips, PairedPredictions, SceneEffect, measure_scene_effect

_SURE = 0.05
_MOVES_SHOWN, _IDS_SHOWN = 15, 50
_INTERVAL = "Intervals: Bonett and Price, for independent clips, each row by itself."
_NO_INTERVAL = "No intervals: clips of one group are not independent."
_VOTES = " Votes: entropy of the annotators' votes."
_TEST = (
    "The test compares two trained runs on these clips. It does not include the variation over seeds, which "
    "a statement about the method needs: use pairs of several seeds."
)
_TOGETHER = (
    "The runs differ by the scene and by the polarity, which is read from it. Both cause the clips won "
    "and lost."
)


@dataclass(frozen=True, kw_only=True)
class ScenePair:
    """A face-only and a full run on the same clips."""

    face: ReportedRun
    full: ReportedRun
    found: SceneEffect

    @property
    def face_has(self) -> tuple[str, ...]:
        """Settings of the face-only run that differ from the full run, as ``section.key=value``."""
        return setting_changes(self.full.config, self.face.config)

    @property
    def full_has(self) -> tuple[str, ...]:
        """The same settings of the full run, in the same order."""
        return setting_changes(self.face.config, self.full.config)

    @property
    def differences(self) -> str:
        """The settings in which the two runs differ, in a sentence."""
        return (
            f"The face-only run has {', '.join(self.face_has)}; the full run has {', '.join(self.full_has)}."
        )

    @property
    def verdict(self) -> str:
        """The result of the test of the two runs, in a sentence."""
        flips = self.found.overall
        counts = (
            f"{counted(flips.won, 'clip')} won and {flips.lost} lost of {flips.num_clips:,} "
            f"({100 * flips.net:+.2f} points of WAR; {flips.test}, p = {flips.p_value:.2g})"
        )
        if flips.p_value >= _SURE:
            return f"No difference between these two runs is shown: {counts}."
        more = "more" if flips.net > 0 else "fewer"
        return f"These two runs differ, the full run is right on {more} clips: {counts}."

    @property
    def _training_sets(self) -> str:
        """The clips that trained the two runs, in words; empty if the words are equal."""
        face, full = str(self.face.training_set), str(self.full.training_set)
        return "" if face == full else f": the face-only run on {face}; the full run on {full}"

    @property
    def notes(self) -> tuple[str, ...]:
        """Other differences of the two runs, and clips without votes."""
        face, full = self.face.info, self.full.info
        more = setting_changes(face_only(self.full.config), self.face.config)
        polarities = {run.config.model.polarity for run in (self.face, self.full)}
        votes = self.full.votes_NC
        without = 0 if votes is None else int(np.isnan(votes).any(axis=1).sum())
        return (
            *([_TOGETHER] if len(polarities) > 1 else []),
            *([f"The face-only run also has {', '.join(more)}, and the full run does not."] if more else []),
            *([f"Seeds differ: {face.seed} and {full.seed}."] if face.seed != full.seed else []),
            *(
                [f"The runs were trained or selected on different clips{self._training_sets}."]
                if (face.training_sha256, [one.clips for one in face.added_caches])
                != (full.training_sha256, [one.clips for one in full.added_caches])
                else []
            ),
            *(
                [f"Precisions differ: {self.face.precision}; {self.full.precision}."]
                if self.face.precision != self.full.precision
                else []
            ),
            *([f"Clips without votes: {without:,}."] if without else []),
        )


def face_only(config: TrainConfig) -> TrainConfig:
    """Return the config without the scene, and without the polarity, which is read from it."""
    return replace(config, model=replace(config.model, scene=False, polarity=False))


def pairs_among(runs: Sequence[ReportedRun]) -> Iterator[ScenePair]:
    """Yield every pair of runs of the same clips, fold and seed that differ by `face_only` alone."""
    for full in runs:
        if not _can_do_without(full.config):
            continue
        wanted = learnt(face_only(full.config))
        for face in runs:
            if learnt(face.config) == wanted and _same_task(face, full) and _same_training(face, full):
                yield _pair(face, full)


def require_pair(face: Path, full: Path, cache: LocationLike | None) -> None:
    """Raise ConfigError if the files of two runs show that they are not a pair, before they are measured.

    Args:
        face: Directory of the face-only run.
        full: Directory of the full run.
        cache: Cache to measure both on. None: each on its training cache.

    Raises:
        CheckpointError: A directory is not a run.
    """
    if face.resolve() == full.resolve():
        msg = f"--rigid: '{full}' is given twice; give a face-only run and a full one."
        raise ConfigError(msg)
    for run_dir, scene, place in ((face, False, "first"), (full, True, "second")):
        if load_config(run_dir).model.scene is not scene:
            there = str(not scene).lower()
            msg = (
                f"--rigid: the {place} run, '{run_dir}', has model.scene={there}; give the face-only "
                "run first, the full one second."
            )
            raise ConfigError(msg)
    infos = load_info(face), load_info(full)
    tasks = {(info.fold, info.class_names) for info in infos}
    places = {str(info.training_cache(run)) for info, run in zip(infos, (face, full), strict=True)}
    caches = places, {info.cache_fingerprint for info in infos}
    if len(tasks) > 1 or (cache is None and all(len(found) > 1 for found in caches)):
        raise _unfit((face, infos[0]), (full, infos[1]))


def chosen_pair(face: ReportedRun, full: ReportedRun) -> ScenePair:
    """Return the pair that the user names. Raises ConfigError unless both were measured on the same clips."""
    if not _same_task(face, full):
        raise _unfit((face.run_dir, face.info), (full.run_dir, full.info))
    return _pair(face, full)


def _unfit(*runs: tuple[Path, RunInfo]) -> ConfigError:
    both = " and ".join(f"'{run_dir}' (fold {info.fold})" for run_dir, info in runs)
    return ConfigError(
        f"--rigid: {both} have different clips or classes; give two runs of one fold of one cache."
    )


def scene_section(pairs: Sequence[ScenePair], sheets: Sequence[Block]) -> Section:
    """Return the section with the result of each pair, and contact sheets of the first one's clips."""
    several = f"{len(pairs)} pairs, each with a test; the p values are not corrected for their number."
    return Section(
        title="Effect of the scene",
        blocks=[
            Text(text=_TEST),
            *([Text(text=several)] if len(pairs) > 1 else []),
            Items(items=[f"{pair.full.meta.dataset}, {pair.full.name}: {pair.verdict}" for pair in pairs]),
        ],
        parts=[
            Section(title=f"{pair.full.run_dir} against {pair.face.run_dir}", blocks=list(_blocks(pair)))
            for pair in pairs
        ]
        + ([Section(title=f"The clips: {pairs[0].full.run_dir}", blocks=sheets)] if sheets else []),
    )


def _same_task(face: ReportedRun, full: ReportedRun) -> bool:
    return (
        (face.info.fold, face.fold, face.info.class_names, face.clip_ids)
        == (full.info.fold, full.fold, full.info.class_names, full.clip_ids)
        and face.meta.fingerprint == full.meta.fingerprint
        and bool(np.array_equal(face.label_N, full.label_N))
    )


def _same_training(face: ReportedRun, full: ReportedRun) -> bool:
    """Return whether two runs would be in one mean if their settings were equal, and have one seed."""
    facts = replace(SharedFacts.of(face), setting=SharedFacts.of(full).setting)
    return facts == SharedFacts.of(full) and face.info.seed == full.info.seed


def _can_do_without(config: TrainConfig) -> bool:
    """Return whether a config has the scene, and is valid without it."""
    crossed = config.model.tfe and config.model.tfe_keys == "crossed"
    return config.model.scene and not crossed and config.losses.contrast != "streams"


def _pair(face: ReportedRun, full: ReportedRun) -> ScenePair:
    found = measure_scene_effect(
        PairedPredictions(
            class_names=full.info.class_names,
            clip_ids=full.clip_ids,
            label_N=full.label_N,
            face_N=face.predicted_N,
            full_N=full.predicted_N,
            polarity_N=full.polarity_N,
            votes_NC=full.votes_NC,
            group_N=full.group_N,
        )
    )
    return ScenePair(face=face, full=full, found=found)


def _blocks(pair: ScenePair) -> Iterator[Block]:
    found = pair.found
    yield Text(text=f"{pair.verdict} {pair.differences}")
    if pair.notes:
        yield Items(items=pair.notes)
    test = found.overall.test + ("" if found.overall.nets is None else " in the first row")
    kinds = [found.overall, *found.by_class, *found.by_polarity, *found.by_entropy]
    yield Table(
        title="Clips on which the two runs differ",
        columns=[
            "",
            "clips",
            "won",
            "lost",
            "net, points",
            "p",
            "95% interval of net",
            "wrong to wrong",
            "right in both",
            "same wrong class",
        ],
        rows=[_flips(flips) for flips in kinds],
        note="Won: wrong in the face-only run, right in the full one. Lost: the reverse. p: "
        f"{test}; the {len(kinds) - 1} p values below the first are not corrected for their number. "
        f"{_INTERVAL if found.overall.nets is None else _NO_INTERVAL}"
        f"{' ' * bool(found.polarity_note)}{found.polarity_note}{_VOTES if found.by_entropy else ''}",
        ours=[0],
    )
    if found.by_class:
        yield _gains(pair)
    if found.moves:
        yield Table(
            title="Predictions that differ between the two runs, most frequent first",
            columns=["true class", "face only", "full", "clips"],
            rows=[[label, face, full, str(n)] for (label, face, full), n in found.moves[:_MOVES_SHOWN]],
            note=_rest(len(found.moves), _MOVES_SHOWN),
        )
    listed = [_ids(what, ids) for what, ids in (("Won", found.won), ("Lost", found.lost)) if ids]
    if listed:
        yield Items(items=listed, summary="Clips that are won and lost")


def _gains(pair: ScenePair) -> Figure:
    """Draw the gain of the full run in each class."""
    found, image = pair.found, BytesIO()
    is_independent = found.overall.nets is None
    kinds = [found.overall, *found.by_class]
    plots.plot_gains(
        {f"{flips.kind} ({flips.num_clips})": flips.net for flips in kinds},
        [flips.net_interval for flips in kinds] if is_independent else None,
        image,
        title="Change of the recall by the scene",
        banners=pair.full.banners,
    )
    shown = "; ".join(f"{flips.kind} {100 * flips.net:+.1f}" for flips in kinds)
    return Figure(
        title="Change of the recall by the scene, in points",
        image=image.getvalue(),
        alt=f"net of won and lost clips by class, in points: {shown}",
        note="Lines: 95% intervals (Bonett and Price) of these two runs on these clips, not of the method."
        if is_independent
        else "Without intervals: clips of one group are not independent.",
    )


def _flips(flips: Flips) -> list[str]:
    counts = (flips.moved, flips.both_right, flips.both_wrong)
    return [
        flips.kind, f"{flips.num_clips:,}", str(flips.won), str(flips.lost), f"{100 * flips.net:+.2f}",
        f"{flips.p_value:.2g}", _interval(flips), *map(str, counts),
    ]  # fmt: skip


def _ids(what: str, clip_ids: Sequence[str]) -> str:
    shown = ", ".join(clip_ids[:_IDS_SHOWN])
    rest = _rest(len(clip_ids), _IDS_SHOWN)
    return f"{what}, {len(clip_ids)}: {shown}{'. ' if rest else ''}{rest}"


def _rest(number: int, shown: int) -> str:
    return f"The other {number - shown} are in report.json." if number > shown else ""


def _interval(flips: Flips) -> str:
    """Return the interval of the net gain in points; none for clips in groups, which are not independent."""
    if flips.nets is not None:
        return NONE
    low, high = flips.net_interval
    return f"{100 * low:+.2f} to {100 * high:+.2f}"
