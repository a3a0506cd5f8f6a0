"""Every equation and reading of the method on tensors so small that the numbers are worked out by hand.

Width 2 makes LayerNorm plain: (a, b) with a > b becomes (1, -1). A softmax over scores 0 and log 3
weighs 1/4 and 3/4. An LSTM whose gates have no weights is half open: i = f = o = 1/2.

What is a fact of one tensor stands here; what holds for any tensor, in the module's own test file.
"""

import math

import pytest
import torch
from torch import nn

from tests.by_hand import close, set_identity, set_linear
from tests.tiny_clip import tiny_clip
from trainer.config import ModelConfig, PromptConfig
from trainer.fusion import CrossTypeBlock, Tokens, TypeFusionEncoder
from trainer.layers import Align, Attention, EarlyFusion, FrameEncoder, PolarityEncoder
from trainer.prompts import ClassPrompts, TextTower

YES = torch.ones(1, 1, dtype=torch.bool)


def set_norm(norm, weight, bias):
    norm.weight.data, norm.bias.data = torch.tensor(weight), torch.tensor(bias)


def half_open(fusion):
    """The gates have no weights; the candidate is tanh(x)."""
    for parameter in fusion.lstm.parameters():
        parameter.data.zero_()
    width = fusion.lstm.hidden_size
    fusion.lstm.weight_ih_l0.data[2 * width : 3 * width] = torch.eye(width)
    return fusion


def half_tanh(x):
    return math.tanh(x) / 2


def plain_attention(width=2, heads=1):
    attention = Attention(width, heads)
    set_identity(attention.query, attention.key, attention.value, attention.out)
    return attention


# Eq. 13: the LSTM, over time or over type


def test_lstm_over_time():
    face, scene = torch.tensor([[[1.0], [2.0]]]), torch.tensor([[[3.0], [0.0]]])
    fused_face, fused_scene = half_open(EarlyFusion(1, "time"))(face, scene)
    c1 = half_tanh(1)
    c2 = c1 / 2 + half_tanh(2)
    close(fused_face, [[[1 + half_tanh(c1)], [2 + half_tanh(c2)]]])
    s1 = half_tanh(3)
    close(fused_scene, [[[3 + half_tanh(s1)], [0 + half_tanh(s1 / 2)]]])


def test_lstm_over_type():
    face, scene = torch.tensor([[[1.0], [2.0]]]), torch.tensor([[[3.0], [0.0]]])
    fused_face, fused_scene = half_open(EarlyFusion(1, "type"))(face, scene)
    c1, c2 = half_tanh(1), half_tanh(2)  # the face comes first: nothing before it
    close(fused_face, [[[1 + half_tanh(c1)], [2 + half_tanh(c2)]]])
    s1, s2 = c1 / 2 + half_tanh(3), c2 / 2  # then the scene of the same frame
    close(fused_scene, [[[3 + half_tanh(s1)], [0 + half_tanh(s2)]]])


# Eq. 15: attention


def test_attention_divides_by_the_root_of_a_heads_width():
    query = torch.tensor([[[math.log(3) * math.sqrt(2), 0.0]]])
    key = torch.tensor([[[0.0, 5.0], [1.0, -5.0]]])
    value = torch.tensor([[[4.0, 8.0], [0.0, 12.0]]])
    seen = torch.ones(1, 2, dtype=torch.bool)
    close(plain_attention()(query, key, value, seen), [[[1.0, 11.0]]])  # weights 1/4 and 3/4
    hidden = torch.tensor([[True, False]])
    close(plain_attention()(query, key, value, hidden), [[[4.0, 8.0]]])


def test_each_head_has_its_own_weights():
    query = torch.tensor([[[math.log(3), -math.log(3)]]])  # two heads of width 1
    key = torch.tensor([[[0.0, 0.0], [1.0, 1.0]]])
    value = torch.tensor([[[0.0, 0.0], [1.0, 1.0]]])
    seen = torch.ones(1, 2, dtype=torch.bool)
    close(plain_attention(heads=2)(query, key, value, seen), [[[0.75, 0.25]]])


# III-D: the Frame Encoder, alignment, the Polarity Encoder


def frame_encoder(depth):
    encoder = FrameEncoder(2, 2, depth=depth, heads=1, mlp_ratio=1, dropout=0.0)
    encoder.position_TF.data = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    for block in encoder.blocks:
        set_identity(block.attention.value, block.attention.out, block.mlp[1], block.mlp[3])
        for linear in (block.attention.query, block.attention.key):
            set_linear(linear, [[0.0, 0.0], [0.0, 0.0]])  # all weights alike
    return encoder


def gelu(x):
    return x * (1 + math.erf(x / math.sqrt(2))) / 2


def test_frame_encoder_adds_positions_and_normalises_last():
    face, valid = torch.tensor([[[3.0, 1.0], [0.0, 4.0]]]), torch.ones(1, 2, dtype=torch.bool)
    close(frame_encoder(0)(face, valid), [[[1.0, -1.0], [-1.0, 1.0]]])


