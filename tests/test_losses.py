import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.errors import ConfigError
from trainer.config import LossConfig, ModelConfig, OptimConfig, TrainConfig
from trainer.losses import (
    batch_contrast,
    class_contrast,
    gated,
    polarity_loss,
    require_negatives,
    similarity_loss,
    stream_contrast,
    training_loss,
)
from trainer.model import Outputs

FACE = torch.tensor([[3.0, 4.0], [1.0, 0.0]])
SCENE = torch.tensor([[4.0, 3.0], [0.0, 2.0]])


def outputs(**changes):
    values = {
        "logits_BC": torch.tensor([[2.0, 0.0], [1.0, 0.0]]),
        "output_BF": torch.eye(2),
        "encoded_BF": FACE,
        "face_BF": FACE,
        "scene_BF": SCENE,
        "polarity_BF": torch.zeros(2, 2),
        "polarity_logits_BP": torch.zeros(2, 3),
    }
    return Outputs(**values | changes)


def parts(contrast, similarity, polarity):
    """The losses of eq. 4 by name."""
    values = {"contrast": contrast, "similarity": similarity, "polarity": polarity}
    return {name: torch.as_tensor(value) for name, value in values.items()}


def test_similarity_as_printed_sums_over_the_whole_batch():
    # dots: 24 + 0; squared norms: 25 + 1 and 25 + 4
    expected = 1 - 24 / math.sqrt(26 * 29)
    assert float(similarity_loss(FACE, SCENE, "as_printed")) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("form", ["as_printed", "per_sample"])
def test_similarity_does_not_depend_on_the_size_of_the_features(form):
    small = similarity_loss(1e-2 * FACE, 1e-2 * SCENE, form)
    torch.testing.assert_close(small, similarity_loss(FACE, SCENE, form))


def test_similarity_per_sample_averages_cosines():
    assert float(similarity_loss(FACE, SCENE, "per_sample")) == pytest.approx(1 - (24 / 25 + 0) / 2, abs=1e-6)


def test_similarity_of_vanished_features_is_one_with_a_finite_gradient():
    face = torch.zeros(2, 2, requires_grad=True)
    loss = similarity_loss(face, SCENE, "per_sample")
    loss.backward()
    assert float(loss.detach()) == 1.0
    assert face.grad.isfinite().all()


@pytest.mark.parametrize(("reduction", "expected"), [("mean", math.log(6) / 2), ("sum", math.log(6))])
def test_polarity_is_the_cross_entropy_of_eq_1(reduction, expected):
    # the true polarities have probability 1/3 and 2/4
    logits = torch.tensor([[0.0, 0.0, 0.0], [math.log(2), 0.0, 0.0]])
    assert float(polarity_loss(logits, torch.tensor([1, 0]), reduction)) == pytest.approx(expected, abs=1e-6)


def test_polarity_is_the_mean_unless_asked_otherwise():
    logits, polarity = torch.tensor([[0.0, 1.0, 2.0], [3.0, 0.0, 0.0]]), torch.tensor([1, 0])
    assert torch.equal(polarity_loss(logits, polarity), polarity_loss(logits, polarity, "mean"))


def test_class_contrast_is_cross_entropy_over_prompts():
    logits = torch.tensor([[math.log(3), 0.0], [0.0, 0.0]])
    expected = (-math.log(3 / 4) - math.log(1 / 2)) / 2
    assert float(class_contrast(logits, torch.tensor([0, 1]))) == pytest.approx(expected, abs=1e-6)


def test_batch_contrast_counts_other_samples_prompts_but_not_the_own_class():
    # samples 0 and 1 share class 0, sample 2 has class 1
    logits = torch.tensor([[math.log(2), 0.0], [0.0, 0.0], [math.log(5), 0.0]])
    label = torch.tensor([0, 0, 1])
    # sample 0: own 2 against sample 2's prompt 1; sample 1: 1 against 1; sample 2: 1 against 5 and 5
    expected = -(math.log(2 / 3) + math.log(1 / 2) + math.log(1 / 11)) / 3
    assert float(batch_contrast(logits, label)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("reduction", "factor"), [("mean", 1), ("sum", 2)])
def test_stream_contrast_is_eq_3_as_printed(reduction, factor):
    # cosines of scene i and face j: [24/25, 4/5], [4/5, 0]; tau = 1/10
    rows = [(9.6, 8.0), (0.0, 8.0)]
    expected = sum(-math.log(math.exp(own) / (math.exp(own) + math.exp(other))) for own, other in rows) / 2
    loss = stream_contrast(SCENE, FACE, 10.0, reduction)
    assert float(loss) == pytest.approx(factor * expected, abs=1e-5)


