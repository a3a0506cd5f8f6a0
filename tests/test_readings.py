"""Which features go where in the model, for each reading, by numbers worked out by hand.

The parts are laid open: the LSTM adds nothing, alignment doubles the face and triples the scene, the
polarity encoder and the TFE are stand-ins. What the parts themselves compute is in test_equations.
"""

import math

import pytest
import torch
from torch import nn

from tests.by_hand import close, set_identity, set_linear
from trainer.batches import Batch
from trainer.config import LossConfig, ModelConfig, TrainConfig
from trainer.model import FeatureShape, OusModel


def model(**changes):
    """Width 2, two frames, encoder width 3; one block, two queries, a plain head."""
    losses = changes.pop("losses", LossConfig(logit_scale=10.0))
    settings = {
        "tfe_blocks": 1, "tfe_queries": 2, "tfe_heads": 1, "frame_encoder_heads": 1, "frame_encoder_depth": 0,
        "mlp_ratio": 1, "dropout": 0.0,
    }  # fmt: skip
    config = TrainConfig(model=ModelConfig(**settings | changes), losses=losses)
    ous = OusModel(config, FeatureShape(num_frames=2, embed_width=2, encoder_width=3))
    for parameter in ous.early_fusion.parameters():
        parameter.data.zero_()  # residual: x stays
    ous.frame_encoder.position_TF.data.zero_()
    ous.frame_encoder.norm = nn.Identity()
    for align, factor in ((ous.align_face, 2.0), (ous.align_scene, 3.0)):
        if align is not None:
            align.conv.weight.data.zero_()
            align.conv.bias.data.zero_()
            set_linear(align.linear, [[factor, 0.0], [0.0, factor]])
    if ous.project_patches is not None:
        set_linear(ous.project_patches, [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    if ous.polarity_encoder is not None:
        ous.polarity_encoder = FixedPolarity()
    set_identity(ous.head)
    if ous.fusion is not None:
        ous.fusion = TellTokens()
    return ous


class FixedPolarity(nn.Module):
    def forward(self, early_B43D):
        return torch.tensor([[90.0, 6.0]]), torch.tensor([[0.0, 1.0, 2.0]])


class TellTokens(nn.Module):
    """Stands for the TFE: keeps its tokens, answers two queries (1, 8) and (5, 0)."""

    def forward(self, tokens):
        self.tokens = tokens
        return torch.tensor([[[1.0, 8.0], [5.0, 0.0]]])


BATCH = Batch(
    face_BTF=torch.tensor([[[1.0, 2.0], [5.0, 6.0]]]),
    scene_BTF=torch.tensor([[[10.0, 0.0], [0.0, 20.0]]]),
    early_B43D=torch.zeros(1, 4, 3, 3),
    valid_BT=torch.ones(1, 2, dtype=torch.bool),
    label_B=torch.tensor([0]),
    polarity_B=torch.tensor([0]),
    face_patches_BJD=torch.tensor([[[1.0, 0.0, 2.0], [3.0, 0.0, 4.0]]]),
    scene_patches_BJD=torch.tensor([[[5.0, 0.0, 6.0], [7.0, 0.0, 8.0]]]),
)
TEXT = torch.tensor([[1.0, 0.0], [0.0, -1.0]])


def test_pooled_tokens_are_the_aligned_means():
    ous = model()
    outputs = ous(BATCH, TEXT)
    close(outputs.face_BF, [[6.0, 8.0]])  # mean (3, 4), times 2
    close(outputs.scene_BF, [[15.0, 30.0]])  # eq. 14: mean (5, 10), times 3
    tokens = ous.fusion.tokens
    close(tokens.face_BSF, [[[6.0, 8.0]]])
    close(tokens.scene_BSF, [[[15.0, 30.0]]])
    close(tokens.polarity_BF, [[90.0, 6.0]])
    assert tokens.valid_BS.tolist() == [[True]]


@pytest.mark.parametrize("changes", [{"tfe_tokens": "frames"}, {"tfe_keys": "crossed"}])
def test_frame_tokens_are_the_aligned_frames_with_their_validity(changes):
    ous = model(**changes)
    valid = torch.tensor([[True, False]])
    ous(Batch(**{**vars(BATCH), "valid_BT": valid}), TEXT)
    close(ous.fusion.tokens.face_BSF, [[[2.0, 4.0], [10.0, 12.0]]])
    close(ous.fusion.tokens.scene_BSF, [[[30.0, 0.0], [0.0, 60.0]]])
    assert ous.fusion.tokens.valid_BS.tolist() == [[True, False]]


SECOND_IN_VIEW = Batch(**{**vars(BATCH), "in_view_BT": torch.tensor([[False, True]])})


def test_the_mean_of_the_face_is_over_frames_in_view_and_that_of_the_scene_over_all():
    outputs = model()(SECOND_IN_VIEW, TEXT)
    close(outputs.encoded_BF, [[5.0, 6.0]])
    close(outputs.face_BF, [[10.0, 12.0]])  # (5, 6), times 2
    close(outputs.scene_BF, [[15.0, 30.0]])  # mean (5, 10), times 3


@pytest.mark.parametrize("changes", [{"tfe_tokens": "frames"}, {"tfe_keys": "crossed"}])
def test_frame_tokens_out_of_view_are_not_valid_for_the_face(changes):
    ous = model(**changes)
    ous(SECOND_IN_VIEW, TEXT)
    close(ous.fusion.tokens.face_BSF, [[[2.0, 4.0], [10.0, 12.0]]])
    assert ous.fusion.tokens.valid_BS.tolist() == [[False, True]]
    assert ous.fusion.tokens.scene_valid_BS.tolist() == [[True, True]]


def test_scales_are_measured_over_faces_in_view_and_all_scenes():
    ous = model(standardise=True)
    ous.fit_scales([SECOND_IN_VIEW])
    close(ous.scale_face.mean, [5.0, 6.0])
    close(ous.scale_scene.mean, [5.0, 10.0])


@pytest.mark.parametrize("keys", ["joint", "crossed"])
def test_patch_tokens_follow_the_pooled_one_projected_and_aligned(keys):
    ous = model(tfe_tokens="patches", tfe_keys=keys)
    ous(BATCH, TEXT)
    close(ous.fusion.tokens.face_BSF, [[[6.0, 8.0], [2.0, 4.0], [6.0, 8.0]]])
    close(ous.fusion.tokens.scene_BSF, [[[15.0, 30.0], [15.0, 18.0], [21.0, 24.0]]])
    assert ous.fusion.tokens.valid_BS.tolist() == [[True] * 3]


def test_output_is_the_mean_over_queries_normalised_and_logits_are_its_scaled_cosines():
    outputs = model()(BATCH, TEXT)
    close(outputs.output_BF, [[0.6, 0.8]])  # mean (3, 4)
    close(outputs.logits_BC, [[6.0, -8.0]])


@pytest.mark.parametrize(
    ("changes", "mean"),
    [
        ({}, (37.0, 44 / 3)),  # V_ft (6, 8), V_st (15, 30), V_pol (90, 6)
        ({"losses": LossConfig(terms="contrast")}, (10.5, 19.0)),
        ({"losses": LossConfig(terms="contrast"), "keep_pol_token": True}, (37.0, 44 / 3)),
        ({"polarity": False}, (10.5, 19.0)),
        ({"polarity": False, "scene": False}, (6.0, 8.0)),
    ],
)
def test_without_the_tfe_the_features_are_averaged(changes, mean):
    length = math.hypot(*mean)
    close(model(tfe=False, **changes)(BATCH, TEXT).output_BF, [[mean[0] / length, mean[1] / length]])
