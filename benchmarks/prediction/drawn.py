"""A drawn film whose scene decides the true class, and the clips of the demo as one window each."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.prediction.settings import CPU, decoders
from benchmarks.prediction.videos import Section, draw_film
from pipeline.datasets.synthetic import SyntheticConfig
from pipeline.own_dir import OwnDir
from pipeline.process.windows import MAIN
from trainer.caches import open_cache
from trainer.measurement import measure
from trainer.prediction.extraction import load_run_models
from trainer.prediction.label_runs import timelines
from trainer.prediction.predict import Predictor
from trainer.prediction.results import Prediction
from trainer.prediction.source import NONE, PredictOptions, plan_source
from trainer.runs import load_run

_WINDOW_SECONDS, _STRIDE_SECONDS = 2.0, 0.5
_STEP_SECONDS = 0.01


def measure_film(demo: Path, folder: Path) -> dict[str, Any]:
    """Predict a drawn film with both runs of a demo.

    A model that sees only faces is right for half of the time at most, because every face is shown with both
    of the classes that it fits.

    Args:
        demo: Directory of the demo.
        folder: Directory for the film and the predictions.

    Returns:
        For each run, the share of the film's time at which its timeline has the true class.
    """
    film = folder / "film.mp4"
    sections = draw_film(film)
    result: dict[str, Any] = {"seconds": sections[-1].end, "face_only_bound": 0.5}
    with decoders() as decoder:
        for name in ("full", "face-only"):
            run = load_run(demo / "runs" / name, device="cpu")
            models = load_run_models(run, CPU)
            options = PredictOptions(window_seconds=_WINDOW_SECONDS, stride_seconds=_STRIDE_SECONDS)
            planned = plan_source(film, models.models.config, run.info, options, decoder)
            out = folder / f"film-{name}"
            out.mkdir()
            prediction = Predictor(run, models, options, decoder).predict(planned, OwnDir.of(out))
            right, answered = _share_right(prediction, sections)
            result[name] = {
                "share_of_time_right": right,
                "share_of_time_with_answer": answered,
                "cuts_seconds": list(prediction.cut_seconds),
                "windows": len(prediction.windows),
                "sections_right": [round(_share_right(prediction, [section])[0], 3) for section in sections],
            }
    result["labels"] = [section.label for section in sections]
    return result


def _share_right(prediction: Prediction, sections: Sequence[Section]) -> tuple[float, float]:
    """Return the shares of the sections' time with the true class, and with any answer."""
    runs = [run for line in timelines(prediction) for run in line.runs if run.answer is not None]
    right = answered = total = 0
    for section in sections:
        for seconds in np.arange(section.start + _STEP_SECONDS / 2, section.end, _STEP_SECONDS):
            answers = {run.answer for run in runs if run.start <= seconds < run.end}
            total += 1
            answered += bool(answers)
            right += answers == {section.label}
    return right / total, answered / total


def measure_clips(demo: Path) -> dict[str, Any]:
    """Predict the test clips of a demo as one window each, and compare with its measured probabilities.

    A clip without a face has no answer, although `evaluate` counts one for its centre; these are counted.
    """
    run_dir = demo / "runs" / "full"
    run = load_run(run_dir, device="cpu")
    measured = measure(run_dir, "test", device="cpu")
    logits_NC = torch.from_numpy(measured.scores.logits_NC).double()
    expected_NC = torch.softmax(logits_NC / run.temperature, dim=1).numpy()
    with open_cache(measured.place) as cache:
        clip_ids = [str(name) for name in cache.read("clip_id")[measured.row_N]]
    models = load_run_models(run, CPU)
    config = SyntheticConfig()
    options = PredictOptions(
        window_seconds=config.num_frames / config.fps, people=MAIN, min_share=0.0, min_face_px=0.0, shots=NONE
    )
    same = without_answer = 0
    largest = 0.0
    with decoders() as decoder:
        predictor = Predictor(run, models, options, decoder)
        for clip_id, expected_C in zip(clip_ids, expected_NC, strict=True):
            path = demo / "clips" / "clips" / f"{clip_id}.mp4"
            planned = plan_source(path, models.models.config, run.info, options, decoder)
            (answer,) = [one for answers in predictor.answers(planned) for one in answers]
            if answer.probability is None:
                without_answer += 1
                continue
            found_C = np.array([answer.probability[name] for name in run.class_names])
            same += int(found_C.argmax()) == int(expected_C.argmax())
            largest = max(largest, float(np.abs(found_C - expected_C).max()))
    return {
        "clips": len(clip_ids),
        "without_answer": without_answer,
        "same_class": same,
        "largest_difference_of_probability": largest,
        "accuracy_of_evaluate": float((measured.scores.predicted_N == measured.scores.label_N).mean()),
    }
