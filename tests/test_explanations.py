"""Explanations: which windows, their numbers held against plain computations, their texts and files."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pipeline.cancel import CancelToken
from pipeline.config import override
from pipeline.errors import ConfigError
from pipeline.frames import InlineDecoder
from pipeline.own_dir import OwnDir
from pipeline.types import Features
from tests.pixel_faces import pixel_models, two_people
from tests.small_predictions import CLASSES, answer_of, prediction, window, windows
from tests.tiny_cache import tiny_cache
from trainer.demo import face_only
from trainer.prediction.answers import HeadInput, OtherScenes, predict_inputs
from trainer.prediction.effects import Effects, frame_effects, without_frame
from trainer.prediction.explanation_choice import chosen_windows
from trainer.prediction.explanation_text import CELLS_CAPTION, LARGER_PERCENT, MEASURED_CLIPS, sentence_of
from trainer.prediction.explanations import explain
from trainer.prediction.extraction import RunModels
from trainer.prediction.page import as_page
from trainer.prediction.person_section import PageExtras
from trainer.prediction.predict import Predictor
from trainer.prediction.source import PredictOptions, plan_source
from trainer.presets import smoke
from trainer.runs import load_run
from trainer.scene_sample import find_scenes
from trainer.training import train

pytestmark = pytest.mark.usefixtures("one_tiny_encoder")
NO_CELLS = Effects(frame_T=np.array([0.01, -0.3, np.nan]), cell_GG=None)
ROOT = Path(__file__).parents[1]
WHEN = {0: "0.10 s", 1: "0.50 s"}


@pytest.fixture(scope="module", autouse=True)
def no_drawing():
    """Draw the figures of this module."""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A full run, a face-only run, and a video."""
    folder = tmp_path_factory.mktemp("explain")
    cache = tiny_cache(folder / "feats.zarr")
    quick = override(smoke(), ["schedule.max_epochs=1"])
    train(cache, folder / "full", quick, device="cpu")
    train(cache, folder / "face", face_only(quick), device="cpu")
    two_people(folder / "two.mp4")
    return folder


@pytest.fixture(scope="module")
def runs(made):
    return load_run(made / "full", device="cpu"), load_run(made / "face", device="cpu")


def features(run, seed=0):
    generator = np.random.default_rng(seed)
    info = run.info

    def drawn(*shape):
        return generator.normal(size=(1, info.num_frames, *shape)).astype(np.float16)

    return Features(
        face_embedding=drawn(info.embed_width),
        scene_embedding=drawn(info.embed_width),
        scene_early=drawn(4, 3, info.encoder_width),
    )


def head_input(run, num_valid=4, seed=0):
    valid_T = np.arange(4) < num_valid
    return HeadInput(features=features(run, seed), valid_T=valid_T, in_view_T=valid_T)


def test_the_surest_window_of_each_class_comes_first_then_those_apart():
    found = prediction(
        [
            window(0, "happiness", largest=0.7), window(0.5, "happiness", largest=0.95),
            window(1.0, "happiness", largest=0.9), window(1.5, "sadness", largest=0.6), window(2.0, None),
            window(6.0, "happiness", largest=0.5), window(7.0, "happiness", largest=0.55),
        ]
    )  # fmt: skip
    assert chosen_windows(found, "1") == [1]
    assert chosen_windows(found, "2") == [1, 3]
    assert chosen_windows(found, "3") == [1, 3, 6]
    assert chosen_windows(found, "9") == [1, 3, 6], "the others overlap these"
    assert chosen_windows(found, "all") == [0, 1, 2, 3, 5, 6]
    assert chosen_windows(found, "none") == []


def test_every_person_has_windows_and_doubtful_ones_are_last():
    answers = [
        window(0, "happiness", flags=("doubtful",), largest=0.99), window(4, "happiness"),
        *windows("s", track="s00p2"),
    ]  # fmt: skip
    found = prediction(answers, {"P1": ["s00p1"], "P2": ["s00p2"]})
    assert chosen_windows(found, "1") == [1, 2]


@pytest.mark.parametrize("count", ["0", "-1", "some", "1.5", ""])
def test_another_number_is_refused(count):
    with pytest.raises(ConfigError, match=f"--explain is '{count}'; allowed: all, none, or a number"):
        chosen_windows(prediction([]), count)


