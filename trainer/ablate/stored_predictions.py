"""The directory of a sweep -> the predictions that its runs have stored."""

from functools import lru_cache

import numpy as np

from pipeline.errors import CheckpointError, FileError
from pipeline.own_dir import OwnDir
from trainer.ablate.comparisons import Predictions
from trainer.ablate.outcome import Outcome
from trainer.ablate.sweep_request import SweepRequest
from trainer.clip_predictions import ClipPredictions, read_predictions
from trainer.evaluation import PREDICTIONS

_MOST_KEPT = 64
"""Predictions in memory at once: those of the base row are read again for each other row."""


def read_predictions_of(folder: OwnDir, request: SweepRequest) -> Predictions:
    """Return a function that reads the predictions of a run of a sweep.

    It returns None if the run has stored none, or others than those of its outcome.

    Args:
        folder: Directory of the sweep.
        request: Its request.
    """
    folders = {(run.row.name, run.fold, run.seed): folder / run.folder for run in request.runs()}

    @lru_cache(maxsize=_MOST_KEPT)
    def read(row: str, fold: str, seed: int) -> ClipPredictions | None:
        try:
            return read_predictions(folders[row, fold, seed], f"{PREDICTIONS}.csv")
        except (FileError, CheckpointError):
            return None

    def predictions(outcome: Outcome) -> ClipPredictions | None:
        found = read(outcome.row, outcome.fold, outcome.seed)
        agrees = found is not None and np.array_equal(found.metrics().confusion, outcome.metrics().confusion)
        return found if agrees else None

    return predictions
