from dataclasses import replace

import pytest
import torch

from pipeline.errors import ConfigError
from trainer.batches import Batch
from trainer.config import LossConfig, ModelConfig, TrainConfig
from trainer.layers import masked_mean
from trainer.losses import training_loss
from trainer.model import FeatureShape, OusModel

B, T, F, D, C = 5, 6, 16, 12, 7
SHAPE = FeatureShape(num_frames=T, embed_width=F, encoder_width=D)
SMALL = ModelConfig(tfe_blocks=2, frame_encoder_depth=1, dropout=0.0)
VALID = torch.arange(T) < torch.tensor([6, 1, 4, 2, 6])[:, None]


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def model(losses=None, **changes):
    config = TrainConfig(model=replace(SMALL, **changes), losses=losses or LossConfig())
    return OusModel(config, SHAPE)


def batch(**changes):
    values = {
        "face_BTF": torch.randn(B, T, F),
        "scene_BTF": torch.randn(B, T, F),
        "early_B43D": torch.randn(B, 4, 3, D),
        "valid_BT": VALID,
        "label_B": torch.arange(B),
        "polarity_B": torch.arange(B) % 3,
    }
    return Batch(**values | changes)


def text():
    return torch.nn.functional.normalize(torch.randn(C, F), dim=1)


VARIANTS = [
    {},
    {"tfe_form": "literal"},
    {"tfe_keys": "crossed"},
    {"tfe_tokens": "frames"},
    {"lstm": "type"},
    {"tfe": False},
    {"polarity": False},
    {"polarity": False, "scene": False},
    {"polarity": False, "scene": False, "lstm": "type", "tfe_tokens": "frames"},
]


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_invalid_frames_change_no_logit_to_the_bit(changes):
    ous, clean, classes = model(**changes), batch(), text()
    garbage = 1e3 * torch.randn(B, T, F)
    dirty = replace(
        clean,
        face_BTF=torch.where(VALID[..., None], clean.face_BTF, garbage),
        scene_BTF=torch.where(VALID[..., None], clean.scene_BTF, garbage),
    )
    assert torch.equal(ous(clean, classes).logits_BC, ous(dirty, classes).logits_BC)


@pytest.mark.parametrize("has_gaps", [False, True])
@pytest.mark.parametrize("changes", [*VARIANTS, {"tfe_tokens": "patches"}], ids=str)
def test_a_batch_of_one_face_has_the_logits_of_that_face_repeated(changes, has_gaps):
    ous, whole, classes = model(**changes), batch(), text()
    if changes.get("tfe_tokens") == "patches":
        whole = replace(whole, face_patches_BJD=torch.randn(B, 3, D), scene_patches_BJD=torch.randn(B, 3, D))
    if has_gaps:
        whole = replace(
            whole, in_view_BT=IN_VIEW.masked_fill(~IN_VIEW.any(dim=1, keepdim=True), True) & VALID
        )
    of_face = ["face_BTF", "valid_BT", "in_view_BT", "face_patches_BJD"]
    first = {name: None if getattr(whole, name) is None else getattr(whole, name)[:1] for name in of_face}
    again = {name: None if v is None else v.expand(B, *v.shape[1:]) for name, v in first.items()}
    once, repeated = (ous(replace(whole, **faces), classes) for faces in (first, again))
    rows = B if changes.get("scene", True) else 1
    assert once.logits_BC.shape == (rows, C)
    torch.testing.assert_close(once.logits_BC, repeated.logits_BC[:rows], rtol=1e-5, atol=1e-4)
    if rows == B:
        assert not torch.allclose(once.logits_BC[0], once.logits_BC[2], atol=1e-3)