def test_sentences_name_the_method_and_the_face_alone_only_with_a_face_only_run():
    answer = window(
        0, "happiness", largest=0.72, with_other_scenes=answer_of("sadness", 0.5),
        face_run={"happiness": 0.1, "sadness": 0.5, "neutral": 0.4},
    )  # fmt: skip
    cells = np.full((4, 4), 0.1)
    cells[1, 2] = -0.21
    assert sentence_of(answer, replace(NO_CELLS, cell_GG=cells), WHEN, sees_scene=True) == (
        "Face-only run: sadness 0.50, neutral 0.40. With the scene: happiness 0.72 (with other scenes: "
        "sadness 0.50, happiness 0.25). Leave one frame out: happiness 0.42 without the frame at 0.50 s. "
        "Occlusion: happiness 0.51 with the cell in row 2, column 3 of the scene filled."
    )
    alone = replace(answer, face_run=None, with_other_scenes=answer_of("happiness", 0.6))
    text = sentence_of(alone, NO_CELLS, WHEN, sees_scene=True)
    assert text.startswith("With the scene: happiness 0.72 (with other scenes: happiness 0.60). Leave")
    assert "alone" not in text
    text = sentence_of(replace(alone, with_other_scenes=None), NO_CELLS, WHEN, sees_scene=False)
    assert text.startswith("This run is face-only: happiness 0.72. Leave one")
    nothing = Effects(frame_T=np.full(4, np.nan), cell_GG=np.full((4, 4), 0.2))
    text = sentence_of(alone, nothing, {}, sees_scene=True)
    assert text.endswith("Occlusion: no cell of the scene lowers happiness when it is filled.")
    assert set(alone.probability) == set(CLASSES)


def test_the_caption_has_the_numbers_of_the_deletion_test():
    result = json.loads((ROOT / "benchmarks/results/explanations.json").read_text())
    larger = [abs(clip["change_first"]) > abs(clip["change_drawn"]) for clip in result["clips"]]
    assert result["share_larger"] == np.mean(larger)
    assert (round(100 * np.mean(larger)), len(larger)) == (LARGER_PERCENT, MEASURED_CLIPS)
    assert len(larger) == result["measured_clips"] == result["decided_clips"]
    assert f"{LARGER_PERCENT}% of {MEASURED_CLIPS} clips" in CELLS_CAPTION


def test_without_a_frame_the_later_ones_move_up(runs):
    one = replace(head_input(runs[0], 3), in_view_T=np.array([True, False, True, False]))
    left = without_frame(one, 0)
    assert left.valid_T.tolist() == [True, True, False, False]
    assert left.in_view_T.tolist() == [False, True, False, False]
    for name in ("face_embedding", "scene_embedding", "scene_early"):
        before, after = getattr(one.features, name), getattr(left.features, name)
        np.testing.assert_array_equal(after, before[:, [1, 2, 2, 2]])
    assert without_frame(one, 2).in_view_T.tolist() == [True, False, False, False]


def test_changes_without_frames_are_those_of_plain_predictions(runs):
    for run in runs:
        one = head_input(run, 3)
        changes = frame_effects(run, one, 1)
        before = predict_inputs(run, [one])[0].class_C[1]
        for frame in range(3):
            alone = predict_inputs(run, [without_frame(one, frame)])[0].class_C[1]
            assert changes[frame] == alone - before
        assert np.isnan(changes[3])
    assert np.isnan(frame_effects(runs[0], head_input(runs[0], 1), 1)).all()


def test_with_other_scenes_is_the_mean_over_scenes_and_forgets_the_own_one(runs):
    run = runs[0]
    scenes, _ = find_scenes(run)
    one = head_input(run)
    others = OtherScenes(run, scenes)
    mean = others.probabilities(one)
    assert mean.sum() == pytest.approx(1)
    other = replace(features(run, 9), face_embedding=one.features.face_embedding)
    np.testing.assert_array_equal(others.probabilities(replace(one, features=other)), mean)
    by_hand = []
    for n in range(min(16, len(scenes))):
        behind = replace(
            one.features,
            scene_embedding=scenes.scene_NTF[n].numpy()[None],
            scene_early=np.repeat(scenes.early_N43D[n].numpy()[None, None], 4, axis=1),
        )
        by_hand.append(predict_inputs(run, [replace(one, features=behind)])[0].class_C)
    np.testing.assert_allclose(mean, np.mean(by_hand, axis=0), atol=1e-5)


def predicted(made, run, face_run, out, **options):
    models = RunModels(models=pixel_models(), identity={}, banners=())
    options = PredictOptions(window_seconds=0.8, min_face_px=0, **options)
    planned = plan_source(made / "two.mp4", models.models.config, run.info, options)
    predictor = Predictor(run, models, options, InlineDecoder(), face_run)
    place = OwnDir.of(out)
    place.make()
    return predictor, planned, predictor.predict(planned, place), place


