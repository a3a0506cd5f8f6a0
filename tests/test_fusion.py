from dataclasses import replace

import pytest
import torch
from torch.nn.functional import layer_norm, relu

from trainer.config import ModelConfig
from trainer.fusion import Tokens, TypeFusionEncoder

B, S, F, Q = 2, 5, 8, 3
VALID = torch.arange(S) < torch.tensor([5, 2])[:, None]


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def encoder(**changes):
    settings = {"tfe_blocks": 2, "tfe_queries": Q, "tfe_heads": 2, "mlp_ratio": 2, "dropout": 0.0}
    return TypeFusionEncoder(F, ModelConfig(**settings | changes))


def tokens(**changes):
    face, scene = torch.randn(2, B, S, F)
    return Tokens(
        **{"face_BSF": face, "scene_BSF": scene, "polarity_BF": torch.randn(B, F), "valid_BS": VALID}
        | changes
    )


def joint(tfe, given):
    """[V_pol; V_ft; V_st] with their type embeddings."""
    polarity, face, scene = tfe.type_TF
    parts = [(given.polarity_BF + polarity)[:, None], given.face_BSF + face, given.scene_BSF + scene]
    return torch.cat(parts, dim=1), torch.cat([torch.ones(B, 1, dtype=torch.bool), VALID, VALID], dim=1)


def o_attn(block, query, key, value, valid):
    normed = [layer_norm(x, (F,), block.norm_tokens.weight, block.norm_tokens.bias) for x in (key, value)]
    return layer_norm(block.attention(query, *normed, valid), (F,))


def o_final(block, x):
    return layer_norm(block.mlp[2](relu(block.mlp[0](x))), (F,))


def test_literal_is_eqs_5_to_10_without_any_residual():
    tfe, given = encoder(tfe_form="literal"), tokens()
    q = tfe.q_learn_QF.expand(B, -1, -1)
    memory, valid = joint(tfe, given)
    for block in tfe.blocks:
        memory = o_final(block, o_attn(block, q, memory, memory, valid))
        valid = torch.ones(B, Q, dtype=torch.bool)
    torch.testing.assert_close(tfe(given), memory)


def test_literal_forgets_its_query_where_the_mlp_is_silent():
    """A residual would let Q_learn through."""
    tfe = encoder(tfe_form="literal")
    last = tfe.blocks[-1]
    last.mlp[2].weight.data.zero_()
    last.mlp[2].bias.data.zero_()
    last.norm_mlp.bias.data.fill_(3.0)
    assert torch.equal(tfe(tokens()), torch.full((B, Q, F), 3.0))


def test_query_stream_adds_both_sub_layers_to_the_running_query():
    tfe, given = encoder(), tokens()
    q = tfe.q_learn_QF.expand(B, -1, -1)
    memory, valid = joint(tfe, given)
    x = q
    for block in tfe.blocks:
        x = x + o_attn(block, x + q, memory, memory, valid)
        x = x + o_final(block, x)
    torch.testing.assert_close(tfe(given), x)


@pytest.mark.parametrize("form", ["query_stream", "literal"])
@pytest.mark.parametrize("keys", ["joint", "crossed"])
def test_invalid_tokens_change_nothing_to_the_bit(form, keys):
    tfe, given = encoder(tfe_form=form, tfe_keys=keys), tokens()
    garbage = 1e3 * torch.randn(B, S, F)
    dirty = Tokens(
        face_BSF=torch.where(VALID[..., None], given.face_BSF, garbage),
        scene_BSF=torch.where(VALID[..., None], given.scene_BSF, garbage),
        polarity_BF=given.polarity_BF,
        valid_BS=VALID,
    )
    assert torch.equal(tfe(given), tfe(dirty))


FACES = torch.tensor([[False, True, False, True, True], [False, True, False, False, False]])
"""Face tokens to attend to, fewer than those of the scene."""


@pytest.mark.parametrize(("keys", "sees_scene"), [("joint", True), ("crossed", False)])
def test_a_scene_token_without_its_face_token_is_seen_unless_the_face_is_its_key(keys, sees_scene):
    tfe, given = encoder(tfe_keys=keys), tokens(valid_BS=FACES, scene_valid_BS=VALID)
    absent, garbage = (VALID & ~FACES)[..., None], 1e3 * torch.randn(B, S, F)
    face_BSF, scene_BSF = (
        torch.where(absent, garbage, stream) for stream in (given.face_BSF, given.scene_BSF)
    )
    assert torch.equal(tfe(given), tfe(replace(given, face_BSF=face_BSF)))
    assert torch.equal(tfe(given), tfe(replace(given, scene_BSF=scene_BSF))) != sees_scene
    beyond = torch.where(VALID[..., None], given.scene_BSF, garbage)
    assert torch.equal(tfe(given), tfe(replace(given, scene_BSF=beyond)))


@pytest.mark.parametrize(("keys", "changes"), [("crossed", False), ("joint", True)])
def test_crossed_takes_only_weights_from_the_face(keys, changes):
    """With equal scene tokens and no V_pol, the weights of crossed attention do not matter."""
    tfe = encoder(tfe_keys=keys)
    scene = torch.randn(B, 1, F).expand(-1, S, -1)
    given = [tokens(scene_BSF=scene, polarity_BF=None) for _ in range(2)]
    difference = (tfe(given[0]) - tfe(given[1])).abs().max()
    assert bool(difference > 1e-4) == changes


def test_face_alone_is_fused_without_scene_or_polarity():
    tfe = encoder()
    given = tokens(scene_BSF=None, polarity_BF=None)
    assert tfe(given).shape == (B, Q, F)
    assert torch.equal(
        tfe(given), tfe(Tokens(face_BSF=given.face_BSF, scene_BSF=None, polarity_BF=None, valid_BS=VALID))
    )


def test_types_tell_a_face_token_from_the_same_scene_token():
    tfe = encoder()
    tfe.type_TF.data.normal_()
    one, other = torch.randn(2, B, 1, F)
    valid = torch.ones(B, 1, dtype=torch.bool)
    straight = tfe(Tokens(face_BSF=one, scene_BSF=other, polarity_BF=None, valid_BS=valid))
    swapped = tfe(Tokens(face_BSF=other, scene_BSF=one, polarity_BF=None, valid_BS=valid))
    assert (straight - swapped).abs().max() > 1e-3


def test_q_learn_is_one_gaussian_parameter_shared_by_all_blocks():
    tfe = TypeFusionEncoder(64, ModelConfig(tfe_blocks=3, tfe_queries=50, tfe_query_std=0.5))
    assert float(tfe.q_learn_QF.detach().std()) == pytest.approx(0.5, rel=0.1)
    assert [name for name, _ in tfe.named_parameters() if "q_learn" in name] == ["q_learn_QF"]


def test_each_type_has_an_embedding_that_begins_small():
    type_TF = TypeFusionEncoder(512, ModelConfig(tfe_blocks=1, tfe_heads=1, mlp_ratio=1)).type_TF
    assert type_TF.shape == (3, 512)
    assert float(type_TF.detach().std()) == pytest.approx(0.02, rel=0.1)
