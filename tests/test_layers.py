import math

import pytest
import torch
from torch import nn

from pipeline.errors import ConfigError
from trainer.layers import (
    Align,
    Attention,
    EarlyFusion,
    FrameEncoder,
    PolarityEncoder,
    Standardise,
    masked_mean,
)

B, T, F, D = 3, 6, 8, 5
VALID = torch.arange(T) < torch.tensor([6, 1, 4])[:, None]


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def with_garbage(x_BTF):
    """The same where valid; something else where not."""
    return torch.where(VALID[..., None], x_BTF, 1e3 * torch.randn(x_BTF.shape))


def frame_encoder():
    return FrameEncoder(T, F, depth=2, heads=2, mlp_ratio=2, dropout=0.0)


def test_masked_mean_by_hand():
    x = torch.tensor([[[1.0], [3.0], [100.0]], [[5.0], [100.0], [100.0]]])
    valid = torch.tensor([[True, True, False], [True, False, False]])
    assert masked_mean(x, valid).tolist() == [[2.0], [5.0]]


def test_masked_mean_ignores_even_nan():
    x = torch.full((1, 2, 1), math.nan)
    x[0, 0] = 7.0
    assert masked_mean(x, torch.tensor([[True, False]])).tolist() == [[7.0]]


def test_an_lstm_over_time_goes_from_one_face_in_view_to_the_next():
    fusion, face, scene = EarlyFusion(F, "time"), torch.randn(1, 5, F), torch.randn(1, 5, F)
    kept = torch.tensor([[False, True, False, True, True]])
    fused, whole = fusion(face, scene, kept)
    shorter, _ = fusion(face[:, kept[0]], None)
    torch.testing.assert_close(fused[:, kept[0]], shorter)
    assert torch.equal(whole, fusion(face, scene)[1])


def test_an_lstm_over_type_sees_the_scene_alone_where_the_face_is_out_of_view():
    fusion, face, scene = EarlyFusion(F, "type"), torch.randn(1, 3, F), torch.randn(1, 3, F)
    fused_face, fused_scene = fusion(face, scene, torch.tensor([[True, False, True]]))
    both_face, both_scene = fusion(face, scene)
    alone, _ = fusion(scene, None)  # one type: the state is that of the scene's own step
    assert torch.equal(fused_face, both_face)
    torch.testing.assert_close(fused_scene[:, 1], alone[:, 1])
    assert torch.equal(fused_scene[:, [0, 2]], both_scene[:, [0, 2]])
    assert not torch.allclose(alone[:, 1], both_scene[:, 1])


def test_invalid_frames_change_nothing_to_the_bit():
    fusion, encoder = EarlyFusion(F, "time"), frame_encoder()
    face, scene = torch.randn(2, B, T, F)

    def pooled(face, scene):
        face, scene = fusion(face, scene)
        return masked_mean(encoder(face, VALID), VALID), masked_mean(scene, VALID)

    clean, dirty = pooled(face, scene), pooled(with_garbage(face), with_garbage(scene))
    assert torch.equal(clean[0], dirty[0])
    assert torch.equal(clean[1], dirty[1])


def test_a_short_clip_equals_itself_without_its_padding():
    fusion, encoder = EarlyFusion(F, "time"), frame_encoder()
    face = torch.randn(1, T, F)
    padded = encoder(fusion(face, None)[0], torch.arange(T)[None] < 4)[:, :4]
    encoder.position_TF = nn.Parameter(encoder.position_TF[:4].detach())
    alone = encoder(fusion(face[:, :4], None)[0], torch.ones(1, 4, dtype=torch.bool))
    torch.testing.assert_close(padded, alone, rtol=0, atol=1e-6)


def test_lstm_over_time_is_residual_and_shared_by_both_streams():
    fusion = EarlyFusion(F, "time")
    face, scene = torch.randn(2, B, T, F)
    fused_face, fused_scene = fusion(face, scene)
    torch.testing.assert_close(fused_face, face + fusion.lstm(face)[0])
    torch.testing.assert_close(fused_scene, scene + fusion.lstm(scene)[0])
    assert fusion(face, None)[1] is None


def test_lstm_over_type_runs_face_then_scene_of_each_frame():
    fusion = EarlyFusion(F, "type")
    face, scene = torch.randn(2, B, T, F)
    fused_face, fused_scene = fusion(face, scene)
    pair = torch.stack([face[1, 2], scene[1, 2]])
    hidden = fusion.lstm(pair)[0]
    torch.testing.assert_close(fused_face[1, 2], pair[0] + hidden[0])
    torch.testing.assert_close(fused_scene[1, 2], pair[1] + hidden[1])
    torch.testing.assert_close(fusion(face, None)[0], fused_face)  # the face comes first: no scene in it