def test_files_of_explanations(made, runs, tmp_path):
    predictor, planned, found, out = predicted(made, *runs, tmp_path / "out")
    assert all(answer.with_other_scenes is not None for answer in found.windows if answer.answer)
    done = []
    explained = explain(predictor, planned, found, out, "1", on_window=lambda *numbers: done.append(numbers))
    assert sorted(explained) == chosen_windows(found, "1")
    assert len(explained) == len(found.people) >= 2
    assert done == [(n + 1, len(explained)) for n in range(len(explained))]
    lines = [json.loads(line) for line in (out.path / "explain/explain.jsonl").read_text().splitlines()]
    for line in lines:
        answer, shown = found.windows[line["window"]], explained[line["window"]]
        assert (line["sentence"], f"explain/{line['image']}") == (shown.sentence, shown.image)
        assert shown.sentence.startswith("Face-only run: ")
        assert len(line["frames"]) == len(line["change_without_frame"]) == 4
        assert np.array(line["change_without_cell"]).shape == (4, 4)
        assert line["answer"] == answer.answer
        assert cv2.imread(str(out.path / shown.image)).shape[1] > 600
    assert explain(predictor, planned, found, out, "1", is_new=False) == explained
    (out.path / "explain/window-999999.png").touch()
    other = replace(found, windows=[replace(one, calibrated=not one.calibrated) for one in found.windows])
    explain(predictor, planned, other, out, "1", is_new=False)  # not of these windows: made again
    assert not (out.path / "explain/window-999999.png").exists()
    cancel = CancelToken()
    cancel.cancel()
    assert explain(predictor, planned, found, out, "1", cancel=cancel) == {}
    assert [path.name for path in (out.path / "explain").iterdir()] == ["explain.jsonl"]


class CancellingDecoder(InlineDecoder):
    """Decodes in this thread, and cancels at an answer."""

    def __init__(self, cancel, at):
        self._cancel, self._at, self.num_answers = cancel, at, 0

    def parts(self, job, *, waiting_bytes=0):
        for part in super().parts(job, waiting_bytes=waiting_bytes):
            self.num_answers += 1
            if self.num_answers == self._at:
                self._cancel.cancel()
            yield part


def test_explaining_ends_while_frames_are_decoded(made, runs, tmp_path):
    predictor, planned, found, out = predicted(made, runs[0], None, tmp_path / "out")
    cancel = CancelToken()
    decoder = CancellingDecoder(cancel, at=2)
    other = Predictor(runs[0], predictor.models, predictor.options, decoder)
    assert explain(other, planned, found, out, "all", cancel=cancel) == {}
    assert decoder.num_answers == 2
    assert (out.path / "explain/explain.jsonl").read_text() == ""


def test_a_face_only_run_is_explained_without_cells(made, runs, tmp_path):
    predictor, planned, found, out = predicted(made, runs[1], None, tmp_path / "out", people="main")
    assert all(answer.with_other_scenes is None for answer in found.windows)
    explained = explain(predictor, planned, found, out, "1")
    (line, *_) = map(json.loads, (out.path / "explain/explain.jsonl").read_text().splitlines())
    assert line["change_without_cell"] is None
    assert explained[line["window"]].sentence.startswith("This run is face-only: ")


def test_a_window_that_is_not_made_again_is_not_explained(made, runs, tmp_path):
    predictor, planned, found, out = predicted(made, runs[0], None, tmp_path / "out")
    (index,) = chosen_windows(replace(found, people=found.people[:1]), "1")
    answer = found.windows[index]
    wrong = {name: 1 - value for name, value in answer.probability.items()}
    changed = list(found.windows)
    changed[index] = replace(answer, probability=wrong)
    other = replace(found, people=found.people[:1], windows=tuple(changed))
    explained = explain(predictor, planned, other, out, "1")
    assert (explained[index].image, len(explained)) == (None, 1)
    (line,) = map(json.loads, (out.path / "explain/explain.jsonl").read_text().splitlines())
    assert "when the window is made again" in line["reason"]
    assert explained[index].sentence == f"This window is not explained: {line['reason']}."
    assert explain(predictor, planned, other, out, "1", is_new=False) == explained
    page = "".join(as_page(other, PageExtras(explanations=explained)))
    assert "This window is not explained: explain: " in page
    assert "<img" not in page
    assert torch.is_inference_mode_enabled() is False