def test_frame_encoder_block_is_pre_norm_and_residual():
    face, valid = torch.tensor([[[3.0, 1.0], [0.0, 4.0]]]), torch.tensor([[True, False]])
    encoder = frame_encoder(1)
    encoder.norm = nn.Identity()
    # with positions (4, 1); the first frame alone is seen, normalised (1, -1): x = (5, 0), then the
    # MLP of its norm (1, -1)
    close(encoder(face, valid)[:, :1], [[[5 + gelu(1), 0 + gelu(-1)]]])
    both = torch.ones(1, 2, dtype=torch.bool)
    # the second frame (0, 5) has norm (-1, 1): the mean over both is 0, x stays (4, 1)
    close(encoder(face, both)[:, :1], [[[4 + gelu(1), 1 + gelu(-1)]]])


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_frame_encoder_has_the_depth_that_is_asked(depth):
    face, valid = torch.tensor([[[3.0, 1.0], [0.0, 4.0]]]), torch.tensor([[True, False]])
    encoder = frame_encoder(depth)
    encoder.norm = nn.Identity()
    expected = [4.0, 1.0]
    for _ in range(depth):
        expected = [expected[0] + 1 + gelu(1), expected[1] - 1 + gelu(-1)]
    close(encoder(face, valid)[:, :1], [[expected]])


def test_alignment_convolves_features_with_their_neighbours_then_mixes_them():
    align = Align(3)
    align.conv.weight.data, align.conv.bias.data = torch.tensor([[[1.0, 0.0, -1.0]]]), torch.tensor([0.5])
    set_linear(align.linear, [[1.0, 1.0, 0.0], [0.0, 0.0, 2.0], [0.0, 1.0, 0.0]], [0.0, 0.0, 7.0])
    # (1, 2, 4) + left - right + 0.5 = (1 - 2, 2 + 1 - 4, 4 + 2) + 0.5 = (-0.5, -0.5, 6.5)
    close(align(torch.tensor([[1.0, 2.0, 4.0]])), [[-1.0, 13.0, 6.5]])


def test_polarity_encoder():
    encoder = PolarityEncoder(2, 1)
    # of each block the first value of one statistic: CLS, mean, deviation, CLS
    for k, project in enumerate(encoder.project):
        set_linear(project, [[1.0 if n == 2 * (k % 3) else 0.0 for n in range(6)]])
    set_linear(encoder.mlp[1], [[1.0, 2.0, 4.0, 8.0]])
    set_linear(encoder.mlp[3], [[3.0]], [1.0])
    set_linear(encoder.classify, [[1.0], [0.0], [-1.0]], [0.0, 5.0, 0.0])
    signs = [(1, 0, 0), (0, 1, 0), (0, 0, -1), (-1, 0, 0)]  # of each block's statistics; norm (s, -s)
    early = torch.tensor([[[[9.0 * s, -9.0 * s] for s in block] for block in signs]])
    v_pol, logits = encoder(early)
    hidden = gelu(1) + 2 * gelu(1) + 4 * gelu(-1) + 8 * gelu(-1)
    expected = 3 * gelu(hidden) + 1
    close(v_pol, [[expected]])
    close(logits, [[expected, 5.0, -expected]])


# Eqs. 5 to 10: the Type Fusion Encoder


def literal_block():
    """Identity attention; MLP x -> (2 relu(x0), relu(x1) + 1); the last norm gives (1, -1) or (-1, 1)."""
    block = CrossTypeBlock(2, heads=1, mlp_ratio=1, dropout=0.0)
    block.attention = plain_attention()
    set_identity(block.mlp[0])
    set_linear(block.mlp[2], [[2.0, 0.0], [0.0, 1.0]], [0.0, 1.0])
    return block


def test_block_to_the_letter():
    block = literal_block()
    set_norm(block.norm_tokens, [1.0, 3.0], [0.0, 0.0])  # eq. 5 with its own gain
    set_norm(block.norm_attention, [2.0, 1.0], [0.0, 0.0])
    set_norm(block.norm_mlp, [10.0, 1.0], [0.0, 0.5])
    query = torch.zeros(1, 1, 2)
    tokens = torch.tensor([[[7.0, 1.0]]])
    # eq. 5: (1, -3); eq. 15: the only value; eq. 7: (2, -1); eqs. 8, 9: (4, 1); eq. 10: (10, -1 + 0.5)
    close(block(query, tokens, tokens, YES), [[[10.0, -0.5]]])


def test_block_with_a_stream_adds_both_parts_to_it():
    block = literal_block()
    query, stream = torch.zeros(1, 1, 2), torch.tensor([[[10.0, 20.0]]])
    tokens = torch.tensor([[[7.0, 1.0]]])
    # o_attn (1, -1): stream (11, 19); MLP (22, 20) of it: norm (1, -1)
    close(block(query, tokens, tokens, YES, stream_BQF=stream), [[[12.0, 18.0]]])


