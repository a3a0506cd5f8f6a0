"""Features of windows -> answers of a run, and of a face-only run beside it.

Letters: B windows of a batch; C classes; P polarities (3).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from pipeline.errors import ConfigError
from pipeline.fingerprint import differences
from pipeline.process.windows import WindowSample
from pipeline.types import Bools, Features, Floats
from trainer.batches import Batch
from trainer.feature_batch import batch_of
from trainer.model import SceneStream
from trainer.prediction.answer_values import POLARITIES, HeadAnswer
from trainer.prediction.results import DOUBTFUL, GAP, SHORT, WindowAnswer
from trainer.run_info import OF_MODEL_INPUT
from trainer.runs import Run
from trainer.scene_sample import SceneSample
from trainer.threads import one_thread

_BATCH = 16
"""Windows of a batch, always: the answer for a window does not depend on the others of its batch."""
_DIGITS = 6


@dataclass(frozen=True, kw_only=True)
class HeadInput:
    """Features of a person in a window: one view of T frames.

    Attributes:
        features: The features.
        valid_T: True for valid frames, which come first.
        in_view_T: True for the valid frames on which the person is in view.
    """

    features: Features
    valid_T: Bools
    in_view_T: Bools


@dataclass(frozen=True, kw_only=True)
class Probabilities:
    """Probabilities for one window: of the classes [C], and of the polarities [P] if the model has them."""

    class_C: npt.NDArray[np.float64]
    polarity_P: npt.NDArray[np.float64] | None


class Head:
    """Answers for features: those of a run, of a face-only run, and with the scenes of other clips.

    Args:
        run: The run.
        face_run: A face-only run on the same features, whose answers are shown beside; None for none.
        scenes: Scenes of training clips, for answers with other scenes; None for none.
    """

    def __init__(self, run: Run, face_run: Run | None = None, scenes: SceneSample | None = None) -> None:
        self._run, self._face_run = run, face_run
        self._other_scenes = None if scenes is None else OtherScenes(run, scenes)

    @property
    def no_answer(self) -> HeadAnswer:
        """The result without features."""
        return HeadAnswer(answer=None, probability=None, calibrated=self._run.is_calibrated, margin=None)

    def answers(self, inputs: Sequence[HeadInput]) -> list[HeadAnswer]:
        """Return the answer for each input. It does not depend on the other inputs."""
        of_face = iter(predict_inputs(self._face_run, inputs) if self._face_run else ())
        return [
            self._answer(one, predicted, next(of_face, None))
            for one, predicted in zip(inputs, predict_inputs(self._run, inputs), strict=True)
        ]

    def _answer(self, one: HeadInput, predicted: Probabilities, of_face: Probabilities | None) -> HeadAnswer:
        names, probability_C, polarity_P = self._run.class_names, predicted.class_C, predicted.polarity_P
        others_C = None if self._other_scenes is None else self._other_scenes.probabilities(one)
        ranked = np.sort(probability_C)[::-1]
        return HeadAnswer(
            answer=names[int(probability_C.argmax())],
            probability=_named(names, probability_C),
            calibrated=self._run.is_calibrated,
            margin=round(float(ranked[0] - ranked[1]), _DIGITS),
            polarity=None if polarity_P is None else _named(POLARITIES, polarity_P),
            with_other_scenes=None if others_C is None else _named(names, others_C),
            face_run=None if of_face is None else _named(names, of_face.class_C),
        )


class Answerer:
    """Answers for windows of one video.

    Args:
        head: Answers for features.
        video: Name of the video.
        seconds_N: Times of the video's frames; NaN without times.
        end_seconds: End of the last frame.
    """

    def __init__(
        self, head: Head, *, video: str, seconds_N: npt.NDArray[np.float64], end_seconds: float
    ) -> None:
        self._head, self._video = head, video
        self._seconds_N, self._end_seconds = seconds_N, end_seconds

    def answers(self, samples: Sequence[WindowSample]) -> list[WindowAnswer]:
        """Return the answer for each sample."""
        answered = iter(
            self._head.answers(
                [
                    HeadInput(features=sample.features, valid_T=sample.valid_T, in_view_T=sample.in_view_T)
                    for sample in samples
                    if sample.features is not None
                ]
            )
        )
        return [
            self._window(sample, self._head.no_answer if sample.features is None else next(answered))
            for sample in samples
        ]

    def _window(self, sample: WindowSample, found: HeadAnswer) -> WindowAnswer:
        window = sample.window
        start, end = self._span(window.first, window.end)
        flags = [(SHORT, window.is_short), (DOUBTFUL, sample.is_doubtful), (GAP, sample.has_gap)]
        return WindowAnswer(
            **vars(found),
            video=self._video,
            shot=window.shot,
            track=sample.track,
            start_seconds=start,
            end_seconds=end,
            first_frame=window.first,
            num_frames=window.num_frames,
            frames_found=sample.frames_found,
            num_sampled=sample.num_sampled,
            box_xyxy_px=rounded_box(sample.box_xyxy_px),
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
    found = differences(
        {name: getattr(face_run.info, name) for name in OF_MODEL_INPUT},
        {name: getattr(run.info, name) for name in OF_MODEL_INPUT},
    )
    if found:
        msg = (
            f"--face-run '{face_run.path}' ('here') does not fit '{run.path}' ('there'): {'; '.join(found)}. "
            "Give a face-only run that was trained on the same cache."
        )
        raise ConfigError(msg)


def predict_inputs(run: Run, inputs: Sequence[HeadInput]) -> list[Probabilities]:
    """Return the probabilities for each input.

    Every batch has 16 inputs, the last one repeated, so that no answer depends on the number of inputs.
    """
    found: list[Probabilities] = []
    for start in range(0, len(inputs), _BATCH):
        part = list(inputs[start : start + _BATCH])
        with one_thread():
            outputs = run.outputs(_batch_of(run, part + [part[-1]] * (_BATCH - len(part))))
        probability_BC = run.calibrated(outputs.logits_BC.double()).cpu().numpy()
        logits_BP = outputs.polarity_logits_BP
        polarity_BP = None if logits_BP is None else torch.softmax(logits_BP.double(), dim=1).cpu().numpy()
        for row in range(len(part)):
            polarity_P = None if polarity_BP is None else polarity_BP[row]
            found.append(Probabilities(class_C=probability_BC[row], polarity_P=polarity_P))
    return found


class OtherScenes:
    """Answers of a run for faces with the scenes of other clips.

    Args:
        run: The run.
        scenes: Scenes of its training clips.
    """

    def __init__(self, run: Run, scenes: SceneSample) -> None:
        self._run, self._scenes = run, scenes
        self._stream: SceneStream | None = None

    def probabilities(self, one: HeadInput) -> npt.NDArray[np.float64]:
        """Return the mean probabilities [C] of an input's face with each of the scenes, in one batch."""
        run = self._run
        with one_thread():
            batch = self._scenes.behind(_batch_of(run, [one]))
            self._stream = run.scene_stream(batch) if self._stream is None else self._stream
            outputs = run.outputs(batch, self._stream)
        probability_BC = run.calibrated(outputs.logits_BC.double())
        mean_C: npt.NDArray[np.float64] = self._scenes.mean_of(probability_BC).cpu().numpy()
        return mean_C


def _batch_of(run: Run, inputs: Sequence[HeadInput]) -> Batch:
    return batch_of(
        [one.features for one in inputs],
        np.stack([one.valid_T for one in inputs]),
        np.stack([one.in_view_T for one in inputs]),
        run.config,
        run.device,
    )


def _named(names: Sequence[str], values: npt.NDArray[np.float64]) -> Mapping[str, float]:
    return {name: round(float(value), _DIGITS) for name, value in zip(names, values, strict=True)}


def rounded_box(box: Floats | None) -> tuple[float, float, float, float] | None:
    """Return the edges of a box [4] in the digits of all outputs; None without one."""
    if box is None:
        return None
    x0, y0, x1, y1 = (round(float(edge), 2) for edge in box)
    return x0, y0, x1, y1
