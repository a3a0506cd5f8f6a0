"""A prediction -> explanations of some windows: an image and a sentence for each, which name the methods.

Methods (decision 0029): answers of a face-only run, the same face with other scenes, leaving one frame out,
and filling one cell of the scene (occlusion). None of them names a cause: each shows how the answer of this
run changes with its input.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.cancel import CancelToken, TaskCancelledError
from pipeline.errors import ClipError, FileError, printable
from pipeline.own_dir import OwnDir
from pipeline.process.windows import MAIN, Window, WindowAgain, encode_streams, make_again
from pipeline.strict_json import from_json, to_json
from pipeline.types import Floats
from trainer.prediction.answers import HeadInput, predict_inputs
from trainer.prediction.effects import Effects, cell_effects, frame_effects
from trainer.prediction.explanation_choice import chosen_windows
from trainer.prediction.explanation_image import drawn_window
from trainer.prediction.explanation_text import sentence_of
from trainer.prediction.person_section import Explanation
from trainer.prediction.predict import Predictor
from trainer.prediction.results import Prediction, WindowAnswer
from trainer.prediction.run_options import window_options_of
from trainer.prediction.source import PlannedSource
from trainer.scene_sample import uses_scene

DIRECTORY, LINES_FILE = "explain", "explain.jsonl"
_IMAGE = re.compile(r"window-\d{6}\.png")
_MOST_BYTES = 64 << 20
_DIGITS = 6
_TOLERANCE = 1e-3
"""Largest difference of a probability from the stored one: beyond it, the window was not made again."""


def explain(
    predictor: Predictor,
    planned: PlannedSource,
    prediction: Prediction,
    out: OwnDir,
    count: str,
    *,
    is_new: bool = True,
    on_window: Callable[[int, int], None] = lambda *_: None,
    cancel: CancelToken | None = None,
) -> Mapping[int, Explanation]:
    """Write explain/explain.jsonl and an image for each explained window, which shows faces.

    Args:
        predictor: The predictor that made the prediction.
        planned: Its source.
        prediction: The prediction.
        out: Its directory.
        count: Windows per person, see `chosen_windows`: a number, ``all`` or ``none``.
        is_new: Whether the prediction has changed since an earlier call. If it has not, the explanations of
            that call are returned, if they are of the same windows with the same answers.
        on_window: Called after each window with the number of windows that are done, and of all.
        cancel: Ends the work early; explanations that are done are written, and returned.

    Returns:
        Explanations by index of the window; paths of images are relative to `out`.

    Raises:
        ConfigError: `count` is something else.
        FileError: A file cannot be written.
    """
    chosen = chosen_windows(prediction, count)
    place, cancel = out / DIRECTORY, cancel or CancelToken()
    if not is_new and (stored := _stored(place, prediction, chosen)) is not None:
        return stored
    remove_explanations(out)
    if not chosen:
        return {}
    place.make()
    found: dict[int, Explanation] = {}
    lines = []
    for done, index in enumerate(chosen, 1):
        try:
            cancel.raise_if_cancelled()
            made = _explained(index, predictor, planned, prediction, cancel)
        except TaskCancelledError:
            break
        except ClipError as error:
            found[index] = _not_explained(str(error))
            lines.append(_line(prediction, index, {"reason": str(error)}))
            on_window(done, len(chosen))
            continue
        name = f"window-{index:06d}.png"
        place.write_bytes(name, made.png)
        found[index] = Explanation(image=f"{DIRECTORY}/{name}", sentence=made.sentence)
        lines.append(_line(prediction, index, {"image": name, **made.values}))
        on_window(done, len(chosen))
    place.write_text(LINES_FILE, "".join(f"{line}\n" for line in lines))
    return found


def _line(prediction: Prediction, index: int, values: Mapping[str, Any]) -> str:
    """Return a line of explain.jsonl, with the hash of the window that it explains."""
    return to_json({"window": index, "window_sha256": _sha256(prediction, index), **values}, indent=None)


def _sha256(prediction: Prediction, index: int) -> str:
    return hashlib.sha256(prediction.windows[index].line().encode()).hexdigest()


def _stored(place: OwnDir, prediction: Prediction, chosen: Sequence[int]) -> Mapping[int, Explanation] | None:
    """Return the explanations of an earlier call; None if they are not of these windows, or unreadable."""
    try:
        lines = [from_json(line) for line in place.read_text(LINES_FILE, _MOST_BYTES).splitlines()]
        explained = [(line["window"], line["window_sha256"]) for line in lines]
        if explained != [(index, _sha256(prediction, index)) for index in chosen]:
            return None
        return {line["window"]: found for line in lines if (found := _of_line(place, line)) is not None}
    except (FileError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _of_line(place: OwnDir, line: Mapping[str, Any]) -> Explanation | None:
    """Return the explanation of a line; None without its image."""
    if "reason" in line:
        return _not_explained(str(line["reason"]))
    if not _IMAGE.fullmatch(line["image"]) or place.kind(line["image"]) != "file":
        return None
    return Explanation(image=f"{DIRECTORY}/{line['image']}", sentence=str(line["sentence"]))


def _not_explained(reason: str) -> Explanation:
    return Explanation(image=None, sentence=f"This window is not explained: {printable(reason)}.")


def remove_explanations(out: OwnDir) -> None:
    """Remove the explanations of an earlier call from the directory of a prediction."""
    place = out / DIRECTORY
    if not place.exists():
        return
    for name, kind in place.entries().items():
        if kind == "file" and (_IMAGE.fullmatch(name) or name == LINES_FILE):
            place.remove_file(name)


@dataclass(frozen=True, kw_only=True)
class _Explained:
    """The image of a window, its text, and the values of its line."""

    png: bytes
    sentence: str
    values: Mapping[str, Any]


def _explained(
    index: int, predictor: Predictor, planned: PlannedSource, prediction: Prediction, cancel: CancelToken
) -> _Explained:
    """Explain a window. Raises ClipError if its images cannot be made again, and TaskCancelledError."""
    answer, run, models = prediction.windows[index], predictor.run, predictor.models.models
    sees_scene = uses_scene(run.config)

    def on_batch(_: int) -> None:
        cancel.raise_if_cancelled()

    images = _again(answer, predictor, planned, prediction, cancel)
    features = encode_streams(images.streams, models, has_scene=sees_scene, on_batch=on_batch)
    one = HeadInput(features=features, valid_T=images.valid_T, in_view_T=images.in_view_T)
    number = run.class_names.index(answer.answer or "")
    _require_equal(answer, float(predict_inputs(run, [one])[0].class_C[number]), predictor.options.mask)
    cells = cell_effects(run, models, one, images, number, on_batch) if sees_scene else None
    effects = Effects(frame_T=frame_effects(run, one, number), cell_GG=cells)
    frames = images.frame_T[: int(images.valid_T.sum())].tolist()
    when = {place: _time(frame, planned) for place, frame in enumerate(frames)}
    sentence = sentence_of(answer, effects, when, sees_scene=sees_scene)
    start, end = when[0], when[len(when) - 1]
    if answer.start_seconds is not None and answer.end_seconds is not None:
        start, end = f"{answer.start_seconds:.2f} s", f"{answer.end_seconds:.2f} s"
    title = f"{answer.track}, {start} to {end}"  # a track keeps its name
    png = drawn_window(answer, images, effects, when, title, predictor.banners)
    return _Explained(png=png, sentence=sentence, values=_values(answer, frames, effects, sentence))


def _again(
    answer: WindowAnswer,
    predictor: Predictor,
    planned: PlannedSource,
    prediction: Prediction,
    cancel: CancelToken,
) -> WindowAgain:
    """Make the images of a window again. Raises ClipError if this fails, and TaskCancelledError."""
    window = _window_of(answer, planned)
    options = window_options_of(predictor.run, predictor.options)
    wanted = set(window.index_U.tolist())
    boxes: dict[int, Floats] = {}
    others: dict[int, list[Floats]] = {}
    for face in prediction.faces:
        if face.frame not in wanted:
            continue
        box = np.array(face.box_xyxy_px, np.float32)
        if face.track == answer.track:
            boxes[face.frame] = box
        elif options.mask == "everyone":
            others.setdefault(face.frame, []).append(box)
    if options.people == MAIN and options.mask == "everyone":
        for frame, box in boxes.items():
            others.setdefault(frame, []).append(box)
    return make_again(
        planned.path,
        planned.scan,
        window,
        None if options.people == MAIN else boxes,
        others,
        predictor.models.models,
        options,
        predictor.decoder,
        cancel,
    )


def _window_of(answer: WindowAnswer, planned: PlannedSource) -> Window:
    for window in planned.plan.windows:
        if (window.first, window.num_frames) == (answer.first_frame, answer.num_frames):
            return window
    raise ClipError("plan", f"no window begins with frame {answer.first_frame}; predict again")


def _require_equal(answer: WindowAnswer, probability: float, mask: str | None) -> None:
    """Raise ClipError if a window that was made again has another answer than the stored one."""
    assert answer.answer is not None, "windows with an answer are explained"
    assert answer.probability is not None
    stored = answer.probability[answer.answer]
    if abs(stored - probability) > _TOLERANCE:
        reason = (
            f"{answer.answer} is {probability:.4f} when the window is made again, and {stored:.4f} before"
        )
        if mask == "everyone":
            reason += (
                "; with --mask everyone, a face that was followed on few frames may be filled differently"
            )
        raise ClipError("explain", reason)


def _time(frame: int, planned: PlannedSource) -> str:
    return f"{planned.scan.seconds_N[frame]:.2f} s" if planned.scan.has_times else f"frame {frame}"


def _values(answer: WindowAnswer, frames: Sequence[int], effects: Effects, sentence: str) -> dict[str, Any]:
    """Return the values of a line of explain.jsonl."""
    changes = [round(float(x), _DIGITS) if np.isfinite(x) else None for x in effects.frame_T[: len(frames)]]
    cells = effects.cell_GG
    return {
        "track": answer.track,
        "start_seconds": answer.start_seconds,
        "end_seconds": answer.end_seconds,
        "answer": answer.answer,
        "frames": list(frames),
        "change_without_frame": changes,
        "change_without_cell": None if cells is None else np.round(cells, _DIGITS).tolist(),
        "sentence": sentence,
    }
