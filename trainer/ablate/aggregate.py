"""Outcomes -> rows over all runs and by fold, with the paper's numbers, and failures."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

from pipeline.errors import counted
from trainer.ablate.comparisons import Comparisons, Predictions, compare_rows
from trainer.ablate.kinds import split
from trainer.ablate.outcome import Outcome
from trainer.ablate.spec import Row
from trainer.ablate.sweep_request import SweepRequest
from trainer.clips_without_face import without_face_text
from trainer.metrics import Metrics
from trainer.pages.banners import counted_banners
from trainer.run_statistics import Score, Spread, Summary, summarise

_APART = (
    "No mean is taken over runs of a row that differ in precision, in training clips, or in the holdout (by "
    "clip or by group): the row is repeated for each kind."
)


@dataclass(frozen=True, kw_only=True)
class RowResult:
    """Outcomes of a row over which a mean is taken.

    Attributes:
        request: Request of the sweep.
        apart: Difference from other outcomes of the row, in words; empty without others.
    """

    row: Row
    outcomes: tuple[Outcome, ...]
    request: SweepRequest
    apart: str = ""

    @property
    def name(self) -> str:
        """Name of the row, with `apart`."""
        return f"{self.row.name}, {self.apart}" if self.apart else self.row.name

    @property
    def num_wanted(self) -> int:
        """Number of requested runs."""
        return len(self.request.folds) * len(self.request.seeds)

    def having(self, state: str) -> tuple[Outcome, ...]:
        """Return the outcomes of that state."""
        return tuple(outcome for outcome in self.outcomes if outcome.state == state)

    @cached_property
    def summary(self) -> Summary | None:
        """The finished runs, by fold and seed; None without any."""
        scores = [Score(fold=o.fold, seed=o.seed, metrics=o.metrics()) for o in self.having("finished")]
        return summarise(scores, disjoint=not self.request.num_shared_clips) if scores else None

    @property
    def is_whole(self) -> bool:
        """Whether every requested fold has a finished run."""
        return self.summary is not None and len(self.summary.by_fold) == len(self.request.folds)

    @property
    def gaps(self) -> tuple[str, ...]:
        """Folds without all of their runs, with their numbers of seeds."""
        there, wanted = Counter(outcome.fold for outcome in self.having("finished")), len(self.request.seeds)
        return tuple(
            f"fold {fold} has {there[fold]} of {counted(wanted, 'seed')}"
            for fold in self.request.folds
            if there[fold] < wanted
        )

    @property
    def selections(self) -> tuple[str, ...]:
        """The rules that chose the checkpoints, or a setting of a baseline."""
        rules = (outcome.selection for outcome in self.having("finished"))
        return tuple(dict.fromkeys(rule for rule in rules if rule))

    @property
    def has_leak(self) -> bool:
        """Whether a run has seen footage of its test clips."""
        return any(outcome.num_leaked for outcome in self.having("finished"))

    @property
    def is_unfinished(self) -> bool:
        """Whether clips of a fold had no features yet."""
        return any(outcome.num_pending for outcome in self.having("finished"))

    @property
    def over_runs(self) -> Mapping[str, Spread]:
        """UAR, WAR and best epoch; empty without a finished run.

        UAR and WAR are over folds, each with the mean of its seeds, or over the seeds of a single fold. Best
        epochs are over all runs; baselines without epochs have none.
        """
        summary = self.summary
        if summary is None:
            return {}
        folds = summary.by_fold
        rates = summary.mean_of_folds if len(folds) > 1 else next(iter(folds.values()))
        epochs = [float(one.best_epoch) for one in self.having("finished") if one.best_epoch]
        best_epoch = {"best_epoch": Spread.of(epochs)} if epochs else {}
        return {"uar": rates["uar"], "war": rates["war"], **best_epoch}

    @property
    def facts(self) -> tuple[str, ...]:
        """What a baseline used or chose, with the number of runs unless all have it."""
        return counted_banners([outcome.facts for outcome in self.having("finished")])


@dataclass(frozen=True, kw_only=True)
class SweepResult:
    """Rows of a sweep with their outcomes so far.

    Attributes:
        request: Request of the sweep.
        fingerprint: Fingerprint of the cache.
        rows: The rows.
        comparisons: The rows against the base row; None if no row has a pair of runs.
        planned_after: Number of outcomes that existed when the plan of the comparisons was fixed; None if
            this is not recorded.
    """

    request: SweepRequest
    fingerprint: str
    rows: tuple[RowResult, ...]
    comparisons: Comparisons | None
    planned_after: int | None

    @classmethod
    def of(
        cls,
        request: SweepRequest,
        fingerprint: str,
        outcomes: Sequence[Outcome],
        predictions: Predictions = lambda _: None,
        planned_after: int | None = None,
    ) -> "SweepResult":
        """Return the result of a sweep.

        Args:
            request: Request of the sweep.
            fingerprint: Fingerprint of the cache.
            outcomes: Outcomes so far, in any order.
            predictions: Returns the predictions of a finished run, or None if it has stored none.
            planned_after: See the attribute.
        """
        order = {(fold, seed): n for n, (fold, seed) in enumerate(product(request.folds, request.seeds))}
        in_order = sorted(outcomes, key=lambda outcome: order[outcome.fold, outcome.seed])
        rows = [
            RowResult(row=row, outcomes=members, request=request, apart=apart)
            for row in request.spec.rows
            for apart, members in split([o for o in in_order if o.row == row.name]).items()
        ]
        return cls(
            request=request,
            fingerprint=fingerprint,
            rows=tuple(rows),
            comparisons=compare_rows(request, in_order, predictions) if request.split == "test" else None,
            planned_after=planned_after,
        )

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """Outcomes of all rows."""
        return tuple(outcome for row in self.rows for outcome in row.outcomes)

    @property
    def finished(self) -> tuple[Outcome, ...]:
        """Outcomes with metrics."""
        return tuple(outcome for row in self.rows for outcome in row.having("finished"))

    @property
    def num_wanted(self) -> int:
        """Number of requested runs."""
        return len(self.request.spec.rows) * len(self.request.folds) * len(self.request.seeds)

    @property
    def banners(self) -> tuple[str, ...]:
        """Warnings to show beside every number."""
        there, wanted = len(self.outcomes), self.num_wanted
        unfinished = (
            f"UNFINISHED: {there} of {wanted} runs have an outcome; the same ablate command runs the others"
        )
        warned = counted_banners([outcome.banners for outcome in self.finished])
        if self.request.split != "test":
            warned = (f"{self.request.split.upper()} CLIPS: these numbers chose settings", *warned)
        return (*warned, *([unfinished] if there < wanted else []))

    @property
    def selections(self) -> tuple[str, ...]:
        """The rules that chose the checkpoints."""
        return tuple(dict.fromkeys(rule for row in self.rows for rule in row.selections))

    @property
    def class_names(self) -> tuple[str, ...]:
        """Classes of the paper's numbers, in its order, then our other classes."""
        ours = (name for outcome in self.finished for name in outcome.class_names)
        return tuple(dict.fromkeys((*self.request.spec.class_names, *ours)))

    @property
    def troubles(self) -> tuple[str, ...]:
        """Runs that diverged or failed, with reasons."""
        return tuple(str(outcome) for outcome in self.outcomes if outcome.state != "finished")

    @property
    def _has_probe(self) -> bool:
        return any(row.row.is_baseline and row.selections for row in self.rows)

    def _without_face(self, outcome: Outcome) -> str:
        num_clips = outcome.metrics().num_clips
        return without_face_text(outcome.num_without_face, num_clips, f"{self.request.split} clips")

    @property
    def notes(self) -> tuple[str, ...]:
        """Facts for the comparison with the paper's numbers."""
        finished, spec, dataset = self.finished, self.request.spec, self.request.dataset
        notes = []
        if finished:
            clips = dict.fromkeys(f"{_clips(o.metrics())} in fold {o.fold}" for o in finished)
            rules = ", ".join(self.selections)
            chosen = "the epochs and the C of probes" if self._has_probe else "the epochs"
            measured = self.request.split.capitalize()
            notes += [f"{measured} clips: {', '.join(clips)}. Validation, which chose {chosen}: {rules}."]
            others = dict.fromkeys((o.row, o.selected_by) for o in finished if o.selected_by != "loss")
            named = "; ".join(f"{row}: {number.upper()}" for row, number in others)
            notes += [f"Epochs chosen by another number than the validation loss: {named}."] * bool(others)
        faceless = dict.fromkeys((o.fold, self._without_face(o)) for o in finished)
        notes += [f"Fold {fold}: {text}." for fold, text in faceless if text]
        trained = dict.fromkeys(f"{o.num_train:,} in fold {o.fold}" for o in finished if o.num_train)
        if trained:
            notes += [f"Training clips: {', '.join(trained)}."]
        precisions = dict.fromkeys(o.precision for o in finished if o.precision)
        if precisions:
            notes += [f"Precision of training: {'; '.join(precisions)}."]
        notes += [f"Row '{row.name}': {', '.join(row.facts)}." for row in self.rows if row.facts]
        if any(row.apart for row in self.rows):
            notes += [_APART]
        incomplete = [row for row in self.rows if row.summary and row.gaps]
        if len(self.request.folds) > 1 and incomplete:
            rows = "; ".join(f"{row.name}: {', '.join(row.gaps)}" for row in incomplete)
            notes += [f"Rows that lack runs: {rows}."]
        if self.request.num_shared_clips:
            num = counted(self.request.num_shared_clips, "clip")
            notes += [f"Folds are not pooled: {num} in several folds' test sets would count more than once."]
        if any(row.row.paper for row in self.rows) and spec.dataset not in ("", dataset):
            notes += [
                f"The paper's numbers are of {spec.dataset}, ours of {dataset}: other clips, "
                "so that only the differences between rows can be compared."
            ]
        notes += [spec.note] if spec.note else []
        machines = dict.fromkeys(f"{o.device} with {counted(o.threads, 'thread')}" for o in finished)
        if len(machines) > 1:
            notes += [f"Runs on different hardware: {', '.join(machines)}."]
        left_out = dict.fromkeys(f"fold {o.fold}: {what}" for o in finished for what in o.left_out)
        if left_out:
            notes += [f"Clips left out: {', '.join(left_out)}."]
        return tuple(notes)


def _clips(metrics: Metrics) -> str:
    """Return the number of clips, and of groups where any has several of them."""
    groups = metrics.counted_groups
    of_groups = "" if groups is None else f" of {counted(len(groups.number_G), 'group')}"
    return f"{metrics.num_clips:,}{of_groups}"
