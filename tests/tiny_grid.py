"""A table of two rows that runs in seconds on the tiny cache, or whose outcomes are written by hand."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.own_dir import OwnDir
from trainer.ablate import Outcome, Spec
from trainer.ablate.spec import parsed
from trainer.ablate.sweep_directory import hold, partial_of, settle
from trainer.ablate.sweep_request import SweepRequest

QUICK = """
title = "Quick table"
dataset = "tiny"
preset = "smoke"
settings = ["schedule.max_steps=2", "model.frame_encoder_depth=0", "model.tfe_blocks=1"]
note = "The paper's note."

[[rows]]
name = "L_ce"
settings = ["losses.terms=contrast"]
paper = { uar = 55.12, war = 67.82, best_epoch = 10, recalls = { happiness = 93.01, sadness = 80.45 } }

[[rows]]
name = "L_global + TFE"
paper = { uar = 60.94, war = 74.1 }
"""

DIVERGING = '\n[[rows]]\nname = "far too fast"\nsettings = ["losses.logit_scale=1e39"]\n'


def quick_spec(more: str = "") -> Spec:
    """The table, with `more` TOML at its end."""
    return parsed(QUICK + more, "quick.toml")


def outcome(
    row: str, fold: str, seed: int, right: tuple[int, int], epoch: int = 2, **changes: object
) -> Outcome:
    """A run on 10 + 10 test clips that has `right` of each class right."""
    happy, sad = right
    values = {
        "state": "finished", "class_names": ("happiness", "sadness"),
        "confusion": ((happy, 10 - happy), (10 - sad, sad)),
        "best_epoch": epoch, "num_epochs": 9, "selection": "holdout", "device": "cpu", "threads": 1,
    }  # fmt: skip
    return Outcome(row=row, fold=fold, seed=seed, **{**values, **changes})


def diverged(row: str, fold: str, seed: int) -> Outcome:
    """A run without numbers."""
    return Outcome(row=row, fold=fold, seed=seed, state="diverged", reason="The loss at step 3 is nan.")


def quick_request(spec: Spec | None = None, **changes: object) -> SweepRequest:
    """Two seeds of the table on the first of two folds."""
    values = {
        "spec": spec or quick_spec(), "dataset": "tiny", "preset": "smoke", "settings": ("optim.lr=0.1",),
        "all_folds": ("1", "2"), "folds": ("1",), "seeds": (0, 1),
        "num_shared_clips": 0,
    }  # fmt: skip
    return SweepRequest(**{**values, **changes})


def stored(out: Path, request: SweepRequest, outcomes: Sequence[Outcome]) -> Path:
    """The folder of a grid, as `ablate` leaves it, with these outcomes and no weights."""
    identity = {"cache": {"fingerprint": "f" * 64}, "table": request.spec.title}
    by_run = {(one.row, one.fold, one.seed): one for one in outcomes}
    with hold(out, identity, request.to_dict(), request.plan):
        for run in request.runs():
            found = by_run.get((run.row.name, run.fold, run.seed))
            if found is not None:
                run_dir = OwnDir.of(out) / run.folder
                settle(partial_of(run_dir), run_dir, found)
    return out


class Heard:
    """Remembers what is told of a grid; `stop_after` outcomes, Ctrl-C is pressed."""

    def __init__(self, stop_after: int = -1) -> None:
        self.started: tuple[int, int] | None = None
        self.outcomes: list[Outcome] = []
        self.said: list[str] = []
        self._stop_after = stop_after

    def on_start(self, num_to_do: int, num_before: int) -> None:
        self.started = (num_to_do, num_before)

    def on_outcome(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        if len(self.outcomes) == self._stop_after:
            raise KeyboardInterrupt

    def on_remark(self, text: str) -> None:
        self.said.append(text)


def stamps(out: Path) -> dict[str, tuple[int, int]]:
    """Every file of the finished runs: which it is, and when it was written."""
    files = (path for path in out.glob("*/fold*/*") if path.is_file())
    return {str(path.relative_to(out)): (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}
