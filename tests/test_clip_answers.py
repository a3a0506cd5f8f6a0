"""Answers for clips are made of what `process_block` returns, whatever it returns."""

from dataclasses import fields

import numpy as np
import pytest
import torch

from pipeline.cancel import CancelToken
from pipeline.errors import OusError
from pipeline.process import InlineDecoder, process_block
from pipeline.process.windows import WindowOptions
from pipeline.strict_json import from_json
from pipeline.types import ClipRef, ProvidedBoxes
from tests.pixel_faces import pixel_models, two_people
from tests.small_clips import small_models_with
from trainer.prediction import clip_answers
from trainer.prediction.answer_values import HeadAnswer
from trainer.prediction.clip_answers import answer_clips
from trainer.prediction.clip_results import ClipAnswer

ROOM, ASSERT = "no room", "CUDA error: device-side assert triggered"


class FirstClass:
    """A head that answers with the first class, and keeps its inputs."""

    no_answer = HeadAnswer(answer=None, probability=None, calibrated=True, margin=None)

    def __init__(self):
        self.inputs = []

    def answers(self, inputs):
        self.inputs += inputs
        return [HeadAnswer(answer="a", probability={"a": 1.0, "b": 0.0}, calibrated=True, margin=1.0)] * len(
            inputs
        )


def clip(path, **fields):
    return ClipRef(**{"clip_id": path, "path": path, "label": -1, "splits": (), **fields})


def answer(root, clips, models, head=None, **options):
    return answer_clips(
        root,
        clips,
        models,
        head or FirstClass(),
        WindowOptions(people="main", **{"min_face_px": 0, **options}),
        InlineDecoder(),
        cancel=CancelToken(),
    )


def values_of(one):
    """The values of an answer's line."""
    return from_json(one.line())


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    two_people(folder / "two.mp4")
    (folder / "broken.mp4").write_bytes(b"no video")
    return folder


CLIPS = (
    clip("two.mp4"),
    clip("two.mp4", clip_id="part", start_seconds=1.0, end_seconds=3.0),
    clip("two.mp4", clip_id="few", end_seconds=0.25),
)


def test_the_head_sees_the_features_of_extract_over_a_cut(root):
    models, head = pixel_models(track={"method": "motion"}), FirstClass()
    found = answer(root, CLIPS, models, head)
    outcomes = process_block(root, CLIPS, models).outcomes
    assert outcomes[0].frames.shot_U.max() == 1
    for seen, outcome in zip(head.inputs, outcomes, strict=True):
        for part in fields(outcome.features):
            one, other = getattr(seen.features, part.name), getattr(outcome.features, part.name)
            assert np.array_equal(one, other) if other is not None else one is None
        assert seen.valid_T.tolist() == outcome.frames.valid_VT[0].tolist()
    assert [one.answer for one in found] == ["a"] * 3
    assert [one.flags for one in found] == [(), (), ("short",)]
    assert [one.frames_found for one in found] == [int(one.track.found.sum()) for one in outcomes]
    assert found[0].source_sha256 == outcomes[0].source.sha256


def test_only_the_first_view_is_encoded_and_has_the_features_of_extract(root, monkeypatch):
    models, head = pixel_models(track={"method": "motion"}, frames={"num_views": 4}), FirstClass()
    num_encoded, encode = [], type(models.encoder).encode

    def counting(self, images, **options):
        num_encoded.append(len(images))
        return encode(self, images, **options)

    monkeypatch.setattr(type(models.encoder), "encode", counting)
    found = answer(root, CLIPS[:1], models, head)
    num_frames = models.config.frames.num_frames
    assert num_encoded == [num_frames, num_frames]
    (outcome,) = process_block(root, CLIPS[:1], models).outcomes
    assert num_encoded[2] > 2 * num_frames
    (seen,) = head.inputs
    for part in fields(outcome.features):
        one, other = getattr(seen.features, part.name), getattr(outcome.features, part.name)
        assert np.array_equal(one[0], other[0]) if other is not None else one is None
    used = outcome.frames.position_VT[0]
    assert found[0].frames_found == outcome.track.found[used].sum()
    assert found[0].num_sampled == num_frames


def test_a_small_face_has_no_answer_and_is_not_shown_to_the_head(root):
    head = FirstClass()
    (found,) = answer(root, CLIPS[:1], pixel_models(), head, min_face_px=200)
    assert (found.answer, found.failed_at, head.inputs) == (None, None, [])
    assert found.reason.endswith("px; at least 200 px are needed")
    assert found.box_xyxy_px is not None


def test_a_failed_clip_is_between_others(root):
    found = answer(root, [CLIPS[0], clip("broken.mp4"), clip("gone.mp4"), CLIPS[1]], pixel_models())
    assert [one.failed_at for one in found] == [None, "open", "open", None]
    assert [one.answer for one in found] == ["a", None, None, "a"]
    assert all(one.reason.startswith("open: ") and one.num_sampled == 0 for one in found[1:3])
    for one in found:
        assert ClipAnswer.of_values(values_of(one)) == one


@pytest.mark.parametrize("fault", [MemoryError, torch.OutOfMemoryError])
def test_clips_that_do_not_fit_together_are_processed_one_by_one(root, monkeypatch, fault):
    together = answer(root, CLIPS, pixel_models())

    def small_memory(root, clips, *others, **named):
        if len(clips) > 1 or clips[0].clip_id == "part":
            raise fault(ROOM)
        return process_block(root, clips, *others, **named)

    monkeypatch.setattr(clip_answers, "process_block", small_memory)
    first, lost, last = answer(root, CLIPS, pixel_models())
    assert (first, last) == (together[0], together[2])
    assert (lost.answer, lost.failed_at, lost.reason) == (None, "memory", "out of memory (no room)")


def test_a_fault_of_the_device_ends_the_command(root, monkeypatch):
    def broken(*_, **__):
        raise torch.AcceleratorError(ASSERT)

    monkeypatch.setattr(clip_answers, "process_block", broken)
    with pytest.raises(OusError, match="finished clips are safe"):
        answer(root, CLIPS[:1], pixel_models())


def test_a_run_on_the_boxes_of_a_dataset_reads_them_from_the_list(root):
    models = small_models_with(faces={"source": "boxes"})
    box = ProvidedBoxes(box_xyxy=np.array([[5, 9, 37, 45]], np.float32), frame_index=None)
    with_box, without = answer(
        root, [clip("two.mp4", provided_boxes=box), clip("two.mp4", clip_id="none")], models
    )
    assert (with_box.answer, with_box.frames_found) == ("a", with_box.num_sampled)
    assert without.reason.startswith("face found on 0 of ")


@pytest.mark.parametrize(
    ("name", "value"),
    [("flags", "short"), ("answer", "c"), ("frames_found", -1), ("start_seconds", "0"), ("failed_at", 1),
     ("box_xyxy_px", [1, 2, 3]), ("probability", None), ("reason", 5), ("clip_id", None)],
)  # fmt: skip
def test_values_of_another_kind_are_rejected(root, name, value):
    values = {**values_of(answer(root, CLIPS[:1], pixel_models())[0]), name: value}
    with pytest.raises((ValueError, TypeError), match="a value of a clip is of another kind"):
        ClipAnswer.of_values(values)
    with pytest.raises(ValueError, match="a clip has the values"):
        ClipAnswer.of_values({"clip_id": "a"})
