"""Features of windows -> answers of a run, and of a face-only run beside it.

Letters: B windows of a batch; C classes; P polarities (3).
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch

from pipeline.errors import ConfigError
from pipeline.fingerprint import differences
from pipeline.process.windows import WindowSample
from pipeline.types import Polarity
from trainer.feature_batch import batch_of
from trainer.prediction.results import DOUBTFUL, GAP, SHORT, WindowAnswer
from trainer.runs import Run

_BATCH = 16
"""Windows of a batch, always: the answer for a window does not depend on the others of its batch."""
_DIGITS = 6
_POLARITIES = tuple(
    polarity.name.lower() for polarity in (Polarity.NEGATIVE, Polarity.NEUTRAL, Polarity.POSITIVE)
)


class Answerer:
    """Answers for windows of one video.

    Args:
        run: The run.
        face_run: A face-only run on the same features, whose answers are shown beside; None for none.
        video: Name of the video.
        seconds_N: Times of the video's frames; NaN without times.
        end_seconds: End of the last frame.

    Raises:
        ConfigError: The face-only run does not fit the run, or uses the scene.
    """

    def __init__(
        self,
        run: Run,
        face_run: Run | None,
        *,
        video: str,
        seconds_N: npt.NDArray[np.float64],
        end_seconds: float,
    ) -> None:
        if face_run is not None:
            require_face_run(run, face_run)
        self._run, self._face_run, self._video = run, face_run, video
        self._seconds_N, self._end_seconds = seconds_N, end_seconds

    def answers(self, samples: Sequence[WindowSample]) -> list[WindowAnswer]:
        """Return the answer for each sample."""
        with_features = [sample for sample in samples if sample.features is not None]
        predicted = iter(_predicted(self._run, with_features))
        of_face = iter(_predicted(self._face_run, with_features) if self._face_run else ())
        answers = []
        for sample in samples:
            if sample.features is None:
                answers.append(self._answer(sample, None, None))
            else:
                answers.append(self._answer(sample, next(predicted), next(of_face, None)))
        return answers

    def _answer(
        self,
        sample: WindowSample,
        predicted: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64] | None] | None,
        of_face: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64] | None] | None,
    ) -> WindowAnswer:
        window, names = sample.window, self._run.class_names
        start, end = self._span(window.first, window.end)
        probability_C, polarity_P = predicted or (None, None)
        flags = [(SHORT, window.is_short), (DOUBTFUL, sample.is_doubtful), (GAP, sample.has_gap)]
        box = sample.box_xyxy_px
        ranked = None if probability_C is None else np.sort(probability_C)[::-1]
        return WindowAnswer(
            video=self._video,
            shot=window.shot,
            track=sample.track,
            start_seconds=start,
            end_seconds=end,
            first_frame=window.first,
            num_frames=window.num_frames,
            frames_found=sample.frames_found,
            num_sampled=sample.num_sampled,
            box_xyxy_px=None if box is None else _box(box),
            answer=None if probability_C is None else names[int(probability_C.argmax())],
            probability=None if probability_C is None else _named(names, probability_C),
            calibrated=self._run.is_calibrated,
            margin=None if ranked is None else round(float(ranked[0] - ranked[1]), _DIGITS),
            polarity=None if polarity_P is None else _named(_POLARITIES, polarity_P),
            face_run=None if of_face is None else _named(names, of_face[0]),
            reason=sample.reason or None,
            flags=tuple(name for name, is_set in flags if is_set),
        )

    def _span(self, first: int, end: int) -> tuple[float | None, float | None]:
        """Return start and end in seconds, such that `extract` reads the same frames; None without times."""
        if np.isnan(self._end_seconds):
            return None, None
        after = self._end_seconds if end == len(self._seconds_N) else float(self._seconds_N[end])
        return float(self._seconds_N[first]), after


def require_face_run(run: Run, face_run: Run) -> None:
    """Raise ConfigError unless a run uses the face alone, and the classes and features of another one."""
    if face_run.config.model.scene or face_run.config.has_polarity_token:
        msg = (
            f"--face-run '{face_run.path}' uses the scene; give a face-only run, trained with --set "
            "model.scene=false --set model.polarity=false."
        )
        raise ConfigError(msg)
    names = ("class_names", "encoder_name", "encoder_sha256", "num_frames", "embed_width", "encoder_width")
    found = differences(
        {name: getattr(face_run.info, name) for name in names},
        {name: getattr(run.info, name) for name in names},
    )
    if found:
        msg = (
            f"--face-run '{face_run.path}' ('here') does not fit '{run.path}' ('there'): {'; '.join(found)}. "
            "Give a face-only run that was trained on the same cache."
        )
        raise ConfigError(msg)


def _predicted(
    run: Run, samples: Sequence[WindowSample]
) -> list[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64] | None]]:
    """Return the probabilities [C] of each sample, and those of polarities [P] if the model has them."""
    found: list[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64] | None]] = []
    for start in range(0, len(samples), _BATCH):
        part = list(samples[start : start + _BATCH])
        padded = part + [part[-1]] * (_BATCH - len(part))
        batch = batch_of(
            [sample.features for sample in padded if sample.features is not None],
            np.stack([sample.valid_T for sample in padded]),
            np.stack([sample.in_view_T for sample in padded]),
            run.config,
            run.device,
        )
        outputs = run.outputs(batch)
        probability_BC = torch.softmax(outputs.logits_BC.double() / run.temperature, dim=1).cpu().numpy()
        logits_BP = outputs.polarity_logits_BP
        polarity_BP = None if logits_BP is None else torch.softmax(logits_BP.double(), dim=1).cpu().numpy()
        for row in range(len(part)):
            found.append((probability_BC[row], None if polarity_BP is None else polarity_BP[row]))
    return found


def _named(names: Sequence[str], values: npt.NDArray[np.float64]) -> Mapping[str, float]:
    return {name: round(float(value), _DIGITS) for name, value in zip(names, values, strict=True)}


def _box(box: npt.NDArray[np.float32]) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = (round(float(edge), 2) for edge in box)
    return x0, y0, x1, y1