def test_attention_is_eq_15():
    attention = Attention(F, heads=2)
    query, key, value = torch.randn(3, B, T, F)
    out = attention(query, key, value, VALID)
    q, k, v = attention.query(query), attention.key(key), attention.value(value)
    heads = []
    for part in (slice(0, 4), slice(4, 8)):
        scores = q[..., part] @ k[..., part].transpose(1, 2) / math.sqrt(4)
        weights = scores.masked_fill(~VALID[:, None], -math.inf).softmax(dim=-1)
        heads.append(weights @ v[..., part])
    torch.testing.assert_close(out, attention.out(torch.cat(heads, dim=-1)))


def test_heads_must_divide_the_width():
    with pytest.raises(ConfigError, match="3 attention heads do not divide the width 8"):
        Attention(F, heads=3)


def test_frame_encoder_knows_the_order_of_frames():
    encoder = frame_encoder()
    encoder.position_TF.data.normal_()
    face, valid = torch.randn(1, T, F), torch.ones(1, T, dtype=torch.bool)
    forward, backward = encoder(face, valid), encoder(face.flip(1), valid)
    assert (masked_mean(forward, valid) - masked_mean(backward, valid)).abs().max() > 1e-3


def test_align_by_hand():
    align = Align(3)
    align.conv.weight.data = torch.tensor([[[1.0, 0.0, 2.0]]])
    align.conv.bias.data.fill_(0.5)
    align.linear.weight.data, align.linear.bias.data = 10 * torch.eye(3), torch.zeros(3)
    # x + conv: left neighbour + 2 * right neighbour + 0.5
    expected = [[10 * (1 + 4.5), 10 * (2 + 7.5), 10 * (3 + 2.5)]]
    assert align(torch.tensor([[1.0, 2.0, 3.0]])).tolist() == expected


def test_align_of_the_mean_is_the_mean_of_the_aligned():
    align, x = Align(F), torch.randn(B, T, F)
    torch.testing.assert_close(align(x.mean(dim=1)), align(x).mean(dim=1))


def test_polarity_encoder_sees_every_block_and_statistic():
    encoder = PolarityEncoder(D, F)
    early = torch.randn(B, 4, 3, D, requires_grad=True)
    v_pol, logits = encoder(early)
    assert (v_pol.shape, logits.shape) == ((B, F), (B, 3))
    logits.square().sum().backward()
    assert (early.grad.abs().sum(dim=(0, 3)) > 0).all()


def test_standardise_by_hand():
    scale = Standardise((3,))
    scale.fit(torch.tensor([[1.0, 0.1, 7.0], [3.0, 0.3, 7.0]]))
    # means 2, 0.2, 7; deviations (over N, not N - 1) 1, 0.1 and 0, which counts as 1
    fitted = scale(torch.tensor([[5.0, 0.1, 7.0], [2.0, 0.2, 8.0]]))
    torch.testing.assert_close(fitted, torch.tensor([[3.0, -1.0, 0.0], [0.0, 0.0, 1.0]]))


def test_positions_begin_small():
    position_TF = FrameEncoder(100, 64, depth=1, heads=2, mlp_ratio=1, dropout=0.0).position_TF
    assert float(position_TF.detach().std()) == pytest.approx(0.02, rel=0.05)


def test_standardise_changes_nothing_until_fitted_and_then_centres():
    scale, samples = Standardise((F,)), 5 + 3 * torch.randn(1000, F)
    samples[:, 0] = 7.0  # a feature that never changes
    assert torch.equal(scale(samples), samples)
    scale.fit(samples)
    fitted = scale(samples)
    torch.testing.assert_close(fitted.mean(dim=0), torch.zeros(F), rtol=0, atol=1e-5)
    torch.testing.assert_close(fitted[:, 1:].std(dim=0), torch.ones(F - 1), rtol=0, atol=1e-3)
    assert set(scale.state_dict()) == {"mean", "std"}


def test_a_feature_that_was_constant_is_not_blown_up_when_it_changes():
    scale, samples = Standardise((2,)), torch.tensor([[0.1, 1.0], [0.1, 3.0], [0.1, 2.0]])
    scale.fit(samples)
    assert scale(torch.tensor([[0.6, 2.0]])).tolist() == [[pytest.approx(0.5), 0.0]]
    scale.fit(samples[:1])
    assert scale(torch.tensor([[0.6, 2.0]])).tolist() == [[pytest.approx(0.5), 1.0]]
