"""The lean copy of a vision tower gives what open_clip's own gives."""

from functools import cache

import open_clip
import pytest
import torch
from open_clip.transformer import QuickGELU
from torch import nn

from pipeline.clip_model import fused_visual_tower

CPU = torch.device("cpu")
SMALL = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 4, "width": 48, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 8, "vocab_size": 64, "width": 16, "heads": 2, "layers": 1},
}


@cache
def tower(**changes: object) -> nn.Module:
    torch.manual_seed(0)
    return open_clip.CLIP(**(SMALL | changes)).eval().requires_grad_(False).visual


def pictures(n: int = 3) -> torch.Tensor:
    return torch.randn(n, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def relative(value: torch.Tensor, expected: torch.Tensor) -> float:
    return float((value.float() - expected.float()).norm() / expected.float().norm())


@torch.inference_mode()
@pytest.mark.parametrize("quick", [True, False])
def test_the_lean_tower_is_the_same_function(quick: bool) -> None:
    visual = tower(quick_gelu=quick)
    lean = fused_visual_tower(visual, CPU, torch.float32)
    assert relative(lean(pictures()), visual(pictures())) < 1e-6


@torch.inference_mode()
def test_every_block_is_the_same_function() -> None:
    visual = tower(quick_gelu=True)
    lean = fused_visual_tower(visual, CPU, torch.float32)
    x = torch.randn(2, 17, 48, generator=torch.Generator().manual_seed(2))
    for block, own in zip(lean.transformer.resblocks, visual.transformer.resblocks, strict=True):
        assert relative(block(x), own(x)) < 1e-6


@torch.inference_mode()
def test_in_bf16_it_is_no_further_from_float32_than_the_original() -> None:
    visual = tower(quick_gelu=True)
    exact = visual(pictures(8))
    low = pictures(8).bfloat16()
    lean = relative(fused_visual_tower(visual, CPU, torch.bfloat16)(low), exact)
    torch.manual_seed(0)
    cast = open_clip.CLIP(**SMALL, quick_gelu=True).eval().visual.bfloat16()
    assert 1e-4 < lean < 1.5 * relative(cast(low), exact)


def test_the_loaded_tower_stays_as_it_is() -> None:
    visual = tower(quick_gelu=True)
    before = {name: value.clone() for name, value in visual.state_dict().items()}
    lean = fused_visual_tower(visual, CPU, torch.bfloat16)
    assert all(torch.equal(value, before[name]) for name, value in visual.state_dict().items())
    assert isinstance(visual.transformer.resblocks[0].mlp.gelu, QuickGELU)
    assert isinstance(lean.transformer.resblocks[0].mlp.gelu, nn.SiLU)
    assert lean.proj.dtype == torch.bfloat16
