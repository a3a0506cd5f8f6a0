"""A table of two rows that runs in seconds on the tiny cache, and who hears how it goes."""

from pathlib import Path

from trainer.ablate import Outcome, Spec
from trainer.ablate.spec import parsed

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


class Heard:
    """Remembers what is told of a grid; `stop_after` outcomes, Ctrl-C is pressed."""

    def __init__(self, stop_after: int = -1) -> None:
        self.started: tuple[int, int] | None = None
        self.outcomes: list[Outcome] = []
        self.said: list[str] = []
        self._stop_after = stop_after

    def start(self, num_to_do: int, num_before: int) -> None:
        self.started = (num_to_do, num_before)

    def outcome(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        if len(self.outcomes) == self._stop_after:
            raise KeyboardInterrupt

    def say(self, text: str) -> None:
        self.said.append(text)


def stamps(out: Path) -> dict[str, tuple[int, int]]:
    """Every file of the finished runs: which it is, and when it was written."""
    files = (path for path in out.glob("*/fold*/*") if path.is_file())
    return {str(path.relative_to(out)): (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}