def test_stream_contrast_holds_each_scene_against_all_faces_not_each_face_against_all_scenes():
    scene, face = torch.eye(2), torch.tensor([[0.6, 0.8], [1.0, 0.0]])
    # scene 0: own 0.6 against 1; scene 1: own 0 against 0.8; tau = 1/10
    expected = (math.log(1 + math.exp(4)) + math.log(1 + math.exp(8))) / 2
    assert float(stream_contrast(scene, face, 10.0)) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("gate", "alpha", "expected", "is_global"),
    [
        ("contrast", 1.0, 3.5, True),
        ("contrast", 2.0, 2.0, False),  # eq. 4 needs the loss above alpha, not at it
        ("total", 3.0, 3.5, True),
        ("total", 3.5, 2.0, False),
    ],
)
def test_gate_of_eq_4(gate, alpha, expected, is_global):
    loss, was_global = gated(parts(2.0, 0.5, 1.0), gate=gate, alpha=alpha)
    assert (float(loss), bool(was_global)) == (expected, is_global)


def test_closed_gate_gives_no_gradient_to_the_other_losses():
    similarity = torch.tensor(0.5, requires_grad=True)
    contrast = torch.tensor(0.5, requires_grad=True)
    loss, _ = gated(parts(contrast, similarity, 0.0), gate="contrast", alpha=1.0)
    loss.backward()
    assert (float(similarity.grad), float(contrast.grad)) == (0.0, 1.0)


def test_training_loss_is_the_sum_of_its_parts_above_alpha():
    config = TrainConfig(losses=LossConfig(alpha=0.1))
    losses = training_loss(outputs(), torch.tensor([0, 1]), torch.tensor([2, 0]), config)
    contrast = (math.log(1 + math.exp(-2)) + math.log(1 + math.exp(1))) / 2
    similarity = 1 - 24 / math.sqrt(26 * 29)
    assert bool(losses.is_global)
    assert float(losses.parts["contrast"]) == pytest.approx(contrast, abs=1e-6)
    assert float(losses.parts["similarity"]) == pytest.approx(similarity, abs=1e-6)
    assert float(losses.parts["polarity"]) == pytest.approx(math.log(3), abs=1e-6)
    assert float(losses.loss) == pytest.approx(contrast + similarity + math.log(3), abs=1e-6)


@pytest.mark.parametrize("gate", ["contrast", "total"])
def test_contrast_alone_has_no_other_part(gate):
    config = TrainConfig(losses=LossConfig(terms="contrast", alpha=0.0, gate=gate))
    losses = training_loss(outputs(), torch.tensor([0, 1]), torch.tensor([-1, -1]), config)
    assert float(losses.loss) == float(losses.parts["contrast"])
    assert (float(losses.parts["similarity"]), float(losses.parts["polarity"]), bool(losses.is_global)) == (
        0.0,
        0.0,
        False,
    )
    assert losses.is_global.dtype == torch.bool


def test_faces_alone_have_neither_similarity_nor_polarity():
    config = TrainConfig(model=ModelConfig(scene=False, polarity=False), losses=LossConfig(alpha=0.0))
    faces = outputs(scene_BF=None, polarity_BF=None, polarity_logits_BP=None)
    losses = training_loss(faces, torch.tensor([0, 1]), torch.tensor([-1, -1]), config)
    assert float(losses.loss) == float(losses.parts["contrast"])


def test_streams_reading_adds_eq_3_to_the_class_contrast():
    label, polarity = torch.tensor([0, 1]), torch.tensor([2, 0])
    config = TrainConfig(losses=LossConfig(logit_scale=10.0))
    alone = training_loss(outputs(), label, polarity, config)
    added = training_loss(
        outputs(), label, polarity, replace(config, losses=replace(config.losses, contrast="streams"))
    )
    difference = added.parts["contrast"] - alone.parts["contrast"]
    torch.testing.assert_close(difference, stream_contrast(SCENE, FACE, 10.0))


FACE_AND_SCENE_PER_SAMPLE = 1 - (24 / 25 + 0) / 2
EQ_3 = (math.log(1 + math.exp(-1.6)) + math.log(1 + math.exp(8))) / 2
CLASS_LOSSES = (math.log(1 + math.exp(-2)), math.log(1 + math.exp(1)))