IN_VIEW = VALID & torch.tensor(
    [
        [False, True, False, True, True, False],
        [True] * T,
        [False, False, True, True, False, False],
        [False, True, True, True, True, True],
        [True] * T,
    ]
)
"""Valid frames with gaps at the start, in the middle and at the end; two clips without any."""


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_faces_out_of_view_change_no_logit_to_the_bit_and_their_scenes_do(changes):
    ous, clean, classes = model(**changes), batch(in_view_BT=IN_VIEW), text()
    absent_BT1 = (VALID & ~IN_VIEW)[..., None]
    other = torch.randn(2, B, T, F)
    face_BTF = torch.where(absent_BT1, 30 * other[0], clean.face_BTF)
    scene_BTF = torch.where(absent_BT1, 30 * other[1], clean.scene_BTF)
    clean_BC = ous(clean, classes).logits_BC
    assert torch.equal(ous(replace(clean, face_BTF=face_BTF), classes).logits_BC, clean_BC)
    has_other = absent_BT1.any(dim=1).squeeze()
    scenes_differ = (ous(replace(clean, scene_BTF=scene_BTF), classes).logits_BC != clean_BC).any(dim=1)
    assert torch.equal(scenes_differ, has_other & changes.get("scene", True))
    plain = replace(clean, in_view_BT=None)
    everywhere = replace(clean, in_view_BT=VALID)
    faces_differ = ous(replace(plain, face_BTF=face_BTF), classes).logits_BC != ous(plain, classes).logits_BC
    assert torch.equal(faces_differ.any(dim=1), has_other)
    torch.testing.assert_close(ous(everywhere, classes).logits_BC, ous(plain, classes).logits_BC)


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_no_gradient_comes_from_faces_out_of_view(changes):
    ous, given = model(**changes), batch(in_view_BT=IN_VIEW)
    given.face_BTF.requires_grad_()
    config = TrainConfig(model=replace(SMALL, **changes), losses=LossConfig(alpha=0.0))
    training_loss(ous(given, text()), given.label_B, given.polarity_B, config).loss.backward()
    has_gradient_BT = given.face_BTF.grad.abs().sum(dim=2) > 0
    assert torch.equal(has_gradient_BT, IN_VIEW)


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_every_parameter_learns(changes):
    ous, given = model(**changes), batch()
    config = TrainConfig(model=replace(SMALL, **changes), losses=LossConfig(alpha=0.0))
    training_loss(ous(given, text()), given.label_B, given.polarity_B, config).loss.backward()
    idle = [name for name, p in ous.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    allowed = ["key.bias"]  # moves all scores of a query alike, which softmax does not see
    if not changes.get("scene", True) and changes.get("tfe_tokens") != "frames":
        allowed += ["fusion.blocks.0.attention", "fusion.blocks.1.attention"]  # one token: no choice
    if not changes.get("scene", True) and changes.get("lstm") == "type":
        allowed += ["weight_hh_l0"]  # one step: no previous state
    assert [name for name in idle if not any(part in name for part in allowed)] == []


def test_logits_are_scaled_cosines():
    given, classes = batch(), text()
    outputs = model(losses=LossConfig(logit_scale=20.0))(given, classes)
    torch.testing.assert_close(outputs.output_BF.norm(dim=1), torch.ones(B))
    torch.testing.assert_close(outputs.logits_BC, 20 * outputs.output_BF @ classes.T)


def test_face_and_scene_follow_the_paper_step_by_step():
    ous, given = model(), batch()
    outputs = ous(given, text())
    face, scene = ous.early_fusion(given.face_BTF, given.scene_BTF)
    encoded = masked_mean(ous.frame_encoder(face, VALID), VALID)
    torch.testing.assert_close(outputs.encoded_BF, encoded)
    torch.testing.assert_close(outputs.face_BF, ous.align_face(encoded))
    torch.testing.assert_close(outputs.scene_BF, ous.align_scene(masked_mean(scene, VALID)))


@pytest.mark.parametrize(
    ("changes", "losses", "parts"),
    [
        ({}, LossConfig(), ("face_BF", "scene_BF", "polarity_BF")),
        ({}, LossConfig(terms="contrast"), ("face_BF", "scene_BF")),
        ({"polarity": False}, LossConfig(), ("face_BF", "scene_BF")),
        ({"polarity": False, "scene": False}, LossConfig(), ("face_BF",)),
    ],
)
def test_without_tfe_the_features_are_averaged(changes, losses, parts):
    ous, given = model(losses=losses, tfe=False, **changes), batch()
    outputs = ous(given, text())
    mean = torch.stack([getattr(outputs, part) for part in parts]).mean(dim=0)
    expected = torch.nn.functional.normalize(ous.head(mean), dim=1)
    torch.testing.assert_close(outputs.output_BF, expected)


@pytest.mark.parametrize(("keep", "there"), [(False, False), (True, True)])
def test_contrast_alone_has_no_v_pol_unless_kept(keep, there):
    ous = model(losses=LossConfig(terms="contrast"), keep_pol_token=keep)
    assert (ous(batch(), text()).polarity_BF is not None) == there
    assert any("polarity_encoder" in name for name in ous.state_dict()) == there


def test_faces_alone_never_look_at_the_scene():
    ous, given, classes = model(polarity=False, scene=False), batch(), text()
    without = replace(given, scene_BTF=None, early_B43D=None)
    assert torch.equal(ous(given, classes).logits_BC, ous(without, classes).logits_BC)
    assert not any("scene" in name or "polarity" in name for name in ous.state_dict())


def test_scales_are_measured_over_valid_frames_of_the_clips_given():
    ous, given = model(), batch()
    ous.fit_scales([given, given])
    valid = given.face_BTF[VALID]
    torch.testing.assert_close(ous.scale_face.mean, valid.mean(dim=0))
    torch.testing.assert_close(ous.scale_scene.std, given.scene_BTF[VALID].std(dim=0, correction=0))
    torch.testing.assert_close(ous.scale_early.mean, given.early_B43D.mean(dim=0))


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ConfigError, match="5 attention heads do not divide the width 16"):
        model(tfe_heads=5)


def test_bfloat16_outputs_are_close_and_float32():
    exact, given, classes = model(), batch(), text()
    rounded = model(precision="bf16")
    rounded.load_state_dict(exact.state_dict())
    outputs = rounded(given, classes)
    assert outputs.logits_BC.dtype == outputs.polarity_logits_BP.dtype == torch.float32
    cosine = (outputs.output_BF * exact(given, classes).output_BF).sum(dim=1)
    assert float(cosine.detach().min()) > 0.995


def test_the_lstm_is_float32_in_any_precision():
    """Under CUDA's autocast an LSTM takes float16, which needs a scaled loss, whatever type is asked for."""
    types = []
    rounded = model(precision="bf16")
    rounded.early_fusion.register_forward_hook(
        lambda _, given, out: types.append((given[0].dtype, out[0].dtype))
    )
    rounded.early_fusion.lstm.register_forward_hook(lambda _, given, out: types.append((out[0].dtype,)))
    rounded.frame_encoder.register_forward_hook(lambda _, given, out: types.append((out.dtype,)))
    rounded(batch(), text())
    assert set(sum(types, ())) == {torch.float32}
