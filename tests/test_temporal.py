"""The temporal transformer, a baseline that is trained, measured and used as every run."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from pipeline.config import override
from pipeline.errors import ConfigError
from tests.test_model import SHAPE, VALID, C, F, T, batch, text
from tests.tiny_cache import tiny_cache
from trainer.ablate.spec import table
from trainer.config import ModelConfig, TrainConfig
from trainer.evaluation import evaluate
from trainer.model import OusModel
from trainer.model_choice import build_model
from trainer.presets import smoke
from trainer.report import report
from trainer.runs import load_run
from trainer.temporal import TemporalTransformer
from trainer.training import resume, train

SMALL = ModelConfig(
    architecture="temporal", scene=False, polarity=False, tfe=False, frame_encoder_depth=2,
    frame_encoder_heads=4, mlp_ratio=3, dropout=0.0,
)  # fmt: skip
FACES = {"scene_BTF": None, "early_B43D": None, "polarity_B": None}


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def model(**changes):
    made = build_model(TrainConfig(model=replace(SMALL, **changes)), SHAPE)
    assert isinstance(made, TemporalTransformer)
    return made.eval()


def of_torch(ours):
    """The same weights in the transformer of torch."""
    layers = []
    for block in ours.blocks:
        layer = nn.TransformerEncoderLayer(
            F, 4, 3 * F, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        parts = (block.attention.query, block.attention.key, block.attention.value)
        layer.self_attn.in_proj_weight.data = torch.cat([part.weight for part in parts])
        layer.self_attn.in_proj_bias.data = torch.cat([part.bias for part in parts])
        layer.self_attn.out_proj.load_state_dict(block.attention.out.state_dict())
        layer.norm1.load_state_dict(block.norm_attention.state_dict())
        layer.norm2.load_state_dict(block.mlp[0].state_dict())
        layer.linear1.load_state_dict(block.mlp[1].state_dict())
        layer.linear2.load_state_dict(block.mlp[3].state_dict())
        layers.append(layer)
    return nn.Sequential(*layers), layers


def test_the_answer_is_that_of_torchs_transformer_clip_by_clip():
    """Without masks: each clip has its valid frames alone, and the first positions."""
    ours, clips, classes = model(), batch(**FACES), text()
    _, layers = of_torch(ours)
    found = ours(clips, classes)
    for number, num_valid in enumerate(VALID.sum(dim=1).tolist()):
        frames_TF = clips.face_BTF[number, :num_valid]
        x_SF = torch.cat([ours.class_token_F[None], frames_TF]) + ours.position_SF[: 1 + num_valid]
        for layer in layers:
            x_SF = layer(x_SF[None])[0]
        output_F = x_SF[0] / x_SF[0].norm()
        torch.testing.assert_close(found.logits_BC[number], 100 * classes @ output_F, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(found.encoded_BF[number], x_SF[1:].mean(dim=0), rtol=1e-4, atol=1e-5)


def test_invalid_frames_change_no_logit_to_the_bit():
    ours, clips, classes = model(), batch(**FACES), text()
    noisy = clips.face_BTF.masked_fill(~VALID[..., None], 1e4)
    with torch.no_grad():
        first, second = (ours(one, classes) for one in (clips, replace(clips, face_BTF=noisy)))
    assert torch.equal(first.logits_BC, second.logits_BC)
    assert torch.equal(first.encoded_BF, second.encoded_BF)


def test_frames_out_of_view_are_left_out():
    ours, clips, classes = model(), batch(**FACES, valid_BT=torch.ones(5, T, dtype=torch.bool)), text()
    in_view_BT = torch.ones(5, T, dtype=torch.bool)
    in_view_BT[:, 2] = False
    noisy = clips.face_BTF.masked_fill(~in_view_BT[..., None], 1e4)
    with torch.no_grad():
        first, second = (
            ours(replace(clips, face_BTF=faces, in_view_BT=in_view_BT), classes).logits_BC
            for faces in (clips.face_BTF, noisy)
        )
        every = ours(clips, classes).logits_BC
    assert torch.equal(first, second)
    assert not torch.allclose(first, every)


def test_the_order_of_frames_matters_and_scales_are_measured():
    ours, clips, classes = model(), batch(**FACES, valid_BT=torch.ones(5, T, dtype=torch.bool)), text()
    with torch.no_grad():
        before = ours(clips, classes).logits_BC
        turned = ours(replace(clips, face_BTF=clips.face_BTF.flip(1)), classes).logits_BC
        ours.fit_scales([clips])
        after = ours(clips, classes).logits_BC
    assert not torch.allclose(before, turned)
    assert not torch.allclose(before, after)
    torch.testing.assert_close(ours.scale_face.mean, clips.face_BTF.mean(dim=(0, 1)))
    assert before.shape == (5, C)


def test_a_scene_is_rejected_with_the_settings_that_leave_it_out():
    message = (
        "^model.architecture=temporal has face frames only; set model.scene=false, model.polarity=false, "
        "model.tfe=false too"
    )
    with pytest.raises(ConfigError, match=message):
        ModelConfig(architecture="temporal")
    with pytest.raises(ConfigError, match="^model.architecture is 'lstm'; allowed: ous, temporal"):
        ModelConfig(architecture="lstm")
    assert isinstance(build_model(smoke(), replace(SHAPE, embed_width=16)), OusModel)


@pytest.mark.usefixtures("one_tiny_encoder")
def test_a_run_is_trained_resumed_measured_and_used_as_every_other(tmp_path):
    row = next(row for row in table("baselines").rows if row.name.startswith("temporal"))
    config = override(smoke(), [*row.settings, "schedule.max_epochs=12"])
    cache = tiny_cache(tmp_path / "feats.zarr")
    whole = train(cache, tmp_path / "whole", config, device="cpu")

    class Stopped(Exception):
        pass

    def stop(report):
        if report.epoch == 2:
            raise Stopped

    with pytest.raises(Stopped):
        train(cache, tmp_path / "run", config, device="cpu", on_epoch=stop)
    resumed = resume(tmp_path / "run", device="cpu")
    assert resumed.info.best_loss == whole.info.best_loss
    weights = [(tmp_path / name / "best.safetensors").read_bytes() for name in ("whole", "run")]
    assert weights[0] == weights[1]
    measured = evaluate(tmp_path / "run", device="cpu").metrics
    assert measured.war > 0.8, "classes are separate directions of the face features"
    run = load_run(tmp_path / "run", device="cpu")
    assert isinstance(run.checkpoint.model, TemporalTransformer)
    made = report([tmp_path / "run"], tmp_path / "report", lambda _: None, device="cpu")
    assert "model.architecture=temporal" in made.run_rows[0].changes
    assert list(made.stages[0][1].points) == [
        "image encoder: face", "transformer: face frames", "class token: output feature"
    ]  # fmt: skip
    assert "Features at three stages" in (tmp_path / "report" / "report.md").read_text()