@pytest.mark.parametrize(
    ("losses", "part", "expected"),
    [
        ({"similarity": "per_sample"}, "similarity", FACE_AND_SCENE_PER_SAMPLE),
        ({"reduction": "sum"}, "polarity", 2 * math.log(3)),
        ({"reduction": "sum"}, "contrast", sum(CLASS_LOSSES)),
        ({"contrast": "batch"}, "contrast", sum(CLASS_LOSSES) / 2),  # one sample of each class: the same
        ({"contrast": "batch", "reduction": "sum"}, "contrast", sum(CLASS_LOSSES)),
        ({"contrast": "streams", "logit_scale": 10.0}, "contrast", sum(CLASS_LOSSES) / 2 + EQ_3),
    ],
)
def test_each_reading_reaches_the_training_loss(losses, part, expected):
    config = TrainConfig(losses=LossConfig(**losses))
    found = training_loss(outputs(), torch.tensor([0, 1]), torch.tensor([2, 0]), config)
    assert float(found.parts[part]) == pytest.approx(expected, abs=1e-5)


def test_batch_contrast_in_the_training_loss_leaves_the_own_class_out():
    config = TrainConfig(losses=LossConfig(contrast="batch"))
    losses = training_loss(outputs(), torch.tensor([0, 0]), torch.tensor([2, 0]), config)
    assert float(losses.parts["contrast"]) == 0.0


@pytest.mark.parametrize(
    ("gate", "alpha", "is_global"),
    [("contrast", 0.73, False), ("contrast", 0.71, True), ("total", 1.93, True), ("total", 1.95, False)],
)
def test_gate_and_alpha_reach_the_training_loss(gate, alpha, is_global):
    # contrast 0.720; with similarity 0.126 and polarity log 3 the total is 1.945
    config = TrainConfig(losses=LossConfig(gate=gate, alpha=alpha))
    losses = training_loss(outputs(), torch.tensor([0, 1]), torch.tensor([2, 0]), config)
    assert bool(losses.is_global) == is_global


@pytest.mark.parametrize("gate", ["contrast", "total"])
@pytest.mark.parametrize("alpha", [0.4, 0.73, 1.5, 1.93, 1.95, 3.0])
def test_the_gate_opens_alike_for_sums_and_means(gate, alpha):
    """Of two clips the sum of the contrastive losses is 1.440, their mean 0.720."""
    label, polarity = torch.tensor([0, 1]), torch.tensor([2, 0])
    mean, total = (
        training_loss(
            outputs(),
            label,
            polarity,
            TrainConfig(losses=LossConfig(gate=gate, alpha=alpha, reduction=reduction)),
        )
        for reduction in ("mean", "sum")
    )
    assert bool(total.is_global) == bool(mean.is_global)
    others = total.parts["similarity"] + total.parts["polarity"]
    expected = total.parts["contrast"] + others * total.is_global
    torch.testing.assert_close(total.loss, expected)


@pytest.mark.parametrize("form", ["as_printed", "per_sample"])
@pytest.mark.parametrize("gate", [True, False])
def test_similarity_of_a_batch_of_zeros_has_a_finite_gradient(form, gate):
    face, scene = torch.zeros(2, 2, requires_grad=True), torch.zeros(2, 2, requires_grad=True)
    similarity = similarity_loss(face, scene, form)
    loss, _ = gated(parts(2.0, similarity, 0.0), gate="contrast", alpha=1.0 if gate else 3.0)
    loss.backward()
    assert float(similarity.detach()) == 1.0
    assert face.grad.isfinite().all()
    assert scene.grad.isfinite().all()


def test_contrast_over_a_batch_without_negatives_is_refused():
    batch, label = LossConfig(contrast="batch"), np.array([0, 1, 1])
    with pytest.raises(
        ConfigError, match=r"optim.batch_size is 1; set optim.batch_size to 2 or more, or set losses"
    ):
        require_negatives(TrainConfig(losses=batch, optim=OptimConfig(batch_size=1)), label)
    with pytest.raises(
        ConfigError, match=r"but all 3 training clips have one class; give clips of two classes"
    ):
        require_negatives(TrainConfig(losses=batch), np.array([2, 2, 2]))
    require_negatives(TrainConfig(losses=batch), label)
    require_negatives(TrainConfig(optim=OptimConfig(batch_size=1)), np.array([2, 2, 2]))