def test_keys_weigh_and_values_are_weighed():
    """Eq. 7 with keys and values that differ: III-B read literally."""
    block = literal_block()
    query = torch.tensor([[[math.log(3) / math.sqrt(2), 0.0]]])  # score log(3) / 2 times (1 or -1)
    key = torch.tensor([[[7.0, 1.0], [1.0, 7.0]]])  # norms (1, -1), (-1, 1): weights 3/4, 1/4
    value = torch.tensor([[[0.0, 2.0], [2.0, 0.0]]])  # norms (-1, 1), (1, -1)
    both = torch.ones(1, 2, dtype=torch.bool)
    attended = block.attention(query, block.norm_tokens(key), block.norm_tokens(value), both)
    close(attended, [[[-0.5, 0.5]]])
    # eq. 7: (-1, 1); eqs. 8, 9: (0, 2); eq. 10: (-1, 1)
    close(block(query, key, value, both), [[[-1.0, 1.0]]])


class Seen(nn.Module):
    """Stands for a block: says what it was given; answers query + mean key + 10 mean value."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def forward(self, query_BQF, key_BSF, value_BSF, valid_BS, stream_BQF=None):
        self.calls.append((key_BSF.tolist(), value_BSF.tolist(), valid_BS.tolist()))
        answer = query_BQF + key_BSF.mean() + 10 * value_BSF.mean()
        return answer if stream_BQF is None else 100 * stream_BQF + answer


def type_fusion(**changes):
    """A TFE of width 1 with type embeddings 100, 200, 300 and one query of value 1000."""
    config = ModelConfig(tfe_queries=1, tfe_heads=1, mlp_ratio=1, dropout=0.0, **changes)
    tfe = TypeFusionEncoder(1, config)
    tfe.type_TF.data = torch.tensor([[100.0], [200.0], [300.0]])
    tfe.q_learn_QF.data = torch.tensor([[1000.0]])
    tfe.blocks = nn.ModuleList(Seen() for _ in range(config.tfe_blocks))
    return tfe


TOKENS = Tokens(
    face_BSF=torch.tensor([[[1.0], [2.0]]]),
    scene_BSF=torch.tensor([[[3.0], [4.0]]]),
    polarity_BF=torch.tensor([[5.0]]),
    valid_BS=torch.tensor([[True, False]]),
)


def test_joint_keys_and_values_are_polarity_face_scene_each_with_its_type():
    tfe = type_fusion(tfe_blocks=1)
    tfe(TOKENS)
    key, value, valid = tfe.blocks[0].calls[0]
    assert key == value == [[[105.0], [201.0], [202.0], [303.0], [304.0]]]
    assert valid == [[True, True, False, True, False]]


def test_crossed_keys_are_the_face_and_values_the_scene_with_polarity_on_both():
    tfe = type_fusion(tfe_blocks=1, tfe_keys="crossed")
    tfe(TOKENS)
    key, value, valid = tfe.blocks[0].calls[0]
    assert key == [[[105.0], [201.0], [202.0]]]
    assert value == [[[105.0], [303.0], [304.0]]]
    assert valid == [[True, True, False]]


def test_query_stream_adds_the_shared_query_in_every_block_and_keeps_the_tokens():
    tfe = type_fusion(tfe_blocks=3)
    tokens = 11 * (105 + 201 + 202 + 303 + 304) / 5
    x = 1000.0
    for _ in range(3):
        x = 100 * x + (x + 1000) + tokens
    close(tfe(TOKENS), [[[x]]], atol=1e-6 * x)
    assert tfe.blocks[0].calls == tfe.blocks[1].calls == tfe.blocks[2].calls


def test_literal_makes_each_output_the_next_keys_and_values_under_the_same_query():
    tfe = type_fusion(tfe_blocks=3, tfe_form="literal")
    first = 1000 + 11 * (105 + 201 + 202 + 303 + 304) / 5
    second = 1000 + 11 * first
    close(tfe(TOKENS), [[[1000 + 11 * second]]], atol=1.0)
    key, value, valid = tfe.blocks[1].calls[0]
    assert key == value == [[[pytest.approx(first)]]]
    assert valid == [[True]]


# Eq. 11: prompts


@pytest.mark.parametrize("context", ["shared", "class_specific"])
def test_a_prompt_is_start_context_name_and_end_in_this_order(context):
    clip = tiny_clip()
    tower = TextTower(clip, ("sad", "happy"), 2)
    embedding, position = clip.model.token_embedding.weight, clip.model.positional_embedding
    words = [clip.tokenize([name])[0, :3] for name in ("sad", "happy")]  # start, name, end
    prompts = ClassPrompts(PromptConfig(length=2, context=context), 2, tower.width)
    contexts = [prompts.context] * 2 if context == "shared" else list(prompts.context)
    given = []
    tower.blocks[0].ln_1.register_forward_pre_hook(lambda _module, inputs: given.append(inputs[0]))
    prompts(tower)
    before, names = given[0][: len(given[0]) - 4].view(-1, 3, tower.width), given[0][-4:].view(2, 2, -1)
    for n, (start, name, end) in enumerate(words):
        expected = (
            torch.stack([embedding[start], *contexts[n], embedding[name], embedding[end]]) + position[:5]
        )
        torch.testing.assert_close(torch.cat([before[n % len(before)], names[n]]), expected)
